// The gate at both doors, on a private engine: what may run runs, what may not does not, however it is asked for.
// Images: good:1 (user nobody) is allowed by policy, bad:1 (user root) is denied; both are really scanned.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Agent, startAgent } from "./lib/bulkhead.ts";
import { type Dockerd, startDockerd } from "./lib/dockerd.ts";
import { request, type RequestOptions } from "./lib/http.ts";
import { Cleanup, needs, program, until } from "./lib/proc.ts";

const nonroot = `kind: ImagePolicy
name: nonroot
select: {images: ["*"]}
rules:
  - deny: config.user = root
unscanned: scan
`;
const freeze = `kind: ImagePolicy
name: freeze
select: {images: ["flip:*"]}
rules:
  - deny: config.user != root
`;

const cleanup = new Cleanup();
const skip = needs("dockerd", "docker", "bulkhead", "bulkhead-agent", "bulkhead-runc");
let d: Dockerd, agent: Agent, good = "", bad = "", original = "";
const user = ["USER 65534:65534"];

/** Ids of all containers. */
const containers = async (): Promise<string[]> => (await d.request("GET", "/containers/json?all=1")).json.map((c: { Id: string }) => c.Id);
/** Host pids of a container, without asking the engine. */
const pidsOf = (id: string): number[] => readdirSync("/proc").filter((n) => /^\d+$/.test(n)).map(Number).filter((pid) => {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(id) && readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1][0] !== "Z";
  } catch {
    return false;
  }
});
const engineOptions = () => ["--config", d.configFile, "--state", agent.state, "--engine", d.url, "--pidfile", d.pidFile,
  "--authz-socket", agent.socket, "--bpf-dir", agent.bpfDir, "--guard", program("bulkhead-runc")];

before(async () => {
  if (skip) return;
  d = await startDockerd(cleanup);
  good = await d.busybox("good:1", { changes: user });
  bad = await d.busybox("bad:1");
  await d.busybox("flip:1", { changes: user, files: { "flip": "1" } });
  await d.ok("create", "--name", "before", "bad:1", "sleep", "600"); // made before there was a gate
  writeFileSync(d.configFile, '{ "debug":   true }\n');
  original = readFileSync(d.configFile, "utf8");
  agent = await startAgent(cleanup, { dockerd: d, policies: { "nonroot.yaml": nonroot } });
  const r = await agent.run("engine", "enable", ...engineOptions());
  assert.equal(r.code, 0, r.stderr + agent.daemon?.log());
  assert.match(r.stdout, /1 containers were made before/);
});
after(() => cleanup.run());

describe("registration", { skip }, () => {
  test("the engine has plugin and guard, and nothing of the user's is lost", async () => {
    const info = (await d.request("GET", "/info")).json;
    assert.equal((await d.request("GET", "/containers/_bulkhead/json")).status, 403);
    assert.equal(info.DefaultRuntime, "bulkhead");
    assert.equal(JSON.parse(readFileSync(d.configFile, "utf8")).debug, true);
  });
});

