// The Docker client (src/engine/docker.c) against a real engine: runs the live part of its unit test.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { startDockerd } from "./lib/dockerd.ts";
import { Cleanup, needs, program, run } from "./lib/proc.ts";

const cleanup = new Cleanup();
const tester = join(program("bulkhead"), "../../../docker_test");
const skip = needs("dockerd", "docker") || (existsSync(tester) ? false : "needs the unit tests built");
after(() => cleanup.run());

test("images, containers, export and events of a real engine", { skip }, async () => {
  const d = await startDockerd(cleanup);
  await d.busybox("bb:1");
  await d.ok("run", "-d", "--name", "web", "--label", "app=web", "--network", "none", "bb:1", "sleep", "600");
  await d.ok("create", "--name", "old", "bb:1", "true");
  const r = await run(tester, [], { env: { ...process.env, BULKHEAD_TEST_DOCKER: d.url } });
  assert.equal(r.code, 0, r.stdout + r.stderr);
  assert.doesNotMatch(r.stdout + r.stderr, /SKIPPED/);
});
