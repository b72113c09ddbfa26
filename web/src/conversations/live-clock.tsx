import { useEffect, useState } from "react";

import { clock } from "../format/formats";

/** How long a call goes on, second by second. */
export function LiveClock({ since }: { since: string }) {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), 1000);
    return () => window.clearInterval(timer);
  }, []);
  return <>{clock(now - Date.parse(since))}</>;
}
