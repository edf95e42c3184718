// The agent's own memory, anonymous + private dirty pages of /proc/PID/smaps_rollup: idle on an engine without a
// container, with N of them under an enforcing policy, and after each has started programs. Goal: below 25 MB.
//
//   node --import tsx bench/memory.ts [CONTAINERS]
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { startAgent } from "../integration/lib/bulkhead.ts";
import { startDockerd } from "../integration/lib/dockerd.ts";
import { Cleanup, needs, until } from "../integration/lib/proc.ts";
import { load } from "./stats.ts";

const containers = Number(process.argv[2] ?? 20), goal = 25;
const policy = 'kind: ContainerPolicy\nname: all\nmode: enforce\nselect: {images: ["*"]}\nprocess: {drift: block, fileless: block}\n';
const cleanup = new Cleanup();
try {
  const missing = needs("dockerd", "docker", "bulkhead-agent", "busybox");
  if (missing) throw new Error(missing);
  const d = await startDockerd(cleanup);
  await d.busybox("bb:1");
  const agent = await startAgent(cleanup, { dockerd: d, policies: { "all.yaml": policy } });
  const status = () => JSON.parse(readFileSync(join(agent.state, "status.json"), "utf8"));
  const say = (when: string): number => {
    const rollup = readFileSync(`/proc/${agent.daemon?.pid}/smaps_rollup`, "utf8");
    const mb = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB`, "m").exec(rollup)?.[1]) * 1024 / 1e6;
    // anonymous pages are nearly all private dirty ones too; the rest of those are relocated data of files
    const used = Math.max(mb("Anonymous"), mb("Private_Dirty"));
    console.log(`${when}: ${used.toFixed(1)} MB (anonymous ${mb("Anonymous").toFixed(1)}, private dirty ${mb("Private_Dirty").toFixed(1)}, ` +
      `resident ${mb("Rss").toFixed(1)}); goal below ${goal}: ${used < goal ? "met" : "MISSED"}`);
    return used;
  };
  say(`agent, no container (load ${load()})`);
  for (let i = 0; i < containers; i++) await d.ok("run", "-d", "--network", "none", "--name", `c${i}`, "bb:1", "sleep", "1000");
  await until("all are under the policy", () => status().containers.filter((c: { policy?: unknown }) => c.policy).length >= containers, 30000);
  say(`${containers} containers`);
  for (let i = 0; i < containers; i++) await d.docker("exec", `c${i}`, "sh", "-c", "for n in 1 2 3 4 5 6 7 8 9; do ls / >/tmp/$n; done; cp /bin/busybox /tmp/busybox; /tmp/busybox true");
  if (say(`${containers} containers, after ${containers * 10} programs and ${containers} drifts`) >= goal) process.exitCode = 1;
} catch (e) {
  console.error(`memory: ${e instanceof Error ? e.message : e}`);
  process.exitCode = 1;
} finally {
  await cleanup.run();
}
