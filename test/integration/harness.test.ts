// The harness itself, against a real engine without Bulkhead: the benign twin of everything in gate.test.ts.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Dockerd, startDockerd } from "./lib/dockerd.ts";
import { Cleanup, needs } from "./lib/proc.ts";

const cleanup = new Cleanup();
const skip = needs("dockerd", "docker");
let d: Dockerd;
before(async () => {
  if (skip) return;
  d = await startDockerd(cleanup);
  await d.busybox("bb:1");
});
after(() => cleanup.run());

test("a private engine runs a container", { skip }, async () => {
  assert.equal(await d.ok("run", "--rm", "bb:1", "echo", "hi"), "hi");
});

test("raw requests: chunked create, then start", { skip }, async () => {
  const made = await d.request("POST", "/containers/create", { body: { Image: "bb:1", Cmd: ["true"] }, chunked: true });
  assert.equal(made.status, 201, made.text);
  assert.equal((await d.request("POST", `/v1.41/containers/${made.json.Id}/start`)).status, 204);
  assert.equal((await d.request("HEAD", "/_ping")).status, 200);
});

test("containers and images survive a restart of the engine", { skip }, async () => {
  await d.restart();
  assert.match(await d.ok("images"), /bb/);
});
