/** A store that is gone with the page. */

import { ClientError } from "../error.js";
import { type Backend, type Durability, type Key, keyOf, LAYOUT, type Layout, type Range, type Rows, type Table, TABLES, type Tx } from "./tables.js";

/** A store that is gone with the page: one client at a time has it, and the next finds what the last one left. */
export class MemoryStore {
  /** @internal */
  readonly backend = new MemoryBackend();
  #taken = false;

  /** @internal */
  take(): Backend {
    if (this.#taken) throw new ClientError("Storage", "another client has the store", { local: "StoreBusy" });
    this.#taken = true;
    const { backend } = this;
    const release = () => {
      this.#taken = false;
    };
    return {
      read: (job) => backend.read(job),
      write: (durability, job) => backend.write(durability, job),
      rest: () => undefined,
      rise: () => undefined,
      close: release,
      erase: async () => {
        await backend.erase();
        release();
      },
    };
  }
}

type Row = Rows[Table];

/** Tables in memory. Rows are never changed in place, so a reader keeps what it was given. */
export class MemoryBackend implements Backend {
  readonly #tables = new Map<Table, MemoryTable>(TABLES.map((table) => [table, new MemoryTable(LAYOUT[table])]));
  #turn: Promise<unknown> = Promise.resolve();

  read<T>(job: (tx: Tx) => Promise<T>): Promise<T> {
    return this.#next(() => job(this.#tx([])));
  }

  write<T>(_: Durability, job: (tx: Tx) => Promise<T>): Promise<T> {
    return this.#next(async () => {
      const undo: (() => void)[] = [];
      try {
        return await job(this.#tx(undo));
      } catch (error) {
        for (const step of undo.reverse()) step();
        throw error;
      }
    });
  }

  rest(): void {}

  rise(): void {}

  close(): void {}

  erase(): Promise<void> {
    return this.write("relaxed", async (tx) => {
      for (const table of TABLES) await tx.clear(table);
    });
  }

  #next<T>(job: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(job, job);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  #tx(undo: (() => void)[]): Tx {
    const of = (table: Table): MemoryTable => this.#tables.get(table) as MemoryTable;
    const replace = (table: MemoryTable, key: Key, row: Row | undefined) => {
      const before = table.set(key, row);
      undo.push(() => table.set(key, before));
    };
    return {
      get: async <T extends Table>(table: T, key: Key, index?: string) =>
        of(table).list({ from: key, to: key, limit: 1, ...(index === undefined ? {} : { index }) })[0] as Rows[T] | undefined,
      warm: () => undefined,
      list: async <T extends Table>(table: T, range: Range = {}) => of(table).list(range) as Rows[T][],
      put: async (table, row) => {
        const held = of(table);
        const whole = held.counted(row);
        replace(held, keyOf(held.layout.key, whole) as Key, whole);
      },
      delete: async (table, key) => replace(of(table), key, undefined),
      clear: async (table, range) => {
        const held = of(table);
        for (const row of held.list(range)) replace(held, keyOf(held.layout.key, row) as Key, undefined);
      },
    };
  }
}

class MemoryTable {
  readonly #rows = new Sorted<Row>();
  readonly #indexes: ReadonlyMap<string, Sorted<Row>>;
  #count = 0;

  constructor(readonly layout: Layout) {
    this.#indexes = new Map(Object.keys(layout.indexes).map((name) => [name, new Sorted<Row>()]));
  }

  /** The row with its number, if the table counts and it has none. */
  counted(row: Row): Row {
    if (!this.layout.counted || keyOf(this.layout.key, row) !== undefined) return row;
    this.#count += 1;
    return { ...row, [this.layout.key as string]: this.#count };
  }

  set(key: Key, row: Row | undefined): Row | undefined {
    const before = this.#rows.set(key, row);
    for (const [name, index] of this.#indexes) {
      const fields = this.layout.indexes[name] as string | readonly string[];
      // The key itself makes what is found by an index unique, and orders it.
      const old = before && keyOf(fields, before);
      if (old !== undefined) index.set([old, key], undefined);
      const now = row && keyOf(fields, row);
      if (now !== undefined) index.set([now, key], row);
    }
    return before;
  }

  list({ index, from, to, reverse, limit }: Range = {}): Row[] {
    if (index === undefined) return this.#rows.list(from, to, reverse, limit);
    const rows = this.#indexes.get(index) as Sorted<Row>;
    // Greater than every key of a row, which is a number, a text, or some of them.
    return rows.list(from === undefined ? undefined : [from], to === undefined ? undefined : [to, [[]]], reverse, limit);
  }
}

/** Values in the order of their keys. */
class Sorted<V> {
  readonly #keys: Key[] = [];
  readonly #values: V[] = [];

  set(key: Key, value: V | undefined): V | undefined {
    const at = this.#above(key, false);
    const there = at < this.#keys.length && compareKeys(this.#keys[at] as Key, key) === 0;
    const before = there ? this.#values[at] : undefined;
    if (value === undefined) {
      if (there) {
        this.#keys.splice(at, 1);
        this.#values.splice(at, 1);
      }
    } else {
      this.#keys.splice(at, there ? 1 : 0, key);
      this.#values.splice(at, there ? 1 : 0, value);
    }
    return before;
  }

  list(from: Key | undefined, to: Key | undefined, reverse = false, limit = Infinity): V[] {
    const low = from === undefined ? 0 : this.#above(from, false);
    const high = to === undefined ? this.#keys.length : this.#above(to, true);
    if (!reverse) return this.#values.slice(low, Math.min(high, low + limit));
    return this.#values.slice(Math.max(low, high - limit), high).reverse();
  }

  /** The first place whose key is not below the key, or with `beyond` above it. */
  #above(key: Key, beyond: boolean): number {
    let [low, high] = [0, this.#keys.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const order = compareKeys(this.#keys[middle] as Key, key);
      if (order < 0 || (beyond && order === 0)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function compareKeys(one: Key, other: Key): number {
  const [kind, otherKind] = [rank(one), rank(other)];
  if (kind !== otherKind) return kind - otherKind;
  if (typeof one === "object" && typeof other === "object") {
    for (let at = 0; at < Math.min(one.length, other.length); at++) {
      const order = compareKeys(one[at] as Key, other[at] as Key);
      if (order !== 0) return order;
    }
    return one.length - other.length;
  }
  return one < other ? -1 : one > other ? 1 : 0;
}

function rank(key: Key): number {
  return typeof key === "number" ? 0 : typeof key === "string" ? 1 : 2;
}
