// agents/web/page/words.ts - a Workspace's state, in words: the same that `kairo get` and
// `kairo wait` print, from its conditions and its status. Pure.
import type { Condition, Workspace } from "./types.ts";

export type Tone = "wait" | "run" | "good" | "bad" | "off";
export interface Word {
  word: string;
  tone: Tone;
}
const waits = new Set(["Waiting", "Queued", "Paused", "Preparing", "Pending", "NotReady", "Retrying", "Stopped"]);

export function stateOf(w: Workspace): Word {
  const state = w.status?.state ?? "";
  if (w.metadata.deletionTimestamp) return { word: "Deleting", tone: "off" };
  if (state === "Failed") return { word: "Failed", tone: "bad" };
  if (state === "Succeeded" || state === "Ready") return { word: state, tone: "good" };
  const phase = w.status?.tuning?.phase ?? "";
  const word = phase || state || "Pending";
  if (phase === "Stalled") return { word, tone: "bad" };
  return { word, tone: waits.has(word) ? "wait" : "run" };
}

export function condition(w: Workspace, type: string): Condition | undefined {
  return w.status?.conditions?.find((c) => c.type === type);
}
// The first condition that is not so, and is not merely on its way: as `kairo wait` says it.
export function waitingFor(w: Workspace): Condition | undefined {
  for (const type of ["ResourceReady", "JobStarted", "InferenceReady", "WorkspaceSucceeded"]) {
    const c = condition(w, type);
    if (c?.status === "False" && c.reason !== "workspacePending") return c;
  }
  return undefined;
}
export interface Why {
  reason: string;
  what: string;
  remedies: string[];
  since: string; // RFC 3339
}
// Why it does not go on. Messages are "what is so; what to do; or what else": sentences by "; ".
export function whyOf(w: Workspace): Why | undefined {
  const tone = stateOf(w).tone;
  if (tone === "good") return undefined;
  let c = waitingFor(w);
  const whole = condition(w, "WorkspaceSucceeded");
  if (tone === "bad" && whole) c = whole;
  // It is started again, or its last push failed: said where the whole is told.
  if (!c && whole?.status === "False" && / after: |: its Job |: it is paused/.test(whole.message)) c = whole;
  if (w.metadata.deletionTimestamp) c = condition(w, "WorkspaceDeleting") ?? c;
  if (!c) return undefined;
  const [what = "", ...rest] = sentences(c.message);
  return { reason: c.reason, what, remedies: rest, since: c.lastTransitionTime ?? "" };
}
// Apart at "; " that stands outside of quotes and brackets.
export function sentences(text: string): string[] {
  const out: string[] = [];
  let depth = 0;
  let from = 0;
  let quoted = false;
  for (let i = 0; i < text.length; ++i) {
    const c = text[i];
    if (c === '"' || c === "`") quoted = !quoted;
    if (c === "(") ++depth;
    if (c === ")") depth = Math.max(0, depth - 1);
    if (c === ";" && text[i + 1] === " " && depth === 0 && !quoted) {
      out.push(text.slice(from, i));
      from = i + 2;
    }
  }
  out.push(text.slice(from));
  return out.map((s) => s.trim()).filter((s) => s !== "");
}

export const phases = ["queue", "node", "download", "load", "train", "save", "push", "done"] as const;
export type Phase = (typeof phases)[number];
const place: Record<string, Phase> = {
  Queued: "queue",
  Waiting: "node",
  Preparing: "node",
  Downloading: "download",
  Retrying: "download",
  Loading: "load",
  Tokenizing: "load",
  Training: "train",
  Stalled: "train",
  Stopped: "train",
  Paused: "train",
  Saving: "save",
  Pushing: "push",
  Done: "done",
};
// Where on its way it is; undefined: before the first word, or failed before anything ran.
export function placeOf(w: Workspace): Phase | undefined {
  const tuning = w.status?.tuning;
  if (!tuning) return undefined;
  if (tuning.phase === "Failed") {
    if (condition(w, "ResourceReady")?.status !== "True") return "node";
    if (tuning.totalSteps > 0 && tuning.step >= tuning.totalSteps) return "save";
    return tuning.step > 0 ? "train" : "load";
  }
  return place[tuning.phase];
}
export function presetOf(w: Workspace): string {
  return w.tuning?.preset?.name ?? w.inference?.preset?.name ?? "";
}
export function path(w: Workspace): string {
  return `${w.metadata.namespace}/${w.metadata.name}`;
}
// What comes next, as the command that one types.
export function nextCommand(w: Workspace): string {
  const n = w.metadata.namespace === "default" ? "" : ` -n ${w.metadata.namespace}`;
  const name = w.metadata.name;
  const { tone, word } = stateOf(w);
  if (tone === "bad") return `kairo logs ${name}${n}`;
  if (w.inference && tone === "good") return `kairo chat ${name}${n}`;
  if (word === "Succeeded" && w.status?.artifact)
    return `skopeo inspect docker://${w.status.artifact.image}`;
  return tone === "wait" ? `kairo describe workspace ${name}${n}` : `kairo wait ${name}${n}`;
}
