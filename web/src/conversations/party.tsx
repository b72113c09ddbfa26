import { Text } from "@mantine/core";
import { useTranslation } from "react-i18next";

import { phone } from "../format/formats";
import classes from "./list.module.css";

/** A name with its number below; one of them, when only one is known. */
export function Party({ name, number }: { name: string; number: string }) {
  const { t } = useTranslation();
  const shown = phone(number);
  const title = name || shown || t("list.unknownParty");
  return (
    <div className={classes.party}>
      <Text component="div" size="sm" fw={520} truncate c={name || number ? undefined : "dimmed"} title={title}>
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
