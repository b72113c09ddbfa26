import { SimpleGrid, Stack, Table, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";

import type { ConversationDetail, RecordingView, TrackView } from "../api/generated/types.gen";
import { useProblemWords } from "../conversations/problem-words";
import { clock, useFormats } from "../format/formats";
import { en } from "../locales/en";
import { useRight } from "../session/session";
import classes from "./conversation.module.css";
import { Facts, Section, type FactLine } from "./facts";
import { useMarkTitle } from "./mark-title";
import { Metadata } from "./metadata";
import { Related } from "./related";

/** Everything that is known about a conversation, in the order in which people ask. */
export function Details({ conversation }: { conversation: ConversationDetail }) {
  const { t } = useTranslation();
  const mayReadMetadata = useRight("conversation.metadata");
  return (
    <Stack gap="md">
      {conversation.problems.length > 0 && (
        <Section title={t("conversation.problems")}>
          <Problems conversation={conversation} />
        </Section>
      )}
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md" className={classes.grid}>
        <Section title={t("conversation.parties")}>
          <Parties conversation={conversation} />
        </Section>
        <Section title={t("conversation.client")}>
          <Origin conversation={conversation} />
        </Section>
      </SimpleGrid>
      {conversation.recordings.some((recording) => recording.tracks.length > 0) && (
        <Section title={t("conversation.streams")}>
          <Streams conversation={conversation} />
        </Section>
      )}
      {conversation.marks.length > 0 && (
        <Section title={t("conversation.marks")}>
          <Marks conversation={conversation} />
        </Section>
      )}
      {conversation.related.length > 0 && (
        <Section title={t("conversation.related")}>
          <Related conversations={conversation.related} />
        </Section>
      )}
      <SimpleGrid
        cols={{ base: 1, md: Object.keys(conversation.extensions).length > 0 ? 2 : 1 }}
        spacing="md"
        className={classes.grid}
      >
        <Section title={t("conversation.identifiers")}>
          <Facts lines={identifiersOf(conversation)} />
        </Section>
        {Object.keys(conversation.extensions).length > 0 && (
          <Section title={t("conversation.extensions")}>
            <Facts
              lines={Object.entries(conversation.extensions).map(([label, value]) => ({ label, value: textOf(value) }))}
            />
          </Section>
        )}
      </SimpleGrid>
      {mayReadMetadata && conversation.recordings.length > 0 && (
        <Section title={t("conversation.metadata")}>
          <Metadata conversation={conversation} />
        </Section>
      )}
    </Stack>
  );
}

function identifiersOf(conversation: ConversationDetail): FactLine[] {
  return [
    { label: "conversation", value: conversation.id, copy: true },
    ...conversation.recordings.map((recording, index) => ({
      label: conversation.recordings.length > 1 ? `recording ${index + 1}` : "recording",
      value: recording.id,
      copy: true,
    })),
    ...Object.entries(conversation.session_ids).map(([label, value]) => ({
      label: label.replaceAll("_", " "),
      value: textOf(value),
      copy: true,
    })),
  ];
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 1);
}

function Problems({ conversation }: { conversation: ConversationDetail }) {
  const words = useProblemWords();
  return (
    <Stack gap="sm">
      {conversation.problems.map((problem, index) => {
        const { title, text } = words(problem);
        return (
          <div key={`${problem.code}-${index}`} className={classes.problem}>
            <Text size="sm" fw={550}>
              {title}
            </Text>
            <Text size="sm">{text}</Text>
            {problem.detail && (
              <Text size="xs" c="dimmed" className={classes.wrap}>
                {problem.detail}
              </Text>
            )}
          </div>
        );
      })}
    </Stack>
  );
}

function Parties({ conversation }: { conversation: ConversationDetail }) {
  const { t } = useTranslation();
  const formats = useFormats();
  return (
    <Stack gap="sm">
      {conversation.parties.map((party) => (
        <div key={party.party}>
          <Text size="sm" fw={540} className={classes.wrap} title={party.number}>
            {party.name || party.number_display || t("list.unknownParty")}
          </Text>
          <Text size="xs" c="dimmed" className={classes.wrap}>
            {[party.name ? party.number_display : "", party.aor].filter(Boolean).join(" · ")}
          </Text>
          {(party.joined_at ?? party.left_at) && (
            <Text size="xs" c="dimmed">
              {[
                party.joined_at && `${t("conversation.joined")} ${formats.time(party.joined_at)}`,
                party.left_at && `${t("conversation.left")} ${formats.time(party.left_at)}`,
              ]
                .filter(Boolean)
                .join(" · ")}
            </Text>
          )}
        </div>
      ))}
      {conversation.parties.length === 0 && (
        <Text size="sm" c="dimmed">
          {t("list.unknownParty")}
        </Text>
      )}
    </Stack>
  );
}

