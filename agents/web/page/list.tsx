// agents/web/page/list.tsx - all Workspaces: state in a word, why it waits, how far it is.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { Badge, Bar, Spark, useNow } from "./bits.tsx";
import { age, both, clock, loss, short } from "./format.ts";
import { go, href, parse, type Route } from "./route.ts";
import { silentNode, silentTrainer } from "./silence.ts";
import { now, type State, type Train } from "./state.ts";
import type { Workspace } from "./types.ts";
import { path, presetOf, stateOf, whyOf, type Word } from "./words.ts";

// What does not change while an object is the same: a thousand are drawn each second.
interface Fixed {
  id: string; // namespace/name
  tone: Word["tone"];
  born: number;
}
const kept = new WeakMap<Workspace, Fixed>();
function fixed(w: Workspace): Fixed {
  let out = kept.get(w);
  if (!out) kept.set(w, (out = { id: path(w), tone: stateOf(w).tone, born: Date.parse(w.metadata.creationTimestamp) }));
  return out;
}
const order = { bad: 0, wait: 1, run: 2, off: 3, good: 4 };
// By what needs a look first, then the newest first. Every word of the filter must be somewhere.
export function selected(state: State, filter: string): Workspace[] {
  const wanted = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return [...state.workspaces.values()]
    .filter((w) => {
      if (wanted.length === 0) return true;
      const text = `${path(w)} ${stateOf(w).word} ${presetOf(w)} ${w.status?.workerNodes ?? ""}`.toLowerCase();
      return wanted.every((word) => text.includes(word));
    })
    .sort((x, y) => {
      const [a, b] = [fixed(x), fixed(y)];
      return order[a.tone] - order[b.tone] || b.born - a.born || (a.id < b.id ? -1 : 1);
    });
}

// Reads the address as it is then: one function for all rows and draws.
function toggle(id: string): void {
  const route = parse(location.hash);
  const chosen = (route.query.get("compare") ?? "").split(",").filter(Boolean);
  const next = chosen.includes(id) ? chosen.filter((c) => c !== id) : [...chosen, id];
  go({ ...route, query: withKey(route.query, "compare", next.join(",")) });
}
function words(state: State, w: Workspace, mono: number): { old: string; silence: string; eta: string } {
  const at = now(state, mono);
  const train = state.trains.get(w.metadata.uid);
  const { tone, born } = fixed(w);
  const isOver = tone === "good";
  return {
    old: age(at - born),
    silence: isOver ? "" : silentNode(state, w, mono) || silentTrainer(state, w, train, mono),
    eta: w.status?.tuning?.phase === "Training" ? etaOf(w, train, at) : "",
  };
}

