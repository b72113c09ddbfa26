import { Tooltip } from "@mantine/core";
import { useEffect, useRef, type PointerEvent } from "react";
import { useTranslation } from "react-i18next";

import { clock } from "../format/formats";
import type { Player } from "./player";
import classes from "./player.module.css";

const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
const MOST_TICKS = 9;

export interface Moment {
  atMs: number;
  title: string;
}

function ticksOf(lengthMs: number): number[] {
  const step = (STEPS_S.find((seconds) => lengthMs / 1000 / seconds <= MOST_TICKS) ?? 7200) * 1000;
  return Array.from({ length: Math.floor((lengthMs - step * 0.4) / step) + 1 }, (_, index) => index * step);
}

interface Props {
  player: Player;
  moments: readonly Moment[];
  pointer: {
    onPointerDown: (event: PointerEvent<HTMLElement>) => void;
    onPointerMove: (event: PointerEvent<HTMLElement>) => void;
    onPointerLeave: () => void;
  };
}

/** The time axis: a slider for the keyboard, times, and the marks of the call. */
export function Axis({ player, moments, pointer }: Props) {
  const { t } = useTranslation();
  const slider = useRef<HTMLDivElement>(null);
  const { lengthMs } = player;
  useEffect(
    () =>
      player.watch((ms) => {
        slider.current?.setAttribute("aria-valuenow", String(Math.round(ms / 1000)));
        slider.current?.setAttribute("aria-valuetext", clock(ms));
      }),
    [player],
  );
  const keys: Record<string, () => void> = {
    ArrowLeft: () => player.skip(-5000),
    ArrowRight: () => player.skip(5000),
    ArrowDown: () => player.skip(-5000),
    ArrowUp: () => player.skip(5000),
    PageDown: () => player.skip(-30_000),
    PageUp: () => player.skip(30_000),
    Home: () => player.seek(0),
    End: () => player.seek(lengthMs),
    " ": () => player.toggle(),
  };
  return (
    <div className={classes.axisRow}>
      <div
        ref={slider}
        className={classes.axis}
        role="slider"
        tabIndex={0}
        aria-label={t("player.position")}
        aria-valuemin={0}
        aria-valuemax={Math.round(lengthMs / 1000)}
        onKeyDown={(event) => {
          const action = keys[event.key];
          if (action) {
            event.preventDefault();
            action();
          }
        }}
        {...pointer}
      >
        {ticksOf(lengthMs).map((tick) => (
          <span key={tick} className={classes.tick} style={{ left: `${(100 * tick) / lengthMs}%` }}>
            {clock(tick)}
          </span>
        ))}
        {moments.map((moment, index) => (
          <Tooltip key={`${moment.atMs}-${index}`} label={`${clock(moment.atMs)} · ${moment.title}`}>
            <button
              type="button"
              className={classes.moment}
              style={{ left: `${(100 * moment.atMs) / lengthMs}%` }}
              aria-label={`${clock(moment.atMs)} ${moment.title}`}
              onPointerDown={(event) => event.stopPropagation()}
              onClick={() => player.seek(moment.atMs)}
            />
          </Tooltip>
        ))}
        <span className={classes.axisHead} aria-hidden="true" />
        <span className={classes.bubble} aria-hidden="true" />
      </div>
    </div>
  );
}
