/**
 * The store of a client. Always true: every write is one transaction, in the order of the calls; what has changed is told after
 * the commit and never before, and a read that begins after that sees it.
 */

import { type Changes, isEmpty, noChanges } from "../changes.js";
import { ClientError } from "../error.js";
import { Repairs } from "../sync/repairs.js";
import * as meta from "./meta.js";
import { type Backend, type Durability, type Table, TABLES, type Tx } from "./tables.js";

/** A read: one state. */
export interface Read {
  readonly tx: Tx;
  /** The person; empty before the first Welcome. */
  readonly me: string;
}

/** A transaction that writes. */
export interface Write {
  readonly tx: Tx;
  /** What is told after the commit. */
  readonly changes: Changes;
  /** Repairs on their way; survives a transaction that fails, and does no harm then. */
  readonly repairs: Repairs;
  /** The person; empty before the first Welcome. */
  me: string;
}

/** Begins to read what a job will ask for. */
export type Warm = (tx: Tx) => void;

/** What a person typed, which is nowhere else. */
const TYPED: readonly Table[] = ["outbox", "drafts"];

/**
 * Everything of one place in another, as it is at one moment. Where a part of it cannot be read what was typed is taken alone: numbers
 * without their rows would hide that any are missing, and the server has them.
 */
async function copy(from: Backend, to: Backend): Promise<void> {
  const read = (tables: readonly Table[]) =>
    from.read((tx) => Promise.all(tables.map(async (table) => [table, await tx.list(table)] as const)));
  const typed = () => Promise.all(TYPED.map((table) => read([table]).catch(() => [])));
  const parts = await read(TABLES).catch(async () => (await typed()).flat());
  await to.write("relaxed", async (tx) => {
    for (const [table, rows] of parts) for (const row of rows) await tx.put(table, row);
  });
}

/** The store of a client. */
export class Store {
  readonly #repairs = new Repairs();
  #turn: Promise<unknown> = Promise.resolve();
  #ended = false;

  /** `publish`: something has changed; `onFull`: there is no room, tells whether the same write may be tried again. */
  constructor(
    private backend: Backend,
    private readonly publish: (changes: Changes) => void,
    private readonly onFull: () => Promise<boolean> = async () => false,
  ) {}

  /** Reads. `warm` begins to read what the job will ask for. */
  async read<T>(job: (r: Read) => Promise<T>, warm?: Warm): Promise<T> {
    this.#stillThere();
    return this.backend.read(async (tx) => {
      warm?.(tx);
      return job({ tx, me: await meta.text(tx, "user_id") });
    });
  }

  /** Writes in one transaction; nothing is changed when the job fails. `warm` begins to read what the job will ask for. */
  async write<T>(durability: Durability, job: (w: Write) => Promise<T>, warm?: Warm): Promise<T> {
    // What is remembered beside the rows must not be changed by two at once.
    const turn = this.#turn.then(() => this.#write(durability, job, warm));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** Writes beside the turn of writes, for who holds it. */
  async writeNow<T>(durability: Durability, job: (w: Write) => Promise<T>): Promise<T> {
    return this.#once(durability, job);
  }

  /** What was asked for is asked by somebody else. */
  forgetRepairs(): void {
    this.#repairs.forget();
  }

  /** Takes other tables in place of those that fail, with what can be read of these. */
  async replace(next: Backend): Promise<void> {
    const held = this.backend;
    await copy(held, next);
    this.backend = next;
    held.close();
  }

  /** The page is left: what is on its way, and what comes, waits for `rise`. */
  rest(): void {
    this.backend.rest();
  }

  /** The page is there again. */
  rise(): void {
    this.backend.rise();
  }

  /** Ends the store when what was begun is done. */
  async end(): Promise<void> {
    await this.#turn;
    if (!this.#ended) this.backend.close();
    this.#ended = true;
  }

  /** Ends the store and removes everything it had. */
  async erase(): Promise<void> {
    await this.#turn;
    this.#ended = true;
    await this.backend.erase();
  }

  async #write<T>(durability: Durability, job: (w: Write) => Promise<T>, warm: Warm | undefined): Promise<T> {
    this.#stillThere();
    for (;;) {
      try {
        return await this.#once(durability, job, warm);
      } catch (error) {
        const full = error instanceof ClientError && error.local === "DiskFull";
        if (!full || !(await this.onFull())) throw error;
      }
    }
  }

  async #once<T>(durability: Durability, job: (w: Write) => Promise<T>, warm?: Warm): Promise<T> {
    let changes = noChanges();
    const value = await this.backend.write(durability, async (tx) => {
      changes = noChanges();
      warm?.(tx);
      return job({ tx, changes, repairs: this.#repairs, me: await meta.text(tx, "user_id") });
    });
    if (!isEmpty(changes)) this.publish(changes);
    return value;
  }

  #stillThere(): void {
    if (this.#ended) throw new ClientError("Cancelled", "the client has ended");
  }
}
