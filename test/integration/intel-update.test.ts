// How intel gets about: publications on a static server, deltas, mirrors, roll-back and freeze; VEX and ignore files on a
// scan; what a draft policy or newer intel would say of stored inventories.
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { bulkhead } from "./lib/bulkhead.ts";
import { Cleanup, program, run, tempDir, top } from "./lib/proc.ts";

const missing = existsSync(program("bulkhead")) ? false : "needs bulkhead";
const cleanup = new Cleanup();
after(() => cleanup.run());
const data = join(top, "test/data/feeds");

/** A static server with ETags, and what it was asked for. */
async function serve(folder: () => string): Promise<{ url: string; asked: string[]; server: Server }> {
  const asked: string[] = [];
  const server = createServer((rq: IncomingMessage, an: ServerResponse) => {
    const name = rq.url!.slice(1), file = join(folder(), name);
    if (!existsSync(file)) {
      asked.push(`${name} 404`);
      an.writeHead(404).end();
      return;
    }
    const tag = `"${statSync(file).mtimeMs}-${statSync(file).size}"`, same = rq.headers["if-none-match"] === tag;
    asked.push(`${name} ${same ? 304 : 200}`);
    an.writeHead(same ? 304 : 200, { ETag: tag });
    an.end(same ? undefined : readFileSync(file));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  cleanup.add("static server", () => new Promise<void>((done) => { server.closeAllConnections(); server.close(() => done()); }));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, server };
}

describe("intel on its way", { skip: missing }, () => {
  const dir = tempDir(cleanup), key = join(dir, "k.pem"), pub = join(dir, "k.pub"), www = join(dir, "www");
  const db = (n: number) => join(dir, `${n}.db`);
  const build = (n: number, feeds: string, expires = "2099-01-31") =>
    bulkhead(["intel", "build", "--quiet", "--feeds", feeds, "--output", db(n), "--sign", key, "--serial", String(n), "--expires", expires]);
  const feeds = join(dir, "feeds"), later = join(dir, "later");

  before(async () => {
    assert.equal((await run("openssl", ["genpkey", "-algorithm", "ed25519", "-out", key])).code, 0);
    assert.equal((await run("openssl", ["pkey", "-in", key, "-pubout", "-out", pub])).code, 0);
    cpSync(data, feeds, { recursive: true });
    rmSync(join(feeds, "formats"), { recursive: true });
    cpSync(feeds, later, { recursive: true });
    mkdirSync(join(later, "formats"));
    cpSync(join(data, "formats/updateinfo.xml"), join(later, "formats/updateinfo.xml"));
    assert.equal((await build(1, feeds)).code, 0);
    assert.equal((await build(2, later)).code, 0);
  });

  test("a delta gives the file back byte for byte, and only for the file it was made from", async () => {
    const delta = join(dir, "delta"), out = join(dir, "out.db");
    assert.equal((await bulkhead(["intel", "delta", db(1), db(2), "--output", delta])).code, 0);
    assert.ok(statSync(delta).size < statSync(db(2)).size / 4);
    const applied = await bulkhead(["intel", "apply", db(1), delta, "--key", pub, "--output", out]);
    assert.equal(applied.code, 0, applied.stderr);
    assert.ok(readFileSync(out).equals(readFileSync(db(2))));
    assert.match((await bulkhead(["intel", "apply", db(2), delta, "--key", pub, "--output", out])).stderr, /is for another file/);
    const bytes = readFileSync(delta);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(delta, bytes);
    const broken = await bulkhead(["intel", "apply", db(1), delta, "--key", pub, "--output", join(dir, "never.db")]);
    assert.equal(broken.code, 3);
    assert.ok(!existsSync(join(dir, "never.db")));
  });

  test("update: base, nothing new, delta, mirror; never back, never what expired", async () => {
    const mine = join(dir, "mine.db");
    let served = www;
    const { url, asked } = await serve(() => served);
    const update = (...urls: string[]) => bulkhead(["intel", "update", "--key", pub, "--output", mine, ...urls]);
    assert.equal((await bulkhead(["intel", "publish", "--key", pub, "--to", www, db(1)])).code, 0);
    let r = await update(url);
    assert.equal(r.code, 0, r.stderr);
    assert.ok(readFileSync(mine).equals(readFileSync(db(1))));
    asked.length = 0;
    assert.equal((await update(url)).code, 0);
    assert.deepEqual(asked, ["index.json 304"]);
    assert.equal((await bulkhead(["intel", "publish", "--key", pub, "--to", www, db(2)])).code, 0);
    asked.length = 0;
    r = await update("http://127.0.0.1:1", url);
    assert.equal(r.code, 0, r.stderr);
    assert.match(r.stderr, /trying the next one/);
    assert.ok(readFileSync(mine).equals(readFileSync(db(2))));
    assert.ok(asked.some((a) => a.startsWith("delta-")) && !asked.some((a) => a.includes(".zst")), asked.join(", "));
    // an attacker who serves the old publication, signature and all
    served = join(dir, "old");
    assert.equal((await bulkhead(["intel", "publish", "--key", pub, "--to", served, db(1)])).code, 0);
    r = await update(url);
    assert.equal(r.code, 3);
    assert.match(r.stderr, /serial 1\) is older than the one in force \(serial 2\)/);
    assert.ok(readFileSync(mine).equals(readFileSync(db(2))));
    // a publication whose term is over is refused, by the publisher already
    assert.equal((await build(3, later, "2026-01-31")).code, 0);
    r = await bulkhead(["intel", "publish", "--key", pub, "--to", join(dir, "x"), db(3)]);
    assert.equal(r.code, 3);
    assert.match(r.stderr, /expired 2026-01-31/);
    assert.deepEqual(readdirSync(dir).filter((n) => n.includes(".part-") || n.includes(".next-") || n.includes(".new-")), []);
  });

  test("serial and expiry are part of what is signed", async () => {
    const bytes = readFileSync(db(2)), at = bytes.lastIndexOf("serial 2");
    bytes.write("serial 7", at);
    writeFileSync(join(dir, "forged.db"), bytes);
    const r = await bulkhead(["intel", "verify", "--key", pub, join(dir, "forged.db")]);
    assert.equal(r.code, 3);
  });
});

