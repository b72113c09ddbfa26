import { ActionIcon, Group, Loader, SegmentedControl, Select, Text, Tooltip } from "@mantine/core";
import {
  IconPlayerPauseFilled,
  IconPlayerPlayFilled,
  IconRewindBackward5,
  IconRewindForward5,
} from "@tabler/icons-react";
import { useEffect, useRef, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { clock } from "../format/formats";
import { SPEEDS, type Player, type PlayerState } from "./player";
import classes from "./player.module.css";

interface Props {
  player: Player;
  state: PlayerState;
  several: boolean;
  children: ReactNode;
}

export function Controls({ player, state, several, children }: Props) {
  const { t } = useTranslation();
  const time = useRef<HTMLSpanElement>(null);
  useEffect(
    () =>
      player.watch((ms) => {
        if (time.current) time.current.textContent = clock(ms, true);
      }),
    [player],
  );
  const playing = state.playing;
  return (
    <Group className={classes.controls} gap="sm">
      <Group gap={6} wrap="nowrap">
        <Tooltip label={t("player.back", { seconds: 5 })}>
          <ActionIcon
            variant="subtle"
            color="gray"
            size="lg"
            radius="xl"
            aria-label={t("player.back", { seconds: 5 })}
            onClick={() => player.skip(-5000)}
          >
            <IconRewindBackward5 size={22} stroke={1.6} />
          </ActionIcon>
        </Tooltip>
        <ActionIcon
          size={46}
          radius="xl"
          aria-label={t(playing ? "player.pause" : "player.play")}
          onClick={() => player.toggle()}
        >
          {playing && state.waiting ? (
            <Loader size={18} color="white" />
          ) : playing ? (
            <IconPlayerPauseFilled size={20} />
          ) : (
            <IconPlayerPlayFilled size={20} />
          )}
        </ActionIcon>
        <Tooltip label={t("player.forward", { seconds: 5 })}>
          <ActionIcon
            variant="subtle"
            color="gray"
            size="lg"
            radius="xl"
            aria-label={t("player.forward", { seconds: 5 })}
            onClick={() => player.skip(5000)}
          >
            <IconRewindForward5 size={22} stroke={1.6} />
          </ActionIcon>
        </Tooltip>
      </Group>
      <Text component="div" size="sm" className={classes.time}>
        <span ref={time} data-testid="time">
          0:00.0
        </span>
        <Text span inherit c="dimmed">
          {" / "}
          {clock(player.lengthMs)}
        </Text>
      </Text>
      <Select
        aria-label={t("player.speed")}
        size="xs"
        w={84}
        allowDeselect={false}
        data={SPEEDS.map((speed) => ({ value: String(speed), label: `${speed} ×` }))}
        value={String(state.speed)}
        onChange={(value) => player.setSpeed(Number(value ?? 1))}
      />
      {several && (
        <SegmentedControl
          size="xs"
          aria-label={t("player.voice")}
          value={state.apart ? "apart" : "together"}
          onChange={(value) => player.setApart(value === "apart")}
          data={[
            { value: "together", label: t("player.together") },
            { value: "apart", label: t("player.apart") },
          ]}
        />
      )}
      <Group gap="xs" ml="auto">
        {children}
      </Group>
    </Group>
  );
}
