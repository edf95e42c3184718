// demo: a guided run on a private engine, real at every step: scan, refused image, exception, learning, drift stopped,
// the story in the console. Nothing of this machine's own engine is touched; everything is taken away at the end.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Agent, bulkhead, startAgent, startConsole } from "./integration/lib/bulkhead.ts";
import { type Dockerd, startDockerd } from "./integration/lib/dockerd.ts";
import { Cleanup, needs, program, run, tempDir, until } from "./integration/lib/proc.ts";

const colour = process.stdout.isTTY && !process.env.NO_COLOR;
const bold = (s: string) => (colour ? `\x1b[1m${s}\x1b[0m` : s);
const dim = (s: string) => (colour ? `\x1b[2m${s}\x1b[0m` : s);
let step = 0;
const say = (title: string, why: string) => console.log(`\n${bold(`${++step}. ${title}`)}\n   ${why}`);
const show = (command: string, output: string) =>
  console.log(dim(`   $ ${command}`) + "\n" + output.trimEnd().split("\n").slice(0, 24).map((l) => `     ${l}`).join("\n"));

const cve = "CVE-2022-3602";
const tracker = { openssl: { [cve]: { description: "X.509 email address buffer overflow", scope: "remote",
  releases: { bookworm: { status: "resolved", repositories: { bookworm: "3.0.7-1" }, fixed_version: "3.0.7-1", urgency: "high" } } } } };
const dpkg = "Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.0.5-4\nMaintainer: demo\nDescription: demo\n";
const osRelease = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n';
const images = (exceptions: string) => `kind: ImagePolicy
name: shop
select: {images: ["shop:*"]}
rules:
  - deny: vuln.severity >= high and vuln.fixed exists
exceptions: [${exceptions}]
unscanned: scan
`;
const containers = (mode: string) => `kind: ContainerPolicy
name: shop
mode: ${mode}
select: {images: ["shop:*"]}
process: {drift: block, fileless: block, scripts: alert}
`;

