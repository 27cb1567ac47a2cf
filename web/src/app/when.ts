/** Times as people read them. */

import type { Language } from "../text/index.js";

const made = new Map<string, Intl.DateTimeFormat>();

/** Making one costs more than using it a thousand times. */
function format(language: Language, name: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${language} ${name}`;
  let found = made.get(key);
  if (!found) made.set(key, (found = new Intl.DateTimeFormat(language, options)));
  return found;
}

/** `오후 3:07` */
export function timeOf(date: Date, language: Language): string {
  return format(language, "time", { hour: "numeric", minute: "2-digit" }).format(date);
}

/** `3:07`, where there is no room for more. */
export function clockOf(date: Date, language: Language): string {
  const parts = format(language, "time", { hour: "numeric", minute: "2-digit" }).formatToParts(date);
  return parts.filter((part) => part.type !== "dayPeriod").map((part) => part.value).join("").trim();
}

/** `2026년 11월 21일 토요일`, from a day as `2026-11-21`. */
export function dayOf(day: string, language: Language): string {
  const options = { year: "numeric", month: "long", day: "numeric", weekday: "long", timeZone: "UTC" } as const;
  return format(language, "day", options).format(new Date(`${day}T00:00:00Z`));
}

/** The whole moment. */
export function momentOf(date: Date, language: Language): string {
  return format(language, "moment", { dateStyle: "long", timeStyle: "short" }).format(date);
}

/** Of today the time, of this year the day, else the date: for a list. */
export function shortly(date: Date, now: Date, language: Language): string {
  if (date.toDateString() === now.toDateString()) return timeOf(date, language);
  if (date.getFullYear() === now.getFullYear()) {
    return format(language, "short", { month: "short", day: "numeric" }).format(date);
  }
  return format(language, "date", { year: "2-digit", month: "numeric", day: "numeric" }).format(date);
}
