// The gate on an engine that listens on TCP with client certificates: the certificate's name is in the event.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Agent, startAgent } from "./lib/bulkhead.ts";
import { type Dockerd, startDockerd } from "./lib/dockerd.ts";
import { Cleanup, needs, run, tempDir } from "./lib/proc.ts";

const cleanup = new Cleanup();
const skip = needs("dockerd", "docker", "curl", "openssl", "nsenter", "bulkhead", "bulkhead-agent");
let d: Dockerd, agent: Agent, pki = "";

const sh = async (script: string) => {
  const r = await run("sh", ["-ec", script], { cwd: pki });
  assert.equal(r.code, 0, r.stderr);
};
/** One call of the API over TLS, from inside the engine's network namespace. */
const call = (name: string, path: string, body: object) => run("nsenter", ["--target", String(d.daemon?.pid), "--net", "curl", "-s", "--cacert", "ca.pem",
  "--cert", `${name}.pem`, "--key", `${name}.key`, "-H", "Content-Type: application/json", "-d", JSON.stringify(body), `https://127.0.0.1:2376${path}`], { cwd: pki });

before(async () => {
  if (skip) return;
  pki = tempDir(cleanup, "bh-pki-");
  const ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
  await sh(`openssl req -x509 ${ec} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca 2>/dev/null`);
  for (const [name, ext] of [["server", "subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=serverAuth"], ["alice", "extendedKeyUsage=clientAuth"]])
    await sh(`openssl req ${ec} -keyout ${name}.key -out ${name}.csr -subj /CN=${name} 2>/dev/null; printf '${ext}\\n' >${name}.ext
      openssl x509 -req -in ${name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out ${name}.pem -extfile ${name}.ext 2>/dev/null`);
  d = await startDockerd(cleanup, { start: false, config: { "authorization-plugins": ["bulkhead"] }, args: ["-H", "tcp://127.0.0.1:2376", "--tlsverify",
    "--tlscacert", join(pki, "ca.pem"), "--tlscert", join(pki, "server.pem"), "--tlskey", join(pki, "server.key")] });
  mkdirSync(d.plugins, { recursive: true });
  agent = await startAgent(cleanup, { dockerd: d, policies: { "p.yaml":
    'kind: ImagePolicy\nname: nonroot\nselect: {images: ["*"]}\nrules:\n  - deny: config.user = root\nunscanned: scan\n---\nkind: ContainerPolicy\nname: told\nmode: audit\nprocess: {drift: block}\n' } });
  await d.start(); // the plugin's socket was there first, as dockerd wants it
  await d.busybox("bad:1");
  await d.busybox("good:1", { changes: ["USER 65534"] });
});
after(() => cleanup.run());

test("a refusal names the person behind the certificate; an allowed image passes", { skip }, async () => {
  const from = agent.events.mark();
  const r = await call("alice", "/v1.41/containers/create", { Image: "bad:1", Cmd: ["true"] });
  assert.match(r.stdout, /authorization denied by plugin bulkhead: .*config\.user = root/);
  const e = await agent.events.wait("refusal", (x) => x.type === "gate", from);
  assert.equal(e.user.name, "alice");
  assert.equal(e.detail.authentication, "TLS");
  const ok = await call("alice", "/v1.41/containers/create", { Image: "good:1", Cmd: ["true"] });
  assert.match(ok.stdout, /"Id"/);
});

test("without the guard registered, what starts containers behind the plugin's back is refused", { skip }, async () => {
  const swarm = await call("alice", "/v1.41/swarm/init", { ListenAddr: "127.0.0.1" });
  assert.match(swarm.stdout, /authorization denied by plugin bulkhead: .*engine enable/);
  const runtime = await call("alice", "/v1.41/containers/create", { Image: "good:1", Cmd: ["true"], HostConfig: { Runtime: "runc" } });
  assert.match(runtime.stdout, /"Id"/); // any runtime will do: there is no guard to pass by
});

test("what happens in an exec session carries the person who asked the engine for it", { skip }, async () => {
  const post = async (name: string, path: string, body: object) => (await call(name, `/v1.41${path}`, body)).stdout;
  const id = JSON.parse(await post("alice", "/containers/create", { Image: "good:1", Cmd: ["sleep", "1000"], HostConfig: { NetworkMode: "none", Tmpfs: { "/scratch": "exec" } } })).Id;
  assert.equal(await post("alice", `/containers/${id}/start`, {}), "");
  for (const script of ["cp /bin/busybox /scratch/drop; /scratch/drop true; true", "cp /bin/busybox /scratch/again; exec /scratch/again true"]) {
    const from = agent.events.mark();
    const exec = JSON.parse(await post("alice", `/containers/${id}/exec`, { Cmd: ["sh", "-c", script], AttachStdout: true }));
    assert.equal(await post("alice", `/exec/${exec.Id}/start`, { Detach: true }), "");
    const e = await agent.events.wait(`drift by ${script}`, (x) => x.control === "drift" && x.container?.id === id, from);
    assert.deepEqual(e.user, { name: "alice", via: "docker-exec" });
    assert.equal(e.process.user, "nobody");
  }
  const from = agent.events.mark(); // by the unix socket: the engine knows nobody there
  await d.docker("exec", id, "sh", "-c", "cp /bin/busybox /scratch/other; /scratch/other true");
  const e = await agent.events.wait("drift", (x) => x.control === "drift" && x.process.exe === "/scratch/other", from);
  assert.deepEqual(e.user, { name: null, via: "docker-exec" });
  await d.ok("rm", "-f", id);
});