export function List({ route }: { route: Route }) {
  const { state, mono } = useNow();
  const filter = route.query.get("q") ?? "";
  const chosen = (route.query.get("compare") ?? "").split(",").filter(Boolean);
  const rows = useMemo(() => selected(state, filter), [state.workspaces, filter]);
  const set = (key: string, value: string) => go({ ...route, query: withKey(route.query, key, value) });
  return (
    <main id="main">
      <div class="tools">
        <h1>Workspaces</h1>
        <label>
          <span class="hidden">Filter by name, state, preset or node (key /)</span>
          <input
            id="filter"
            type="search"
            placeholder="filter: name, state, preset, node   /"
            value={filter}
            onInput={(e) => set("q", e.currentTarget.value)}
          />
        </label>
        <span class="muted">
          {rows.length === state.workspaces.size ? `${rows.length}` : `${rows.length} of ${state.workspaces.size}`}
        </span>
        {chosen.length >= 2 && (
          <a class="button" href={href({ view: "compare", path: [], query: new URLSearchParams({ runs: chosen.join(",") }) })}>
            Compare {chosen.length}
          </a>
        )}
      </div>
      {rows.length === 0 ? (
        <Nothing hasList={state.hasList} isFiltered={state.workspaces.size > 0} />
      ) : (
        <table class="list" role="table">
          <caption class="hidden">Workspaces, what needs a look first</caption>
          <thead role="rowgroup">
            <tr role="row">
              {["Compare", "Name", "State", "Why, or phase", "Step", "Loss", "Tokens/s", "ETA", "Node", "Age"].map((name, i) => (
                <th key={name} scope="col" role="columnheader" class={i === 0 ? "pick" : ""}>
                  {i === 0 ? <span class="hidden">{name}</span> : name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {rows.map((w) => rowOf(state, w, mono, chosen.includes(fixed(w).id)))}
          </tbody>
        </table>
      )}
    </main>
  );
}
function withKey(query: URLSearchParams, key: string, value: string): URLSearchParams {
  const out = new URLSearchParams(query);
  if (value === "") out.delete(key);
  else out.set(key, value);
  return out;
}
function Nothing({ hasList, isFiltered }: { hasList: boolean; isFiltered: boolean }) {
  if (!hasList) return <p class="empty">Waiting for the list.</p>;
  if (isFiltered) return <p class="empty">No Workspace matches the filter.</p>;
  return (
    <p class="empty">
      There is no Workspace yet. <code>kairo apply -f workspace.yaml</code> makes one, and it shows here.
    </p>
  );
}

// Of the time only what its words say goes into a row: one that says the same is the same object, which preact passes over.
interface RowProps {
  workspace: Workspace;
  train: Train | undefined;
  spark: number[] | undefined;
  isChosen: boolean;
  old: string; // its age
  silence: string;
  eta: string;
}
const drawn = new WeakMap<Workspace, { props: RowProps; row: JSX.Element }>();
function rowOf(state: State, w: Workspace, mono: number, isChosen: boolean): JSX.Element {
  const uid = w.metadata.uid;
  const { old, silence, eta } = words(state, w, mono);
  const train = state.trains.get(uid);
  const spark = state.sparks.get(uid);
  const before = drawn.get(w);
  const p = before?.props;
  const isSame =
    p && p.old === old && p.silence === silence && p.eta === eta && p.train === train && p.spark === spark && p.isChosen === isChosen;
  if (before && isSame) return before.row;
  const props: RowProps = { workspace: w, train, spark, isChosen, old, silence, eta };
  const row = <Row key={uid} {...props} />;
  drawn.set(w, { props, row });
  return row;
}
function Row({ workspace: w, train, spark, isChosen, old, silence, eta }: RowProps) {
  const name = path(w);
  const tuning = w.status?.tuning;
  const total = tuning?.totalSteps ?? 0;
  const step = Math.max(tuning?.step ?? 0, train?.progress.step ?? 0);
  const isTraining = tuning?.phase === "Training";
  const lastLoss = train && train.progress.step > 0 ? train.progress.loss : tuning?.loss;
  return (
    <tr role="row">
      <td role="cell" class="pick">
        {w.tuning && (
          <input type="checkbox" aria-label={`compare ${name}`} checked={isChosen} onChange={() => toggle(name)} />
        )}
      </td>
      <th role="rowheader" scope="row" class="name">
        <a href={href({ view: "run", path: [w.metadata.namespace, w.metadata.name], query: new URLSearchParams() })}>
          {w.metadata.namespace !== "default" && <span class="muted">{w.metadata.namespace}/</span>}
          {w.metadata.name}
        </a>
        <span class="muted kind">{w.inference ? "serves" : (w.tuning?.method ?? "")} {presetOf(w)}</span>
      </th>
      <td role="cell">
        <Badge {...stateOf(w)} />
      </td>
      {/* before the first step the words have the figures' room */}
      <td role="cell" class="why" colSpan={step === 0 ? 5 : 1}>
        <WhyCell w={w} silence={silence} />
      </td>
      {step > 0 && (
        <>
          <td role="cell" class="num" data-name="step">
            {total > 0 && (
              <>
                {isTraining && <Bar part={step / total} label={`${step} of ${total} steps`} />} {step}/{total}
              </>
            )}
          </td>
          <td role="cell" class="num" data-name="loss">
            {lastLoss !== undefined && (
              <>
                <Spark values={spark ?? []} /> {loss(lastLoss)}
              </>
            )}
          </td>
          <td role="cell" class="num" data-name="tokens/s">
            {isTraining && step > 0 ? short(Math.round(train?.progress.tokens_per_second ?? tuning?.tokensPerSecond ?? 0)) : ""}
          </td>
          <td role="cell" class="num live" data-name="ETA">
            {isTraining && (silence ? <s>{eta}</s> : eta)}
          </td>
        </>
      )}
      <td role="cell" data-name="node">{(w.status?.workerNodes ?? []).join(", ")}</td>
      <td role="cell" class="num" data-name="age">
        <time dateTime={w.metadata.creationTimestamp} title={both(Date.parse(w.metadata.creationTimestamp))}>{old}</time>
      </td>
    </tr>
  );
}

function WhyCell({ w, silence }: { w: Workspace; silence: string }) {
  if (silence !== "") return <strong class="warn">▲ {silence}</strong>;
  const why = whyOf(w);
  if (why)
    return (
      <span title={`${why.reason}: ${[why.what, ...why.remedies].join("; ")}`}>
        {why.what}
        {why.remedies.length > 0 && <span class="remedy">; {why.remedies.join("; ")}</span>}
      </span>
    );
  const artifact = w.status?.artifact;
  if (artifact)
    return (
      <span>
        {artifact.image} <span class="muted">{artifact.digest.slice(0, 19)}</span>
      </span>
    );
  const adapters = (w.inference?.adapters ?? []).map((a) => a.source.name);
  if (w.inference && stateOf(w).tone === "good")
    return (
      <a href={href({ view: "chat", path: [w.metadata.namespace, w.metadata.name], query: new URLSearchParams() })}>
        chat{adapters.length > 0 ? ` with ${adapters.join(", ")}` : ""}
      </a>
    );
  return <span class="muted">{w.status?.tuning?.resumedFromStep ? `went on from step ${w.status.tuning.resumedFromStep}` : ""}</span>;
}

// "34s (14:32 CET)".
export function etaOf(w: Workspace, train: Train | undefined, at: number): string {
  const known = train && train.progress.eta_ms >= 0 ? train.progress.at_ms + train.progress.eta_ms : undefined;
  const end = known ?? (w.status?.tuning?.etaSeconds !== undefined ? at + w.status.tuning.etaSeconds * 1000 : undefined);
  return end === undefined ? "–" : `${age(end - at)} (${clock(end)})`;
}
