/** The tables in IndexedDB: one database for each person on each server, shared by all tabs. */

import { deleteDB, type IDBPDatabase, type IDBPTransaction, openDB } from "idb";
import { ClientError, type LocalReason } from "../error.js";
import { Cell } from "../observed.js";
import { type Backend, type Durability, type Key, keyOf, LAYOUT, type Range, type Rows, type Table, TABLES, type Tx, VERSION } from "./tables.js";

type Mode = "readonly" | "readwrite";
type Begun = IDBPTransaction<unknown, string[], Mode>;

/** Tables in IndexedDB. */
export class IndexedBackend implements Backend {
  /** Transactions that have not ended. */
  readonly #begun = new Set<Begun>();
  /** Those that were undone because the page was left. */
  readonly #undone = new WeakSet<Begun>();
  readonly #resting = new Cell(false);

  private constructor(
    readonly name: string,
    private readonly db: IDBPDatabase,
  ) {}

  /**
   * Opens the database, and brings its layout up to date. `onLost`: the browser took it away, as when the person clears the
   * site's data, or another tab wants a newer layout.
   */
  static async open(name: string, onLost: () => void): Promise<IndexedBackend> {
    try {
      const db = await openDB(name, VERSION, {
        upgrade,
        blocking: (_old, _new, event) => {
          (event.target as IDBDatabase).close();
          onLost();
        },
        terminated: onLost,
      });
      return new IndexedBackend(name, db);
    } catch (error) {
      throw storageError(error);
    }
  }

  async read<T>(job: (tx: Tx) => Promise<T>): Promise<T> {
    return this.#run(() => this.db.transaction(TABLES, "readonly"), job);
  }

  async write<T>(durability: Durability, job: (tx: Tx) => Promise<T>): Promise<T> {
    return this.#run(() => this.db.transaction(TABLES, "readwrite", { durability }), job);
  }

  rest(): void {
    this.#resting.set(true);
    for (const tx of this.#begun) if (abort(tx)) this.#undone.add(tx);
  }

  rise(): void {
    this.#resting.set(false);
  }

  close(): void {
    this.db.close();
  }

  async erase(): Promise<void> {
    this.db.close();
    await deleteDB(this.name);
  }

  async #run<T>(begin: () => Begun, job: (tx: Tx) => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#resting.now) await this.#resting.until((resting) => !resting);
      let tx: Begun | undefined;
      try {
        tx = begin();
        this.#begun.add(tx);
        const ended = tx;
        // Whoever waits for the job hears of a failure there.
        const forget = () => this.#begun.delete(ended);
        tx.done.then(forget, forget);
        const value = await job(new IndexedTx(tx as IDBPTransaction<unknown, string[], "readwrite">));
        commit(tx);
        // What was read is known, and nobody waits until the browser is done with that.
        if (tx.mode === "readwrite") await tx.done;
        return value;
      } catch (error) {
        if (tx && this.#undone.has(tx)) continue;
        if (tx) abort(tx);
        // What a request fails with when its transaction was aborted does not say why.
        throw storageError((tx?.error as Error | null | undefined) ?? error);
      }
    }
  }
}

/** Ends a transaction without a wait for the answers to its last requests. One that has ended by itself stays as it is. */
function commit(tx: Begun): void {
  try {
    tx.commit();
  } catch (error) {
    if (!(error instanceof DOMException) || error.name !== "InvalidStateError") throw error;
  }
}

/** Undoes a transaction; `false`: it has ended already, or ends by itself. */
function abort(tx: Begun): boolean {
  try {
    tx.abort();
    return true;
  } catch {
    return false;
  }
}

class IndexedTx implements Tx {
  /** Rows that were asked for by key, or changed, as this transaction sees them. */
  readonly #rows = new Map<string, Promise<unknown>>();

  constructor(private readonly tx: IDBPTransaction<unknown, string[], "readwrite">) {}

  async get<T extends Table>(table: T, key: Key, index?: string): Promise<Rows[T] | undefined> {
    if (index !== undefined) return this.tx.objectStore(table).index(index).get(key as IDBValidKey);
    return this.#row(table, key) as Promise<Rows[T] | undefined>;
  }

  warm(table: Table, key: Key): void {
    unwaited(this.#row(table, key));
  }

  #row(table: Table, key: Key): Promise<unknown> {
    const name = rowName(table, key);
    const row = this.#rows.get(name) ?? this.tx.objectStore(table).get(key as IDBValidKey);
    this.#rows.set(name, row);
    return row;
  }

  async list<T extends Table>(table: T, range: Range = {}): Promise<Rows[T][]> {
    const store = this.tx.objectStore(table);
    const source = range.index === undefined ? store : store.index(range.index);
    const keys = keyRange(range.from, range.to);
    if (!range.reverse) return source.getAll(keys, range.limit);
    const rows: Rows[T][] = [];
    let cursor = await source.openCursor(keys, "prev");
    while (cursor && rows.length < (range.limit ?? Infinity)) {
      rows.push(cursor.value);
      cursor = await cursor.continue();
    }
    return rows;
  }

  async put<T extends Table>(table: T, row: Rows[T]): Promise<void> {
    const key = keyOf(LAYOUT[table].key, row);
    if (key !== undefined) this.#rows.set(rowName(table, key), Promise.resolve(row));
    unwaited(this.tx.objectStore(table).put(row));
  }

  async delete(table: Table, key: Key): Promise<void> {
    this.#rows.set(rowName(table, key), Promise.resolve(undefined));
    unwaited(this.tx.objectStore(table).delete(key as IDBValidKey));
  }

  async clear(table: Table, range?: { readonly from: Key; readonly to: Key }): Promise<void> {
    for (const name of [...this.#rows.keys()]) if (name.startsWith(`${table} `)) this.#rows.delete(name);
    const store = this.tx.objectStore(table);
    const keys = keyRange(range?.from, range?.to);
    unwaited(keys ? store.delete(keys) : store.clear());
  }
}

function rowName(table: Table, key: Key): string {
  return `${table} ${JSON.stringify(key)}`;
}

/** What comes later in the transaction sees the change, and if it fails the transaction does: nobody waits for the answer. */
function unwaited(change: Promise<unknown>): void {
  change.catch(() => undefined);
}

function keyRange(from: Key | undefined, to: Key | undefined): IDBKeyRange | undefined {
  if (from !== undefined && to !== undefined) return IDBKeyRange.bound(from, to);
  if (from !== undefined) return IDBKeyRange.lowerBound(from);
  return to === undefined ? undefined : IDBKeyRange.upperBound(to);
}

/** Each version takes the layout one step further; a step is never changed once released. */
function upgrade(db: IDBPDatabase, from: number): void {
  if (from < 1) {
    for (const table of TABLES) {
      const { key, counted, indexes } = LAYOUT[table];
      const store = db.createObjectStore(table, { keyPath: key as string | string[], autoIncrement: counted ?? false });
      for (const [name, fields] of Object.entries(indexes)) store.createIndex(name, fields as string | string[]);
    }
  }
}

const LOCAL: Readonly<Record<string, LocalReason>> = {
  QuotaExceededError: "DiskFull",
  VersionError: "StoreNewer",
  UnknownError: "StoreDamaged",
  DataError: "StoreDamaged",
  NotFoundError: "StoreDamaged",
};

/** What the store failed with, as a failure of the client. */
function storageError(error: unknown): unknown {
  if (!(error instanceof DOMException)) return error;
  return new ClientError("Storage", `${error.name}: ${error.message}`, { local: LOCAL[error.name] });
}
