import { Alert, useComputedColorScheme } from "@mantine/core";
import { useEffect, useMemo, useRef, useState, useSyncExternalStore, type PointerEvent, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { clock } from "../format/formats";
import { useShortcuts } from "../shell/shortcuts";
import { Axis, type Moment } from "./axis";
import { Controls } from "./controls";
import { Lane, type Voice } from "./lane";
import { Player } from "./player";
import classes from "./player.module.css";
import { enlargement } from "./waveform";

const SKIP_MS = 5000;
const NO_PEAKS: readonly number[] = [];

export interface PlayerViewProps {
  source: string;
  /** The part of the file that is this conversation. */
  fromMs: number;
  lengthMs: number;
  fileMs: number;
  voices: readonly Voice[];
  peaks: readonly (readonly number[])[];
  moments: readonly Moment[];
  startMs: number;
  /** Makes the actions beside the controls; gets the position when it is asked for. */
  actions: (positionMs: () => number) => ReactNode;
  onCopyLink: (positionMs: number) => void;
}

export function PlayerView(props: PlayerViewProps) {
  const { fromMs, lengthMs, fileMs, voices, peaks, moments } = props;
  const { t } = useTranslation();
  const scheme = useComputedColorScheme("light");
  const [player] = useState(() => new Player(props.source, fromMs, lengthMs, voices.length));
  const state = useSyncExternalStore(player.subscribe, player.snapshot);
  const frame = useRef<HTMLDivElement>(null);
  const part = useMemo(
    () => ({ from: fromMs / Math.max(1, fileMs), to: (fromMs + lengthMs) / Math.max(1, fileMs) }),
    [fromMs, lengthMs, fileMs],
  );
  const scale = useMemo(() => enlargement(peaks), [peaks]);

  useEffect(() => player.attach(), [player]);
  useEffect(() => player.seek(props.startMs), [player, props.startMs]);
  useEffect(
    () => player.watch((ms) => frame.current?.style.setProperty("--at", String(ms / player.lengthMs))),
    [player],
  );
  useShortcuts({
    playPause: () => player.toggle(),
    back: () => player.skip(-SKIP_MS),
    forward: () => player.skip(SKIP_MS),
    faster: () => player.faster(1),
    slower: () => player.faster(-1),
    start: () => player.seek(0),
    copyLink: () => props.onCopyLink(player.positionMs),
  });

  const partOf = (event: PointerEvent<HTMLElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / Math.max(1, box.width)));
  };
  const hover = (at: number | null) => {
    frame.current?.style.setProperty("--hover-at", String(at ?? 0));
    frame.current?.toggleAttribute("data-hover", at !== null);
    const bubble = frame.current?.querySelector(`.${classes.bubble ?? ""}`);
    if (bubble && at !== null) bubble.textContent = clock(at * player.lengthMs, player.lengthMs < 600_000);
  };
  const pointer = {
    onPointerDown: (event: PointerEvent<HTMLElement>) => {
      if (event.button !== 0) return;
      event.currentTarget.setPointerCapture(event.pointerId);
      player.seek(partOf(event) * player.lengthMs);
    },
    onPointerMove: (event: PointerEvent<HTMLElement>) => {
      hover(partOf(event));
      if (event.currentTarget.hasPointerCapture(event.pointerId)) player.seek(partOf(event) * player.lengthMs);
    },
    onPointerLeave: () => hover(null),
  };

  return (
    <div ref={frame} className={classes.player} data-playing={state.playing || undefined}>
      {state.failed && (
        <Alert color="red" variant="light" mb="sm" role="alert">
          {t("player.failed")}
        </Alert>
      )}
      <Axis player={player} moments={moments} pointer={pointer} />
      {voices.map((voice) => (
        <Lane
          key={voice.channel}
          voice={voice}
          peaks={peaks[voice.channel] ?? NO_PEAKS}
          part={part}
          scale={scale}
          scheme={scheme}
          several={voices.length > 1}
          muted={state.muted[voice.channel] ?? false}
          solo={voices.length > 1 && player.isSolo(voice.channel)}
          onMute={() => player.setMuted(voice.channel, !state.muted[voice.channel])}
          onSolo={() => player.solo(voice.channel)}
          pointer={pointer}
        />
      ))}
      <Controls player={player} state={state} several={voices.length > 1}>
        {props.actions(() => player.positionMs)}
      </Controls>
    </div>
  );
}
