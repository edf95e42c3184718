// The console against its two contracts: api/openapi.yaml (each answer is held against it) and api/agent-protocol.md.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { Agent as HttpsAgent } from "node:https";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Api, call, contract, FakeAgent, makeRequest, type TokenFile } from "./lib/api.ts";
import { type Console, startConsole } from "./lib/bulkhead.ts";
import { Cleanup, Daemon, needs, program, run, tempDir, until } from "./lib/proc.ts";

const missing = needs("openssl", "sqlite3") || (existsSync(program("bulkhead-console")) ? false : "needs bulkhead-console");
const policy = (mode: string, name = "web") => `kind: ContainerPolicy\nname: ${name}\nmode: ${mode}\nselect: {names: ["web-*"]}\nprocess: {drift: block}\n`;

describe("console", { skip: missing }, () => {
  const cleanup = new Cleanup();
  let c: Console, admin: Api, dir: string, ca: string;
  const token = async (o: object = {}): Promise<TokenFile> => (await admin.ok("post", "/api/v1/tokens", { body: { kind: "agent", ...o } })).token_file as TokenFile;
  const enroll = async (host: string) => FakeAgent.enroll(dir, await token(), host);
  before(async () => {
    c = await startConsole(cleanup);
    dir = tempDir(cleanup);
    ca = readFileSync(c.ca, "utf8");
    admin = await Api.login(c.url, ca, "admin", c.password);
  });
  after(() => cleanup.run());

  test("first start: a password once, private files, nothing without a name", async () => {
    assert.equal(statSync(c.passwordFile).mode & 0o777, 0o600);
    for (const f of ["ca.key", "server.key", "console.db"]) assert.equal(statSync(join(c.state, f)).mode & 0o777, 0o600, f);
    assert.equal(execFileSync("sqlite3", [join(c.state, "console.db"), "SELECT count(*) FROM user WHERE password LIKE '$argon2id$%'"]).toString().trim(), "1");
    const page = await new Api(c.url, ca).raw("get", "/");
    assert.match(page.text, /Bulkhead console/);
    assert.match(String(page.headers["content-security-policy"]), /default-src 'none'/);
    assert.equal(page.headers["x-content-type-options"], "nosniff");
    assert.ok(page.headers["strict-transport-security"]);
  });

  test("TLS only, 1.2 at least, and verifiable by name and address", async () => {
    const u = new URL(c.url);
    const at = ["-connect", `127.0.0.1:${u.port}`, "-CAfile", c.ca, "-verify_return_error"];
    for (const [args, good] of [[["-tls1_3"], true], [["-tls1_2"], true], [["-tls1_1"], false], [["-verify_hostname", "localhost"], true],
      [["-verify_ip", "127.0.0.1"], true], [["-verify_hostname", "elsewhere.example"], false]] as [string[], boolean][]) {
      const r = await run("openssl", ["s_client", ...at, ...args, "-cipher", "ALL:@SECLEVEL=0"], { input: "" });
      assert.equal(r.code === 0, good, `${args}: ${r.stderr}`);
    }
    const plain = await new Promise<string>((done) => {
      const s = connect(Number(u.port), "127.0.0.1", () => s.write("GET /api/v1/version HTTP/1.1\r\nHost: x\r\n\r\n"));
      let text = "";
      s.on("data", (b) => { text += b.toString("latin1"); }).on("close", () => done(text)).on("error", () => done(text));
    });
    assert.doesNotMatch(plain, /200 OK/);
  });

  test("every route of the contract answers by role as the contract's permissions say", async () => {
    const by: Record<string, Api> = { admin };
    for (const role of ["operator", "auditor"]) {
      const made = await admin.ok("post", "/api/v1/users", { body: { name: `a-${role}`, role } });
      by[role] = await Api.login(c.url, ca, `a-${role}`, made.password!);
    }
    by.ci = new Api(c.url, ca, (await admin.ok("post", "/api/v1/tokens", { body: { kind: "ci" } })).token);
    const given: Record<string, string[]> = {};
    for (const [role, api] of Object.entries(by)) given[role] = (await api.ok("get", "/api/v1/whoami")).permissions;
    // the roles' meaning, said here once more and not taken from the program
    assert.ok(!given.ci!.includes("events.read") && given.ci!.includes("reports.write") && given.ci!.includes("policies.read"));
    assert.ok(!given.auditor!.some((p) => p.endsWith(".write") || p === "intel.key") && given.auditor!.includes("audit.read"));
    assert.ok(!given.operator!.some((p) => p.startsWith("users.") || p === "intel.key") && given.operator!.includes("policies.write"));
    let routes = 0;
    for (const [pattern, item] of Object.entries<any>(contract.paths))
      for (const [method, op] of Object.entries<any>(item)) {
        if (method === "parameters") continue;
        routes++;
        const path = pattern.replace(/\{\w+\}/g, "nobody");
        const body = op.requestBody ? "{}" : undefined;
        const anonymous = await new Api(c.url, ca).raw(method, path, { body });
        assert.equal(anonymous.status === 401, op["x-permission"] !== "public", `${method} ${path} without a token: ${anonymous.status}`);
        for (const [role, api] of Object.entries(by)) {
          if (pattern === "/api/v1/logout") continue;
          const may = ["public", "self"].includes(op["x-permission"]) || given[role]!.includes(op["x-permission"]);
          const r = await api.raw(method, path, { body });
          assert.equal(r.status === 403, !may && true, `${method} ${path} as ${role}: ${r.status} ${r.text}`);
          if (!may) assert.equal(r.json.error.code, "forbidden");
        }
      }
    assert.ok(routes > 30);
  });

  test("logins: wrong ones are slow to guess, sessions end", async () => {
    await admin.ok("post", "/api/v1/users", { body: { name: "bob", role: "auditor", password: "correct horse battery" } });
    const bob = await Api.login(c.url, ca, "bob", "correct horse battery");
    const stranger = new Api(c.url, ca);
    let limited = 0;
    for (let i = 0; i < 12; i++) {
      const r = await stranger.run("post", "/api/v1/login", { body: { user: "bob", password: `guess ${i}` } });
      assert.ok([401, 429].includes(r.status), r.text);
      limited += Number(r.status === 429);
    }
    assert.ok(limited >= 5);
    assert.equal((await bob.run("post", "/api/v1/password", { body: { old: "wrong", new: "another good one" } })).status, 403);
    await bob.ok("post", "/api/v1/logout");
    assert.equal((await bob.run("get", "/api/v1/whoami")).status, 401);
    assert.equal((await admin.run("patch", "/api/v1/users/{name}", { params: { name: "admin" }, body: { role: "auditor" } })).status, 409);
    assert.equal((await admin.run("delete", "/api/v1/users/{name}", { params: { name: "admin" } })).status, 409);
    for (const t of ["", "bh_", "bh__", "bh_01J_x", `${admin.token}x`, admin.token!.slice(0, -1), "Bearer"])
      assert.equal((await new Api(c.url, ca, t).run("get", "/api/v1/whoami")).status, 401, t);
  });

  test("paths, bodies and headers that try something", async () => {
    for (const path of ["/api/v1/policies/ContainerPolicy/..%2f..%2fca.key", "/api/v1/../../ca.key", "//api/v1/version", "/api/v1/images/%00", "/api/v1/version/", "/API/V1/version", "/ca.key"])
      assert.ok([400, 404].includes((await admin.raw("get", path)).status), path);
    for (const body of ["", "[]", "{", '{"user":"a","user":"admin","password":"x"}', '{"user":"admin","password":"x"} x', '{"user":1,"password":"x"}', '{"user":"admin","password":"x","more":1}', "\xff"])
      assert.equal((await new Api(c.url, ca).raw("post", "/api/v1/login", { body: Buffer.from(body, "latin1") })).status, 400, body);
    assert.equal((await new Api(c.url, ca).raw("post", "/api/v1/login", { body: `{"user":"${"x".repeat(20000)}"}` })).status, 413);
    assert.equal((await admin.raw("get", "/api/v1/events?limit=-1")).status, 400);
    assert.equal((await admin.raw("get", "/api/v1/events?limit=1001")).status, 400);
    assert.equal((await admin.raw("get", "/api/v1/events?since=yesterday")).status, 400);
    assert.equal((await admin.raw("get", "/api/v1/events?container=x'%20OR%201=1--")).json.items.length, 0);
  });

  test("policies: revisions, history, all or none, delete", async () => {
    const apply = (text: string, query = {}) => admin.run("post", "/api/v1/policies", { body: text, type: "application/yaml", query });
    assert.equal((await apply("kind: ContainerPolicy\nname: web\nmode: nonsense\n")).status, 400);
    assert.equal((await apply(`${policy("audit")}---\nkind: Nothing\nname: x\n`)).status, 400);
    assert.equal((await admin.ok("get", "/api/v1/policies")).items.length, 0);
    assert.equal((await apply(policy("audit"), { dry_run: true })).json.items[0]!.change, "created");
    assert.equal((await admin.ok("get", "/api/v1/policies")).items.length, 0);
    assert.deepEqual((await apply(policy("audit"), { note: "first" })).json.items, [{ kind: "ContainerPolicy", name: "web", change: "created", revision: 1 }]);
    assert.equal((await apply(policy("audit"))).json.items[0]!.change, "unchanged");
    assert.deepEqual((await apply(`${policy("enforce")}---\n${policy("learn", "two")}`)).json.items.map((i) => [i.name, i.change, i.revision]), [["web", "updated", 2], ["two", "created", 1]]);
    const history = await admin.ok("get", "/api/v1/policies/{kind}/{name}/history", { params: { kind: "ContainerPolicy", name: "web" } });
    assert.deepEqual(history.items.map((h) => [h.revision, h.note, h.author]), [[2, "", "admin"], [1, "first", "admin"]]);
    await admin.ok("delete", "/api/v1/policies/{kind}/{name}", { params: { kind: "ContainerPolicy", name: "two" } });
    assert.equal((await admin.run("get", "/api/v1/policies/{kind}/{name}", { params: { kind: "ContainerPolicy", name: "two" } })).status, 404);
    assert.equal((await apply(policy("learn", "two"))).json.items[0]!.revision, 3);
    await admin.ok("delete", "/api/v1/policies/{kind}/{name}", { params: { kind: "ContainerPolicy", name: "two" } });
  });

  test("enrolment: the token counts down, nothing about it leaks", async () => {
    const t = await token();
    const good = makeRequest(dir, "one"), a = new FakeAgent(t, "one", good.key, good.csr);
    const enrol = (o: object) => a.send("POST", "/agent/v1/enroll", a.enrolment(o), {}, false);
    const p384 = makeRequest(dir, "p384", "P-384");
    assert.equal((await enrol({ csr: p384.csr })).json.error.code, "bad_csr");
    assert.equal((await enrol({ csr: good.csr.replace(/[A-Z]{4}/, "AAAA") })).json.error.code, "bad_csr");
    const wrong = await enrol({ secret: "x".repeat(43) }), unknown = await enrol({ id: "01J00000000000000000000000" });
    assert.deepEqual([wrong.status, wrong.json], [401, unknown.json]);
    assert.equal((await enrol({})).status, 201); // bad tries did not cost it
    assert.deepEqual((await enrol({})).json, wrong.json); // used up
    const stopped = await token();
    await admin.ok("delete", "/api/v1/tokens/{id}", { params: { id: stopped.id } });
    assert.deepEqual((await call(stopped.address, "POST", "/agent/v1/enroll", { ca }, {}, JSON.stringify({ ...a.enrolment(), id: stopped.id, secret: stopped.secret }))).json, wrong.json);
    const late = await token();
    execFileSync("sqlite3", ["-cmd", ".timeout 5000", join(c.state, "console.db"), `UPDATE token SET expires = 1 WHERE id = '${late.id}'`]);
    assert.deepEqual((await call(late.address, "POST", "/agent/v1/enroll", { ca }, {}, JSON.stringify({ ...a.enrolment(), id: late.id, secret: late.secret }))).json, wrong.json);
    // an enrolment token is no API token
    assert.equal((await new Api(c.url, ca, `bh_${t.id}_${t.secret}`).run("get", "/api/v1/whoami")).status, 401);
  });

  test("certificates: none, foreign, self-made, a server's own: refused", async () => {
    const a = await enroll("cert-1");
    const get = (wire: { key?: string; cert?: string }) => call(a.token.address, "GET", "/agent/v1/config", { ca, ...wire }).then((r) => r.json?.error?.code ?? r.status, (e) => `cut off: ${e.code}`);
    assert.equal(await get({ key: a.key, cert: a.cert }), 200);
    assert.equal(await get({}), "certificate_required");
    const sh = (s: string) => execFileSync("sh", ["-c", `cd ${dir} && ${s}`], { stdio: "ignore" });
    // another authority with the same name, and a certificate of it for the same agent
    const subject = execFileSync("openssl", ["x509", "-in", c.ca, "-noout", "-subject", "-nameopt", "sep_multiline,lname"]).toString().match(/commonName=(.*)/)![1];
    sh(`openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout eca.key -out eca.pem -days 2 -subj '/CN=${subject}'`);
    sh(`printf 'extendedKeyUsage=clientAuth' > x && openssl req -new -key cert-1.key -subj /CN=${a.id} | openssl x509 -req -CA eca.pem -CAkey eca.key -CAcreateserial -days 2 -extfile x -out evil.pem`);
    assert.match(String(await get({ key: a.key, cert: readFileSync(join(dir, "evil.pem"), "utf8") })), /certificate_required|cut off/);
    // made with the real authority's key, but never issued; then one at its end
    sh(`openssl req -new -key cert-1.key -subj /CN=${a.id} | openssl x509 -req -CA ${c.ca} -CAkey ${join(c.state, "ca.key")} -CAcreateserial -CAserial s -days 2 -extfile x -out ghost.pem`);
    assert.equal(await get({ key: a.key, cert: readFileSync(join(dir, "ghost.pem"), "utf8") }), "certificate_revoked");
    sh(`openssl req -new -key cert-1.key -subj /CN=${a.id} | openssl x509 -req -CA ${c.ca} -CAkey ${join(c.state, "ca.key")} -CAserial s -days -1 -extfile x -out old.pem`);
    assert.match(String(await get({ key: a.key, cert: readFileSync(join(dir, "old.pem"), "utf8") })), /certificate_expired|cut off/);
    assert.match(String(await get({ key: readFileSync(join(c.state, "server.key"), "utf8"), cert: readFileSync(join(c.state, "server.pem"), "utf8") })), /certificate_required|cut off/);
    // nobody from the agents' port gets to people's routes, or the other way round
    assert.equal((await a.send("GET", "/api/v1/agents")).status, 404);
    assert.equal((await admin.raw("get", "/agent/v1/config")).status, 404);
  });

  test("renewal; two hosts with one identity are noticed", async () => {
    const a = await enroll("renew-1");
    const renew = () => a.send("POST", "/agent/v1/renew", { csr: a.csr });
    const first = a.cert;
    assert.equal((await renew()).status, 200); // its answer is lost
    const r = await renew();
    assert.equal(r.status, 200);
    a.cert = r.json.certificate;
    assert.equal((await a.send("POST", "/agent/v1/heartbeat", { seq: 0 })).status, 200);
    a.cert = first;
    assert.equal((await a.send("GET", "/agent/v1/config")).status, 200); // still good for everything else
    const clone = await renew();
    assert.deepEqual([clone.status, clone.json.error.code], [409, "cloned"]);
    assert.equal((await admin.ok("get", "/api/v1/agents/{id}", { params: { id: a.id } })).state, "cloned");
  });

  test("revocation bites at the next request of an open connection", async () => {
    const a = await enroll("revoke-1");
    const keep = new HttpsAgent({ keepAlive: true, maxSockets: 1, ca, key: a.key, cert: a.cert });
    const get = () => call(a.token.address, "GET", "/agent/v1/config", { ca, key: a.key, cert: a.cert, agent: keep });
    assert.equal((await get()).status, 200);
    await admin.ok("post", "/api/v1/agents/{id}/revoke", { params: { id: a.id } });
    assert.equal((await get()).json.error.code, "certificate_revoked");
    keep.destroy();
    assert.equal((await admin.ok("get", "/api/v1/agents", { query: { state: "revoked" } })).items.length, 1);
  });

  test("configuration: long polls wake when a policy changes, and end in time", async () => {
    const agents = await Promise.all([1, 2, 3].map((i) => enroll(`poll-${i}`)));
    const now = (await agents[0]!.send("GET", "/agent/v1/config")).json;
    assert.ok(now.policies.some((p: any) => p.name === "web" && p.revision === 2));
    assert.match(now.policy_revision, /^[0-9a-f]{64}$/);
    assert.equal(now.intel, null);
    const start = Date.now();
    assert.equal((await agents[0]!.send("GET", `/agent/v1/config?have=${now.revision}&wait=1`)).status, 304);
    assert.ok(Date.now() - start >= 900);
    const polls = agents.map((a) => a.send("GET", `/agent/v1/config?have=${now.revision}&wait=50`));
    await admin.ok("post", "/api/v1/policies", { body: policy("learn"), type: "application/yaml" });
    for (const r of await Promise.all(polls)) {
      assert.equal(r.status, 200);
      assert.ok(r.json.policies.some((p: any) => p.name === "web" && /mode: learn/.test(p.text)));
    }
    assert.ok(Date.now() - start < 20000);
  });

  test("events: at least once on the wire, once in the store; all or nothing", async () => {
    const a = await enroll("events-1");
    const batch = [1, 2, 3].map(() => a.event());
    assert.deepEqual((await a.events(batch)).json, { ack: 3, stored: 3, duplicates: 0 });
    assert.deepEqual((await a.events(batch, 0)).json, { ack: 3, stored: 0, duplicates: 3 }); // replayed
    const four = a.event();
    assert.deepEqual((await a.events([batch[2]!, four], 0)).json, { ack: 4, stored: 1, duplicates: 1 });
    const zstd = execFileSync("zstd", ["-c"], { input: JSON.stringify(a.event()) + "\n" });
    const z = await a.send("POST", "/agent/v1/events?after=4", zstd, { "content-encoding": "zstd" });
    assert.deepEqual(z.json, { ack: 5, stored: 1, duplicates: 0 });
    const bad = async (lines: string, o: { after?: number; headers?: Record<string, string> } = {}) => {
      const r = await a.send("POST", `/agent/v1/events?after=${o.after ?? 5}`, lines, o.headers);
      return [r.status, r.json.error?.code];
    };
    const next = (o: object = {}) => ({ ...a.event(), ...o, seq: 6 });
    assert.deepEqual(await bad("{}"), [400, "bad_event"]);
    assert.deepEqual(await bad(JSON.stringify(next({ type: "party" }))), [400, "bad_event"]);
    assert.deepEqual(await bad(JSON.stringify(next()) + " {}"), [400, "bad_event"]);
    assert.deepEqual(await bad(JSON.stringify(next()).replace('"host"', '"seq":7,"host"')), [400, "bad_event"]);
    assert.deepEqual(await bad(`${JSON.stringify(next())}\n${JSON.stringify(next())}`), [400, "bad_event"]); // not rising
    assert.deepEqual(await bad(JSON.stringify(next({ detail: { x: "y".repeat(70000) } }))), [400, "bad_event"]);
    assert.deepEqual(await bad("not zstd", { headers: { "content-encoding": "zstd" } }), [400, "bad_event"]);
    assert.deepEqual(await bad("x", { headers: { "content-encoding": "gzip" } }), [415, "unsupported_type"]);
    const bomb = execFileSync("sh", ["-c", "head -c 300000000 /dev/zero | zstd -c"], { maxBuffer: 1 << 26 });
    assert.equal((await a.send("POST", "/agent/v1/events?after=5", bomb, { "content-encoding": "zstd" })).status, 413);
    assert.equal((await a.send("POST", "/agent/v1/events?after=5", Buffer.alloc(17 << 20, 10))).status, 413);
    const order = await a.send("POST", "/agent/v1/events?after=90", JSON.stringify({ ...a.event(), seq: 91 }));
    assert.deepEqual([order.status, order.json.error.code, order.json.ack], [409, "out_of_order", 5]);
    const forced = await a.send("POST", "/agent/v1/events?after=90&force=true", JSON.stringify({ ...a.event(), seq: 91 }));
    assert.deepEqual(forced.json, { ack: 91, stored: 1, duplicates: 0 });
    const agent = await admin.ok("get", "/api/v1/agents/{id}", { params: { id: a.id } });
    assert.deepEqual([agent.seq, agent.lost], [91, 85]);
    const found = await admin.ok("get", "/api/v1/events", { query: { agent: a.id, order: "asc" } });
    assert.deepEqual(found.items.map((e) => e.seq), [1, 2, 3, 4, 5, 91]);
    assert.deepEqual(found.items[0], batch[0]); // as it came
  });

  test("events: search", async () => {
    const a = await enroll("search-1"), img = "search/app:1";
    const container = (name: string) => ({ ...(a.event().container as object), id: name.padEnd(64, "0"), name, image: img });
    await a.events([
      { ...a.event({ container: container("db-1"), severity: "low", control: "egress", type: "connect", action: "alert", outcome: "detected", level: "detect", time: "2026-01-01T00:00:00.000000Z" }) },
      { ...a.event({ container: container("db-2"), severity: "high", detail: { note: "100%_sure" } }) },
      { ...a.event({ container: null, severity: "info", control: "none", type: "agent", action: "off", outcome: "detected", level: "detect", process: null }) },
    ]);
    const find = async (query: Record<string, string | number>) => (await admin.ok("get", "/api/v1/events", { query: { agent: a.id, ...query } })).items.map((e) => e.type);
    assert.deepEqual(await find({}), ["agent", "exec", "connect"]);
    assert.deepEqual(await find({ container: "db-1" }), ["connect"]);
    assert.deepEqual(await find({ container: "db-2".padEnd(64, "0") }), ["exec"]);
    assert.deepEqual(await find({ image: img }), ["exec", "connect"]);
    assert.deepEqual(await find({ severity: "low" }), ["exec", "connect"]);
    assert.deepEqual(await find({ severity: "high" }), ["exec"]);
    assert.deepEqual(await find({ control: "egress,none" }), ["agent", "connect"]);
    assert.deepEqual(await find({ action: "alert" }), ["connect"]);
    assert.deepEqual(await find({ outcome: "prevented", type: "exec,connect" }), ["exec"]);
    assert.deepEqual(await find({ until: "2026-02-01" }), ["connect"]);
    assert.deepEqual(await find({ since: "2026-02-01" }), ["agent", "exec"]);
    assert.deepEqual(await find({ q: "%_SURE" }), ["exec"]);
    assert.deepEqual(await find({ q: "0%sure" }), []);
    assert.deepEqual(await find({ q: "db-1 connect" }), ["connect"]);
    assert.deepEqual(await find({ host: "elsewhere" }), []);
    const pages: number[] = [];
    for (let cursor: string | null = null; ;) {
      const r: any = await admin.ok("get", "/api/v1/events", { query: { agent: a.id, limit: 2, ...(cursor ? { cursor } : {}) } });
      pages.push(r.items.length);
      if (!(cursor = r.next)) break;
    }
    assert.deepEqual(pages, [2, 1]);
  });

  test("events: following misses nothing and repeats nothing", async () => {
    const a = await enroll("follow-1");
    const seen: number[] = [];
    let cursor = (await admin.ok("get", "/api/v1/events", { query: { agent: a.id, order: "asc", wait: 30 } })).next!;
    const sender = (async () => {
      for (let i = 0; i < 20; i++) assert.equal((await a.events([a.event(), a.event()])).status, 200);
    })();
    while (seen.length < 40) {
      const r = await admin.ok("get", "/api/v1/events", { query: { agent: a.id, order: "asc", wait: 30, cursor, limit: 7 } });
      seen.push(...r.items.map((e) => e.seq));
      cursor = r.next!;
    }
    await sender;
    assert.deepEqual(seen, Array.from({ length: 40 }, (_, i) => i + 1));
    const lines = await admin.raw("get", `/api/v1/events?agent=${a.id}&limit=3`, { headers: { accept: "application/x-ndjson" } });
    assert.equal(lines.text.trim().split("\n").map((l) => JSON.parse(l)).length, 3);
    assert.ok(lines.headers["bulkhead-next"]);
  });

  test("status: what is in force, container by container", async () => {
    const a = await enroll("status-1");
    const config = (await a.send("GET", "/agent/v1/config")).json;
    const ctr = (n: number) => ({ id: String(n).padStart(64, "0"), name: `ctr-${n}`, image: "shop/web:7", image_id: `sha256:${"c".repeat(64)}`, engine: "docker", state: "running", started: null,
      labels: { app: "web" }, policy: { name: "web", revision: 3, mode: "enforce" }, controls: { drift: { action: "block", level: "kill" } } });
    const status = { version: "0.1.0", host: "status-1", kernel: "6.1.0", tier: "trace", engines: ["docker"], started: new Date().toISOString(), config_revision: config.revision,
      policy_revision: config.policy_revision, policy_error: null, intel_revision: null, controls: [{ control: "drift", level: "kill", reason: "no BPF LSM" }], seq: 0, loss: { ring: 2, spool: 1 }, containers: [ctr(1), ctr(2)] };
    const beat = await a.send("POST", "/agent/v1/heartbeat", { seq: 0, loss: {} });
    assert.deepEqual(beat.json, { config_revision: config.revision, status_wanted: true });
    assert.equal((await a.send("PUT", "/agent/v1/status", status)).status, 200);
    const seen = await admin.ok("get", "/api/v1/agents/{id}", { params: { id: a.id } });
    assert.deepEqual([seen.state, seen.tier, seen.up_to_date, seen.lost, seen.containers], ["active", "trace", true, 3, 2]);
    assert.equal((seen.status as any).controls[0].reason, "no BPF LSM");
    const list = await admin.ok("get", "/api/v1/containers", { query: { agent: a.id } });
    assert.deepEqual(list.items.map((i) => [i.name, (i.controls as any).drift.level]), [["ctr-1", "kill"], ["ctr-2", "kill"]]);
    assert.equal((await a.send("PUT", "/agent/v1/status", { ...status, containers: [ctr(2)] })).status, 200);
    assert.equal((await admin.ok("get", "/api/v1/containers", { query: { agent: a.id } })).items.length, 1);
    assert.equal((await a.send("PUT", "/agent/v1/status", "[]")).status, 400);
  });

  test("reports of agents do not speak for pipelines, nor for each other", async () => {
    const a = await enroll("report-1"), b = await enroll("report-2"), id = `sha256:${"d".repeat(64)}`;
    const verdict = { image_id: id, allow: true, reasons: [] };
    assert.equal((await a.send("POST", "/agent/v1/reports", { image_id: id, names: ["x:1"], report: null, verdict })).status, 200);
    assert.equal((await admin.ok("get", "/api/v1/images/{id}", { params: { id: "x:1" } })).id, id);
    assert.equal((await b.send("GET", `/agent/v1/inventories/${id}`)).status, 404);
    assert.equal((await a.send("POST", "/agent/v1/reports", { image_id: "sha256:x" })).status, 400);
    assert.equal((await a.send("POST", "/agent/v1/reports", { image_id: id, report: { image: { id: `sha256:${"e".repeat(64)}` } } })).status, 400);
  });

  test("reports of pipelines: judged here, again when the policy changes", async (t) => {
    if (needs("umoci")) return t.skip("needs umoci");
    const layout = join(dir, "oci"), report = join(dir, "report.json");
    execFileSync("umoci", ["init", "--layout", layout]);
    for (const tag of ["root", "user"]) execFileSync("umoci", ["new", "--image", `${layout}:${tag}`]);
    execFileSync("umoci", ["config", "--image", `${layout}:user`, "--config.user", "1000"]);
    const ci = new Api(c.url, ca, (await admin.ok("post", "/api/v1/tokens", { body: { kind: "ci" } })).token);
    const hand = async (tag: string) => {
      const r = await run(program("bulkhead"), ["scan", `oci:${layout}:${tag}`, "--format", "json", "--output", report, "--quiet"]);
      assert.equal(r.code, 0, r.stderr);
      const json = JSON.parse(readFileSync(report, "utf8"));
      // the id is what the standard says: the digest of the config, by umoci's own files
      const manifest = JSON.parse(readFileSync(join(layout, "index.json"), "utf8")).manifests.find((m: any) => m.annotations["org.opencontainers.image.ref.name"] === tag);
      const id = JSON.parse(readFileSync(join(layout, "blobs", ...manifest.digest.split(":")), "utf8")).config.digest;
      return ci.ok("post", "/api/v1/reports", { body: { image_id: id, names: [`shop/${tag}:1`], report: json } });
    };
    const allow = async (tag: string) => ((await ci.ok("get", "/api/v1/images/{id}", { params: { id: `shop/${tag}:1` } })).verdict as any).allow;
    await hand("root");
    await hand("user");
    assert.deepEqual([await allow("root"), await allow("user")], [true, true]); // no policy yet
    await admin.ok("post", "/api/v1/policies", { type: "application/yaml", body: 'kind: ImagePolicy\nname: no-root\nselect: {images: ["shop/*"]}\nrules:\n  - deny: config.user = root\n' });
    await until("the verdict changes", async () => !(await allow("root")));
    assert.equal(await allow("user"), true);
    const denied = await hand("root");
    assert.equal((denied.verdict as any).allow, false);
    assert.match(JSON.stringify((denied.verdict as any).reasons), /config\.user = root/);
    // what a pipeline handed in is there for agents, and no agent replaces it
    const a = await enroll("ci-1");
    const inventory = await a.send("GET", `/agent/v1/inventories/${denied.id}`);
    assert.equal(inventory.status, 200);
    await a.send("POST", "/agent/v1/reports", { image_id: denied.id, names: [], report: null, verdict: { image_id: denied.id, allow: true, reasons: [] } });
    assert.equal(await allow("root"), false);
    assert.deepEqual((await admin.ok("get", "/api/v1/images", { query: { allow: false } })).items.map((i) => i.id), [denied.id]);
    await admin.ok("delete", "/api/v1/policies/{kind}/{name}", { params: { kind: "ImagePolicy", name: "no-root" } });
    await until("the verdict changes back", () => allow("root"));
  });

  test("intel: only what is signed by the key", async () => {
    const key = join(dir, "intel.pem"), pub = join(dir, "intel.pub");
    execFileSync("openssl", ["genpkey", "-algorithm", "ed25519", "-out", key]);
    execFileSync("openssl", ["pkey", "-in", key, "-pubout", "-out", pub]);
    const put = (body: Buffer | string) => admin.run("put", "/api/v1/intel", { body, type: "application/octet-stream" });
    assert.equal(((await put("x")).json as any).error.code, "no_key");
    await admin.ok("put", "/api/v1/intel/key", { body: readFileSync(pub, "utf8"), type: "application/x-pem-file" });
    assert.ok((await put("this is not intel")).status >= 400);
    const a = await enroll("intel-1");
    assert.equal((await a.send("GET", "/agent/v1/intel")).status, 404);
    const feeds = join(dir, "feeds"), db = join(dir, "intel.db");
    execFileSync("mkdir", ["-p", feeds]);
    writeFileSync(join(feeds, "main.json"), JSON.stringify({ distroversion: "v3.19", reponame: "main", urlprefix: "https://dl-cdn.alpinelinux.org/alpine", apkurl: "{{urlprefix}}/{{distroversion}}/{{reponame}}/{{arch}}/{{pkg.name}}-{{pkg.ver}}.apk",
      packages: [{ pkg: { name: "zlib", secfixes: { "1.2.12-r2": ["CVE-2022-37434"] } } }] }));
    const built = await run(program("bulkhead"), ["intel", "build", "--feeds", feeds, "--output", db, "--sign", key]);
    assert.equal(built.code, 0, built.stderr);
    const bytes = readFileSync(db), other = Buffer.from(bytes);
    other[other.length >> 1]! ^= 1;
    assert.ok((await put(other)).status >= 400);
    const taken = await put(bytes);
    assert.equal(taken.status, 200, taken.text);
    const config = (await a.send("GET", "/agent/v1/config")).json;
    assert.equal(config.intel.revision, (taken.json as any).revision);
    assert.equal(config.intel.key, readFileSync(pub, "utf8"));
    const file = await a.send("GET", "/agent/v1/intel");
    assert.equal(Number(file.headers["content-length"]), bytes.length);
    assert.equal((await a.send("GET", "/agent/v1/intel", undefined, { "if-none-match": String(file.headers.etag) })).status, 304);
  });


  test("configuration file; old events go; silent agents are told about; what is not supported says so", async () => {
    const file = join(dir, "console.yaml"), state = join(dir, "second");
    const fails = async (text: string, re: RegExp, args: string[] = []) => {
      writeFileSync(file, text);
      const r = await run(program("bulkhead-console"), ["--config", file, "--state", join(dir, "never"), "--listen", "127.0.0.1:0", ...args], { timeout: 20000 });
      assert.equal(r.code, 2 + Number(args.length > 0), r.stderr);
      assert.match(r.stderr, re);
    };
    await fails("listne: 1\n", /console\.yaml:1: unknown setting "listne"/);
    await fails("heartbeat: 0\n", /console\.yaml:1: heartbeat/);
    await fails("heartbeat: 30\n", /PostgreSQL is not supported/, ["--database", "postgres://x/y"]);
    writeFileSync(file, `state: ${state}\nlisten: 127.0.0.1:0\nlisten-agents: 127.0.0.1:0\nadmin-password-file: ${dir}/second.password\nevents-max: 10\nheartbeat: 1\nname: [console.test]\n`);
    const d = new Daemon("bulkhead-console", program("bulkhead-console"), ["--config", file], join(dir, "second.out"), join(dir, "second.err"));
    cleanup.add("second console", () => d.stop());
    const line: any = await d.readyLine(60000), url = `https://${line.listen}`, its = readFileSync(join(state, "ca.pem"), "utf8");
    assert.match(execFileSync("openssl", ["x509", "-in", join(state, "server.pem"), "-noout", "-ext", "subjectAltName"]).toString(), /DNS:console\.test/);
    const api = await Api.login(url, its, "admin", readFileSync(join(dir, "second.password"), "utf8").trim());
    const t = (await api.ok("post", "/api/v1/tokens", { body: { kind: "agent" } })).token_file as TokenFile;
    assert.match(t.address, /^https:\/\/127\.0\.0\.1:\d+$/);
    const a = await FakeAgent.enroll(dir, t, "second-1");
    await a.events(Array.from({ length: 50 }, () => a.event()));
    await until("old events are gone", async () => (await api.ok("get", "/api/v1/events", { query: { limit: 1000 } })).items.length === 10);
    assert.equal((await a.send("GET", "/agent/v1/config")).json.settings.heartbeat, 1);
    // nothing is heard of it for three heartbeats
    const told = await until("the event", async () => (await api.ok("get", "/api/v1/events", { query: { agent: "console", host: "second-1" } })).items[0], 30000);
    assert.deepEqual([told.rule, (told.detail as any).agent], ["Agent is silent", a.id]);
    assert.equal((await api.ok("get", "/api/v1/agents/{id}", { params: { id: a.id } })).state, "silent");
    await a.send("POST", "/agent/v1/heartbeat", {});
    assert.equal((await api.ok("get", "/api/v1/agents/{id}", { params: { id: a.id } })).state, "active");
    // another console's agents are strangers here
    assert.match(String(await call(c.agentsUrl, "GET", "/agent/v1/config", { ca, key: a.key, cert: a.cert }).then((r) => r.json.error.code, (e) => `cut off: ${e.code}`)), /certificate_required|cut off/);
  });

  test("audit log: everything above is in it, and a change shows", async () => {
    const whole = await admin.ok("get", "/api/v1/audit/verify");
    assert.ok(whole.ok && whole.entries > 20);
    const actions = new Set<string>();
    for (let cursor: string | null = null; ;) {
      const r: any = await admin.ok("get", "/api/v1/audit", { query: { limit: 50, ...(cursor ? { cursor } : {}) } });
      for (const i of r.items) actions.add(`${i.action} ${i.outcome}`);
      if (!(cursor = r.next)) break;
    }
    for (const want of ["console.start ok", "login ok", "login denied", "user.create ok", "token.create ok", "token.revoke ok", "policy.apply ok", "policy.delete ok", "agent.enroll ok", "agent.enroll denied",
      "agent.renew ok", "agent.renew denied", "agent.revoke ok", "users.write denied", "intel.key ok", "intel.put ok", "intel.put failed"])
      assert.ok(actions.has(want), `${want} is missing in ${[...actions].join(", ")}`);
    // no secret went into it, or anywhere else in the clear
    const dump = execFileSync("sqlite3", [join(c.state, "console.db"), ".dump"], { maxBuffer: 1 << 28 }).toString();
    for (const secret of [c.password, admin.token!.split("_").slice(2).join("_"), "correct horse battery"]) assert.ok(!dump.includes(secret));
    const tamper = (sql: string) => execFileSync("sqlite3", ["-cmd", ".timeout 5000", join(c.state, "console.db"), sql]);
    tamper("UPDATE audit SET body = replace(body, '\"actor\":\"user:admin\"', '\"actor\":\"user:bob\"') WHERE id = 5");
    const broken = await admin.ok("get", "/api/v1/audit/verify");
    assert.deepEqual([broken.ok, broken.broken_at], [false, 5]);
    assert.equal((await admin.run("get", "/api/v1/ready")).status, 503);
    tamper("UPDATE audit SET body = replace(body, '\"actor\":\"user:bob\"', '\"actor\":\"user:admin\"') WHERE id = 5");
    assert.ok((await admin.ok("get", "/api/v1/audit/verify")).ok);
    assert.equal((await admin.run("get", "/api/v1/ready")).status, 200);
  });

  test("kill -9 and start again: everything acknowledged is there, everybody is still who they were", async () => {
    const a = await enroll("crash-1");
    for (let i = 0; i < 10; i++) assert.equal((await a.events([a.event(), a.event()])).status, 200);
    const before = { policies: await admin.ok("get", "/api/v1/policies"), audit: (await admin.ok("get", "/api/v1/audit/verify")).head };
    await c.daemon!.kill();
    await c.start();
    const again = new Api(c.url, ca, admin.token);
    assert.deepEqual((await again.ok("get", "/api/v1/policies")).items, before.policies.items);
    assert.equal((await again.ok("get", "/api/v1/events", { query: { agent: a.id, order: "asc", limit: 100 } })).items.length, 20);
    assert.ok((await again.ok("get", "/api/v1/audit/verify")).ok);
    assert.equal((await call(c.agentsUrl, "GET", "/agent/v1/config", { ca, key: a.key, cert: a.cert })).status, 200);
    const metrics = await again.raw("get", "/api/v1/metrics");
    assert.match(metrics.text, /^bulkhead_console_requests_total \d+$/m);
    admin = again;
  });
});
