// What the guard takes out of a container's configuration: system calls that were not learned, the 32-bit entry, capabilities.
// Learned and refused by the real kernel under a real engine; the expected numbers are /proc's and seccomp's, not ours.
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Agent, bulkhead, startAgent } from "./lib/bulkhead.ts";
import { type Dockerd, startDockerd } from "./lib/dockerd.ts";
import { Cleanup, needs, program, run, tempDir, until } from "./lib/proc.ts";

const policy = (mode: string, more = "") => `kind: ContainerPolicy
name: work
mode: ${mode}
select: {images: ["*"]}
process: {drift: block}
privilege: {compat: block}
${more}`;
// getpid by the 32-bit entry; 0 when that gave what the 64-bit one gives
const compat = `int main(void) { long r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory"); return r == 1 ? 0 : 3; }
void _start(void) { long r = main(); __asm__ volatile("syscall" : : "a"(231), "D"(r)); }`;

const cleanup = new Cleanup();
const skip = needs("dockerd", "docker", "gcc", "bulkhead", "bulkhead-agent", "bulkhead-runc");
let d: Dockerd, agent: Agent;
const box = (...args: string[]) => d.docker("run", "--rm", "--network", "none", ...args);
/** A fresh policy, in force for containers to come. */
async function inForce(text: string): Promise<void> {
  const from = agent.events.mark();
  agent.policies({ "work.yaml": text });
  agent.reload();
  await agent.events.wait("the policy is in force", (e) => e.type === "policy", from);
}
/** Is this kernel program attached? */
const attached = (name: string) => readdirSync(agent.bpfDir).some((l) => l.startsWith("links-") && existsSync(join(agent.bpfDir, l, name)));

before(async () => {
  if (skip) return;
  d = await startDockerd(cleanup);
  const dir = tempDir(cleanup, "bh-compat-");
  const made = await run("gcc", ["-static", "-nostdlib", "-O1", "-x", "c", "-o", join(dir, "compat"), "-"], { input: compat });
  assert.equal(made.code, 0, made.stderr);
  await d.busybox("work:1", { files: { "bin/compat": readFileSync(join(dir, "compat")) } });
  agent = await startAgent(cleanup, { dockerd: d, args: ["--learn-starts", "2", "--learn-time", "2s"], policies: { "work.yaml": policy("learn") } });
  const r = await agent.run("engine", "enable", "--config", d.configFile, "--state", agent.state, "--engine", d.url, "--pidfile", d.pidFile,
    "--authz-socket", agent.socket, "--bpf-dir", agent.bpfDir, "--guard", program("bulkhead-runc"));
  assert.equal(r.code, 0, r.stderr + agent.daemon?.log());
});
after(() => cleanup.run());

test("system calls are learned, by name, each once", { skip }, async () => {
  const work = ["sh", "-c", "mkdir /tmp/a && ls /tmp && cat /proc/self/status > /dev/null && compat"];
  const profile = await until("a stable profile", async () => {
    const ran = await box("work:1", ...work);
    assert.equal(ran.code, 0, ran.stderr);
    const r = await bulkhead(["profile", "show", "work:1", "--state", agent.state, "--json"]);
    const p = r.code === 0 ? JSON.parse(r.stdout) : undefined;
    return p?.stable ? p : undefined;
  }, 60000);
  for (const made of ["mkdir", "getdents64", "execve"]) assert.ok(profile.syscalls.includes(made), `${made} in ${profile.syscalls}`);
  for (const never of ["symlink", "chroot", "mount", "unshare"]) assert.ok(!profile.syscalls.includes(never), never);
  assert.equal(new Set(profile.syscalls).size, profile.syscalls.length);
  const seccomp = JSON.parse((await bulkhead(["profile", "export", "work:1", "--state", agent.state, "--format", "seccomp"])).stdout);
  assert.equal(seccomp.defaultAction, "SCMP_ACT_ERRNO");
});

test("enforced: what was learned works, what was not is refused by the kernel, under the engine's filter and without one", { skip }, async () => {
  await inForce(policy("enforce", "syscalls: {profile: learned}\n"));
  for (const filter of [[], ["--security-opt", "seccomp=unconfined"], ["--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE", "--security-opt", "seccomp=unconfined"]]) {
    const twin = await box(...filter, "work:1", "sh", "-c", "mkdir /tmp/a && ls /tmp");
    assert.equal(twin.code, 0, `${filter} ${twin.stderr}`);
    assert.equal(twin.stdout.trim(), "a");
    const r = await box(...filter, "work:1", "sh", "-c", "busybox ln -s /etc/passwd /tmp/l; ls /tmp");
    assert.match(r.stderr, /ln: .*Operation not permitted/, filter.join(" "));
    assert.equal(r.stdout.trim(), "");
    assert.match((await box(...filter, "work:1", "cat", "/proc/self/status")).stdout, /^Seccomp:\t2$/m);
  }
});

test("docker exec is under the same filter", { skip }, async () => {
  await d.ok("run", "-d", "-i", "--network", "none", "--name", "long", "work:1", "cat");
  assert.match((await d.docker("exec", "long", "busybox", "ln", "-s", "/etc", "/tmp/l")).stderr, /Operation not permitted/);
  assert.equal((await d.docker("exec", "long", "mkdir", "/tmp/b")).code, 0);
});

test("the 32-bit entry is closed at the start: a call by it ends the process, and nothing watches the entry any more", { skip }, async () => {
  assert.equal((await box("work:1", "compat")).code, 128 + 31, "SIGSYS");
  await until("the raw entry is left alone", () => !attached("compat_enter"), 20000); // `long` runs, sealed
  await inForce(policy("audit"));
  assert.equal((await box("work:1", "compat")).code, 0, "audit takes nothing away");
  await d.ok("run", "-d", "-i", "--network", "none", "--name", "open", "work:1", "cat");
  await until("the raw entry is watched", () => attached("compat_enter") || !existsSync(join(agent.bpfDir)), 20000);
  await d.ok("rm", "-f", "open");
});

test("capabilities that the policy does not name are gone from every set", { skip }, async () => {
  await inForce(policy("enforce", "").replace("compat: block", "compat: block, capabilities: [CHOWN, KILL]"));
  for (const more of [[], ["--privileged"]]) {
    const status = (await box(...more, "work:1", "cat", "/proc/self/status")).stdout;
    for (const set of ["CapPrm", "CapEff", "CapBnd"]) assert.match(status, new RegExp(`^${set}:\t0000000000000021$`, "m")); // bits 0 and 5
  }
  await d.ok("run", "-d", "--network", "none", "--name", "joined", "work:1", "sleep", "1000");
  const exec = await d.ok("exec", "--privileged", "joined", "cat", "/proc/self/status");
  assert.match(exec, /^CapEff:\t0000000000000021$/m, "an exec that asks for all");
});

test("what cannot be put into force is told, and the container runs", { skip }, async () => {
  await inForce(policy("enforce", "syscalls: {profile: /nonexistent/filter.json}\n"));
  const from = agent.events.mark();
  assert.equal((await box("work:1", "true")).code, 0);
  const e = await agent.events.wait("the alert", (x) => x.rule === "Policy not in the container's configuration", from);
  assert.match(e.detail.reason, /syscalls\.profile .*filter\.json/);
  assert.equal(e.level, "detect");
});
