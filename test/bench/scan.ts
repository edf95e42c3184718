// CPU seconds of a cold `bulkhead scan` of an OCI image with gzip layers, against what reading the same layers costs
// at least: `igzip -dc` of each blob, `openssl dgst -sha256` of the blob and of its content. Interleaved pairs in one
// run; user + system time of all processes; median of the ratios and its 95 % interval (binomial, on the order
// statistics). Goal: within 1.5.
//
//   node --import tsx bench/scan.ts [--pairs N] [OCI-LAYOUT]
//
// Without a layout one is made of this machine's /usr/bin, /usr/sbin and dpkg database.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { interval, load, median, ratio } from "./stats.ts";

const args = process.argv.slice(2);
const at = args.indexOf("--pairs");
const pairs = at >= 0 ? Number(args.splice(at, 2)[1]) : 15;
const program = join(process.env.BULKHEAD_BUILD ?? join(dirname(fileURLToPath(import.meta.url)), "../../build"), "src/cli/bulkhead");
const work = mkdtempSync(join(tmpdir(), "bulkhead-bench-"));

function sh(script: string): string {
  return execFileSync("bash", ["-e", "-c", script], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], maxBuffer: 1 << 26 });
}

/** User + system seconds of a script with all its children. */
function cpu(script: string): number {
  const out = sh(`TIMEFORMAT='%3U %3S'; exec 3>&1; { time { ${script}; } >/dev/null 2>&1; } 2>&3`);
  return out.trim().split(" ").reduce((sum, v) => sum + Number(v), 0);
}

function makeLayout(): string {
  const dir = join(work, "image");
  sh(`tar -C / -cf ${work}/l.tar usr/bin usr/sbin usr/lib/os-release var/lib/dpkg/status
      umoci init --layout ${dir}; umoci new --image ${dir}:bench; umoci raw add-layer --image ${dir}:bench --tag bench ${work}/l.tar; rm ${work}/l.tar`);
  return dir;
}

function layers(layout: string): string[] {
  const blob = (digest: string) => join(layout, "blobs/sha256", digest.slice(7));
  const json = (path: string) => JSON.parse(readFileSync(path, "utf8"));
  const manifest = json(blob(json(join(layout, "index.json")).manifests[0].digest));
  return manifest.layers.map((l: { digest: string }) => blob(l.digest));
}

try {
  if (!existsSync(program)) throw new Error(`${program} is not built`);
  const layout = args[0] ?? makeLayout();
  const blobs = layers(layout);
  const contents = blobs.map((b, i) => {
    const content = join(work, `content-${i}`);
    sh(`igzip -dc ${b} > ${content}`);
    return content;
  });
  const floor = [...blobs.map((b) => `igzip -dc ${b}`), ...[...blobs, ...contents].map((f) => `openssl dgst -sha256 ${f}`)].join("; ");
  const scan = `${program} scan oci:${layout} --no-cache --quiet --format json`;
  const size = (files: string[]) => files.reduce((sum, f) => sum + statSync(f).size, 0) / 2 ** 20;
  console.log(`image: ${blobs.length} layers, ${size(blobs).toFixed(0)} MiB gzip, ${size(contents).toFixed(0)} MiB content`);
  cpu(floor), cpu(scan); // warm the page cache
  const rows = Array.from({ length: pairs }, (_, i) => {
    const first = i % 2 ? cpu(scan) : undefined;
    const base = cpu(floor);
    const mine = first ?? cpu(scan);
    return { base, mine, ratio: mine / base };
  });
  const [low] = interval(rows.map((r) => r.ratio));
  console.log(`floor: ${median(rows.map((r) => r.base)).toFixed(3)} CPU s   scan: ${median(rows.map((r) => r.mine)).toFixed(3)} CPU s   (${pairs} pairs)`);
  console.log(`ratio: ${ratio(rows.map((r) => r.ratio), 1.5)} (load ${load()})`);
  process.exitCode = low > 1.5 ? 1 : 0;
} finally {
  rmSync(work, { recursive: true, force: true });
}
