// The line between a real agent and a real console: enrolment, policies down, events up exactly once whatever is killed,
// tokens that are good once, revocation.
import assert from "node:assert/strict";
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import https from "node:https";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Agent, bulkhead, type Console, startAgent, startConsole } from "./lib/bulkhead.ts";
import { Cleanup, needs, run, tempDir, until } from "./lib/proc.ts";

const freePort = () => new Promise<number>((done, fail) => {
  const s = createServer().listen(0, "127.0.0.1", () => {
    const port = (s.address() as { port: number }).port;
    s.close((e) => (e ? fail(e) : done(port)));
  });
});

interface Token { address: string; ca: string; id: string; secret: string }

describe("uplink", { skip: needs("bulkhead", "bulkhead-agent", "bulkhead-console", "openssl") }, () => {
  const cleanup = new Cleanup();
  let home: string, c: Console, agent: Agent, env: NodeJS.ProcessEnv, dropped = 0;
  const ok = async (args: string[], input?: string) => {
    const r = await bulkhead(args, env, input);
    assert.equal(r.code, 0, `bulkhead ${args.join(" ")}: ${r.stderr}`);
    return r.stdout;
  };
  const json = async (...args: string[]) => JSON.parse(await ok([...args, "--json"]));
  const agents = () => json("get", "agents") as Promise<Record<string, any>[]>;
  const token = async (...args: string[]): Promise<string> => {
    const file = join(home, `token-${++dropped}`);
    await ok(["token", "create", "--kind", "agent", "--output", file, ...args]);
    return file;
  };
  /** What an agent does at first: a request signed by its own key, for the secret. */
  const enroll = async (t: Token, secret = t.secret): Promise<{ status: number; code?: string }> => {
    const csr = await run("sh", ["-c", "openssl ecparam -name prime256v1 -genkey -noout 2>/dev/null | openssl req -new -key /dev/stdin -subj /CN=x"]);
    assert.match(csr.stdout, /BEGIN CERTIFICATE REQUEST/, csr.stderr);
    const body = JSON.stringify({ id: t.id, secret, csr: csr.stdout, host: "elsewhere", machine_id: null, version: "0" });
    return new Promise((done, fail) => {
      const rq = https.request(`${t.address}/agent/v1/enroll`, { method: "POST", ca: t.ca, headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) } }, (rs) => {
        let text = "";
        rs.on("data", (d) => (text += d));
        rs.on("end", () => done({ status: rs.statusCode!, code: JSON.parse(text).error?.code }));
      });
      rq.on("error", fail);
      rq.end(body);
    });
  };
  /** An event as bulkhead-runc leaves it for the agent. */
  const drop = (n: number) => {
    for (let i = 0; i < n; i++, dropped++) {
      const path = join(agent.state, "inbox", `${String(dropped).padStart(8, "0")}.json`);
      writeFileSync(`${agent.dir}/part`, JSON.stringify({ time: new Date().toISOString(), type: "gate", control: "image", rule: `marker ${dropped}`,
        severity: "high", action: "block", level: "block", outcome: "prevented", user: { name: null, via: null }, policy: { name: "p", revision: 1 }, detail: {} }));
      renameSync(`${agent.dir}/part`, path);
    }
  };
  const consoleSeqs = async () => {
    const rows = (await json("get", "events", "--limit", "100000")) as { seq: number; type: string }[];
    return rows.filter((e) => e.seq > 0).map((e) => e.seq).sort((a, b) => a - b);
  };
  /** The console has what the agent wrote, each once. The agent's own file is the truth. */
  const exactlyOnce = async () => {
    const written = () => agent.events.read().map((e) => e.seq as number).sort((a, b) => a - b);
    await until("the console has every event", async () => {
      const want = written(), have = new Set(await consoleSeqs());
      return want.length > 0 && want.every((s) => have.has(s));
    }, 60000);
    const have = await consoleSeqs();
    assert.equal(new Set(have).size, have.length, "duplicates");
    assert.deepEqual(have, written());
  };

  before(async () => {
    home = tempDir(cleanup, "bh-uplink-");
    env = { HOME: home, XDG_CONFIG_HOME: join(home, "config") };
    const [people, machines] = [await freePort(), await freePort()];
    c = await startConsole(cleanup, { args: ["--listen", `127.0.0.1:${people}`, "--listen-agents", `127.0.0.1:${machines}`] });
    await ok(["login", c.url, "--user", "admin", "--password-file", c.passwordFile, "--ca", c.ca]);
  });
  after(() => cleanup.run());

  test("an agent enrols with a token, which is then gone", async () => {
    const file = await token("--expires", "10m"), t = JSON.parse(readFileSync(file, "utf8")) as Token;
    agent = await startAgent(cleanup, { args: ["--token-file", file] });
    await until("the agent is listed", async () => (await agents()).length === 1, 30000);
    await until("the token file is gone", () => !existsSync(file));
    const key = statSync(join(agent.state, "console/agent.key"));
    assert.equal(key.mode & 0o777, 0o600);
    assert.notEqual(key.uid, 0, "the key belongs to the unprivileged process");
    const a = (await agents())[0]!;
    assert.equal(a.state, "active");
    const again = await enroll(t);
    assert.deepEqual(again, { status: 401, code: "bad_token" });
  });

  test("tokens: wrong, revoked and spent ones get one answer", async () => {
    const file = await token("--uses", "2"), t = JSON.parse(readFileSync(file, "utf8")) as Token;
    assert.equal((await enroll(t, "x".repeat(t.secret.length))).status, 401);
    assert.equal((await enroll(t)).status, 201);
    await ok(["token", "revoke", t.id]);
    assert.deepEqual(await enroll(t), { status: 401, code: "bad_token" });
    // forget the one that was made here
    const other = (await agents()).find((a) => a.host === "elsewhere")!;
    await ok(["delete", "agent", other.id]);
    assert.equal((await agents()).length, 1);
  });

  test("the line is held by a process that can do nothing else", async () => {
    const children = readFileSync(`/proc/${agent.daemon!.pid}/task/${agent.daemon!.pid}/children`, "utf8").trim().split(" ");
    const status = children.map((p) => readFileSync(`/proc/${p}/status`, "utf8")).find((s) => /^Uid:\t(?!0\t)/m.test(s));
    assert.ok(status, "a child without root");
    assert.match(status, /^NoNewPrivs:\t1$/m);
    assert.match(status, /^Seccomp:\t2$/m);
    assert.match(status, /^CapEff:\t0+$/m);
    assert.match(status, /^CapBnd:/m);
  });

  test("a policy applied on the console is the agent's", async () => {
    const applied = JSON.parse(await ok(["apply", "-f", "-", "--json"],
      'kind: ContainerPolicy\nname: web\nmode: enforce\nselect: {names: ["web-*"]}\nprocess: {drift: block}\n'));
    await until("it is in the agent's state", () => readFileSync(join(agent.state, "policy/console.yaml"), "utf8").includes("name: web"));
    await until("the agent says that it is in force", async () => {
      const a = (await agents())[0]!;
      return a.up_to_date && a.config_revision === applied.revision;
    }, 30000);
  });

  test("events arrive, each once", async () => {
    drop(300);
    await agent.events.wait("the last marker", (e) => e.rule === `marker ${dropped - 1}`);
    await exactlyOnce();
    assert.match(await ok(["events", "--search", `marker ${dropped - 1}`]), /prevented/);
  });

  test("following starts now and sees what comes", async () => {
    const follow = bulkhead(["events", "--follow", "--limit", "0", "--count", "1", "--json", "--severity", "high"], env);
    // it has its cursor when the console has answered it once: markers until it ends
    let done = false;
    follow.then(() => (done = true));
    await until("it saw one", () => { drop(1); return done; }, 20000);
    const r = await follow;
    assert.equal(r.code, 0, r.stderr);
    assert.match(JSON.parse(r.stdout).rule, /^marker/);
    await exactlyOnce();
  });

  test("the console is killed and comes back: nothing is lost, nothing twice", async () => {
    for (let round = 0; round < 3; round++) {
      drop(200);
      await c.daemon!.kill();
      drop(200);
      await agent.events.wait("the last marker", (e) => e.rule === `marker ${dropped - 1}`);
      await c.start();
    }
    await exactlyOnce();
  });

  test("the agent is killed and comes back: same identity, nothing lost, nothing twice", async () => {
    const before = (await agents())[0]!;
    drop(200);
    await agent.daemon!.kill();
    drop(50);
    await agent.start();
    await agent.events.wait("the last marker", (e) => e.rule === `marker ${dropped - 1}`);
    await exactlyOnce();
    const after = await agents();
    assert.equal(after.length, 1);
    assert.equal(after[0]!.id, before.id);
  });

  test("a revoked agent is refused at once and goes on protecting", async () => {
    const id = (await agents())[0]!.id as string, had = await consoleSeqs();
    await ok(["delete", "agent", id, "--revoke"]);
    assert.equal((await agents())[0]!.state, "revoked");
    drop(5);
    await agent.events.wait("the last marker", (e) => e.rule === `marker ${dropped - 1}`);
    await agent.daemon!.ready("the agent says that it is refused", () => /certificate.*revoked|revoked/i.test(readFileSync(agent.daemon!.stderrFile, "utf8")), 90000);
    const seqs = await consoleSeqs();
    assert.deepEqual(seqs.filter((s) => !had.includes(s)), [], "nothing of a revoked agent is stored");
    assert.match(readFileSync(join(agent.state, "policy/console.yaml"), "utf8"), /mode: enforce/);
    assert.ok(!agent.daemon!.exited);
    // a new token brings it back, and what waited on disk arrives
    await agent.stop();
    const file = await token();
    await agent.start(["--token-file", file]);
    await until("it is back", async () => (await agents()).some((a) => a.state === "active"), 30000);
    await until("what waited has arrived", async () => {
      const have = new Set(await consoleSeqs());
      return agent.events.read().every((e) => have.has(e.seq));
    }, 60000);
  });
});
