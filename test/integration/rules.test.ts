// Detection rules on a real engine: the shipped rules against real attacks and their benign twins, a user's rule file in Falco's
// language, counts, folding into incidents, and the same history replayed.
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Agent, bulkhead, startAgent } from "./lib/bulkhead.ts";
import { type Dockerd, startDockerd } from "./lib/dockerd.ts";
import type { Event } from "./lib/events.ts";
import { Cleanup, needs, program, run, top, until } from "./lib/proc.ts";

const cleanup = new Cleanup();
const skip = needs("dockerd", "docker", "bulkhead-agent");
let d: Dockerd, agent: Agent;

const mine = `
- macro: spawned
  condition: (evt.type in (execve, execveat) and evt.dir=<)
- list: seen
  items: [head, '"touch"']
- rule: Mine
  desc: a rule of the user, in the language of Falco
  condition: spawned and container.id != host and proc.name in (seen) and container.image.repository = work
  output: Mine (%proc.cmdline in %container.name, %container.image.repository:%container.image.tag)
  priority: NOTICE
  tags: [T1082]
  exceptions:
    - name: wanted
      fields: [proc.name, proc.args]
      comps: [=, startswith]
      values: [[head, /etc/hostname]]
- rule: Port scan in a loop
  desc: a count of ours
  condition: evt.type = connect and container.id != host
  count: {at_least: 6, distinct: fd.sport}
  within: 60s
  output: scan of %fd.sip
  priority: WARNING
`;

// Without a shell in between where the first word is a program: busybox runs many of its own without starting them.
const exec = (script: string) => d.docker("exec", "work", ...(script.startsWith("sh ") ? ["sh", "-c", script.slice(3)] : script.split(" ")));
/** All that was done before this was told. */
async function later(from: number): Promise<void> {
  const mark = `/tmp/m${Math.random()}`;
  await exec(`ls ${mark}`);
  await agent.events.wait("a later event", (e) => e.type === "exec" && e.process.args.includes(mark), from);
}
const ruled = (name: string) => (e: Event) => e.control === "rules" && e.rule === name && e.container?.name === "work";
const alert = (name: string, from: number) => agent.events.wait(name, ruled(name), from);

before(async () => {
  if (skip) return;
  d = await startDockerd(cleanup);
  await d.busybox("work:1");
  await d.ok("run", "-d", "--name", "work", "work:1", "sleep", "10000");
  const file = join(d.dir, "mine.yaml");
  writeFileSync(file, mine);
  agent = await startAgent(cleanup, {
    dockerd: d, args: ["--rules", file, "--telemetry"],
    policies: { "all.yaml": 'kind: ContainerPolicy\nname: quiet\nmode: audit\nselect: {images: ["*"]}\nprocess: {drift: off}\n' },
  });
});
after(() => cleanup.run());

/** [rule, attack, benign twin] */
const attacks: [string, string, string][] = [
  ["Network tool hands a shell to the network", "nc -e /bin/sh 127.0.0.1 4444", "nc -w 1 127.0.0.1 4444"],
  ["Shell connects itself through /dev/tcp", "sh sh -i >& /dev/tcp/127.0.0.1/4444 0>&1", "sh true /dev/tcp/127.0.0.1/80"],
  ["Coin miner", "wget -q -O /dev/null --header --donate-level http://127.0.0.1:1", "wget -q -O /dev/null http://127.0.0.1:1"],
  ["Account files changed by a shell", "sh echo x:x:0:0::/:/bin/sh >>/etc/passwd", "sh cat /etc/passwd >/tmp/copy"],
  ["Kernel hook of the host written", "sh echo /x >/tmp/release_agent", "sh cat /tmp/release_agent"],
  ["Set-uid bit given", "chmod u+s /bin/busybox", "chmod u+x /bin/busybox"],
  ["Password hashes read by a command", "cat /etc/shadow", "cat /etc/passwd"],
  ["History or logs wiped", "rm -f /root/.bash_history", "rm -f /root/.cache"],
  ["Hidden program in a scratch folder", "sh cp /bin/busybox /tmp/.x; /tmp/.x true", "sh cp /bin/busybox /tmp/x; /tmp/x true"],
];

