import { Button, Group, PasswordInput, Stack, Text } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";

import { changePasswordMutation } from "../api/generated/@tanstack/react-query.gen";
import { FailureNotice } from "../shell/failure-notice";
import { beginSession, useSession } from "./session";

const MINIMUM_CHARACTERS = 12;

/** Changes the own password; used at first sign-in and on the account page. */
export function PasswordForm({ onDone, wide = false }: { onDone: () => void; wide?: boolean }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const userName = useSession().data?.user_name ?? "";
  const [current, setCurrent] = useState("");
  const [wanted, setWanted] = useState("");
  const [again, setAgain] = useState("");
  const mutation = useMutation({
    ...changePasswordMutation(),
    onSuccess: (session) => {
      beginSession(queries, session);
      setCurrent("");
      setWanted("");
      setAgain("");
      onDone();
    },
  });
  const differs = again !== "" && again !== wanted;

  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (again === wanted) mutation.mutate({ body: { current_password: current, new_password: wanted } });
      }}
    >
      <Stack>
        {mutation.isError && <FailureNotice error={mutation.error} />}
        <input type="text" name="username" autoComplete="username" value={userName} readOnly hidden />
        <PasswordInput
          label={t("password.current")}
          autoComplete="current-password"
          required
          withAsterisk={false}
          value={current}
          onChange={(event) => setCurrent(event.currentTarget.value)}
        />
        <PasswordInput
          label={t("password.new")}
          description={t("password.rule", { count: MINIMUM_CHARACTERS })}
          autoComplete="new-password"
          required
          withAsterisk={false}
          minLength={MINIMUM_CHARACTERS}
          value={wanted}
          onChange={(event) => setWanted(event.currentTarget.value)}
        />
        <PasswordInput
          label={t("password.again")}
          autoComplete="new-password"
          required
          withAsterisk={false}
          error={differs ? t("password.differs") : undefined}
          value={again}
          onChange={(event) => setAgain(event.currentTarget.value)}
        />
        <Group mt="xs" justify={wide ? "flex-start" : undefined}>
          <Button type="submit" loading={mutation.isPending} disabled={differs} fullWidth={!wide}>
            {t("password.submit")}
          </Button>
        </Group>
        <Text size="xs" c="dimmed">
          {t("password.endsOthers")}
        </Text>
      </Stack>
    </form>
  );
}
