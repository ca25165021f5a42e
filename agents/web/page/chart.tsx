// agents/web/page/chart.tsx - a loss curve: band from least to most and mean of each bucket, so that
// no spike is lost; attempts as lines; the same numbers as a table.
import { useEffect, useRef, useState } from "preact/hooks";
import type uPlotType from "uplot";
import { along, bounds, rowsOf, smoothed, type Axis } from "./curve.ts";
import { age, count, loss, short, utc } from "./format.ts";
import type { Curve } from "./types.ts";

export interface Line {
  name: string;
  curve: Curve;
}
// The library as its authors have minified it (plot.js, loaded before): smaller than in our bundle.
declare const uPlot: typeof uPlotType;
interface Props {
  lines: Line[]; // one: with its band; several: their means
  axis: Axis;
  log: boolean;
  smooth: number; // 0: off
}
const inks = ["--line1", "--line2", "--line3", "--line4", "--line5", "--line6"];
const ink = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const height = () => (window.innerWidth < 700 ? 220 : 320);

// uPlot wants one abscissa for all: the union, and nothing where a line has no point.
function table(lines: Line[], axis: Axis, smooth: number, band: boolean): uPlotType.AlignedData {
  const tables = lines.map(({ curve }): uPlotType.AlignedData => {
    const columns = band ? [curve.max, curve.min, curve.mean] : [curve.mean];
    if (smooth > 0) columns.push(smoothed(curve, smooth));
    return [along(curve, axis), ...columns];
  });
  return tables.length === 1 ? tables[0]! : uPlot.join(tables);
}

