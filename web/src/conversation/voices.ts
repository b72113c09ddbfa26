import type { ConversationDetail, RecordingView, TrackView } from "../api/generated/types.gen";
import { phone } from "../format/formats";
import type { Voice } from "../player/lane";

export interface VoiceWords {
  channel: (number: number) => string;
}

/** One voice for each channel of the master, named by who can be heard in it. */
export function voicesOf(conversation: ConversationDetail, recording: RecordingView, words: VoiceWords): Voice[] {
  return Array.from({ length: Math.max(1, recording.channels) }, (_, channel) => {
    const track = recording.tracks.find((one) => one.channel === channel);
    const parties = (track?.parties ?? [])
      .map((id) => conversation.parties.find((party) => party.party === id))
      .filter((party) => party !== undefined);
    const names = parties.map((party) => party.name || phone(party.number ?? "") || party.aor).filter(Boolean);
    const single = parties.length === 1 ? parties[0] : undefined;
    return {
      channel,
      name: names.join(", ") || words.channel(channel + 1),
      number: single?.name ? phone(single.number ?? "") : "",
      silent: track?.silent ?? false,
      gaps: track ? gapsOf(track, recording) : [],
    };
  });
}

/** The gaps of a track as parts of the conversation's length. */
function gapsOf(track: TrackView, recording: RecordingView): Voice["gaps"] {
  const gaps: unknown = track.stats?.gaps;
  if (!Array.isArray(gaps)) return [];
  const length = Math.max(1, lengthOf(recording));
  const startedAt = Date.parse(recording.started_at) + recording.offset_ms;
  return gaps.flatMap((gap: unknown) => {
    if (typeof gap !== "object" || gap === null) return [];
    const { at_ns: atNs, at_ms: atMs, ms } = gap as Record<string, unknown>;
    if (typeof ms !== "number") return [];
    const start = typeof atMs === "number" ? atMs - recording.offset_ms : typeof atNs === "number" ? atNs / 1e6 - startedAt : NaN;
    const from = Math.max(0, start / length);
    const to = Math.min(1, (start + ms) / length);
    return from < to ? [{ from, to, ms }] : [];
  });
}

/** Milliseconds of the conversation inside the recording. */
export function lengthOf(recording: RecordingView): number {
  return recording.length_ms > 0 ? recording.length_ms : Math.max(0, recording.duration_ms - recording.offset_ms);
}
