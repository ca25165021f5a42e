// agents/web/page/stream.ts - the server's events, read by fetch: EventSource sends no headers, and
// the token belongs in one. Tries again by itself.
import type { Link } from "./state.ts";
import type { Message } from "./types.ts";

export interface Parsed {
  id: string;
  event: string;
  data: string;
}
// text/event-stream, in pieces of any size. Comments and unknown fields are passed over.
export function parser(take: (event: Parsed) => void): (piece: string) => void {
  let rest = "";
  let id = "";
  let event = "";
  let data: string[] = [];
  const line = (text: string) => {
    if (text === "") {
      if (data.length > 0) take({ id, event, data: data.join("\n") });
      event = "";
      data = [];
      return;
    }
    const colon = text.indexOf(":");
    const field = colon < 0 ? text : text.slice(0, colon);
    let value = colon < 0 ? "" : text.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "id") id = value;
    if (field === "event") event = value;
    if (field === "data") data.push(value);
  };
  return (piece) => {
    rest += piece;
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const one of lines) line(one.endsWith("\r") ? one.slice(0, -1) : one);
  };
}

const first_ms = 1_000;
const most_ms = 30_000;
const hidden_ms = 60_000;
const silent_ms = 12_000;

export interface Sink {
  link: (link: Link) => void;
  message: (message: Message) => void;
}
// Runs for the life of the page.
export function listen(token: string, sink: Sink): void {
  let last = "";
  let delay = first_ms;
  let abort: AbortController | null = null;
  let timer = 0;
  let hidden = 0;
  const mono = () => performance.now();
  const lost = (why: string) => {
    abort = null;
    const wait = delay * (0.8 + 0.4 * Math.random());
    delay = Math.min(delay * 2, most_ms);
    sink.link({ state: "lost", since: mono(), retryAt: mono() + wait, why });
    clearTimeout(timer);
    timer = window.setTimeout(open, wait);
  };
  const open = async () => {
    clearTimeout(timer);
    if (abort) return;
    const mine = (abort = new AbortController());
    let heard = mono();
    const watch = window.setInterval(() => {
      if (mono() - heard > silent_ms) mine.abort(); // half open: nobody says that it has gone
    }, 1_000);
    try {
      const headers: Record<string, string> = { Authorization: `Bearer ${token}` };
      if (last !== "") headers["Last-Event-ID"] = last;
      const reply = await fetch("/api/v1/stream", { headers, signal: mine.signal, cache: "no-store" });
      if (reply.status === 401 || reply.status === 403) {
        sink.link({ state: "refused", since: mono(), retryAt: 0, why: await reply.text() });
        return;
      }
      if (!reply.ok || !reply.body) throw new Error(`it answers ${reply.status}`);
      sink.link({ state: "open", since: mono(), retryAt: 0, why: "" });
      delay = first_ms;
      const decoder = new TextDecoder();
      const parse = parser((event) => {
        last = event.id;
        sink.message({ kind: event.event, ...JSON.parse(event.data) } as Message);
      });
      const reader = reply.body.getReader();
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        heard = mono();
        parse(decoder.decode(piece.value, { stream: true }));
      }
      throw new Error("it closed the connection");
    } catch (error) {
      if (abort !== mine) return; // paused
      lost(error instanceof Error && error.name !== "AbortError" && error.name !== "TypeError" ? error.message : "");
    } finally {
      clearInterval(watch);
    }
  };
  const now = () => {
    delay = first_ms;
    if (!abort) void open();
  };
  window.addEventListener("online", now);
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hidden);
    if (!document.hidden) return now();
    // A browser has six connections for a host, and each tab's stream takes one.
    hidden = window.setTimeout(() => {
      const old = abort;
      abort = null;
      clearTimeout(timer);
      sink.link({ state: "paused", since: mono(), retryAt: 0, why: "" });
      old?.abort();
    }, hidden_ms);
  });
  void open();
}