describe("images", { skip }, () => {
  test("an allowed image runs", async () => {
    assert.equal(await d.ok("run", "--rm", "--network", "none", "good:1", "echo", "hi"), "hi");
  });

  test("a denied image is refused at create; the refusal names rule, policy and the way out", async () => {
    const from = agent.events.mark();
    const r = await d.docker("run", "--rm", "--network", "none", "bad:1", "echo", "hi");
    assert.notEqual(r.code, 0);
    assert.match(r.stderr, /authorization denied by plugin bulkhead: .*bad:1.*nonroot.*config\.user = root/s);
    assert.match(r.stderr, /bulkhead get (policies|verdicts)/);
    assert.doesNotMatch(r.stdout, /hi/);
    const e = await agent.events.wait("refused image", (x) => x.type === "gate" && x.control === "image", from);
    assert.equal(e.outcome, "prevented");
    assert.equal(e.level, "block");
    assert.equal(e.policy.name, "nonroot");
    assert.equal(e.detail.image_id, bad);
  });

  test("a container made before the gate is refused at start, by its image id", async () => {
    const from = agent.events.mark();
    for (const how of ["start", "restart"]) {
      const r = await d.docker(how, "before");
      assert.notEqual(r.code, 0, how);
      assert.match(r.stderr, /authorization denied by plugin bulkhead: .*config\.user = root/s);
    }
    const id = await d.ok("inspect", "-f", "{{.Id}}", "before");
    const e = await agent.events.wait("refused start", (x) => x.type === "gate" && x.container?.id === id, from);
    assert.equal(e.container.image_id, bad);
    assert.equal(pidsOf(id).length, 0);
  });

  test("an image nobody has scanned is scanned while the client waits", async () => {
    await d.busybox("fresh:1", { changes: user, files: { fresh: "1" } });
    assert.equal(await d.ok("run", "--rm", "--network", "none", "fresh:1", "echo", "hi"), "hi");
    await d.busybox("freshbad:1", { files: { fresh: "2" } });
    const r = await d.docker("run", "--rm", "--network", "none", "freshbad:1", "true");
    assert.match(r.stderr, /config\.user = root/);
  });

  test("an unknown image is answered by the engine", async () => {
    const r = await d.request("POST", "/containers/create", { body: { Image: "no-such:1" } });
    assert.equal(r.status, 404, r.text);
  });

  test("the tag moves after create: what counts is the image the container was made from", async () => {
    await d.ok("tag", "good:1", "moving:1");
    await d.ok("create", "--name", "moved", "--network", "none", "moving:1", "echo", "hi");
    await d.ok("tag", "bad:1", "moving:1");
    await d.ok("start", "moved");
    const r = await d.docker("create", "--network", "none", "moving:1", "echo", "hi");
    assert.match(r.stderr, /config\.user = root/);
    await d.ok("rm", "-f", "moved");
    await d.ok("rmi", "moving:1");
  });

  test("a denied image under an innocent name, or none, stays denied", async () => {
    await d.ok("tag", "bad:1", "innocent:1");
    for (const ref of ["innocent:1", bad, bad.slice(7), bad.slice(7, 19)]) {
      const r = await d.request("POST", "/containers/create", { body: { Image: ref, Cmd: ["true"] } });
      assert.equal(r.status, 403, `${ref}: ${r.text}`);
    }
    await d.ok("rmi", "innocent:1");
  });

  test("commit and import make images, which are judged when they start", async () => {
    await d.ok("create", "--name", "base", "--network", "none", "good:1", "true");
    await d.ok("commit", "--change", "USER 0", "base", "committed:1");
    const r = await d.docker("run", "--rm", "--network", "none", "committed:1", "true");
    assert.match(r.stderr, /config\.user = root/);
    await d.ok("rm", "base");
  });
});

