// bulkhead scan against images that a real engine made: what it finds is what dpkg finds in the same tree, from every
// source, and the id is the engine's.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { type Dockerd, startDockerd } from "./lib/dockerd.ts";
import { Cleanup, needs, program, run, tempDir, top } from "./lib/proc.ts";

const cleanup = new Cleanup();
const skip = needs("dockerd", "docker", "bulkhead", "dpkg-query", "skopeo", "umoci", "zstd", "openssl");
const images = ["app:1", "app:2", "app:3"];
let d: Dockerd, dir: string, env: NodeJS.ProcessEnv;

async function ok(cmd: string, ...args: string[]): Promise<string> {
  const r = await run(cmd, args, { env, timeout: 120000 });
  assert.equal(r.code, 0, `${cmd} ${args.join(" ")}: ${r.stderr}${r.stdout}`);
  return r.stdout;
}
const scan = (...args: string[]) => run(program("bulkhead"), ["scan", ...args], { env, timeout: 120000 });

async function packages(target: string, ...args: string[]): Promise<string[]> {
  const r = await scan(target, "--format", "tsv", "--quiet", ...args);
  assert.equal(r.code, 0, `${target}: ${r.stderr}`);
  const rows = r.stdout.split("\n").filter(Boolean);
  assert.deepEqual(rows, [...rows].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))), "rows are sorted bytewise");
  return rows.map((row) => row.split("\t").slice(0, 3).join(" ")).filter((r) => r.startsWith("deb ")).sort();
}

/** dpkg's own view of the container's tree, and the files of status.d, which dpkg does not read. */
async function truth(image: string): Promise<string[]> {
  const root = join(dir, "truth", image.replace(":", "-"));
  mkdirSync(root, { recursive: true });
  const id = await d.ok("create", image, "true");
  await ok("sh", "-c", `docker export ${id} | tar -C ${root} -x var/lib/dpkg`);
  const admin = join(root, "var/lib/dpkg");
  for (const f of ["updates", "info"]) mkdirSync(join(admin, f), { recursive: true });
  const out = await ok("dpkg-query", `--admindir=${admin}`, "-W", "-f", "${db:Status-Status} ${Package} ${Version}\\n");
  const rows = out.split("\n").filter((r) => r && !/^(config-files|not-installed) /.test(r)).map((r) => r.replace(/^\S+/, "deb"));
  const extra = await run("ls", [join(admin, "status.d")]);
  if (extra.code === 0) rows.push(...extra.stdout.split("\n").filter(Boolean).map((n) => `deb ${n} 1-1`));
  return rows.sort();
}

/** Run a command in a container of `from` and keep the result: the engine itself writes the layer. */
async function commit(from: string, to: string, command: string): Promise<void> {
  const id = await d.ok("run", "-d", "-u", "0", "--network", "none", from, "sh", "-ec", command);
  assert.equal(await d.ok("wait", id), "0", await d.ok("logs", id));
  await d.ok("commit", id, to);
}

before(async () => {
  if (skip) return;
  d = await startDockerd(cleanup);
  dir = tempDir(cleanup, "bh-scan-test-");
  env = { ...d.env, XDG_CACHE_HOME: join(dir, "cache"), HOME: dir };
  const status = readFileSync("/var/lib/dpkg/status", "utf8");
  const paragraphs = status.split(/\n\n+/);
  const lines = (n: number) => paragraphs.slice(0, n).join("\n\n").split("\n").length + 1;
  await d.busybox("app:1", {
    files: {
      "var/lib/dpkg/status": status,
      "var/lib/dpkg/status.d/one": "Package: one\nVersion: 1-1\nArchitecture: all\n",
      "var/lib/dpkg/status.d/two": "Package: two\nVersion: 1-1\nArchitecture: all\n",
      "new/status": `${paragraphs.slice(0, 5).join("\n\n")}\n\n`,
      "usr/lib/os-release": 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    },
    changes: ["USER app", "LABEL team=shop", "EXPOSE 80"],
  });
  const half = lines(Math.floor(paragraphs.length / 2));
  await d.ok("tag", "app:1", "app:base");
  await commit("app:1", "app:2", `rm /var/lib/dpkg/status.d/one; head -n ${half} /var/lib/dpkg/status >/tmp/s; cp /tmp/s /var/lib/dpkg/status`);
  await commit("app:2", "app:3", "rm -r /var/lib/dpkg; mkdir /var/lib/dpkg; cp /new/status /var/lib/dpkg/status");
});
after(() => cleanup.run());

