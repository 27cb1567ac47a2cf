/** How far the others of a room are: told in rooms that are not large. */

import { type Member, MemberState, type Receipt } from "../../gen/madang/v1/room_pb.js";
import * as messages from "../../store/messages.js";
import type { Read } from "../../store/store.js";
import type { RoomState } from "../../sync/room.js";
import { dateOf } from "../../time.js";
import type { MessageItem, Reach } from "../item.js";
import type { Names } from "../names.js";

/** People that an item names as its readers; a screen has no place for more. */
const READERS_HERE = 20;

/** People whose marks are read one by one; where more have changed all are read at once. */
const SINGLE = 32;

/** One of the others. */
interface Other {
  readonly joinedAt: Date;
  readonly read: number;
  readonly delivered: number;
}

/** Marks of the others. */
export class Others {
  /** Who has read up to an item and no further. */
  readonly #at = new Map<number, string[]>();
  readonly #all: readonly Other[];

  /** By the person, in the order of ids. */
  private constructor(private readonly others: ReadonlyMap<string, Other>) {
    this.#all = [...others.values()];
    for (const [userId, { read }] of others) {
      const here = this.#at.get(read) ?? [];
      if (here.length < READERS_HERE) here.push(userId);
      this.#at.set(read, here);
    }
  }

  /** In a large room nobody is told. */
  static readonly UNTOLD = new Others(new Map());

  static async read(r: Read, state: RoomState): Promise<Others> {
    if (!state.room || state.room.large) return Others.UNTOLD;
    const { roomId } = state;
    const [members, receipts] = await Promise.all([messages.members(r.tx, roomId), messages.receipts(r.tx, roomId)]);
    const byId = new Map(members.map((member) => [member.userId, member]));
    const others = receipts.map((receipt) => [receipt.userId, otherOf(byId.get(receipt.userId), receipt, r.me)] as const);
    return new Others(new Map(others.filter((one): one is [string, Other] => one[1] !== undefined)));
  }

  /** They, where these are others now. */
  async follow(r: Read, state: RoomState, changed: ReadonlySet<string>): Promise<Others> {
    const told = state.room !== undefined && !state.room.large;
    if (told !== (this !== Others.UNTOLD) || changed.size > SINGLE) return Others.read(r, state);
    if (!told || changed.size === 0) return this;
    const others = new Map(this.others);
    const again = async (userId: string) => {
      const [member, receipt] = await Promise.all([
        messages.member(r.tx, state.roomId, userId),
        messages.receipt(r.tx, state.roomId, userId),
      ]);
      const other = receipt && otherOf(member, receipt, r.me);
      if (other) others.set(userId, other);
      else others.delete(userId);
    };
    await Promise.all([...changed].map(again));
    return new Others(new Map([...others].sort(([one], [other]) => (one < other ? -1 : 1))));
  }

  /** A message with what the others' marks say of it. Whoever came later begins with everything read, which says nothing. */
  async mark(message: MessageItem, names: Names): Promise<MessageItem> {
    const { seq } = message;
    if (seq === undefined) return message;
    const here = this.#at.get(seq);
    const readersHere = here ? await names.people(here) : message.readersHere;
    return { ...message, readersHere, reach: message.mine ? this.#reachOf(message, seq) : "Nobody" };
  }

  #reachOf({ createdAt }: MessageItem, seq: number): Reach {
    const there = this.#all.filter((other) => other.joinedAt <= createdAt);
    if (there.some((other) => other.read >= seq)) return "Read";
    return there.some((other) => other.delivered >= seq) ? "Delivered" : "Nobody";
  }
}

function otherOf(member: Member | undefined, receipt: Receipt, me: string): Other | undefined {
  if (member?.state !== MemberState.JOINED || member.userId === me) return undefined;
  const [read, delivered] = [Number(receipt.lastReadSeq), Number(receipt.deliveredSeq)];
  return { joinedAt: dateOf(member.joinedAt), read, delivered };
}
