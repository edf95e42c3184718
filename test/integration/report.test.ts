// What bulkhead scan writes for other programs is what their own schemas and parsers take: CycloneDX, SPDX, SARIF, JUnit
// and one page of HTML. The image is this machine's own package list; old packages and names that try to break out are added to it.
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { before, after, test } from "node:test";
import { Ajv } from "ajv";
import { default as Ajv04 } from "ajv-draft-04";
import formats from "ajv-formats";
import { XMLParser, XMLValidator } from "fast-xml-parser";
import { parse } from "yaml";
import parseLicense from "spdx-expression-parse";
import { Cleanup, needs, program, run, tempDir, top } from "./lib/proc.ts";

const cleanup = new Cleanup();
const skip = needs("bulkhead", "tidy", "openssl", "umoci");
const require = createRequire(import.meta.url);
const evil = `<script>alert("x")</script>&]]>'`;
let dir: string, root: string, db: string, policy: string;

const load = (pkg: string, file: string) => JSON.parse(readFileSync(join(dirname(require.resolve(`${pkg}/package.json`)), file), "utf8"));
function checker(schema: { $schema?: string; [key: string]: unknown }, others: Record<string, object> = {}) {
  const Checker = (schema.$schema?.includes("draft-04") ? Ajv04 : Ajv) as typeof Ajv;
  const ajv = new Checker({ strict: false, allErrors: true, unicodeRegExp: false });
  (formats as unknown as (a: Ajv) => void)(ajv);
  for (const f of ["iri-reference", "idn-email"]) ajv.addFormat(f, true);
  for (const [name, other] of Object.entries(others)) ajv.addSchema({ ...other, $id: name });
  const valid = ajv.compile(schema);
  return (v: unknown) => assert.ok(valid(v), JSON.stringify(valid.errors?.slice(0, 3)));
}
async function scan(format: string, ...args: string[]): Promise<string> {
  const r = await run(program("bulkhead"), ["scan", `dir:${root}`, "--intel", db, "--no-cache", "--quiet", "--format", format, ...args]);
  assert.ok(r.code === 0 || r.code === 1, r.stderr);
  return r.stdout;
}
type Finding = { id: string; severity: string; package: string; version: string };
let report: { packages: { name: string; version: string; purl: string }[]; findings: Finding[]; verdict: { reasons: { deny: boolean; finding: string | null }[] } };

before(async () => {
  if (skip) return;
  dir = tempDir(cleanup, "bh-report-test-");
  root = join(dir, "root"), db = join(dir, "intel.db"), policy = join(dir, "policy.yaml");
  for (const d of ["etc", "var/lib/dpkg"]) mkdirSync(join(root, d), { recursive: true });
  cpSync("/etc/os-release", join(root, "etc/os-release"), { dereference: true });
  const own = [["evil", `1${evil}`], ["openssl", "3.0.1-1"], ["curl", "7.70.0-1"], ["demo", "1.0-1"]].map(([name, version]) =>
    `Package: ${name}\nStatus: install ok installed\nMaintainer: x\nArchitecture: sparc\nVersion: ${version}\nDescription: x\n`);
  writeFileSync(join(root, "var/lib/dpkg/status"), [readFileSync("/var/lib/dpkg/status", "utf8"), ...own].join("\n"));
  const r = await run(program("bulkhead"), ["intel", "build", "--feeds", join(top, "test/data/feeds"), "--output", db, "--quiet"]);
  assert.equal(r.code, 0, r.stderr);
  report = JSON.parse(await scan("json"));
  assert.ok(report.findings.length > 0 && report.packages.some((p) => p.version.includes("<script>")));
  writeFileSync(policy, `kind: ImagePolicy
name: gate
select: {images: ["*"]}
rules:
  - deny: vuln.severity >= high
  - deny: package.name = evil
exceptions:
  - {finding: ${report.findings[0]!.id}, owner: sec@example.org, reason: "no network & <none>", expires: 2999-01-01}
`);
});
after(() => cleanup.run());

test("CycloneDX keeps to its own schema", { skip }, async () => {
  const res = (n: string) => load("@cyclonedx/cyclonedx-library", `res/schema/${n}.SNAPSHOT.schema.json`);
  const check = checker(res("bom-1.6"), {
    "http://cyclonedx.org/schema/spdx.SNAPSHOT.schema.json": res("spdx"),
    "http://cyclonedx.org/schema/jsf-0.82.SNAPSHOT.schema.json": res("jsf-0.82"),
  });
  check(JSON.parse(await scan("cyclonedx")));
});