describe("requests that would pass a lenient judge by", { skip }, () => {
  const json: [string, string][] = [["Content-Type", "application/json"]];
  const body = () => JSON.stringify({ Image: "bad:1", Cmd: ["true"] });
  const pad = (n: number) => JSON.stringify({ Image: "bad:1", Cmd: ["true"], Env: ["X=" + "x".repeat(n)] });
  const shapes: Record<string, () => [string, RequestOptions]> = {
    "plain": () => ["/v1.41/containers/create", { headers: json, body: body() }],
    "without version": () => ["/containers/create", { headers: json, body: body() }],
    "oldest version": () => ["/v1.24/containers/create", { headers: json, body: body() }],
    "version before 1.24": () => ["/v1.23/containers/create", { headers: json, body: body() }],
    "900 kB": () => ["/v1.41/containers/create", { headers: json, body: pad(900_000) }],
    "over 1 MiB (CVE-2026-34040)": () => ["/v1.41/containers/create", { headers: json, body: pad(1_100_000) }],
    "over 4 MiB": () => ["/v1.41/containers/create", { headers: json, body: pad(4_300_000) }],
    "Content-Length: 0 (CVE-2024-41110)": () => ["/v1.41/containers/create", { headers: json, body: body(), length: 0 }],
    "chunked": () => ["/v1.41/containers/create", { headers: json, body: body(), chunked: true }],
    "chunked, over 1 MiB": () => ["/v1.41/containers/create", { headers: json, body: pad(1_100_000), chunked: true }],
    "charset": () => ["/v1.41/containers/create", { headers: [["Content-Type", "application/json; charset=utf-8"]], body: body() }],
    "text/plain": () => ["/v1.41/containers/create", { headers: [["Content-Type", "text/plain"]], body: body() }],
    "no content type": () => ["/v1.41/containers/create", { body: body() }],
    "content type twice": () => ["/v1.41/containers/create", { headers: [["Content-Type", "application/json"], ["Content-Type", "text/plain"]], body: body() }],
    "percent-encoded": () => ["/v1.41/containers/%63reate", { headers: json, body: body() }],
    "encoded slash": () => ["/v1.41/containers%2Fcreate", { headers: json, body: body() }],
    "double slash": () => ["//v1.41/containers/create", { headers: json, body: body() }],
    "dot segments": () => ["/v1.41/images/../containers/create", { headers: json, body: body() }],
    "absolute form": () => ["http://docker/v1.41/containers/create", { headers: json, body: body() }],
    "image twice": () => ["/v1.41/containers/create", { headers: json, body: '{"Image":"good:1","Image":"bad:1","Cmd":["true"]}' }],
    "image twice, folded": () => ["/v1.41/containers/create", { headers: json, body: '{"Image":"good:1","image":"bad:1","Cmd":["true"]}' }],
    "image in another case": () => ["/v1.41/containers/create", { headers: json, body: '{"iMaGe":"bad:1","Cmd":["true"]}' }],
    "trailing object": () => ["/v1.41/containers/create", { headers: json, body: '{"Image":"good:1","Cmd":["true"]}{"Image":"bad:1"}' }],
    "bad first, good behind": () => ["/v1.41/containers/create", { headers: json, body: '{"Image":"bad:1","Cmd":["true"]}{"Image":"good:1"}' }],
    "name looks like another path": () => ["/v1.41/containers/create?name=/images/json", { headers: json, body: body() }],
    "without an image": () => ["/v1.41/containers/create", { headers: json, body: '{"Cmd":["true"]}' }],
  };
  for (const [name, shape] of Object.entries(shapes))
    test(`create of a denied image: ${name}`, async () => {
      const had = await containers();
      const [target, o] = shape();
      const r = await d.request("POST", target, o).catch((e) => ({ status: 0, text: String(e) }));
      assert.ok(r.status < 200 || r.status >= 300, `${r.status} ${r.text}`);
      assert.deepEqual(await containers(), had);
    });

  test("the same shapes around an allowed image work where the engine's documents allow them", async () => {
    const allowed: [string, RequestOptions][] = [
      ["/containers/create", { body: { Image: "good:1", Cmd: ["true"] } }],
      ["/v1.24/containers/create", { body: { Image: "good:1", Cmd: ["true"] }, chunked: true }],
      ["/v1.41/containers/create", { headers: [["Content-Type", "application/json; charset=utf-8"]], body: JSON.stringify({ Image: good.slice(7, 19), Cmd: ["true"] }) }],
      ["/v1.41/containers/%63reate", { body: { Image: "good:1", Cmd: ["true"], Env: ["X=" + "x".repeat(500_000)] } }],
    ];
    for (const [target, o] of allowed) {
      const r = await d.request("POST", target, o);
      assert.equal(r.status, 201, `${target} ${r.text}`);
      const started = await d.request("POST", `/v1.41/containers/${r.json.Id.slice(0, 12)}/%73tart`);
      assert.equal(started.status, 204, started.text);
      await d.request("DELETE", `/containers/${r.json.Id}?force=1`);
    }
  });

  const make = (o: object) => d.request("POST", "/v1.41/containers/create", { body: { Image: "good:1", Cmd: ["true"], ...o } });
  test("another runtime than the guard", async () => {
    const had = await containers();
    for (const runtime of ["runc", "io.containerd.runc.v2", "io.containerd.runtime.v1.linux"]) {
      const r = await make({ HostConfig: { Runtime: runtime } });
      assert.equal(r.status, 403, `${runtime}: ${r.text}`);
      assert.match(r.text, /past the guard/);
    }
    for (const o of [{ Runtime: "runc" }, { HostConfig: { runtime: "runc" } }, { hostconfig: { Runtime: "runc" } }, { runtime: "runc" }]) {
      const r = await make(o);
      assert.equal(r.status, 403, `${JSON.stringify(o)}: ${r.text}`);
    }
    assert.deepEqual(await containers(), had);
    const e = await agent.events.wait("runtime bypass", (x) => x.control === "request" && x.rule === "Runtime bypasses the guard");
    assert.equal(e.outcome, "prevented");
    const ok = await make({ HostConfig: { Runtime: "bulkhead" } });
    assert.equal(ok.status, 201, ok.text);
    await d.request("DELETE", `/containers/${ok.json.Id}?force=1`);
  });

  test("settings at start, as engines read them below 1.24", async () => {
    const c = (await make({})).json.Id;
    for (const [target, o] of [[`/v1.23/containers/${c}/start`, { body: { Runtime: "runc" } }], [`/v1.23/containers/${c}/start`, {}],
      [`/v1.41/containers/${c}/start`, { body: { HostConfig: { Runtime: "runc" } } }]] as [string, RequestOptions][])
      assert.equal((await d.request("POST", target, o)).status, 403, target);
    await d.request("DELETE", `/containers/${c}?force=1`);
  });

  test("start of a denied container: prefixes, encodings, names", async () => {
    const id = await d.ok("inspect", "-f", "{{.Id}}", "before");
    for (const ref of [id, id.slice(0, 12), id.slice(0, 4), "before", "%62efore", "/before"]) {
      const r = await d.request("POST", `/v1.41/containers/${ref}/start`);
      assert.ok(r.status === 403 || r.status === 301, `${ref}: ${r.status} ${r.text}`);
    }
    assert.equal(pidsOf(id).length, 0);
  });

  test("engine plugins cannot be changed", async () => {
    for (const [method, target] of [["POST", "/plugins/bulkhead/disable?force=1"], ["POST", "/v1.41/plugins/x/y:1/disable"], ["DELETE", "/plugins/bulkhead"],
      ["POST", "/plugins/pull?remote=x"], ["POST", "/plugins/x/enable"], ["POST", "/plugins/x/set"], ["POST", "/plugins/x/upgrade?remote=y"], ["POST", "/plugins/create?name=x"]])
      assert.equal((await d.request(method, target)).status, 403, target);
    assert.equal((await d.request("GET", "/plugins")).status, 200);
  });

  test("a service that is an engine plugin", async () => {
    const r = await d.request("POST", "/services/create", { body: { Name: "x", TaskTemplate: { Runtime: "plugin", PluginSpec: { Remote: "x" } } } });
    assert.equal(r.status, 403, r.text);
  });

  test("BuildKit's side doors are shut while image policies are in force; the classic builder works", async () => {
    for (const target of ["/session", "/grpc", "/v1.41/build?version=2&session=x", "/build?version=2", "/build?remote=client-session", "/build?version=1&version=2"])
      assert.equal((await d.request("POST", target, { headers: [["Content-Type", "application/x-tar"]] })).status, 403, target);
    const form = await d.request("POST", "/build", { headers: [["Content-Type", "application/x-www-form-urlencoded"]], body: "version=2&remote=client-session" });
    assert.equal(form.status, 403, form.text);
    const dir = join(d.dir, "context");
    const { mkdirSync } = await import("node:fs");
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, "Dockerfile"), "FROM good:1\nENV A=b\n");
    await d.ok("build", "-q", "-t", "built:1", dir);
    assert.equal(await d.ok("run", "--rm", "--network", "none", "built:1", "echo", "hi"), "hi");
    writeFileSync(join(dir, "Dockerfile"), "FROM bad:1\nRUN true\n");
    const r = await d.docker("build", "-q", "-t", "built:2", dir);
    assert.match(r.stderr + r.stdout, /config\.user = root/); // said by the guard
  });

  test("unknown paths and upgrades", async () => {
    for (const [method, target] of [["GET", "/debug/pprof/cmdline"], ["POST", "/containers/x/teleport"], ["PATCH", "/info"], ["OPTIONS", "/info"]]) {
      const r = await d.request(method, target);
      assert.ok([403, 404, 405].includes(r.status), `${method} ${target}: ${r.status}`); // 404: the engine asks nobody about paths it lacks
    }
    assert.equal((await d.request("GET", "/info", { headers: [["Upgrade", "h2c"], ["Connection", "Upgrade"]] })).status, 403);
  });

  test("bodies that are needed but not shown", async () => {
    const big = { Cmd: ["true"], Env: ["X=" + "x".repeat(1_100_000)] };
    const c = (await make({ Cmd: ["sleep", "600"], HostConfig: { NetworkMode: "none" } })).json.Id;
    await d.request("POST", `/containers/${c}/start`);
    // the engine may answer and hang up before it has read everything
    const exec1 = await d.request("POST", `/containers/${c}/exec`, { body: big }).catch(() => ({ status: 403 }));
    assert.equal(exec1.status, 403);
    assert.equal((await d.request("POST", `/containers/${c}/update`, { body: {}, length: 0 })).status, 403);
    const exec = await d.request("POST", `/containers/${c}/exec`, { body: { Cmd: ["true"] } });
    assert.equal(exec.status, 201, exec.text);
    assert.equal((await d.request("POST", `/exec/${exec.json.Id}/start`, { body: {}, length: 0 })).status, 403);
    assert.equal((await d.request("POST", `/exec/${exec.json.Id}/start`, { body: { Detach: true } })).status, 200);
    await d.request("DELETE", `/containers/${c}?force=1`);
  });

  test("the plugin's own socket: what it cannot read it does not allow", async () => {
    for (const body of ["", "{", "[]", "{}", '{"RequestMethod":"GET"}', '{"RequestMethod":"GET","RequestUri":"/info","RequestMethod":"POST"}',
      '{"RequestMethod":"POST","RequestUri":"/containers/create","RequestBody":"%%%"}']) {
      const r = await request(agent.socket, "POST", "/AuthZPlugin.AuthZReq", { body });
      assert.notEqual(r.json?.Allow, true, body);
    }
    const fine = await request(agent.socket, "POST", "/AuthZPlugin.AuthZReq", { body: { RequestMethod: "GET", RequestUri: "/v1.41/info" } });
    assert.deepEqual(fine.json, { Allow: true });
    assert.deepEqual((await request(agent.socket, "POST", "/Plugin.Activate")).json, { Implements: ["authz"] });
  });
});

