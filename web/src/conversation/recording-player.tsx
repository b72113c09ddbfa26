import { ActionIcon, Button, Menu, Skeleton, Text, Tooltip } from "@mantine/core";
import { useClipboard } from "@mantine/hooks";
import { IconCheck, IconDownload, IconLink } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "react-router";

import { showPeaksOptions } from "../api/generated/@tanstack/react-query.gen";
import type { ConversationDetail, RecordingView } from "../api/generated/types.gen";
import { PlayerView } from "../player/player-view";
import { useRight } from "../session/session";
import { FailureNotice } from "../shell/failure-notice";
import { lengthOf, voicesOf } from "./voices";
import { useMarkTitle } from "./mark-title";

const FORMATS = ["mp3", "wav", "opus", "flac", "master"] as const;
const POINTS = 4000;

interface Props {
  conversation: ConversationDetail;
  recording: RecordingView;
}

/** The player of one recording, with everything that it needs from the server. */
export function RecordingPlayer({ conversation, recording }: Props) {
  const { t } = useTranslation();
  const markTitle = useMarkTitle();
  const [search] = useSearchParams();
  const clipboard = useClipboard({ timeout: 1500 });
  const mayDownload = useRight("conversation.download");
  const path = { conversation_id: conversation.id, recording_id: recording.id };
  const peaks = useQuery({ ...showPeaksOptions({ path, query: { points: POINTS } }), staleTime: Infinity });
  const base = `/api/v1/conversations/${conversation.id}/recordings/${recording.id}`;
  const lengthMs = lengthOf(recording);
  const voices = useMemo(
    () => voicesOf(conversation, recording, { channel: (number) => t("player.channel", { number }) }),
    [conversation, recording, t],
  );
  const moments = useMemo(() => {
    const start = Date.parse(recording.started_at) + recording.offset_ms;
    return recording.marks
      .filter((mark) => !mark.kind.startsWith("track_"))
      .map((mark) => ({ atMs: Date.parse(mark.at) - start, title: markTitle(mark) }))
      .filter((moment) => moment.atMs >= 0 && moment.atMs <= lengthMs)
      .slice(0, 500);
  }, [recording, lengthMs, markTitle]);
  const asked = Number(search.get("t") ?? "0");
  const startMs = Number.isFinite(asked) ? Math.min(lengthMs, Math.max(0, asked * 1000)) : 0;

  const copyLink = (positionMs: number) => {
    const link = new URL(window.location.href);
    link.search = `?t=${(positionMs / 1000).toFixed(1)}${recording.id === conversation.recordings[0]?.id ? "" : `&part=${recording.id}`}`;
    clipboard.copy(link.toString());
  };

  if (peaks.isPending) return <Skeleton height={260} />;
  return (
    <>
      {peaks.isError && <FailureNotice error={peaks.error} />}
      <PlayerView
        source={`${base}/audio`}
        fromMs={recording.offset_ms}
        lengthMs={lengthMs}
        fileMs={recording.duration_ms}
        voices={voices}
        peaks={peaks.data?.channels ?? []}
        moments={moments}
        startMs={startMs}
        onCopyLink={copyLink}
        actions={(position) => (
          <>
            <Tooltip label={clipboard.copied ? t("conversation.linkCopied") : t("conversation.copyLink")}>
              <ActionIcon
                variant="default"
                size="lg"
                aria-label={t("conversation.copyLink")}
                onClick={() => copyLink(position())}
              >
                {clipboard.copied ? <IconCheck size={18} /> : <IconLink size={18} />}
              </ActionIcon>
            </Tooltip>
            {mayDownload && (
              <Menu position="bottom-end" width={220}>
                <Menu.Target>
                  <Button variant="default" leftSection={<IconDownload size={17} />}>
                    {t("conversation.download")}
                  </Button>
                </Menu.Target>
                <Menu.Dropdown>
                  {FORMATS.map((format) => (
                    <Menu.Item key={format} component="a" href={`${base}/download?format=${format}`} download>
                      <Text size="sm">{t(`conversation.format.${format}`)}</Text>
                      <Text size="xs" c="dimmed">
                        {t(`conversation.formatHint.${format}`)}
                      </Text>
                    </Menu.Item>
                  ))}
                </Menu.Dropdown>
              </Menu>
            )}
          </>
        )}
      />
    </>
  );
}
