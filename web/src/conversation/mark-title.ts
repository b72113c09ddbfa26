import { useCallback } from "react";
import { useTranslation } from "react-i18next";

import type { MarkView } from "../api/generated/types.gen";
import { en } from "../locales/en";

function isKnown(kind: string): kind is keyof typeof en.mark {
  return Object.hasOwn(en.mark, kind);
}

export function useMarkTitle(): (mark: MarkView) => string {
  const { t } = useTranslation();
  return useCallback(
    (mark) => {
      const title = isKnown(mark.kind) ? t(`mark.${mark.kind}`) : mark.kind.replaceAll("_", " ");
      return mark.detail ? `${title}: ${mark.detail}` : title;
    },
    [t],
  );
}
