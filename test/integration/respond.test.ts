// What is done to a container that misbehaves, by policy and by hand: frozen, throttled, cut off, stopped, its process
// killed; released again; never more often than the rate. Evidence is sealed, and tampering with it shows.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Agent, startAgent } from "./lib/bulkhead.ts";
import { type Dockerd, startDockerd } from "./lib/dockerd.ts";
import type { Event } from "./lib/events.ts";
import { alive, Cleanup, needs, run, tempDir, until } from "./lib/proc.ts";

const cleanup = new Cleanup();
const skip = needs("dockerd", "docker", "bulkhead-agent", "tar", "zstd", "sha256sum");
let d: Dockerd, agent: Agent;
const ids: Record<string, string> = {};

const policy = (name: string, respond: string, mode = "enforce") => `kind: ContainerPolicy
name: ${name}
mode: ${mode}
select: {names: ["${name}*"]}
process: {drift: ${name === "killed" ? "alert" : "block"}, fileless: block}
respond: ${respond}
`;
const by = async (verb: string, ...args: string[]) => agent.run(verb, ...args, "--state", agent.state, "--bpf-dir", agent.bpfDir,
  ...(verb === "respond" ? ["--engine", d.url] : []));
/** A counter that goes up while the container runs. */
const start = async (name: string, ...o: string[]) => {
  ids[name] = await d.ok("run", "-d", "--name", name, "--network", "none", ...o, "busy:1");
  await until(`${name} counts`, () => ticks(name) > 0);
};
const ticks = (name: string) => existsSync(join(d.dir, name)) ? readFileSync(join(d.dir, name), "utf8").length : 0;
const stands = async (name: string) => {
  const at = ticks(name);
  await new Promise((r) => setTimeout(r, 400)); // that nothing happens takes time to see
  return ticks(name) === at;
};
const drop = (name: string, file = "busybox-x") => d.ok("exec", "-d", name, "sh", "-c", `cp /bin/busybox /tmp/${file}; /tmp/${file} sleep 1000`);
const response = (name: string, from: number) => agent.events.wait(`response to ${name}`, (e) => e.container?.name === name && e.outcome === "responded", from);

before(async () => {
  if (skip) return;
  d = await startDockerd(cleanup);
  await d.busybox("busy:1", { files: { "run": "#!/bin/sh\nwhile :; do echo -n x >>/out/$HOSTNAME; sleep 0.05; done\n" }, changes: ['CMD ["/bin/sh", "/run"]'] });
  const rules = join(d.dir, "rules.yaml");
  writeFileSync(rules, `- rule: Naps
  desc: a rule of the user
  condition: evt.type = execve and evt.dir=< and container.id != host and proc.name = sleep and proc.args startswith 43
  output: naps
  priority: NOTICE
`);
  agent = await startAgent(cleanup, { dockerd: d, args: ["--respond-limit", "12", "--rules", rules], policies: {
    "ruled.yaml": policy("ruled", '{critical: stop, rules: {"Coin *": freeze, Naps: kill, Nobody: stop}}').replace("drift: block", "drift: alert"),
    "frozen.yaml": policy("frozen", "{critical: freeze}"), "slow.yaml": policy("slow", "{critical: throttle}"),
    "stopped.yaml": policy("stopped", "{critical: stop}"), "killed.yaml": policy("killed", "{critical: kill, evidence: memory}"),
    "cutoff.yaml": policy("cutoff", "{critical: isolate}"), "audited.yaml": policy("audited", "{critical: stop}", "audit"),
    "benign.yaml": policy("benign", "{critical: stop, high: stop, medium: stop}"),
  } });
});
after(() => cleanup.run());

