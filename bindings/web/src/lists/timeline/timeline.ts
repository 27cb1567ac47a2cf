/** The timeline of a room. */

import type { TimelineItem } from "../item.js";
import type { LiveList } from "../list.js";

/** Where a timeline lies. */
export type Anchor =
  /** At the newest item, which it follows. */
  | "Newest"
  /** Around the first unread item; at the newest when everything is read. */
  | "FirstUnread"
  /** Around an item, by position. */
  | { readonly seq: number }
  /** Around the first item of a time or after it. */
  | { readonly date: Date };

/** How a timeline is opened. */
export interface TimelineOptions {
  /** Where it lies at first; absent: `Newest`. */
  readonly anchor?: Anchor | undefined;
  /** Where days begin, as in `Asia/Seoul`; absent: where the browser is. */
  readonly timeZone?: string | undefined;
}

/**
 * An open timeline: an unbroken piece of the room, oldest first, then what waits in the outbox, if the piece reaches the newest
 * item. A message of one's own is one item from the moment it is typed to the day it is deleted. Open means on the screen: the
 * room is in focus until it is closed. At most 2,000 items are held; what is beyond is let go of at the other end.
 */
export interface Timeline extends LiveList<TimelineItem> {
  /** The room. */
  readonly roomId: string;
  /** Whether it ends with the newest item, and so follows it. */
  readonly isAtNewest: boolean;
  /** Whether it begins with the first item that the person may see. */
  readonly isAtOldest: boolean;
  /** Items of the room that come after the last one here; 0 at the newest. */
  readonly newer: number;
  /**
   * Shows up to `count` older items, from the store or else from the server; they come as changes. Tells whether there are
   * still older ones.
   */
  loadOlder(count: number): Promise<boolean>;
  /** Shows up to `count` newer items, as `loadOlder` does older ones. */
  loadNewer(count: number): Promise<boolean>;
  /** Lies elsewhere from now on; that comes as changes. Rejects, and stays, when nothing is held there and nothing can be fetched. */
  jump(anchor: Anchor): Promise<void>;
  /**
   * Says which item is in front of the person, when that is not the newest: should the room begin anew after a long time
   * without a connection, it is what stays on the screen.
   */
  scrolledTo(seq: number | undefined): void;
}
