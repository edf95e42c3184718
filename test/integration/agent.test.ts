// The agent on a private engine: what the kernel does arrives as an event that says who, what and by which rule; learning,
// audit and enforcement; nothing is forgotten over kill -9. Every event is held against api/event.schema.json.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { type Agent, bulkhead, startAgent } from "./lib/bulkhead.ts";
import { type Dockerd, startDockerd } from "./lib/dockerd.ts";
import type { Event } from "./lib/events.ts";
import { Cleanup, needs, top, until } from "./lib/proc.ts";

const skip = needs("dockerd", "docker", "bulkhead-agent");
const cleanup = new Cleanup();
let d: Dockerd, agent: Agent;

const policy = (name: string, mode: string, image: string, process: string) =>
  `kind: ContainerPolicy\nname: ${name}\nmode: ${mode}\nselect: {images: ["${image}"]}\nprocess: {${process}}\n`;
const drop = "cp /bin/busybox /tmp/evil; /tmp/evil id; exit $?"; // exit: the shell stays the parent
const drift = (e: Event) => e.control === "drift";
const status = () => JSON.parse(readFileSync(join(agent.state, "status.json"), "utf8"));
const inForce = (name: string) => status().containers.find((c: Event) => c.name === name);

before(async () => {
  if (skip) return;
  d = await startDockerd(cleanup);
  for (const image of ["web:1", "watched:1", "learnt:1"]) await d.busybox(image, { files: { id: image } });
  await d.ok("run", "-d", "--name", "before", "--label", "team=shop", "web:1", "sleep", "1000");
  agent = await startAgent(cleanup, {
    dockerd: d, args: ["--learn-starts", "2", "--learn-time", "2s"],
    policies: {
      "web.yaml": policy("web", "enforce", "web:*", "drift: block, fileless: block"),
      "watched.yaml": policy("watched", "audit", "watched:*", "drift: block"),
      "learnt.yaml": policy("learnt", "learn", "learnt:*", "drift: block"),
    },
  });
});
after(() => cleanup.run());

describe("enforcement", { skip }, () => {
  test("a container from before the agent is under its policy, with name, image and labels", async () => {
    const from = agent.events.mark();
    assert.equal((await d.docker("exec", "before", "sh", "-c", drop)).code, 137);
    const e = await agent.events.wait("drift", (x) => drift(x) && x.container?.name === "before", from);
    const id = await d.ok("inspect", "-f", "{{.Id}} {{.Image}}", "before");
    assert.equal(`${e.container.id} ${e.container.image_id}`, id);
    assert.equal(e.container.image, "web:1");
    assert.deepEqual(e.container.labels, { team: "shop" });
    assert.equal(e.rule, "Drop and execute");
    assert.equal(e.action, "block");
    assert.ok((e.level === "kill" && e.outcome === "killed") || (e.level === "block" && e.outcome === "prevented"), JSON.stringify(e));
    assert.deepEqual(e.process.args, ["/tmp/evil", "id"]);
    assert.equal(e.process.exe, "/tmp/evil");
    assert.ok(e.process.parents.some((p: Event) => p.exe === "/bin/busybox"));
    assert.deepEqual(e.policy, { name: "web", revision: 0 });
    assert.equal(e.user?.via, "docker-exec");
    assert.equal(e.detail.would, undefined);
    assert.equal(e.detail.file.flags[0], "upper");
  });

  test("a container whose first program is dropped lives for milliseconds and is named", async () => {
    const from = agent.events.mark();
    const id = await d.ok("create", "--name", "blink", "web:1", "/evil");
    await d.ok("cp", "/bin/busybox", "blink:/evil");
    await d.docker("start", "-a", "blink");
    const s = JSON.parse(await d.ok("inspect", "-f", "{{json .State}}", "blink"));
    await d.ok("rm", "blink");
    const e = await agent.events.wait("drift of blink", (x) => drift(x) && x.container?.id === id, from);
    assert.equal(e.container.name, "blink");
    assert.equal(e.container.image, "web:1");
    assert.match(e.container.image_id, /^sha256:/);
    assert.notEqual(s.ExitCode, 0);
    assert.equal(e.user, null);
    assert.equal(e.policy.name, "web");
  });

  test("removed as it dies (--rm): still named", async () => {
    const from = agent.events.mark();
    await d.docker("run", "--rm", "--name", "gone", "web:1", "sh", "-c", "cp /bin/busybox /e; exec /e true");
    const e = await agent.events.wait("drift of gone", (x) => drift(x) && x.container?.name === "gone", from);
    assert.equal(e.container.image, "web:1");
    assert.match(e.container.image_id, /^sha256:/);
  });

  test("benign twin: what is in the image runs, and is not told", async () => {
    const from = agent.events.mark();
    const id = await d.ok("run", "-d", "--name", "benign", "web:1", "sh", "-c", "ls / && cat /etc/passwd && id && sleep 1000");
    await until("output", async () => (await d.ok("logs", "benign")).includes("uid=0"));
    assert.equal((await d.docker("exec", "benign", "sh", "-c", drop)).code, 137); /* a later event, to wait for */
    await agent.events.wait("marker", (x) => drift(x) && x.container?.id === id, from);
    const mine = agent.events.matching((x) => x.container?.id === id, from);
    assert.equal(mine.length, 1, JSON.stringify(mine));
  });
});

