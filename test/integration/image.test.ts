// The images of packaging/oci: the agent in a container, with the capabilities that packaging/kubernetes and README name and
// no others, protects the other containers of its host; the console runs as an ordinary user with none at all.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { parseAllDocuments } from "yaml";
import { type Dockerd, startDockerd } from "./lib/dockerd.ts";
import { EventFile } from "./lib/events.ts";
import { Cleanup, needs, program, run, tempDir, top, until } from "./lib/proc.ts";

const cleanup = new Cleanup();
const skip = needs("dockerd", "docker", "bulkhead-agent");
type Daemonset = { kind: string; spec: { template: { spec: { hostPID: boolean; containers: { args: string[]; securityContext: { privileged?: boolean; readOnlyRootFilesystem: boolean; capabilities: { add: string[]; drop: string[] } }; volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[] }[]; volumes: { name: string; hostPath?: { path: string } }[] } } } };
let d: Dockerd, dir: string, daemonset: Daemonset, events: EventFile;

before(async () => {
  if (skip) return;
  dir = tempDir(cleanup, "bh-image-test-");
  d = await startDockerd(cleanup);
  const r = await run("sh", [join(top, "packaging/oci/build")], { env: { ...process.env, BULKHEAD_BUILD: join(program("bulkhead"), "../../.."), OUT: dir }, timeout: 120000 });
  assert.equal(r.code, 0, r.stderr);
  for (const image of ["bulkhead-agent", "bulkhead-console"]) {
    await d.ok("load", "-q", "-i", join(dir, `${image}.tar`));
    await d.ok("tag", `${image}:${(await run(program("bulkhead"), ["--version"])).stdout.trim().split(" ")[1]}`, `${image}:test`);
  }
  await d.busybox("web:1");
  daemonset = parseAllDocuments(readFileSync(join(top, "packaging/kubernetes/agent.yaml"), "utf8")).map((x) => x.toJS()).find((x) => x.kind === "DaemonSet");
});
after(() => cleanup.run());

test("the agent's image with exactly the manifest's rights stops drift in another container", { skip }, async () => {
  const spec = daemonset.spec.template.spec, c = spec.containers[0]!, security = c.securityContext;
  assert.ok(!security.privileged && security.readOnlyRootFilesystem && spec.hostPID);
  assert.deepEqual(security.capabilities.drop, ["ALL"]);
  const bpf = `/sys/fs/bpf/${basename(dir)}`, state = join(dir, "state"), policies = join(dir, "policies");
  for (const p of [state, policies]) mkdirSync(p);
  writeFileSync(join(policies, "web.yaml"), 'kind: ContainerPolicy\nname: web\nmode: enforce\nselect: {images: ["web:*"]}\nprocess: {drift: block}\n');
  events = new EventFile(join(state, "events.jsonl"));
  cleanup.add("kernel programs", async () => { await run(program("bulkhead-agent"), ["remove", "--bpf-dir", bpf]); });
  // the manifest's mounts, with this test's own folders in the place of the host's
  const own: Record<string, string> = { "/var/lib/bulkhead": state, "/etc/bulkhead/policies": policies, "/run": dirname(d.socket) };
  const mounts = c.volumeMounts.flatMap((m) => {
    const host = own[m.mountPath] ?? spec.volumes.find((v) => v.name === m.name)?.hostPath?.path;
    return host ? ["-v", `${host}:${m.mountPath}${m.readOnly ? ":ro" : ""}`] : [];
  });
  await d.ok("run", "-d", "--name", "agent", "--pid", "host", "--network", "none", "--cgroupns", "host", "--read-only", "--tmpfs", "/tmp", 
    "--security-opt", "no-new-privileges", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--cap-drop", "ALL", ...security.capabilities.add.flatMap((x) => ["--cap-add", x]), ...mounts,
    "bulkhead-agent:test", ...c.args, "--bpf-dir", bpf, "--events", "/var/lib/bulkhead/events.jsonl", "--authz-socket", "/run/plugins/bulkhead.sock", "--no-scan");
  await until("the agent is ready", async () => {
    const logs = await d.docker("logs", "agent");
    assert.equal(await d.ok("inspect", "-f", "{{.State.Running}}", "agent"), "true", logs.stdout + logs.stderr);
    return /"ready"|ready/.test(logs.stdout + logs.stderr);
  }, 30000);
  const from = events.mark();
  const r = await d.docker("run", "--name", "victim", "--network", "none", "web:1", "sh", "-c", "cp /bin/busybox /tmp/evil; /tmp/evil id; exit $?");
  assert.equal(r.code, 137, r.stdout + r.stderr + (await d.docker("logs", "agent")).stderr);
  assert.doesNotMatch(r.stdout, /uid=/);
  const e = await events.wait("drift", (x) => x.control === "drift", from);
  assert.equal(e.container.name, "victim");
  assert.equal(e.container.image, "web:1");
  assert.equal((await d.docker("run", "--rm", "--network", "none", "web:1", "busybox", "id")).code, 0, "its benign twin runs");
});

test("the console's image runs as an ordinary user, without capabilities, on a read-only root", { skip }, async () => {
  const state = join(dir, "console");
  mkdirSync(state);
  await run("chown", ["64535:64535", state]);
  await d.ok("run", "-d", "--name", "console", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
    "-v", `${state}:/var/lib/bulkhead`, "bulkhead-console:test", "--state", "/var/lib/bulkhead", "--listen", "127.0.0.1:8443", "--listen-agents", "127.0.0.1:8444", "--admin-password-file", "/var/lib/bulkhead/admin.password");
  await until("the console is ready", async () => /ready|listen/.test((await d.docker("logs", "console")).stdout), 30000);
  assert.equal(await d.ok("inspect", "-f", "{{.State.Running}} {{.Config.User}}", "console"), "true 64535");
  assert.match(readFileSync(join(state, "ca.pem"), "utf8"), /BEGIN CERTIFICATE/);
});
