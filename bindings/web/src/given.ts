/** What a host gives, checked: plain JavaScript gives anything, whatever the types say. */

import { ClientError } from "./error.js";
import type { MessageKey } from "./lists/item.js";

/** Items that are asked for at once at most: more than a timeline holds. */
const MOST = 2_000;

/** A position. */
export function positionOf(seq: number): bigint {
  if (!Number.isSafeInteger(seq)) throw new ClientError("Invalid", `${seq} is no position`);
  return BigInt(seq);
}

/** What names a message: the client's id of one's own, or a position. */
export function keyOf(key: MessageKey): string | bigint {
  return typeof key === "string" ? key : positionOf(key);
}

/** A time, as milliseconds since 1970. */
export function timeOf(date: Date): number {
  const ms = date.getTime();
  if (Number.isNaN(ms)) throw new ClientError("Invalid", "that date is none");
  return ms;
}

/** How many items; what is none is one. */
export function countOf(count: number): bigint {
  return BigInt(count >= 1 ? Math.min(Math.trunc(count), MOST) : 1);
}
