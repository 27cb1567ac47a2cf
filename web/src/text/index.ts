/** What the page says: a catalogue for each language, with the same keys. */

import { createContext, useContext } from "react";
import { en, type Catalogue } from "./en.js";
import { ko } from "./ko.js";

export type { Catalogue };

/** A language of the page. */
export type Language = "ko" | "en";

export const catalogues: Readonly<Record<Language, Catalogue>> = { ko, en };

/** The language that fits what the browser wants: the first of its languages that is there. */
export function languageOf(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    const language = tag.toLowerCase().split("-")[0];
    if (language === "ko" || language === "en") return language;
  }
  return "en";
}

export const LanguageContext = createContext<Language>("en");

/** The language of the page. */
export function useLanguage(): Language {
  return useContext(LanguageContext);
}

/** The catalogue of the page's language. */
export function useText(): Catalogue {
  return catalogues[useLanguage()];
}
