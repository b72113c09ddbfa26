import { Text } from "@mantine/core";
import { useTranslation } from "react-i18next";

import classes from "./list.module.css";

/** A name with its number below; one of them, when only one is known. The number as it was sent is the tooltip of the one that is shown. */
export function Party({ name, number, shown }: { name: string; number: string; shown: string }) {
  const { t } = useTranslation();
  const title = name || shown || t("list.unknownParty");
  return (
    <div className={classes.party}>
      <Text component="div" size="sm" fw={520} truncate c={name || number ? undefined : "dimmed"} title={name || number || title}>
        {title}
      </Text>
      {name && number && (
        <Text component="div" size="xs" c="dimmed" truncate className={classes.tabular} title={number}>
          {shown}
        </Text>
      )}
    </div>
  );
}
