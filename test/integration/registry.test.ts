// bulkhead scan registry: against real registries: what it finds is what dpkg finds, with and without TLS and login, and
// a transfer that breaks off goes on. sbom: reads back what the reports say.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Cleanup, Daemon, needs, program, run, tempDir } from "./lib/proc.ts";

const cleanup = new Cleanup();
const skip = needs("docker-registry", "htpasswd", "skopeo", "umoci", "openssl", "dpkg-query", "bulkhead");
let dir = "", want: string[] = [];

async function ok(cmd: string, ...args: string[]): Promise<string> {
  const r = await run(cmd, args, { timeout: 60000, env: { ...process.env, HOME: dir } });
  assert.equal(r.code, 0, `${cmd} ${args.join(" ")}: ${r.stderr}${r.stdout}`);
  return r.stdout;
}
const scan = (...args: string[]) => run(program("bulkhead"), ["scan", ...args, "--no-cache", "--quiet", "--format", "tsv"], { env: { ...process.env, HOME: dir, DOCKER_CONFIG: join(dir, "none") } });
const debs = (text: string) => text.split("\n").filter((r) => r.startsWith("deb\t")).map((r) => r.split("\t").slice(1, 3).join(" ")).sort();

async function freePort(): Promise<number> {
  const s = createServer();
  await new Promise<void>((done) => s.listen(0, "127.0.0.1", done));
  const { port } = s.address() as AddressInfo;
  await new Promise((done) => s.close(done));
  return port;
}

async function registry(name: string, tls: boolean, auth: boolean): Promise<number> {
  const port = await freePort(), at = join(dir, name);
  mkdirSync(at);
  writeFileSync(join(at, "config.yml"), `version: 0.1
storage: {filesystem: {rootdirectory: ${at}/store}}
http:
  addr: 127.0.0.1:${port}
  secret: x
${tls ? `  tls: {certificate: ${dir}/server.pem, key: ${dir}/server.key}\n` : ""}${auth ? `auth: {htpasswd: {realm: test, path: ${dir}/htpasswd}}\n` : ""}`);
  const d = new Daemon(name, "docker-registry", ["serve", join(at, "config.yml")], join(at, "out"), join(at, "err"));
  cleanup.add(name, () => d.stop());
  await d.ready("registry answers", () => new Promise((done) => {
    const c = connect(port, "127.0.0.1", () => { c.destroy(); done(true); });
    c.on("error", () => done(false));
  }));
  return port;
}

before(async () => {
  if (skip) return;
  dir = tempDir(cleanup, "bh-registry-test-");
  const root = join(dir, "root"), oci = join(dir, "oci"), ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  mkdirSync(join(root, "var/lib/dpkg"), { recursive: true });
  mkdirSync(join(root, "usr/lib"), { recursive: true });
  cpSync("/var/lib/dpkg/status", join(root, "var/lib/dpkg/status"));
  cpSync("/usr/lib/os-release", join(root, "usr/lib/os-release"));
  writeFileSync(join(root, "big"), await import("node:crypto").then((c) => c.randomBytes(6 << 20)));
  await ok("tar", "-C", root, "-cf", join(dir, "l.tar"), ".");
  await ok("umoci", "init", "--layout", oci);
  await ok("umoci", "new", "--image", `${oci}:latest`);
  await ok("umoci", "raw", "add-layer", "--image", `${oci}:latest`, "--tag", "latest", join(dir, "l.tar"));
  await ok("openssl", "req", "-x509", ...ec, "-keyout", join(dir, "server.key"), "-out", join(dir, "server.pem"), "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost");
  await ok("htpasswd", "-Bbc", join(dir, "htpasswd"), "alice", "s3cret");
  const out = await ok("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\\n");
  want = out.split("\n").filter((r) => r && !/^(config-files|not-installed) /.test(r)).map((r) => r.replace(/^\S+ /, "")).sort();
});
after(() => cleanup.run());

