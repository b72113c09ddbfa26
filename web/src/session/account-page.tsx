import { Badge, Button, Group, Paper, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import {
  endSessionMutation,
  listSessionsOptions,
  listSessionsQueryKey,
} from "../api/generated/@tanstack/react-query.gen";
import { useFormats } from "../format/formats";
import { FailureNotice } from "../shell/failure-notice";
import { usePageTitle } from "../shell/page-title";
import page from "../shell/page.module.css";
import { browserName } from "./browser-name";
import { PasswordForm } from "./password-form";
import { useSession } from "./session";

export function AccountPage() {
  const { t } = useTranslation();
  usePageTitle(t("account.title"));
  const session = useSession().data;
  const [changed, setChanged] = useState(false);
  return (
    <Stack gap="lg" maw={720}>
      <div>
        <Title order={1}>{t("account.title")}</Title>
        <Text c="dimmed" size="sm">
          {session?.display_name} · {session?.user_name}
        </Text>
      </div>
      <Paper className={page.card} p="lg">
        <Title order={2} size="h5" mb="md">
          {t("account.sessions")}
        </Title>
        <Sessions />
      </Paper>
      <Paper className={page.card} p="lg">
        <Title order={2} size="h5" mb="md">
          {t("account.password")}
        </Title>
        {changed && (
          <Text c="teal" size="sm" mb="md" role="status">
            {t("account.passwordChanged")}
          </Text>
        )}
        <PasswordForm wide onDone={() => setChanged(true)} />
      </Paper>
    </Stack>
  );
}

function Sessions() {
  const { t } = useTranslation();
  const formats = useFormats();
  const queries = useQueryClient();
  const sessions = useQuery(listSessionsOptions());
  const end = useMutation({
    ...endSessionMutation(),
    onSettled: () => void queries.invalidateQueries({ queryKey: listSessionsQueryKey() }),
  });
  if (sessions.isError) return <FailureNotice error={sessions.error} retry={() => void sessions.refetch()} />;
  return (
    <Stack gap="sm">
      {end.isError && <FailureNotice error={end.error} />}
      {sessions.data?.map((one) => (
        <Group key={one.id} justify="space-between" wrap="nowrap" className={page.line}>
          <div>
            <Text size="sm" fw={500}>
              {browserName(one.browser) || t("account.unknownBrowser")}{" "}
              {one.current && (
                <Badge size="sm" variant="light">
                  {t("account.thisSession")}
                </Badge>
              )}
            </Text>
            <Text size="xs" c="dimmed">
              {t("account.from", { address: one.address })} · {t("account.since", { time: formats.dateTime(one.created_at) })}
            </Text>
          </div>
          {!one.current && (
            <Button
              size="compact-sm"
              variant="default"
              loading={end.isPending && end.variables.path.session_id === one.id}
              onClick={() => end.mutate({ path: { session_id: one.id } })}
            >
              {t("account.end")}
            </Button>
          )}
        </Group>
      ))}
    </Stack>
  );
}
