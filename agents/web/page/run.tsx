// agents/web/page/run.tsx - one Workspace: why it waits or failed first, then its curve, what it
// does now, its settings, its events and its log.
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { get } from "./api.ts";
import { Ago, Badge, Command, Copy, useNow } from "./bits.tsx";
import { Chart } from "./chart.tsx";
import { extended, no_curve, type Axis } from "./curve.ts";
import { age, bytes, clock, count, loss, short } from "./format.ts";
import { etaOf } from "./list.tsx";
import { Events, Log } from "./history.tsx";
import { go, href, type Route } from "./route.ts";
import { silentNode, silentTrainer } from "./silence.ts";
import type { Train } from "./state.ts";
import type { Curve, Progress, Workspace } from "./types.ts";
import { nextCommand, path, phases, placeOf, presetOf, stateOf, whyOf } from "./words.ts";

export function Run({ route }: { route: Route }) {
  const { state } = useNow();
  const [ns = "", name = ""] = route.path;
  const w = [...state.workspaces.values()].find((x) => x.metadata.namespace === ns && x.metadata.name === name);
  if (!w)
    return (
      <main id="main">
        <h1>{name}</h1>
        <p class="empty">
          {state.hasList ? `There is no Workspace ${ns}/${name} (any more).` : "Waiting for the list."}{" "}
          <a href="#/">All Workspaces</a>
        </p>
      </main>
    );
  return <One key={w.metadata.uid} w={w} route={route} />;
}

function One({ w, route }: { w: Workspace; route: Route }) {
  const { state, mono, at } = useNow();
  const train = state.trains.get(w.metadata.uid);
  const tuning = w.status?.tuning;
  const word = stateOf(w);
  const attempt = train?.progress.attempt ?? tuning?.attempt ?? 1;
  const resumed = train?.progress.resumed_from ?? tuning?.resumedFromStep ?? 0;
  const step = Math.max(tuning?.step ?? 0, train?.progress.step ?? 0);
  const isTraining = word.word === "Training";
  return (
    <main id="main">
      <div class="tools">
        <a href="#/" class="back" aria-label="All Workspaces">‹</a>
        <h1>{path(w)}</h1>
        <Badge {...word} />
        {tuning && tuning.totalSteps > 0 && <strong class="num">{step}/{tuning.totalSteps}</strong>}
        {isTraining && <span class="live">ETA {silentTrainer(state, w, train, mono) ? <s>{etaOf(w, train, at)}</s> : etaOf(w, train, at)}</span>}
        {attempt > 1 && <span class="muted">attempt {attempt}{resumed > 0 ? `, went on from step ${resumed}` : ""}</span>}
        <span class="muted">{presetOf(w)} {w.tuning?.method ?? ""} · <Ago at={w.metadata.creationTimestamp} suffix=" old" /></span>
      </div>
      {w.tuning && <Way w={w} />}
      <WhyCard w={w} train={train} />
      {w.tuning && step > 0 && <Curves w={w} route={route} train={train} />}
      <div class="columns">
        <Facts w={w} train={train} />
        <Settings w={w} />
      </div>
      <Events w={w} />
      <Log w={w} />
    </main>
  );
}

function Way({ w }: { w: Workspace }) {
  const here = placeOf(w);
  const at = here ? phases.indexOf(here) : -1;
  const { word, tone } = stateOf(w);
  const says = (i: number) => (i < at || word === "Succeeded" ? "done" : i === at ? (tone === "bad" ? "failed" : "now") : "to come");
  return (
    <ol class="way" aria-label="its way">
      {phases.map((phase, i) => (
        <li key={phase} class={says(i).replace(" ", "")} {...(i === at ? { "aria-current": "step" as const } : {})}>
          <span aria-hidden="true">{says(i) === "done" ? "✓" : says(i) === "failed" ? "✕" : says(i) === "now" ? "●" : "○"}</span> {phase}
          <span class="hidden">, {says(i)}</span>
        </li>
      ))}
    </ol>
  );
}

