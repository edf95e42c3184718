// `bulkhead intel build` from a generated feed of 1 GB (a tar.gz of OSV records): CPU seconds against `igzip -dc | wc -c` of
// the same file, and the peak memory of the largest process. Goal: below 256 MB, whatever the feed's size.
//
//   node --import tsx bench/feeds.ts [MEGABYTES]
import { createWriteStream, mkdirSync } from "node:fs";
import { join } from "node:path";
import { once } from "node:events";
import { createGzip } from "node:zlib";
import { Cleanup, needs, program, run, tempDir } from "../integration/lib/proc.ts";

const megabytes = Number(process.argv[2] ?? 1000), goal = 256, cleanup = new Cleanup();

async function generate(file: string): Promise<number> {
  const out = createWriteStream(file), zip = createGzip({ level: 1 });
  zip.pipe(out);
  const write = async (b: Buffer | string) => { if (!zip.write(b)) await once(zip, "drain"); };
  let bytes = 0, n = 0;
  for (; bytes < megabytes * 1e6; n++) {
    const text = JSON.stringify({
      schema_version: "1.6.0", id: `GHSA-${n.toString(36).padStart(4, "0")}-aaaa-bbbb`, modified: "2026-01-01T00:00:00Z", published: "2025-01-01T00:00:00Z",
      aliases: [`CVE-2025-${n + 1000}`], summary: `flaw ${n}`, details: "word ".repeat(300),
      affected: [{ package: { ecosystem: "npm", name: `pkg-${n % 50000}` }, ranges: [{ type: "SEMVER", events: [{ introduced: "0" }, { fixed: `${n % 9}.${n % 7}.1` }] }] }],
      severity: [{ type: "CVSS_V3", score: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N" }],
    });
    const head = Buffer.alloc(512);
    head.write(`${n}.json`);
    head.write("0000644\0" + "0000000\0" + "0000000\0" + text.length.toString(8).padStart(11, "0") + "\0" + "00000000000\0" + "        0", 100);
    head.write("ustar\0" + "00", 257);
    head.write(head.reduce((sum, b) => sum + b, 0).toString(8).padStart(6, "0") + "\0 ", 148);
    await write(head);
    await write(text.padEnd(Math.ceil(text.length / 512) * 512, "\0"));
    bytes += text.length;
  }
  await write(Buffer.alloc(1024));
  zip.end();
  await once(out, "close");
  return n;
}

/** CPU seconds and the peak in MB of the largest process. */
async function timed(cmd: string, ...args: string[]): Promise<[number, number]> {
  const r = await run("time", ["-f", "=%U %S %M", cmd, ...args], { timeout: 600000 });
  if (r.code !== 0) throw new Error(r.stderr);
  const [user, system, peak] = /^=(\S+) (\S+) (\S+)$/m.exec(r.stderr)!.slice(1).map(Number) as [number, number, number];
  return [user + system, peak * 1024 / 1e6];
}

try {
  const missing = needs("time", "igzip", "bulkhead");
  if (missing) throw new Error(missing);
  const dir = tempDir(cleanup, "bh-feeds-"), feeds = join(dir, "feeds"), file = join(feeds, "all.tar.gz");
  mkdirSync(feeds);
  const records = await generate(file);
  const [base] = await timed("sh", "-c", `igzip -dc ${file} | wc -c`);
  const [cpu, peak] = await timed(program("bulkhead"), "intel", "build", "--quiet", "--feeds", feeds, "--output", join(dir, "intel.db"));
  console.log(`feeds: ${records} records, ${megabytes} MB: ${cpu.toFixed(1)} CPU s, ${(cpu / base).toFixed(0)} times igzip and wc (${base.toFixed(2)} s), ` +
    `peak ${peak.toFixed(0)} MB; goal below ${goal}: ${peak < goal ? "met" : "MISSED"}`);
  if (peak >= goal) process.exitCode = 1;
} catch (e) {
  console.error(`feeds: ${e instanceof Error ? e.message : e}`);
  process.exitCode = 1;
} finally {
  await cleanup.run();
}
