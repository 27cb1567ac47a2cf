/**
 * The tables, and how they are read and written, whatever they lie in. Shapes of the contract are kept as they came, encoded;
 * the columns beside them are what is searched for.
 */

import type { Mark } from "../sync/mark.js";

/** What a row is found by; compared as IndexedDB does: number, text, then arrays item by item. */
export type Key = number | string | readonly Key[];

/** A row of a room: numbers, its newest state, one's own place. */
export interface RoomRow {
  readonly roomId: string;
  readonly rev: bigint;
  readonly headRev: bigint;
  readonly seq: bigint;
  readonly lowSeq: bigint;
  readonly resetRev: bigint;
  readonly ended: boolean;
  readonly joined: boolean;
  readonly activeMs: number;
  /** What badges are made of, so that they need no shape decoded. */
  readonly count: bigint;
  readonly firstCount: bigint;
  readonly mark: Mark;
  readonly mentions: readonly bigint[];
  readonly room: Uint8Array | undefined;
  readonly membership: Uint8Array | undefined;
  readonly last: Uint8Array | undefined;
}

/** A message. `clientMessageId` is there for one's own alone, so that only those are found by it. */
export interface MessageRow {
  readonly roomId: string;
  readonly seq: number;
  readonly rev: bigint;
  readonly clientMessageId?: string;
  readonly message: Uint8Array;
}

/** A member. */
export interface MemberRow {
  readonly roomId: string;
  readonly userId: string;
  readonly rev: bigint;
  readonly member: Uint8Array;
}

/** Another's mark; `sentSeq` is what their own messages say of it, `sentRev` the revision of that message as first seen. */
export interface ReceiptRow {
  readonly roomId: string;
  readonly userId: string;
  readonly rev: bigint;
  readonly sentSeq: bigint;
  readonly sentRev: bigint;
  readonly receipt: Uint8Array;
}

/** A profile. */
export interface UserRow {
  readonly userId: string;
  readonly profileRev: bigint;
  readonly profile: Uint8Array;
}

/** An entry of the outbox. `open` is there until it is acknowledged, `ackedSeq` from then on if it sent a message. */
export interface OutboxRow {
  readonly id?: number;
  readonly kind: number;
  readonly roomId: string;
  readonly changeId: string;
  readonly target: string;
  readonly request: Uint8Array;
  readonly epoch: string;
  readonly state: number;
  readonly open?: 1;
  readonly tried: boolean;
  readonly reason: number;
  readonly message: string;
  readonly seq: bigint;
  readonly ackedSeq?: number;
  readonly rev: bigint;
  readonly createdMs: number;
  readonly ackedMs: number;
}

/** A mark of the person's own that the server has not confirmed: one a room, the newest. */
export interface MarkRow {
  readonly roomId: string;
  readonly op: number;
  readonly unread: boolean;
  readonly atSeq: bigint;
  readonly baseGeneration: bigint;
  readonly generation: bigint;
  readonly seq: bigint;
  readonly count: bigint;
}

/** Older pieces of a room that are held beside its range. */
export interface IslandRow {
  readonly roomId: string;
  readonly islands: readonly { readonly low: bigint; readonly high: bigint }[];
}

/** The rows of each table. */
export interface Rows {
  meta: { readonly key: string; readonly value: string | number | bigint };
  rooms: RoomRow;
  messages: MessageRow;
  members: MemberRow;
  receipts: ReceiptRow;
  users: UserRow;
  outbox: OutboxRow;
  marks: MarkRow;
  drafts: { readonly roomId: string; readonly text: string };
  visits: { readonly roomId: string; readonly openedMs: number };
  islands: IslandRow;
}

/** A table. */
export type Table = keyof Rows;

/** How a table is laid out. A row without a field of an index is not in that index. */
export interface Layout {
  readonly key: string | readonly string[];
  readonly counted?: boolean;
  readonly indexes: Readonly<Record<string, string | readonly string[]>>;
}

/** All tables, as of this version. */
export const LAYOUT: Readonly<Record<Table, Layout>> = {
  meta: { key: "key", indexes: {} },
  rooms: { key: "roomId", indexes: {} },
  messages: { key: ["roomId", "seq"], indexes: { own: ["roomId", "clientMessageId"] } },
  members: { key: ["roomId", "userId"], indexes: {} },
  receipts: { key: ["roomId", "userId"], indexes: {} },
  users: { key: "userId", indexes: {} },
  outbox: {
    key: "id",
    counted: true,
    indexes: { change: "changeId", target: "target", open: "open", acked: ["roomId", "ackedSeq"] },
  },
  marks: { key: "roomId", indexes: {} },
  drafts: { key: "roomId", indexes: {} },
  visits: { key: "roomId", indexes: {} },
  islands: { key: "roomId", indexes: {} },
};

/** The tables by name. */
export const TABLES = Object.keys(LAYOUT) as Table[];

/** Version of the layout. One that is raised adds its step to `upgrade` in `indexed.ts`. */
export const VERSION = 1;

/** Which rows, in the order of their keys. The bounds belong to it. */
export interface Range {
  /** By this index; absent: by the key. */
  readonly index?: string;
  readonly from?: Key;
  readonly to?: Key;
  /** The greatest first. */
  readonly reverse?: boolean;
  /** At most so many. */
  readonly limit?: number;
}

/** A transaction. It ends by itself: nothing but its own answers may be waited for. */
export interface Tx {
  get<T extends Table>(table: T, key: Key, index?: string): Promise<Rows[T] | undefined>;
  /** Begins to read a row that will be asked for: each answer takes its time to come, together they take that of one. */
  warm(table: Table, key: Key): void;
  list<T extends Table>(table: T, range?: Range): Promise<Rows[T][]>;
  put<T extends Table>(table: T, row: Rows[T]): Promise<void>;
  delete(table: Table, key: Key): Promise<void>;
  /** Deletes by key, all or a range. */
  clear(table: Table, range?: { readonly from: Key; readonly to: Key }): Promise<void>;
}

/** How sure a write must be when the call returns. */
export type Durability =
  /** It may be lost with the power, not with the page: the server has it. */
  | "relaxed"
  /** Typed by the person: on the disk. */
  | "strict";

/** What tables lie in. A job may run more than once; what it did last counts. */
export interface Backend {
  /** One state, however long it takes. */
  read<T>(job: (tx: Tx) => Promise<T>): Promise<T>;
  /** One after the other; nothing is changed when the job fails. */
  write<T>(durability: Durability, job: (tx: Tx) => Promise<T>): Promise<T>;
  /**
   * The page is left, and the browser may keep it to come back to: whatever is on its way is undone, because a page that runs
   * nothing cannot end it and would hold up the other tabs. It is done anew by `rise`.
   */
  rest(): void;
  /** Goes on. */
  rise(): void;
  /** Lets go of it. */
  close(): void;
  /** Lets go of it and removes everything. */
  erase(): Promise<void>;
}

/** What a row is found by; `undefined`: a field is missing. */
export function keyOf(fields: string | readonly string[], row: Rows[Table]): Key | undefined {
  const field = (name: string) => (row as unknown as Record<string, Key | undefined>)[name];
  if (typeof fields === "string") return field(fields);
  const parts = fields.map(field);
  return parts.includes(undefined) ? undefined : (parts as Key[]);
}

/** All keys that begin with a text. */
export function beginningWith(text: string): { from: Key; to: Key } {
  // Arrays come after texts and numbers.
  return { from: [text], to: [text, []] };
}