test("packages are dpkg's, from every source, through the engine's own whiteouts", { skip }, async () => {
  for (const image of images) {
    const want = await truth(image), file = join(dir, image.replace(":", "-"));
    assert.ok(want.length > 4);
    await d.ok("save", "-o", `${file}.tar`, image);
    await ok("sh", "-c", `gzip -1 -k ${file}.tar; zstd -q ${file}.tar`);
    await ok("skopeo", "--insecure-policy", "copy", "-q", `docker-archive:${file}.tar`, `oci:${file}-gzip:latest`);
    await ok("skopeo", "--insecure-policy", "copy", "-q", "--dest-compress-format", "zstd", `oci:${file}-gzip:latest`, `oci:${file}-zstd:latest`);
    await ok("skopeo", "--insecure-policy", "copy", "-q", `oci:${file}-gzip:latest`, `oci-archive:${file}.oci:latest`);
    const id = await d.ok("image", "inspect", "-f", "{{.Id}}", image);
    for (const target of [`docker:${image}`, image, `docker:${id}`, `archive:${file}.tar`, `archive:${file}.tar.gz`, `archive:${file}.tar.zst`,
      `archive:${file}.oci`, `oci:${file}-gzip`, `oci:${file}-gzip:latest`, `oci:${file}-zstd:latest`]) {
      assert.deepEqual(await packages(target, "--no-cache"), want, target);
      assert.deepEqual(await packages(target), want, `${target}, stored`);
      assert.deepEqual(await packages(target), want, `${target}, from the cache`);
    }
    const r = await scan(`archive:${file}.tar`, "--format", "json");
    const report = JSON.parse(r.stdout);
    assert.equal(report.image_id, id);
    const config = JSON.parse(await ok("tar", "-xOf", `${file}.tar`, "manifest.json"))[0].Config;
    const bytes = await ok("tar", "-xOf", `${file}.tar`, config);
    assert.equal(report.image_id, `sha256:${createHash("sha256").update(bytes).digest("hex")}`);
    assert.deepEqual(report.layers.map((l: { diff_id: string }) => l.diff_id), JSON.parse(bytes).rootfs.diff_ids);
  }
});

test("each package is of the layer that brought it", { skip }, async () => {
  const report = JSON.parse((await scan("docker:app:2", "--format", "json")).stdout);
  const two = report.packages.find((p: { name: string }) => p.name === "two");
  assert.equal(two.layer, report.layers[0].diff_id);
  assert.ok(report.packages.every((p: { layer: string }) => p.layer === report.layers[0].diff_id), "only taken away since");
  const last = JSON.parse((await scan("docker:app:3", "--format", "json")).stdout);
  assert.ok(last.packages.every((p: { type: string; layer: string }) => p.type !== "deb" || p.layer === last.layers[2].diff_id), "the folder was made anew");
});

test("a directory tree", { skip }, async () => {
  assert.deepEqual(await packages(`dir:${join(dir, "truth/app-2")}`), await truth("app:2"));
  mkdirSync(join(dir, "host/var/lib/dpkg"), { recursive: true });
  await ok("cp", "/var/lib/dpkg/status", join(dir, "host/var/lib/dpkg"));
  assert.deepEqual((await packages(`dir:${join(dir, "host")}`)).length, (await ok("dpkg-query", "-W", "-f", "${db:Status-Status}\\n"))
    .split("\n").filter((s) => s && !/config-files|not-installed/.test(s)).length);
});

test("the JSON report obeys its schema, also when it is judged", { skip }, async () => {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  (formats as unknown as (a: Ajv2020) => void)(ajv);
  const valid = ajv.compile(JSON.parse(readFileSync(join(top, "api/scan-report.schema.json"), "utf8")));
  const policy = join(dir, "p.yaml"), db = join(dir, "intel.db");
  writeFileSync(policy, 'kind: ImagePolicy\nname: p\nselect: {images: ["*"]}\nrules:\n  - deny: config.user = root\n  - warn: package.name = one\n');
  await ok(program("bulkhead"), "intel", "build", "--feeds", join(top, "test/data/feeds"), "--output", db, "--quiet");
  for (const args of [["docker:app:1"], ["docker:app:1", "--policy", policy], ["docker:app:1", "--intel", db], [`dir:${join(dir, "host")}`, "--intel", db, "--policy", policy]]) {
    const r = await scan(...args, "--format", "json", "--quiet");
    assert.ok(valid(JSON.parse(r.stdout)), JSON.stringify(valid.errors?.slice(0, 3)));
  }
  const bom = JSON.parse((await scan("docker:app:1", "--intel", db, "--format", "cyclonedx", "--quiet")).stdout);
  assert.equal(bom.bomFormat, "CycloneDX");
  assert.equal(bom.components.filter((c: { purl?: string }) => c.purl?.startsWith("pkg:deb/")).length, (await truth("app:1")).length);
});

