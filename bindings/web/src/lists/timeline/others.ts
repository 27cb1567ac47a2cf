/** How far the others of a room are: told in rooms that are not large. */

import { MemberState } from "../../gen/madang/v1/room_pb.js";
import * as messages from "../../store/messages.js";
import type { Read } from "../../store/store.js";
import type { RoomState } from "../../sync/room.js";
import { dateOf } from "../../time.js";
import type { MessageItem, Reach } from "../item.js";
import type { Names } from "../names.js";

/** People that an item names as its readers; a screen has no place for more. */
const READERS_HERE = 20;

/** One of the others. */
interface Other {
  readonly joinedAt: Date;
  readonly read: number;
  readonly delivered: number;
}

/** Marks of the others. */
export class Others {
  readonly #others: Other[] = [];
  /** Who has read up to an item and no further. */
  readonly #at = new Map<number, string[]>();

  static async read({ tx, me }: Read, state: RoomState): Promise<Others> {
    const found = new Others();
    if (!state.room || state.room.large) return found;
    const joined = new Map<string, Date>();
    const [members, receipts] = await Promise.all([messages.members(tx, state.roomId), messages.receipts(tx, state.roomId)]);
    for (const member of members) {
      if (member.state === MemberState.JOINED && member.userId !== me) joined.set(member.userId, dateOf(member.joinedAt));
    }
    for (const receipt of receipts) {
      const joinedAt = joined.get(receipt.userId);
      if (!joinedAt) continue;
      const [read, delivered] = [Number(receipt.lastReadSeq), Number(receipt.deliveredSeq)];
      found.#others.push({ joinedAt, read, delivered });
      const here = found.#at.get(read) ?? [];
      if (here.length < READERS_HERE) here.push(receipt.userId);
      found.#at.set(read, here);
    }
    return found;
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
    const there = this.#others.filter((other) => other.joinedAt <= createdAt);
    if (there.some((other) => other.read >= seq)) return "Read";
    return there.some((other) => other.delivered >= seq) ? "Delivered" : "Nobody";
  }
}
