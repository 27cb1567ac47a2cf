/** A value that changes, for a screen. */

/** A value that changes. */
export interface Observed<T> {
  /** The value as it is. The same object until it changes. */
  readonly now: T;
  /** Calls back after each change, until the answer is called. Several changes in a row may be told as one. */
  subscribe(listener: (value: T) => void): () => void;
  /** Waits until the value is as wanted, and tells it. Rejects with the signal's reason when that is aborted first. */
  until(wanted: (value: T) => boolean, signal?: AbortSignal): Promise<T>;
}

/** A value that is watched as long as it is on a screen: `close` when it is not any more. */
export interface Watched<T> extends Observed<T> {
  /** It is not shown any more: nothing is told after this. */
  close(): void;
}
