/** Where to go after signing in: only a path of this portal, whatever the address bar says. */
export function nextPath(search: URLSearchParams): string {
  const next = search.get("next") ?? "/";
  if (!next.startsWith("/") || next.startsWith("//") || next.includes("\\")) return "/";
  const target = new URL(next, window.location.origin);
  return target.origin === window.location.origin ? target.pathname + target.search : "/";
}