describe("many at once", { skip }, () => {
  test("forty creates and forty reads together: no deadlock, every answer right", async () => {
    const jobs = Array.from({ length: 40 }, (_, i) => [
      d.request("POST", "/containers/create", { body: { Image: i % 2 ? "good:1" : "bad:1", Cmd: ["true"] }, timeout: 60000 }),
      d.request("GET", "/containers/json?all=1", { timeout: 60000 })]).flat();
    const answers = await Promise.all(jobs);
    for (let i = 0; i < 40; i++) {
      assert.equal(answers[2 * i].status, i % 2 ? 201 : 403, answers[2 * i].text);
      assert.equal(answers[2 * i + 1].status, 200);
      if (i % 2) await d.request("DELETE", `/containers/${answers[2 * i].json.Id}`);
    }
  });
});

describe("the second door: starts that nobody asks a plugin about", { skip }, () => {
  let flip = "", twin = "";
  before(async () => {
    flip = await d.ok("run", "-d", "--restart", "always", "--network", "none", "flip:1", "sleep", "100000");
    twin = await d.ok("run", "-d", "--restart", "always", "--network", "none", "good:1", "sleep", "100000");
  });

  test("denied meanwhile, a container stays down when the engine restarts; its twin comes up", async () => {
    const from = agent.events.mark();
    agent.policies({ "freeze.yaml": freeze });
    agent.reload();
    await until("the policy is in force", async () => (await d.docker("create", "flip:1", "true")).stderr.includes("freeze"));
    await d.restart();
    await until("the twin is up", () => pidsOf(twin).length > 0);
    const e = await agent.events.wait("refused by the guard", (x) => x.type === "gate" && x.container?.id === flip && x.detail.door === "runtime", from);
    assert.equal(e.outcome, "prevented");
    assert.match(e.detail.reason, /freeze/);
    assert.equal(pidsOf(flip).length, 0);
    const why = await d.ok("inspect", "-f", "{{.State.Running}} {{.State.Error}}", flip);
    assert.match(why, /^(false|true) .*freeze/); // "true": between two tries of the restart policy
  });

  test("grace: an image that runs already may restart, one that does not is refused", async () => {
    await d.busybox("graced:1", { changes: user, files: { graced: "1" } });
    await d.busybox("graced:2", { changes: user, files: { graced: "2" } });
    const runs = await d.ok("run", "-d", "--restart", "always", "--network", "none", "graced:1", "sleep", "100000");
    agent.policies({ "graced.yaml": "kind: ImagePolicy\nname: graced\nselect: {images: [\"graced:*\"]}\nrules:\n  - deny: config.user != root\ngrace: 72h\n" });
    agent.reload();
    await until("the policy is in force", async () => (await d.docker("create", "graced:2", "true")).stderr.includes("graced"));
    const had = pidsOf(runs);
    await d.restart();
    await until("it came back", () => pidsOf(runs).some((p) => !had.includes(p)), 30000);
    await d.ok("rm", "-f", runs);
  });

  test("with the agent killed: the guard decides alone, the plugin's door is shut", async () => {
    await agent.daemon?.kill();
    const before = pidsOf(twin);
    for (const pid of before) process.kill(pid, "SIGKILL");
    await until("the restart policy brought the twin back", () => pidsOf(twin).some((p) => !before.includes(p)), 30000);
    assert.equal(pidsOf(flip).length, 0);
    const shut = await d.request("GET", "/info", { timeout: 60000 });
    assert.equal(shut.status, 500, shut.text);
    await agent.start();
    assert.equal((await d.request("GET", "/info")).status, 200);
  });
});