describe("modes", { skip }, () => {
  test("audit does nothing, and says what enforce would have done", async () => {
    const from = agent.events.mark();
    const r = await d.docker("run", "--rm", "--name", "seen", "watched:1", "sh", "-c", "cp /bin/busybox /tmp/busybox; /tmp/busybox id");
    assert.equal(r.code, 0);
    assert.match(r.stdout, /uid=0/);
    const e = await agent.events.wait("drift", (x) => drift(x) && x.container?.name === "seen", from);
    assert.equal(e.outcome, "detected");
    assert.equal(e.level, "detect");
    assert.equal(e.action, "block");
    assert.deepEqual(e.detail.would, { action: "block", level: status().tier === "lsm" ? "block" : "kill" });
    assert.equal(e.detail.mode, "audit");
  });

  test("learn until stable, then enforce what was learned", async () => {
    const from = agent.events.mark();
    const run = (...args: string[]) => d.docker("run", "--rm", "--name", "pupil", "learnt:1", ...args);
    for (let i = 0; i < 3; i++) assert.equal((await run("sh", "-c", "ls / >/dev/null; cp /bin/busybox /tmp/busybox; /tmp/busybox true")).code, 0);
    await agent.events.wait("stable", (x) => x.type === "profile" && x.detail.image === "learnt:1" && x.detail.stable === true, from, 20000);
    const [file] = readdirSync(join(agent.state, "profiles"));
    const profile = JSON.parse(readFileSync(join(agent.state, "profiles", file), "utf8"));
    assert.deepEqual(profile.executables.map((x: Event) => x.path), ["/bin/busybox"]); // what was dropped is never learned
    assert.equal(profile.executables[0].where, "image");
    const again = agent.events.mark();
    agent.policies({ "learnt.yaml": policy("learnt", "enforce", "learnt:*", "drift: alert") });
    await agent.events.wait("new set", (x) => x.type === "policy" && x.rule === "Policies changed", again);
    assert.equal((await run("ls", "/")).code, 0); // learned
    await d.ok("create", "--name", "stranger", "learnt:1", "/id");
    const id = await d.ok("inspect", "-f", "{{.Id}}", "stranger");
    await d.docker("start", "-a", "stranger");
    const other = await d.docker("run", "--rm", "--name", "copy", "learnt:1", "sh", "-c", "cp /bin/busybox /tmp/x; /tmp/x id");
    assert.equal(other.code, 137); // drift only alerts here: it is the profile that does not know /tmp/x
    const e = await agent.events.wait("outside of the profile", (x) => x.control === "process.allow" && x.container?.name === "copy", again);
    assert.equal(e.rule, "Program outside of the learned profile");
    assert.notEqual(e.outcome, "detected");
    assert.notEqual(id, "");
  });

  test("bulkhead profile export writes a policy that loads", { skip: needs("bulkhead") }, async () => {
    const [file] = readdirSync(join(agent.state, "profiles"));
    const out = await bulkhead(["profile", "export", "--state", agent.state, `sha256:${file.replace(".json", "")}`]);
    assert.equal(out.code, 0, out.stderr);
    assert.match(out.stdout, /allow:\n {4}- "\/bin\/busybox"/);
    const yaml = join(agent.dir, "exported.yaml");
    writeFileSync(yaml, out.stdout);
    const check = await bulkhead(["policy", "check", yaml]);
    assert.equal(check.code, 0, check.stderr + check.stdout);
    const shown = await bulkhead(["profile", "show", "--state", agent.state, "learnt:1"]);
    assert.match(shown.stdout, /\/bin\/busybox/);
  });

  test("a bad set keeps the old one, and is told", async () => {
    const from = agent.events.mark();
    agent.policies({ "learnt.yaml": "kind: [" });
    const e = await agent.events.wait("refused", (x) => x.type === "policy" && x.action === "alert", from);
    assert.match(e.detail.error, /learnt\.yaml/);
    assert.equal((await d.docker("exec", "before", "sh", "-c", drop)).code, 137);
    agent.policies({ "learnt.yaml": policy("learnt", "audit", "learnt:*", "drift: alert") });
    await agent.events.wait("good again", (x) => x.type === "policy" && x.rule === "Policies changed", from);
  });
});

