// agents/web/page/state.ts - all that the page knows, and how each message changes it. Pure: time
// comes in as `heard` (the browser's monotonic clock), wall time only from the server.
import type { Message, Progress, Tick, Workspace } from "./types.ts";

export interface Link {
  state: "connecting" | "open" | "lost" | "refused" | "paused";
  since: number; // monotonic
  retryAt: number; // monotonic; of lost
  why: string;
}
export interface Train {
  progress: Progress;
  stepMs: number[]; // of the last steps heard
}
export interface State {
  link: Link;
  hasList: boolean;
  workspaces: Map<string, Workspace>; // by uid
  trains: Map<string, Train>;
  sparks: Map<string, number[]>; // losses, oldest first
  curves: Map<string, number>; // last step of the curve that the server has
  tick: Tick | null;
  at: number; // server time of the last message that told it
  heard: number; // monotonic, then
}
export const empty: State = {
  link: { state: "connecting", since: 0, retryAt: 0, why: "" },
  hasList: false,
  workspaces: new Map(),
  trains: new Map(),
  sparks: new Map(),
  curves: new Map(),
  tick: null,
  at: 0,
  heard: 0,
};
const steps_kept = 9;
export const spark_points = 32;

export function withLink(state: State, link: Link): State {
  return { ...state, link };
}

function trained(before: Train | undefined, progress: Progress): Train {
  if (!before) return { progress, stepMs: [] };
  const steps = progress.step - before.progress.step;
  if (progress.attempt !== before.progress.attempt || steps < 0) return { progress, stepMs: [] };
  if (steps === 0) return { progress, stepMs: before.stepMs };
  const each = (progress.at_ms - before.progress.at_ms) / steps;
  return { progress, stepMs: [...before.stepMs, each].slice(-steps_kept) };
}

// All messages of one frame at once: maps are copied once, not once a message.
export function reduce(state: State, messages: Message[], heard: number): State {
  if (messages.length === 0) return state;
  const next: State = { ...state };
  const own = <K extends "workspaces" | "trains" | "sparks" | "curves">(key: K): State[K] => {
    if (next[key] === state[key]) next[key] = new Map(state[key] as Map<string, never>) as State[K];
    return next[key];
  };
  for (const message of messages) {
    switch (message.kind) {
      case "reset":
        next.workspaces = new Map(message.workspaces.map((w) => [w.metadata.uid, w]));
        next.trains = new Map(
          Object.entries(message.progress).map(([uid, progress]) => [
            uid,
            trained(state.trains.get(uid), progress),
          ]),
        );
        next.sparks = new Map(Object.entries(message.sparks));
        next.curves = new Map();
        next.hasList = true;
        next.tick = message.tick;
        next.at = message.at;
        next.heard = heard;
        break;
      case "ws":
        own("workspaces").set(message.workspace.metadata.uid, message.workspace);
        break;
      case "gone":
        for (const map of [own("workspaces"), own("trains"), own("sparks"), own("curves")])
          map.delete(message.uid);
        break;
      case "train": {
        const before = next.trains.get(message.uid);
        own("trains").set(message.uid, trained(before, message.progress));
        if (message.progress.step > (before?.progress.step ?? 0)) {
          const spark = [...(next.sparks.get(message.uid) ?? []), message.progress.loss];
          own("sparks").set(message.uid, spark.slice(-spark_points));
        }
        break;
      }
      case "curve":
        own("curves").set(message.uid, message.last);
        own("sparks").set(message.uid, message.spark);
        break;
      case "tick": {
        const { kind: _, ...tick } = message;
        next.tick = tick;
        next.at = tick.at;
        next.heard = heard;
        break;
      }
    }
  }
  return next;
}

// The server's wall time now: the laptop's own may be hours off.
export function now(state: State, mono: number): number {
  return state.at + (mono - state.heard);
}

export function median(numbers: number[]): number {
  if (numbers.length === 0) return 0;
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