describe("the policy is in the kernel before the first instruction", { skip }, () => {
  const drop = "cp /bin/busybox /tmp/echo && /tmp/echo ESCAPED";
  test("a container that runs dropped code at once: prevented when enforced, its twin under audit untouched", async () => {
    agent.policies({ "fast.yaml": "kind: ContainerPolicy\nname: fast\nmode: enforce\nselect: {names: [\"fast-*\"]}\nprocess: {drift: block}\n" });
    const from = agent.events.mark();
    agent.reload();
    await agent.events.wait("the policy is in force", (e) => e.type === "policy", from);
    for (let i = 0; i < 5; i++) {
      const r = await d.docker("run", "--rm", "--name", `fast-${i}`, "--user", "0", "--network", "none", "good:1", "sh", "-c", drop);
      assert.doesNotMatch(r.stdout, /ESCAPED/);
      assert.notEqual(r.code, 0);
    }
    assert.equal(await d.ok("run", "--rm", "--name", "slow-1", "--user", "0", "--network", "none", "good:1", "sh", "-c", drop), "ESCAPED");
    const e = await agent.events.wait("drift", (x) => x.control === "drift" && x.container?.name === "fast-0", from);
    assert.ok(["prevented", "killed"].includes(e.outcome), e.outcome);
    assert.equal(e.policy.name, "fast");
  });
});

