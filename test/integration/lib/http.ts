// http: HTTP/1.1 over a unix socket, written byte by byte, so that a test can send what no client library would.
import { connect } from "node:net";

export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
  text: string;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  json: any; // undefined when the body is no JSON
  closed: boolean; // the peer closed before a whole answer came
}

/** Send bytes, read one answer (also of a hijacked connection: then the body is what came with the head). */
export function sendRaw(socket: string, bytes: Buffer | string, opts: { timeout?: number; head?: boolean } = {}): Promise<Answer> {
  return new Promise((done, fail) => {
    const s = connect(socket);
    let data = Buffer.alloc(0), settled = false;
    const timer = setTimeout(() => finish(new Error(`no answer from ${socket} within ${opts.timeout ?? 60000} ms`)), opts.timeout ?? 60000);
    function finish(r: Answer | Error) {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      s.destroy();
      r instanceof Error ? fail(r) : done(r);
    }
    s.on("connect", () => s.write(bytes));
    s.on("error", (e: NodeJS.ErrnoException) => {
      // the server may answer and close before it has read everything
      const a = parse(data, true, opts.head);
      finish(a ?? e);
    });
    s.on("data", (b) => {
      data = Buffer.concat([data, b]);
      const a = parse(data, false, opts.head);
      if (a) finish(a);
    });
    s.on("close", () => finish(parse(data, true, opts.head) ?? { status: 0, headers: {}, body: data, text: data.toString(), json: undefined, closed: true }));
  });
}

function parse(data: Buffer, closed: boolean, headOnly = false): Answer | undefined {
  const end = data.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const [first, ...lines] = data.subarray(0, end).toString("latin1").split("\r\n");
  const headers: Record<string, string> = {};
  for (const l of lines) headers[l.slice(0, l.indexOf(":")).toLowerCase()] = l.slice(l.indexOf(":") + 1).trim();
  const status = Number(first.split(" ")[1]);
  let body = data.subarray(end + 4), whole: boolean;
  if (status === 100) return parse(body, closed, headOnly);
  if (headOnly || status === 101 || status === 204 || status === 304) whole = true;
  else if (headers["transfer-encoding"] === "chunked") {
    const parts: Buffer[] = [];
    whole = false;
    for (let at = 0; ;) {
      const nl = body.indexOf("\r\n", at);
      if (nl < 0) break;
      const n = parseInt(body.subarray(at, nl).toString("latin1"), 16);
      if (body.length < nl + 2 + n + 2) break;
      parts.push(body.subarray(nl + 2, nl + 2 + n));
      at = nl + 2 + n + 2;
      if (n === 0) { whole = true; break; }
    }
    body = Buffer.concat(parts);
  } else if (headers["content-length"] !== undefined) {
    whole = body.length >= Number(headers["content-length"]);
    body = body.subarray(0, Number(headers["content-length"]));
  } else whole = closed || (headers["content-type"] ?? "").includes("raw-stream");
  if (!whole && !closed) return undefined;
  const text = body.toString();
  let json: unknown;
  try { json = JSON.parse(text); } catch { /* not JSON */ }
  return { status, headers, body, text, json, closed: !whole };
}

export interface RequestOptions {
  headers?: [string, string][];     // in this order, also twice
  body?: Buffer | string | object;  // an object becomes JSON
  chunked?: boolean;
  length?: number | null;           // another Content-Length than the true one; null: none
  timeout?: number;
}

/** One request. Sets Host, Connection, Content-Type (for object bodies) and framing unless told otherwise. */
export function request(socket: string, method: string, target: string, o: RequestOptions = {}): Promise<Answer> {
  const body = o.body === undefined ? undefined
    : Buffer.isBuffer(o.body) ? o.body : Buffer.from(typeof o.body === "string" ? o.body : JSON.stringify(o.body));
  const headers: [string, string][] = [["Host", "docker"], ["Connection", "close"], ...(o.headers ?? [])];
  const has = (n: string) => headers.some(([k]) => k.toLowerCase() === n);
  if (body && typeof o.body === "object" && !Buffer.isBuffer(o.body) && !has("content-type")) headers.push(["Content-Type", "application/json"]);
  let payload = body ?? Buffer.alloc(0);
  if (o.chunked) {
    headers.push(["Transfer-Encoding", "chunked"]);
    const parts: Buffer[] = [];
    for (let i = 0; i < payload.length; i += 60000) {
      const piece = payload.subarray(i, i + 60000);
      parts.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n"));
    }
    payload = Buffer.concat([...parts, Buffer.from("0\r\n\r\n")]);
  } else if (o.length !== null && (o.length !== undefined || body || (method !== "GET" && method !== "HEAD")) && !has("content-length")) {
    headers.push(["Content-Length", String(o.length ?? payload.length)]);
  }
  const head = `${method} ${target} HTTP/1.1\r\n${headers.map(([k, v]) => `${k}: ${v}\r\n`).join("")}\r\n`;
  return sendRaw(socket, Buffer.concat([Buffer.from(head, "latin1"), payload]), { timeout: o.timeout, head: method === "HEAD" });
}
