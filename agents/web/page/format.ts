// agents/web/page/format.ts - times, sizes and numbers for people. Pure.

// As `kairo get` prints ages (k8s.io/apimachinery's HumanDuration): two units while the larger one
// is small.
export function age(ms: number): string {
  const s = Math.floor(Math.max(ms, 0) / 1000);
  const m = Math.floor(s / 60);
  const h = Math.floor(m / 60);
  const d = Math.floor(h / 24);
  const two = (large: number, unit: string, small: number, part: string) =>
    `${large}${unit}${small === 0 ? "" : `${small}${part}`}`;
  if (s < 120) return `${s}s`;
  if (m < 10) return two(m, "m", s % 60, "s");
  if (m < 180) return `${m}m`;
  if (h < 8) return two(h, "h", m % 60, "m");
  if (h < 48) return `${h}h`;
  if (d < 8) return two(d, "d", h % 24, "h");
  if (d < 730) return `${d}d`;
  return two(Math.floor(d / 365), "y", d < 8 * 365 ? d % 365 : 0, "d");
}

// "14:32 CET": when it will be so, on the viewer's clock face.
export function clock(ms: number, zone = ""): string {
  let format = clocks.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat("en-GB", {
      hour: "2-digit",
      minute: "2-digit",
      timeZoneName: "short",
      ...(zone ? { timeZone: zone } : {}),
    });
    clocks.set(zone, format);
  }
  return format.format(ms);
}
// Made once: to make one costs more than to draw a row.
const clocks = new Map<string, Intl.DateTimeFormat>();
const local = new Intl.DateTimeFormat("en-GB", { dateStyle: "short", timeStyle: "long" });
const plain = new Intl.NumberFormat("en-GB");
// For the title of a <time>: local and UTC.
export function both(ms: number): string {
  if (!Number.isFinite(ms)) return "";
  return `${local.format(ms)} · ${new Date(ms).toISOString().replace(/\.\d+Z$/, "Z")}`;
}
export function utc(ms: number): string {
  return Number.isFinite(ms) ? new Date(ms).toISOString().slice(11, 19) : "";
}

export function bytes(n: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  for (; n >= 1000 && i < units.length - 1; ++i) n /= 1000;
  return `${i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[i]}`;
}
// Losses differ in the third digit, whatever their size.
export function loss(n: number | undefined): string {
  if (n === undefined || !Number.isFinite(n)) return "–";
  return n !== 0 && Math.abs(n) < 0.001 ? n.toExponential(2) : n.toFixed(Math.abs(n) >= 10 ? 2 : 4);
}
export function short(n: number | undefined): string {
  if (n === undefined || !Number.isFinite(n)) return "–";
  if (n === 0) return "0";
  if (Math.abs(n) < 0.001 || Math.abs(n) >= 1e6) return n.toExponential(2).replace("e+", "e");
  return plain.format(Number(n.toPrecision(4)));
}
export function count(n: number): string {
  return plain.format(Math.round(n));
}