describe("stored reports and newer intel", { skip: missing }, () => {
  const dir = tempDir(cleanup), stored = join(dir, "stored"), root = join(dir, "root");
  const tracker = (fixed: Record<string, string>) =>
    JSON.stringify({ zlib: Object.fromEntries(Object.entries(fixed).map(([id, version]) => [id, { description: id, releases: { bookworm: { status: "resolved", fixed_version: version, urgency: "high" } } }])) });

  test("rescan reads only what changed; simulate says what newer intel would refuse; VEX and ignore files count", async () => {
    for (const d of ["etc", "var/lib/dpkg"]) mkdirSync(join(root, d), { recursive: true });
    writeFileSync(join(root, "etc/os-release"), 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n');
    const status = (name: string, version: string) => `Package: ${name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: ${version}\n\n`;
    mkdirSync(stored);
    for (const [n, version] of ["1:1.2.11-1", "1:1.2.13-1", "1:1.2.14-1"].entries()) {
      writeFileSync(join(root, "var/lib/dpkg/status"), status("zlib1g", version).replace("Version", "Source: zlib\nVersion") + status("other", "1"));
      const r = await bulkhead(["scan", "--quiet", "--no-cache", "--format", "json", "--output", join(stored, `${n}.json`), `dir:${root}`]);
      assert.equal(r.code, 0, r.stderr);
    }
    const db: string[] = [];
    for (const [n, fixed] of [{ "CVE-2099-0001": "1:1.2.12-1" }, { "CVE-2099-0001": "1:1.2.12-1", "CVE-2099-0002": "1:1.2.14-1" }].entries()) {
      mkdirSync(join(dir, `f${n}`));
      writeFileSync(join(dir, `f${n}/tracker.json`), tracker(fixed as Record<string, string>));
      db.push(join(dir, `${n}.db`));
      assert.equal((await bulkhead(["intel", "build", "--quiet", "--feeds", join(dir, `f${n}`), "--output", db[n]!])).code, 0);
    }
    for (const first of [true, false]) {
      const r = await bulkhead(["intel", "rescan", "--inventories", stored, db[0]!, db[1]!]);
      assert.equal(r.code, 1, r.stderr);
      const rows = r.stdout.trim().split("\n").map((l) => l.split("\t").slice(0, 4).join(" "));
      assert.deepEqual(rows, ["+ CVE-2099-0002 high zlib1g 1:1.2.11-1", "+ CVE-2099-0002 high zlib1g 1:1.2.13-1"]);
      assert.match(r.stderr, new RegExp(`3 reports, 3 concerned, ${first ? 3 : 0} read for the first time`));
    }
    const same = await bulkhead(["intel", "rescan", "--inventories", stored, db[0]!, db[0]!]);
    assert.equal(same.code, 0);
    assert.match(same.stderr, /0 concerned/);

    const policy = join(dir, "p.yaml");
    writeFileSync(policy, 'kind: ImagePolicy\nname: p\nselect: {images: ["*"]}\nrules: [{deny: vuln.severity >= high}]\n');
    const simulated = await bulkhead(["policy", "simulate", "--inventories", stored, "--policy", policy, "--intel", db[1]!]);
    assert.match(simulated.stdout, /3 images, 2 newly denied/);

    const scan = (...more: string[]) => bulkhead(["scan", "--quiet", "--intel", db[1]!, "--fail-on", "high", "--format", "json", ...more, `report:${join(stored, "1.json")}`]);
    assert.equal((await scan()).code, 1);
    const vex = join(dir, "a.openvex.json"), ignore = join(dir, ".trivyignore");
    writeFileSync(vex, JSON.stringify({ "@context": "https://openvex.dev/ns/v0.2.0", "@id": "x", author: "a", timestamp: "2026-01-01T00:00:00Z", version: 1, statements: [{ vulnerability: { name: "CVE-2099-0002" }, products: [{ "@id": "pkg:deb/debian/zlib1g" }], status: "not_affected", justification: "vulnerable_code_not_present" }] }));
    const excused = await scan("--vex", vex);
    assert.equal(excused.code, 0, excused.stderr);
    const finding = JSON.parse(excused.stdout).findings.find((f: { id: string }) => f.id === "CVE-2099-0002");
    assert.equal(finding.status, "not_affected");
    assert.match(finding.vex, /vulnerable_code_not_present \(a\.openvex\.json\)/);
    writeFileSync(ignore, "CVE-2099-0002 exp:2099-01-01\nCVE-1999-0001\n");
    const ignored = await scan("--ignore", ignore);
    assert.equal(ignored.code, 0, ignored.stderr);
    assert.deepEqual(JSON.parse(ignored.stdout).suppressed.map((s: { id: string; by: string }) => [s.id, s.by]), [["CVE-2099-0002", ".trivyignore:1"]]);
    assert.deepEqual(JSON.parse(ignored.stdout).stale, [".trivyignore:2: CVE-1999-0001 is about nothing in this image"]);
    writeFileSync(ignore, "CVE-2099-0002 exp:2026-01-01\n");
    assert.equal((await scan("--ignore", ignore)).code, 1);
    const draft = await scan("--format", "openvex");
    assert.equal(JSON.parse(draft.stdout).statements[0].action_statement, "update zlib1g to 1:1.2.14-1");
    writeFileSync(vex, JSON.stringify(JSON.parse(draft.stdout)).replace('"affected"', '"not_affected"'));
    assert.equal((await scan("--vex", vex)).code, 0);
  });
});
