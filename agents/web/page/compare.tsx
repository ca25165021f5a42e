// agents/web/page/compare.tsx - several tunings beside each other: their losses on one axis, then
// only what differs, settings apart from results. The first one is the baseline.
import { useState } from "preact/hooks";
import { useNow } from "./bits.tsx";
import { Chart, type Line } from "./chart.tsx";
import type { Axis } from "./curve.ts";
import { age, loss } from "./format.ts";
import { go, href, type Route } from "./route.ts";
import { Choice, useCurve } from "./run.tsx";
import type { Curve, Workspace } from "./types.ts";
import { path, presetOf, stateOf } from "./words.ts";

const runs_max = 6;
export function Compare({ route }: { route: Route }) {
  const { state } = useNow();
  const names = (route.query.get("runs") ?? "").split(",").filter(Boolean);
  const all = [...state.workspaces.values()];
  const runs = names.map((n) => all.find((w) => path(w) === n && w.tuning)).filter((w) => w !== undefined).slice(0, runs_max);
  const axis = (route.query.get("x") ?? "step") as Axis;
  const isWhole = route.query.get("all") === "1";
  const [curves, setCurves] = useState<Record<string, Curve>>({});
  const set = (key: string, value: string) => {
    const query = new URLSearchParams(route.query);
    query.set(key, value);
    go({ ...route, query });
  };
  const lines: Line[] = runs.flatMap((w) => {
    const curve = curves[w.metadata.uid];
    return curve && curve.last.length > 0 ? [{ name: path(w), curve }] : [];
  });
  return (
    <main id="main">
      <div class="tools">
        <a href="#/" class="back" aria-label="All Workspaces">‹</a>
        <h1>Compare</h1>
        <Choice label="x" value={axis} options={["step", "tokens", "wall"]} set={(v) => set("x", v)} />
        <label class="choice">
          <input type="checkbox" checked={!isWhole} onChange={() => set("all", isWhole ? "0" : "1")} /> differences only
        </label>
      </div>
      {runs.length < 2 && (
        <p class="empty">
          {state.hasList ? "Choose two or more tunings in the list." : "Waiting for the list."} <a href="#/">All Workspaces</a>
        </p>
      )}
      {runs.map((w) => (
        <Fetch key={w.metadata.uid} w={w} got={(curve) => setCurves((old) => (old[w.metadata.uid] === curve ? old : { ...old, [w.metadata.uid]: curve }))} />
      ))}
      {lines.length > 0 && (
        <section class="card" aria-label="losses">
          <Chart lines={lines} axis={axis} log={false} smooth={0} />
        </section>
      )}
      {runs.length >= 2 && (
        <>
          <Differences title="Settings" runs={runs} rows={settings(runs)} isWhole={isWhole} />
          <p class="muted">{sameData(runs)}</p>
          <Differences title="Results" runs={runs} rows={results(runs, curves)} isWhole />
        </>
      )}
    </main>
  );
}
function Fetch({ w, got }: { w: Workspace; got: (curve: Curve) => void }) {
  const { state } = useNow();
  const { curve } = useCurve(w, state.curves.get(w.metadata.uid) ?? 0);
  if (curve.last.length > 0) queueMicrotask(() => got(curve));
  return null;
}

interface Line2 {
  name: string;
  cells: string[];
  delta: string[]; // against the first
}
const row = (name: string, cells: string[], delta: string[] = []): Line2 => ({ name, cells, delta });
const dataOf = (w: Workspace) => w.tuning?.input?.image ?? (w.tuning?.input?.urls ?? []).join(" ");
export function settings(runs: Workspace[]): Line2[] {
  return [
    row("preset", runs.map(presetOf)),
    row("method", runs.map((w) => w.tuning?.method ?? "")),
    row("ConfigMap", runs.map((w) => w.tuning?.config ?? "of the method")),
    row("data", runs.map(dataOf)),
    row("instance type", runs.map((w) => w.resource?.instanceType ?? "")),
    row("rows trained on", runs.map((w) => String(w.status?.tuning?.rows ?? ""))),
  ];
}
export function results(runs: Workspace[], curves: Record<string, Curve>): Line2[] {
  const last = runs.map((w) => curves[w.metadata.uid]?.mean.at(-1) ?? w.status?.tuning?.loss);
  const time = runs.map((w) => {
    const at = curves[w.metadata.uid]?.at_ms ?? [];
    return at.length > 1 ? at.at(-1)! - at[0]! : undefined;
  });
  const against = (values: (number | undefined)[], say: (d: number) => string) =>
    values.map((v, i) => (i === 0 || v === undefined || values[0] === undefined ? "" : `${v >= values[0] ? "+" : "−"}${say(Math.abs(v - values[0]))}`));
  return [
    row("state", runs.map((w) => stateOf(w).word)),
    row("steps", runs.map((w) => `${w.status?.tuning?.step ?? 0}/${w.status?.tuning?.totalSteps ?? 0}`)),
    row("loss", last.map(loss), against(last, loss)),
    row("best eval loss", runs.map((w) => loss(w.status?.tuning?.bestEvalLoss)), against(runs.map((w) => w.status?.tuning?.bestEvalLoss), loss)),
    row("time of its steps", time.map((t) => (t === undefined ? "–" : age(t))), against(time, age)),
  ];
}
function sameData(runs: Workspace[]): string {
  const one = dataOf(runs[0]!);
  return runs.every((w) => dataOf(w) === one)
    ? "The same data set: the losses can be compared."
    : "▲ Different data sets: the losses are not comparable.";
}
function Differences({ title, runs, rows, isWhole }: { title: string; runs: Workspace[]; rows: Line2[]; isWhole: boolean }) {
  const shown = rows.filter((r) => isWhole || r.cells.some((c) => c !== r.cells[0]));
  return (
    <section class="card" aria-label={title}>
      <h2>{title}</h2>
      {shown.length === 0 ? (
        <p class="empty">They do not differ.</p>
      ) : (
        <table class="plain">
          <thead>
            <tr>
              <td />
              {runs.map((w, i) => (
                <th key={w.metadata.uid} scope="col">
                  <a href={href({ view: "run", path: [w.metadata.namespace, w.metadata.name], query: new URLSearchParams() })}>{path(w)}</a>
                  {i === 0 && <span class="muted"> baseline</span>}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((r) => (
              <tr key={r.name}>
                <th scope="row">{r.name}</th>
                {r.cells.map((cell, i) => (
                  <td key={runs[i]!.metadata.uid} class="wrap">
                    {cell} {r.delta[i] && <span class="muted num">{r.delta[i]}</span>}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
