import type { Translation } from "./i18n";

export const translation: Translation = {};