test("SARIF keeps to its own schema and holds every finding", { skip }, async () => {
  const check = checker(load("@microsoft/jest-sarif", "lib/schemas/sarif-2.1.0-rtm.5.json"));
  const plain = JSON.parse(await scan("sarif")), judged = JSON.parse(await scan("sarif", "--policy", policy));
  check(plain), check(judged);
  const results = plain.runs[0].results as { ruleId: string; ruleIndex: number; partialFingerprints: Record<string, string> }[];
  assert.deepEqual(results.map((r) => r.ruleId).sort(), report.findings.map((f) => f.id).sort());
  const rules = plain.runs[0].tool.driver.rules as { id: string }[];
  for (const r of results) assert.equal(rules[r.ruleIndex]!.id, r.ruleId);
  assert.equal(new Set(rules.map((r) => r.id)).size, rules.length);
  const suppressed = judged.runs[0].results.filter((r: { suppressions?: { justification: string }[] }) => r.suppressions);
  assert.ok(suppressed.length > 0 && suppressed.every((r: { ruleId: string }) => r.ruleId === report.findings[0]!.id));
  assert.match(suppressed[0].suppressions[0].justification, /^sec@example.org: no network & <none>/);
  assert.ok(judged.runs[0].results.some((r: { ruleId: string }) => r.ruleId === "policy/gate"), "package rules are told too");
});

test("SPDX: what 2.3 demands, and every package", { skip }, async () => {
  const id = { type: "string", pattern: "^SPDXRef-[a-zA-Z0-9.-]+$" }, text = { type: "string", minLength: 1 };
  const check = checker({
    type: "object",
    required: ["spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace", "creationInfo", "packages", "relationships"],
    properties: {
      spdxVersion: { const: "SPDX-2.3" }, dataLicense: { const: "CC0-1.0" }, SPDXID: { const: "SPDXRef-DOCUMENT" },
      documentNamespace: { type: "string", format: "uri", pattern: "^[^#]+$" },
      creationInfo: { required: ["created", "creators"], properties: {
        created: { pattern: "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$" }, creators: { minItems: 1, items: { pattern: "^(Tool|Person|Organization): ?.+" } } } },
      packages: { items: { required: ["SPDXID", "name", "downloadLocation"], properties: { SPDXID: id, name: text, versionInfo: text, filesAnalyzed: { const: false },
        primaryPackagePurpose: { enum: ["APPLICATION", "FRAMEWORK", "LIBRARY", "CONTAINER", "OPERATING-SYSTEM", "FILE"] },
        externalRefs: { items: { required: ["referenceCategory", "referenceType", "referenceLocator"], properties: { referenceLocator: { pattern: "^pkg:[a-z]+/\\S+$" } } } } } } },
    },
  });
  const doc = JSON.parse(await scan("spdx"));
  check(doc);
  const ids = new Set<string>([doc.SPDXID, ...doc.packages.map((p: { SPDXID: string }) => p.SPDXID)]);
  assert.equal(ids.size, doc.packages.length + 1, "identifiers are unique");
  for (const r of doc.relationships) assert.ok(ids.has(r.spdxElementId) && ids.has(r.relatedSpdxElement));
  const refs = new Set((doc.hasExtractedLicensingInfos ?? []).map((l: { licenseId: string }) => l.licenseId));
  for (const p of doc.packages)
    if (/^LicenseRef-/.test(p.licenseDeclared)) assert.ok(refs.has(p.licenseDeclared));
    else if (p.licenseDeclared !== "NOASSERTION") parseLicense(p.licenseDeclared);
  const purls = doc.packages.flatMap((p: { externalRefs?: { referenceLocator: string }[] }) => p.externalRefs?.map((x) => x.referenceLocator) ?? []);
  assert.deepEqual(purls.sort(), report.packages.map((p) => p.purl).sort());
});

