/** Where in the page somebody is, as the address says. */

import { useSyncExternalStore } from "react";

/** A page of the settings. */
export type SettingsPage = "general" | "profile" | "devices";

/** Where in the page somebody is. */
export type Place =
  | { readonly kind: "Rooms" }
  | { readonly kind: "Room"; readonly roomId: string; readonly members: boolean }
  | { readonly kind: "Settings"; readonly page: SettingsPage };

const PAGES: readonly SettingsPage[] = ["general", "profile", "devices"];

/** The place of a path; an unknown one is the rooms. */
export function placeOf(path: string): Place {
  const [first, second, third] = path.split("/").filter(Boolean).map(decode);
  if (first === "rooms" && second) return { kind: "Room", roomId: second, members: third === "members" };
  if (first === "settings") return { kind: "Settings", page: PAGES.find((page) => page === second) ?? "general" };
  return { kind: "Rooms" };
}

/** The path of a place. */
export function pathOf(place: Place): string {
  switch (place.kind) {
    case "Rooms":
      return "/";
    case "Room":
      return `/rooms/${encodeURIComponent(place.roomId)}${place.members ? "/members" : ""}`;
    case "Settings":
      return `/settings/${place.page}`;
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}

const listeners = new Set<() => void>();

/** Goes to a place; `replace`: without a step to go back to. */
export function go(place: Place, replace = false): void {
  const path = pathOf(place);
  if (path !== location.pathname) history[replace ? "replaceState" : "pushState"](null, "", path);
  for (const told of listeners) told();
}

function subscribe(told: () => void): () => void {
  listeners.add(told);
  addEventListener("popstate", told);
  return () => {
    listeners.delete(told);
    removeEventListener("popstate", told);
  };
}

let last: { path: string; place: Place } | undefined;

function here(): Place {
  if (last?.path !== location.pathname) last = { path: location.pathname, place: placeOf(location.pathname) };
  return last.place;
}

/** Where in the page somebody is. */
export function usePlace(): Place {
  return useSyncExternalStore(subscribe, here);
}
