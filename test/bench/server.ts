// What the agent costs a real server: redis in a container of a private engine, measured by redis-benchmark in the same
// container, with bulkhead-agent (enforce: drift, fileless, namespaces, ptrace, mount) and without it and its kernel
// programs. Interleaved pairs in one run, the same server process throughout; a ratio is time with the agent to time
// without. Before each measurement a dropped program is tried: killed with the agent, running without, or we stop.
// Goal: within 3 %.
//
//   node --import tsx bench/server.ts [--pairs N]
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { startAgent } from "../integration/lib/bulkhead.ts";
import { type Dockerd, startDockerd } from "../integration/lib/dockerd.ts";
import { Cleanup, needs, run, until } from "../integration/lib/proc.ts";
import { load, median, ratio } from "./stats.ts";

const at = process.argv.indexOf("--pairs");
const pairs = at >= 0 ? Number(process.argv[at + 1]) : 11;
const loads: [string, string[]][] = [ // the last makes a connection for each request: the hooks' worst case
  ["set", ["-t", "set", "-n", "100000"]],
  ["get", ["-t", "get", "-n", "100000"]],
  ["get, new connection each", ["-t", "get", "-n", "20000", "-k", "0"]],
];
const policy = `kind: ContainerPolicy
name: server
mode: enforce
select: {images: ["redis:*"]}
process: {drift: block, fileless: block}
privilege: {namespaces: block, ptrace: block, mount: block}
`;

/** This machine's redis with the libraries that it names, and busybox. */
async function image(d: Dockerd): Promise<void> {
  const root = join(d.dir, "redis");
  mkdirSync(root);
  const made = await run("sh", ["-ec", `cd ${root}; mkdir -p bin tmp proc dev etc
    for p in redis-server redis-benchmark; do f=$(command -v $p); cp -L --parents $f $(ldd $f | grep -o '/[^ ]*') .; done
    cp /bin/busybox bin/; for a in sh cp; do ln -s busybox bin/$a; done
    tar --owner=0 --group=0 -c . | docker import -c 'ENV PATH=/bin:/usr/bin' - redis:bench`], { env: d.env });
  if (made.code !== 0) throw new Error(made.stderr);
}

async function bench(d: Dockerd, args: string[]): Promise<number> {
  const out = await d.ok("exec", "server", "redis-benchmark", "--csv", ...args);
  const rate = Number(/^"(?:GET|SET)","([0-9.]+)"/m.exec(out)?.[1]);
  if (!(rate > 0)) throw new Error(`redis-benchmark said ${out}`);
  return rate;
}

const cleanup = new Cleanup();
try {
  const missing = needs("dockerd", "docker", "bulkhead-agent", "redis-server", "redis-benchmark", "busybox");
  if (missing) throw new Error(missing);
  const d = await startDockerd(cleanup);
  await image(d);
  await d.ok("run", "-d", "--name", "server", "--network", "none", "redis:bench", "redis-server", "--save", "", "--appendonly", "no");
  await until("redis answers", () => bench(d, ["-t", "get", "-n", "1000"]));
  const agent = await startAgent(cleanup, { dockerd: d, start: false, policies: { "server.yaml": policy } });
  const dropped = async () => (await d.docker("exec", "server", "sh", "-c", "cp /bin/busybox /tmp/busybox; /tmp/busybox true; exit $?")).code;

  const measure = async (on: boolean): Promise<number[]> => {
    if (on) await agent.start();
    const killed = async () => (await dropped()) !== 0;
    if (on) await until("the policy is in force", killed);
    else if (await killed()) throw new Error("something enforces without the agent");
    const rates: number[] = [];
    for (const [, args] of loads) rates.push(await bench(d, args));
    if (on) {
      await agent.stop();
      const r = await agent.run("remove", "--bpf-dir", agent.bpfDir);
      if (r.code !== 0) throw new Error(r.stderr);
    }
    return rates;
  };
  const before = load(), rows: { off: number[]; on: number[] }[] = [];
  for (let i = 0; i < pairs; i++) {
    const first = i % 2 ? await measure(true) : undefined;
    const off = await measure(false);
    rows.push({ off, on: first ?? await measure(true) });
  }
  console.log(`redis in a container, agent off and on, ${pairs} pairs (load ${before} before, ${load()} after)`);
  loads.forEach(([name], i) => {
    const rate = (k: "off" | "on") => `${k} ${median(rows.map((r) => r[k][i])).toFixed(0)}/s`;
    console.log(`${name}: ${rate("off")}, ${rate("on")}, time ratio ${ratio(rows.map((r) => r.off[i] / r.on[i]), 1.03)}`);
  });
} catch (e) {
  console.error(`server: ${e instanceof Error ? e.message : e}`);
  process.exitCode = 1;
} finally {
  await cleanup.run();
}
