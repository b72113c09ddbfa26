import { useCallback, useMemo } from "react";
import { useSearchParams } from "react-router";

import type { ConversationOrder, ListConversationsData } from "../api/generated/types.gen";

export const STATES = ["recording", "paused", "sealing", "ready", "failed"] as const;
export const DIRECTIONS = ["in", "out", "internal", "unknown"] as const;
export const PERIODS = ["any", "today", "week", "month", "custom"] as const;
const ORDERS: readonly ConversationOrder[] = ["-started_at", "started_at", "-duration_ms", "duration_ms"];

type State = (typeof STATES)[number];
type Direction = (typeof DIRECTIONS)[number];
export type Period = (typeof PERIODS)[number];

/** What the list shows; lives in the address, so that a filtered list can be sent to somebody. */
export interface Filters {
  number: string;
  period: Period;
  /** Local days, `YYYY-MM-DD`; the last one included. Only for the period `custom`. */
  from: string;
  to: string;
  state: State | "";
  problem: string;
  direction: Direction | "";
  order: ConversationOrder;
}

const DAY = /^\d{4}-\d{2}-\d{2}$/;

function oneOf<T extends string>(value: string | null, known: readonly T[]): T | "" {
  return known.find((one) => one === value) ?? "";
}

export function useFilters() {
  const [search, setSearch] = useSearchParams();
  const filters = useMemo<Filters>(
    () => ({
      number: (search.get("number") ?? "").slice(0, 255),
      period: oneOf(search.get("period"), PERIODS) || "any",
      from: DAY.test(search.get("from") ?? "") ? (search.get("from") ?? "") : "",
      to: DAY.test(search.get("to") ?? "") ? (search.get("to") ?? "") : "",
      state: oneOf(search.get("state"), STATES),
      problem: /^[a-z0-9_]{1,40}$/.test(search.get("problem") ?? "") ? (search.get("problem") ?? "") : "",
      direction: oneOf(search.get("direction"), DIRECTIONS),
      order: oneOf(search.get("order"), ORDERS) || "-started_at",
    }),
    [search],
  );
  const change = useCallback(
    (changed: Partial<Filters>) =>
      setSearch(
        (before) => {
          const after = new URLSearchParams(before);
          for (const [key, value] of Object.entries(changed)) {
            const isDefault = value === "" || (key === "period" && value === "any") || value === "-started_at";
            if (isDefault) after.delete(key);
            else after.set(key, value);
          }
          if (changed.period !== undefined && changed.period !== "custom") {
            after.delete("from");
            after.delete("to");
          }
          return after;
        },
        { replace: true },
      ),
    [setSearch],
  );
  const clear = useCallback(() => setSearch({}, { replace: true }), [setSearch]);
  const filtered = [...search.keys()].some((key) => key !== "order");
  return { filters, change, clear, filtered };
}

/** The query of the API. Days are local days of the person who looks. */
export function queryOf(filters: Filters, today: Date): NonNullable<ListConversationsData["query"]> {
  const midnight = new Date(today.getFullYear(), today.getMonth(), today.getDate());
  const daysAgo = (days: number) => new Date(midnight.getFullYear(), midnight.getMonth(), midnight.getDate() - days);
  let from: Date | undefined;
  let before: Date | undefined;
  if (filters.period === "today") from = midnight;
  if (filters.period === "week") from = daysAgo(6);
  if (filters.period === "month") from = daysAgo(29);
  if (filters.period === "custom") {
    if (filters.from) from = new Date(`${filters.from}T00:00:00`);
    if (filters.to) {
      const last = new Date(`${filters.to}T00:00:00`);
      before = new Date(last.getFullYear(), last.getMonth(), last.getDate() + 1);
    }
  }
  return {
    order: filters.order,
    ...(filters.number && { number: filters.number }),
    ...(from && { started_from: from.toISOString() }),
    ...(before && { started_before: before.toISOString() }),
    ...(filters.state && { state: filters.state }),
    ...(filters.problem && { problem: filters.problem }),
    ...(filters.direction && { direction: filters.direction }),
  };
}
