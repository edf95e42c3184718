// events: reads an events file (one JSON object a line) while it is written.
import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { until } from "./proc.ts";

// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Event = Record<string, any>;

export class EventFile {
  readonly all: Event[] = [];
  private at = 0;
  private rest = Buffer.alloc(0);
  constructor(readonly path: string) {}

  /** What is in the file now. */
  read(): Event[] {
    if (!existsSync(this.path)) return this.all;
    const fd = openSync(this.path, "r");
    try {
      const block = Buffer.alloc(1 << 16);
      for (let n; (n = readSync(fd, block, 0, block.length, this.at)) > 0; this.at += n) this.rest = Buffer.concat([this.rest, block.subarray(0, n)]);
    } finally {
      closeSync(fd);
    }
    for (let nl; (nl = this.rest.indexOf(10)) >= 0; this.rest = this.rest.subarray(nl + 1)) {
      const line = this.rest.subarray(0, nl).toString();
      if (line) this.all.push(JSON.parse(line));
    }
    return this.all;
  }

  /** A place in the stream: const from = events.mark(); ... events.wait(..., from). */
  mark(): number {
    return this.read().length;
  }

  /** The first event from `from` on that matches; throws, with what came instead, when none does in time. */
  async wait(what: string, match: (e: Event) => boolean, from = 0, ms = 15000): Promise<Event> {
    return until(`event: ${what}`, () => this.read().slice(from).find(match), ms).catch((e) => {
      throw new Error(`${e.message}; there came:\n${this.all.slice(from).slice(-20).map((x) => JSON.stringify(x)).join("\n")}`);
    });
  }

  /** All from `from` on that match, as of now. To prove absence: wait for a later event first, then look. */
  matching(match: (e: Event) => boolean, from = 0): Event[] {
    return this.read().slice(from).filter(match);
  }
}
