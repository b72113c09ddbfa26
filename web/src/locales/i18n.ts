import i18next from "i18next";
import { initReactI18next } from "react-i18next";

import { en } from "./en";

type Wording = typeof en;
type Partly<T> = { [K in keyof T]?: T[K] extends object ? Partly<T[K]> : string };
/** A language in work: what it does not have yet shows in English. */
export type Translation = Partly<Wording>;

const LANGUAGES: Record<string, () => Promise<{ translation: Translation }>> = {
  fr: () => import("./fr"),
  nl: () => import("./nl"),
  de: () => import("./de"),
  sv: () => import("./sv"),
};

declare module "i18next" {
  interface CustomTypeOptions {
    defaultNS: "translation";
    resources: { translation: Wording };
  }
}

/** Starts with English and adds the browser's language when it has words of its own. */
export async function startI18n(): Promise<void> {
  await i18next.use(initReactI18next).init({
    lng: "en",
    fallbackLng: "en",
    resources: { en: { translation: en } },
    // React escapes everything that it renders.
    interpolation: { escapeValue: false },
  });
  const wanted = navigator.languages.map((tag) => tag.split("-")[0] ?? "").find((tag) => tag === "en" || tag in LANGUAGES);
  const load = wanted ? LANGUAGES[wanted] : undefined;
  if (wanted && load) {
    const { translation } = await load();
    if (Object.keys(translation).length > 0) {
      i18next.addResourceBundle(wanted, "translation", translation);
      await i18next.changeLanguage(wanted);
    }
  } else {
    // Dates as the browser writes them (en-GB, en-US); the words stay English.
    const english = navigator.languages.find((tag) => tag.startsWith("en"));
    if (english) await i18next.changeLanguage(english);
  }
  document.documentElement.lang = i18next.language;
}
