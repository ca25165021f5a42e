// agents/web/page/silence.ts - which of the four hops is silent, and since when. Pure.
//
//   browser - web          no message for 12 s, or the connection is gone
//   web - API server, bus  the server's tick says so
//   node agent, kubelet    heard of more than 30 s ago
//   trainer                no step for max(30 s, 5 x the median step)
import { age, utc } from "./format.ts";
import { median, now, type State, type Train } from "./state.ts";
import type { Workspace } from "./types.ts";

export const tick_late_ms = 12_000;
const hop_late_ms = 15_000;
const node_late_ms = 40_000;
const trainer_late_ms = 30_000;

export interface Banner {
  hop: "web" | "api" | "bus";
  text: string;
}
// What stands above the page when the figures below are old; null: they are live.
export function banner(state: State, mono: number): Banner | null {
  const since = state.heard === 0 ? 0 : mono - state.heard;
  const last = state.heard === 0 ? "" : ` Last update ${utc(state.at)} UTC, ${age(since)} ago.`;
  if (state.link.state === "paused")
    return { hop: "web", text: `Not live: paused while this tab was hidden.${last}` };
  const isLost = state.link.state === "lost" || (state.hasList && since > tick_late_ms);
  if (isLost) {
    const wait = Math.ceil((state.link.retryAt - mono) / 1000);
    const again = state.link.state === "lost" && wait > 0 ? ` Trying again in ${wait} s.` : " Trying again.";
    const why = state.link.why === "" ? "" : ` (${state.link.why})`;
    return { hop: "web", text: `Not live: this page cannot reach kairo web${why}.${last}${again}` };
  }
  const tick = state.tick;
  if (!tick) return null;
  for (const [hop, name] of [["api", "the API server"], ["bus", "the bus"]] as const) {
    const word = tick[hop];
    const quiet = word.age_ms + since;
    if (word.ok && quiet <= hop_late_ms) continue;
    const error = word.error === "" ? "" : ` (${word.error})`;
    const what = hop === "api" ? "What is shown may be old." : "Steps and losses may be old.";
    return {
      hop,
      text: `Not live: kairo web does not hear ${name}${error}, for ${age(quiet)}. ${what}`,
    };
  }
  return null;
}

// "n1 silent for 2m": of the nodes that a Workspace runs on; "" when all are heard of.
export function silentNode(state: State, workspace: Workspace, mono: number): string {
  const own = workspace.status?.workerNodes ?? [];
  for (const node of state.tick?.nodes ?? []) {
    if (!own.includes(node.name)) continue;
    const quiet = node.silent_ms < 0 ? 0 : node.silent_ms + (mono - state.heard);
    if (quiet > node_late_ms) return `node ${node.name} silent for ${age(quiet)}`;
    if (!node.ready) return `node ${node.name} is not ready`;
  }
  return "";
}

// "no step for 2m10s"; "" while it trains as it did, or does not train.
export function silentTrainer(state: State, workspace: Workspace, train: Train | undefined, mono: number): string {
  const phase = workspace.status?.tuning?.phase;
  if (!train || (phase !== "Training" && phase !== "Stalled")) return "";
  const quiet = now(state, mono) - train.progress.at_ms;
  if (quiet <= Math.max(trainer_late_ms, 5 * median(train.stepMs))) return "";
  return `no step for ${age(quiet)}`;
}
