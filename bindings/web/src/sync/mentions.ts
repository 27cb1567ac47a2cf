/** Unread mentions: a list of positions beside the rows, because a room that nobody looks at has no rows to count in. */

import type { Message } from "../gen/madang/v1/message_pb.js";

/** Most mentions a server names; clients show 99+ then, and the list is a beginning, not the whole. */
const MENTIONS = 100;

/** Where a list comes from. */
export type Place =
  /** A summary that is at least as new as what is held: it replaces. */
  | "Newest"
  /** A membership, which says nothing about how new its list is beside the room's events. */
  | "Person"
  /** A verdict older than what is held: it says nothing. */
  | "Older";

/** Updates the list by one message: in, if it mentions the person unread, else out. */
export function mentionsByMessage(list: bigint[], message: Message, me: string, lastReadSeq: bigint): void {
  const mentions = message.mentionsAll || message.mentionedUserIds.includes(me);
  const counts = mentions && message.senderId !== me && !message.tombstone && message.seq > lastReadSeq;
  const above = list.findIndex((seq) => seq >= message.seq);
  const at = above < 0 ? list.length : above;
  const there = list[at] === message.seq;
  if (there && !counts) list.splice(at, 1);
  else if (!there && counts && list.length < MENTIONS) list.splice(at, 0, message.seq);
}

/**
 * Merges a list that came with a membership. A list that was cut, or one under a new generation (older messages are unread
 * again), takes both; otherwise the events have told what the list says.
 */
export function mentionsByList(
  list: readonly bigint[],
  other: readonly bigint[],
  place: Place,
  newGeneration: boolean,
): bigint[] {
  const both = place === "Person" && (newGeneration || list.length >= MENTIONS || other.length >= MENTIONS);
  if (place !== "Newest" && !both) return [...list];
  const all = new Set(place === "Newest" ? other : [...list, ...other]);
  return [...all].sort((one, two) => (one < two ? -1 : 1)).slice(0, MENTIONS);
}