test("a plain registry on localhost; a transfer that breaks off goes on", { skip }, async () => {
  const port = await registry("plain", false, false);
  await ok("skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false", `oci:${join(dir, "oci")}:latest`, `docker://localhost:${port}/team/app:1`);
  let r = await scan(`registry:localhost:${port}/team/app:1`);
  assert.equal(r.code, 0, r.stderr);
  assert.deepEqual(debs(r.stdout), want);
  const absent = await scan(`registry:localhost:${port}/team/none:1`);
  assert.equal(absent.code, 3);
  assert.match(absent.stderr, /404/);

  let cut = 0; // a wire that breaks after 2 MB, twice
  const wire = createServer((c) => {
    const up = connect(port, "127.0.0.1");
    let seen = 0;
    c.pipe(up);
    up.on("data", (b) => {
      seen += b.length;
      if (seen > 2 << 20 && cut < 2) { cut++; c.destroy(); up.destroy(); } else c.write(b);
    });
    for (const s of [c, up]) s.on("error", () => {}).on("close", () => { c.destroy(); up.destroy(); });
  });
  await new Promise<void>((done) => wire.listen(0, "127.0.0.1", done));
  cleanup.add("wire", () => wire.close());
  r = await scan(`registry:localhost:${(wire.address() as AddressInfo).port}/team/app:1`);
  assert.equal(r.code, 0, r.stderr);
  assert.deepEqual(debs(r.stdout), want);
  assert.equal(cut, 2);
});

test("TLS is verified, and a login is needed", { skip }, async () => {
  const port = await registry("closed", true, true), ref = `registry:localhost:${port}/team/app:1`, ca = join(dir, "server.pem");
  const certs = join(dir, "certs"), auth = join(dir, "config.json");
  mkdirSync(certs);
  cpSync(ca, join(certs, "ca.crt"));
  await ok("skopeo", "--insecure-policy", "copy", "-q", "--dest-cert-dir", certs, "--dest-creds", "alice:s3cret", `oci:${join(dir, "oci")}:latest`, `docker://localhost:${port}/team/app:1`);
  writeFileSync(auth, JSON.stringify({ auths: { [`localhost:${port}`]: { auth: Buffer.from("alice:s3cret").toString("base64") } } }));
  const r = await scan(ref, "--ca", ca, "--auth-file", auth);
  assert.equal(r.code, 0, r.stderr);
  assert.deepEqual(debs(r.stdout), want);
  assert.match((await scan(ref, "--ca", ca)).stderr, /wants a login/);
  assert.match((await scan(ref, "--auth-file", auth)).stderr, /verif/);
  writeFileSync(auth, JSON.stringify({ auths: { [`localhost:${port}`]: { auth: Buffer.from("alice:wrong").toString("base64") } } }));
  assert.match((await scan(ref, "--ca", ca, "--auth-file", auth)).stderr, /not accepted/);
});

test("a bill of materials has the packages of the image", { skip }, async () => {
  for (const format of ["cyclonedx", "spdx"]) {
    const file = join(dir, `${format}.json`);
    await ok(program("bulkhead"), "scan", `oci:${join(dir, "oci")}`, "--format", format, "--output", file, "--quiet", "--no-cache");
    const r = await scan(`sbom:${file}`);
    assert.equal(r.code, 0, r.stderr);
    assert.deepEqual(debs(r.stdout), want, format);
  }
  const bad = join(dir, "bad.json");
  writeFileSync(bad, "{}");
  assert.equal((await scan(`sbom:${bad}`)).code, 3);
});