async function demo(cleanup: Cleanup): Promise<void> {
  const dir = tempDir(cleanup, "bh-demo-");
  const env: NodeJS.ProcessEnv = { XDG_CONFIG_HOME: join(dir, "cli"), XDG_CACHE_HOME: join(dir, "cache") };
  const file = (name: string, text: string): string => {
    mkdirSync(join(dir, name, ".."), { recursive: true });
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };
  const cli = async (args: string[], want = 0): Promise<string> => {
    const r = await bulkhead(args, env);
    assert.equal(r.code, want, `bulkhead ${args.join(" ")}: exit ${r.code}: ${r.stderr}${r.stdout}`);
    return r.stdout;
  };

  say("A private engine and an image", "A Docker engine of our own in its own network, and shop:1, whose package list says openssl 3.0.5-4.");
  const d: Dockerd = await startDockerd(cleanup);
  await d.busybox("shop:1", { files: { "var/lib/dpkg/status": dpkg, "etc/os-release": osRelease } });
  show("docker images", await d.ok("images"));

  say("Intelligence", "Advisories become one signed file. Here: one entry in the layout of the Debian security tracker.");
  file("feeds/tracker.json", JSON.stringify(tracker));
  const key = join(dir, "intel.key"), pub = join(dir, "intel.pub"), db = join(dir, "intel.db");
  await run("openssl", ["genpkey", "-algorithm", "ed25519", "-out", key]);
  await run("openssl", ["pkey", "-in", key, "-pubout", "-out", pub]);
  show("bulkhead intel build --feeds feeds --sign intel.key --output intel.db", await cli(["intel", "build", "--feeds", join(dir, "feeds"), "--sign", key, "--output", db]));

  say("Scan", "The image is streamed out of the engine and read in a jail; exit code 1 says deny.");
  const policy = file("image.yaml", images(""));
  const scan = await bulkhead(["scan", "docker:shop:1", "--intel", db, "--intel-key", pub, "--policy", policy], { ...env, DOCKER_HOST: d.url });
  assert.equal(scan.code, 1, scan.stderr);
  show("bulkhead scan docker:shop:1 --intel intel.db --policy image.yaml", scan.stdout);

  say("Console and agent", "The console made its own CA; the agent enrols with a one-hour token file that carries it.");
  const console_ = await startConsole(cleanup);
  await cli(["login", console_.url, "--user", "admin", "--password-file", console_.passwordFile, "--ca", console_.ca]);
  await cli(["put", "intel-key", pub]);
  await cli(["put", "intel", db]);
  const containerFile = file("container.yaml", containers("learn"));
  show("bulkhead apply -f image.yaml -f container.yaml", await cli(["apply", "-f", policy, "-f", containerFile]));
  const token = join(dir, "agent.token");
  await cli(["token", "create", "--kind", "agent", "--expires", "1h", "--output", token]);
  const agent: Agent = await startAgent(cleanup, { dockerd: d, args: ["--console", console_.agentsUrl, "--token-file", token, "--learn-starts", "2", "--learn-time", "1s"], env });
  logs = () => `agent:\n${agent.daemon?.log()}\nconsole:\n${console_.daemon?.log()}`;
  const enable = await agent.run("engine", "enable", "--config", d.configFile, "--state", agent.state, "--engine", d.url, "--pidfile", d.pidFile,
    "--authz-socket", agent.socket, "--bpf-dir", agent.bpfDir, "--guard", program("bulkhead-runc"));
  assert.equal(enable.code, 0, enable.stderr);
  await until("the agent is known", async () => JSON.parse(await cli(["get", "agents", "--json"])).length === 1);
  show("bulkhead get agents", await cli(["get", "agents"]));

  say("The gate", "Docker asks before it creates a container. The refusal names the rule and the way out.");
  const refused = await until("refusal", async () => {
    const r = await d.docker("run", "--rm", "--network", "none", "shop:1", "echo", "hello");
    return r.code !== 0 && r.stderr.includes(cve) ? r : undefined;
  }, 60000);
  show("docker run shop:1 echo hello", refused.stderr);

  say("An exception", "It names one finding, a reason, an owner and an end. The agent has it within a second.");
  file("image.yaml", images(`{finding: ${cve}, package: openssl, reason: "no certificates parsed", owner: alice, expires: 2099-01-31}`));
  show("bulkhead apply -f image.yaml", await cli(["apply", "-f", policy]));
  const web = ["run", "-d", "--network", "none"];
  await until("the exception holds", async () => (await d.docker(...web, "--name", "web-0", "shop:1", "sleep", "600")).code === 0, 30000);
  show("docker run -d shop:1 sleep 600", await d.ok("ps", "--format", "{{.Names}}  {{.Image}}  {{.Status}}"));

  say("Learning", "Policy is in learn mode: the agent writes a profile of what this image executes and says when nothing new comes.");
  for (const n of [1, 2, 3]) await d.ok(...web, "--name", `web-${n}`, "shop:1", "sleep", "600");
  const stable = await agent.events.wait("profile is stable", (e) => e.type === "profile", 0, 60000).catch(() => undefined);
  show("event", stable ? `${stable.rule}: ${JSON.stringify(stable.detail)}` : "the profile is still growing; what follows does not need it");

  say("Enforcement", "From now on code that was not in the image does not run, whoever starts it.");
  file("container.yaml", containers("enforce"));
  show("bulkhead apply -f container.yaml", await cli(["apply", "-f", containerFile]));
  const from = agent.events.mark();
  const attack = "cp /bin/busybox /tmp/miner && /tmp/miner echo mining";
  const stopped = await until("drift is stopped", async () => {
    const r = await d.docker("exec", "web-1", "sh", "-c", attack);
    return r.stdout.includes("mining") ? undefined : r;
  }, 30000);
  show(`docker exec web-1 sh -c '${attack}'`, `${stopped.stderr.trim() || "killed"} (exit ${stopped.code})`);
  const benign = await d.ok("exec", "web-1", "sh", "-c", "ls /bin | head -n 3");
  show("docker exec web-1 sh -c 'ls /bin | head -n 3'", benign);
  const event = await agent.events.wait("drift", (e) => e.control === "drift" && ["prevented", "killed"].includes(e.outcome), from);

  say("The story", "The same event in the console: what, where, who started it, which policy, and at which level we could act.");
  const told = await until("event in the console", async () => {
    const out = await cli(["events", "--control", "drift", "--json", "--limit", "50"]);
    return out.trim().split("\n").filter(Boolean).map((l) => JSON.parse(l)).find((e) => e.id === event.id);
  }, 30000);
  show("bulkhead events --control drift", JSON.stringify({ rule: told.rule, severity: told.severity, action: told.action, level: told.level, outcome: told.outcome,
    container: told.container.name, image: told.container.image, exe: told.process.exe, args: told.process.args, parents: told.process.parents, policy: told.policy }, null, 1));
  console.log(`\n${bold("Done.")} Now on your own engine: make run`);
}

const missing = needs("dockerd", "docker", "openssl", "bulkhead", "bulkhead-agent", "bulkhead-console", "bulkhead-runc");
if (missing) {
  console.error(`demo: ${missing}`);
  process.exit(3);
}
const cleanup = new Cleanup();
let logs = (): string => "";
try {
  await demo(cleanup);
} catch (e) {
  console.error(`\ndemo: step ${step} failed: ${(e as Error).message}\n${logs()}`);
  process.exitCode = 3;
} finally {
  await cleanup.run();
}
