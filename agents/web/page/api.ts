// agents/web/page/api.ts - one question to `kairo web`, and where the token lies.
let token = "";

// From the fragment, which no browser sends, into this tab's own storage; the address is cleaned,
// so that it can be shown and copied.
export function takeToken(): string {
  const found = /[#&]token=([A-Za-z0-9._~+/=-]+)/.exec(location.hash);
  if (found?.[1]) {
    sessionStorage.setItem("kairo-token", found[1]);
    history.replaceState(null, "", location.pathname + "#/");
  }
  token = sessionStorage.getItem("kairo-token") ?? "";
  return token;
}
export function keepToken(given: string): void {
  sessionStorage.setItem("kairo-token", given);
}
export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const reply = await fetch(`/api/v1/${path}`, {
    headers: { Authorization: `Bearer ${token}` },
    cache: "no-store",
    ...(signal ? { signal } : {}),
  });
  if (!reply.ok) throw new Error((await reply.text()).trim() || `kairo web answers ${reply.status}`);
  return (await reply.json()) as T;
}
export async function post(path: string, body: unknown, signal: AbortSignal): Promise<Response> {
  return fetch(`/api/v1/${path}`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
}
