// The canary: in force, every control acts and the status says so; when somebody takes programs away, that is an event,
// and so is their return. What is in the container is not told of. And the agent's own things are out of a container's reach.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Agent, startAgent } from "./lib/bulkhead.ts";
import { type Dockerd, startDockerd } from "./lib/dockerd.ts";
import { Cleanup, needs, until } from "./lib/proc.ts";

const cleanup = new Cleanup();
const skip = needs("dockerd", "docker", "bulkhead-agent");
let d: Dockerd, agent: Agent;
const status = () => JSON.parse(readFileSync(join(agent.state, "status.json"), "utf8"));

before(async () => {
  if (skip) return;
  d = await startDockerd(cleanup);
  await d.busybox("busy:1");
  agent = await startAgent(cleanup, { dockerd: d, args: ["--canary", "1s"], policies: { "all.yaml":
    'kind: ContainerPolicy\nname: all\nmode: enforce\nprocess: {drift: block, fileless: block}\n' } });
});
after(() => cleanup.run());

test("the canary comes back, and nothing is said of it", { skip }, async () => {
  await until("two canaries", () => status().canary.time !== null, 20000);
  assert.deepEqual(status().canary.failed, []);
  assert.equal(status().canary.error, null);
  assert.deepEqual(agent.events.matching((e) => e.container && e.control !== "none"), []);
  assert.equal(status().containers.length, 0);
});

test("programs taken away are told by the next canary; a restart puts them back", { skip }, async () => {
  const from = agent.events.mark();
  for (const links of readdirSync(agent.bpfDir).filter((n) => n.startsWith("links-")))
    for (const n of readdirSync(join(agent.bpfDir, links), { withFileTypes: true }))
      n.isDirectory() ? rmSync(join(agent.bpfDir, links, n.name), { recursive: true }) : rmSync(join(agent.bpfDir, links, n.name));
  const e = await agent.events.wait("sensing failed", (x) => x.rule === "Sensing failed" &&
    x.detail.controls.some((c: { control: string }) => c.control === "drift"), from, 30000);
  assert.equal(e.severity, "critical");
  assert.equal(e.control, "sensor");
  await until("status says so", () => status().canary.failed.includes("drift"));
  await agent.stop();
  await agent.start();
  await until("it works again", () => status().canary.time !== null && status().canary.failed.length === 0, 20000);
});

test("a container reaches neither pins nor state nor the agent itself", { skip }, async () => {
  const pid = agent.daemon?.pid;
  const tries = [`ls ${agent.state}`, `ls ${agent.bpfDir}`, `cat ${agent.socket}`, `kill -9 ${pid}`, `cat /proc/${pid}/environ`];
  for (const t of tries) assert.notEqual((await d.docker("run", "--rm", "--network", "none", "busy:1", "sh", "-c", t)).code, 0, t);
  assert.ok(agent.daemon && !agent.daemon.exited);
});
