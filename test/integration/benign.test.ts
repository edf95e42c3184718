// Ordinary work stays untouched under a policy that blocks everything: nginx and PostgreSQL as Debian ships them, interpreters
// at work, a package manager. Then every control against these same containers, while they go on serving.
// The image is made once by debootstrap and kept in build/test-cache.
import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Agent, startAgent } from "./lib/bulkhead.ts";
import { type Dockerd, startDockerd } from "./lib/dockerd.ts";
import type { Event } from "./lib/events.ts";
import { Cleanup, needs, run, tempDir, top, until } from "./lib/proc.ts";

const cleanup = new Cleanup();
let d: Dockerd, agent: Agent, tier = "";

/** The image's tar, or why there is none. */
async function image(): Promise<{ tar: string } | { why: string }> {
  const why = needs("debootstrap", "tar");
  if (why) return { why };
  const made = await run(join(top, "test/benign-image"), [process.env.BULKHEAD_BUILD ?? join(top, "build")], { timeout: 150000 });
  return made.code === 0 ? { tar: made.stdout.trim() } : { why: `debootstrap (a mirror is needed once): exit ${made.code}: ${made.stderr.trimEnd().split("\n").at(-1)}` };
}

const noEngine = needs("dockerd", "docker", "bulkhead-agent", "dpkg-deb");
const found = noEngine ? { why: noEngine } : await image();
const skip = "why" in found ? found.why : false;
if (skip) {
  await cleanup.run();
  console.error(`benign.test.ts skipped: ${skip}`);
}

const policy = (name: string, mode: string, extra = "") => `kind: ContainerPolicy
name: ${name}
mode: ${mode}
select: {images: ["${name}:*"]}
process: {drift: block, fileless: block, scripts: alert${extra}}
privilege: {escalation: block, namespaces: block, ptrace: block, mount: block, modules: block, bpf: block, io_uring: block}
`;
// Without Docker's own filters, and able to mount: it is our controls that are tested.
const options = ["--network", "none", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
  "--cap-add", "SYS_ADMIN", "--tmpfs", "/scratch:exec"];
const pgbin = "/usr/lib/postgresql/15/bin";
const startPostgres = `set -e; ${pgbin}/initdb -D /var/tmp/pg -A trust >/dev/null; exec ${pgbin}/postgres -D /var/tmp/pg -c listen_addresses=127.0.0.1`;

const exec = (name: string, script: string, ...o: string[]) => d.docker("exec", ...o, name, "sh", "-c", script);
const succeeds = async (name: string, script: string, ...o: string[]): Promise<string> => {
  const r = await exec(name, script, ...o);
  assert.equal(r.code, 0, `${name}: ${script}: exit ${r.code}: ${r.stderr}${r.stdout}`);
  return r.stdout.trim();
};
const fetch = () => succeeds("web", "busybox wget -qO- http://127.0.0.1/");
const sql = (text: string) => succeeds("sql", `psql -h 127.0.0.1 -U postgres -Atq -v ON_ERROR_STOP=1 -c "${text}"`);
const services: Record<string, () => Promise<true>> = {
  web: async () => (assert.match(await fetch(), /Welcome to nginx/), true),
  sql: async () => (assert.equal(await sql("select 6 * 7"), "42"), true),
};
const workers = async () => (await d.ok("top", "web", "-eo", "pid,args")).split("\n").filter((l) => l.includes("worker process")
  && !l.includes("shutting down")).map((l) => l.trim().split(/\s+/)[0]);

/** What hurts or accuses: nothing of the kind may come from ordinary work. What has no name is another engine's on this host. */
const offence = (e: Event) => ["medium", "high", "critical"].includes(e.severity) && ["block", "alert"].includes(e.action) && e.container?.name;
/** Wait for a later event of a container of its own, so that everything before it has been told. */
async function told(): Promise<void> {
  const from = agent.events.mark();
  await exec("marker", "cp /usr/bin/id /tmp/marker; /tmp/marker");
  await agent.events.wait("marker", (e) => e.control === "drift" && e.container?.name === "marker", from);
}
async function untouched(from: number, but: (e: Event) => boolean = () => false): Promise<void> {
  await told();
  const all = agent.events.matching((e) => offence(e) && e.container.name !== "marker" && !but(e), from);
  assert.equal(all.length, 0, all.map((e) => `${e.container.name}: ${e.control} ${e.outcome}: ${e.process.args?.join(" ")} ${JSON.stringify(e.detail)}`).join("\n"));
}

