// The spine: one console, one agent, one engine. An image becomes a verdict, a kernel event a decision, an intent enforcement.
import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Api } from "./lib/api.ts";
import { type Agent, type Console, startAgent, startConsole } from "./lib/bulkhead.ts";
import { type Dockerd, startDockerd } from "./lib/dockerd.ts";
import type { Event } from "./lib/events.ts";
import { Cleanup, needs, program, until } from "./lib/proc.ts";

const skip = needs("dockerd", "docker", "bulkhead", "bulkhead-agent", "bulkhead-console", "bulkhead-runc") ||
  (existsSync(program("bulkhead-console")) ? false : "needs bulkhead-console");
const drop = "cp /bin/busybox /tmp/evil; /tmp/evil id; exit $?";
const web = (mode: string) => `kind: ContainerPolicy\nname: web\nmode: ${mode}\nselect: {images: ["web:*"]}\nprocess: {drift: block, fileless: block}\n`;
const images = `kind: ImagePolicy\nname: nonroot\nselect: {images: ["*"]}\nrules:\n  - deny: config.user = root\nunscanned: scan\n`;

describe("the spine", { skip }, () => {
  const cleanup = new Cleanup();
  let d: Dockerd, c: Console, agent: Agent, api: Api, id = "";
  const apply = async (text: string) => {
    const from = agent.events.mark();
    await api.ok("post", "/api/v1/policies", { body: text, type: "application/yaml" });
    await agent.events.wait("the agent has the set", (e) => e.type === "policy" && /^Policies (changed|loaded)/.test(e.rule), from, 30000);
  };

  before(async () => {
    d = await startDockerd(cleanup);
    await d.busybox("web:1", { changes: ["USER 65534:65534"] });
    await d.busybox("root:1");
    c = await startConsole(cleanup);
    api = await Api.login(c.url, readFileSync(c.ca, "utf8"), "admin", c.password);
    agent = await startAgent(cleanup, { dockerd: d, start: false });
    const token = join(agent.dir, "token.json");
    writeFileSync(token, JSON.stringify((await api.ok("post", "/api/v1/tokens", { body: { kind: "agent" } })).token_file), { mode: 0o600 });
    await agent.start(["--token-file", token]);
    const r = await agent.run("engine", "enable", "--config", d.configFile, "--state", agent.state, "--engine", d.url, "--pidfile", d.pidFile,
      "--authz-socket", agent.socket, "--bpf-dir", agent.bpfDir, "--guard", program("bulkhead-runc"));
    assert.equal(r.code, 0, r.stderr);
  });
  after(() => cleanup.run());

  test("a policy of the console decides which images run here", async () => {
    await apply(`${images}---\n${web("audit")}`);
    const refused = await d.docker("run", "--rm", "--name", "refused", "root:1", "true");
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /nonroot/);
    id = await d.ok("run", "-d", "--name", "shop", "web:1", "sleep", "1000");
    const told = await until("refusal in the console", async () =>
      (await api.ok("get", "/api/v1/events", { query: { type: "gate" } })).items.find((e: Event) => e.control === "image"), 30000);
    assert.equal(told.outcome, "prevented");
    const image = (await d.ok("image", "inspect", "-f", "{{.Id}}", "root:1"));
    await until("the verdict in the console", async () => (await api.raw("get", `/api/v1/verdicts/${image}`)).status < 300 ||
      (await api.raw("get", "/api/v1/images")).text.includes(image), 30000);
  });

  test("audit tells, and an applied enforce kills without a restart", async () => {
    assert.notEqual((await d.docker("exec", "-u", "0", "shop", "sh", "-c", drop)).code, 137);
    const found = (outcome: string) => async (): Promise<Event | undefined> =>
      ((await api.ok("get", "/api/v1/events", { query: { control: "drift", outcome } })).items as Event[]).find((e) => e.container?.id === id);
    const seen = await until("detected, in the console", found("detected"), 30000);
    assert.equal(seen.detail.would.action, "block");
    await apply(web("enforce"));
    assert.equal((await d.docker("exec", "-u", "0", "shop", "sh", "-c", drop)).code, 137);
    const killed = await until("killed, in the console", async () => await found("killed")() ?? await found("prevented")(), 30000);
    assert.equal(killed.container.name, "shop");
    assert.equal(killed.policy.name, "web");
    assert.equal(killed.policy.revision, 2);
  });

  test("the console knows what is really in force", async () => {
    const box = await until("container in the console", async () =>
      (await api.ok("get", "/api/v1/containers")).items.find((x: Event) => x.id === id && x.policy?.mode === "enforce"), 30000);
    assert.equal(box.name, "shop");
    assert.match(JSON.stringify(box), /"drift":\{"action":"block","level":"(kill|block)"/);
  });

  test("without the console and the agent the drop stays killed", async () => {
    await d.ok("exec", "-d", "-u", "0", "shop", "sh", "-c", "while :; do /tmp/evil id; echo $? >/tmp/code; sleep 0.1; done");
    const pid = await d.ok("inspect", "-f", "{{.State.Pid}}", "shop");
    await c.stop();
    await agent.daemon?.kill();
    const since = Date.now();
    const code = `/proc/${pid}/root/tmp/code`;
    await until("another try", () => statSync(code).mtimeMs > since + 500 && readFileSync(code, "utf8").trim() !== "");
    assert.equal(readFileSync(code, "utf8").trim(), "137");
  });
});
