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
      // Marks of the media process name their track; nobody knows a stream by that.
      const kind = mark.kind.replace(/^track_/, "");
      const title = isKnown(kind) ? t(`mark.${kind}`) : kind.replaceAll("_", " ");
      return mark.detail && kind === mark.kind ? `${title}: ${mark.detail}` : title;
    },
    [t],
  );
}