before(async () => {
  if (skip || "why" in found) return;
  d = await startDockerd(cleanup);
  await d.ok("import", "-c", "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", found.tar, "base:1");
  const dir = join(d.dir, "jobs");
  mkdirSync(dir);
  for (const name of readdirSync(join(top, "test/data/benign"))) { // scripts that come with the image
    copyFileSync(join(top, "test/data/benign", name), join(dir, name));
    chmodSync(join(dir, name), 0o755);
  }
  await d.ok("create", "--name", "making", "base:1", "true");
  await d.ok("cp", dir, "making:/opt/jobs");
  for (const name of ["stock", "lenient", "watched"]) await d.ok("commit", "-c", `LABEL for=${name}`, "making", `${name}:1`);
  await d.ok("rm", "making");
  await d.ok("run", "-d", "--name", "web", ...options, "stock:1", "nginx", "-g", "daemon off;"); // older than the agent
  agent = await startAgent(cleanup, {
    dockerd: d, policies: {
      "stock.yaml": policy("stock", "enforce"), "lenient.yaml": policy("lenient", "enforce", ', drift_allow: ["/usr/bin/newtool"]'),
      "watched.yaml": policy("watched", "audit"),
    },
  });
  tier = JSON.parse(readFileSync(join(agent.state, "status.json"), "utf8")).tier;
  await d.ok("run", "-d", "--name", "sql", ...options, "-u", "postgres", "stock:1", "sh", "-c", startPostgres);
  for (const name of ["marker", "jobs"]) await d.ok("run", "-d", "--name", name, "--network", "none", "stock:1", "sleep", "1000");
  await until("nginx serves", services.web);
  await until("PostgreSQL answers", services.sql, 30000);
});
after(() => cleanup.run());

describe("untouched", { skip }, () => {
  test("nginx serves, reloads with new workers and serves on", async () => {
    const first = await workers();
    assert.ok(first.length > 0);
    await succeeds("web", "nginx -t && nginx -s reload");
    await until("new workers only", async () => {
      const now = await workers();
      return now.length > 0 && now.every((w) => !first.includes(w));
    });
    await services.web();
    await untouched(0);
  });

  test("PostgreSQL: initdb, tables, its JIT, reload, a dump", async () => {
    await sql("create table t as select i, md5(i::text) as m from generate_series(1, 20000) i");
    await sql("insert into t values (0, 'zero')");
    assert.equal(await sql("select count(*) from t"), "20001");
    assert.equal(await sql("set jit = on; set jit_above_cost = 0; set jit_inline_above_cost = 0; set jit_optimize_above_cost = 0; " +
      "select sum(i) from t where length(m) = 32"), "200010000");
    await succeeds("sql", `${pgbin}/pg_ctl -D /var/tmp/pg reload`, "-u", "postgres");
    assert.match(await succeeds("sql", "pg_dump -h 127.0.0.1 -U postgres postgres | head -n 40"), /CREATE TABLE public\.t/);
    await services.sql();
    await untouched(0);
  });

  test("Debian's own way to start PostgreSQL: perl as root that becomes postgres", async () => {
    assert.match(await succeeds("jobs", "pg_ctlcluster 15 main start && pg_lsclusters -h && pg_ctlcluster 15 main stop -m fast"), /15 +main +\d+ +online/);
    await untouched(0);
  });

  test("sh, python and perl at work", async () => {
    assert.equal(await succeeds("jobs", "/opt/jobs/shell"), "1");
    assert.equal(await succeeds("jobs", "/opt/jobs/python"), "python 3");
    assert.equal(await succeeds("jobs", "/opt/jobs/perl"), "perl 5");
    await succeeds("jobs", "cp /opt/jobs/python /tmp/mine.py && python3 /tmp/mine.py && ldd /usr/bin/python3 && ldconfig");
    await untouched(0);
  });

  test("containers that end at once", async () => {
    for (let i = 0; i < 3; i++) assert.equal((await d.docker("run", "--rm", "--network", "none", "stock:1", "/bin/true")).code, 0);
    assert.equal((await d.docker("run", "--rm", "--network", "none", "stock:1", "/bin/false")).code, 1);
    await untouched(0);
  });
});

