// tests/web/units_test.ts - what this proves: the page's pure parts answer as written here, literally.
import assert from "node:assert/strict";
import { test } from "node:test";
import { along, bounds, extended, no_curve, rowsOf, smoothed } from "../../agents/web/page/curve.ts";
import { age, bytes, clock, loss, short } from "../../agents/web/page/format.ts";
import { href, parse } from "../../agents/web/page/route.ts";
import { banner, silentNode, silentTrainer } from "../../agents/web/page/silence.ts";
import { empty, median, now, reduce, withLink, type State } from "../../agents/web/page/state.ts";
import { parser, type Parsed } from "../../agents/web/page/stream.ts";
import type { Message, Progress, Workspace } from "../../agents/web/page/types.ts";
import { nextCommand, placeOf, sentences, stateOf, whyOf } from "../../agents/web/page/words.ts";
import { at, curve, recorded, tick, trains, workspaces } from "./states.ts";

const one = (name: string) => workspaces.find((w) => w.metadata.name === name)!;
const heard = 1_000_000; // monotonic
const live: State = withLink(reduce(empty, recorded, heard), { state: "open", since: heard, retryAt: 0, why: "" });

test("ages are those of kairo get", () => {
  const rows: [number, string][] = [[0, "0s"], [119_000, "119s"], [120_000, "2m"], [192_000, "3m12s"], [3_660_000, "61m"],
    [11_000_000, "3h3m"], [40 * 3_600_000, "40h"], [72 * 3_600_000, "3d"], [-5, "0s"]];
  for (const [ms, text] of rows) assert.equal(age(ms), text, String(ms));
});
test("numbers for people", () => {
  assert.equal(bytes(9_871_231), "9.9 MB");
  assert.equal(bytes(512), "512 B");
  assert.equal(loss(0.07162), "0.0716");
  assert.equal(loss(undefined), "–");
  assert.equal(loss(12.3456), "12.35");
  assert.equal(short(3.1e-4), "3.10e-4");
  assert.equal(short(1234.5), "1,235");
  assert.equal(clock(at, "UTC"), "12:03 UTC");
  assert.match(clock(at, "Pacific/Chatham"), /^01:48 /);
});
test("the state is the word of kairo get, and says whether somebody must act", () => {
  const rows: [string, string, string][] = [
    ["pip", "Training", "run"], ["big", "Waiting", "wait"], ["fetch", "Downloading", "run"], ["push", "Pushing", "run"],
    ["done", "Succeeded", "good"], ["bad", "Failed", "bad"], ["hung", "Stalled", "bad"], ["pip-server", "Ready", "good"]];
  for (const [name, word, tone] of rows) assert.deepEqual(stateOf(one(name)), { word, tone }, name);
});
test("a wait has its reason, in the condition's own words, and its remedies apart", () => {
  assert.deepEqual(whyOf(one("big")), {
    reason: "InsufficientMemory",
    what: "no node has what it needs: 2 GPUs of 80 GB, and n3 has 1 free",
    remedies: ["wait until pip-2 is done, or set resource.count to 1"],
    since: "2026-11-30T11:54:11Z",
  });
  assert.equal(whyOf(one("push"))?.reason, "RegistryAuthenticationFailed");
  assert.deepEqual(whyOf(one("push"))?.remedies, ["correct Secret default/reg (the adapter is kept; attempt 4 follows)"]);
  assert.equal(whyOf(one("bad"))?.reason, "workspaceFailed");
  assert.match(whyOf(one("hung"))!.what, /the training hung: no step for 10 m/);
  assert.equal(whyOf(one("pip")), undefined);
  assert.equal(whyOf(one("done")), undefined);
});
test("sentences end at semicolons outside of quotes and brackets", () => {
  assert.deepEqual(sentences('a; b (c; d); say "e; f"; g'), ["a", "b (c; d)", 'say "e; f"', "g"]);
  assert.deepEqual(sentences(""), []);
});
test("where it is on its way, and what one types next", () => {
  assert.equal(placeOf(one("pip")), "train");
  assert.equal(placeOf(one("big")), "node");
  assert.equal(placeOf(one("bad")), "load");
  assert.equal(placeOf(one("done")), "done");
  assert.equal(placeOf(one("pip-server")), undefined);
  assert.equal(nextCommand(one("bad")), "kairo logs bad");
  assert.equal(nextCommand(one("hung")), "kairo logs hung -n team-a");
  assert.equal(nextCommand(one("pip-server")), "kairo chat pip-server");
  assert.equal(nextCommand(one("big")), "kairo describe workspace big");
});
test("messages change what is known, and what was known before stays as it was", () => {
  assert.equal(live.workspaces.size, workspaces.length);
  const moved: Workspace = { ...one("pip"), status: { ...one("pip").status, state: "Succeeded" } };
  const next = reduce(live, [{ kind: "ws", workspace: moved }, { kind: "gone", uid: "uid-bad" }], heard + 10);
  assert.equal(next.workspaces.get("uid-pip")?.status?.state, "Succeeded");
  assert.equal(next.workspaces.has("uid-bad"), false);
  assert.equal(live.workspaces.get("uid-pip")?.status?.state, "Running");
  assert.equal(live.workspaces.has("uid-bad"), true);
  assert.equal(reduce(live, [], heard + 10), live);
});
test("steps give the time of a step; another attempt begins anew", () => {
  const p = trains["uid-pip"]!;
  const step = (n: number, ms: number, attempt = 2): Message => ({ kind: "train", uid: "uid-pip", progress: { ...p, step: p.step + n, at_ms: p.at_ms + ms, attempt } });
  const next = reduce(live, [step(1, 200), step(3, 800)], heard + 900);
  assert.deepEqual(next.trains.get("uid-pip")?.stepMs, [200, 300]);
  assert.deepEqual(reduce(next, [step(-50, 9_000, 3)], heard + 9_000).trains.get("uid-pip")?.stepMs, []);
  assert.equal(median([]), 0);
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1]), 2.5);
});
test("time is the server's, whatever the laptop's clock says", () => {
  assert.equal(now(live, heard + 2_500), at + 2_500);
});
test("four silences, each named", () => {
  assert.equal(banner(live, heard + 11_000), null);
  assert.deepEqual(banner(live, heard + 45_000), { hop: "web", text: "Not live: this page cannot reach kairo web. Last update 12:03:11 UTC, 45s ago. Trying again." });
  const lost = withLink(live, { state: "lost", since: heard, retryAt: heard + 49_000, why: "" });
  assert.equal(banner(lost, heard + 45_000)?.text, "Not live: this page cannot reach kairo web. Last update 12:03:11 UTC, 45s ago. Trying again in 4 s.");
  const deaf = reduce(live, [{ kind: "tick", ...tick, api: { ok: false, age_ms: 20_000, error: "connection refused" } }], heard);
  assert.deepEqual(banner(deaf, heard + 1_000), { hop: "api", text: "Not live: kairo web does not hear the API server (connection refused), for 21s. What is shown may be old." });
  const noBus = reduce(live, [{ kind: "tick", ...tick, bus: { ok: false, age_ms: 9_000, error: "" } }], heard);
  assert.equal(banner(noBus, heard)?.hop, "bus");
  assert.equal(silentNode(live, one("lost"), heard + 2_000), "node n4 silent for 2m10s");
  assert.equal(silentNode(live, one("pip"), heard), "");
  assert.equal(silentTrainer(live, one("lost"), live.trains.get("uid-lost"), heard), "no step for 2m10s");
  assert.equal(silentTrainer(live, one("pip"), live.trains.get("uid-pip"), heard), "");
  // A step that takes long is no silence: five times the median is waited for.
  const slow = { progress: trains["uid-lost"]!, stepMs: [60_000, 62_000] };
  assert.equal(silentTrainer(live, one("lost"), slow, heard), "");
});
test("text/event-stream in pieces of any size", () => {
  const text = ": hello\r\nid: a:1\nevent: ws\ndata: {\"x\":\ndata: 1}\n\nid: a:2\nevent: tick\ndata: {}\n\n";
  for (const size of [1, 2, 7, 1000]) {
    const got: Parsed[] = [];
    const take = parser((e) => got.push(e));
    for (let i = 0; i < text.length; i += size) take(text.slice(i, i + size));
    assert.deepEqual(got, [{ id: "a:1", event: "ws", data: '{"x":\n1}' }, { id: "a:2", event: "tick", data: "{}" }]);
  }
});
test("a curve goes on with the steps that were heard; no step is there twice", () => {
  const base = curve(10, 3, 1);
  const p = (step: number, attempt = 1, resumed_from = 0): Progress => ({ ...trains["uid-pip-2"]!, step, attempt, resumed_from, loss: step });
  const grown = extended(base, [p(9), p(10), p(11), p(12)]);
  assert.deepEqual(grown.last, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  assert.equal(base.last.length, 10);
  const resumed = extended(grown, [p(7, 2, 6)]);
  assert.deepEqual(resumed.last, [1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(resumed.attempts, [{ attempt: 1, from_step: 0 }, { attempt: 2, from_step: 6 }]);
  assert.equal(extended(base, []), base);
});
test("smoothing looks back only, has no bias at its beginning, and raw stays", () => {
  const c = { ...no_curve, first: [1, 2, 3], last: [1, 2, 3], mean: [4, 4, 4], min: [4, 4, 4], max: [4, 4, 4] };
  assert.deepEqual(smoothed(c, 0.9).map((v) => v.toFixed(9)), ["4.000000000", "4.000000000", "4.000000000"]);
  const jump = { ...c, mean: [1, 1, 9] };
  assert.equal(smoothed(jump, 0.5)[1], 1);
  assert.equal(smoothed(jump, 0.5)[2]!.toFixed(4), "5.5714");
  assert.deepEqual(jump.mean, [1, 1, 9]);
});
test("axes, rows of the table, points above the picture", () => {
  const c = curve(100, 3, 1);
  assert.deepEqual(along(c, "tokens").slice(0, 2), [1400, 2800]);
  assert.deepEqual(along(c, "wall").slice(0, 2), [0, 0.17]);
  assert.deepEqual(rowsOf(c, 3), [0, 50, 99]);
  assert.equal(rowsOf(c, 500).length, 100);
  c.max[50] = 1e6;
  assert.equal(bounds(c).above, 1);
  assert.ok(bounds(c).high < 10);
});
test("the address says the view, and is the same there and back", () => {
  for (const text of ["#/", "#/?q=pip", "#/run/default/pip?x=tokens", "#/compare?runs=default/a,default/b", "#/chat/default/s"])
    assert.equal(href(parse(text)), text);
  assert.equal(parse("#/nonsense/x").view, "list");
});
