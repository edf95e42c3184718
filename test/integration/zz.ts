import { startAgent } from "./lib/bulkhead.ts";
import { startDockerd } from "./lib/dockerd.ts";
import { Cleanup, program, run } from "./lib/proc.ts";
const c = new Cleanup();
try {
  const d = await startDockerd(c);
  const agent = await startAgent(c, { dockerd: d, policies: { "n.yaml": 'kind: ImagePolicy\nname: n\nselect: {images: ["*"]}\nrules:\n  - deny: config.user = root\n' } });
  const r = await agent.run("engine", "enable", "--config", d.configFile, "--state", agent.state, "--engine", d.url, "--pidfile", d.pidFile,
  "--authz-socket", agent.socket, "--bpf-dir", agent.bpfDir, "--guard", program("bulkhead-runc"));
  console.log(r, (await run("sh", ["-c", `tail -8 ${d.dir}/dockerd.log; cat ${d.configFile}`])).stdout);
} finally { await c.run(); }
