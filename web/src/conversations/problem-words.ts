import { useTranslation } from "react-i18next";

import type { ProblemView } from "../api/generated/types.gen";
import { en } from "../locales/en";

type Known = Exclude<keyof typeof en.problem, "unknown_title" | "unknown_text">;

function isKnown(code: string): code is Known {
  return Object.hasOwn(en.problem, code) && !code.startsWith("unknown_t");
}

export interface Words {
  title: string;
  text: string;
}

/** A problem in plain language; a code without words shows as itself. */
export function useProblemWords(): (problem: ProblemView) => Words {
  const { t } = useTranslation();
  return ({ code }) =>
    isKnown(code)
      ? { title: t(`problem.${code}.title`), text: t(`problem.${code}.text`) }
      : { title: code.replaceAll("_", " ") || t("problem.unknown_title"), text: t("problem.unknown_text") };
}
