// bulkhead: our own programs, each with private folders, started and stopped by a test.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Dockerd } from "./dockerd.ts";
import { EventFile } from "./events.ts";
import { type Cleanup, Daemon, program, type Result, run, tempDir } from "./proc.ts";

/** bulkhead ARGS, the command line. `env` adds to the environment. */
export function bulkhead(args: string[], env: NodeJS.ProcessEnv = {}, input?: string): Promise<Result> {
  return run(program("bulkhead"), args, { env: { ...process.env, ...env }, input, timeout: 120000 });
}

export interface AgentOptions {
  dockerd?: Dockerd;                   // its engine; also gets the plugin's socket in its plugins folder
  state?: string;                      // default: a folder of its own
  policies?: Record<string, string>;   // file name: YAML, into a folder given as --policy
  args?: string[];
  env?: NodeJS.ProcessEnv;
  start?: boolean;
}

export class Agent {
  daemon?: Daemon;
  readonly state: string;
  readonly events: EventFile;
  readonly policyDir: string;
  readonly bpfDir: string;
  readonly socket: string;             // of the plugin
  constructor(readonly dir: string, private readonly o: AgentOptions) {
    this.state = o.state ?? join(dir, "state");
    this.events = new EventFile(join(dir, "events.jsonl"));
    this.policyDir = join(dir, "policy");
    this.bpfDir = `/sys/fs/bpf/${basename(dir)}`;
    this.socket = join(o.dockerd?.plugins ?? dir, "bulkhead.sock");
    mkdirSync(this.state, { recursive: true, mode: 0o700 });
    if (o.policies) this.policies(o.policies);
  }
  /** Write policy files; a running agent is told by SIGHUP (reload()). */
  policies(files: Record<string, string>): void {
    mkdirSync(this.policyDir, { recursive: true });
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.policyDir, name), text);
  }
  async start(extra: string[] = []): Promise<void> {
    const args = ["--state", this.state, "--events", this.events.path, "--bpf-dir", this.bpfDir];
    if (existsSync(this.policyDir)) args.push("--policy", this.policyDir);
    if (this.o.dockerd) args.push("--engine", this.o.dockerd.url, "--authz-socket", this.socket);
    this.daemon = new Daemon("bulkhead-agent", program("bulkhead-agent"), [...args, ...(this.o.args ?? []), ...extra],
      join(this.dir, "agent.out"), join(this.dir, "agent.err"), { ...process.env, PATH: `${join(program("bulkhead"), "..")}:${process.env.PATH}`, ...this.o.env });
    writeFileSync(this.daemon.stdoutFile, "");
    await this.daemon.readyLine(60000);
  }
  reload(): void {
    this.daemon?.signal("SIGHUP");
  }
  async stop(): Promise<void> {
    await this.daemon?.stop();
  }
  /** bulkhead-agent SUBCOMMAND, e.g. agent.run("engine", "enable"). */
  run(...args: string[]): Promise<Result> {
    return run(program("bulkhead-agent"), args, { env: { ...process.env, ...this.o.env } });
  }
}

export async function startAgent(cleanup: Cleanup, o: AgentOptions = {}): Promise<Agent> {
  const agent = new Agent(tempDir(cleanup, "bh-agent-"), o);
  cleanup.add("kernel programs", () => existsSync(agent.bpfDir) && removePins(agent.bpfDir));
  cleanup.add("agent", () => agent.stop());
  if (o.start !== false) await agent.start();
  return agent;
}

function removePins(dir: string): void {
  for (const e of readdirSync(dir, { withFileTypes: true })) e.isDirectory() ? removePins(join(dir, e.name)) : rmSync(join(dir, e.name));
  rmSync(dir, { recursive: true, force: true });
}

export class Console {
  daemon?: Daemon;
  url = "";           // https://127.0.0.1:PORT, people and pipelines
  agentsUrl = "";     // https://127.0.0.1:PORT, agents
  readonly state: string;
  readonly passwordFile: string;
  constructor(readonly dir: string, private readonly args: string[]) {
    this.state = join(dir, "state");
    this.passwordFile = join(dir, "admin.password");
  }
  get ca(): string {
    return join(this.state, "ca.pem");
  }
  get password(): string {
    return readFileSync(this.passwordFile, "utf8").trim();
  }
  async start(): Promise<void> {
    this.daemon = new Daemon("bulkhead-console", program("bulkhead-console"),
      ["--state", this.state, "--listen", "127.0.0.1:0", "--listen-agents", "127.0.0.1:0", "--admin-password-file", this.passwordFile, ...this.args],
      join(this.dir, "console.out"), join(this.dir, "console.err"));
    writeFileSync(this.daemon.stdoutFile, "");
    const line = await this.daemon.readyLine(60000);
    const url = (a: unknown) => (String(a).startsWith("https://") ? String(a) : `https://${a}`);
    this.url = url(line.listen ?? line.address ?? line.people);
    this.agentsUrl = url(line.listen_agents ?? line.agents);
  }
  async stop(): Promise<void> {
    await this.daemon?.stop();
  }
}

export async function startConsole(cleanup: Cleanup, o: { args?: string[]; start?: boolean } = {}): Promise<Console> {
  const c = new Console(tempDir(cleanup, "bh-console-"), o.args ?? []);
  cleanup.add("console", () => c.stop());
  if (o.start !== false) await c.start();
  return c;
}
