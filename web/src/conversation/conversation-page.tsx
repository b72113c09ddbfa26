import { Anchor, Center, Loader, Paper, Stack, Tabs, Text, Title } from "@mantine/core";
import { IconArrowLeft } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link, useParams, useSearchParams } from "react-router";

import { showConversationOptions } from "../api/generated/@tanstack/react-query.gen";
import type { ConversationDetail } from "../api/generated/types.gen";
import { DirectionIcon } from "../conversations/direction-icon";
import { LiveClock } from "../conversations/live-clock";
import { ProblemChips } from "../conversations/problem-chips";
import { StateChip } from "../conversations/state-chip";
import { clock, useFormats } from "../format/formats";
import { useRight } from "../session/session";
import { FailureNotice } from "../shell/failure-notice";
import { usePageTitle } from "../shell/page-title";
import page from "../shell/page.module.css";
import classes from "./conversation.module.css";
import { Details } from "./details";
import { RecordingPlayer } from "./recording-player";

const LIVE_MS = 2_000;

export function ConversationPage() {
  const { t } = useTranslation();
  const { id = "" } = useParams();
  const conversation = useQuery({
    ...showConversationOptions({ path: { conversation_id: id } }),
    refetchInterval: ({ state }) => (state.data && ["ready", "failed"].includes(state.data.state) ? false : LIVE_MS),
  });
  const data = conversation.data;
  const caller = data ? data.caller_name || data.caller_display || t("list.unknownParty") : "";
  const called = data ? data.called_name || data.called_display || t("list.unknownParty") : "";
  usePageTitle(data ? `${caller} – ${called}` : "");

  return (
    <Stack gap="md">
      <Anchor component={Link} to="/conversations" size="sm" c="dimmed" className={classes.back}>
        <IconArrowLeft size={15} /> {t("conversation.back")}
      </Anchor>
      {conversation.isPending && (
        <Center mih="40vh">
          <Loader type="dots" />
        </Center>
      )}
      {conversation.isError && !data && (
        <FailureNotice error={conversation.error} retry={() => void conversation.refetch()} />
      )}
      {data && (
        <>
          <Head conversation={data} caller={caller} called={called} />
          <Paper className={page.card} p={{ base: "md", sm: "lg" }} component="section">
            <Listen key={data.id} conversation={data} />
          </Paper>
          <Details conversation={data} />
        </>
      )}
    </Stack>
  );
}

function Head({ conversation, caller, called }: { conversation: ConversationDetail; caller: string; called: string }) {
  const formats = useFormats();
  const goesOn = conversation.state === "recording" || conversation.state === "paused";
  return (
    <header>
      <Title order={1} className={classes.title}>
        <span title={conversation.caller_number || undefined}>{caller}</span>
        <DirectionIcon direction={conversation.direction} />
        <span title={conversation.called_number || undefined}>{called}</span>
      </Title>
      <div className={classes.under}>
        <Text size="sm" c="dimmed" className={page.number}>
          {formats.day(conversation.started_at)}, {formats.time(conversation.started_at)} ·{" "}
          {goesOn ? <LiveClock since={conversation.started_at} /> : clock(conversation.duration_ms)}
        </Text>
        <StateChip state={conversation.state} />
        <ProblemChips problems={conversation.problems} />
      </div>
    </header>
  );
}

/** The player, or why there is none (yet). */
function Listen({ conversation }: { conversation: ConversationDetail }) {
  const { t } = useTranslation();
  const mayPlay = useRight("conversation.play");
  const [search, setSearch] = useSearchParams();
  const playable = conversation.recordings.filter((recording) => recording.playable);
  const first = playable[0];
  if (!mayPlay) return <Text c="dimmed">{t("conversation.mayNotPlay")}</Text>;
  if (!first) {
    return (
      <Center mih={140}>
        <Text c="dimmed" ta="center">
          {t(`conversation.waiting.${conversation.state}`)}
        </Text>
      </Center>
    );
  }
  const chosen = playable.find((recording) => recording.id === search.get("part")) ?? first;
  return (
    <>
      {playable.length > 1 && (
        <Tabs value={chosen.id} onChange={(part) => setSearch(part ? { part } : {}, { replace: true })} mb="md">
          <Tabs.List>
            {playable.map((recording, index) => (
              <Tabs.Tab key={recording.id} value={recording.id}>
                {t("conversation.recordingOf", { number: index + 1 })}
              </Tabs.Tab>
            ))}
          </Tabs.List>
        </Tabs>
      )}
      <RecordingPlayer key={chosen.id} conversation={conversation} recording={chosen} />
    </>
  );
}
