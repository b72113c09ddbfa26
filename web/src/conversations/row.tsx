import { Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";

import type { ConversationSummary } from "../api/generated/types.gen";
import { clock, useFormats } from "../format/formats";
import { DirectionIcon } from "./direction-icon";
import { LiveClock } from "./live-clock";
import classes from "./list.module.css";
import { Party } from "./party";
import { ProblemChips } from "./problem-chips";
import { StateChip } from "./state-chip";

/** One line of the list; the whole line is the link. */
export function Row({ conversation }: { conversation: ConversationSummary }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const goesOn = conversation.state === "recording" || conversation.state === "paused";
  const others = Math.max(0, conversation.parties.length - 2);
  return (
    <li className={classes.item}>
      <Link to={`/conversations/${conversation.id}`} className={classes.row} data-row={conversation.id}>
        <span className={classes.time}>
          <time dateTime={conversation.started_at} title={formats.dateTime(conversation.started_at)}>
            {formats.time(conversation.started_at)}
          </time>
        </span>
        <span className={classes.parties}>
          <Party name={conversation.caller_name} number={conversation.caller_number} shown={conversation.caller_display} />
          <DirectionIcon direction={conversation.direction} />
          <Party name={conversation.called_name} number={conversation.called_number} shown={conversation.called_display} />
        </span>
        <span className={classes.chips}>
          {others > 0 && (
            <Text span size="xs" c="dimmed" className={classes.others}>
              {t("list.others", { count: others })}
            </Text>
          )}
          <ProblemChips problems={conversation.problems} />
        </span>
        <span className={classes.duration}>
          {goesOn && <LiveClock since={conversation.started_at} />}
          {!goesOn && conversation.duration_ms > 0 && clock(conversation.duration_ms)}
        </span>
        <span className={classes.state}>
          <StateChip state={conversation.state} />
        </span>
      </Link>
    </li>
  );
}
