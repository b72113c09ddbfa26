import { Center, Loader } from "@mantine/core";
import { Navigate, Outlet, useLocation } from "react-router";

import { FailureNotice } from "../shell/failure-notice";
import { useSession } from "./session";

/** Lets pages show only to somebody who is signed in and has a password of their own. */
export function Guard() {
  const session = useSession();
  const location = useLocation();
  if (session.isPending) {
    return (
      <Center mih="100dvh">
        <Loader type="dots" />
      </Center>
    );
  }
  if (session.isError) {
    return <FailureNotice error={session.error} retry={() => void session.refetch()} page />;
  }
  const here = location.pathname + location.search;
  if (session.data === null) {
    return <Navigate to={here === "/" ? "/sign-in" : `/sign-in?next=${encodeURIComponent(here)}`} replace />;
  }
  if (session.data.must_change_password) {
    return <Navigate to={`/first-password?next=${encodeURIComponent(here)}`} replace />;
  }
  return <Outlet />;
}
