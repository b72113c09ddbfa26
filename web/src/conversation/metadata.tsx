import { Button, Code, Group, Stack, Text } from "@mantine/core";
import { useQueries } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { showMetadataOptions } from "../api/generated/@tanstack/react-query.gen";
import type { ConversationDetail } from "../api/generated/types.gen";
import { useFormats } from "../format/formats";
import { FailureNotice } from "../shell/failure-notice";
import classes from "./conversation.module.css";

/** The documents of the recording client, loaded when somebody asks for them: reading them stands in the audit. */
export function Metadata({ conversation }: { conversation: ConversationDetail }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const [asked, setAsked] = useState(false);
  const results = useQueries({
    queries: conversation.recordings.map((recording) => ({
      ...showMetadataOptions({ path: { conversation_id: conversation.id, recording_id: recording.id } }),
      enabled: asked,
    })),
  });
  if (!asked) {
    return (
      <Group justify="space-between">
        <Text size="sm" c="dimmed">
          {t("conversation.metadataText")}
        </Text>
        <Button variant="default" size="xs" onClick={() => setAsked(true)}>
          {t("conversation.metadataShow")}
        </Button>
      </Group>
    );
  }
  const failed = results.find((result) => result.isError);
  const documents = results.flatMap((result) => result.data ?? []);
  return (
    <Stack gap="md">
      {failed && <FailureNotice error={failed.error} />}
      {results.every((result) => result.isSuccess) && documents.length === 0 && (
        <Text size="sm" c="dimmed">
          {t("conversation.metadataNone")}
        </Text>
      )}
      {documents.map((document, index) => (
        <div key={`${document.at}-${index}`}>
          <Text size="xs" c="dimmed" mb={4}>
            {formats.dateTime(document.at)} · {document.content_type}
            {document.text === null && ` · ${t("conversation.metadataBinary")}`}
            {document.truncated && ` · ${t("conversation.metadataTruncated")}`}
          </Text>
          <Code block className={classes.document}>
            {document.text ?? document.base64}
          </Code>
        </div>
      ))}
    </Stack>
  );
}
