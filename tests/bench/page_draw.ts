// tests/bench/page_draw.ts - what a draw of the page's list costs the browser's main thread, while a
// thousand Workspaces are shown and a hundred of them change. Prints "draw MS": the median of the rounds.
import { chromium } from "playwright-core";
import { Fake } from "../web/fake.ts";
import * as states from "../web/states.ts";

const [folder, browserPath] = [process.env["KAIRO_PAGE_FILES"]!, process.env["KAIRO_CHROMIUM"]!];
const rounds = 7;
const window_ms = 2_500;
const many = Array.from({ length: 1_000 }, (_, i) => {
  const w = structuredClone(states.workspaces[i % 8]!);
  Object.assign(w.metadata, { name: `w${i}`, uid: `many-${i}` });
  return w;
});
const fake = new Fake(folder, {
  messages: [{ kind: "reset", at: states.at, workspaces: many, progress: {}, sparks: {}, tick: states.tick }], curves: {}, events: [], log: "", answers: {} });
await fake.start();
const browser = await chromium.launch({ executablePath: browserPath, args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
await page.goto(fake.url());
await page.waitForFunction(() => document.querySelectorAll("table.list tbody tr").length === 1_000);
const session = await page.context().newCDPSession(page);
await session.send("Performance.enable");
// Everything that the main thread did: parsing, scripts, styles, layout, paint.
const busy = async (): Promise<number> => {
  const { metrics } = await session.send("Performance.getMetrics");
  return 1_000 * metrics.find((m) => m.name === "TaskDuration")!.value;
};
const over = async (act: () => void): Promise<number> => {
  fake.say({ kind: "tick", ...states.tick });
  await new Promise((next) => setTimeout(next, 500));
  const before = await busy();
  act();
  await new Promise((next) => setTimeout(next, window_ms));
  return (await busy()) - before;
};
await over(() => {});
const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;
const idle: number[] = [];
const changed: number[] = [];
for (let round = 0; round < rounds; ++round) {
  idle.push(await over(() => {}));
  changed.push(await over(() => {
    for (let i = 0; i < 100; ++i) {
      const w = structuredClone(many[i * 10]!);
      w.status!.state = round % 2 === 0 ? "Failed" : "Pending";
      fake.say({ kind: "ws", workspace: w });
    }
  }));
}
console.log(`draw ${(median(changed) - median(idle)).toFixed(1)} idle ${(median(idle) / (window_ms / 1_000)).toFixed(1)}`);
await browser.close();
await fake.stop();