describe("a package manager", { skip }, () => {
  const ofTool = (e: Event) => e.control === "drift" && e.process.exe === "/usr/bin/newtool";
  before(async () => {
    const root = join(tempDir(cleanup, "bh-deb-"), "newtool");
    mkdirSync(join(root, "DEBIAN"), { recursive: true });
    mkdirSync(join(root, "usr/bin"), { recursive: true });
    writeFileSync(join(root, "DEBIAN/control"), "Package: newtool\nVersion: 1\nArchitecture: all\nMaintainer: Test <test@example.org>\nDescription: a test\n");
    writeFileSync(join(root, "DEBIAN/postinst"), "#!/bin/sh\n/usr/bin/newtool >/var/lib/newtool.out\necho $? >/var/lib/newtool.code\n", { mode: 0o755 });
    await d.ok("cp", "jobs:/usr/bin/id", join(root, "usr/bin/newtool"));
    const built = await run("dpkg-deb", ["--root-owner-group", "--build", root]);
    assert.equal(built.code, 0, built.stderr);
    for (const name of ["stock", "lenient"]) {
      await d.ok("run", "-d", "--name", `pkg-${name}`, "--network", "none", `${name}:1`, "sleep", "1000");
      await d.ok("cp", `${root}.deb`, `pkg-${name}:/tmp/newtool.deb`);
    }
  });

  test("works; what it newly installs is refused, and the event says who installed it and how to allow it", async () => {
    const from = agent.events.mark();
    await succeeds("pkg-stock", "dpkg -i /tmp/newtool.deb");
    assert.match(await succeeds("pkg-stock", "dpkg -s newtool"), /Status: install ok installed/);
    assert.equal(await succeeds("pkg-stock", "cat /var/lib/newtool.code"), tier === "lsm" ? "126" : "137"); // its postinst ran
    const e = await agent.events.wait("newtool in postinst", ofTool, from);
    assert.equal(e.container.name, "pkg-stock");
    assert.match(e.detail.installed_by, /dpkg$/);
    assert.match(e.detail.lift, /drift_allow/);
    assert.notEqual(e.outcome, "detected");
    const later = agent.events.mark();
    assert.equal((await exec("pkg-stock", "newtool; exit $?")).code, tier === "lsm" ? 126 : 137);
    const again = await agent.events.wait("newtool", ofTool, later); // started by somebody else, after dpkg has ended
    assert.match(again.detail.lift, /drift_allow/);
    assert.ok(!again.process.parents.some((p: Event) => /dpkg$/.test(p.exe)), JSON.stringify(again.process));
    assert.equal(again.detail.installed_by, "dpkg");
    assert.equal(again.detail.package.name, "newtool");
    assert.equal(again.process.user, "root");
    await succeeds("pkg-stock", "dpkg -r newtool && ! test -e /usr/bin/newtool");
    await untouched(from, (x) => ofTool(x) || x.control === "scripts"); // dpkg's maintainer script is new, too
  });

  test("a program put over one that a package brought is not called the package's; nor is one whose list is no file", async () => {
    const from = agent.events.mark();
    await exec("pkg-stock", "cp /usr/bin/id /tmp/n; mv /tmp/n /usr/bin/chage; /usr/bin/chage"); // of the image's package passwd
    const over = await agent.events.wait("chage", (x) => x.control === "drift" && x.process.exe === "/usr/bin/chage", from);
    assert.equal(over.detail.installed_by, undefined, JSON.stringify(over.detail));
    const bait = agent.events.mark();
    await exec("pkg-stock", "cd /var/lib/dpkg/info; mkfifo a.list; mkdir b.list; ln -s /etc/passwd c.list; ln -s /proc/1/environ d.list; cp /usr/bin/id /tmp/bait; /tmp/bait");
    const e = await agent.events.wait("bait", (x) => x.control === "drift" && x.process.exe === "/tmp/bait", bait);
    assert.equal(e.detail.installed_by, undefined, JSON.stringify(e.detail));
    await exec("pkg-stock", "rm -r /var/lib/dpkg/info/[abcd].list /tmp/bait");
  });

  test("allowed by its path it runs", async () => {
    const from = agent.events.mark();
    await succeeds("pkg-lenient", "dpkg -i /tmp/newtool.deb");
    assert.match(await succeeds("pkg-lenient", "cat /var/lib/newtool.out; newtool"), /^uid=0.*\nuid=0/);
    await untouched(from, (x) => x.control === "scripts");
  });
});

