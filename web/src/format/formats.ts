import { useMemo } from "react";
import { useTranslation } from "react-i18next";

const DAY_MS = 86_400_000;

/** `1:04:09`, `4:09` or, with `tenths`, `4:09.3`. */
export function clock(ms: number, tenths = false): string {
  const whole = Math.max(0, tenths ? Math.floor(ms / 100) / 10 : Math.round(ms / 1000));
  const seconds = Math.floor(whole);
  const h = Math.floor(seconds / 3600);
  const m = Math.floor((seconds % 3600) / 60);
  const s = String(seconds % 60).padStart(2, "0");
  const text = h > 0 ? `${h}:${String(m).padStart(2, "0")}:${s}` : `${m}:${s}`;
  return tenths ? `${text}.${Math.floor((whole * 10) % 10)}` : text;
}

export interface Formats {
  /** The day as a heading: today, yesterday, or the date. */
  day: (at: string) => string;
  time: (at: string) => string;
  dateTime: (at: string) => string;
  bytes: (size: number) => string;
  number: (value: number, digits?: number) => string;
}

export function useFormats(): Formats {
  const { i18n } = useTranslation();
  const language = i18n.language;
  return useMemo(() => {
    const time = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    const dateTime = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
    const date = new Intl.DateTimeFormat(language, { weekday: "long", day: "numeric", month: "long" });
    const dateYear = new Intl.DateTimeFormat(language, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
    const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
    return {
      day: (at) => {
        const then = new Date(at);
        const now = new Date();
        const days = Math.round((startOfDay(then) - startOfDay(now)) / DAY_MS);
        if (days === 0 || days === -1) return capital(relative.format(days, "day"));
        return capital((then.getFullYear() === now.getFullYear() ? date : dateYear).format(then));
      },
      time: (at) => time.format(new Date(at)),
      dateTime: (at) => dateTime.format(new Date(at)),
      bytes: (size) => {
        const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
        const power = Math.min(units.length - 1, size > 0 ? Math.floor(Math.log10(size) / 3) : 0);
        return new Intl.NumberFormat(language, {
          style: "unit",
          unit: units[power] ?? "byte",
          maximumFractionDigits: power > 1 ? 1 : 0,
        }).format(size / 1000 ** power);
      },
      number: (value, digits = 0) => new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value),
    };
  }, [language]);
}

function startOfDay(at: Date): number {
  return new Date(at.getFullYear(), at.getMonth(), at.getDate()).getTime();
}

function capital(text: string): string {
  return text.charAt(0).toLocaleUpperCase() + text.slice(1);
}