describe("by policy", { skip }, () => {
  const volume = (name: string) => ["--hostname", name, "-v", `${d.dir}:/out`];
  test("freeze: nothing of it runs until it is released", async () => {
    await start("frozen", ...volume("frozen"));
    const from = agent.events.mark();
    await drop("frozen");
    const e = await response("frozen", from);
    assert.equal(e.level, "respond");
    assert.equal(e.detail.response, "freeze");
    assert.ok(await stands("frozen"));
    const list = JSON.parse((await by("respond", "list", "--json")).stdout);
    assert.equal(list.name, "frozen");
    assert.deepEqual(list.in_force, ["frozen"]);
    const released = await by("respond", "release", "frozen");
    assert.equal(released.code, 0, released.stderr);
    const at = ticks("frozen");
    await until("it runs again", () => ticks("frozen") > at);
    assert.equal((await by("respond", "list")).stdout, "");
    await agent.events.wait("release is told", (x) => x.rule === "Response released" && x.container?.name === "frozen", from);
  });

  test("throttle: it goes on slowly; released it has what it had", async () => {
    await start("slow", "--cpus", "0.5", ...volume("slow"));
    const from = agent.events.mark();
    await drop("slow");
    assert.equal((await response("slow", from)).detail.response, "throttle");
    const pid = await d.ok("inspect", "-f", "{{.State.Pid}}", "slow");
    const quota = () => {
      const v1 = readFileSync(`/proc/${pid}/cgroup`, "utf8").split("\n").find((l) => /:cpu(,|:)|,cpu:/.test(l))?.split(":")[2];
      return v1 && existsSync(`/sys/fs/cgroup/cpu${v1}/cpu.cfs_quota_us`) ? readFileSync(`/sys/fs/cgroup/cpu${v1}/cpu.cfs_quota_us`, "utf8").trim()
        : readFileSync(`/sys/fs/cgroup${readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().split("::")[1]}/cpu.max`, "utf8").split(" ")[0];
    };
    assert.equal(quota(), "10000");
    assert.equal((await by("respond", "release", ids.slow.slice(0, 12))).code, 0);
    assert.equal(quota(), "50000");
  });

  test("isolate: cut off from the network, it lives on", async () => {
    await start("cutoff", ...volume("cutoff"));
    const serve = "httpd -p 127.0.0.1:80 -h /etc; wget -qO- http://127.0.0.1/passwd";
    assert.match((await d.docker("exec", "cutoff", "sh", "-c", serve)).stdout, /^root:/);
    const from = agent.events.mark();
    await drop("cutoff");
    assert.equal((await response("cutoff", from)).detail.response, "isolate");
    const cut = await d.docker("exec", "cutoff", "sh", "-c", "wget -qO- http://127.0.0.1/passwd");
    assert.notEqual(cut.code, 0);
    assert.ok(!(await stands("cutoff")));
    assert.equal((await by("respond", "release", "cutoff")).code, 0);
    const again = await d.docker("exec", "cutoff", "sh", "-c", "wget -qO- http://127.0.0.1/passwd");
    assert.match(again.stdout, /^root:/, JSON.stringify(again));
  });

  test("stop: evidence first, then it ends for good, whatever its restart policy", async () => {
    await start("stopped", "--restart", "always", ...volume("stopped"));
    await d.ok("exec", "stopped", "sh", "-c", "echo changed >/etc/passwd; echo loot >/tmp/loot; rm /bin/touch");
    const from = agent.events.mark();
    await drop("stopped");
    const e = await response("stopped", from);
    assert.equal(e.detail.notice, undefined, e.detail.notice);
    await until("it is stopped", async () => (await d.ok("inspect", "-f", "{{.State.Status}}", "stopped")) === "exited");
    assert.ok(await stands("stopped"));
    assert.equal(await d.ok("inspect", "-f", "{{.State.Status}}", "stopped"), "exited");
    const out = tempDir(cleanup, "bh-evidence-");
    const r = await run("tar", ["-C", out, "--zstd", "-xf", join(agent.state, "evidence", e.detail.evidence)]);
    assert.equal(r.code, 0, r.stderr);
    const manifest = JSON.parse(readFileSync(join(out, "manifest.json"), "utf8"));
    assert.equal(manifest.container, ids.stopped);
    for (const f of manifest.files) // as sha256sum sees them
      assert.equal((await run("sha256sum", [join(out, f.name)])).stdout.split(" ")[0], f.sha256, f.name);
    const upper = readFileSync(join(out, "upper.jsonl"), "utf8").trim().split("\n").map((l) => JSON.parse(l));
    const file = (path: string) => upper.find((u: Event) => u.path === path);
    assert.equal(file("/etc/passwd").sha256, (await run("sha256sum", [], { input: "changed\n" })).stdout.split(" ")[0]);
    assert.equal(file("/tmp/loot").type, "file");
    assert.equal(file("/bin/touch").type, "removed");
    assert.ok(readdirSync(join(out, "processes")).some((n) => n.endsWith(".json") &&
      JSON.parse(readFileSync(join(out, "processes", n), "utf8")).args.includes("/run")));
    assert.ok(existsSync(join(out, "network/tcp")));
  });

  test("kill: only the offender dies, its memory is kept", async () => {
    await start("killed", ...volume("killed"));
    const from = agent.events.mark();
    await drop("killed");
    const e = await response("killed", from);
    assert.equal(e.detail.response, "kill");
    await until("the offender is dead", () => !alive(e.process.pid));
    assert.ok(!(await stands("killed")));
    const shown = JSON.parse((await by("evidence", "show", e.detail.evidence)).stdout);
    assert.equal(shown.offender, e.process.pid);
    assert.ok(shown.files.some((f: Event) => f.name.startsWith("offender/memory/")));
    const exe = shown.files.find((f: Event) => f.name === "offender/exe");
    assert.equal(exe.sha256, (await run("sha256sum", ["/bin/busybox"])).stdout.split(" ")[0]);
  });

  test("by the name of a detection rule, each time, though its repeats fold into one incident; others are left alone", async () => {
    await start("ruled", ...volume("ruled"));
    const from = agent.events.mark();
    assert.match((await d.docker("exec", "ruled", "sh", "-c", "sleep 0; wget -q -O /dev/null http://127.0.0.1:1; echo on")).stdout, /on/);
    for (const n of [4321, 4322]) {
      await d.ok("exec", "-d", "ruled", "sleep", String(n));
      const e = await agent.events.wait(`sleep ${n} dies`, (x) => x.outcome === "responded" && x.container?.name === "ruled" && x.process.args?.[1] === String(n), from);
      assert.equal(e.detail.response, "kill");
      assert.equal(e.detail.because, "Naps");
      await until("it is dead", () => !alive(e.process.pid));
    }
    assert.equal(agent.events.matching((e) => e.rule === "Naps", from).length, 1);
    assert.ok(!(await stands("ruled")));
    await d.ok("exec", "-d", "ruled", "wget", "-q", "-O", "/dev/null", "--header", "--donate-level", "http://127.0.0.1:1");
    const e = await agent.events.wait("coin miner", (x) => x.outcome === "responded" && x.detail.because === "Coin miner", from);
    assert.equal(e.detail.response, "freeze"); // named, so not by its severity
    assert.ok(await stands("ruled"));
    assert.equal((await by("respond", "release", "ruled")).code, 0);
    const status = JSON.parse(readFileSync(join(agent.state, "status.json"), "utf8"));
    const notices = status.containers.find((c: Event) => c.name === "ruled").policy.notices;
    assert.deepEqual(notices.filter((n: string) => /respond/.test(n)), ['respond.rules: no rule and no control is named "Nobody"']);
  });

  test("a policy that audits does nothing but say so; ordinary work is left alone", async () => {
    await start("audited", ...volume("audited"));
    await start("benign", ...volume("benign"));
    const from = agent.events.mark();
    await drop("audited");
    const e = await agent.events.wait("held back", (x) => x.container?.name === "audited" && /held back/.test(x.rule ?? ""), from);
    assert.equal(e.outcome, "detected");
    assert.equal(e.detail.would.level, "respond");
    await d.ok("exec", "benign", "sh", "-c", "cp /bin/busybox /tmp/data; cat /tmp/data >/dev/null; id; ls /");
    assert.ok(!(await stands("audited")) && !(await stands("benign")));
    assert.equal(agent.events.matching((x) => x.outcome === "responded" && ["audited", "benign"].includes(x.container?.name)).length, 0);
  });
});

