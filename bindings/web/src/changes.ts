/** What has changed in the store, and who wants to hear of it. */

import { sleep } from "./time.js";

/** Which rows of a room have changed. */
export interface RowChanges {
  /** Messages, by position. */
  readonly seqs: Set<number>;
  /** Whose member row or mark is another. */
  readonly people: Set<string>;
  /** Any, and some may be gone. */
  all: boolean;
}

/** What has changed. */
export interface Changes {
  /** These rooms, their rows or outbox. */
  readonly rooms: Set<string>;
  /** Of these of the rooms, these rows. */
  readonly rows: Map<string, RowChanges>;
  /** These entries of the outbox. */
  readonly entries: Set<string>;
  /** Profiles: names may be others. */
  people: boolean;
  /** Anything. */
  everything: boolean;
}

/** Rooms a listener may fall behind by before it is told to read everything; a screen shows far fewer at once. */
const DIRTY_ROOMS = 256;

/** Rows of a room that are told one by one: more than a page has. Beyond that whoever listens is faster with all of them. */
const DIRTY_ROWS = 256;

/** What lies in front of the person is read first, and all else waits for that, but no longer than this: a lost read must hold up none. */
const FIRST_MS = 50;

/** Nothing has changed. */
export function noChanges(): Changes {
  return { rooms: new Set(), rows: new Map(), entries: new Set(), people: false, everything: false };
}

/** No row has changed. */
export function noChange(): RowChanges {
  return { seqs: new Set(), people: new Set(), all: false };
}

/** Notes that rows of a room have changed. */
export function noteRows({ rooms, rows }: Changes, roomId: string, { seqs = [], people = [], all = false }: ChangedRows): void {
  rooms.add(roomId);
  const noted = rows.get(roomId) ?? noChange();
  rows.set(roomId, noted);
  for (const seq of seqs) noted.seqs.add(seq);
  for (const id of people) noted.people.add(id);
  noted.all ||= all || noted.seqs.size > DIRTY_ROWS || noted.people.size > DIRTY_ROWS;
  if (!noted.all) return;
  noted.seqs.clear();
  noted.people.clear();
}

/** Rows to be noted. */
export interface ChangedRows {
  readonly seqs?: Iterable<number>;
  readonly people?: Iterable<string>;
  readonly all?: boolean;
}

/** Whether nothing has changed. */
export function isEmpty(changes: Changes): boolean {
  return changes.rooms.size === 0 && changes.entries.size === 0 && !changes.people && !changes.everything;
}

/** One that listens: it has a small set of what has changed since it last looked, so that a slow one costs nothing. */
export class Listener {
  dirty = noChanges();
  #wake: (() => void) | undefined;
  #reads: (() => void)[] = [];
  #ended = false;

  constructor(
    /** The room that it listens to; absent: to all. */
    readonly only: string | undefined,
    private readonly leave: (listener: Listener) => void,
  ) {}

  /** Whether it was closed, or the client has ended. */
  get ended(): boolean {
    return this.#ended;
  }

  /** @internal */
  hear(changes: Changes): void {
    const { dirty } = this;
    dirty.people ||= changes.people;
    dirty.everything ||= changes.everything;
    for (const roomId of changes.rooms) if (this.only === undefined || this.only === roomId) dirty.rooms.add(roomId);
    // Whoever listens to all rooms reads no rows.
    const rows = this.only === undefined ? undefined : changes.rows.get(this.only);
    if (rows && this.only !== undefined) noteRows(dirty, this.only, rows);
    if (dirty.rooms.size > DIRTY_ROOMS) {
      dirty.everything = true;
      dirty.rooms.clear();
    }
    if (!isEmpty(dirty)) this.wake();
  }

  /** Lets a wait end, to look again. */
  wake(): void {
    this.#wake?.();
  }

  /** What has changed since the last call. */
  take(): Changes {
    const { dirty } = this;
    this.dirty = noChanges();
    return dirty;
  }

  /** What was taken is read. */
  hasRead(): void {
    for (const read of this.#reads.splice(0)) read();
  }

  /** @internal Ends when what was heard is read. */
  reads(): Promise<void> {
    return new Promise((resolve) => this.#reads.push(resolve));
  }

  /** Waits until something has changed, or `wake` is called, or it ends. */
  async changed(signal?: AbortSignal): Promise<void> {
    while (isEmpty(this.dirty) && !this.#ended) {
      signal?.throwIfAborted();
      let wake = () => {};
      const woken = await new Promise<boolean>((resolve) => {
        const abort = () => resolve(false);
        wake = () => {
          signal?.removeEventListener("abort", abort);
          resolve(true);
        };
        this.#wake = wake;
        signal?.addEventListener("abort", abort, { once: true });
      });
      // Another may wait by now, where this one was given up.
      if (this.#wake === wake) this.#wake = undefined;
      if (woken) return;
    }
  }

  /** Hears nothing any more. */
  close(): void {
    this.#ended = true;
    this.leave(this);
    this.wake();
    this.hasRead();
  }
}

/** All that listen. */
export class Observers {
  readonly #listeners = new Set<Listener>();
  readonly #callbacks = new Set<(changes: Changes) => void>();

  /** Listens to one room, or to all. */
  listen(only?: string): Listener {
    const listener = new Listener(only, (gone) => this.#listeners.delete(gone));
    this.#listeners.add(listener);
    return listener;
  }

  /** Calls back with all changes, until the answer is called. */
  subscribe(callback: (changes: Changes) => void): () => void {
    this.#callbacks.add(callback);
    return () => this.#callbacks.delete(callback);
  }

  /** Tells what has changed; first to who looks at one of the rooms, which is in front of the person. */
  publish(changes: Changes): void {
    const listeners = [...this.#listeners];
    const looks = ({ only }: Listener) => only !== undefined && (changes.everything || changes.rooms.has(only));
    const near = listeners.filter(looks);
    const read = near.map((listener) => listener.reads());
    for (const listener of near) listener.hear(changes);
    for (const callback of this.#callbacks) callback(changes);
    const tellOthers = () => {
      for (const listener of listeners) if (!looks(listener)) listener.hear(changes);
    };
    if (near.length === 0) tellOthers();
    else void Promise.race([Promise.all(read), sleep(FIRST_MS)]).then(tellOthers);
  }

  /** Nothing changes any more. */
  end(): void {
    for (const listener of [...this.#listeners]) listener.close();
    this.#callbacks.clear();
  }
}
