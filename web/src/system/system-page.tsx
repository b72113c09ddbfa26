import { Button, Center, Group, Paper, Progress, SegmentedControl, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { IconAlertTriangle, IconCircleCheck } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { showStatusOptions } from "../api/generated/@tanstack/react-query.gen";
import { listEvents } from "../api/generated/sdk.gen";
import type { ServiceView, SystemStatus } from "../api/generated/types.gen";
import { useFormats } from "../format/formats";
import { en } from "../locales/en";
import { FailureNotice } from "../shell/failure-notice";
import { usePageTitle } from "../shell/page-title";
import page from "../shell/page.module.css";
import classes from "./system.module.css";

const LIVE_MS = 5_000;

export function SystemPage() {
  const { t } = useTranslation();
  usePageTitle(t("system.title"));
  const status = useQuery({ ...showStatusOptions(), refetchInterval: LIVE_MS });
  return (
    <Stack gap="lg">
      <Title order={1}>{t("system.title")}</Title>
      {status.isError && <FailureNotice error={status.error} retry={() => void status.refetch()} />}
      {status.data && <Health status={status.data} />}
      <Events />
    </Stack>
  );
}

function Health({ status }: { status: SystemStatus }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const disk = status.disk;
  const absent = status.services.some((service) => service.name === "recorder" && service.state === "absent");
  const verdict = status.able ? "system.ableText" : absent ? "system.absentText" : "system.notAbleText";
  return (
    <>
      <Paper className={classes.verdict} data-able={status.able} p="lg">
        <Group wrap="nowrap" align="flex-start">
          {status.able ? <IconCircleCheck size={26} stroke={1.7} /> : <IconAlertTriangle size={26} stroke={1.7} />}
          <div>
            <Title order={2} size="h5">
              {t(status.able ? "system.able" : "system.notAble")}
            </Title>
            <Text size="sm">{t(verdict)}</Text>
          </div>
        </Group>
      </Paper>
      <SimpleGrid cols={{ base: 1, xs: 2, md: 4 }} spacing="md">
        <Fact label={t("system.address")} value={`${status.recorder_address}:${status.sip_port}`} note={`TLS ${status.tls_port}`} />
        <Fact
          label={t("system.disk")}
          value={disk ? t("system.diskFree", { free: formats.bytes(disk.free_bytes), total: formats.bytes(disk.total_bytes) }) : "–"}
          note={disk ? t("system.diskReserve", { reserve: formats.bytes(disk.reserve_bytes) }) : ""}
        >
          {disk && (
            <Progress
              size="xs"
              mt={8}
              aria-label={t("system.disk")}
              color={disk.free_bytes < disk.reserve_bytes * 2 ? "red" : "pine"}
              value={100 * (1 - disk.free_bytes / disk.total_bytes)}
            />
          )}
        </Fact>
        <Fact label={t("system.alarms")} value={formats.number(status.alarms)} note="" />
        <Fact label={t("system.version")} value={status.version} note="" />
      </SimpleGrid>
      <Paper className={page.card} p="lg">
        <Title order={2} size="h5">
          {t("system.services")}
        </Title>
        <Text size="sm" c="dimmed" mb="md">
          {t("system.servicesText")}
        </Text>
        <Stack gap="sm">
          {status.services.map((service) => (
            <Service key={service.name} service={service} />
          ))}
        </Stack>
      </Paper>
    </>
  );
}

function Fact({ label, value, note, children }: { label: string; value: string; note: string; children?: ReactNode }) {
  return (
    <Paper className={page.card} p="md">
      <Text size="xs" c="dimmed">
        {label}
      </Text>
      <Text fw={560} className={page.number}>
        {value}
      </Text>
      {children}
      {note && (
        <Text size="xs" c="dimmed" mt={4}>
          {note}
        </Text>
      )}
    </Paper>
  );
}

function isNamed(name: string): name is keyof typeof en.system.service {
  return Object.hasOwn(en.system.service, name);
}

function isCheck(name: string): name is keyof typeof en.system.check {
  return Object.hasOwn(en.system.check, name);
}

function Service({ service }: { service: ServiceView }) {
  const { t } = useTranslation();
  return (
    <div className={page.line}>
      <Group justify="space-between" wrap="nowrap">
        <div>
          <Text size="sm" fw={540}>
            {isNamed(service.name) ? t(`system.service.${service.name}`) : service.name}
          </Text>
          <Text size="xs" c="dimmed">
            {isNamed(service.name) ? t(`system.serviceText.${service.name}`) : ""}
          </Text>
        </div>
        <span className={classes.service} data-state={service.state}>
          {t(`system.serviceState.${service.state}`)}
        </span>
      </Group>
      {service.checks.length > 0 && (
        <ul className={classes.checks}>
          {service.checks.map((check) => (
            <li key={check.name} data-well={check.well}>
              {isCheck(check.name) ? t(`system.check.${check.name}`) : check.name}
              {!check.well && check.why && `: ${check.why}`}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

type Severity = "all" | "warning" | "alarm" | "info";

function Events() {
  const { t } = useTranslation();
  const formats = useFormats();
  const [severity, setSeverity] = useState<Severity>("all");
  const events = useInfiniteQuery({
    queryKey: ["events", severity],
    queryFn: async ({ pageParam, signal }) =>
      (
        await listEvents({
          query: { cursor: pageParam, ...(severity !== "all" && { severity }) },
          signal,
          throwOnError: true,
        })
      ).data,
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
    refetchInterval: LIVE_MS,
  });
  const items = events.data?.pages.flatMap((one) => one.items) ?? [];
  return (
    <Paper className={page.card} p="lg">
      <Group justify="space-between" mb="md">
        <Title order={2} size="h5">
          {t("system.events")}
        </Title>
        <SegmentedControl
          size="xs"
          aria-label={t("system.events")}
          value={severity}
          onChange={(value) => setSeverity(value)}
          data={[
            { value: "all", label: t("system.allEvents") },
            { value: "alarm", label: t("system.onlyAlarms") },
            { value: "warning", label: t("system.warnings") },
            { value: "info", label: t("system.infos") },
          ]}
        />
      </Group>
      {events.isError && <FailureNotice error={events.error} retry={() => void events.refetch()} />}
      {events.isSuccess && items.length === 0 && (
        <Text size="sm" c="dimmed">
          {t("system.noEvents")}
        </Text>
      )}
      <ul className={classes.events}>
        {items.map((event, index) => (
          <li key={`${event.at}-${event.code}-${index}`} className={classes.event}>
            <time dateTime={event.at}>{formats.dateTime(event.at)}</time>
            <span className={classes.severity} data-severity={event.severity}>
              {t(`system.severity.${event.severity}`)}
            </span>
            <span className={classes.detail}>
              <span className={classes.code}>{event.code.replaceAll("_", " ")}</span> {event.detail}
            </span>
          </li>
        ))}
      </ul>
      {events.hasNextPage && (
        <Center mt="md">
          <Button variant="default" size="xs" loading={events.isFetchingNextPage} onClick={() => void events.fetchNextPage()}>
            {t("system.more")}
          </Button>
        </Center>
      )}
    </Paper>
  );
}