test("JUnit: well-formed, counts that add up, failures where the verdict refuses", { skip }, async () => {
  type Case = { failure?: unknown };
  type Suite = { "@_name": string; "@_tests": string; "@_failures": string; testcase: Case[] };
  const read = async (...args: string[]): Promise<Suite[]> => {
    const xml = await scan("junit", ...args);
    assert.equal(XMLValidator.validate(xml), true);
    const doc = new XMLParser({ ignoreAttributes: false, isArray: (n) => n === "testsuite" || n === "testcase" }).parse(xml);
    const suites = doc.testsuites.testsuite as Suite[];
    for (const s of suites) {
      assert.equal(Number(s["@_tests"]), s.testcase.length);
      assert.equal(Number(s["@_failures"]), s.testcase.filter((c) => c.failure !== undefined).length);
    }
    assert.equal(Number(doc.testsuites["@_tests"]), suites.reduce((n, s) => n + s.testcase.length, 0));
    return suites;
  };
  const plain = (await read()).find((s) => s["@_name"] === "vulnerability")!;
  assert.equal(plain.testcase.length, report.findings.length);
  assert.equal(Number(plain["@_failures"]), report.findings.length, "nothing judged: every finding fails");
  const judged = (await read("--policy", policy)).find((s) => s["@_name"] === "vulnerability")!;
  const refused = report.findings.filter((f) => ["high", "critical"].includes(f.severity) && f.id !== report.findings[0]!.id);
  assert.equal(Number(judged["@_failures"]), refused.length);
});

