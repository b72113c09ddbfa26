import { useTranslation } from "react-i18next";
import { Navigate, useNavigate, useSearchParams } from "react-router";

import { usePageTitle } from "../shell/page-title";
import { Entrance } from "./entrance";
import { nextPath } from "./next";
import { PasswordForm } from "./password-form";
import { useSession } from "./session";

export function FirstPasswordPage() {
  const { t } = useTranslation();
  usePageTitle(t("firstPassword.title"));
  const session = useSession();
  const navigate = useNavigate();
  const [search] = useSearchParams();
  if (session.data === null) return <Navigate to="/sign-in" replace />;
  if (session.data && !session.data.must_change_password) return <Navigate to={nextPath(search)} replace />;
  return (
    <Entrance title={t("firstPassword.title")} text={t("firstPassword.text")}>
      <PasswordForm onDone={() => void navigate(nextPath(search), { replace: true })} />
    </Entrance>
  );
}
