import { useQuery, type QueryClient } from "@tanstack/react-query";

import { failureOf, keepCsrfToken } from "../api/client";
import { showSession } from "../api/generated/sdk.gen";
import type { Action, SessionView } from "../api/generated/types.gen";

export const SESSION_KEY = ["session"] as const;

async function load(): Promise<SessionView | null> {
  try {
    const { data } = await showSession({ throwOnError: true });
    keepCsrfToken(data.csrf_token);
    return data;
  } catch (error) {
    if (failureOf(error).status === 401) return null;
    throw error;
  }
}

/** The own session; `data` is null when nobody is signed in. */
export function useSession() {
  return useQuery({ queryKey: SESSION_KEY, queryFn: load, staleTime: 60_000, retry: 2 });
}

export function useRight(action: Action): boolean {
  return useSession().data?.rights.includes(action) ?? false;
}

/** Puts a new session in place and forgets everything that was loaded in the one before. */
export function beginSession(queries: QueryClient, session: SessionView): void {
  keepCsrfToken(session.csrf_token);
  queries.removeQueries({ predicate: (query) => query.queryKey[0] !== SESSION_KEY[0] });
  queries.setQueryData(SESSION_KEY, session);
}

export function dropSession(queries: QueryClient): void {
  keepCsrfToken("");
  queries.setQueryData(SESSION_KEY, null);
  queries.removeQueries({ predicate: (query) => query.queryKey[0] !== SESSION_KEY[0] });
}
