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

/** A value that this program changes. */
export class Cell<T> implements Observed<T> {
  readonly #listeners = new Set<(value: T) => void>();

  constructor(private value: T) {}

  get now(): T {
    return this.value;
  }

  /** Tells the value, if it is another. */
  set(value: T): void {
    if (Object.is(value, this.value)) return;
    this.value = value;
    for (const listener of [...this.#listeners]) listener(value);
  }

  subscribe(listener: (value: T) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  until(wanted: (value: T) => boolean, signal?: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      if (wanted(this.value)) return resolve(this.value);
      const abort = () => {
        leave();
        reject(signal?.reason);
      };
      const leave = this.subscribe((value) => {
        if (!wanted(value)) return;
        leave();
        signal?.removeEventListener("abort", abort);
        resolve(value);
      });
      signal?.addEventListener("abort", abort, { once: true });
    });
  }
}

/** Wakes one that waits. Rung while nobody waits, it wakes the next wait at once. */
export class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** Waits for the bell, at most so long; ends also with the signal. */
  async wait(signal?: AbortSignal, mostMs?: number): Promise<void> {
    if (!this.#rung && !signal?.aborted) {
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer);
          signal?.removeEventListener("abort", done);
          // Another may wait by now, where this one was given up.
          if (this.#wake === done) this.#wake = undefined;
          resolve();
        };
        const timer = mostMs === undefined ? undefined : setTimeout(done, mostMs);
        this.#wake = done;
        signal?.addEventListener("abort", done);
      });
    }
    this.#rung = false;
  }
}
