// What a run of interleaved pairs says: the median and its 95 % interval, without an assumption about the noise.
import { loadavg } from "node:os";

const sorted = (v: number[]) => [...v].sort((a, b) => a - b);
export const median = (v: number[]) => sorted(v)[Math.floor(v.length / 2)];

/** 95 % interval of the median by order statistics: P(outside of ranks k and n+1-k) = 2 * P(Binomial(n, 1/2) < k). */
export function interval(v: number[]): [number, number] {
  const n = v.length, s = sorted(v);
  let k = 0, tail = 0.5 ** n, term = tail;
  while (2 * tail <= 0.05 && k < n / 2) { k++; term = term * (n - k + 1) / k; tail += term; }
  const i = Math.max(k - 1, 0);
  return [s[i], s[n - 1 - i]];
}

/** "1.012, 95 % interval 0.990 to 1.031; ...": a ratio held against 1 and a goal. */
export function ratio(v: number[], goal: number): string {
  const [low, high] = interval(v);
  const noise = low <= 1 && high >= 1 ? "not distinguishable from none; " : "";
  const met = high <= goal ? "met" : low > goal ? "MISSED" : "unproven";
  return `${median(v).toFixed(3)}, 95 % interval ${low.toFixed(3)} to ${high.toFixed(3)}; ${noise}goal ${goal}: ${met}`;
}

/** Of the last minute. */
export const load = () => loadavg()[0].toFixed(1);