// name, control, what is run in the container; each works in an auditing container.
const perl = (call: string) => `exec perl -e '$r = syscall(${call}); print "survived: $!"'`;
const attacks: [string, string, string, string[]?][] = [
  ["a dropped program", "drift", "cp /usr/bin/id /tmp/evil && exec /tmp/evil"],
  ["a program over one of the image", "drift", "cp /usr/bin/id /tmp/n; mv /tmp/n /usr/bin/chage; exec /usr/bin/chage", ["-u", "root"]],
  ["a program in memory", "fileless", `exec python3 -c '
import os
fd = os.memfd_create("x"); os.write(fd, open("/usr/bin/id", "rb").read())
os.execve("/proc/self/fd/%d" % fd, ["id"], {})'`],
  ["a deleted program", "fileless", "cp /usr/bin/id /tmp/gone; exec 3</tmp/gone; rm /tmp/gone; exec /proc/self/fd/3"],
  ["LD_PRELOAD of a dropped library", "drift", "cp /lib/x86_64-linux-gnu/libz.so.1 /tmp/p.so; LD_PRELOAD=/tmp/p.so exec id"],
  ["a dropped program by ld.so", "drift", "cp /usr/bin/id /tmp/x; exec /lib64/ld-linux-x86-64.so.2 /tmp/x"],
  ["a program on the tmpfs", "drift", "cp /usr/bin/id /scratch/x; exec /scratch/x", ["-u", "root"]],
  ["a private tmpfs", "namespaces", "exec unshare -m sh -c 'mount -t tmpfs none /mnt && cp /usr/bin/id /mnt/x && exec /mnt/x'", ["-u", "root"]],
  ["a mount", "mount", "exec mount -t tmpfs none /mnt", ["-u", "root"]],
  ["set-uid", "escalation", "exec su --version", ["-u", "nobody"]],
  ["ptrace", "ptrace", `sleep 9 >/dev/null 2>&1 & exec perl -e '$r = syscall(101, 16, '$!', 0, 0); kill 9, '$!'; print "survived"'`],
  ["a kernel module", "modules", perl("313, -1, 0, 0"), ["-u", "root"]],
  ["bpf", "bpf", perl('321, 0, $p = "\\0" x 128, 128')],
  ["io_uring", "io_uring", perl('425, 4, $p = "\\0" x 128')],
];

describe("attacked", { skip }, () => {
  before(() => d.ok("run", "-d", "--name", "watched", ...options, "watched:1", "sleep", "1000"));

  for (const [name, control, script, o] of attacks)
    test(name, async (t) => {
      const seen = await exec("watched", script, ...(o ?? []));
      assert.equal(seen.code, 0, `does not work without us: ${seen.stderr}`);
      if (/not implemented/.test(seen.stdout)) return t.skip(`this kernel has no call for ${control}`);
      for (const service of Object.keys(services)) {
        const from = agent.events.mark();
        const r = await exec(service, script, ...(o ?? []));
        const e = await agent.events.wait(`${control} of ${service} (exit ${r.code}: ${r.stdout}${r.stderr})`,
          (x) => x.control === control && x.container?.name === service, from);
        assert.equal(e.outcome, tier === "lsm" ? "prevented" : "killed");
        assert.ok(tier === "lsm" || r.code === 137, `exit ${r.code}: ${r.stdout}`);
        await services[service]();
      }
    });

  test("a dropped program run by PostgreSQL itself", async () => {
    const from = agent.events.mark();
    const r = await exec("sql", `psql -h 127.0.0.1 -U postgres -c "copy t (m) from program 'cp /usr/bin/id /tmp/copied && exec /tmp/copied'"`);
    assert.match(r.stderr, tier === "lsm" ? /ERROR/ : /signal 9/);
    const e = await agent.events.wait("drift", (x) => x.control === "drift" && x.container?.name === "sql", from);
    assert.ok(e.process.parents.some((p: Event) => p.exe.endsWith("/postgres")), JSON.stringify(e.process));
    assert.equal(e.process.user, "postgres");
    assert.equal(e.user, null); // nobody asked for it by the engine
    assert.equal(await sql("select count(*) from t"), "20001");
  });

  test("a library dropped and loaded by PostgreSQL: its own process ends, and it answers again", async () => {
    const from = agent.events.mark();
    await exec("sql", `cp /lib/x86_64-linux-gnu/libz.so.1 /tmp/l.so; psql -h 127.0.0.1 -U postgres -c "load '/tmp/l.so'"`);
    const e = await agent.events.wait("drift", (x) => x.control === "drift" && x.type === "mmap" && x.container?.name === "sql", from);
    assert.match(e.process.exe, /\/postgres$/);
    await until("PostgreSQL answers again", services.sql);
    assert.equal(await sql("select count(*) from t"), "20001");
  });
});
