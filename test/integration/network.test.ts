// Network lists whose elements only this host can resolve: peers by name and label wherever they move, names by the
// answers of the container's own resolver.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Agent, startAgent } from "./lib/bulkhead.ts";
import { type Dockerd, startDockerd } from "./lib/dockerd.ts";
import { Cleanup, needs, until } from "./lib/proc.ts";

const cleanup = new Cleanup();
const skip = needs("dockerd", "docker", "bulkhead-agent", "iptables");
let d: Dockerd, agent: Agent;

const policy = (name: string, network: string) => `kind: ContainerPolicy
name: ${name}
mode: enforce
select: {names: ["${name}"]}
process: {drift: alert, fileless: alert}
network: ${network}
`;
const serve = ["sh", "-c", "httpd -p 8080; exec httpd -f -p 8081"];
const address = (name: string, network = "bridge") => d.ok("inspect", "-f", `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, name);
const get = async (from: string, to: string) => (await d.docker("exec", from, "nc", "-w", "5", ...to.split(":"))).code === 0;
const serves = (from: string, to: string) => until(`${from} reaches ${to}`, () => get(from, to));

before(async () => {
  if (skip) return;
  d = await startDockerd(cleanup, { bridge: "172.31.79.1/24" });
  await d.busybox("busy:1");
  agent = await startAgent(cleanup, { dockerd: d, policies: {
    "app.yaml": policy("app", '{egress: {default: deny, allow: ["peer:db:8080/tcp", "peer:tier=cache:8081"]}}'),
    "shut.yaml": policy("shut", '{ingress: {default: deny, allow: ["peer:gue*:8080"]}}'),
    "friend.yaml": policy("friend", '{raw: "off"}\nisolation: {signals: block, allow: ["vic*"]}'),
    "foe.yaml": policy("foe", '{raw: "off"}\nisolation: {signals: block}'),
    "asks.yaml": policy("asks", '{egress: {default: deny, allow: ["dns:web:8080"]}}'),
  } });
  for (const n of ["db", "other"]) await d.ok("run", "-d", "--name", n, "busy:1", ...serve);
  await d.ok("run", "-d", "--name", "cache", "--label", "tier=cache", "busy:1", ...serve);
  await d.ok("run", "-d", "--name", "shut", "busy:1", "httpd", "-f", "-p", "8080");
  for (const n of ["app", "free", "guest"]) await d.ok("run", "-d", "--name", n, "busy:1", "sleep", "1000");
});
after(() => cleanup.run());

describe("peers", { skip }, () => {
  test("are reached on the port the policy names, by name and by label; nobody else is", async () => {
    const [db, other, cache] = [await address("db"), await address("other"), await address("cache")];
    for (const to of [db, other, cache]) await serves("free", `${to}:8080`); // they serve: what is refused is refused
    await serves("app", `${db}:8080`);
    await serves("app", `${cache}:8081`);
    const from = agent.events.mark();
    for (const to of [`${db}:8081`, `${cache}:8080`, `${other}:8080`]) assert.equal(await get("app", to), false, to);
    const told = await agent.events.wait("refusal", (e) => e.container?.name === "app" && e.control === "egress" && e.detail.peer === `${other}:8080`, from);
    assert.equal(told.action, "block");
    assert.equal(told.level, "block");
  });

  test("are followed to another address, and who has the old one is nobody", async () => {
    const old = await address("db");
    await d.ok("stop", "-t", "0", "db");
    await until("its address is no peer any more", async () => !(await get("app", `${old}:8080`)));
    await d.ok("run", "-d", "--name", "heir", "busy:1", ...serve);
    assert.equal(await address("heir"), old);
    await serves("free", `${old}:8080`);
    assert.equal(await get("app", `${old}:8080`), false);
    await d.ok("start", "db");
    assert.notEqual(await address("db"), old);
    await serves("app", `${await address("db")}:8080`);
  });

  test("come in, nobody else does", async () => {
    const shut = await address("shut");
    await serves("guest", `${shut}:8080`);
    assert.equal(await get("free", `${shut}:8080`), false);
    assert.notEqual((await d.docker("exec", "shut", "httpd", "-p", "8081")).code, 0, "nobody may reach it, so it is not bound");
  });
});

describe("names", { skip }, () => {
  test("count once the container's resolver has answered, for the port and the name they stand for", async () => {
    await d.ok("network", "create", "inner");
    for (const n of ["web", "mail"]) await d.ok("run", "-d", "--name", n, "--network", "inner", "busy:1", ...serve);
    for (const n of ["asks", "sees"]) await d.ok("run", "-d", "--name", n, "--network", "inner", "busy:1", "sleep", "1000");
    const [web, mail] = [await address("web", "inner"), await address("mail", "inner")];
    await serves("sees", `${web}:8080`);
    await serves("sees", `${mail}:8080`);
    await until("its policy is in force", async () => !(await get("asks", `${mail}:8080`)));
    assert.equal(await get("asks", `${web}:8080`), false, "nobody asked yet");
    assert.match(await d.ok("exec", "asks", "busybox", "nslookup", "-type=a", "web"), new RegExp(web.replaceAll(".", "\\.")));
    await d.ok("exec", "asks", "busybox", "nslookup", "-type=a", "mail");
    await serves("asks", `${web}:8080`);
    assert.equal(await get("asks", `${web}:8081`), false, "another port");
    assert.equal(await get("asks", `${mail}:8080`), false, "another name");
  });
});

describe("isolation", { skip }, () => {
  const signal = async (from: string) => (await d.docker("exec", from, "sh", "-c", "kill -WINCH 1; echo sent")).stdout.includes("sent");
  test("no signal reaches another container but from whom its policy lets", async () => {
    await d.ok("run", "-d", "--name", "victim", "busy:1", "sleep", "1000");
    for (const n of ["foe", "friend"]) await d.ok("run", "-d", "--name", n, "--pid", "container:victim", "busy:1", "sleep", "1000");
    const from = agent.events.mark();
    await until("the foe's policy is in force", async () => !(await signal("foe")));
    const e = await agent.events.wait("refusal", (x) => x.container?.name === "foe" && x.control === "isolation.signals", from);
    assert.equal(e.action, "block");
    await until("the friend may", () => signal("friend"));
    assert.equal(await d.ok("inspect", "-f", "{{.State.Running}}", "victim"), "true");
  });
});
