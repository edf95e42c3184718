// bulkhead intel and bulkhead version, as scripts see them: output, exit codes, what is left behind.
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { bulkhead } from "./lib/bulkhead.ts";
import { Cleanup, program, run, tempDir, top } from "./lib/proc.ts";

const missing = existsSync(program("bulkhead")) ? false : "needs bulkhead";
const cleanup = new Cleanup();
after(() => cleanup.run());
const data = join(top, "test/data");

describe("intel", { skip: missing }, () => {
  const dir = tempDir(cleanup), db = join(dir, "intel.db"), key = join(dir, "intel.key"), pub = join(dir, "intel.pub");
  const build = (feeds: string, output: string, ...more: string[]) => bulkhead(["intel", "build", "--feeds", feeds, "--output", output, ...more]);

  test("build, verify, info, show with the keys that --help tells how to make", async () => {
    assert.equal((await run("openssl", ["genpkey", "-algorithm", "ed25519", "-out", key])).code, 0);
    assert.equal((await run("openssl", ["pkey", "-in", key, "-pubout", "-out", pub])).code, 0);
    const built = await build(join(data, "feeds"), db, "--sign", key);
    assert.equal(built.code, 0, built.stderr);
    assert.match(built.stderr, /kev\/schema\.json: not a feed that is known/);
    const verified = await bulkhead(["intel", "verify", "--key", pub, db]);
    assert.equal(verified.code, 0, verified.stderr);
    const info = JSON.parse((await bulkhead(["intel", "info", "--json", "--key", pub, db])).stdout);
    assert.match(info.revision, /^[0-9a-f]{64}$/);
    assert.equal(info.signed, true);
    const feeds = info.feeds.map((f: { name: string }) => f.name);
    for (const feed of ["alpine", "debian", "epss", "kev", "nvd", "oracle", "osv", "redhat", "rubysec", "suse", "ubuntu"]) assert.ok(feeds.includes(feed), feed);
    const shown = JSON.parse((await bulkhead(["intel", "show", "--json", "--intel", db, "CVE-2019-1551"])).stdout);
    assert.ok(shown.affected.some((a: { space: string; fixed: string }) => a.space === "alpine/v3.11" && a.fixed === "1.1.1d-r3"));
    assert.equal((await bulkhead(["intel", "show", "--intel", db, "CVE-1900-0001"])).code, 2);
  });

  test("a changed byte, another key and no key are refused", async () => {
    const bytes = readFileSync(db), bad = join(dir, "bad.db"), other = join(dir, "other.pub");
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(bad, bytes);
    const r = await bulkhead(["intel", "verify", "--key", pub, bad]);
    assert.equal(r.code, 3);
    assert.match(r.stderr, /content is not what was signed/);
    const pair = await run("openssl", ["genpkey", "-algorithm", "ed25519", "-out", join(dir, "other.key")]);
    assert.equal(pair.code, 0);
    await run("openssl", ["pkey", "-in", join(dir, "other.key"), "-pubout", "-out", other]);
    assert.equal((await bulkhead(["intel", "verify", "--key", other, db])).code, 3);
    assert.equal((await bulkhead(["intel", "verify", db])).code, 2);
  });

  test("the same feeds in other wrappings give the same revision; a change shows in diff", async () => {
    const feeds = join(dir, "feeds"), one = join(dir, "one.db"), two = join(dir, "two.db");
    mkdirSync(feeds);
    cpSync(join(data, "feeds/debian/handmade.json"), join(feeds, "whatever"));
    assert.equal((await build(feeds, one, "--quiet")).code, 0);
    mkdirSync(join(feeds, "deep/er"), { recursive: true });
    assert.equal((await run("sh", ["-c", `cd ${feeds} && tar -cf - whatever | zstd -q > deep/er/x.bin && rm whatever`])).code, 0);
    assert.equal((await build(feeds, two, "--quiet")).code, 0);
    assert.deepEqual(readFileSync(one), readFileSync(two));
    assert.equal((await bulkhead(["intel", "diff", one, two])).code, 0);
    cpSync(join(data, "feeds/osv/handmade/BH-6.json"), join(feeds, "go"));
    assert.equal((await build(feeds, two, "--quiet")).code, 0);
    const diff = await bulkhead(["intel", "diff", one, two]);
    assert.equal(diff.code, 1);
    assert.equal(diff.stdout, "+ Go\tstdlib\tGO-2099-0001\taffected\t\n");
  });

  test("a file that cannot be parsed: exit 3, named with its place, nothing written", async () => {
    const feeds = join(dir, "broken"), out = join(dir, "out", "intel.db");
    mkdirSync(feeds);
    mkdirSync(join(dir, "out"));
    writeFileSync(join(feeds, "tracker.json"), '{"bash": {"CVE-2024-1": {"releases": {"bookworm": {"status": "op');
    const r = await build(feeds, out);
    assert.equal(r.code, 3);
    assert.match(r.stderr, /tracker\.json: .*line 1/);
    assert.deepEqual(readdirSync(join(dir, "out")), []);
    assert.equal((await build(join(dir, "nowhere"), out)).code, 3);
    assert.equal((await bulkhead(["intel", "build", "--feeds", feeds])).code, 2);
    assert.equal(statSync(db).mode & 0o777, 0o644);
  });
});

describe("version compare", { skip: missing }, () => {
  test("one pair", async () => {
    for (const [scheme, a, b, want, code] of [["dpkg", "1.0~rc1-1", "1.0-1", "<", 0], ["apk", "1.0-r1", "1.0-r1", "=", 0],
      ["pep440", "1.0.post1", "1.0", ">", 0], ["dpkg", "not a version", "1", "?", 2]] as const) {
      const r = await bulkhead(["version", "compare", scheme, a, b]);
      assert.equal(r.stdout, `${want}\n`);
      assert.equal(r.code, code);
    }
    assert.equal((await bulkhead(["version", "compare", "cobol", "1", "2"])).code, 2);
    assert.equal((await bulkhead(["version", "compare", "dpkg", "1"])).code, 2);
  });

  test("all vectors in one batch", async () => {
    let input = "", want = "";
    for (const scheme of ["dpkg", "apk", "rpm", "semver", "pep440", "gem", "maven", "composer", "nuget", "pub"])
      for (const line of readFileSync(join(data, "vectors", `${scheme}.tsv`), "utf8").split("\n")) {
        if (!line || line.startsWith("# ")) continue;
        const [a, op, b] = line.split("\t");
        input += `${scheme}\t${a}\t${b}\n`;
        want += `${op}\n`;
      }
    const r = await bulkhead(["version", "compare", "--batch"], {}, `${input}dpkg\tone\ttwo\nnonsense\n`);
    assert.equal(r.code, 0);
    assert.equal(r.stdout, `${want}?\n?\n`);
  });
});
