import { Tooltip } from "@mantine/core";
import { IconArrowDownLeft, IconArrowsLeftRight, IconArrowUpRight, IconArrowRight } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";

import type { ConversationSummary } from "../api/generated/types.gen";
import classes from "./list.module.css";

const ICONS = {
  in: IconArrowDownLeft,
  out: IconArrowUpRight,
  internal: IconArrowsLeftRight,
  unknown: IconArrowRight,
};

export function DirectionIcon({ direction }: { direction: ConversationSummary["direction"] }) {
  const { t } = useTranslation();
  const Icon = ICONS[direction];
  return (
    <Tooltip label={t(`direction.${direction}`)}>
      <span className={classes.direction} role="img" aria-label={t(`direction.${direction}`)}>
        <Icon size={16} stroke={1.8} />
      </span>
    </Tooltip>
  );
}
