// podman: a private podman: own storage, own configuration; with `serve` its Docker-compatible socket as well.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { request } from "./http.ts";
import { type Cleanup, Daemon, type Result, run, tempDir } from "./proc.ts";

export class Podman {
  readonly env: NodeJS.ProcessEnv;
  readonly socket: string;
  readonly url: string;
  readonly root: string;
  private daemon?: Daemon;
  constructor(readonly dir: string) {
    this.socket = join(dir, "podman.sock");
    this.url = `unix://${this.socket}`;
    this.root = join(dir, "graph");
    mkdirSync(join(dir, "net"));
    // limits: podman's own default is above what a bounded root may set
    writeFileSync(join(dir, "containers.conf"), `[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n[engine]\n` +
      `runtime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\ntmp_dir = "${dir}/tmp"\n[network]\nnetwork_config_dir = "${dir}/net"\n`);
    writeFileSync(join(dir, "storage.conf"), `[storage]\ndriver = "overlay"\ngraphroot = "${this.root}"\nrunroot = "${dir}/run"\n`);
    this.env = { ...process.env, CONTAINERS_CONF: join(dir, "containers.conf"), CONTAINERS_STORAGE_CONF: join(dir, "storage.conf") };
  }
  podman(...args: string[]): Promise<Result> {
    return run("podman", args, { env: this.env, timeout: 120000 });
  }
  async ok(...args: string[]): Promise<string> {
    const r = await this.podman(...args);
    if (r.code !== 0) throw new Error(`podman ${args.join(" ")}: exit ${r.code}: ${r.stderr}${r.stdout}`);
    return r.stdout.trim();
  }
  async serve(): Promise<void> {
    this.daemon = new Daemon("podman", "podman", ["system", "service", "--time=0", this.url], join(this.dir, "out"), join(this.dir, "err"), this.env);
    await this.daemon.ready("podman answers", async () =>
      existsSync(this.socket) && (await request(this.socket, "GET", "/_ping", { timeout: 5000 })).text === "OK", 30000);
  }
  async destroy(): Promise<void> {
    await this.podman("rm", "-fa", "-t", "0");
    await this.daemon?.stop();
    await run("umount", ["-l", join(this.root, "overlay")]);
  }
}

export function newPodman(cleanup: Cleanup): Podman {
  const p = new Podman(tempDir(cleanup, "bh-podman-"));
  cleanup.add("podman", () => p.destroy());
  return p;
}
