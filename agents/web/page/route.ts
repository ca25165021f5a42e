// agents/web/page/route.ts - which view stands in the address: "#/run/default/pip?x=tokens". All
// that one chose is there, so a reload and a bookmark show the same.
export interface Route {
  view: "list" | "run" | "compare" | "chat";
  path: string[];
  query: URLSearchParams;
}
const views = ["run", "compare", "chat"] as const;

export function parse(hash: string): Route {
  const [place = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [first = "", ...path] = place.split("/").filter(Boolean).map(decodeURIComponent);
  const view = views.find((v) => v === first) ?? "list";
  return { view, path: view === "list" ? [] : path, query: new URLSearchParams(query) };
}
export function href(route: Route): string {
  const parts = route.view === "list" ? [] : [route.view, ...route.path.map(encodeURIComponent)];
  const query = route.query.toString().replaceAll("%2F", "/").replaceAll("%2C", ",");
  return `#/${parts.join("/")}${query === "" ? "" : `?${query}`}`;
}
// Without an entry in the history for each key that is typed.
export function go(route: Route): void {
  history.replaceState(null, "", href(route));
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}
