// rootfs: a busybox tree as a tar, for engines that import one.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./proc.ts";

export async function busyboxTar(dir: string, files: Record<string, string> = {}): Promise<string> {
  const root = join(dir, "bb"), tar = join(dir, "bb.tar");
  for (const d of ["bin", "tmp", "etc", "proc", "dev"]) mkdirSync(join(root, d), { recursive: true });
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0::/:/bin/sh\n");
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(root, path, ".."), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  const r = await run("sh", ["-c", `cp /bin/busybox ${root}/bin/ && for a in sh ls cat cp rm echo sleep id true; do ln -sf busybox ${root}/bin/$a; done
    tar -C ${root} --owner=0 --group=0 -cf ${tar} .`]);
  if (r.code !== 0) throw new Error(r.stderr);
  return tar;
}