describe("evidence", { skip }, () => {
  test("is verified; a changed bundle, a changed chain and a bundle of somebody else's show", async () => {
    const fine = await by("evidence", "verify");
    assert.equal(fine.code, 0, fine.stderr);
    assert.match(fine.stdout, /chain is whole, 4 bundles/);
    const dir = join(agent.state, "evidence");
    const [bundle] = JSON.parse(`[${(await by("evidence", "list", "--json")).stdout.trim().replaceAll("\n", ",")}]`).map((b: Event) => b.bundle);
    const whole = readFileSync(join(dir, bundle)), chain = readFileSync(join(dir, "chain"), "utf8");
    const broken = async (what: RegExp) => {
      const r = await by("evidence", "verify");
      assert.equal(r.code, 3);
      assert.match(r.stderr, what);
    };
    const changed = Buffer.from(whole);
    changed[changed.length >> 1] ^= 1;
    writeFileSync(join(dir, bundle), changed);
    await broken(/was changed/);
    writeFileSync(join(dir, bundle), whole);
    writeFileSync(join(dir, "chain"), chain.replace('"reason":"', '"reason":"not '));
    await broken(/chain is broken at line 2/);
    writeFileSync(join(dir, "chain"), chain.split("\n").slice(1).join("\n"));
    await broken(/chain is broken at line 1/);
    writeFileSync(join(dir, "chain"), chain);
    assert.equal((await by("evidence", "verify", bundle)).code, 0);
  });

  test("can be taken by hand from what runs on", async () => {
    const r = await by("evidence", "take", "benign");
    assert.equal(r.code, 0, r.stderr);
    const at = ticks("benign");
    await until("it runs on", () => ticks("benign") > at);
    assert.equal((await by("evidence", "verify", r.stdout.trim())).code, 0);
  });
});

