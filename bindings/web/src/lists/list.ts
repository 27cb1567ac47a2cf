/** What all lists have in common. */

import type { ListChange } from "./diff.js";

/**
 * A list that is followed. It is whole from the beginning, from the store. It has one follower: `onDiff`, or the loop over its
 * batches, or `next`. One that lags costs nothing and is told the whole list. `close` it when it is not shown any more.
 */
export interface LiveList<T> extends AsyncIterable<readonly ListChange<T>[]> {
  /** The items after the changes that were told. The same array until changes are told. */
  readonly items: readonly T[];
  /**
   * Waits until something has changed, and tells all of it in one batch. Nothing is lost when the wait is given up by the
   * signal, whose reason it then rejects with. `undefined`: the list was closed, or the client has ended.
   */
  next(signal?: AbortSignal): Promise<readonly ListChange<T>[] | undefined>;
  /** Calls back with each batch and the items after it, until the answer is called. */
  onDiff(listener: (changes: readonly ListChange<T>[], items: readonly T[]) => void): () => void;
  /** It is not shown any more: it ends, and `next` answers `undefined`. */
  close(): void;
}
