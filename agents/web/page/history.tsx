// agents/web/page/history.tsx - events and log of one Workspace, asked for while they are looked at.
import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "./api.ts";
import { Ago, useNow } from "./bits.tsx";
import type { KubeEvent, Workspace } from "./types.ts";
import { path, stateOf } from "./words.ts";

const every_ms = 3_000;
// What `path` answers, now and every few seconds while the tab is seen.
function useAsked<T>(ask: (signal: AbortSignal) => Promise<T>, key: string): { got: T | null; error: string } {
  const [state, set] = useState<{ got: T | null; error: string }>({ got: null, error: "" });
  const { state: page } = useNow();
  const isLive = page.link.state === "open";
  useEffect(() => {
    const abort = new AbortController();
    let timer = 0;
    const again = () => {
      ask(abort.signal)
        .then((got) => set({ got, error: "" }), (e: Error) => e.name !== "AbortError" && set((old) => ({ ...old, error: e.message })))
        .finally(() => {
          if (!abort.signal.aborted && isLive) timer = window.setTimeout(again, every_ms);
        });
    };
    if (isLive) again();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [key, isLive]);
  return state;
}

export function Events({ w }: { w: Workspace }) {
  const { got, error } = useAsked((signal) => get<{ items: KubeEvent[] }>(`workspaces/${path(w)}/events`, signal), w.metadata.uid);
  const items = got?.items ?? [];
  return (
    <section class="card" aria-labelledby="events">
      <h2 id="events">Events</h2>
      {error !== "" && <p class="warn">▲ {error}</p>}
      {items.length === 0 ? (
        <p class="empty">{got ? "There are none." : "Asking for them."}</p>
      ) : (
        <table class="plain">
          <thead>
            <tr>{["seen", "type", "reason", "of", "message"].map((n) => <th key={n} scope="col">{n}</th>)}</tr>
          </thead>
          <tbody>
            {items.map((e) => (
              <tr key={`${e.object}${e.reason}${e.message}`}>
                <td class="num"><Ago at={e.at} />{e.count > 1 ? ` ×${e.count}` : ""}</td>
                <td>{e.type === "Warning" ? <strong class="warn">▲ Warning</strong> : e.type}</td>
                <td>{e.reason}</td>
                <td class="muted">{e.object}</td>
                <td class="wrap">{e.message}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

interface LogPiece {
  pod: string;
  container: string;
  containers: string[];
  text: string;
  offset: number; // of the end
}
const near_px = 24;
const lines_kept = 5_000;

// Follows only while the reader is at the end and has selected nothing.
export function Log({ w }: { w: Workspace }) {
  const [isOpen, setOpen] = useState(stateOf(w).tone === "bad"); // its last lines say why
  const [container, choose] = useState("");
  const held = useRef({ pod: "", container: "", text: "", offset: 0 });
  const box = useRef<HTMLPreElement>(null);
  const [news, setNews] = useState(0);
  const ask = async (signal: AbortSignal) => {
    if (!isOpen) return held.current;
    const known = held.current.container === container || container === "" ? held.current : { pod: "", container, text: "", offset: 0 };
    const query = new URLSearchParams({ offset: String(known.offset), pod: known.pod, container });
    const piece = await get<LogPiece>(`workspaces/${path(w)}/log?${query}`, signal);
    const isSame = piece.pod === known.pod && piece.container === known.container;
    const text = ((isSame ? known.text : "") + piece.text).split("\n").slice(-lines_kept).join("\n");
    held.current = { ...piece, text };
    return held.current as LogPiece;
  };
  const { got, error } = useAsked(ask, `${w.metadata.uid} ${isOpen} ${container}`);
  const piece = got as LogPiece | null;
  const last = useRef("");
  useEffect(() => {
    const pre = box.current;
    const text = piece?.text ?? "";
    if (!pre || text === last.current) return;
    const added = text.startsWith(last.current) ? text.slice(last.current.length).split("\n").length - 1 : 0;
    const atEnd = last.current === "" || pre.scrollHeight - pre.scrollTop - pre.clientHeight < near_px;
    const selects = (document.getSelection()?.toString() ?? "") !== "" && pre.contains(document.getSelection()?.anchorNode ?? null);
    pre.textContent = text;
    last.current = text;
    if (atEnd && !selects) pre.scrollTop = pre.scrollHeight;
    else setNews((n) => n + added);
  }, [piece?.text]);
  const toEnd = () => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
    setNews(0);
  };
  return (
    <section class="card" aria-labelledby="log">
      <div class="tools">
        <h2 id="log">Log</h2>
        <button type="button" class="small" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>{isOpen ? "hide" : "show"}</button>
        {isOpen && (piece?.containers ?? []).map((c) => (
          <button type="button" key={c} class="small" aria-pressed={c === piece?.container} onClick={() => choose(c)}>{c}</button>
        ))}
        {isOpen && piece?.pod && <span class="muted">{piece.pod}</span>}
        {news > 0 && <button type="button" class="small" onClick={toEnd}>{news} new ↓</button>}
      </div>
      {isOpen && error !== "" && <p class="muted">{error}</p>}
      {isOpen && <pre class="log" ref={box} tabIndex={0} aria-label={`log of ${w.metadata.name}`} />}
    </section>
  );
}
