import { Button, Center, Stack, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { createBrowserRouter, Link, Navigate } from "react-router";

import { AccountPage } from "./session/account-page";
import { FirstPasswordPage } from "./session/first-password-page";
import { Guard } from "./session/guard";
import { SignInPage } from "./session/sign-in-page";
import { ListPage } from "./conversations/list-page";
import { Shell } from "./shell/shell";

export const router = createBrowserRouter([
  { path: "/sign-in", element: <SignInPage />, errorElement: <Broken /> },
  { path: "/first-password", element: <FirstPasswordPage />, errorElement: <Broken /> },
  {
    element: <Guard />,
    errorElement: <Broken />,
    hydrateFallbackElement: <></>,
    children: [
      {
        element: <Shell />,
        children: [
          { path: "/", element: <Navigate to="/conversations" replace /> },
          { path: "/conversations", element: <ListPage /> },
          {
            path: "/conversations/:id",
            lazy: async () => ({ Component: (await import("./conversation/conversation-page")).ConversationPage }),
          },
          { path: "/system", lazy: async () => ({ Component: (await import("./system/system-page")).SystemPage }) },
          { path: "/account", element: <AccountPage /> },
          { path: "*", element: <NotFound /> },
        ],
      },
    ],
  },
]);

function NotFound() {
  const { t } = useTranslation();
  return (
    <Center mih="50vh">
      <Stack align="center">
        <Text>{t("shell.notFound")}</Text>
        <Button component={Link} to="/conversations" variant="default">
          {t("shell.notFoundBack")}
        </Button>
      </Stack>
    </Center>
  );
}

function Broken() {
  const { t } = useTranslation();
  return (
    <Center mih="80vh">
      <Stack align="center">
        <Text>{t("shell.broken")}</Text>
        <Button variant="default" onClick={() => window.location.reload()}>
          {t("shell.reload")}
        </Button>
      </Stack>
    </Center>
  );
}
