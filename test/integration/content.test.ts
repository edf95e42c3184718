// What is in the files of an image: malware as yara itself finds it, secrets also in deleted layers and never in clear,
// checks of the configuration; and a benign twin of it all.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Cleanup, needs, program, run, tempDir } from "./lib/proc.ts";

const cleanup = new Cleanup();
const skip = needs("bulkhead", "tar", "openssl");
let dir: string, env: NodeJS.ProcessEnv;
// put together here, so that nothing takes this file for the thing
const eicar = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR" + "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const noise = (n: number) => [...randomBytes(n)].map((b) => alphabet[b % 62]).join("");
const stripe = "sk_live_" + noise(40), password = noise(16);

async function ok(cmd: string, ...args: string[]): Promise<string> {
  const r = await run(cmd, args, { env, timeout: 60000 });
  assert.equal(r.code, 0, `${cmd} ${args.join(" ")}: ${r.stderr}${r.stdout}`);
  return r.stdout;
}
async function report(target: string, ...args: string[]): Promise<{ text: string; findings: any[]; code: number | null; verdict: any; looked_for: string[] }> {
  const r = await run(program("bulkhead"), ["scan", target, "--format", "json", "--quiet", ...args], { env, timeout: 60000 });
  assert.ok(r.code === 0 || r.code === 1, r.stderr);
  return { text: r.stdout, code: r.code, ...JSON.parse(r.stdout) };
}
const of = (findings: any[], kind: string) => findings.filter((f) => f.kind === kind);

/** A docker-archive of these layers (folders), with this config. */
async function image(name: string, layers: string[], config: object, history: object[]): Promise<string> {
  const out = join(dir, name), ids: string[] = [];
  mkdirSync(out, { recursive: true });
  for (const [i, l] of layers.entries()) {
    await ok("tar", "-C", l, "--owner=0", "--group=0", "-cf", join(out, `${i}.tar`), ".");
    ids.push("sha256:" + createHash("sha256").update(readFileSync(join(out, `${i}.tar`))).digest("hex"));
  }
  writeFileSync(join(out, "c.json"), JSON.stringify({ architecture: "amd64", os: "linux", config, rootfs: { type: "layers", diff_ids: ids }, history }));
  writeFileSync(join(out, "manifest.json"), JSON.stringify([{ Config: "c.json", RepoTags: ["shop/web:1"], Layers: layers.map((_, i) => `${i}.tar`) }]));
  await ok("tar", "-C", out, "-cf", `${out}.tar`, "manifest.json", "c.json", ...layers.map((_, i) => `${i}.tar`));
  return `archive:${out}.tar`;
}
function folder(name: string, files: Record<string, string>): string {
  const at = join(dir, name);
  mkdirSync(at, { recursive: true });
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(at, path, ".."), { recursive: true });
    writeFileSync(join(at, path), text);
  }
  return at;
}

before(() => {
  if (skip) return;
  dir = tempDir(cleanup, "bh-content-test-");
  env = { ...process.env, XDG_CACHE_HOME: join(dir, "cache"), HOME: dir };
});
after(() => cleanup.run());

test("secrets: in files, deleted layers, environment and history; shown nowhere", { skip }, async () => {
  const key = await ok("openssl", "genpkey", "-algorithm", "ed25519");
  const low = folder("low", { "app/settings.py": `PAY = "${stripe}"\n`, "root/key.pem": key, "app/.env": `DB_PASSWORD=${password}\n` });
  const high = folder("high", { "app/.wh.settings.py": "" });
  const target = await image("bad", [low, high], { Env: [`API_TOKEN=${password}`, "PATH=/bin"] },
    [{ created_by: "COPY . /" }, { created_by: `RUN |1 NPM_TOKEN=${password} npm ci` }, { created_by: "LABEL x=y", empty_layer: true }]);
  const r = await report(target);
  const secrets = of(r.findings, "secret");
  assert.deepEqual(secrets.map((s) => [s.id, s.origin, s.path, s.hidden]).sort(), [
    ["private_key", "file", "root/key.pem", false],
    ["stripe_key", "file", "app/settings.py", true],
    ["variable", "env", "API_TOKEN", false],
    ["variable", "file", "app/.env", false],
    ["variable", "history", undefined, false],
  ]);
  const body = key.split("\n")[1];
  for (const format of ["json", "table", "cyclonedx", "sarif", "html", "junit", "spdx"]) {
    const out = await run(program("bulkhead"), ["scan", target, "--format", format, "--quiet"], { env, timeout: 60000 });
    for (const secret of [stripe, password, body]) assert.ok(!out.stdout.includes(secret), `${format} holds a secret`);
  }
  const policy = join(dir, "p.yaml");
  writeFileSync(policy, 'kind: ImagePolicy\nname: p\nrules: [{deny: "secret.rule = stripe_key and secret.hidden = true"}, {warn: malware exists}]\n');
  const judged = await report(target, "--policy", policy);
  assert.equal(judged.code, 1);
  assert.match(judged.verdict.reasons[0].text, /stripe_key in app\/settings.py/);
  assert.match(judged.verdict.reasons[1].text, /did not look for malware/);
  assert.deepEqual(of((await report(target, "--no-secrets")).findings, "secret"), []);
});