export function Chart({ lines, axis, log, smooth }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlotType | null>(null);
  const latest = useRef<Line[]>(lines);
  latest.current = lines;
  const [at, setAt] = useState<number | null>(null);
  const band = lines.length === 1;
  const dark = useDark();
  const kind = `${axis} ${log} ${smooth} ${dark} ${lines.map((l) => l.name).join(" ")}`;
  useEffect(() => {
    const box = place.current!;
    const range = (): uPlotType.Range.MinMax => {
      const all = latest.current.map((l) => bounds(l.curve)).filter((b) => Number.isFinite(b.low));
      if (all.length === 0) return [0, 1];
      const low = Math.min(...all.map((b) => b.low));
      const high = Math.max(...all.map((b) => b.high));
      const room = (high - low || Math.abs(high) || 1) * 0.06;
      return log ? [low * 0.9, high * 1.1] : [Math.max(low - room, low >= 0 ? 0 : -Infinity), high + room];
    };
    const series: uPlotType.Series[] = [{}];
    for (const [i] of lines.entries()) {
      const color = ink(inks[i % inks.length]!);
      const faint = smooth > 0 ? 0.35 : 1;
      if (band) series.push({ stroke: color + "33", width: 1 }, { stroke: color + "33", width: 1 });
      series.push({ stroke: alpha(color, faint), width: 1.5, points: { show: () => few(latest.current[i]) } });
      if (smooth > 0) series.push({ stroke: color, width: 2, points: { show: false } });
    }
    const grid = { stroke: ink("--grid"), width: 1 };
    const axes: uPlotType.Axis[] = [
      { stroke: ink("--muted"), grid, ticks: grid, values: (_, ticks) => ticks.map((t) => label(axis, t)) },
      { stroke: ink("--muted"), grid, ticks: grid, size: 58, values: (_, ticks) => ticks.map((t) => (t == null ? "" : short(t))) },
    ];
    const made = new uPlot(
      {
        width: Math.max(box.clientWidth, 200),
        height: height(),
        series,
        axes,
        scales: { x: { time: false }, y: { distr: log ? 3 : 1, range } },
        legend: { show: false },
        cursor: { drag: { x: true, y: false }, points: { size: 6 } },
        ...(band ? { bands: [{ series: [1, 2], fill: ink(inks[0]!) + "26" }] } : {}),
        hooks: {
          setCursor: [(u) => setAt(u.cursor.idx ?? null)],
          draw: [(u) => attempts(u, latest.current, axis)],
        },
      },
      table(latest.current, axis, smooth, band),
      box,
    );
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: Math.max(box.clientWidth, 200), height: height() }));
    watch.observe(box);
    return () => {
      watch.disconnect();
      made.destroy();
    };
  }, [kind]);
  const points = lines.reduce((n, l) => n + l.curve.last.length, 0);
  const newest = lines.map((l) => `${l.curve.last.at(-1)}/${l.curve.mean.at(-1)}`).join(" ");
  useEffect(() => plot.current?.setData(table(lines, axis, smooth, band)), [points, newest]);

  const curve = lines[0]?.curve;
  const n = curve?.last.length ?? 0;
  const spot = band && curve && n > 0 ? Math.min(at ?? n - 1, n - 1) : -1;
  const move = (e: KeyboardEvent) => {
    const steps: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -n, End: n };
    const by = steps[e.key];
    if (by === undefined || !plot.current || n === 0) return;
    e.preventDefault();
    const next = Math.max(0, Math.min(n - 1, (at ?? n - 1) + by));
    plot.current.setCursor({ left: plot.current.valToPos(along(curve!, axis)[next]!, "x"), top: 10 });
    setAt(next);
  };
  const said = spot >= 0 && curve ? says(curve, spot) : "";
  const above = curve && band ? bounds(curve).above : 0;
  return (
    <figure class="chart">
      <div
        ref={place}
        class="plot"
        {...(band
          ? { tabIndex: 0, role: "slider", "aria-label": "loss, by step; arrow keys move",
              "aria-valuemin": 0, "aria-valuemax": Math.max(0, n - 1), "aria-valuenow": Math.max(0, spot), "aria-valuetext": said, onKeyDown: move }
          : { role: "img", "aria-label": `losses of ${lines.map((l) => l.name).join(", ")}` })}
      />
      <figcaption>
        {band ? said : <Legend lines={lines} />}
        {above > 0 && <span class="muted"> ↑ {above} points above the picture</span>}
      </figcaption>
      {band && curve && n > 0 && <Table curve={curve} />}
    </figure>
  );
}
function Legend({ lines }: { lines: Line[] }) {
  return (
    <span class="legend">
      {lines.map((l, i) => (
        <span key={l.name}>
          <i class={`swatch s${(i % inks.length) + 1}`} /> {l.name}
        </span>
      ))}
    </span>
  );
}
function says(curve: Curve, i: number): string {
  const [first, last] = [curve.first[i]!, curve.last[i]!];
  const where = first === last ? `step ${last}` : `steps ${first}–${last}`;
  const range = curve.min[i] === curve.max[i] ? "" : ` (${loss(curve.min[i])} to ${loss(curve.max[i])})`;
  return `${where}: loss ${loss(curve.mean[i])}${range}, learning rate ${short(curve.lr[i])}, gradient ${short(curve.grad_norm[i])}, ${utc(curve.at_ms[i]!)} UTC`;
}
function Table({ curve }: { curve: Curve }) {
  return (
    <details>
      <summary>As a table</summary>
      <table class="plain">
        <thead>
          <tr>
            {["step", "loss", "least", "most", "learning rate", "gradient", "tokens", "UTC"].map((name) => (
              <th key={name} scope="col">{name}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rowsOf(curve, 25).map((i) => (
            <tr key={i}>
              <th scope="row">{curve.last[i]}</th>
              <td>{loss(curve.mean[i])}</td>
              <td>{loss(curve.min[i])}</td>
              <td>{loss(curve.max[i])}</td>
              <td>{short(curve.lr[i])}</td>
              <td>{short(curve.grad_norm[i])}</td>
              <td>{count(curve.tokens[i]!)}</td>
              <td>{utc(curve.at_ms[i]!)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}
const few = (line: Line | undefined) => (line?.curve.last.length ?? 0) <= 60;
const label = (axis: Axis, t: number) =>
  axis === "wall" ? age(t * 1000) : axis === "tokens" && t >= 1000 ? `${short(t / 1000)}k` : short(t);
const alpha = (color: string, part: number) => color + Math.round(part * 255).toString(16).padStart(2, "0");

// A dashed line where an attempt began again.
function attempts(u: uPlotType, lines: Line[], axis: Axis): void {
  const curve = lines.length === 1 ? lines[0]!.curve : undefined;
  if (!curve) return;
  const where = along(curve, axis);
  const { ctx, bbox } = u;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = ink("--muted");
  ctx.setLineDash([4, 4]);
  ctx.font = `${11 * devicePixelRatio}px ui-sans-serif, system-ui, sans-serif`;
  for (const { attempt, from_step } of curve.attempts) {
    const i = curve.first.findIndex((step) => step > from_step);
    if (attempt === 1 || i < 0) continue;
    const x = Math.round(u.valToPos(where[Math.max(0, i - 1)]!, "x", true));
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.textAlign = "left";
    ctx.fillText(`attempt ${attempt}`, x + 4, bbox.top + 12 * devicePixelRatio);
  }
  ctx.restore();
}
function useDark(): boolean {
  const query = window.matchMedia("(prefers-color-scheme: dark)");
  const [dark, setDark] = useState(query.matches);
  useEffect(() => {
    const hear = () => setDark(query.matches);
    query.addEventListener("change", hear);
    return () => query.removeEventListener("change", hear);
  }, []);
  return dark;
}
