import { ActionIcon, Text, Tooltip } from "@mantine/core";
import { IconHeadphones, IconVolume, IconVolumeOff } from "@tabler/icons-react";
import { useEffect, useRef, type PointerEvent } from "react";
import { useTranslation } from "react-i18next";

import classes from "./player.module.css";
import { draw } from "./waveform";

export interface Voice {
  channel: number;
  name: string;
  number: string;
  silent: boolean;
  /** What did not arrive, as parts of the conversation's length. */
  gaps: readonly { from: number; to: number; ms: number }[];
}

interface Props {
  voice: Voice;
  peaks: readonly number[];
  part: { from: number; to: number };
  scale: number;
  scheme: string;
  muted: boolean;
  solo: boolean;
  several: boolean;
  onMute: () => void;
  onSolo: () => void;
  pointer: {
    onPointerDown: (event: PointerEvent<HTMLElement>) => void;
    onPointerMove: (event: PointerEvent<HTMLElement>) => void;
    onPointerLeave: () => void;
  };
}

/** One voice: its name, mute and solo, and its waveform; what was played is in full colour. */
export function Lane({ voice, peaks, part, scale, scheme, muted, solo, several, onMute, onSolo, pointer }: Props) {
  const { t } = useTranslation();
  const rest = useRef<HTMLCanvasElement>(null);
  const played = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const canvases = [rest.current, played.current];
    const paint = () => {
      for (const canvas of canvases) {
        if (canvas) draw(canvas, peaks, part, scale, getComputedStyle(canvas).color);
      }
    };
    const watch = new ResizeObserver(paint);
    if (canvases[0]) watch.observe(canvases[0]);
    paint();
    return () => watch.disconnect();
  }, [peaks, part, scale, scheme]);

  return (
    <div className={classes.lane} data-voice={voice.channel % 4} data-muted={muted || undefined}>
      <div className={classes.label}>
        <div className={classes.who}>
          <Text size="sm" fw={540} truncate title={voice.name}>
            {voice.name}
          </Text>
          {(voice.number || voice.silent) && (
            <Text size="xs" c="dimmed" truncate className={classes.tabular}>
              {voice.silent ? t("conversation.silent") : voice.number}
            </Text>
          )}
        </div>
        {several && (
          <div className={classes.voiceButtons}>
            <Tooltip label={solo ? t("player.unsolo") : t("player.solo", { name: voice.name })}>
              <ActionIcon
                variant={solo ? "light" : "subtle"}
                color="gray"
                size="md"
                aria-pressed={solo}
                aria-label={t("player.solo", { name: voice.name })}
                onClick={onSolo}
              >
                <IconHeadphones size={16} />
              </ActionIcon>
            </Tooltip>
            <Tooltip label={t(muted ? "player.unmute" : "player.mute", { name: voice.name })}>
              <ActionIcon
                variant={muted ? "light" : "subtle"}
                color="gray"
                size="md"
                aria-pressed={muted}
                aria-label={t("player.mute", { name: voice.name })}
                onClick={onMute}
              >
                {muted ? <IconVolumeOff size={16} /> : <IconVolume size={16} />}
              </ActionIcon>
            </Tooltip>
          </div>
        )}
      </div>
      <div className={classes.wave} {...pointer}>
        <canvas ref={rest} className={classes.rest} role="img" aria-label={t("player.waveform", { name: voice.name })} />
        <canvas ref={played} className={classes.played} aria-hidden="true" data-peaks={peaks.length} />
        {voice.gaps.map((gap) => (
          <Tooltip key={gap.from} label={t("player.gap", { ms: Math.round(gap.ms) })}>
            <span
              className={classes.gap}
              style={{ left: `${100 * gap.from}%`, width: `max(3px, ${100 * (gap.to - gap.from)}%)` }}
            />
          </Tooltip>
        ))}
        <span className={classes.hover} aria-hidden="true" />
        <span className={classes.head} aria-hidden="true" />
      </div>
    </div>
  );
}