test("checks: modes, accounts and history; fixed by a later layer is fixed", { skip }, async () => {
  const low = folder("checks", { "opt/tool": "x", "etc/shadow": "root::1::::::\n", "opt/open": "x", "app/.git/HEAD": "ref: refs/heads/main\n" });
  chmodSync(join(low, "opt/tool"), 0o4755);
  chmodSync(join(low, "opt/open"), 0o666);
  const ids = (r: { findings: any[] }) => of(r.findings, "check").map((c) => c.id);
  const history = [{ created_by: "ADD https://example.com/x /x" }];
  const r = await report(await image("checks-image", [low], { ExposedPorts: { "22/tcp": {} } }, history));
  for (const id of ["root_user", "no_healthcheck", "setuid_file", "world_writable_file", "empty_password", "git_repository", "remote_access_port", "add_from_url"])
    assert.ok(ids(r).includes(id), `${id} is missing in ${ids(r)}`);
  const fixed = folder("fixed", { "opt/tool": "x", "opt/open": "x", "etc/shadow": "root:*:1::::::\n", "app/.wh..git": "" });
  chmodSync(join(fixed, "opt/tool"), 0o755);
  chmodSync(join(fixed, "opt/open"), 0o644);
  const config = { User: "app", Healthcheck: { Test: ["CMD", "true"] }, ExposedPorts: { "8080/tcp": {} } };
  const twin = await report(await image("checks-twin", [low, fixed], config, [{ created_by: "COPY . /" }, { created_by: "COPY . /" }]));
  assert.deepEqual(ids(twin), []);
  assert.deepEqual(of(twin.findings, "secret"), []);
});

test("malware: the same files as yara, and inside of archives", { skip: skip || needs("yara", "xz") }, async () => {
  const tree = folder("malware", { "usr/bin/bad": `#!/bin/sh\n# ${eicar}\n`, "usr/bin/good": "#!/bin/sh\n", "opt/eicar.com": eicar });
  const rules = join(dir, "rules.yar");
  writeFileSync(rules, 'rule Test_File { meta: severity = "critical" strings: $a = "$EICAR-STANDARD" condition: $a }\n');
  const peer = (await ok("yara", "-r", rules, tree)).split("\n").filter(Boolean).map((l) => l.split(" ")[1]!.slice(tree.length + 1)).sort();
  const found = async (...args: string[]) => of((await report(`dir:${tree}`, ...args)).findings, "malware");
  assert.deepEqual((await found("--yara", rules)).map((f) => f.path).sort(), peer);
  assert.equal(peer.length, 2);
  await ok("sh", "-c", `cd ${tree} && tar cJf opt/a.tar.xz opt/eicar.com && gzip -k opt/a.tar.xz`);
  const paths = (await found("--yara", rules)).map((f) => f.path);
  for (const path of ["opt/a.tar.xz!opt/eicar.com", "opt/a.tar.xz.gz!opt/eicar.com"]) assert.ok(paths.includes(path), paths.join(" "));
  const list = join(dir, "bad.sha256");
  writeFileSync(list, `${(await ok("sha256sum", join(tree, "opt/eicar.com"))).split(" ")[0]}  Eicar\n`);
  assert.ok((await found("--yara", list)).some((f) => f.engine === "hash" && f.path === "opt/eicar.com" && f.id === "Eicar"));
  assert.deepEqual(await found(), []);
  const wrong = join(dir, "wrong.yar");
  writeFileSync(wrong, "rule x {\n  condition: nothing }\n");
  const r = await run(program("bulkhead"), ["scan", `dir:${tree}`, "--yara", wrong], { env, timeout: 60000 });
  assert.equal(r.code, 3);
  assert.match(r.stderr, /wrong.yar:2: /);
});
