/**
 * Read marks. They merge by maximum within one generation, and a greater generation replaces: so neither an old device nor an
 * old message of one's own undoes "mark as unread".
 */

import type { Message } from "../gen/madang/v1/message_pb.js";
import type { Membership } from "../gen/madang/v1/room_pb.js";

/** How far a person has read. */
export interface Mark {
  /** Raised by "mark as unread". */
  readonly generation: bigint;
  /** Everything up to here. */
  readonly seq: bigint;
  /** Countable items up to there. */
  readonly count: bigint;
}

/** Nothing is read. */
export const NO_MARK: Mark = { generation: 0n, seq: 0n, count: 0n };

/** The mark of a membership. */
export function markOf(membership: Membership | undefined): Mark {
  if (!membership) return NO_MARK;
  return { generation: membership.readGeneration, seq: membership.lastReadSeq, count: membership.readCount };
}

/** The mark that a message of one's own carries, if it moved it. */
export function markOfOwn(message: Message, me: string): Mark | undefined {
  if (message.markGeneration === undefined || message.senderId !== me) return undefined;
  return { generation: message.markGeneration, seq: message.seq, count: message.count };
}

/** Both marks in one. The order of the fields is the rule: generation first. */
export function mergeMarks(one: Mark, other: Mark): Mark {
  const order =
    compare(one.generation, other.generation) || compare(one.seq, other.seq) || compare(one.count, other.count);
  return order >= 0 ? one : other;
}

/** Unread items of a room. */
export function unreadOf(mark: Mark, count: bigint, firstCount: bigint): bigint {
  const read = mark.count > firstCount ? mark.count : firstCount;
  return count > read ? count - read : 0n;
}

/** Puts a mark into a membership. */
export function writeMark(mark: Mark, membership: Membership): void {
  membership.readGeneration = mark.generation;
  membership.lastReadSeq = mark.seq;
  membership.readCount = mark.count;
}

function compare(one: bigint, other: bigint): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
