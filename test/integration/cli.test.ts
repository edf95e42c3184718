// The command line: what --help says is in the manual and in the completions; then everything against the real console.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { bulkhead, type Console, startConsole } from "./lib/bulkhead.ts";
import { Cleanup, needs, program, run, tempDir, top } from "./lib/proc.ts";

const missing = existsSync(program("bulkhead")) ? false : "needs bulkhead";
const table = () => readFileSync(join(top, "src/cli/command.tbl.h"), "utf8");
const commands = () => [...table().matchAll(/^COMMAND\((\w+),/gm)].map((m) => m[1]!);
const longs = (text: string) => [...new Set([...text.matchAll(/(?<![\w-])--([a-z][a-z-]+)/g)].map((m) => m[1]!))];
// "Fl -name" is how mdoc writes --name
const manual = (page: string) => new Set([...readFileSync(join(top, "packaging/man", page), "utf8").matchAll(/Fl -([a-z-]+)/g)].map((m) => m[1]!));

describe("help, manual, completion", { skip: missing }, () => {
  test("every command explains itself, and wrong usage is exit 2", async () => {
    for (const c of commands()) {
      const help = await bulkhead([c, "--help"]);
      assert.equal(help.code, 0, c);
      assert.match(help.stdout, new RegExp(`usage: bulkhead ${c}`));
      const wrong = await bulkhead([c, "--no-such-option"]);
      assert.equal(wrong.code, 2, `${c}: ${wrong.stderr}`);
      assert.notEqual(wrong.stderr, "");
    }
    assert.equal((await bulkhead(["no-such-command"])).code, 2);
    assert.equal((await bulkhead([])).code, 2);
  });

  test("every command and option is in bulkhead(1)", async () => {
    const known = manual("bulkhead.1"), text = readFileSync(join(top, "packaging/man/bulkhead.1"), "utf8");
    for (const c of commands()) {
      assert.match(text, new RegExp(`^\\.Ss ${c}\\b`, "m"), `bulkhead(1) lacks ${c}`);
      // examples of other programs follow two blanks in the help of intel
      const help = (await bulkhead([c, "--help"])).stdout.split("\n").filter((l) => !/openssl|bulkhead-agent/.test(l)).join("\n");
      for (const o of longs(help)) assert.ok(known.has(o), `bulkhead(1) lacks --${o} of ${c}`);
    }
  });

  test("every option of the daemons is in their manual", async (t) => {
    for (const name of ["bulkhead-agent", "bulkhead-console"]) {
      if (!existsSync(program(name))) {
        t.diagnostic(`skipped: needs ${name}`);
        continue;
      }
      const help = await run(program(name), ["--help"]);
      assert.equal(help.code, 0, help.stderr);
      const known = manual(`${name}.8`);
      for (const o of longs(help.stdout)) assert.ok(known.has(o), `${name}(8) lacks --${o}`);
    }
    const ours = longs(readFileSync(join(top, "src/runc/args.h"), "utf8")).filter((o) => o.startsWith("bulkhead-"));
    for (const o of ours) assert.ok(manual("bulkhead-runc.8").has(o), `bulkhead-runc(8) lacks --${o}`);
  });

  test("the manual pages are in order", async (t) => {
    const probe = await run("groff", ["--version"]).catch(() => undefined);
    if (!probe) return t.skip("needs groff");
    for (const page of ["bulkhead.1", "bulkhead-agent.8", "bulkhead-console.8", "bulkhead-runc.8"]) {
      const r = await run("groff", ["-mdoc", "-Tutf8", "-ww", join(top, "packaging/man", page)]);
      assert.equal(r.code, 0);
      assert.equal(r.stderr, "", page);
    }
  });

  test("bash completes commands, kinds and options", async () => {
    const complete = async (...words: string[]) => {
      const script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _bulkhead; echo "${COMPREPLY[@]}"';
      const r = await run("bash", ["-c", script, "bash", join(top, "packaging/completions/bulkhead.bash"), program("bulkhead"), ...words]);
      return r.stdout.trim().split(" ");
    };
    assert.deepEqual((await complete("")).filter((c) => !c.startsWith("-")).sort(), commands().sort());
    assert.deepEqual(await complete("tok"), ["token"]);
    assert.ok((await complete("get", "")).includes("policies"));
    for (const c of commands()) {
      const help = (await bulkhead([c, "--help"])).stdout, offered = await complete(c, "--");
      for (const o of longs(help)) assert.ok(offered.includes(`--${o}`), `--${o} of ${c}`);
    }
  });
});

describe("against the console", { skip: missing || needs("bulkhead-console") }, () => {
  const cleanup = new Cleanup();
  let home: string, c: Console, env: NodeJS.ProcessEnv;
  const bh = (args: string[], input?: string) => bulkhead(args, env, input);
  const ok = async (args: string[], input?: string) => {
    const r = await bh(args, input);
    assert.equal(r.code, 0, `bulkhead ${args.join(" ")}: ${r.stderr}`);
    return r.stdout;
  };
  const policy = (mode: string) => `kind: ContainerPolicy\nname: web\nmode: ${mode}\nselect: {names: ["web-*"]}\nprocess: {drift: block}\n`;

  before(async () => {
    home = tempDir(cleanup, "bh-cli-");
    env = { HOME: home, XDG_CONFIG_HOME: join(home, "config"), NO_COLOR: "" };
    c = await startConsole(cleanup);
  });
  after(() => cleanup.run());

  test("without a login it says so", async () => {
    const r = await bh(["get", "agents"]);
    assert.equal(r.code, 2);
    assert.match(r.stderr, /^bulkhead get: not logged in; bulkhead login URL comes first$/m);
  });

  test("login: never unverified", async () => {
    const unknown = await bh(["login", c.url, "--user", "admin", "--password-file", c.passwordFile]);
    assert.equal(unknown.code, 3);
    assert.match(unknown.stderr, /has its own authority/);
    const fingerprint = /^ {2}([0-9a-f]{64})$/m.exec(unknown.stderr)?.[1];
    assert.ok(fingerprint, unknown.stderr);
    assert.equal(fingerprint, JSON.parse(readFileSync(c.daemon!.stdoutFile, "utf8").split("\n").find((l) => l.includes("ready"))!).fingerprint);
    // what openssl says of the CA in the console's state directory
    const spki = await run("sh", ["-c", `openssl x509 -in ${c.ca} -pubkey -noout | openssl pkey -pubin -outform DER | sha256sum`]);
    assert.equal(fingerprint, spki.stdout.slice(0, 64));
    const wrong = await bh(["login", c.url, "--user", "admin", "--password-file", c.passwordFile, "--fingerprint", "0".repeat(64)]);
    assert.equal(wrong.code, 3);
    assert.match(wrong.stderr, /not the one given/);
    const otherCa = join(home, "other.pem");
    await run("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null", "-out", otherCa, "-subj", "/CN=other", "-days", "1"]);
    const notIts = await bh(["login", c.url, "--user", "admin", "--password-file", c.passwordFile, "--ca", otherCa]);
    assert.equal(notIts.code, 3);
    assert.match(notIts.stderr, /certificate/i);
    const http = await bh(["login", c.url.replace("https:", "http:"), "--user", "admin", "--password-file", c.passwordFile]);
    assert.equal(http.code, 2);
    assert.equal((await bh(["login", c.url, "--user", "admin", "--ca", c.ca], "wrong password\n")).code, 3);
    assert.ok(!existsSync(join(home, "config/bulkhead/console.json")));

    await ok(["login", c.url, "--user", "admin", "--password-file", c.passwordFile, "--fingerprint", `SHA256:${fingerprint.toUpperCase()}`]);
    const file = join(home, "config/bulkhead/console.json");
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.ok(!readFileSync(file, "utf8").includes(c.password));
    await ok(["login", c.url, "--user", "admin", "--password-file", c.passwordFile]); // pinned: no question any more
    assert.match(await ok(["login", c.url, "--user", "admin", "--ca", c.ca], `${c.password}\n`), /^logged in to .* as admin until /);
  });

  test("apply: checked here, revisions, history", async () => {
    const file = join(home, "p.yaml");
    writeFileSync(file, policy("nonsense"));
    const bad = await bh(["apply", "-f", file]);
    assert.equal(bad.code, 2);
    assert.match(bad.stderr, /p\.yaml:3: .*mode/);
    writeFileSync(file, policy("audit"));
    assert.match(await ok(["apply", "-f", file, "--dry-run"]), /would be created/);
    assert.equal((JSON.parse(await ok(["get", "policies", "--json"])) as { name: string }[]).filter((p) => p.name === "web").length, 0);
    assert.match(await ok(["apply", "-f", file, "--note", "first"]), /ContainerPolicy\/web {2}created, revision \d+/);
    assert.match(await ok(["apply", "-f", file]), /unchanged/);
    assert.match(await ok(["policy", "plan", file]), /unchanged/);
    assert.match(await ok(["apply", "-f", "-"], policy("enforce")), /updated, revision \d+/);
    assert.match(await ok(["get", "policy", "ContainerPolicy/web"]), /^mode: enforce$/m);
    assert.match(await ok(["get", "policies", "--format", "yaml"]), /^mode: enforce$/m);
    assert.match(await ok(["get", "policies"]), /^KIND +NAME +REVISION/);
    const gone = await bh(["get", "policy", "ContainerPolicy/none"]);
    assert.equal(gone.code, 2);
    assert.match(gone.stderr, /status 404/);
    await ok(["delete", "policy", "ContainerPolicy/web"]);
    assert.equal((await bh(["get", "policy", "ContainerPolicy/web"])).code, 2);
  });

  test("tokens: a file for agents, a login for pipelines, revocation", async () => {
    const file = join(home, "node.token");
    assert.match(await ok(["token", "create", "--kind", "agent", "--expires", "1h", "--output", file]), /^agent token \S+, until /);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const t = JSON.parse(readFileSync(file, "utf8")) as Record<string, string>;
    assert.deepEqual(Object.keys(t).sort(), ["address", "ca", "expires", "id", "secret"]);
    assert.equal(t.ca!.trim(), readFileSync(c.ca, "utf8").trim());
    const ci = join(home, "ci.token");
    await ok(["token", "create", "--kind", "ci", "--note", "pipeline", "--output", ci]);
    assert.match(await ok(["token", "list"]), /pipeline/);
    const id = (JSON.parse(await ok(["token", "list", "--json"])) as { id: string; note: string }[]).find((x) => x.note === "pipeline")!.id;
    // as the pipeline: another home
    const pipeline = { HOME: home, XDG_CONFIG_HOME: join(home, "ci") };
    mkdirSync(join(home, "ci"));
    const login = await bulkhead(["login", c.url, "--token-file", ci, "--ca", c.ca], pipeline);
    assert.equal(login.code, 0, login.stderr);
    const denied = await bulkhead(["token", "list"], pipeline);
    assert.equal(denied.code, 3);
    assert.match(denied.stderr, /status 403/);
    await ok(["token", "revoke", id]);
    const revoked = await bulkhead(["get", "images"], pipeline);
    assert.equal(revoked.code, 3);
    assert.match(revoked.stderr, /does not take this login any more/);
  });

  test("lists for people and for programs", async () => {
    for (const kind of ["agents", "images", "verdicts", "containers", "policies", "events", "audit", "tokens", "users", "intel"]) {
      assert.match(await ok(["get", kind]), /^[A-Z]/, kind);
      JSON.parse(await ok(["get", kind, "--json"]));
    }
    const audit = JSON.parse(await ok(["get", "audit", "--json", "--limit", "3"])) as unknown[];
    assert.equal(audit.length, 3);
    assert.equal(await ok(["events"]), "");
    assert.equal((await bh(["get", "nonsense"])).code, 2);
  });

  test("logout ends the session on the console too", async () => {
    const file = join(home, "config/bulkhead/console.json"), stored = readFileSync(file, "utf8");
    await ok(["logout"]);
    assert.ok(!existsSync(file));
    writeFileSync(file, stored, { mode: 0o600 });
    assert.equal((await bh(["get", "agents"])).code, 3);
  });

  test("a console that is away", async () => {
    const { token } = JSON.parse(readFileSync(join(home, "config/bulkhead/console.json"), "utf8")) as { token: string };
    assert.ok(token);
    await c.stop();
    const r = await bh(["get", "agents"]);
    assert.equal(r.code, 3);
    assert.match(r.stderr, /Connection refused|connect/i);
  });
});
