/** What all lists have in common. */

import { type Changes, isEmpty, type Listener } from "../changes.js";
import type { Core } from "../engine/core.js";
import { failureOf } from "../net/failure.js";
import { delayMs, sleep } from "../time.js";
import { differences, type ListChange } from "./diff.js";

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

/** A list that is read from the store again whenever something has changed, and tells what is different. */
export abstract class FollowedList<T> implements LiveList<T> {
  readonly #followers = new Set<(changes: readonly ListChange<T>[], items: readonly T[]) => void>();
  #told: readonly T[] = [];
  /** As it is, where that is not told yet. */
  #now: readonly T[] | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #stale = true;
  #pumping = false;

  protected constructor(
    protected readonly core: Core,
    protected readonly listener: Listener,
    private readonly keyOf: (item: T) => string,
  ) {}

  get items(): readonly T[] {
    return this.#told;
  }

  /** Reads the list as it is: `changes` is what was told since the last time. */
  protected abstract read(changes: Changes): Promise<readonly T[] | undefined>;

  /** Something beside the items that is to be told, as a batch without a change. */
  protected tellsMore(): boolean {
    return false;
  }

  /** A batch is told. */
  protected told(): void {}

  /** The list with all changes. */
  protected get latest(): readonly T[] {
    return this.#now ?? this.#told;
  }

  /** Reads for the first time. */
  protected async begin(): Promise<void> {
    try {
      await this.refresh();
    } catch (error) {
      this.close();
      throw error;
    }
    this.#told = this.latest;
    this.#now = undefined;
    this.tellsMore();
    this.told();
  }

  /** Reads again if anything has changed since it was read. */
  protected refreshIfStale(): Promise<void> {
    return this.#turn.then(() => (this.#stale || !isEmpty(this.listener.dirty) ? this.refresh() : undefined));
  }

  /** Reads again, one after the other; `first`: what changes that which is read, so that no read on its way undoes it. */
  protected refresh(first?: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(async () => {
      await first?.();
      this.#stale = true;
      const changes = this.listener.take();
      const items = await this.read(changes).catch((error: unknown) => {
        // What was not read is still to be.
        this.listener.hear(changes);
        throw error;
      });
      this.#stale = false;
      if (items) this.#now = items;
      this.listener.wake();
    });
    this.#turn = turn.catch(() => undefined).then(() => this.listener.hasRead());
    return turn;
  }

  async next(signal?: AbortSignal): Promise<readonly ListChange<T>[] | undefined> {
    for (;;) {
      signal?.throwIfAborted();
      if (this.listener.ended) return undefined;
      const batch = this.#batch();
      if (batch) return batch;
      if (!this.#stale) await this.listener.changed(signal);
      if (this.listener.ended) return undefined;
      if (this.#stale || !isEmpty(this.listener.dirty)) await this.#readOrWait(signal);
    }
  }

  onDiff(listener: (changes: readonly ListChange<T>[], items: readonly T[]) => void): () => void {
    this.#followers.add(listener);
    void this.#pump();
    return () => this.#followers.delete(listener);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<readonly ListChange<T>[]> {
    for (let batch = await this.next(); batch; batch = await this.next()) yield batch;
  }

  close(): void {
    this.listener.close();
  }

  /** All changes that were not told, which from now on are; `undefined`: there is none. */
  #batch(): readonly ListChange<T>[] | undefined {
    const now = this.#now;
    this.#now = undefined;
    const changes = now ? differences(this.#told, now, this.keyOf) : [];
    if (now && changes.length > 0) this.#told = now;
    if (!this.tellsMore() && changes.length === 0) return undefined;
    this.told();
    return changes;
  }

  /** A read that fails is waited out: what is shown stays. */
  async #readOrWait(signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.refreshIfStale();
    } catch (error) {
      if (failureOf(error).kind === "Cancelled") this.close();
      else await sleep(delayMs(this.core.backoff, 1), signal);
    }
  }

  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    for (let batch = await this.next(); batch; batch = await this.next()) {
      for (const follower of [...this.#followers]) follower(batch, this.#told);
    }
    this.#pumping = false;
  }
}
