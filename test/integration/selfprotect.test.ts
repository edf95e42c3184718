// The canary: in force, every control acts and the status says so; when somebody takes programs away, that is an event,
// and so is their return. What is in the container is not told of. And the agent's own things are out of a container's reach.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Agent, startAgent } from "./lib/bulkhead.ts";
import { type Dockerd, startDockerd } from "./lib/dockerd.ts";
import { Cleanup, needs, run, until } from "./lib/proc.ts";

const cleanup = new Cleanup();
const skip = needs("dockerd", "docker", "bulkhead-agent", "bpftool", "perl");
let d: Dockerd, agent: Agent;
const status = () => JSON.parse(readFileSync(join(agent.state, "status.json"), "utf8"));

before(async () => {
  if (skip) return;
  d = await startDockerd(cleanup);
  await d.busybox("busy:1");
  agent = await startAgent(cleanup, { dockerd: d, args: ["--canary", "1s"], policies: { "all.yaml":
    'kind: ContainerPolicy\nname: all\nmode: enforce\nselect: {names: [work]}\nprocess: {drift: block, fileless: block}\n',
    "priv.yaml": 'kind: ContainerPolicy\nname: priv\nmode: learn\nselect: {names: [priv]}\nprocess: {drift: off}\n' } });
});
after(() => cleanup.run());

test("the canary comes back, and nothing is said of it", { skip }, async () => {
  await until("two canaries", () => status().canary.time !== null, 20000);
  assert.deepEqual(status().canary.failed, []);
  assert.equal(status().canary.error, null);
  assert.deepEqual(agent.events.matching((e) => e.container && e.control !== "none"), []);
  assert.equal(status().containers.length, 0);
});

const drops = (name: string) => d.docker("exec", name, "sh", "-c", "cp /bin/busybox /tmp/busybox-d && exec /tmp/busybox-d true");
const tier = () => status().tier;
const links = () => readdirSync(agent.bpfDir).filter((n) => n.startsWith("links-")).map((n) => join(agent.bpfDir, n));
const put = (dir: string) => readdirSync(dir, { withFileTypes: true }).forEach((n) => rmSync(join(dir, n.name), { recursive: n.isDirectory() }));

test("programs and maps taken away on the host are told and put back; what they hold on to is held on to meanwhile", { skip }, async () => {
  await d.ok("run", "-d", "--name", "work", "--network", "none", "busy:1", "sleep", "1000");
  await until("its policy is in force", async () => (await drops("work")).code !== 0);
  for (const folder of [() => links()[0], () => join(agent.bpfDir, "maps-2")]) {
    const from = agent.events.mark();
    put(folder());
    const e = await agent.events.wait("removed", (x) => x.rule === "Pinned kernel programs removed", from);
    assert.equal(e.severity, "critical");
    assert.ok(e.detail.removed > 5);
    await agent.events.wait("put back", (x) => x.rule === "Kernel programs put back", from);
    const later = agent.events.mark();
    assert.notEqual((await drops("work")).code, 0);
    await agent.events.wait("and it is told", (x) => x.control === "drift" && x.container?.name === "work", later);
  }
  await until("the canary agrees", () => Date.parse(status().canary.time) > Date.now() - 2000 && status().canary.failed.length === 0, 20000);
});