test("exit codes", { skip }, async () => {
  const deny = join(dir, "deny.yaml"), bad = join(dir, "bad.yaml"), empty = join(dir, "empty");
  writeFileSync(deny, 'kind: ImagePolicy\nname: never\nselect: {images: ["app:*"]}\nrules:\n  - deny: config.user = app\n');
  writeFileSync(bad, "kind: ImagePolicy\nname: x\nrules:\n  - deny: no.such.field = 1\n");
  writeFileSync(empty, "");
  const image = join(dir, "app-1.tar");
  const cases: [number, RegExp, ...string[]][] = [
    [0, /^$/, "app:1"],
    [1, /^$/, "app:1", "--policy", deny],
    [2, /missing/],
    [2, /no option --nope/, "app:1", "--nope"],
    [2, /no format "xml"/, "app:1", "--format", "xml"],
    [2, /is no image reference/, "registry:App:1"],
    [2, /--fail-on needs/, "app:1", "--fail-on", "high"],
    [2, /no\.such\.field/, "app:1", "--policy", bad],
    [3, /in no local engine, and: /, "localhost:1/nosuch:1"],
    [3, /No such file/, `archive:${join(dir, "nothing")}`],
    [3, /neither manifest.json nor index.json/, `archive:${empty}`],
    [3, /several|no such image/, `oci:${join(dir, "app-1-gzip")}:nosuch`],
    [0, /^$/, `archive:${image}`, "--output", join(dir, "out.txt")],
  ];
  for (const [code, error, ...args] of cases) {
    const r = await scan(...args);
    assert.equal(r.code, code, `${args.join(" ")}: ${r.stderr}`);
    assert.match(r.stderr, error);
    if (code > 1) assert.equal(r.stdout, "");
    assert.ok(r.stderr.split("\n").length <= 2, "one line");
  }
  assert.match(readFileSync(join(dir, "out.txt"), "utf8"), /verdict {3}ALLOW/);
});

test("archives that lie end in exit 3 and a clear word", { skip }, async () => {
  const work = join(dir, "lie");
  mkdirSync(work);
  const layout = join(dir, "app-1-gzip"), blobs = join(layout, "blobs/sha256");
  const digest = (v: { digest: string }) => v.digest.slice(7);
  const manifest = digest(JSON.parse(readFileSync(join(layout, "index.json"), "utf8")).manifests[0]);
  const parts = JSON.parse(readFileSync(join(blobs, manifest), "utf8"));
  const flip = (bytes: Buffer, at: number) => (bytes[at] ^= 0x41, bytes);
  const lies: [string, RegExp, (copy: string) => void][] = [
    ["layer", /digest|content|damaged|checksum/i, (c) => writeFileSync(join(c, digest(parts.layers[0])), flip(readFileSync(join(blobs, digest(parts.layers[0]))), 5000))],
    ["config", /its content is sha256/, (c) => writeFileSync(join(c, digest(parts.config)), `${readFileSync(join(blobs, digest(parts.config)), "utf8")} `)],
    ["manifest", /its content is sha256/, (c) => writeFileSync(join(c, manifest), `${readFileSync(join(blobs, manifest), "utf8")} `)],
    ["short", /bytes, the manifest says/, (c) => writeFileSync(join(c, digest(parts.layers[0])), readFileSync(join(blobs, digest(parts.layers[0]))).subarray(0, 9000))],
  ];
  for (const [name, error, change] of lies) {
    const copy = join(work, name);
    await ok("cp", "-r", layout, copy);
    change(join(copy, "blobs/sha256"));
    const r = await scan(`oci:${copy}`, "--no-cache");
    assert.equal(r.code, 3, name);
    assert.match(r.stderr, error);
  }
  for (const [i, at] of [20000, 600000, -3000].entries()) {
    const whole = readFileSync(join(dir, "app-1.tar")), file = join(work, `cut-${i}.tar`);
    writeFileSync(file, whole.subarray(0, at < 0 ? whole.length + at : at));
    assert.equal((await scan(`archive:${file}`)).code, 3);
  }
});

test("a damaged cache is not believed", { skip }, async () => {
  const want = await truth("app:2");
  await packages("docker:app:2");
  const folder = join(dir, "cache/bulkhead/layer-3");
  for (const f of readdirSync(folder)) writeFileSync(join(folder, f), readFileSync(join(folder, f), "utf8").replaceAll("Version", "Vers").replace(/"name":"[a-z]/, '"name":"X'));
  assert.deepEqual(await packages("docker:app:2"), want);
});
