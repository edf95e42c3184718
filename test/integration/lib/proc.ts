// proc: temporary folders, processes that are stopped by pid, waiting for conditions with a deadline.
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const top = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const build = process.env.BULKHEAD_BUILD ?? join(top, "build");

/** Path of one of our programs in the build folder: program("bulkhead"), program("bulkhead-agent") ... */
export function program(name: string): string {
  const room = name === "bulkhead" ? "cli" : name.replace("bulkhead-", "");
  return join(build, "src", room, name);
}

/** Undo in reverse order at the end of a test file: after(() => cleanup.run()). */
export class Cleanup {
  private steps: { what: string; step: () => unknown }[] = [];
  add(what: string, step: () => unknown): void {
    this.steps.push({ what, step });
  }
  async run(): Promise<void> {
    for (let s = this.steps.pop(); s; s = this.steps.pop()) {
      try {
        await s.step();
      } catch (e) {
        console.error(`cleanup of ${s.what}: ${e}`);
      }
    }
  }
}

export function tempDir(cleanup: Cleanup, prefix = "bulkhead-test-"): string {
  const dir = mkdtempSync(join(process.env.BULKHEAD_TEST_TMP ?? tmpdir(), prefix));
  cleanup.add(dir, () => rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
  return dir;
}

const tick = (ms: number) => new Promise((r) => setTimeout(r, ms));

/** Poll until `probe` gives something truthy; throws with `what` and the last error when the deadline passes. */
export async function until<T>(what: string, probe: () => T | Promise<T>, ms = 15000): Promise<NonNullable<T>> {
  const end = Date.now() + ms;
  let last: unknown;
  for (let pause = 2; ; pause = Math.min(pause * 1.5, 100)) {
    try {
      const v = await probe();
      if (v) return v as NonNullable<T>;
    } catch (e) {
      last = e;
    }
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}${last ? ` (${last})` : ""}`);
    await tick(pause);
  }
}

export interface Result {
  code: number;
  stdout: string;
  stderr: string;
  ms: number;
}

/** Run to the end and collect. Never throws for a non-zero exit; `timeout` kills and gives code 124. */
export function run(cmd: string, args: string[],
                    opts: { env?: NodeJS.ProcessEnv; cwd?: string; input?: string | Buffer; timeout?: number } = {}): Promise<Result> {
  return new Promise((done, fail) => {
    const start = performance.now();
    const p = spawn(cmd, args, { env: opts.env ?? process.env, cwd: opts.cwd, stdio: ["pipe", "pipe", "pipe"] });
    const out: Buffer[] = [], err: Buffer[] = [];
    let late = false;
    const timer = setTimeout(() => { late = true; p.kill("SIGKILL"); }, opts.timeout ?? 60000);
    p.stdout.on("data", (b) => out.push(b));
    p.stderr.on("data", (b) => err.push(b));
    p.stdin.on("error", () => {});
    p.on("error", fail);
    p.on("close", (code, signal) => {
      clearTimeout(timer);
      done({ code: late ? 124 : (code ?? (signal ? 128 : -1)), stdout: Buffer.concat(out).toString(),
             stderr: Buffer.concat(err).toString(), ms: performance.now() - start });
    });
    p.stdin.end(opts.input);
  });
}

export const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.[0] !== "Z";
  } catch {
    return false;
  }
};

/** A program that stays: output goes to files (a pipe nobody reads would stop it). */
export class Daemon {
  readonly child: ChildProcess;
  exited = false;
  constructor(readonly name: string, cmd: string, args: string[], readonly stdoutFile: string, readonly stderrFile: string,
              env: NodeJS.ProcessEnv = process.env) {
    this.child = spawn(cmd, args, { detached: true, env, stdio: ["ignore", openSync(stdoutFile, "a"), openSync(stderrFile, "a")] });
    this.child.on("exit", () => { this.exited = true; });
    this.child.on("error", () => { this.exited = true; });
    this.child.unref();
  }
  get pid(): number {
    return this.child.pid ?? -1;
  }
  log(lines = 30): string {
    const text = (f: string) => (existsSync(f) ? readFileSync(f, "utf8").trimEnd().split("\n").slice(-lines).join("\n") : "");
    return `${this.name} said:\n${text(this.stdoutFile)}\n${text(this.stderrFile)}`;
  }
  /** Wait for a condition while the daemon lives; its last words are in the error. */
  async ready(what: string, probe: () => unknown, ms = 30000): Promise<void> {
    try {
      await until(what, () => {
        if (this.exited) throw new Error("it ended");
        return probe();
      }, ms);
    } catch (e) {
      throw new Error(`${e}\n${this.log()}`);
    }
  }
  /** The line {"ready":true,...} on standard output. */
  async readyLine(ms = 30000): Promise<Record<string, unknown>> {
    let line: Record<string, unknown> = {};
    await this.ready(`${this.name} is ready`, () => {
      const found = readFileSync(this.stdoutFile, "utf8").split("\n").find((l) => l.startsWith("{") && l.includes('"ready":true'));
      if (found) line = JSON.parse(found);
      return found !== undefined;
    }, ms);
    return line;
  }
  signal(s: NodeJS.Signals): void {
    if (!this.exited) process.kill(this.pid, s);
  }
  async stop(ms = 15000): Promise<void> {
    if (this.exited) return;
    this.signal("SIGTERM");
    await until(`${this.name} ends`, () => this.exited, ms).catch(async () => {
      this.signal("SIGKILL");
      await until(`${this.name} is killed`, () => this.exited, 5000);
    });
  }
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await until(`${this.name} is killed`, () => this.exited, 5000);
  }
}

const inPath = (name: string) =>
  (process.env.PATH ?? "").split(delimiter).concat("/usr/sbin", "/sbin").some((d) => {
    try {
      accessSync(join(d, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

/** Reason to skip, or false: needs("dockerd", "bulkhead-agent"). Everything here needs root. */
export function needs(...programs: string[]): string | false {
  if (process.getuid?.() !== 0) return "needs root";
  for (const p of programs)
    if (p.startsWith("bulkhead") ? !existsSync(program(p)) : !inPath(p)) return `needs ${p}`;
  return false;
}
