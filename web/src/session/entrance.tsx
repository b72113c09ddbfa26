import { Box, Paper, Stack, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";

import { Logo } from "../shell/logo";
import classes from "./entrance.module.css";

/** The frame of the pages that come before the portal itself. */
export function Entrance({ title, text, children }: { title: string; text: string; children: ReactNode }) {
  return (
    <Box className={classes.page} component="main">
      <Stack gap="xl" w="100%" maw={400}>
        <Logo size={36} />
        <Paper className={classes.card}>
          <Stack gap="lg">
            <div>
              <Title order={1} size="h3">
                {title}
              </Title>
              <Text c="dimmed" size="sm" mt={4}>
                {text}
              </Text>
            </div>
            {children}
          </Stack>
        </Paper>
      </Stack>
    </Box>
  );
}
