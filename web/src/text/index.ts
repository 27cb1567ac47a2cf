/** What the page says: a catalogue for each language, with the same keys. Only the one that is read is fetched. */

import { createContext, useContext } from "react";
import type { Catalogue } from "./en.js";

export type { Catalogue };

/** A language of the page. */
export type Language = "ko" | "en";

/** Fetches a catalogue. */
export async function catalogueOf(language: Language): Promise<Catalogue> {
  return language === "ko" ? (await import("./ko.js")).ko : (await import("./en.js")).en;
}

/** The language that fits what the browser wants: the first of its languages that is there. */
export function languageOf(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    const language = tag.toLowerCase().split("-")[0];
    if (language === "ko" || language === "en") return language;
  }
  return "en";
}

/** What the page is in. */
export interface Wording {
  readonly language: Language;
  readonly text: Catalogue;
}

export const WordingContext = createContext<Wording | undefined>(undefined);

function useWording(): Wording {
  const wording = useContext(WordingContext);
  if (!wording) throw new Error("there is no language above this component");
  return wording;
}

/** The language of the page. */
export function useLanguage(): Language {
  return useWording().language;
}

/** The catalogue of the page's language. */
export function useText(): Catalogue {
  return useWording().text;
}
