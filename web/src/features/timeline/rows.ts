/** How the items of a timeline stand below each other. */

import type { MessageItem, TimelineItem } from "@madang/client";

/** Messages of one person that are not further apart stand below one name. */
const TOGETHER_MS = 5 * 60_000;

/** Whether a message begins with its sender's name: not when it goes on what stands above it. */
export function hasHead(above: TimelineItem | undefined, item: MessageItem): boolean {
  if (above?.kind !== "Message" || above.sender.id !== item.sender.id) return true;
  return Math.abs(item.createdAt.getTime() - above.createdAt.getTime()) > TOGETHER_MS;
}

/** In a list that is longer, older items are fetched before anybody sees the first ones. */
const LONG = 25;

/**
 * How many of the first items are not drawn, because it is not known what stands above them. The line of their day stands higher up
 * once that comes, and the first message then may have no name above it: it would move before one's eyes.
 */
export function unsettled(items: readonly TimelineItem[], begins: boolean): number {
  if (begins || items.length <= LONG) return 0;
  const first = items.findIndex((item) => item.kind !== "DayLine");
  // Below the line of new messages stands a name, whatever is above it.
  return items[first]?.kind === "NewLine" ? first : first + 1;
}

/** Whether two lists have an item in common. Lines are drawn wherever items are. */
export function haveCommon(one: readonly TimelineItem[], other: readonly TimelineItem[]): boolean {
  const keys = new Set(one.map((item) => item.key));
  return other.some((item) => item.kind !== "DayLine" && item.kind !== "NewLine" && keys.has(item.key));
}

/** The newest message of one's own that can be edited. */
export function lastOwn(items: readonly TimelineItem[]): MessageItem | undefined {
  return items.findLast(
    (item): item is MessageItem => item.kind === "Message" && item.mine && !item.deleted && item.change?.deletes !== true,
  );
}

/** Where one began to read: the line of new messages, if there is one. */
export function newLineIndex(items: readonly TimelineItem[]): number {
  return items.findIndex((item) => item.kind === "NewLine");
}

/** The position of the last item up to an index that has one. */
export function seqUpTo(items: readonly TimelineItem[], index: number): number {
  for (let at = Math.min(index, items.length - 1); at >= 0; at -= 1) {
    const item = items[at];
    if (item && "seq" in item && item.seq !== undefined) return item.seq;
  }
  return 0;
}

/** People who have read a message, as the marks at it and below it say. */
export function readersFrom(items: readonly TimelineItem[], index: number): string[] {
  const names = new Map<string, string>();
  for (const item of items.slice(index)) {
    if (item.kind === "Message") for (const reader of item.readersHere) names.set(reader.id, reader.name);
  }
  return [...names.values()];
}
