// `bulkhead policy` from outside: answers, exit codes, and the schemas in api/ as a validator of others reads them.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { bulkhead } from "./lib/bulkhead.ts";
import { Cleanup, tempDir, top } from "./lib/proc.ts";

const cleanup = new Cleanup();
after(() => cleanup.run());
const dir = tempDir(cleanup);
const file = (name: string, text: string) => {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
};
const validator = (name: string) => {
  const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, allErrors: true });
  ajv.addVocabulary(["x-ecs", "x-ocsf"]);
  return ajv.compile(JSON.parse(readFileSync(join(top, "api", name), "utf8")));
};

test("the shipped policies are in order, also for the schema", async () => {
  const r = await bulkhead(["policy", "check", join(top, "policies"), "--json"]);
  assert.equal(r.code, 0, r.stderr);
  const set = JSON.parse(r.stdout);
  const valid = validator("policy.schema.json");
  assert.ok(set.documents.length >= 2);
  assert.deepEqual(set.notices, []);
  assert.match(set.revision, /^[0-9a-f]{64}$/);
  for (const d of set.documents) assert.ok(valid(d.document), JSON.stringify(valid.errors));
  assert.ok(!valid({ kind: "ImagePolicy", name: "x", rules: [{ denny: "malware exists" }] }));
});

test("a mistake is told by file, line and field, and ends in 2", async () => {
  const bad = file("bad.yaml", "kind: ImagePolicy\nname: x\nrules:\n  - deny: vuln.sevrity >= high\n");
  const r = await bulkhead(["policy", "check", bad]);
  assert.equal(r.code, 2);
  assert.equal(r.stdout, "");
  assert.equal(r.stderr.trim(), `bulkhead policy check: ${bad}:4: policy x: rules[0].deny: column 1: unknown field vuln.sevrity; did you mean vuln.severity?`);
  assert.equal((await bulkhead(["policy", "check", join(dir, "none.yaml")])).code, 2);
  assert.equal((await bulkhead(["policy", "check"])).code, 2);
  assert.equal((await bulkhead(["policy", "chek"])).code, 2);
  assert.equal((await bulkhead(["policy", "--help"])).code, 0);
});

test("what is read but not enforced is said", async () => {
  const r = await bulkhead(["policy", "check", file("later.yaml", "kind: ContainerPolicy\nname: x\nprocess: {users: [www-data]}\n")]);
  assert.equal(r.code, 0, r.stderr);
  assert.match(r.stdout, /^notice: policy x: process\.users.*$/m);
});

test("simulate: recorded events against a draft", async () => {
  const container = { id: "0".repeat(64), name: "web-1", image: "web:1", image_id: null, image_digest: null, engine: "docker", labels: {} };
  const event = (control: string, exe: string, outcome: string) =>
    JSON.stringify({ type: "exec", control, outcome, container, process: { pid: 2, exe } });
  const events = file("events.jsonl", [event("drift", "/tmp/x", "detected"), event("drift", "/tmp/x", "detected"), event("none", "/bin/nc", "allowed"), event("none", "/bin/ls", "allowed")].join("\n") + "\n");
  const draft = (mode: string) => file(`${mode}.yaml`, `kind: ContainerPolicy\nname: w\nmode: ${mode}\nprocess: {drift: block, deny: [/bin/nc]}\n`);
  const enforce = await bulkhead(["policy", "simulate", "--events", events, "--policy", draft("enforce"), "--json"]);
  assert.equal(enforce.code, 1, enforce.stderr); // what went through would be stopped
  assert.deepEqual(JSON.parse(enforce.stdout).map((g: any) => [g.action, g.control, g.exe, g.count]), [
    ["block", "drift", "/tmp/x", 2],
    ["block", "process.deny", "/bin/nc", 1],
  ]);
  const audit = await bulkhead(["policy", "simulate", "--events", events, "--policy", draft("audit"), "--json"]);
  assert.equal(audit.code, 0, audit.stderr);
  assert.deepEqual(JSON.parse(audit.stdout).map((g: any) => g.action), ["would block", "would block"]);
});

test("simulate: stored scan reports against a draft", async () => {
  const root = join(dir, "root"), inventories = join(dir, "inventories");
  mkdirSync(join(root, "etc"), { recursive: true });
  mkdirSync(join(root, "var/lib/dpkg"), { recursive: true });
  mkdirSync(inventories);
  writeFileSync(join(root, "etc/os-release"), "ID=debian\nVERSION_ID=12\n");
  writeFileSync(join(root, "var/lib/dpkg/status"), "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2.15-2+b8\n\n");
  const scan = await bulkhead(["scan", `dir:${root}`, "--format", "json", "--output", join(inventories, "a.json")]);
  assert.equal(scan.code, 0, scan.stderr);
  const draft = (rule: string) => file("draft.yaml", `kind: ImagePolicy\nname: d\nrules: [{deny: '${rule}'}]\n`);
  const denied = await bulkhead(["policy", "simulate", "--inventories", inventories, "--policy", draft("package.name = bash")]);
  assert.equal(denied.code, 1, denied.stderr);
  assert.match(denied.stdout, /allow -> deny .*\n.*deny d: package bash 5\.2\.15-2\+b8/);
  const fine = await bulkhead(["policy", "simulate", "--inventories", inventories, "--policy", draft("package.name = zsh")]);
  assert.equal(fine.code, 0, fine.stderr);
});

test("the example of the contract is an event for the schema; what contradicts itself is none", () => {
  const valid = validator("event.schema.json");
  const event: any = {
    id: "01JD0000000000000000000000", time: "2026-11-23T17:00:00.000000Z", seq: 41, host: "node-1", type: "exec", control: "drift",
    rule: "Drop and execute", severity: "critical", action: "block", level: "kill", outcome: "killed",
    container: { id: "a".repeat(64), name: "web-1", image: "shop/web:7", image_id: "sha256:" + "0".repeat(64), image_digest: null, engine: "docker", labels: {} },
    process: { pid: 812, exe: "/tmp/x", args: ["/tmp/x", "-d"], uid: 33, started: "2026-11-23T16:59:59.000000Z", parents: [{ pid: 800, exe: "/bin/sh" }] },
    user: { name: "alice", via: "docker-exec" }, policy: { name: "web", revision: 12 }, detail: {},
  };
  assert.ok(valid(event), JSON.stringify(valid.errors));
  for (const change of [{ outcome: "prevented" }, { type: "execve" }, { container: { id: "x" } }, { type: "gap" }, { extra: 1 }])
    assert.ok(!valid({ ...(event as object), ...change }), JSON.stringify(change));
});
