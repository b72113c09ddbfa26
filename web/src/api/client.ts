import { client } from "./generated/client.gen";
import type { ProblemDetails } from "./generated/types.gen";

const IDLE_MS = 60_000;
/** A page that nobody touched for so long asks "in the background": that does not keep its session alive. */

let csrfToken = "";
let lastUse = performance.now();
let onSignedOut: () => void = () => undefined;

for (const kind of ["pointerdown", "keydown", "wheel"] as const) {
  window.addEventListener(kind, () => (lastUse = performance.now()), { passive: true, capture: true });
}

export function keepCsrfToken(token: string): void {
  csrfToken = token;
}

/** Says what to do when an answer tells that the session has ended. */
export function whenSignedOut(action: () => void): void {
  onSignedOut = action;
}

client.setConfig({ baseUrl: "", credentials: "same-origin" });

client.interceptors.request.use((request) => {
  if (request.method !== "GET" && csrfToken) request.headers.set("X-CSRF-Token", csrfToken);
  if (performance.now() - lastUse > IDLE_MS) request.headers.set("X-Callward-Background", "1");
  return request;
});

client.interceptors.response.use((response, request) => {
  const own = new URL(request.url).pathname.endsWith("/api/v1/session");
  if (response.status === 401 && !own) onSignedOut();
  return response;
});

/** What went wrong, from whatever a request threw. */
export interface Failure {
  status: number;
  code: string;
  detail: string;
  remedy: string;
}

export function failureOf(error: unknown): Failure {
  if (typeof error === "object" && error !== null && "code" in error && "detail" in error) {
    const problem = error as ProblemDetails;
    return { status: problem.status, code: problem.code, detail: problem.detail, remedy: problem.remedy };
  }
  console.error(error);
  return { status: 0, code: "unreachable", detail: "", remedy: "" };
}
