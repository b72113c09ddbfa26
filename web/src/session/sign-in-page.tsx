import { Button, PasswordInput, Stack, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { Navigate, useNavigate, useSearchParams } from "react-router";

import { signInMutation } from "../api/generated/@tanstack/react-query.gen";
import { FailureNotice } from "../shell/failure-notice";
import { usePageTitle } from "../shell/page-title";
import { Entrance } from "./entrance";
import { nextPath } from "./next";
import { beginSession, useSession } from "./session";

export function SignInPage() {
  const { t } = useTranslation();
  usePageTitle(t("signIn.title"));
  const session = useSession();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [search] = useSearchParams();
  const [userName, setUserName] = useState("");
  const [password, setPassword] = useState("");
  const passwordField = useRef<HTMLInputElement>(null);
  const mutation = useMutation({
    ...signInMutation(),
    onSuccess: (opened) => {
      beginSession(queries, opened);
      void navigate(nextPath(search), { replace: true });
    },
    onError: () => {
      setPassword("");
      passwordField.current?.focus();
    },
  });
  if (session.data && !mutation.isPending) return <Navigate to={nextPath(search)} replace />;

  return (
    <Entrance title={t("signIn.title")} text={t("signIn.text")}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          mutation.mutate({ body: { user_name: userName, password } });
        }}
      >
        <Stack>
          {mutation.isError && <FailureNotice error={mutation.error} />}
          <TextInput
            label={t("signIn.userName")}
            placeholder={t("signIn.userNameExample")}
            name="username"
            autoComplete="username"
            autoCapitalize="none"
            spellCheck={false}
            required
            withAsterisk={false}
            autoFocus
            value={userName}
            onChange={(event) => setUserName(event.currentTarget.value)}
          />
          <PasswordInput
            ref={passwordField}
            label={t("signIn.password")}
            name="password"
            autoComplete="current-password"
            required
            withAsterisk={false}
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
          />
          <Button type="submit" loading={mutation.isPending} mt="xs" fullWidth>
            {t("signIn.submit")}
          </Button>
        </Stack>
      </form>
    </Entrance>
  );
}
