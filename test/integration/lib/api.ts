// api: a client of the console typed by api/openapi.yaml (npm run gen), that also holds every answer against it, and an
// agent's side of api/agent-protocol.md made of openssl and node's own TLS.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { parse } from "yaml";
import type { paths } from "./api.gen.ts";
import { top } from "./proc.ts";

export const contract = parse(readFileSync(join(top, "api/openapi.yaml"), "utf8"));
const ajv = new Ajv2020({ strict: false, allErrors: true });
(formats as unknown as (a: Ajv2020) => void)(ajv);
ajv.addSchema(contract, "api");

export interface Reply<T = any> {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  text: string;
  json: T;
}

export interface Wire {
  ca: string | string[];
  key?: string;
  cert?: string;
  agent?: import("node:https").Agent;
}

/** One request, raw. */
export function call(url: string, method: string, path: string, wire: Wire, headers: Record<string, string> = {},
                     body?: string | Buffer): Promise<Reply> {
  return new Promise((done, fail) => {
    const u = new URL(url);
    const q = request({ host: u.hostname, port: u.port, method, path, headers, ca: wire.ca, key: wire.key, cert: wire.cert, agent: wire.agent ?? false }, (r) => {
      const parts: Buffer[] = [];
      r.on("data", (b) => parts.push(b));
      r.on("error", fail);
      r.on("end", () => {
        const text = Buffer.concat(parts).toString();
        let json: any;
        try { json = JSON.parse(text); } catch { /* not JSON */ }
        done({ status: r.statusCode ?? 0, headers: r.headers, text, json });
      });
    });
    q.on("error", fail);
    q.end(body);
  });
}

type Method = "get" | "post" | "put" | "patch" | "delete";
type Ok<O> = O extends { responses: infer R } ? (R extends { 200: { content: { "application/json": infer J } } } ? J
  : R extends { 201: { content: { "application/json": infer J } } } ? J : any) : any;

/** People's side. Each answer is held against the schema of its operation. */
export class Api {
  constructor(readonly url: string, readonly ca: string, public token?: string) {}

  async raw(method: string, path: string, o: { body?: unknown; type?: string; headers?: Record<string, string> } = {}): Promise<Reply> {
    const text = o.body === undefined ? undefined : typeof o.body === "string" || Buffer.isBuffer(o.body) ? o.body : JSON.stringify(o.body);
    const headers: Record<string, string> = { ...(this.token ? { authorization: `Bearer ${this.token}` } : {}), ...o.headers };
    if (text !== undefined) headers["content-type"] = o.type ?? "application/json";
    return call(this.url, method.toUpperCase(), path, { ca: this.ca }, headers, text);
  }

  async run<P extends keyof paths, M extends Method & keyof paths[P]>(method: M, pattern: P, o: {
    params?: Record<string, string>; query?: Record<string, string | number | boolean>; body?: unknown; type?: string; headers?: Record<string, string>;
  } = {}): Promise<Reply<Ok<paths[P][M]>>> {
    const path = String(pattern).replace(/\{(\w+)\}/g, (_, n) => encodeURIComponent(o.params?.[n] ?? ""));
    const query = new URLSearchParams(Object.entries(o.query ?? {}).map(([k, v]) => [k, String(v)])).toString();
    const r = await this.raw(String(method), path + (query ? `?${query}` : ""), o);
    check(String(pattern), String(method), r);
    return r;
  }

  /** The same, and it must have worked. */
  async ok<P extends keyof paths, M extends Method & keyof paths[P]>(method: M, pattern: P, o: Parameters<Api["run"]>[2] = {}): Promise<Ok<paths[P][M]>> {
    const r = await this.run(method, pattern, o);
    assert.ok(r.status < 300, `${String(method)} ${String(pattern)}: ${r.status} ${r.text}`);
    return r.json;
  }

  static async login(url: string, ca: string, user: string, password: string): Promise<Api> {
    const api = new Api(url, ca);
    api.token = (await api.ok("post", "/api/v1/login", { body: { user, password } })).token;
    return api;
  }
}

const escape = (s: string) => s.replaceAll("~", "~0").replaceAll("/", "~1");