describe("a privileged container with the host's processes and files", { skip }, () => {
  const host = (script: string) => d.docker("exec", "-e", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "priv", "/bin/busybox", "chroot", "/host", "/bin/sh", "-c", script);
  const tampering = (kind: string, from: number) => agent.events.wait(`tampering: ${kind}`, (e) => e.rule === "Tampering with Bulkhead" &&
    e.detail.ours.kind === kind && e.container?.name === "priv", from);
  const caps = ["SYS_ADMIN", "SYS_PTRACE", "SYS_NICE", "NET_ADMIN", "DAC_READ_SEARCH"]; // --privileged asks for more than every host has
  before(() => d.ok("run", "-d", "--name", "priv", ...caps.flatMap((c) => ["--cap-add", c]), "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
    "--pid", "host", "-v", "/:/host", "busy:1", "sleep", "1000"));

  test("does its own work untouched", async () => {
    const from = agent.events.mark();
    await until("the kernel knows the agent", async () =>
      (await run("bpftool", ["map", "dump", "pinned", join(agent.bpfDir, "maps-2/self_tasks")])).stdout.includes(String(agent.daemon?.pid)), 15000);
    for (const script of ["sleep 9 & p=$!; perl -e 'exit(syscall(101, 16, $ARGV[0] + 0, 0, 0) < 0)' $p && kill -9 $p",
      `cat /proc/${agent.daemon?.pid}/status`, `cat ${join(agent.policyDir, "all.yaml")}`, "bpftool prog list >/dev/null && bpftool link list >/dev/null && bpftool map create /sys/fs/bpf/bh-other-$$ type hash key 4 value 4 entries 1 name x && rm /sys/fs/bpf/bh-other-$$"]) {
      const r = await host(script);
      assert.equal(r.code, 0, script + r.stderr + r.stdout);
    }
    await drops("work");
    await agent.events.wait("a later event", (e) => e.control === "drift" && e.container?.name === "work", from);
    const said = agent.events.matching((e) => e.rule === "Tampering with Bulkhead", from);
    assert.deepEqual(said, []);
  });

  test("does not trace the agent, nor take its maps (lsm tier)", async (t) => {
    if (tier() !== "lsm") return t.skip("the trace tier guards the agent's process against signals alone; test/vm/self.sh tries this");
    const { id: map, bytes_value: size } = JSON.parse((await run("bpftool", ["-j", "map", "show", "pinned", join(agent.bpfDir, "maps-2/host_default")])).stdout);
    const attacks: [string, string][] = [["process", `exec perl -e 'exit(syscall(101, 16, ${agent.daemon?.pid}, 0, 0) < 0)'`],
      ["map", `exec bpftool map update id ${map} key 0 0 0 0 value ${"0 ".repeat(size)}`], ["map", `exec bpftool map dump pinned ${join(agent.bpfDir, "maps-2/host_default")}`]];
    for (const [kind, script] of attacks) {
      const from = agent.events.mark();
      const r = await host(script);
      assert.notEqual(r.code, 0, script);
      assert.ok(!/value/.test(r.stdout), r.stdout);
      const e = await tampering(kind, from);
      assert.equal(e.outcome, "prevented");
      assert.equal(e.severity, "critical");
    }
  });

  test("a signal to the agent: on the lsm tier refused, else its sender dies and enforcement goes on without the agent", async () => {
    const from = agent.events.mark(), lsm = tier() === "lsm";
    const r = await host(`kill -9 ${agent.daemon?.pid}`);
    assert.notEqual(r.code, 0);
    if (!lsm) await until("the agent is dead", () => agent.daemon?.exited);
    assert.equal(Boolean(agent.daemon?.exited), !lsm);
    assert.notEqual((await drops("work")).code, 0);
    if (!lsm) await agent.start();
    const e = await tampering("process", from);
    assert.equal(e.outcome, lsm ? "prevented" : "killed");
    await agent.events.wait("told meanwhile", (x) => x.control === "drift" && x.container?.name === "work", from);
  });
});

test("a container reaches neither pins nor state nor the agent itself", { skip }, async () => {
  const pid = agent.daemon?.pid;
  const tries = [`ls ${agent.state}`, `ls ${agent.bpfDir}`, `cat ${agent.socket}`, `kill -9 ${pid}`, `cat /proc/${pid}/environ`];
  for (const t of tries) assert.notEqual((await d.docker("run", "--rm", "--network", "none", "busy:1", "sh", "-c", t)).code, 0, t);
  assert.ok(agent.daemon && !agent.daemon.exited);
});
