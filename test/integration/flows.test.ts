// All three flows in one story, told only by the command line: a vulnerable image is refused, an exception lets it run, its
// behaviour is learned, enforcement stops what was dropped, and the console shows it. What is fixed in which version comes
// from a record in the format of the Debian security tracker.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Agent, bulkhead, type Console, startAgent, startConsole } from "./lib/bulkhead.ts";
import { type Dockerd, startDockerd } from "./lib/dockerd.ts";
import { Cleanup, needs, program, run, tempDir, until } from "./lib/proc.ts";

const osRelease = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n';
const dpkg = (version: string) => `Package: libwidget1\nStatus: install ok installed\nArchitecture: amd64\nSource: widget\nVersion: ${version}\n\n`;
const tracker = {
  widget: {
    "CVE-2024-12345": {
      description: "widget: heap overflow in the parser", scope: "remote",
      releases: { bookworm: { fixed_version: "2.0-1+deb12u1", repositories: { bookworm: "2.0-1+deb12u1" }, status: "resolved", urgency: "high" } },
    },
  },
};
const imagePolicy = (exceptions = "") => `kind: ImagePolicy
name: production
select: {images: ["*"]}
rules:
  - deny: vuln.severity >= high and vuln.fixed exists
unscanned: scan
${exceptions}`;
const exception = 'exceptions: [{finding: CVE-2024-12345, package: libwidget1, reason: "not reachable", owner: alice, expires: 2999-01-01}]\n';
const containerPolicy = (mode: string) =>
  `kind: ContainerPolicy\nname: app\nmode: ${mode}\nselect: {names: ["app-*"]}\nprocess: {drift: block, fileless: block}\n`;

