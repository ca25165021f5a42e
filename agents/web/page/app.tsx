// agents/web/page/app.tsx - the page: what it heard, drawn at most four times a second.
import { render } from "preact";
import { useEffect, useReducer, useRef, useState } from "preact/hooks";
import { keepToken, takeToken } from "./api.ts";
import { Now, useNow } from "./bits.tsx";
import { Chat } from "./chat.tsx";
import { Compare } from "./compare.tsx";
import { age } from "./format.ts";
import { List } from "./list.tsx";
import { parse } from "./route.ts";
import { Run } from "./run.tsx";
import { banner } from "./silence.ts";
import { empty, reduce, withLink, type State } from "./state.ts";
import { listen } from "./stream.ts";
import "./style.css";
import type { Message } from "./types.ts";
import { path, stateOf } from "./words.ts";

const draw_ms = 250;

function App({ token }: { token: string }) {
  const state = useRef<State>(empty);
  const queue = useRef<Message[]>([]);
  const [, draw] = useReducer((n: number) => n + 1, 0);
  const [route, setRoute] = useState(parse(location.hash));
  useEffect(() => {
    const hear = () => setRoute(parse(location.hash));
    window.addEventListener("hashchange", hear);
    return () => window.removeEventListener("hashchange", hear);
  }, []);
  useEffect(() => {
    let drawn = 0;
    let timer = 0;
    const frame = () => {
      timer = 0;
      drawn = performance.now();
      state.current = reduce(state.current, queue.current, drawn);
      queue.current = [];
      draw(0);
    };
    const soon = () => {
      if (timer === 0) timer = window.setTimeout(() => requestAnimationFrame(frame), Math.max(0, draw_ms - (performance.now() - drawn)));
    };
    window.setInterval(soon, 1_000); // ages go on
    listen(token, {
      link: (link) => {
        state.current = withLink(state.current, link);
        soon();
      },
      message: (message) => {
        queue.current.push(message);
        if (document.hidden && queue.current.length > 1_000) frame(); // no frames come then
        else soon();
      },
    });
  }, []);
  useEffect(() => {
    const key = (e: KeyboardEvent) => {
      const target = e.target as HTMLElement;
      if (e.key !== "/" || e.ctrlKey || e.metaKey || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) return;
      const filter = document.getElementById("filter");
      if (!filter) return;
      e.preventDefault();
      filter.focus();
    };
    document.addEventListener("keydown", key);
    return () => document.removeEventListener("keydown", key);
  }, []);
  const mono = performance.now();
  const shown = banner(state.current, mono);
  useEffect(() => {
    const name = route.view === "run" ? `${route.path[1]} · kairo` : "kairo";
    document.title = shown ? `⏸ ${name}` : name;
  }, [shown !== null, route]);
  if (state.current.link.state === "refused") return <Refused why={state.current.link.why} />;
  return (
    <Now.Provider value={{ state: state.current, mono }}>
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.getElementById("main")?.querySelector("h1")?.scrollIntoView(); }}>To the content</a>
      <header>
        <a class="brand" href="#/">kairo</a>
        <nav aria-label="views">
          <a href="#/" {...(route.view === "list" || route.view === "run" ? { "aria-current": "page" as const } : {})}>Workspaces</a>
          <a href="#/compare" {...(route.view === "compare" ? { "aria-current": "page" as const } : {})}>Compare</a>
          <a href="#/chat" {...(route.view === "chat" ? { "aria-current": "page" as const } : {})}>Chat</a>
        </nav>
        <Live isOld={shown !== null} />
      </header>
      {shown && <p class="banner" role="alert">▲ {shown.text} Figures below are old.</p>}
      <div class={shown ? "old" : ""}>
        {route.view === "list" && <List route={route} />}
        {route.view === "run" && <Run route={route} />}
        {route.view === "compare" && <Compare route={route} />}
        {route.view === "chat" && <Chat route={route} />}
      </div>
      <Said />
    </Now.Provider>
  );
}
function Live({ isOld }: { isOld: boolean }) {
  const { state, mono } = useNow();
  const nodes = state.tick?.nodes ?? [];
  const ready = nodes.filter((n) => n.ready).length;
  return (
    <span class="muted head">
      {nodes.length > 0 && <span>{ready === nodes.length ? `${nodes.length} ${nodes.length === 1 ? "node" : "nodes"} ready` : `▲ ${ready} of ${nodes.length} nodes ready`}</span>}
      {isOld ? <span class="warn">▲ not live</span> : state.hasList ? <span><span class="dot" aria-hidden="true">●</span> live {age(mono - state.heard)}</span> : <span>connecting</span>}
    </span>
  );
}
// For screen readers: changes of state, at most one in ten seconds, never a step.
function Said() {
  const { state, mono } = useNow();
  const known = useRef<Map<string, string> | null>(null);
  const [text, setText] = useState("");
  const next = useRef(0);
  const news = useRef<string[]>([]);
  const words = new Map([...state.workspaces.values()].map((w) => [w.metadata.uid, `${path(w)}: ${stateOf(w).word}`]));
  useEffect(() => {
    if (!state.hasList) return;
    if (known.current) for (const [uid, word] of words) if (known.current.get(uid) !== word) news.current.push(word);
    known.current = words;
    if (news.current.length === 0 || mono < next.current) return;
    setText(news.current.slice(-3).join(". "));
    news.current = [];
    next.current = mono + 10_000;
  });
  return <p class="hidden" role="status">{text}</p>;
}
function Refused({ why }: { why: string }) {
  const [text, setText] = useState("");
  const enter = (e: Event) => {
    e.preventDefault();
    const found = /token=([^&\s]+)/.exec(text)?.[1] ?? text.trim();
    keepToken(found);
    location.reload();
  };
  return (
    <main id="main" class="refused">
      <h1>kairo</h1>
      <p>{why.trim() || "This page needs its token."}</p>
      <p><code>kairo dashboard</code> opens the page with it. Or paste the token here:</p>
      <form onSubmit={enter} class="ask">
        <label class="grow"><span class="hidden">Token</span><input type="password" autocomplete="off" value={text} onInput={(e) => setText(e.currentTarget.value)} /></label>
        <button type="submit">Look</button>
      </form>
    </main>
  );
}
render(<App token={takeToken()} />, document.getElementById("page")!);