function isWhy(why: string): why is keyof typeof en.why {
  return Object.hasOwn(en.why, why);
}

function Origin({ conversation }: { conversation: ConversationDetail }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const why = conversation.recordings.at(-1)?.why_ended ?? "";
  return (
    <Facts
      lines={[
        { label: t("conversation.started"), value: formats.dateTime(conversation.started_at) },
        { label: t("conversation.ended"), value: conversation.ended_at ? formats.dateTime(conversation.ended_at) : "" },
        { label: t("conversation.why"), value: isWhy(why) ? t(`why.${why}`) : why },
        {
          label: t("conversation.client"),
          value: [conversation.peer, conversation.address].filter(Boolean).join(" · "),
        },
        { label: t("conversation.vendor"), value: conversation.vendor },
        {
          label: t("conversation.organisation"),
          value: conversation.organisation_id === null ? t("conversation.providerOnly") : "",
        },
      ]}
    />
  );
}

function numberIn(stats: TrackView["stats"], key: string): number | undefined {
  const media = stats?.media;
  const value = stats?.[key] ?? (typeof media === "object" && media !== null ? (media as Record<string, unknown>)[key] : undefined);
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

function Streams({ conversation }: { conversation: ConversationDetail }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const nameOf = (recording: RecordingView, track: TrackView) => {
    const names = (track.parties ?? []).map((id) => {
      const party = conversation.parties.find((one) => one.party === id);
      return party ? party.name || party.number_display || id : id;
    });
    return names.join(", ") || t("player.channel", { number: (track.channel ?? recording.tracks.indexOf(track)) + 1 });
  };
  const shown = (value: number | undefined, digits = 0) => (value === undefined ? "–" : formats.number(value, digits));
  return (
    <Table.ScrollContainer minWidth={560} type="native">
      <Table className={classes.streams} verticalSpacing={7}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("conversation.stream")}</Table.Th>
            <Table.Th>{t("conversation.codec")}</Table.Th>
            <Table.Th>{t("conversation.duration")}</Table.Th>
            <Table.Th>{t("conversation.packets")}</Table.Th>
            <Table.Th>{t("conversation.lost")}</Table.Th>
            <Table.Th>{t("conversation.jitter")}</Table.Th>
            <Table.Th>{t("conversation.level")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {conversation.recordings.flatMap((recording) =>
            recording.tracks.map((track) => {
              const packets = numberIn(track.stats, "packets");
              const lost = numberIn(track.stats, "lost");
              const share = packets && lost ? (100 * lost) / (packets + lost) : 0;
              const jitter = numberIn(track.stats, "jitter_ms");
              return (
                <Table.Tr key={track.track}>
                  <Table.Td className={classes.streamName}>{nameOf(recording, track)}</Table.Td>
                  <Table.Td>{track.codec || "–"}</Table.Td>
                  <Table.Td>{clock(track.duration_ms ?? 0)}</Table.Td>
                  <Table.Td>{shown(packets)}</Table.Td>
                  <Table.Td>
                    {shown(lost)}
                    {share > 0 && ` (${formats.number(share, 2)} %)`}
                  </Table.Td>
                  <Table.Td>{jitter === undefined ? "–" : `${shown(jitter, 1)} ms`}</Table.Td>
                  <Table.Td>
                    {track.silent
                      ? t("conversation.silent")
                      : typeof track.level_dbfs === "number"
                        ? `${formats.number(track.level_dbfs, 1)} dBFS`
                        : "–"}
                  </Table.Td>
                </Table.Tr>
              );
            }),
          )}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function Marks({ conversation }: { conversation: ConversationDetail }) {
  const formats = useFormats();
  const title = useMarkTitle();
  return (
    <ul className={classes.marks}>
      {conversation.marks.map((mark, index) => (
        <li key={`${mark.at}-${index}`}>
          <time dateTime={mark.at}>{formats.time(mark.at)}</time>
          <span>{title(mark)}</span>
        </li>
      ))}
    </ul>
  );
}
