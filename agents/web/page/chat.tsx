// agents/web/page/chat.tsx - one question to the base model and to an adapter of one server, side by
// side. Each pane says the model that the answer itself names.
import { useRef, useState } from "preact/hooks";
import { post } from "./api.ts";
import { Badge, useNow } from "./bits.tsx";
import type { Route } from "./route.ts";
import { parser } from "./stream.ts";
import type { Workspace } from "./types.ts";
import { path, presetOf, stateOf, whyOf } from "./words.ts";

interface Answer {
  text: string;
  model: string; // as the answer says
  first: number; // ms to the first token
  rate: number; // tokens/s
  tokens: number;
  stop: string;
  error: string;
}
const nothing: Answer = { text: "", model: "", first: 0, rate: 0, tokens: 0, stop: "", error: "" };

export function Chat({ route }: { route: Route }) {
  const { state } = useNow();
  const servers = [...state.workspaces.values()].filter((w) => w.inference);
  const w = servers.find((s) => path(s) === route.path.join("/")) ?? servers[0];
  if (!w)
    return (
      <main id="main">
        <h1>Chat</h1>
        <p class="empty">
          {state.hasList ? "No Workspace serves a model. One with `inference` does: see docs/serving.md." : "Waiting for the list."}
        </p>
      </main>
    );
  return <Panes key={w.metadata.uid} w={w} servers={servers} />;
}
function Panes({ w, servers }: { w: Workspace; servers: Workspace[] }) {
  const base = presetOf(w);
  const adapters = (w.inference?.adapters ?? []).map((a) => a.source.name);
  const models = [base, ...adapters];
  const [answers, setAnswers] = useState<Record<string, Answer>>({});
  const [question, setQuestion] = useState("");
  const [asked, setAsked] = useState("");
  const [limit, setLimit] = useState(256);
  const abort = useRef<AbortController | null>(null);
  const [busy, setBusy] = useState(false);
  const isReady = stateOf(w).tone === "good";
  const why = whyOf(w);
  const ask = async (e: Event) => {
    e.preventDefault();
    if (question.trim() === "" || busy || !isReady) return;
    abort.current = new AbortController();
    setBusy(true);
    setAsked(question);
    setAnswers(Object.fromEntries(models.map((m) => [m, nothing])));
    await Promise.all(
      models.map((m) => answer(w, m, question, limit, abort.current!.signal, (a) => setAnswers((old) => ({ ...old, [m]: a })))),
    );
    setBusy(false);
  };
  return (
    <main id="main">
      <div class="tools">
        <h1>Chat</h1>
        <label class="choice">
          server
          <select value={path(w)} onChange={(e) => (location.hash = `#/chat/${e.currentTarget.value}`)}>
            {servers.map((s) => <option key={s.metadata.uid}>{path(s)}</option>)}
          </select>
        </label>
        <Badge {...stateOf(w)} />
        <span class="muted">temperature 0 · seed 0</span>
        <label class="choice">
          at most
          <input type="number" min="1" max="4096" value={limit} onInput={(e) => setLimit(Number(e.currentTarget.value) || 256)} /> tokens
        </label>
      </div>
      {!isReady && (
        <section class="card why wait">
          <h2>It does not answer yet</h2>
          <p class="what">{why?.what ?? stateOf(w).word}</p>
          {(why?.remedies ?? []).map((r) => <p key={r}>{r}</p>)}
        </section>
      )}
      {asked !== "" && <p class="asked">{asked}</p>}
      <div class="columns">
        {models.map((m, i) => (
          <Pane key={m} model={m} kind={i === 0 ? "base" : "tuned"} answer={answers[m]} />
        ))}
      </div>
      <form class="ask" onSubmit={ask}>
        <label class="grow">
          <span class="hidden">Question</span>
          <textarea rows={2} placeholder="A question for all of them" value={question} onInput={(e) => setQuestion(e.currentTarget.value)}
            onKeyDown={(e) => e.key === "Enter" && !e.shiftKey && ask(e)} />
        </label>
        {busy ? (
          <button type="button" onClick={() => abort.current?.abort()}>Stop</button>
        ) : (
          <button type="submit" disabled={!isReady}>{models.length > 1 ? (models.length === 2 ? "Ask both" : "Ask all") : "Ask"}</button>
        )}
      </form>
    </main>
  );
}
function Pane({ model, kind, answer }: { model: string; kind: string; answer: Answer | undefined }) {
  const isOther = answer && answer.model !== "" && answer.model !== model;
  return (
    <section class={`card pane ${isOther ? "bad" : ""}`} aria-label={`${kind}: ${model}`}>
      <h2>
        {kind} <span class="muted">model: {answer?.model || model}</span>
      </h2>
      {isOther && <p class="warn">▲ The answer is of {answer.model}, not of {model}.</p>}
      {answer?.error && <p class="warn">▲ {answer.error}</p>}
      <p class="answer">{answer?.text ?? ""}</p>
      {answer && answer.tokens > 0 && (
        <p class="muted num">
          {Math.round(answer.first)} ms to the first token, {answer.rate.toFixed(1)} tokens/s, {answer.tokens} tokens{answer.stop ? `, ${answer.stop}` : ""}
        </p>
      )}
    </section>
  );
}

interface Chunk {
  model?: string;
  choices?: { delta?: { content?: string }; finish_reason?: string | null }[];
  usage?: { completion_tokens?: number };
  error?: { message?: string };
}
async function answer(w: Workspace, model: string, question: string, limit: number, signal: AbortSignal, show: (a: Answer) => void): Promise<void> {
  const begin = performance.now();
  let a = nothing;
  const tell = (change: Partial<Answer>) => show((a = { ...a, ...change }));
  try {
    const reply = await post(`chat/${path(w)}`, {
      model, messages: [{ role: "user", content: question }], temperature: 0, seed: 0, max_tokens: limit, stream: true,
      stream_options: { include_usage: true },
    }, signal);
    if (!reply.ok || !reply.body) {
      const text = (await reply.text()).trim();
      return tell({ error: text || `it answers ${reply.status}` });
    }
    const parse = parser(({ data }) => {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data) as Chunk;
      if (chunk.error) return tell({ error: chunk.error.message ?? "the server ended the answer" });
      const choice = chunk.choices?.[0];
      const piece = choice?.delta?.content ?? "";
      const since = performance.now() - begin;
      const first = a.first || (piece === "" ? 0 : since);
      const tokens = chunk.usage?.completion_tokens ?? a.tokens + (piece === "" ? 0 : 1);
      const rate = since > first && tokens > 1 ? ((tokens - 1) * 1000) / (since - first) : a.rate;
      tell({ text: a.text + piece, model: chunk.model ?? a.model, first, tokens, rate, stop: choice?.finish_reason ?? a.stop });
    });
    const decoder = new TextDecoder();
    const reader = reply.body.getReader();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) parse(decoder.decode(piece.value, { stream: true }));
  } catch (e) {
    tell(signal.aborted ? { stop: "stopped" } : { error: (e as Error).message });
  }
}
