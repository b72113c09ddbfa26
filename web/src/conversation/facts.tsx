import { ActionIcon, CopyButton, Paper, Tooltip, Title } from "@mantine/core";
import { IconCheck, IconCopy } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import page from "../shell/page.module.css";
import classes from "./conversation.module.css";

export function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Paper className={page.card} p="lg" component="section">
      <Title order={2} size="h5" mb="sm">
        {title}
      </Title>
      {children}
    </Paper>
  );
}

export interface FactLine {
  label: string;
  value: string;
  copy?: boolean;
}

/** Names and values; empty values are left out. */
export function Facts({ lines }: { lines: readonly FactLine[] }) {
  return (
    <dl className={classes.facts}>
      {lines
        .filter((line) => line.value !== "")
        .map((line) => (
          <div key={line.label} className={classes.fact}>
            <dt>{line.label}</dt>
            <dd>
              {line.copy ? <code>{line.value}</code> : line.value}
              {line.copy && <Copy value={line.value} />}
            </dd>
          </div>
        ))}
    </dl>
  );
}

function Copy({ value }: { value: string }) {
  const { t } = useTranslation();
  return (
    <CopyButton value={value}>
      {({ copied, copy }) => (
        <Tooltip label={t(copied ? "teach.copied" : "conversation.copyValue")}>
          <ActionIcon variant="subtle" color="gray" size="sm" onClick={copy} aria-label={t("conversation.copyValue")}>
            {copied ? <IconCheck size={13} /> : <IconCopy size={13} />}
          </ActionIcon>
        </Tooltip>
      )}
    </CopyButton>
  );
}
