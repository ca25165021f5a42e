// agents/web/page/types.ts - what `kairo web` sends. Times are Unix milliseconds unless they are
// Kubernetes' own (RFC 3339).
export interface Condition {
  type: string;
  status: string;
  reason: string;
  message: string;
  lastTransitionTime?: string;
}
export interface TuningStatus {
  phase: string;
  step: number;
  totalSteps: number;
  epoch?: number;
  loss?: number;
  tokensPerSecond?: number;
  etaSeconds?: number;
  attempt?: number;
  resumedFromStep?: number;
  checkpoint?: string;
  rows?: number;
  heldOutRows?: number;
  droppedRows?: number;
  truncatedRows?: number;
  evalStep?: number;
  evalLoss?: number;
  bestStep?: number;
  bestEvalLoss?: number;
  device?: string;
}
export interface Status {
  state?: string;
  workerNodes?: string[];
  conditions?: Condition[];
  tuning?: TuningStatus;
  artifact?: { image: string; digest: string; sizeBytes: number };
  address?: string;
}
// The object as the API server has it, less what nobody watches (managedFields, pod templates).
export interface Workspace {
  metadata: {
    name: string;
    namespace: string;
    uid: string;
    creationTimestamp: string;
    deletionTimestamp?: string;
    generation?: number;
  };
  resource?: { instanceType?: string; count?: number };
  tuning?: {
    preset?: { name?: string };
    method?: string;
    config?: string;
    input?: { urls?: string[]; image?: string };
    output?: { image?: string };
  };
  inference?: {
    preset?: { name?: string };
    adapters?: { source: { name: string; image?: string } }[];
  };
  status?: Status;
}
// The trainer's last word, by the bus: newer than the status.
export interface Progress {
  phase: string;
  step: number;
  total_steps: number;
  loss: number;
  learning_rate: number;
  grad_norm: number;
  tokens: number;
  tokens_per_second: number;
  eta_ms: number;
  rss_bytes: number;
  at_ms: number;
  attempt: number;
  resumed_from: number;
}
export interface NodeWord {
  name: string;
  ready: boolean;
  silent_ms: number; // since its agent or kubelet was last heard of; -1: not known
}
export interface Hop {
  ok: boolean;
  age_ms: number; // since it last answered
  error: string;
}
export interface Tick {
  at: number; // the server's time
  api: Hop;
  bus: Hop;
  nodes: NodeWord[];
}
// Columns of equal length, one entry for each bucket of `stride` steps.
export interface Curve {
  attempts: { attempt: number; from_step: number }[];
  first: number[];
  last: number[];
  min: number[];
  mean: number[];
  max: number[];
  lr: number[];
  grad_norm: number[];
  tokens_per_second: number[];
  tokens: number[];
  at_ms: number[];
  eval: [number, number][]; // step, loss
}
export interface KubeEvent {
  type: string;
  reason: string;
  message: string;
  object: string;
  at: string;
  count: number;
}
export type Message =
  | { kind: "reset"; at: number; workspaces: Workspace[]; progress: Record<string, Progress>; sparks: Record<string, number[]>; tick: Tick | null }
  | { kind: "ws"; workspace: Workspace }
  | { kind: "gone"; uid: string }
  | { kind: "train"; uid: string; progress: Progress }
  | { kind: "curve"; uid: string; last: number; spark: number[] }
  | ({ kind: "tick" } & Tick);