function WhyCard({ w, train }: { w: Workspace; train: Train | undefined }) {
  const { state, mono } = useNow();
  const why = whyOf(w);
  const { tone, word } = stateOf(w);
  const silence = tone === "good" ? "" : [silentNode(state, w, mono), silentTrainer(state, w, train, mono)].filter(Boolean).join("; ");
  if (!why && silence === "") return null;
  const title = tone === "bad" ? `${word}: why` : tone === "run" ? "Not as it should be" : `${word}: why it does not go on`;
  return (
    <section class={`card why ${tone === "bad" ? "bad" : "wait"}`} aria-labelledby="why">
      <h2 id="why">{silence && !why ? "Silent" : title}</h2>
      {silence && <p><strong>▲ {silence}</strong></p>}
      {why && (
        <>
          <p class="what">{why.what}</p>
          {why.remedies.length > 0 && (
            <ul>{why.remedies.map((r) => <li key={r}>{r}</li>)}</ul>
          )}
          <p class="muted">
            {why.reason}
            {why.since && <>, since <Ago at={why.since} /></>}
          </p>
        </>
      )}
      <Command text={nextCommand(w)} />
    </section>
  );
}

// What was heard of the steps since this view is open; the server's curve takes them in.
function useSteps(train: Train | undefined): Progress[] {
  const kept = useRef<Progress[]>([]);
  const last = kept.current.at(-1);
  if (train && train.progress !== last && train.progress.step > 0) kept.current = [...kept.current, train.progress].slice(-2_000);
  return kept.current;
}
export function useCurve(w: Workspace, version: number): { curve: Curve; error: string } {
  const [got, setGot] = useState<{ curve: Curve; error: string }>({ curve: no_curve, error: "" });
  useEffect(() => {
    const abort = new AbortController();
    get<Curve>(`workspaces/${path(w)}/curve`, abort.signal).then(
      (curve) => setGot({ curve, error: "" }),
      (e: Error) => e.name !== "AbortError" && setGot((old) => ({ ...old, error: e.message })),
    );
    return () => abort.abort();
  }, [w.metadata.uid, version]);
  return got;
}
function Curves({ w, route, train }: { w: Workspace; route: Route; train: Train | undefined }) {
  const { state } = useNow();
  const { curve, error } = useCurve(w, state.curves.get(w.metadata.uid) ?? 0);
  const steps = useSteps(train);
  const whole = useMemo(() => extended(curve, steps), [curve, steps]);
  const axis = (route.query.get("x") ?? "step") as Axis;
  const log = route.query.get("y") === "log";
  const smooth = Number(route.query.get("smooth") ?? 0) || 0;
  const set = (key: string, value: string) => {
    const query = new URLSearchParams(route.query);
    query.set(key, value);
    go({ ...route, query });
  };
  return (
    <section class="card" aria-labelledby="loss">
      <div class="tools">
        <h2 id="loss">Loss</h2>
        <Choice label="x" value={axis} options={["step", "tokens", "wall"]} set={(v) => set("x", v)} />
        <Choice label="y" value={log ? "log" : "lin"} options={["lin", "log"]} set={(v) => set("y", v)} />
        <label class="choice">
          smooth
          <input type="range" min="0" max="0.99" step="0.01" value={smooth} onInput={(e) => set("smooth", e.currentTarget.value)} />
          <output>{smooth === 0 ? "off" : smooth.toFixed(2)}</output>
        </label>
        {error !== "" && <span class="warn">▲ {error}</span>}
      </div>
      {whole.last.length > 0 ? <Chart lines={[{ name: w.metadata.name, curve: whole }]} axis={axis} log={log} smooth={smooth} /> : <p class="empty">No step is known yet.</p>}
    </section>
  );
}
export function Choice({ label, value, options, set }: { label: string; value: string; options: string[]; set: (v: string) => void }) {
  return (
    <label class="choice">
      {label}
      <select value={value} onChange={(e) => set(e.currentTarget.value)}>
        {options.map((o) => <option key={o} value={o}>{o}</option>)}
      </select>
    </label>
  );
}

