/** How the items of a timeline stand below each other. */

import type { MessageItem, TimelineItem } from "@madang/client";

/** Messages of one person that are not further apart stand below one name. */
const TOGETHER_MS = 5 * 60_000;

/** Whether a message begins with its sender's name: not when it goes on what stands above it. */
export function hasHead(above: TimelineItem | undefined, item: MessageItem): boolean {
  if (above?.kind !== "Message" || above.sender.id !== item.sender.id) return true;
  return Math.abs(item.createdAt.getTime() - above.createdAt.getTime()) > TOGETHER_MS;
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
