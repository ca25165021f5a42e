// tests/web/fake.ts - a `kairo web` that plays recorded streams: the page's files with the real
// one's headers, its routes, and answers that a test chooses.
import { createReadStream, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Curve, Message } from "../../agents/web/page/types.ts";

export const csp =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; " +
  "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
const types: Record<string, string> = { html: "text/html; charset=utf-8", js: "text/javascript; charset=utf-8", css: "text/css; charset=utf-8" };
export const token = "t".repeat(64);

export interface Played {
  messages: Message[];
  curves: Record<string, Curve>;
  events: object[];
  log: string;
  answers: Record<string, { model: string; text: string }>; // by the model that is asked for
}
export class Fake {
  readonly asked: string[] = []; // "GET /path"
  private server: Server | null = null;
  private streams = new Set<ServerResponse>();
  private readonly page: string;
  played: Played;
  port = 0;
  lastId = ""; // of the last stream's Last-Event-ID
  constructor(page: string, played: Played) {
    this.page = page;
    this.played = played;
  }
  async start(port = 0): Promise<void> {
    const server = (this.server = createServer((request, reply) => this.answer(request, reply)));
    await new Promise<void>((done) => server.listen(port, "127.0.0.1", done));
    this.port = (server.address() as { port: number }).port;
  }
  async stop(): Promise<void> {
    const server = this.server!;
    const closed = new Promise((done) => server.close(done));
    server.closeAllConnections();
    this.streams.clear();
    await closed;
  }
  say(message: Message): void {
    for (const stream of this.streams) send(stream, message);
  }
  url(hash = ""): string {
    return `http://127.0.0.1:${this.port}/#token=${token}${hash}`;
  }
  private answer(request: IncomingMessage, reply: ServerResponse): void {
    const url = new URL(request.url ?? "/", "http://x");
    this.asked.push(`${request.method} ${url.pathname}`);
    reply.setHeader("Content-Security-Policy", csp);
    reply.setHeader("X-Content-Type-Options", "nosniff");
    reply.setHeader("Referrer-Policy", "no-referrer");
    if (!url.pathname.startsWith("/api/")) {
      const name = url.pathname === "/" ? "index.html" : url.pathname.slice(1);
      if (!/^(index\.html|page\.js|page\.css|plot\.js)$/.test(name)) return void reply.writeHead(404).end("no such page\n");
      reply.setHeader("Content-Type", types[name.split(".").at(-1)!]!);
      return void createReadStream(`${this.page}/${name}`).pipe(reply);
    }
    if (request.headers.authorization !== `Bearer ${token}`)
      return void reply.writeHead(401).end("This page needs its token.\n");
    const [, , , kind, ns, name, part] = url.pathname.split("/");
    const json = (value: unknown) => reply.setHeader("Content-Type", "application/json").end(JSON.stringify(value));
    if (kind === "stream") {
      this.lastId = String(request.headers["last-event-id"] ?? "");
      reply.writeHead(200, { "Content-Type": "text/event-stream" });
      this.streams.add(reply);
      request.on("close", () => this.streams.delete(reply));
      for (const message of this.played.messages) send(reply, message);
      return;
    }
    if (kind === "chat") return void this.chat(request, reply);
    if (part === "curve") {
      const curve = this.played.curves[`${ns}/${name}`];
      return curve ? void json(curve) : void reply.writeHead(404).end("no step of this run is known yet\n");
    }
    if (part === "events") return void json({ items: this.played.events });
    if (part === "log") {
      const offset = Number(url.searchParams.get("offset") ?? 0);
      return void json({ pod: `${name}-x7k2p`, container: "tune", containers: ["fetch", "tune"], text: this.played.log.slice(offset), offset: this.played.log.length });
    }
    reply.writeHead(404).end("no such thing\n");
  }
  private chat(request: IncomingMessage, reply: ServerResponse): void {
    let body = "";
    request.on("data", (piece) => (body += piece));
    request.on("end", () => {
      const wanted = (JSON.parse(body) as { model: string }).model;
      const { model, text } = this.played.answers[wanted] ?? { model: wanted, text: "" };
      reply.writeHead(200, { "Content-Type": "text/event-stream" });
      for (const word of text.split(/(?<= )/))
        reply.write(`data: ${JSON.stringify({ model, choices: [{ delta: { content: word } }] })}\n\n`);
      reply.end(`data: ${JSON.stringify({ model, choices: [{ delta: {}, finish_reason: "stop" }] })}\n\ndata: [DONE]\n\n`);
    });
  }
}
let seq = 0;
function send(stream: ServerResponse, message: Message): void {
  const { kind, ...data } = message;
  stream.write(`id: fake:${++seq}\nevent: ${kind}\ndata: ${JSON.stringify(data)}\n\n`);
}
export const readText = (path: string) => readFileSync(path, "utf8");
