/** The items of a window: rows, then what waits in the outbox, with lines between them. */

import * as outbox from "../../store/outbox.js";
import type { Read } from "../../store/store.js";
import type { TimelineItem } from "../item.js";
import { echoOf, isOf, layOver } from "../messages.js";
import type { Names } from "../names.js";
import { type Held, Rows } from "./rows.js";
import type { Ground, Window } from "./window.js";

/** What a window shows. */
export interface Page {
  /** What is kept for the next read. */
  readonly rows: Rows;
  readonly items: readonly TimelineItem[];
}

/** What decides on lines. */
export interface Lines {
  /** The day of a time, as in `2026-11-21`. */
  readonly dayOf: (time: Date) => string;
  /** The last item that was read when the timeline was opened, if anything was unread. */
  readonly unreadAfter: number | undefined;
}

/** The items of a window. */
export async function readPage(
  r: Read,
  { state, first }: Ground,
  window: Window,
  lines: Lines,
  names: Names,
  held: Held,
): Promise<Page> {
  const { roomId } = state;
  const atNewest = window.high === 0n;
  // All at once: each answer takes its time to come.
  const [rows, echoes, edits] = await Promise.all([
    Rows.read(r, state, [window.low, atNewest ? state.seq : window.high], names, held),
    atNewest ? outbox.shown(r.tx, roomId, state.seq) : [],
    outbox.edits(r.tx, roomId),
  ]);
  const { items, own } = rows;
  for (const entry of echoes) if (!own.has(entry.changeId)) items.push(await echoOf(entry, r.me, names));
  for (const entry of edits) {
    for (const [at, item] of items.entries()) {
      if (item.kind === "Message" && isOf(entry, item)) items[at] = layOver(item, entry);
    }
  }
  return { rows, items: withLines(items, lines, window.low <= first) };
}

/**
 * Puts lines in. A day is begun once: an item whose time is a little earlier than that of the one before it, because a server's
 * clock was set, stays under the line that is there. `begins`: nothing comes before the first item.
 */
export function withLines(items: readonly TimelineItem[], lines: Lines, begins: boolean): TimelineItem[] {
  const all: TimelineItem[] = [];
  let [day, before]: [string, number | undefined] = ["", undefined];
  const read = lines.unreadAfter;
  for (const item of items) {
    const date = "createdAt" in item ? lines.dayOf(item.createdAt) : "";
    if (date > day) {
      all.push({ kind: "DayLine", key: `day:${date}`, date });
      day = date;
    }
    const seq = "seq" in item ? item.seq : undefined;
    if (read !== undefined && seq !== undefined) {
      const first = before === undefined ? begins || seq === read + 1 : before <= read;
      if (first && seq > read) all.push({ kind: "NewLine", key: "new" });
    }
    before = seq ?? before;
    all.push(item);
  }
  return all;
}
