// tests/web/states.ts - the states of a Workspace that the page must show, as `kairo web` sends them:
// statuses are the watcher's own words, recorded from runs, with times moved.
import type { Curve, Message, Progress, Tick, Workspace } from "../../agents/web/page/types.ts";

export const at = Date.parse("2026-11-30T12:03:11Z"); // the server's time in all of them
const iso = (ms: number) => new Date(ms).toISOString().replace(".000", "");
const ago = (s: number) => iso(at - s * 1000);

interface Wish {
  name: string;
  phase?: string;
  state: string;
  age: number; // seconds
  conditions?: [type: string, status: string, reason: string, message: string][];
  tuning?: object;
  status?: object;
  nodes?: string[];
  server?: { adapters: string[] };
  ns?: string;
}
function made(w: Wish): Workspace {
  const ns = w.ns ?? "default";
  const image = `localhost:5055/adapters/${w.name}:0.1`;
  return {
    metadata: { name: w.name, namespace: ns, uid: `uid-${w.name}`, creationTimestamp: ago(w.age), generation: 1 },
    resource: {},
    ...(w.server
      ? {
          inference: {
            preset: { name: "smollm2-135m-instruct" },
            adapters: w.server.adapters.map((name) => ({ source: { name, image: `localhost:5055/adapters/${name}:0.1` } })),
          },
        }
      : {
          tuning: {
            preset: { name: "smollm2-135m-instruct" },
            method: "qlora",
            config: `${w.name}-training`,
            input: { urls: ["http://127.0.0.1:8055/pip.jsonl"] },
            output: { image },
          },
        }),
    status: {
      state: w.state,
      workerNodes: w.nodes ?? [],
      conditions: (w.conditions ?? []).map(([type, status, reason, message]) => ({
        type, status, reason, message, lastTransitionTime: ago(Math.min(w.age, 540)),
      })),
      ...(w.phase ? { tuning: { phase: w.phase, step: 0, totalSteps: 0, ...w.tuning } } : {}),
      ...w.status,
    },
  } as Workspace;
}
const resources: [string, string, string, string] = ["ResourceReady", "True", "workspaceResourceStatusSuccess", "workspace resource is ready"];
const started: [string, string, string, string] = ["JobStarted", "True", "WorkspaceTuningJobStatusStarted", "Tuning job has started"];
const running: [string, string, string, string] = ["WorkspaceSucceeded", "False", "workspacePending", "workspace has not completed yet, tuning job is running"];

export const workspaces: Workspace[] = [
  made({ name: "pip", state: "Running", phase: "Training", age: 64, nodes: ["n1"], conditions: [resources, started, running],
    tuning: { step: 240, totalSteps: 400, loss: 0.6251, tokensPerSecond: 336.4, etaSeconds: 34, attempt: 2, resumedFromStep: 150, rows: 96, heldOutRows: 4, evalStep: 200, evalLoss: 0.7113, bestStep: 200, bestEvalLoss: 0.7113 } }),
  made({ name: "pip-2", state: "Running", phase: "Training", age: 300, nodes: ["n2"], conditions: [resources, started, running],
    tuning: { step: 120, totalSteps: 400, loss: 0.9012, tokensPerSecond: 201.2, etaSeconds: 310, attempt: 1, rows: 96 } }),
  made({ name: "big", state: "Pending", phase: "Waiting", age: 540, conditions: [
    ["ResourceReady", "False", "InsufficientMemory", "no node has what it needs: 2 GPUs of 80 GB, and n3 has 1 free; wait until pip-2 is done, or set resource.count to 1"],
    ["JobStarted", "False", "WorkspaceTuningJobStatusPending", "Tuning job has not started"],
    ["WorkspaceSucceeded", "False", "workspacePending", "workspace is initializing, tuning job has not started"]] }),
  made({ name: "fetch", state: "Pending", phase: "Downloading", age: 122, nodes: ["n2"], conditions: [resources,
    ["JobStarted", "False", "FetchingWeights", "fetching the weights of phi-4-mini-instruct from huggingface.co: 1.2 of 4.0 GB"],
    ["WorkspaceSucceeded", "False", "workspacePending", "workspace is initializing, tuning job has not started"]] }),
  made({ name: "push", state: "Running", phase: "Pushing", age: 420, nodes: ["n1"], conditions: [resources, started,
    ["WorkspaceSucceeded", "False", "RegistryAuthenticationFailed", "registry localhost:5055 refused the user name or the password; correct Secret default/reg (the adapter is kept; attempt 4 follows)"]],
    tuning: { step: 36, totalSteps: 36, loss: 0.0702 } }),
  made({ name: "done", state: "Succeeded", phase: "Done", age: 3900, nodes: ["n1"], conditions: [resources, started,
    ["WorkspaceSucceeded", "True", "workspaceSucceeded", "workspace succeeds"]],
    tuning: { step: 36, totalSteps: 36, loss: 0.0716, tokensPerSecond: 331, rows: 96, heldOutRows: 4, evalStep: 36, evalLoss: 0.0911, bestStep: 36, bestEvalLoss: 0.0911 },
    status: { artifact: { image: "localhost:5055/adapters/done:0.1", digest: "sha256:93c1f0a2d6b64c7f8e2a90b1c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f6", sizeBytes: 9_871_231 } } }),
  made({ name: "bad", state: "Failed", phase: "Failed", age: 3700, nodes: ["n2"], conditions: [resources,
    ["JobStarted", "False", "WorkspaceTuningJobStatusFailed", "tuning job failed: bad_data: pip.jsonl row 812 has no \"messages\"; correct the row, or name the columns in DatasetConfig"],
    ["WorkspaceSucceeded", "False", "workspaceFailed", "tuning job failed: bad_data: pip.jsonl row 812 has no \"messages\"; correct the row, or name the columns in DatasetConfig"]],
    tuning: { totalSteps: 36 } }),
  made({ name: "lost", state: "Running", phase: "Training", age: 10_800, nodes: ["n4"], conditions: [resources, started, running],
    tuning: { step: 412, totalSteps: 900, loss: 0.8123, tokensPerSecond: 410, etaSeconds: 700, attempt: 1 } }),
  made({ name: "hung", ns: "team-a", state: "Running", phase: "Stalled", age: 7_300, nodes: ["n1"], conditions: [resources, started,
    ["WorkspaceSucceeded", "False", "workspacePending", "workspace has not completed yet, the tuning is started again after: the training hung: no step for 10 m while the GPU idles"]],
    tuning: { step: 12, totalSteps: 900, loss: 1.9 } }),
  made({ name: "pip-server", state: "Ready", age: 1_800, nodes: ["n1"], server: { adapters: ["pip"] }, conditions: [resources,
    ["InferenceReady", "True", "WorkspaceInferenceStatusSuccess", "Inference has been deployed successfully"],
    ["WorkspaceSucceeded", "True", "workspaceSucceeded", "workspace succeeds"]], status: { address: "127.0.0.1:31234" } }),
];