describe("by hand", { skip }, () => {
  test("freeze and release work without an agent", async () => {
    await agent.stop();
    assert.equal((await by("respond", "freeze", "benign")).code, 0);
    assert.ok(await stands("benign"));
    assert.equal((await by("respond", "freeze", "benign")).code, 3); // already
    assert.equal((await by("respond", "release", "benign")).code, 0);
    const at = ticks("benign");
    await until("it runs again", () => ticks("benign") > at);
    assert.match((await by("respond", "release", "benign")).stderr, /nothing is in force/);
    const from = agent.events.mark();
    await agent.start();
    await agent.events.wait("told by the agent", (x) => x.rule === "Response: freeze" && x.container?.name === "benign" && x.user?.via === "command", from);
  });
});

test("one bad rule cannot stop a host: the rate holds, and says so", { skip }, async () => {
  const names = Array.from({ length: 9 }, (_, i) => `stopped-${i}`);
  for (const n of names) await start(n, "--hostname", n, "-v", `${d.dir}:/out`);
  const from = agent.events.mark();
  for (const n of names) await drop(n);
  const e = await agent.events.wait("held back", (x) => x.rule === "Responses held back: too many", from);
  assert.match(e.container.name, /^stopped-/);
  await agent.events.wait("each was an alert", (x) => x.control === "drift" && x.container?.name === "stopped-8", from);
  await until("six are stopped", async () => (await d.ok("ps", "-q", "--filter", "name=stopped-")).split("\n").length === 3);
  assert.equal(agent.events.matching((x) => x.outcome === "responded" && /^stopped-/.test(x.container?.name ?? ""), from).length, 6);
});