export function Term({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
function Facts({ w, train }: { w: Workspace; train: Train | undefined }) {
  const { at } = useNow();
  const t = w.status?.tuning;
  const p = train?.progress;
  const artifact = w.status?.artifact;
  const isTraining = t?.phase === "Training";
  return (
    <section class="card" aria-labelledby="now">
      <h2 id="now">{isTraining ? "Now" : "What is known"}</h2>
      <dl class="facts">
        {p && p.step > 0 && <Term name="loss"><b>{loss(p.loss)}</b></Term>}
        {p && p.step > 0 && <Term name="learning rate">{short(p.learning_rate)}</Term>}
        {p && p.step > 0 && <Term name="gradient norm">{short(p.grad_norm)}</Term>}
        {isTraining && p && <Term name="tokens/s">{count(p.tokens_per_second)}</Term>}
        {p && p.tokens > 0 && <Term name="tokens">{count(p.tokens)}</Term>}
        {p && p.rss_bytes > 0 && isTraining && <Term name="trainer's memory">{bytes(p.rss_bytes)}</Term>}
        {t?.evalLoss !== undefined && <Term name="eval loss">{loss(t.evalLoss)} at step {t.evalStep}</Term>}
        {t?.bestEvalLoss !== undefined && <Term name="best eval loss">{loss(t.bestEvalLoss)} at step {t.bestStep}</Term>}
        {t?.rows !== undefined && <Term name="rows">{count(t.rows)}{t.heldOutRows ? `, ${count(t.heldOutRows)} held out` : ""}{t.droppedRows ? `, ${count(t.droppedRows)} dropped` : ""}{t.truncatedRows ? `, ${count(t.truncatedRows)} cut` : ""}</Term>}
        {t?.checkpoint && <Term name="checkpoint">{t.checkpoint}</Term>}
        {t?.device && <Term name="device">{t.device}</Term>}
        <Term name="node">{(w.status?.workerNodes ?? []).join(", ") || "none yet"}</Term>
        {p && <Term name="last step heard">{age(at - p.at_ms)} ago ({clock(p.at_ms)})</Term>}
        {artifact && <Term name="image">{artifact.image} <Copy text={artifact.image} /></Term>}
        {artifact && <Term name="digest"><span class="wrap">{artifact.digest}</span> <Copy text={artifact.digest} /></Term>}
        {artifact && <Term name="size">{bytes(artifact.sizeBytes)}</Term>}
        {w.status?.address && <Term name="address">{w.status.address}</Term>}
      </dl>
      {w.inference && stateOf(w).tone === "good" && (
        <a class="button" href={href({ view: "chat", path: [w.metadata.namespace, w.metadata.name], query: new URLSearchParams() })}>Chat with it</a>
      )}
      {!whyOf(w) && <Command text={nextCommand(w)} />}
    </section>
  );
}
function Settings({ w }: { w: Workspace }) {
  const wish = { resource: w.resource, ...(w.tuning ? { tuning: w.tuning } : {}), ...(w.inference ? { inference: w.inference } : {}) };
  const text = JSON.stringify(wish, null, 2);
  return (
    <section class="card" aria-labelledby="settings">
      <div class="tools">
        <h2 id="settings">Settings of this run</h2>
        <Copy text={text} label="copy" />
      </div>
      <dl class="facts">
        <Term name="preset">{presetOf(w)}</Term>
        {w.tuning?.method && <Term name="method">{w.tuning.method}</Term>}
        {w.tuning?.config && <Term name="ConfigMap">{w.tuning.config}</Term>}
        {w.tuning?.input && <Term name="data">{w.tuning.input.image ?? (w.tuning.input.urls ?? []).join(" ") ?? "a volume"}</Term>}
        {w.tuning?.output?.image && <Term name="pushes to">{w.tuning.output.image}</Term>}
        {(w.inference?.adapters ?? []).map((a) => <Term key={a.source.name} name={`adapter ${a.source.name}`}>{a.source.image ?? ""}</Term>)}
      </dl>
      <details>
        <summary>As written</summary>
        <pre tabIndex={0}>{text}</pre>
      </details>
    </section>
  );
}
