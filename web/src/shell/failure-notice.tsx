import { Alert, Button, Center, Group, Stack, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";

import { failureOf } from "../api/client";

/** Says what went wrong and what to do about it. */
export function FailureNotice({ error, retry, page = false }: { error: unknown; retry?: () => void; page?: boolean }) {
  const { t } = useTranslation();
  const failure = failureOf(error);
  const notice = (
    <Alert color="red" variant="light" icon={<IconAlertTriangle size={18} />} role="alert">
      <Stack gap={4}>
        <Text size="sm" fw={500}>
          {failure.detail || t("failure.unreachable")}
        </Text>
        <Text size="sm">{failure.detail ? failure.remedy : t("failure.unreachableRemedy")}</Text>
        {retry && (
          <Group mt={4}>
            <Button size="compact-sm" variant="default" onClick={retry}>
              {t("failure.retry")}
            </Button>
          </Group>
        )}
      </Stack>
    </Alert>
  );
  return page ? (
    <Center mih="60vh" p="md">
      {notice}
    </Center>
  ) : (
    notice
  );
}
