import { Tooltip } from "@mantine/core";
import { useTranslation } from "react-i18next";

import type { ConversationSummary } from "../api/generated/types.gen";
import classes from "./chips.module.css";

export function StateChip({ state }: { state: ConversationSummary["state"] }) {
  const { t } = useTranslation();
  return (
    <Tooltip label={t(`stateHint.${state}`)}>
      <span className={classes.state} data-state={state}>
        <span className={classes.dot} aria-hidden="true" />
        {t(`state.${state}`)}
      </span>
    </Tooltip>
  );
}