describe("cost and leaving", { skip }, () => {
  test("time of docker run with and without the gate", async (t) => {
    const plain = await startDockerd(cleanup);
    await plain.busybox("good:1", { changes: user });
    const once = async (e: Dockerd) => (await e.docker("run", "--rm", "--network", "none", "good:1", "true")).ms;
    const diffs: number[] = [], base: number[] = [];
    for (let i = 0; i < 12; i++) {
      const a = await once(plain), b = await once(d);
      base.push(a);
      diffs.push(b - a);
    }
    const median = (v: number[]) => v.sort((x, y) => x - y)[v.length >> 1];
    t.diagnostic(`docker run: ${median(base).toFixed(0)} ms without, ${median(diffs).toFixed(1)} ms more with plugin and guard (median of 12 pairs)`);
    assert.ok(median(diffs) < 2 * median(base), "the gate triples the time of docker run");
    await plain.destroy();
  });

  test("disable puts the very bytes back, and the engine lets go", async () => {
    await d.ok("rm", "-f", ...(await containers()));
    const kept = await d.ok("create", "--name", "kept", "--network", "none", "good:1", "echo", "hi");
    const first = await agent.run("engine", "disable", ...engineOptions());
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, /1 containers were made with the guard/);
    await d.restart();
    await d.ok("start", "-a", "kept"); // without the guard it must still start
    await d.ok("rm", "-f", kept);
    writeFileSync(d.configFile, original);
    assert.equal((await agent.run("engine", "enable", ...engineOptions())).code, 0);
    const r = await agent.run("engine", "disable", ...engineOptions());
    assert.equal(r.code, 0, r.stderr);
    assert.equal(readFileSync(d.configFile, "utf8"), original);
    await agent.stop();
    assert.equal(await d.ok("run", "--rm", "--network", "none", "bad:1", "echo", "hi"), "hi");
  });
});