describe("what is in force", { skip }, () => {
  test("is told per container and control, with the reason why not more", async () => {
    await until("status", () => inForce("before")?.policy.name === "web");
    const c = inForce("before");
    assert.equal(c.policy.mode, "enforce");
    assert.equal(c.controls.drift.action, "block");
    assert.ok(["kill", "block"].includes(c.controls.drift.level));
    await d.ok("run", "-d", "--name", "audited", "watched:1", "sleep", "1000");
    const a = await until("status of audited", () => inForce("audited"));
    assert.equal(a.controls.drift.level, "detect");
    assert.match(a.controls.drift.reason, /audits/);
  });

  test("doctor proves each control by trying it", async () => {
    const from = agent.events.mark();
    const r = await agent.run("doctor", "--json", "--engine", d.url, "--bpf-dir", agent.bpfDir);
    const report = JSON.parse(r.stdout);
    assert.equal(r.code, report.ok ? 0 : 3);
    const row = report.controls.find((c: Event) => c.control === "drift");
    assert.ok(row.proof.length > 10);
    // Each one did its work on a child of doctor's own; scripts are only telemetry where there is no BPF LSM.
    const unproven = report.controls.filter((c: Event) => !c.proven && !/^attached; not tried: (this kernel has no |only a kernel exploit)/.test(c.proof) && !(c.control === "scripts" && report.tier === "trace"));
    assert.deepEqual(unproven, []);
    const strangers = agent.events.matching((e) => e.container && e.control === "drift" && !e.container.name, from);
    assert.deepEqual(strangers, [], "the agent in force takes no notice of doctor's child");
    assert.equal(report.in_force, true);
    assert.ok(report.facts.some((f: Event) => /^engine unix/.test(f.name) && /docker/.test(f.value)));
  });
});

describe("kill -9", { skip }, () => {
  test("enforcement stays, and the next agent takes over without forgetting", async () => {
    const highest = Math.max(...agent.events.read().map((e) => e.seq));
    await agent.daemon?.kill();
    assert.equal((await d.docker("exec", "before", "sh", "-c", drop)).code, 137);
    await d.ok("run", "-d", "--name", "meanwhile", "web:1", "sleep", "1000"); // nobody could give it its policy: host default
    const from = agent.events.mark();
    await agent.start();
    const started = await agent.events.wait("started", (x) => x.type === "agent", from);
    assert.equal(started.detail.took_over, true);
    await agent.events.wait("what happened meanwhile", (x) => drift(x) && x.container?.name === "before", from);
    assert.equal((await d.docker("exec", "meanwhile", "sh", "-c", drop)).code, 137);
    const e = await agent.events.wait("drift in meanwhile", (x) => drift(x) && x.container?.name === "meanwhile" && x.outcome !== "detected", from);
    assert.equal(e.policy.name, "web");
    const seqs = agent.events.read().map((x) => x.seq);
    assert.equal(new Set(seqs).size, seqs.length);
    assert.ok(started.seq > highest);
  });

  test("memory: anonymous and private dirty stay below 25 MB", (t) => {
    const text = readFileSync(`/proc/${agent.daemon?.pid}/smaps_rollup`, "utf8");
    const kb = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1]);
    t.diagnostic(`anonymous ${kb("Anonymous")} kB, private dirty ${kb("Private_Dirty")} kB`);
    assert.ok(Math.max(kb("Anonymous"), kb("Private_Dirty")) < 25 * 1024);
  });

  test("remove takes everything out of the kernel", async () => {
    await agent.stop();
    assert.ok(existsSync(agent.bpfDir));
    assert.equal((await d.docker("exec", "before", "sh", "-c", drop)).code, 137); // stopped is not removed
    const r = await agent.run("remove", "--bpf-dir", agent.bpfDir);
    assert.equal(r.code, 0, r.stderr);
    assert.notEqual((await d.docker("exec", "before", "sh", "-c", drop)).code, 137);
  });
});

describe("events", { skip }, () => {
  test("all of them are what the schema says, and outcome fits level", () => {
    const ajv = new Ajv2020({ strict: false, allErrors: true });
    (addFormats as unknown as (a: Ajv2020) => void)(ajv);
    const valid = ajv.compile(JSON.parse(readFileSync(join(top, "api/event.schema.json"), "utf8")));
    const all = agent.events.read();
    assert.ok(all.length > 10);
    for (const e of all) {
      assert.ok(valid(e), `${JSON.stringify(valid.errors)}\n${JSON.stringify(e)}`);
      if (e.outcome === "prevented") assert.equal(e.level, "block");
      if (e.outcome === "killed") assert.equal(e.level, "kill");
      if (["exec", "mmap"].includes(e.type)) assert.notEqual(e.action, "off");
    }
  });
});