test("HTML: one valid page, nothing active, nothing from elsewhere", { skip }, async () => {
  const page = join(dir, "page.html");
  writeFileSync(page, await scan("html", "--policy", policy));
  const r = await run("tidy", ["-q", "-e", "--drop-empty-elements", "no", page]);
  assert.ok(r.code === 0, r.stderr);
  const html = readFileSync(page, "utf8");
  assert.doesNotMatch(html, /<script|<img|<link|\bsrc=|@import|url\(|\son\w+=/i);
  assert.match(html, /&lt;script&gt;alert\(&quot;x&quot;\)&lt;\/script&gt;/);
  for (const f of report.findings) assert.ok(html.includes(f.id));
});

test("a signed verdict: openssl agrees, further reports are written, a changed byte or another key is refused", { skip }, async () => {
  const ok = async (cmd: string, ...args: string[]) => {
    const r = await run(cmd, args, { cwd: dir });
    assert.equal(r.code, 0, `${cmd} ${args.join(" ")}: ${r.stderr}`);
  };
  const verify = (key: string, file: string) => run(program("bulkhead"), ["attestation", "verify", "--key", join(dir, key), join(dir, file)]);
  for (const k of ["ci", "other"]) {
    await ok("openssl", "genpkey", "-algorithm", "ed25519", "-out", `${k}.key`);
    await ok("openssl", "pkey", "-in", `${k}.key`, "-pubout", "-out", `${k}.pub`);
  }
  await ok("umoci", "init", "--layout", "image");
  await ok("umoci", "new", "--image", "image:1");
  await ok(program("bulkhead"), "scan", "oci:image:1", "--quiet", "--attest", "verdict.json", "--sign", "ci.key", "--report", "junit=junit.xml", "--report", "json=report.json");
  assert.equal(XMLValidator.validate(readFileSync(join(dir, "junit.xml"), "utf8")), true);
  const envelope = JSON.parse(readFileSync(join(dir, "verdict.json"), "utf8"));
  const payload = Buffer.from(envelope.payload, "base64"), statement = JSON.parse(payload.toString());
  const image = JSON.parse(readFileSync(join(dir, "report.json"), "utf8")).verdict;
  assert.equal(statement._type, "https://in-toto.io/Statement/v1");
  assert.equal(`sha256:${statement.subject[0].digest.sha256}`, image.image_id);
  assert.deepEqual(statement.predicate.verdict, image);
  writeFileSync(join(dir, "message"), Buffer.concat([Buffer.from(`DSSEv1 ${envelope.payloadType.length} ${envelope.payloadType} ${payload.length} `), payload]));
  writeFileSync(join(dir, "sig"), Buffer.from(envelope.signatures[0].sig, "base64"));
  await ok("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "ci.pub", "-rawin", "-in", "message", "-sigfile", "sig");
  assert.equal((await verify("ci.pub", "verdict.json")).code, 0);
  const other = await verify("other.pub", "verdict.json");
  assert.equal(other.code, 3);
  assert.match(other.stderr, /another key/);
  const forged = Buffer.from(payload.toString().replace('"allow":true', '"allow":false'));
  writeFileSync(join(dir, "forged.json"), JSON.stringify({ ...envelope, payload: forged.toString("base64") }));
  const r = await verify("ci.pub", "forged.json");
  assert.equal(r.code, 3);
  assert.match(r.stderr, /not what was signed/);
  const tree = await run(program("bulkhead"), ["scan", `dir:${root}`, "--attest", join(dir, "x.json"), "--sign", join(dir, "ci.key"), "--quiet"]);
  assert.equal(tree.code, 3, "a file tree has no id to attest");
});

test("the pipeline templates: their script scans, judges, signs, and leaves the reports that they collect", { skip }, async () => {
  const ci = join(top, "packaging/ci"), work = join(dir, "pipeline"), reports = join(work, "bulkhead-reports");
  mkdirSync(join(work, "policies"), { recursive: true });
  const scan = (env: NodeJS.ProcessEnv) => run(join(ci, "scan.sh"), [], {
    cwd: work, env: { ...process.env, PATH: `${dirname(program("bulkhead"))}:${process.env.PATH}`, IMAGE: `oci:${join(dir, "image")}:1`, ...env } });
  const policy = (rule: string) => writeFileSync(join(work, "policies/p.yaml"), `kind: ImagePolicy\nname: p\nselect: {images: ["*"]}\nrules: [{deny: ${rule}}]\n`);
  policy("config.user = nobody");
  const good = await scan({ BULKHEAD_INTEL: db, BULKHEAD_KEY: join(dir, "ci.key") });
  assert.equal(good.code, 0, good.stderr);
  assert.equal((await run(program("bulkhead"), ["attestation", "verify", "--key", join(dir, "ci.pub"), join(reports, "verdict.json")])).code, 0);
  policy("config.user = root");
  assert.equal((await scan({})).code, 1);
  assert.match(readFileSync(join(reports, "junit.xml"), "utf8"), /<failure/);
  assert.equal((await scan({ IMAGE: "" })).code, 2);
  const github = parse(readFileSync(join(ci, "github.yml"), "utf8")), gitlab = parse(readFileSync(join(ci, "gitlab.yml"), "utf8"));
  const steps = github.jobs.scan.steps as { run?: string; with?: { sarif_file?: string } }[];
  assert.ok(steps.some((s) => s.run?.includes("./scan.sh")) && gitlab.scan.script.includes("./scan.sh"));
  for (const f of [steps.find((s) => s.with?.sarif_file)!.with!.sarif_file!, ...(Object.values(gitlab.scan.artifacts.reports) as string[])])
    assert.ok(existsSync(join(work, f)), f);
  const known = new Set(readFileSync(join(ci, "scan.sh"), "utf8").match(/BULKHEAD_[A-Z_]+/g));
  for (const f of ["github.yml", "gitlab.yml", "Jenkinsfile"])
    for (const v of readFileSync(join(ci, f), "utf8").match(/BULKHEAD_[A-Z_]+(?=:| =)/g)!) assert.ok(known.has(v), `${f}: ${v}`);
});

test("a verdict comes out again from its three revisions and its instant; a kept report is judged without the image", { skip }, async () => {
  const kept = join(dir, "kept.json");
  writeFileSync(kept, await scan("json", "--policy", policy));
  const { verdict } = JSON.parse(readFileSync(kept, "utf8"));
  const again = (...args: string[]) => run(program("bulkhead"), ["scan", `report:${kept}`, "--intel", db, "--policy", policy, "--quiet", ...args]);
  const r = await again("--format", "json", "--at", verdict.evaluated);
  assert.equal(r.code, 1);
  assert.deepEqual(JSON.parse(r.stdout).verdict, verdict);
  const later = JSON.parse((await again("--format", "json", "--at", "2999-06-01")).stdout).verdict;
  assert.ok(later.reasons.filter((x: { deny: boolean }) => x.deny).length > verdict.reasons.filter((x: { deny: boolean }) => x.deny).length, "the exception has ended then");
  assert.equal((await run(program("bulkhead"), ["scan", `report:${join(dir, "none")}`])).code, 3);
  assert.equal((await again("--at", "yesterday")).code, 2);
});