function progress(step: number, total: number, loss: number, more: Partial<Progress> = {}): Progress {
  return { phase: "Training", step, total_steps: total, loss, learning_rate: 3.1e-4, grad_norm: 0.87, tokens: step * 1400,
    tokens_per_second: 336.4, eta_ms: 34_000, rss_bytes: 1_320_000_000, at_ms: at - 2_000, attempt: 1, resumed_from: 0, ...more };
}
export const trains: Record<string, Progress> = {
  "uid-pip": progress(240, 400, 0.6251, { attempt: 2, resumed_from: 150 }),
  "uid-pip-2": progress(120, 400, 0.9012, { tokens_per_second: 201.2, eta_ms: 310_000 }),
  "uid-lost": progress(412, 900, 0.8123, { at_ms: at - 130_000 }),
  "uid-done": progress(36, 36, 0.0716, { phase: "Done", eta_ms: 0, at_ms: at - 3_800_000 }),
};
// A curve that falls, with the noise of batches: always the same.
export function curve(steps: number, from: number, to: number, attempts: Curve["attempts"] = [{ attempt: 1, from_step: 0 }], stride = 1): Curve {
  const out: Curve = { attempts, first: [], last: [], min: [], mean: [], max: [], lr: [], grad_norm: [], tokens_per_second: [], tokens: [], at_ms: [], eval: [] };
  let seed = 7;
  const noise = () => ((seed = (seed * 16807) % 2147483647) / 2147483647 - 0.5);
  for (let step = stride; step <= steps; step += stride) {
    const part = step / steps;
    const mean = to + (from - to) * Math.exp(-4 * part) + noise() * 0.12 * from * (1 - 0.6 * part);
    out.first.push(step - stride + 1);
    out.last.push(step);
    out.mean.push(mean);
    out.min.push(mean - (stride > 1 ? 0.1 : 0));
    out.max.push(mean + (stride > 1 ? 0.16 : 0));
    out.lr.push(5e-4 * (1 - part));
    out.grad_norm.push(0.9 + noise() * 0.3);
    out.tokens_per_second.push(336);
    out.tokens.push(step * 1400);
    out.at_ms.push(at - (steps - step) * 170 - 2_000);
  }
  return out;
}
export const curves: Record<string, Curve> = {
  "default/pip": curve(240, 2.9, 0.55, [{ attempt: 1, from_step: 0 }, { attempt: 2, from_step: 150 }]),
  "default/pip-2": curve(120, 2.9, 0.8),
  "default/done": curve(36, 2.9, 0.07),
  "default/lost": curve(412, 2.4, 0.7, [{ attempt: 1, from_step: 0 }], 4),
};
export const tick: Tick = {
  at,
  api: { ok: true, age_ms: 400, error: "" },
  bus: { ok: true, age_ms: 700, error: "" },
  nodes: [
    { name: "n1", ready: true, silent_ms: 3_000 },
    { name: "n2", ready: true, silent_ms: 5_000 },
    { name: "n4", ready: false, silent_ms: 128_000 },
  ],
};
const sparks = Object.fromEntries(Object.entries(curves).map(([name, c]) => [`uid-${name.split("/")[1]}`, c.mean.filter((_, i) => i % Math.ceil(c.mean.length / 32) === 0)]));
export const recorded: Message[] = [
  { kind: "reset", at, workspaces, progress: trains, sparks, tick },
];
export const events = [
  { type: "Warning", reason: "Failed", object: "Job/bad", message: "Job has reached the specified backoff limit", at: ago(3_600), count: 1 },
  { type: "Warning", reason: "BadData", object: "Pod/bad-x7k2p", message: "pip.jsonl row 812 has no \"messages\"", at: ago(3_610), count: 3 },
  { type: "Normal", reason: "SuccessfulCreate", object: "Job/bad", message: "Created pod: bad-x7k2p", at: ago(3_680), count: 1 },
];
