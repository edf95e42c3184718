// dockerd: a private Docker engine: own data root, socket, containerd namespace, network and mount namespace. What it
// mounts and the bridges it makes vanish with its namespaces; /run/docker/plugins is its own (`plugins`).
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { type Answer, request, type RequestOptions } from "./http.ts";
import { alive, type Cleanup, Daemon, type Result, run, tempDir, until } from "./proc.ts";

export interface DockerdOptions {
  bridge?: string;                  // "172.31.77.1/24": docker0 with iptables inside the namespace; default: no bridge
  config?: Record<string, unknown>; // daemon.json
  args?: string[];
  start?: boolean;                  // false: only prepare; start() later (a plugin's socket must exist first)
}

export class Dockerd {
  daemon?: Daemon;
  readonly socket: string;
  readonly url: string;
  readonly configFile: string;
  readonly pidFile: string;
  readonly plugins: string;         // seen by the engine as /run/docker/plugins
  readonly env: NodeJS.ProcessEnv;  // for a docker client
  private readonly namespace: string;

  constructor(readonly dir: string, private readonly options: DockerdOptions) {
    this.socket = join(dir, "docker.sock");
    this.url = `unix://${this.socket}`;
    this.configFile = join(dir, "daemon.json");
    this.pidFile = join(dir, "docker.pid");
    this.plugins = join(dir, "plugins");
    this.namespace = `bh${createHash("sha256").update(dir).digest("hex").slice(0, 12)}`;
    for (const d of ["data", "exec", "plugins", "cli"]) mkdirSync(join(dir, d), { recursive: true });
    this.env = { ...process.env, DOCKER_HOST: this.url, DOCKER_CONFIG: join(dir, "cli"), DOCKER_BUILDKIT: "0" };
    writeFileSync(this.configFile, JSON.stringify(options.config ?? {}, null, 2));
  }

  get dataRoot(): string {
    return join(this.dir, "data");
  }

  async start(): Promise<void> {
    const net = this.options.bridge ? ["--bip", this.options.bridge] : ["--bridge=none", "--iptables=false", "--ip6tables=false"];
    const script = 'ip link set lo up; mkdir -p /run/docker/plugins && mount --bind "$1" /run/docker/plugins && shift && exec "$@"';
    this.daemon = new Daemon("dockerd", "unshare", ["--mount", "--net", "sh", "-c", script, "sh", this.plugins,
      "dockerd", "--data-root", this.dataRoot, "--exec-root", join(this.dir, "exec"), "-H", this.url, "--pidfile", this.pidFile,
      "--config-file", this.configFile, "--containerd-namespace", this.namespace, "--containerd-plugins-namespace", `${this.namespace}p`,
      ...net, ...(this.options.args ?? [])], join(this.dir, "dockerd.out"), join(this.dir, "dockerd.log"));
    await this.daemon.ready("dockerd answers", async () =>
      existsSync(this.pidFile) && Number(readFileSync(this.pidFile, "utf8")) === this.daemon?.pid &&
      (await request(this.socket, "GET", "/_ping", { timeout: 40000 })).text === "OK", 60000);
  }

  /** TERM; containers go with it (unless live-restore). `now`: kill -9, and containers stay. */
  async stop(now = false): Promise<void> {
    if (!this.daemon || this.daemon.exited) return;
    await (now ? this.daemon.kill() : this.daemon.stop(30000));
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Everything of this engine ends, also shims and containers it left. */
  async destroy(): Promise<void> {
    if (this.daemon && !this.daemon.exited) {
      this.daemon.signal("SIGTERM"); // not through the API: its plugin may be gone already, and it fails closed
      await until("dockerd ends", () => {
        for (const pid of this.containerPids()) process.kill(pid, "SIGKILL"); // instead of the ten seconds each may take
        return this.daemon?.exited;
      }, 20000).catch(() => this.daemon?.kill());
    }
    for (const pid of this.shims()) process.kill(pid, "SIGKILL");
    await until("shims end", () => this.shims().length === 0, 5000).catch(() => {});
  }

  /** Host pids of everything in this engine's containers, without asking the engine. */
  private containerPids(): number[] {
    const dir = join(this.dataRoot, "containers"), ids = existsSync(dir) ? readdirSync(dir) : [];
    return readdirSync("/proc").filter((n) => /^\d+$/.test(n)).map(Number).filter((pid) => {
      try {
        const cgroups = readFileSync(`/proc/${pid}/cgroup`, "latin1");
        return ids.some((id) => cgroups.includes(id)) && alive(pid);
      } catch {
        return false;
      }
    });
  }

  private shims(): number[] {
    return readdirSync("/proc").filter((n) => /^\d+$/.test(n)).map(Number).filter((pid) => {
      try {
        const args = readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0");
        return args[0].includes("containerd-shim") && args[args.indexOf("-namespace") + 1] === this.namespace && alive(pid);
      } catch {
        return false;
      }
    });
  }

  /** The docker client. */
  docker(...args: string[]): Promise<Result> {
    return run("docker", args, { env: this.env, timeout: 120000 });
  }

  /** The docker client, which must succeed; gives its trimmed standard output. */
  async ok(...args: string[]): Promise<string> {
    const r = await this.docker(...args);
    if (r.code !== 0) throw new Error(`docker ${args.join(" ")}: exit ${r.code}: ${r.stderr}${r.stdout}`);
    return r.stdout.trim();
  }

  request(method: string, target: string, o: RequestOptions = {}): Promise<Answer> {
    return request(this.socket, method, target, o);
  }

  /** A 2 MB image of busybox without any network; gives its id. `files`: more files (path: content), `changes`: Dockerfile lines. */
  async busybox(name: string, o: { files?: Record<string, string | Buffer>; changes?: string[] } = {}): Promise<string> {
    const root = join(this.dir, "images", name.replace(/[^a-z0-9]/g, "_"));
    for (const d of ["bin", "tmp", "etc", "proc", "dev"]) mkdirSync(join(root, d), { recursive: true });
    const applets = "sh ls cat cp chmod mkdir rm echo sleep id wget nc ping httpd ps mount ip true false env touch head";
    const made = await run("sh", ["-c", `cp /bin/busybox ${root}/bin/ && for a in ${applets}; do ln -sf busybox ${root}/bin/$a; done`]);
    if (made.code !== 0) throw new Error(made.stderr);
    writeFileSync(join(root, "etc/passwd"), "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n");
    for (const [path, content] of Object.entries(o.files ?? {})) {
      mkdirSync(join(root, path, ".."), { recursive: true });
      writeFileSync(join(root, path), content, { mode: 0o755 });
    }
    const changes = ['CMD ["/bin/sh"]', "ENV PATH=/bin", ...(o.changes ?? [])].flatMap((c) => ["-c", `'${c}'`]).join(" ");
    const r = await run("sh", ["-c", `tar -C ${root} --owner=0 --group=0 -c . | docker import ${changes} - ${name}`], { env: this.env });
    if (r.code !== 0) throw new Error(`docker import: ${r.stderr}`);
    return r.stdout.trim();
  }
}

export async function startDockerd(cleanup: Cleanup, options: DockerdOptions = {}): Promise<Dockerd> {
  const d = new Dockerd(tempDir(cleanup, "bh-dk-"), options);
  cleanup.add("dockerd", () => d.destroy());
  if (options.start !== false) await d.start();
  return d;
}
