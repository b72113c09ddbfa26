import { ActionIcon, CopyButton, Group, Paper, SimpleGrid, Stack, Text, Title, Tooltip } from "@mantine/core";
import { IconCheck, IconCopy, IconHeadphones, IconRouter } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { showStatusOptions } from "../api/generated/@tanstack/react-query.gen";
import { useRight } from "../session/session";
import page from "../shell/page.module.css";
import classes from "./list.module.css";

/** What an empty installation shows: how the first recording comes about. */
export function Teach() {
  const { t } = useTranslation();
  const seesSystem = useRight("system.view");
  const status = useQuery({ ...showStatusOptions(), enabled: seesSystem }).data;
  const host = status?.recorder_address ?? "";
  const shownHost = host.includes(":") ? `[${host}]` : host;
  const loopback = host.startsWith("127.") || host === "::1";
  return (
    <Stack gap="lg" className={classes.teach}>
      <div>
        <Title order={2}>{t("teach.title")}</Title>
        <Text c="dimmed">{t("teach.text")}</Text>
      </div>
      <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="md">
        <Card icon={<IconHeadphones size={22} stroke={1.6} />} title={t("teach.demo")} text={t("teach.demoText")}>
          <Copyable text="callward demo call" />
        </Card>
        <Card icon={<IconRouter size={22} stroke={1.6} />} title={t("teach.device")} text={t("teach.deviceText")}>
          {status && (
            <>
              <Copyable text={`sip:${shownHost}:${status.sip_port}`} />
              <Copyable text={`sips:${shownHost}:${status.tls_port}`} />
            </>
          )}
          <Text size="sm" c="dimmed">
            {t("teach.deviceAllow")}
          </Text>
          <Copyable text="callward peer add my-sbc --address 192.0.2.5" />
          {loopback && (
            <>
              <Text size="sm" c="dimmed">
                {t("teach.deviceLoopback")}
              </Text>
              <Copyable text="callward up --public ADDRESS" />
            </>
          )}
        </Card>
      </SimpleGrid>
    </Stack>
  );
}

function Card({ icon, title, text, children }: { icon: ReactNode; title: string; text: string; children: ReactNode }) {
  return (
    <Paper className={page.card} p="lg">
      <Stack gap="sm">
        <span className={classes.teachIcon}>{icon}</span>
        <div>
          <Title order={3} size="h5">
            {title}
          </Title>
          <Text size="sm" c="dimmed">
            {text}
          </Text>
        </div>
        {children}
      </Stack>
    </Paper>
  );
}

function Copyable({ text }: { text: string }) {
  const { t } = useTranslation();
  return (
    <Group className={classes.code} wrap="nowrap" justify="space-between" gap="xs">
      <code>{text}</code>
      <CopyButton value={text}>
        {({ copied, copy }) => (
          <Tooltip label={t(copied ? "teach.copied" : "teach.copy")}>
            <ActionIcon variant="subtle" color="gray" onClick={copy} aria-label={t("teach.copy")}>
              {copied ? <IconCheck size={16} /> : <IconCopy size={16} />}
            </ActionIcon>
          </Tooltip>
        )}
      </CopyButton>
    </Group>
  );
}