/** Hold an answer against the contract. */
export function check(pattern: string, method: string, r: Reply): void {
  const responses = contract.paths[pattern]?.[method]?.responses;
  assert.ok(responses, `${method} ${pattern} is not in the contract`);
  const name = responses[r.status] ? String(r.status) : "default";
  let pointer = `api#/paths/${escape(pattern)}/${method}/responses/${name}`, response = responses[name];
  assert.ok(response, `${method} ${pattern}: the contract knows no answer ${r.status}: ${r.text}`);
  if (response.$ref) {
    pointer = `api${response.$ref}`;
    response = contract.components.responses[response.$ref.split("/").pop()];
  }
  if (!String(r.headers["content-type"]).startsWith("application/json") || !response.content["application/json"]) return;
  const validate = ajv.getSchema(`${encodeURI(pointer).replaceAll("%7B", "{").replaceAll("%7D", "}")}/content/application~1json/schema`) ??
    ajv.compile({ $ref: `${encodeURI(pointer)}/content/application~1json/schema` });
  assert.ok(validate(r.json), `${method} ${pattern}: ${r.status}: ${ajv.errorsText(validate.errors)}\n${r.text}`);
}

/** A key and a certificate request, as a stranger's openssl makes them. */
export function makeRequest(dir: string, name: string, curve = "P-256"): { key: string; csr: string } {
  const key = join(dir, `${name}.key`), csr = join(dir, `${name}.csr`);
  execFileSync("openssl", ["req", "-new", "-newkey", "ec", "-pkeyopt", `ec_paramgen_curve:${curve}`, "-nodes", "-keyout", key, "-out", csr, "-subj", "/CN=whoever"], { stdio: "ignore" });
  return { key: readFileSync(key, "utf8"), csr: readFileSync(csr, "utf8") };
}

export interface TokenFile { address: string; ca: string; id: string; secret: string; expires: string }

/** An agent's side of the protocol. */
export class FakeAgent {
  id = "";
  cert = "";
  seq = 0;
  acked = 0;
  constructor(readonly token: TokenFile, readonly host: string, readonly key: string, readonly csr: string) {}

  static async enroll(dir: string, token: TokenFile, host = "node-1"): Promise<FakeAgent> {
    const a = new FakeAgent(token, host, ...(Object.values(makeRequest(dir, host)) as [string, string]));
    const r = await a.send("POST", "/agent/v1/enroll", a.enrolment(), {}, false);
    assert.equal(r.status, 201, r.text);
    a.id = r.json.agent;
    a.cert = r.json.certificate;
    return a;
  }
  enrolment(o: object = {}): object {
    return { id: this.token.id, secret: this.token.secret, csr: this.csr, host: this.host, machine_id: "0".repeat(32), version: "0.1.0", ...o };
  }
  send(method: string, path: string, body?: unknown, headers: Record<string, string> = {}, cert = true): Promise<Reply> {
    const text = body === undefined ? undefined : typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    return call(this.token.address, method, path, { ca: this.token.ca, ...(cert ? { key: this.key, cert: this.cert } : {}) }, headers, text);
  }
  event(o: Record<string, unknown> = {}): Record<string, unknown> {
    this.seq++;
    return {
      id: `01J${String(this.seq).padStart(23, "0")}`, time: new Date().toISOString(), seq: this.seq, host: this.host, type: "exec", control: "drift",
      rule: "Drop and execute", severity: "critical", action: "block", level: "block", outcome: "prevented",
      container: { id: "a".repeat(64), name: "web-1", image: "shop/web:7", image_id: `sha256:${"b".repeat(64)}`, image_digest: null, engine: "docker", labels: {} },
      process: { pid: 812, exe: "/tmp/x", args: ["/tmp/x", "-d"], uid: 33, started: null, parents: [] }, user: null, policy: { name: "web", revision: 1 }, detail: {}, ...o,
    };
  }
  async events(events: object[], after = this.acked): Promise<Reply> {
    const r = await this.send("POST", `/agent/v1/events?after=${after}`, events.map((e) => JSON.stringify(e)).join("\n") + "\n");
    if (r.status === 200) this.acked = r.json.ack;
    return r;
  }
}