test("intel goes through a registry: base, nothing new, delta; login; never back, never what is not signed", { skip }, async () => {
  const port = await registry("intel", true, true), at = `oci://localhost:${port}/intel/db:latest`, ca = join(dir, "server.pem");
  const key = join(dir, "k.pem"), pub = join(dir, "k.pub"), mine = join(dir, "mine.db"), auth = join(dir, "intel.json");
  const db = (n: number) => join(dir, `${n}.db`);
  writeFileSync(auth, JSON.stringify({ auths: { [`localhost:${port}`]: { auth: Buffer.from("alice:s3cret").toString("base64") } } }));
  for (const k of [key, join(dir, "other.pem")]) await ok("openssl", "genpkey", "-algorithm", "ed25519", "-out", k);
  await ok("openssl", "pkey", "-in", key, "-pubout", "-out", pub);
  await ok("openssl", "pkey", "-in", join(dir, "other.pem"), "-pubout", "-out", join(dir, "other.pub"));
  const feeds = join(dir, "feeds");
  mkdirSync(feeds);
  const source = (i: number) => [`p${i}`, { [`CVE-2098-${1000 + i}`]: { description: `a flaw, number ${i}`, releases: { bookworm: { status: "resolved", fixed_version: `1.${i}`, urgency: "high" } } } }];
  for (const [n, count] of [[1, 3000], [2, 3010], [3, 3020]] as const) {
    writeFileSync(join(feeds, "tracker.json"), JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, i) => source(i)))));
    await ok(program("bulkhead"), "intel", "build", "--quiet", "--feeds", feeds, "--output", db(n), "--sign", key, "--serial", String(n), "--expires", "2099-01-31");
  }
  const intel = (...args: string[]) => run(program("bulkhead"), ["intel", ...args, "--ca", ca], { timeout: 60000, env: { ...process.env, HOME: dir, DOCKER_CONFIG: join(dir, "none") } });
  const publish = (n: number, ...args: string[]) => intel("publish", "--key", pub, "--to", at, db(n), ...args);
  const update = (...args: string[]) => intel("update", "--key", pub, "--output", mine, at, ...args);
  const same = (n: number) => readFileSync(mine).equals(readFileSync(db(n)));

  assert.match((await publish(1)).stderr, /wants a login/);
  let r = await update("--auth-file", auth);
  assert.equal(r.code, 3);
  assert.match(r.stderr, /404/);
  r = await publish(1, "--auth-file", auth);
  assert.equal(r.code, 0, r.stderr);
  r = await update("--auth-file", auth);
  assert.equal(r.code, 0, r.stderr);
  assert.match(r.stdout, /replaced as a whole/);
  assert.ok(same(1));
  r = await update("--auth-file", auth);
  assert.match(r.stdout, /is up to date \(0 bytes\)/);

  r = await publish(2, "--auth-file", auth); // from another machine: nothing is kept but what the registry has
  assert.equal(r.code, 0, r.stderr);
  r = await publish(3, "--auth-file", auth);
  assert.equal(r.code, 0, r.stderr);
  r = await update("--auth-file", auth);
  assert.match(r.stdout, /updated by a delta/, r.stderr); // over two publications
  assert.ok(same(3));
  r = await publish(2, "--auth-file", auth);
  assert.equal(r.code, 3);
  assert.match(r.stderr, /is older than the one in force/);

  // what others' tools see: an artifact whose layers have names
  const certs = join(dir, "intel-certs");
  mkdirSync(certs);
  cpSync(ca, join(certs, "ca.crt"));
  const creds = ["--cert-dir", certs, "--creds", "alice:s3cret"], skopeo = ["--insecure-policy", "copy", "-q", "--dest-cert-dir", certs, "--dest-creds", "alice:s3cret", "--src-cert-dir", certs, "--src-creds", "alice:s3cret"];
  const text = await ok("skopeo", "inspect", "--raw", ...creds, at.replace("oci://", "docker://")), raw = JSON.parse(text);
  assert.equal(raw.layers.length, 5); // base, two deltas, two earlier bases
  const digest = `sha256:${createHash("sha256").update(text).digest("hex")}`;
  r = await update("--auth-file", auth, `${at.replace(":latest", "")}@${digest}`);
  assert.equal(r.code, 0, r.stderr);

  // a registry that serves an old publication, signature and all; and an image
  const old = `localhost:${port}/intel/old:latest`;
  r = await intel("publish", "--key", pub, "--to", `oci://${old}`, db(2), "--auth-file", auth);
  assert.equal(r.code, 0, r.stderr);
  await ok("skopeo", ...skopeo, `docker://${old}`, at.replace("oci://", "docker://"));
  r = await update("--auth-file", auth);
  assert.equal(r.code, 3);
  assert.match(r.stderr, /serial 2\) is older than the one in force \(serial 3\)/);
  assert.ok(same(3));
  r = await intel("update", "--key", join(dir, "other.pub"), "--output", join(dir, "never.db"), at, "--auth-file", auth);
  assert.equal(r.code, 3);
  assert.match(r.stderr, /signature/);
  await ok("skopeo", ...skopeo.filter((_, i) => i < 7), `oci:${join(dir, "oci")}:latest`, at.replace("oci://", "docker://"));
  assert.match((await update("--auth-file", auth)).stderr, /no intel/);
  assert.deepEqual(readdirSync(dir).filter((f) => /part-|next-|never/.test(f)), []);
});
