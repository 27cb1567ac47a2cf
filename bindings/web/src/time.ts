/** Time and chance. */

import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import type { Backoff } from "./config.js";

/** Longest wait of a browser's timer; what is longer would end at once. */
const LONGEST_MS = 2 ** 31 - 1;

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Ends after a while, or when the signal is aborted, whichever comes first. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, Math.min(ms, LONGEST_MS));
    signal?.addEventListener("abort", done);
  });
}

/** The wait before the attempt after so many failures, with full jitter. */
export function delayMs({ baseMs, capMs }: Backoff, failures: number): number {
  return Math.random() * Math.min(capMs, baseMs * 2 ** Math.min(failures - 1, 30));
}

/** A fresh version 7 id. */
export function newId(now = Date.now()): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let at = 0; at < 6; at++) bytes[at] = Math.floor(now / 2 ** (8 * (5 - at))) % 256;
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** Whether a text is an id, of any version. */
export function isId(text: string): boolean {
  return ID.test(text);
}

/** A duration of the wire, or a time as milliseconds since 1970. */
export function msOf({ seconds, nanos }: Pick<Duration | Timestamp, "seconds" | "nanos">): number {
  return Number(seconds) * 1000 + Math.round(nanos / 1_000_000);
}

/** A time of the wire; what cannot be told apart from nothing is 1970. */
export function dateOf(time: Timestamp | undefined): Date {
  const date = new Date(time ? msOf(time) : 0);
  return Number.isNaN(date.getTime()) ? new Date(0) : date;
}

/** A time of the wire, of milliseconds since 1970. */
export function timestampOf(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1000);
  return { $typeName: "google.protobuf.Timestamp", seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1000) * 1_000_000) };
}
