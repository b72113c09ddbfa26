import type { ConversationDetail, RecordingView, TrackView } from "../api/generated/types.gen";
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
    const names = parties.map((party) => party.name || party.number_display || party.aor).filter(Boolean);
    const single = parties.length === 1 ? parties[0] : undefined;
    return {
      channel,
      name: names.join(", ") || words.channel(channel + 1),
      number: single?.name ? single.number_display : "",
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
  const trackMs = (track.offset_ms ?? 0) - recording.offset_ms;
  return gaps.flatMap((gap: unknown) => {
    if (typeof gap !== "object" || gap === null) return [];
    const { at_ms: atMs, length_ms: ms, why } = gap as Record<string, unknown>;
    if (typeof atMs !== "number" || typeof ms !== "number" || why === "paused") return [];
    const from = Math.max(0, (trackMs + atMs) / length);
    const to = Math.min(1, (trackMs + atMs + ms) / length);
    return from < to ? [{ from, to, ms }] : [];
  });
}

/** Milliseconds of the conversation inside the recording. */
export function lengthOf(recording: RecordingView): number {
  return recording.length_ms > 0 ? recording.length_ms : Math.max(0, recording.duration_ms - recording.offset_ms);
}
