import { Group, Kbd, Modal, Stack, Text, Title } from "@mantine/core";
import { useTranslation } from "react-i18next";

import { SHORTCUTS, type Shortcut } from "./shortcuts";

const AREAS = ["player", "list", "everywhere"] as const;
const NAMES: Record<string, string> = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };

export function ShortcutHelp({ opened, close }: { opened: boolean; close: () => void }) {
  const { t } = useTranslation();
  const names = Object.keys(SHORTCUTS) as Shortcut[];
  return (
    <Modal opened={opened} onClose={close} title={t("shortcuts.title")} centered>
      <Stack gap="lg">
        {AREAS.map((area) => (
          <section key={area}>
            <Title order={3} size="h6" c="dimmed" mb={6}>
              {t(`shortcuts.${area}`)}
            </Title>
            <Stack gap={6}>
              {names
                .filter((name) => SHORTCUTS[name].area === area)
                .map((name) => (
                  <Group key={name} justify="space-between">
                    <Text size="sm">{t(`shortcuts.${name}`)}</Text>
                    <Group gap={4}>
                      {SHORTCUTS[name].keys.map((key) => (
                        <Kbd key={key}>{NAMES[key] ?? key}</Kbd>
                      ))}
                    </Group>
                  </Group>
                ))}
            </Stack>
          </section>
        ))}
      </Stack>
    </Modal>
  );
}
