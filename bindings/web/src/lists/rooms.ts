/** The room list. */

import type { RoomItem } from "./item.js";
import type { LiveList } from "./list.js";
import type { RoomFilter, RoomSort } from "./query.js";

/** The room list. A batch without a change says that only the total is another. */
export interface RoomList extends LiveList<RoomItem> {
  /** How many rooms the query wants, in the window or not. */
  readonly total: number;
  /** Shows other places. That comes as changes. */
  setWindow(start: number, end: number): void;
  /** Shows other rooms. That comes as changes. */
  setFilter(filter: RoomFilter): void;
  /** Shows rooms in another order. That comes as changes. */
  setSort(sort: RoomSort): void;
}
