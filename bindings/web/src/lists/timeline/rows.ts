/**
 * The rows that a timeline shows, kept from one read of it to the next: what happens in a room costs what it changes, however long
 * the list is.
 *
 * Always true: they are what a read of all of them would give, as of the changes that were told.
 */

import { noChange, type RowChanges } from "../../changes.js";
import type { Message } from "../../gen/madang/v1/message_pb.js";
import * as messages from "../../store/messages.js";
import type { Read } from "../../store/store.js";
import { max, min } from "../../sync/islands.js";
import type { RoomState } from "../../sync/room.js";
import { equal } from "../diff.js";
import type { TimelineItem } from "../item.js";
import { itemOf } from "../messages.js";
import type { Names } from "../names.js";
import { Others } from "./others.js";

/** Rows that are read one by one; where more have changed all are read at once. */
const SINGLE = 64;

/** A row. */
interface Row {
  readonly seq: number;
  /** The client's id of a message of one's own. */
  readonly own: string | undefined;
  /** Without what the others' marks say of it. */
  readonly bare: TimelineItem;
  readonly item: TimelineItem;
}

/** What was read last, if that says anything of what is to be read, and which rows have changed since then. */
export interface Held {
  readonly rows: Rows | undefined;
  readonly changed: RowChanges | undefined;
}

/** Rows of a room in a range, oldest first, and the marks of the others. */
export class Rows {
  private constructor(
    private readonly low: bigint,
    private readonly high: bigint,
    private readonly rows: readonly Row[],
    private readonly others: Others,
    /** Whose names were not there. */
    private readonly missing: ReadonlySet<string>,
  ) {}

  /** The rows of a range. */
  static async read(
    r: Read,
    state: RoomState,
    [low, high]: readonly [bigint, bigint],
    names: Names,
    { rows: held, changed = noChange() }: Held,
  ): Promise<Rows> {
    const [from, to] = held ? [max(low, held.low), min(high, held.high)] : [1n, 0n];
    const again = [...changed.seqs].filter((seq) => seq >= from && seq <= to);
    const isFew = from <= to && again.length <= SINGLE && !changed.all;
    const kept = isFew ? held : undefined;
    const range = (first: bigint, last: bigint) => (state.ended ? [] : messages.range(r.tx, state.roomId, first, last));
    // All at once: each answer takes its time to come.
    const [others, ...answers] = await Promise.all([
      kept ? kept.others.follow(r, state, changed.people) : Others.read(r, state),
      ...(kept ? [range(low, from - 1n), range(to + 1n, high)] : [range(low, high)]),
      ...(kept ? again.map((seq) => messages.find(r.tx, state.roomId, BigInt(seq))) : []),
    ]);
    for (const id of kept?.missing ?? []) names.missing.add(id);
    const told = answers.flat().filter((message) => message !== undefined);
    const read = await Promise.all(told.map((message) => rowOf(message, r.me, names)));
    const fresh = new Map(read.map((row) => [row.seq, row]));
    const old = kept?.rows.filter(({ seq }) => seq >= low && seq <= high && !fresh.has(seq)) ?? [];
    const all: Row[] = [];
    for (const row of [...old, ...fresh.values()].sort((one, other) => one.seq - other.seq)) {
      all.push(others === kept?.others && !fresh.has(row.seq) ? row : await marked(row, others, names));
    }
    return new Rows(low, high, all, others, new Set(names.missing));
  }

  /** As items. */
  get items(): TimelineItem[] {
    return this.rows.map(({ item }) => item);
  }

  /** The client's ids of one's own messages among them. */
  get own(): ReadonlySet<string> {
    return new Set(this.rows.flatMap(({ own }) => (own === undefined ? [] : [own])));
  }
}

async function rowOf(message: Message, me: string, names: Names): Promise<Row> {
  const own = message.senderId === me ? message.clientMessageId : undefined;
  const bare = await itemOf(message, me, names);
  return { seq: Number(message.seq), own, bare, item: bare };
}

/** A row with what the others' marks say of it; the same where that is the same. */
async function marked(row: Row, others: Others, names: Names): Promise<Row> {
  if (row.bare.kind !== "Message") return row;
  const item = await others.mark(row.bare, names);
  return equal(item, row.item) ? row : { ...row, item };
}
