// agents/web/page/bits.tsx - small parts that every view uses.
import { Component, createContext, type ComponentType, h } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import { age, both } from "./format.ts";
import { empty, now, type State } from "./state.ts";
import type { Word } from "./words.ts";

export interface Moment {
  state: State;
  mono: number; // when this is drawn
}
export const Now = createContext<Moment>({ state: empty, mono: 0 });
export function useNow(): { state: State; mono: number; at: number } {
  const { state, mono } = useContext(Now);
  return { state, mono, at: now(state, mono) };
}

const glyphs: Record<Word["tone"], string> = { wait: "◔", run: "▶", good: "✓", bad: "✕", off: "–" };
export function Badge({ word, tone }: Word) {
  return (
    <span class={`badge ${tone}`}>
      <span aria-hidden="true">{glyphs[tone]}</span> {word}
    </span>
  );
}
// "3m" with the time itself, local and UTC, in its title.
export function Ago({ at, suffix = "" }: { at: string; suffix?: string }) {
  const { at: nowMs } = useNow();
  const ms = Date.parse(at);
  if (!Number.isFinite(ms)) return <span>–</span>;
  return (
    <time dateTime={at} title={both(ms)}>
      {age(nowMs - ms)}
      {suffix}
    </time>
  );
}
export function Copy({ text, label = "copy" }: { text: string; label?: string }) {
  const [done, setDone] = useState("");
  useEffect(() => {
    if (done === "") return undefined;
    const timer = setTimeout(() => setDone(""), 2_000);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => setDone("copied"),
      () => setDone("not allowed"),
    );
  return (
    <button type="button" class="small" onClick={copy} aria-label={`${label}: ${text}`}>
      {done || label}
    </button>
  );
}
export function Command({ text }: { text: string }) {
  return (
    <span class="command">
      <code>{text}</code>
      <Copy text={text} />
    </span>
  );
}
export function Bar({ part, label }: { part: number; label: string }) {
  return <progress class="bar" max={1} value={Math.min(1, Math.max(0, part))} aria-label={label} />;
}
// The last losses as a line; what it says is in the cell's text.
export function Spark({ values }: { values: number[] }) {
  if (values.length < 2) return null;
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  const points = values
    .map((v, i) => `${((i / (values.length - 1)) * 62 + 1).toFixed(1)},${(17 - ((v - low) / span) * 14).toFixed(1)}`)
    .join(" ");
  return (
    <svg class="spark" width="64" height="20" viewBox="0 0 64 20" aria-hidden="true">
      <polyline points={points} />
    </svg>
  );
}
// Drawn anew only when a property is another one (what it takes from a context draws it by itself).
export function memo<P extends object>(draw: (props: P) => preact.ComponentChild): ComponentType<P> {
  return class extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      return (Object.keys(next) as (keyof P)[]).some((key) => next[key] !== this.props[key]);
    }
    override render() {
      return h(draw as ComponentType<P>, this.props as P & preact.Attributes);
    }
  };
}