describe("detection rules", { skip }, () => {
  for (const [rule, attack, twin] of attacks)
    test(rule, async () => {
      const before = agent.events.mark();
      await exec(twin);
      await later(before);
      assert.deepEqual(agent.events.matching(ruled(rule), before), [], "the benign twin");
      const from = agent.events.mark();
      await exec(attack);
      const e = await alert(rule, from);
      assert.equal(e.action, "alert");
      assert.equal(e.outcome, "detected");
      assert.equal(e.container.image, "work:1");
      assert.equal(e.user?.via, "docker-exec");
      assert.ok(e.detail.mitre.every((id: string) => /^TA?\d{4}/.test(id)) && e.detail.mitre.length > 0);
      assert.ok(e.detail.message && e.detail.reason && e.detail.advice);
      assert.equal(e.detail.cause.kind, "exec-session");
      assert.deepEqual(e.detail.cause.process.args, e.process.args);
      assert.ok(e.process.parents.length > 0);
    });

  test("a rule of the user, with its exception", async () => {
    const from = agent.events.mark();
    await exec("head /etc/hostname");
    await exec("touch /tmp/a");
    const e = await agent.events.wait("Mine touch", (x) => ruled("Mine")(x) && x.process.args[0] === "touch", from);
    assert.equal(e.severity, "low");
    assert.equal(e.detail.message, "Mine (touch /tmp/a in work, work:1)");
    assert.ok(!agent.events.matching((x) => ruled("Mine")(x) && x.process.args[1] === "/etc/hostname", from).length);
  });

  test("a count over time", async () => {
    const from = agent.events.mark();
    await exec("sh for p in 9001 9002 9003 9004 9005 9006 9007 9008; do nc -w 1 127.0.0.1 $p </dev/null; done; true");
    const e = await alert("Port scan in a loop", from);
    assert.equal(e.detail.counted.count, 6);
    assert.equal(e.detail.message, "scan of 127.0.0.1");
  });

  test("repeats fold into one incident, told with its count at the end; the same history replayed finds the same", async () => {
    const from = agent.events.mark();
    for (let i = 0; i < 3; i++) await exec(`nc -e /bin/sh 127.0.0.1 ${5000 + i}`);
    await later(from);
    await agent.stop();
    const all = agent.events.matching(ruled("Network tool hands a shell to the network"));
    assert.equal(new Set(all.map((e) => e.detail.incident.id)).size, 1);
    assert.equal(all.length, 2, "the first at once, the count at the end");
    assert.equal(all.at(-1)!.detail.incident.count, 4);

    const replay = await bulkhead(["rules", "test", "--json", "--events", agent.events.path, join(top, "rules")]);
    assert.equal(replay.code, 1, replay.stderr);
    const again = replay.stdout.trim().split("\n").map((l) => JSON.parse(l) as Event);
    for (const [rule] of attacks) assert.ok(again.some((a) => a.rule === rule), `${rule} in the replay`);
  });
});

test("the shipped rules have no mistakes and nothing in them is not here", { skip: existsSync(program("bulkhead")) ? false : "needs bulkhead" }, async () => {
  const r = await bulkhead(["rules", "check", "--json", join(top, "rules")]);
  assert.equal(r.code, 0, r.stdout);
  assert.deepEqual(JSON.parse(r.stdout).notices, []);
  const list = JSON.parse((await bulkhead(["rules", "list", "--json", join(top, "rules")])).stdout);
  for (const rule of list) {
    assert.ok(rule.mitre.length > 0, `${rule.name}: MITRE ids`);
    assert.ok(rule.advice && rule.false_alarms && rule.description, rule.name);
  }
});

/** What was learned, in the words of others, taken by these others. */
test("a learned profile, exported: seccomp by the engine itself, AppArmor by its parser, a policy by our own check", { skip }, async (t) => {
  await agent.stop(); // one agent an engine
  const learning = await startAgent(cleanup, {
    dockerd: d, args: ["--learn-starts", "1", "--learn-time", "1s"],
    policies: { "learn.yaml": 'kind: ContainerPolicy\nname: learn\nmode: learn\nselect: {images: ["*"]}\nprocess: {drift: alert}\n' },
  });
  const script = "cat /etc/passwd; nc -w 1 127.0.0.1 4321; nc -e /bin/sh 127.0.0.1 4444; head -c 1 /etc/passwd";
  for (const name of ["one", "two"]) await d.ok("run", "--name", name, "work:1", "sh", "-c", `${script}; true`);
  const out = (format: string) => bulkhead(["profile", "export", "work:1", "--state", learning.state, "--format", format, "--mode", "enforce"]);
  const profile = await until("the profile", async () => {
    const r = await bulkhead(["profile", "show", "work:1", "--state", learning.state, "--json"]);
    const p = r.code === 0 ? JSON.parse(r.stdout) : undefined;
    return p?.starts >= 2 && p.peers.length ? p : undefined;
  });
  assert.deepEqual(profile.peers.map((p: Event) => `${p.direction} ${p.address}:${p.port}`).filter((p: string) => p.endsWith(":4321")), ["egress 127.0.0.1:4321"]);
  assert.ok(profile.executables.some((x: Event) => x.path === "/bin/busybox"));

  const policy = join(learning.dir, "policy.yaml");
  writeFileSync(policy, (await out("policy")).stdout);
  const checked = await bulkhead(["policy", "check", policy]);
  assert.equal(checked.code, 0, checked.stderr);

  const seccomp = join(learning.dir, "seccomp.json");
  writeFileSync(seccomp, (await out("seccomp")).stdout);
  const bare = ["run", "--rm", "--cap-add", "SYS_ADMIN", "--security-opt", "apparmor=unconfined"];
  const mount = ["work:1", "mount", "-t", "tmpfs", "none", "/tmp"];
  const free = await d.docker(...bare, "--security-opt", "seccomp=unconfined", ...mount);
  assert.equal(free.code, 0, free.stderr);
  const held = await d.docker(...bare, "--security-opt", `seccomp=${seccomp}`, ...mount);
  assert.notEqual(held.code, 0);
  assert.match(held.stderr, /denied|not permitted/);
  await d.ok("run", "--rm", "--security-opt", `seccomp=${seccomp}`, "work:1", "sh", "-c", "cat /etc/passwd && wget -q -O /dev/null http://127.0.0.1:1 || true");

  const net = (await out("networkpolicy")).stdout;
  assert.match(net, /kind: NetworkPolicy/);
  assert.doesNotMatch(net, /127\.0\.0\.1/, "a pod's own loopback is no peer");
  const apparmor = join(learning.dir, "apparmor");
  writeFileSync(apparmor, (await out("apparmor")).stdout);
  const why = needs("apparmor_parser");
  if (why) return t.diagnostic(`skipped: ${why}`);
  const parsed = await run("apparmor_parser", ["-Q", "-K", apparmor]);
  assert.equal(parsed.code, 0, parsed.stderr);
});
