// Engines other than Docker, several on one host at once: podman with its socket, podman without one. A container from
// before the agent and one after it are under their policy, and their events say container, image and engine.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Agent, startAgent } from "./lib/bulkhead.ts";
import type { Event } from "./lib/events.ts";
import { newPodman, type Podman } from "./lib/podman.ts";
import { Cleanup, needs, tempDir } from "./lib/proc.ts";
import { busyboxTar } from "./lib/rootfs.ts";

const cleanup = new Cleanup(), skip = needs("podman", "runc", "bulkhead-agent");
let p: Podman, silent: Podman, agent: Agent;
const drop = "cp /bin/busybox /tmp/evil; /tmp/evil id; exit $?";
const drift = (e: Event) => e.control === "drift";
const status = () => JSON.parse(readFileSync(join(agent.state, "status.json"), "utf8"));

before(async () => {
  if (skip) return;
  const tar = await busyboxTar(tempDir(cleanup));
  [p, silent] = [newPodman(cleanup), newPodman(cleanup)];
  for (const x of [p, silent]) await x.ok("import", "-c", "ENV=PATH=/bin", tar, x === p ? "localhost/shop:1" : "localhost/silent:1");
  await p.serve();
  await p.ok("run", "-d", "--name", "before", "--label", "team=shop", "--network", "none", "localhost/shop:1", "sleep", "1000");
  agent = await startAgent(cleanup, {
    args: ["--engine", p.url, "--podman-root", silent.root, "--authz-socket", "none"],
    policies: { "all.yaml": 'kind: ContainerPolicy\nname: all\nmode: enforce\nselect: {images: ["localhost/shop:*", "localhost/silent:*"]}\nprocess: {drift: block}\n' },
  });
});
after(() => cleanup.run());

async function named(e: Event, x: Podman, name: string, image: string, id: string): Promise<void> {
  assert.deepEqual([e.container.name, e.container.image, e.container.engine, e.container.id], [name, image, "podman", id]);
  assert.equal(e.container.image_id, `sha256:${await x.ok("image", "inspect", "-f", "{{.Id}}", image)}`);
  assert.equal(e.policy.name, "all");
  assert.ok(["killed", "prevented"].includes(e.outcome), JSON.stringify(e));
}

test("podman: a container from before the agent", { skip }, async () => {
  const from = agent.events.mark();
  assert.equal((await p.podman("exec", "before", "sh", "-c", drop)).code, 137);
  const e = await agent.events.wait("drift", (x) => drift(x) && x.container?.name === "before", from);
  await named(e, p, "before", "localhost/shop:1", await p.ok("inspect", "-f", "{{.Id}}", "before"));
  assert.deepEqual(e.container.labels, { team: "shop" });
  assert.deepEqual(status().engines, ["podman"]);
});

test("podman: one after it, and its benign twin", { skip }, async () => {
  const from = agent.events.mark();
  const id = await p.ok("run", "-d", "--name", "after", "--network", "none", "localhost/shop:1", "sh", "-c", "ls / && id && sleep 1000");
  assert.equal((await p.podman("exec", "after", "sh", "-c", "cp /bin/busybox /tmp/copy; cat /tmp/copy >/tmp/other; id")).code, 0);
  assert.equal((await p.podman("exec", "after", "sh", "-c", drop)).code, 137);
  await named(await agent.events.wait("drift", (x) => drift(x) && x.container?.name === "after", from), p, "after", "localhost/shop:1", id);
  assert.equal(agent.events.matching((x) => drift(x) && x.container?.id === id, from).length, 1);
});

test("podman without a socket: name and image out of its storage", { skip }, async () => {
  const from = agent.events.mark();
  const id = await silent.ok("run", "-d", "--name", "quiet", "--network", "none", "localhost/silent:1", "sleep", "1000");
  assert.equal((await silent.podman("exec", "quiet", "sh", "-c", "id")).code, 0);
  assert.equal((await silent.podman("exec", "quiet", "sh", "-c", drop)).code, 137);
  await named(await agent.events.wait("drift", (x) => drift(x) && x.container?.name === "quiet", from), silent, "quiet", "localhost/silent:1", id);
});
