// agents/web/page/curve.ts - the numbers of a chart: the server's buckets, what was heard since, and
// a smoothed line that looks back only. Pure.
import type { Curve, Progress } from "./types.ts";

export type Axis = "step" | "tokens" | "wall";
export const no_curve: Curve = {
  attempts: [], first: [], last: [], min: [], mean: [], max: [], lr: [], grad_norm: [],
  tokens_per_second: [], tokens: [], at_ms: [], eval: [],
};

// With the steps that came after it, each a bucket of its own. A step that is there already is not
// there twice, and one of an attempt that went back cuts what it does again.
export function extended(curve: Curve, heard: Progress[]): Curve {
  if (heard.length === 0) return curve;
  const out: Curve = structuredClone(curve);
  for (const p of heard) {
    const known = out.attempts.at(-1)?.attempt ?? 0;
    if (p.step === 0 || !Number.isFinite(p.loss)) continue;
    if (p.attempt > known) {
      if (known > 0) cut(out, p.resumed_from);
      out.attempts.push({ attempt: p.attempt, from_step: p.resumed_from });
    }
    if (p.attempt < known || p.step <= (out.last.at(-1) ?? 0)) continue;
    out.first.push(p.step);
    out.last.push(p.step);
    for (const column of [out.min, out.mean, out.max]) column.push(p.loss);
    out.lr.push(p.learning_rate);
    out.grad_norm.push(p.grad_norm);
    out.tokens_per_second.push(p.tokens_per_second);
    out.tokens.push(p.tokens);
    out.at_ms.push(p.at_ms);
  }
  return out;
}
function cut(curve: Curve, after: number): void {
  let keep = curve.last.length;
  while (keep > 0 && curve.first[keep - 1]! > after) --keep;
  for (const column of [curve.first, curve.last, curve.min, curve.mean, curve.max, curve.lr,
    curve.grad_norm, curve.tokens_per_second, curve.tokens, curve.at_ms])
    column.length = keep;
}

// The abscissa: steps, millions of tokens, or minutes since the first step.
export function along(curve: Curve, axis: Axis): number[] {
  if (axis === "step") return curve.last;
  if (axis === "tokens") return curve.tokens;
  const begin = curve.at_ms[0] ?? 0;
  return curve.at_ms.map((at) => (at - begin) / 1000);
}
// An exponential mean of the past alone, without the bias of its beginning (the weights are divided
// by their sum). A bucket of n steps counts as n.
export function smoothed(curve: Curve, weight: number): number[] {
  let sum = 0;
  let of = 0;
  return curve.mean.map((value, i) => {
    const keep = weight ** (curve.last[i]! - curve.first[i]! + 1);
    sum = keep * sum + (1 - keep) * value;
    of = keep * of + (1 - keep);
    return of === 0 ? value : sum / of;
  });
}
// At most `rows` of them, evenly, with the first and the last: the table beside the picture.
export function rowsOf(curve: Curve, rows: number): number[] {
  const n = curve.last.length;
  if (n <= rows) return curve.last.map((_, i) => i);
  return [...new Set(Array.from({ length: rows }, (_, i) => Math.round((i * (n - 1)) / (rows - 1))))];
}
// The bounds of the picture without the few points that would flatten all others, and how many
// those are: they are told, not hidden.
export function bounds(curve: Curve): { low: number; high: number; above: number } {
  const all = curve.max.filter(Number.isFinite);
  const low = Math.min(...curve.min.filter(Number.isFinite));
  if (all.length < 20) return { low, high: Math.max(...all), above: 0 };
  const sorted = [...all].sort((a, b) => a - b);
  const most = sorted[Math.floor(sorted.length * 0.98)]!;
  const high = Math.min(sorted.at(-1)!, low + (most - low) * 2);
  return { low, high, above: all.filter((v) => v > high).length };
}
