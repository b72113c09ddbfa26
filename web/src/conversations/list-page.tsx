import { Button, Center, Group, Paper, Skeleton, Stack, Text, Title, UnstyledButton } from "@mantine/core";
import { IconArrowDown, IconArrowUp } from "@tabler/icons-react";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useMemo, useRef } from "react";
import { useTranslation } from "react-i18next";

import { listConversations } from "../api/generated/sdk.gen";
import type { ConversationOrder, ConversationSummary } from "../api/generated/types.gen";
import { useFormats } from "../format/formats";
import { FailureNotice } from "../shell/failure-notice";
import { usePageTitle } from "../shell/page-title";
import page from "../shell/page.module.css";
import { useShortcuts } from "../shell/shortcuts";
import { FilterBar } from "./filter-bar";
import { queryOf, useFilters } from "./filters";
import classes from "./list.module.css";
import { Row } from "./row";
import { Teach } from "./teach";

const LIVE_MS = 2_500;
/** A long list that was opened page by page is asked for less often: each look asks for all its pages. */
const LIVE_LONG_MS = 15_000;

export function ListPage() {
  const { t } = useTranslation();
  usePageTitle(t("list.title"));
  const { filters, change, clear, filtered } = useFilters();
  const searchField = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const today = new Date().toDateString();
  const query = useMemo(() => queryOf(filters, new Date(today)), [filters, today]);
  const conversations = useInfiniteQuery({
    queryKey: ["conversations", query],
    queryFn: async ({ pageParam, signal }) =>
      (await listConversations({ query: { ...query, cursor: pageParam }, signal, throwOnError: true })).data,
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => ((state.data?.pages.length ?? 1) > 2 ? LIVE_LONG_MS : LIVE_MS),
  });
  const items = useMemo(() => conversations.data?.pages.flatMap((one) => one.items) ?? [], [conversations.data]);

  const move = (step: number) => {
    const rows = [...(list.current?.querySelectorAll<HTMLElement>("[data-row]") ?? [])];
    const at = rows.findIndex((row) => row === document.activeElement);
    rows[at === -1 ? 0 : Math.min(rows.length - 1, Math.max(0, at + step))]?.focus();
  };
  useShortcuts({ search: () => searchField.current?.focus(), next: () => move(1), previous: () => move(-1) });

  const empty = conversations.isSuccess && items.length === 0;
  return (
    <Stack gap="md">
      <Title order={1}>{t("list.title")}</Title>
      {!(empty && !filtered) && (
        <FilterBar filters={filters} change={change} clear={clear} filtered={filtered} searchField={searchField} />
      )}
      {conversations.isError && (
        <FailureNotice error={conversations.error} retry={() => void conversations.refetch()} />
      )}
      {conversations.isPending && <Waiting />}
      {empty && (filtered ? <NothingFits clear={clear} /> : <Teach />)}
      {items.length > 0 && (
        <Paper className={page.card} ref={list} data-stale={conversations.isPlaceholderData || undefined}>
          <Heads order={filters.order} choose={(order) => change({ order })} />
          <Days items={items} byTime={filters.order.endsWith("started_at")} />
        </Paper>
      )}
      {conversations.hasNextPage && (
        <Center>
          <Button
            variant="default"
            loading={conversations.isFetchingNextPage}
            onClick={() => void conversations.fetchNextPage()}
          >
            {t("list.more")}
          </Button>
        </Center>
      )}
    </Stack>
  );
}

function Heads({ order, choose }: { order: ConversationOrder; choose: (order: ConversationOrder) => void }) {
  const { t } = useTranslation();
  return (
    <div className={classes.heads}>
      <Head label={t("list.time")} column="started_at" order={order} choose={choose} />
      <span>{t("list.parties")}</span>
      <span />
      <Head label={t("list.duration")} column="duration_ms" order={order} choose={choose} />
      <span>{t("list.state")}</span>
    </div>
  );
}

interface HeadProps {
  label: string;
  column: "started_at" | "duration_ms";
  order: ConversationOrder;
  choose: (order: ConversationOrder) => void;
}

function Head({ label, column, order, choose }: HeadProps) {
  const { t } = useTranslation();
  const descending = order === `-${column}`;
  const ascending = order === column;
  return (
    <UnstyledButton
      className={classes.head}
      data-column={column}
      aria-label={[label, descending && t("list.sortedDescending"), ascending && t("list.sortedAscending")]
        .filter(Boolean)
        .join(", ")}
      onClick={() => choose(descending ? column : `-${column}`)}
    >
      {label}
      {descending && <IconArrowDown size={13} />}
      {ascending && <IconArrowUp size={13} />}
    </UnstyledButton>
  );
}

/** The lines, under a heading for each local day when they are in the order of time. */
function Days({ items, byTime }: { items: ConversationSummary[]; byTime: boolean }) {
  const formats = useFormats();
  const groups: { day: string; items: ConversationSummary[] }[] = [];
  for (const item of items) {
    const day = formats.day(item.started_at);
    const last = groups.at(-1);
    if (last && (!byTime || last.day === day)) last.items.push(item);
    else groups.push({ day, items: [item] });
  }
  return groups.map((group) => (
    <section key={byTime ? group.day : "all"} aria-label={byTime ? group.day : undefined}>
      {byTime && <h2 className={classes.day}>{group.day}</h2>}
      <ul className={classes.list}>
        {group.items.map((item) => (
          <Row key={item.id} conversation={item} />
        ))}
      </ul>
    </section>
  ));
}

function NothingFits({ clear }: { clear: () => void }) {
  const { t } = useTranslation();
  return (
    <Center py={72}>
      <Stack align="center" gap={4}>
        <Text fw={550}>{t("list.nothingFits")}</Text>
        <Text c="dimmed" size="sm">
          {t("list.nothingFitsText")}
        </Text>
        <Group mt="md">
          <Button variant="default" onClick={clear}>
            {t("list.clear")}
          </Button>
        </Group>
      </Stack>
    </Center>
  );
}

function Waiting() {
  return (
    <Paper className={page.card} p="md">
      <Stack gap="md">
        {[0, 1, 2, 3, 4].map((line) => (
          <Skeleton key={line} height={34} />
        ))}
      </Stack>
    </Paper>
  );
}
