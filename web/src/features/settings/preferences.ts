/** What a person chose for this browser. Nothing secret: it lies in `localStorage`, where all tabs hear of it. */

import { useSyncExternalStore } from "react";

export interface Preferences {
  readonly language: "system" | "ko" | "en";
  readonly theme: "system" | "light" | "dark";
  readonly notify: "off" | "mentions" | "all";
}

export const CHOICES = {
  language: ["system", "ko", "en"],
  theme: ["system", "light", "dark"],
  notify: ["off", "mentions", "all"],
} as const;

const KEY = "madang.preferences";
const DEFAULT: Preferences = { language: "system", theme: "system", notify: "off" };

/** Preferences as they were kept; what cannot be read is as at the beginning. */
export function preferencesFrom(kept: string | null): Preferences {
  let read: Record<string, unknown> = {};
  try {
    const parsed: unknown = JSON.parse(kept ?? "{}");
    if (parsed && typeof parsed === "object") read = parsed as Record<string, unknown>;
  } catch {
    // Damaged: the defaults.
  }
  const pick = <T extends string>(choices: readonly T[], value: unknown, otherwise: T) =>
    choices.find((choice) => choice === value) ?? otherwise;
  return {
    language: pick(CHOICES.language, read["language"], DEFAULT.language),
    theme: pick(CHOICES.theme, read["theme"], DEFAULT.theme),
    notify: pick(CHOICES.notify, read["notify"], DEFAULT.notify),
  };
}

function kept(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // denied in some private windows
  }
}

let current = preferencesFrom(kept());
const listeners = new Set<() => void>();

function become(next: Preferences): void {
  current = next;
  for (const told of listeners) told();
}

/** Changes some of them, in all tabs. */
export function choose(change: Partial<Preferences>): void {
  const next = { ...current, ...change };
  try {
    localStorage.setItem(KEY, JSON.stringify(next));
  } catch {
    // For this page they hold all the same.
  }
  become(next);
}

function subscribe(told: () => void): () => void {
  listeners.add(told);
  const heard = (event: StorageEvent) => {
    if (event.key === KEY) become(preferencesFrom(event.newValue));
  };
  addEventListener("storage", heard);
  return () => {
    listeners.delete(told);
    removeEventListener("storage", heard);
  };
}

/** Preferences as they are now. */
export function preferences(): Preferences {
  return current;
}

/** Preferences as they are. */
export function usePreferences(): Preferences {
  return useSyncExternalStore(subscribe, preferences);
}
