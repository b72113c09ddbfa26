import { Link } from "react-router";

import type { ConversationSummary } from "../api/generated/types.gen";
import { clock, useFormats } from "../format/formats";
import classes from "./conversation.module.css";

export function Related({ conversations }: { conversations: ConversationSummary[] }) {
  const formats = useFormats();
  return (
    <ul className={classes.marks}>
      {conversations.map((one) => (
        <li key={one.id}>
          <time dateTime={one.started_at}>{formats.time(one.started_at)}</time>
          <Link to={`/conversations/${one.id}`} className={classes.link}>
            {one.caller_name || one.caller_display || "?"} → {one.called_name || one.called_display || "?"} (
            {clock(one.duration_ms)})
          </Link>
        </li>
      ))}
    </ul>
  );
}
