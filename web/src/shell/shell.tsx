import { ActionIcon, AppShell, Group, Menu, SegmentedControl, Text, Tooltip, useMantineColorScheme } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconKeyboard, IconLogout, IconUserCircle, IconUser } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link, NavLink, Outlet } from "react-router";

import { showStatusOptions, signOutMutation } from "../api/generated/@tanstack/react-query.gen";
import { dropSession, useRight, useSession } from "../session/session";
import { Logo } from "./logo";
import { ShortcutHelp } from "./shortcut-help";
import { useShortcuts } from "./shortcuts";
import classes from "./shell.module.css";

/** The frame of every page: where to go, whether the recorder is able, and the own account. */
export function Shell() {
  const { t } = useTranslation();
  const seesSystem = useRight("system.view");
  const [help, { open, close }] = useDisclosure(false);
  useShortcuts({ help: open });
  return (
    <AppShell header={{ height: 56 }} padding={0}>
      <a href="#content" className={classes.skip}>
        {t("shell.skip")}
      </a>
      <AppShell.Header className={classes.header}>
        <Group h="100%" px={{ base: "sm", sm: "lg" }} gap="lg" wrap="nowrap" className={classes.inner}>
          <Link to="/" className={classes.logo} aria-label="Callward">
            <Logo />
          </Link>
          <nav className={classes.nav}>
            <NavLink to="/conversations" className={classes.link}>
              {t("shell.conversations")}
            </NavLink>
            {seesSystem && (
              <NavLink to="/system" className={classes.link}>
                {t("shell.system")}
              </NavLink>
            )}
          </nav>
          <Group ml="auto" gap="sm" wrap="nowrap">
            {seesSystem && <RecorderLight />}
            <AccountMenu showHelp={open} />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Main>
        <main id="content" tabIndex={-1} className={classes.main}>
          <Outlet />
        </main>
      </AppShell.Main>
      <ShortcutHelp opened={help} close={close} />
    </AppShell>
  );
}

function RecorderLight() {
  const { t } = useTranslation();
  const status = useQuery({ ...showStatusOptions(), refetchInterval: 10_000 });
  if (!status.data) return null;
  const able = status.data.able;
  return (
    <Tooltip label={t(able ? "shell.readyHint" : "shell.notReadyHint")}>
      <Link to="/system" className={classes.light} data-able={able}>
        <span className={classes.dot} aria-hidden="true" />
        <span className={classes.lightText}>{t(able ? "shell.ready" : "shell.notReady")}</span>
      </Link>
    </Tooltip>
  );
}

function AccountMenu({ showHelp }: { showHelp: () => void }) {
  const { t } = useTranslation();
  const session = useSession().data;
  const queries = useQueryClient();
  const { colorScheme, setColorScheme } = useMantineColorScheme({ keepTransitions: true });
  const signOut = useMutation({ ...signOutMutation(), onSettled: () => dropSession(queries) });
  return (
    <Menu position="bottom-end" width={250} withinPortal>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" radius="xl" aria-label={t("shell.menu")}>
          <IconUserCircle size={24} stroke={1.6} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <div className={classes.who}>
          <Text size="sm" fw={550} truncate>
            {session?.display_name}
          </Text>
          <Text size="xs" c="dimmed" truncate>
            {session?.user_name}
          </Text>
        </div>
        <Menu.Divider />
        <Menu.Item component={Link} to="/account" leftSection={<IconUser size={16} />}>
          {t("shell.account")}
        </Menu.Item>
        <Menu.Item leftSection={<IconKeyboard size={16} />} onClick={showHelp}>
          {t("shell.shortcuts")}
        </Menu.Item>
        <Menu.Divider />
        <Menu.Label>{t("shell.colours")}</Menu.Label>
        <div className={classes.colours}>
          <SegmentedControl
            fullWidth
            size="xs"
            aria-label={t("shell.colours")}
            value={colorScheme}
            onChange={(value) => setColorScheme(value)}
            data={[
              { value: "light", label: t("shell.light") },
              { value: "dark", label: t("shell.dark") },
              { value: "auto", label: t("shell.auto") },
            ]}
          />
        </div>
        <Menu.Divider />
        <Menu.Item leftSection={<IconLogout size={16} />} onClick={() => signOut.mutate({})}>
          {t("shell.signOut")}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