describe("all three flows", { skip: needs("dockerd", "docker", "openssl", "bulkhead", "bulkhead-agent", "bulkhead-console", "bulkhead-runc") }, () => {
  const cleanup = new Cleanup();
  let home: string, d: Dockerd, c: Console, agent: Agent, env: NodeJS.ProcessEnv, vulnId: string, fixedId: string;
  const pipedIds: string[] = [];
  const ok = async (args: string[], input?: string) => {
    const r = await bulkhead(args, env, input);
    assert.equal(r.code, 0, `bulkhead ${args.join(" ")}: ${r.stderr}`);
    return r.stdout;
  };
  const apply = async (text: string) => {
    const applied = JSON.parse(await ok(["apply", "-f", "-", "--json"], text)) as { revision: string };
    await until("the agent has it in force", async () => {
      const [a] = JSON.parse(await ok(["get", "agents", "--json"])) as Record<string, any>[];
      return a!.config_revision === applied.revision && a!.up_to_date;
    }, 30000);
  };
  // not run --rm: docker run waits for ever when the start of a created container is refused
  const created = async (name: string, image: string) => {
    const x = await d.docker("create", "--network", "none", "--name", name, image, "echo", "hi");
    if (x.code === 0) await d.ok("rm", name);
    return x;
  };
  const intelOf = async (what: unknown, serial: number) => {
    const feeds = join(home, `feeds-${serial}`), db = join(home, `${serial}.db`);
    mkdirSync(feeds);
    writeFileSync(join(feeds, "tracker.json"), JSON.stringify(what));
    await ok(["intel", "build", "--feeds", feeds, "--output", db, "--sign", join(home, "intel.key"), "--serial", String(serial), "--quiet"]);
    return db;
  };
  const started = (name: string, ...args: string[]) => d.docker("run", "--network", "none", "--name", name, ...args);

  before(async () => {
    home = tempDir(cleanup, "bh-spine-");
    env = { HOME: home, XDG_CONFIG_HOME: join(home, "config") };
    d = await startDockerd(cleanup);
    vulnId = await d.busybox("vuln:1", { files: { "etc/os-release": osRelease, "var/lib/dpkg/status": dpkg("2.0-1") } });
    fixedId = await d.busybox("fixed:1", { files: { "etc/os-release": osRelease, "var/lib/dpkg/status": dpkg("2.0-1+deb12u1") } });
    for (const n of ["2.0-1", "2.0-1+deb12u1"]) pipedIds.push(await d.busybox(`piped:${n.length}`, { files: { "etc/os-release": osRelease, "var/lib/dpkg/status": dpkg(n), piped: n } }));
    c = await startConsole(cleanup);
    await ok(["login", c.url, "--user", "admin", "--password-file", c.passwordFile, "--ca", c.ca]);
  });
  after(() => cleanup.run());

  test("intel is built, signed, and given to the console", async () => {
    const key = join(home, "intel.key"), pub = join(home, "intel.pub"), feeds = join(home, "feeds"), db = join(home, "intel.db");
    await run("openssl", ["genpkey", "-algorithm", "ed25519", "-out", key]);
    await run("openssl", ["pkey", "-in", key, "-pubout", "-out", pub]);
    mkdirSync(feeds);
    writeFileSync(join(feeds, "tracker.json"), JSON.stringify(tracker));
    await ok(["intel", "build", "--feeds", feeds, "--output", db, "--sign", key, "--quiet"]);
    assert.notEqual((await bulkhead(["put", "intel", db], env)).code, 0, "no key is known yet");
    await ok(["put", "intel-key", pub]);
    assert.match(await ok(["put", "intel", db]), /is in force/);
  });

  test("an agent enrols, gets policy and intel, and takes its place before the engine", async () => {
    await ok(["apply", "-f", "-"], imagePolicy());
    const token = join(home, "agent.token");
    await ok(["token", "create", "--kind", "agent", "--expires", "10m", "--output", token]);
    agent = await startAgent(cleanup, { dockerd: d, args: ["--token-file", token, "--learn-starts", "1", "--learn-time", "1s"] });
    const revision = (JSON.parse(await ok(["get", "intel", "--json"])) as { revision: string }).revision;
    await until("policy and intel are the agent's", async () => {
      const [a] = JSON.parse(await ok(["get", "agents", "--json"])) as Record<string, any>[];
      return a?.up_to_date && a.intel_revision === revision && existsSync(join(agent.state, "policy/console.yaml"));
    }, 60000);
    assert.ok(!existsSync(token));
    const r = await agent.run("engine", "enable", "--config", d.configFile, "--state", agent.state, "--engine", d.url, "--pidfile", d.pidFile,
      "--authz-socket", agent.socket, "--bpf-dir", agent.bpfDir, "--guard", program("bulkhead-runc"));
    assert.equal(r.code, 0, r.stderr + agent.daemon?.log());
  });

  test("the image with the vulnerable package is refused at create; its fixed twin runs", async () => {
    const r = await started("app-0", "vuln:1", "echo", "hi");
    assert.notEqual(r.code, 0);
    assert.match(r.stderr, /authorization denied by plugin bulkhead: .*CVE-2024-12345/s);
    assert.doesNotMatch(r.stdout, /hi/);
    const twin = await started("twin", "--rm", "fixed:1", "echo", "hi");
    assert.equal(twin.stdout.trim(), "hi", twin.stderr);
    const seen = await until("the console shows the verdict", async () => {
      const images = JSON.parse(await ok(["get", "verdicts", "--json"])) as Record<string, any>[];
      return images.find((i) => i.verdict?.allow === false);
    }, 30000);
    assert.match(await ok(["get", "verdict", seen.id]), /deny.*production.*CVE-2024-12345/s);
  });

  test("what a pipeline scanned and handed in is not scanned again: the gate judges the console's report", async () => {
    for (const [tag, code] of [["5", 1], ["13", 0]] as const) {
      const tar = join(home, `piped-${tag}.tar`);
      await d.ok("save", "-o", tar, `piped:${tag}`);
      assert.equal((await bulkhead(["scan", `archive:${tar}`, "--console", c.url, "--quiet"], env)).code, code);
    }
    const refused = await started("piped-0", "piped:5", "echo", "hi");
    assert.match(refused.stderr, /authorization denied by plugin bulkhead: .*CVE-2024-12345/s);
    const twin = await started("piped-1", "--rm", "piped:13", "echo", "hi");
    assert.equal(twin.stdout.trim(), "hi", twin.stderr);
    const log = agent.daemon!.log();
    for (const id of pipedIds) assert.match(log, new RegExp(`took the console's scan of .*\\(${id}\\)`));
    assert.match(log, new RegExp(`scanned .*\\(${vulnId}\\)`), "which had to be scanned here");
  });

  test("what the policy states in VEX counts at the gate and in pipelines, and what is stale is told", async () => {
    const statement = (id: string) => `{finding: ${id}, status: not_affected, justification: vulnerable_code_not_in_execute_path, package: widget, owner: bob, expires: 2999-01-01}`;
    await apply(imagePolicy(`vex: [${statement("CVE-2024-12345")}, ${statement("CVE-1999-0001")}]\n`));
    const r = await until("it runs", async () => {
      const x = await started("vexed", "--rm", "piped:5", "echo", "hi");
      return x.code === 0 ? x : undefined;
    }, 30000);
    assert.equal(r.stdout.trim(), "hi");
    assert.equal((await bulkhead(["scan", `archive:${join(home, "piped-5.tar")}`, "--console", c.url, "--quiet"], env)).code, 0);
    const image = await until("judged again", async () => {
      const i = JSON.parse(await ok(["get", "verdict", pipedIds[0]!, "--json"])) as Record<string, any>;
      return i.verdict?.allow ? i : undefined;
    }, 30000);
    assert.deepEqual(image.verdict.stale_exceptions.map((x: Record<string, unknown>) => [x.policy, x.what, x.owner, x.unused]), [["production", "CVE-1999-0001", "bob", true]]);
    await apply(imagePolicy());
    await until("refused again", async () => (await created("vexed-1", "piped:5")).code !== 0, 30000);
  });

  test("simulate: what a draft, or newer intel, would newly refuse of what the console knows; nothing is put into force", async () => {
    const draft = join(home, "draft.yaml"), before = await ok(["get", "verdicts", "--json"]);
    writeFileSync(draft, imagePolicy().replace("and vuln.fixed exists", 'and vuln.fixed exists\n  - deny: package.name = libwidget1') + exception.replace("CVE-2024-12345", "CVE-1999-0001"));
    let r = await bulkhead(["policy", "simulate", "--console", c.url, "--policy", draft], env);
    assert.equal(r.code, 1, r.stderr);
    assert.match(r.stdout, /^allow -> deny   piped:13$/m);
    assert.ok(r.stdout.includes(`allow -> deny   ${fixedId}\n`), r.stdout);
    assert.match(r.stdout, /deny production: package libwidget1 2\.0-1\+deb12u1/);
    assert.match(r.stdout, /^stale: policy production, CVE-1999-0001 in libwidget1 of alice: does nothing in 4 of the images judged$/m);
    assert.match(r.stdout, /^4 images judged, 2 newly denied, 0 newly allowed, 4 denied in all$/m); // fixed:1, piped:13
    writeFileSync(draft, imagePolicy(exception));
    r = await bulkhead(["policy", "simulate", "--console", c.url, "--policy", draft, "--json"], env);
    assert.equal(r.code, 0, r.stderr);
    const said = JSON.parse(r.stdout);
    assert.deepEqual([said.judged, said.newly_denied, said.newly_allowed, said.denied_before], [4, 0, 2, 2]);
    const more = { widget: { ...tracker.widget, "CVE-2024-77777": { description: "x", releases: { bookworm: { fixed_version: "2.0-2", status: "resolved", urgency: "high" } } } }, other: { "CVE-2024-5": { description: "y", releases: { bookworm: { fixed_version: "9", status: "resolved", urgency: "high" } } } } };
    r = await bulkhead(["policy", "simulate", "--console", c.url, "--intel", await intelOf(more, 7)], env);
    assert.equal(r.code, 1, r.stderr);
    assert.match(r.stdout, /deny production: CVE-2024-77777 \(high\) in libwidget1/);
    assert.match(r.stdout, /2 newly denied/);
    const elsewhere = await bulkhead(["policy", "simulate", "--console", c.url, "--intel", await intelOf({ ...tracker, other: more.other }, 8)], env);
    assert.equal(elsewhere.code, 0);
    assert.match(elsewhere.stdout, /^0 images concerned, 0 newly denied/m);
    await run("openssl", ["genpkey", "-algorithm", "ed25519", "-out", join(home, "other.key")]);
    await ok(["intel", "build", "--feeds", join(home, "feeds"), "--output", join(home, "forged.db"), "--sign", join(home, "other.key"), "--quiet"]);
    assert.match((await bulkhead(["policy", "simulate", "--console", c.url, "--intel", join(home, "forged.db")], env)).stderr, /signature/);
    assert.equal((await bulkhead(["policy", "simulate", "--console", c.url], env)).code, 2);
    assert.equal(await ok(["get", "verdicts", "--json"]), before);
  });

  test("newer intel goes to the agent, and what it says is refused", async () => {
    const r = await started("newer-0", "--rm", "fixed:1", "echo", "hi");
    assert.equal(r.stdout.trim(), "hi", r.stderr);
    const more = { widget: { ...tracker.widget, "CVE-2024-99999": { description: "widget: another", releases: { bookworm: { fixed_version: "2.0-2", status: "resolved", urgency: "high" } } } } };
    await ok(["put", "intel", await intelOf(more, 2)]);
    const refused = await until("the gate goes by it", async () => {
      const x = await created("newer-1", "fixed:1");
      return x.code !== 0 ? x : undefined;
    }, 30000);
    assert.match(refused.stderr, /CVE-2024-99999/);
    await ok(["put", "intel", await intelOf(tracker, 3)]);
    await until("and lifted by the next", async () => (await created("newer-2", "fixed:1")).code === 0, 30000);
  });

  test("an exception with an owner lets it run", async () => {
    await apply(imagePolicy(exception) + "---\n" + containerPolicy("learn"));
    const r = await until("it runs", async () => {
      const x = await started("app-1", "-d", "vuln:1", "sleep", "1000");
      if (x.code !== 0) await d.docker("rm", "-f", "app-1");
      return x.code === 0 ? x : undefined;
    }, 30000);
    assert.equal(r.code, 0);
    assert.equal(await d.ok("exec", "app-1", "id", "-u"), "0");
  });

  test("its behaviour is learned; nothing is stopped meanwhile", async () => {
    assert.equal(await d.ok("exec", "app-1", "sh", "-c", "cp /bin/busybox /tmp/echo; /tmp/echo alive"), "alive");
    await until("a profile", () => existsSync(join(agent.state, "profiles")) && readdirSync(join(agent.state, "profiles")).length > 0, 30000);
  });

  test("enforced: a dropped program does not run, the image's own do", async () => {
    await apply(imagePolicy(exception) + "---\n" + containerPolicy("enforce"));
    const out = await until("the drop is stopped", async () => {
      const x = await d.docker("exec", "app-1", "sh", "-c", "mkdir -p /tmp/d; cp /bin/busybox /tmp/d/echo; /tmp/d/echo pwned; echo status $?");
      return /status (137|126)/.test(x.stdout) ? x : undefined;
    }, 20000);
    assert.doesNotMatch(out.stdout, /pwned/);
    assert.equal(await d.ok("exec", "app-1", "echo", "benign"), "benign");
  });

  test("the console tells: which container, program, control, and what became of it", async () => {
    const e = await until("the event is in the console", async () => {
      const lines = (await ok(["events", "--json", "--control", "drift", "--container", "app-1", "--limit", "100"])).trim().split("\n");
      return lines.filter(Boolean).map((l) => JSON.parse(l)).find((x) => x.process?.exe === "/tmp/d/echo" && x.outcome !== "detected");
    }, 30000);
    assert.equal(e.container.name, "app-1");
    assert.equal(e.container.image, "vuln:1");
    assert.equal(e.policy.name, "app");
    assert.ok(e.policy.revision >= 2, `revision ${e.policy.revision}`);
    assert.ok((e.level === "kill" && e.outcome === "killed") || (e.level === "block" && e.outcome === "prevented"), JSON.stringify(e));
    assert.match(await ok(["events", "--control", "drift", "--container", "app-1"]), /app-1 .*drift .*\/tmp\/d\/echo/);
    const containers = JSON.parse(await ok(["get", "containers", "--json"])) as Record<string, any>[];
    assert.equal(containers.find((x) => x.name === "app-1")?.policy?.mode, "enforce");
  });

  test("revoked, the agent goes on enforcing", async () => {
    const [a] = JSON.parse(await ok(["get", "agents", "--json"])) as { id: string }[];
    await ok(["delete", "agent", a!.id, "--revoke"]);
    const stopped = async (file: string) =>
      (await d.docker("exec", "app-1", "sh", "-c", `mkdir -p ${file}; cp /bin/busybox ${file}/echo; ${file}/echo pwned; echo status $?`)).stdout;
    assert.match(await stopped("/tmp/late"), /^status (137|126)$/m);
  });
});
