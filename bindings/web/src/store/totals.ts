/** What is unread in all rooms together, and what of a room a list shows. */

import { MembershipSchema, RoomSchema, type Membership, type Room } from "../gen/madang/v1/room_pb.js";
import type { Totals } from "../lists/item.js";
import { type Mark, markOf, unreadOf } from "../sync/mark.js";
import * as marks from "./marks.js";
import * as outbox from "./outbox.js";
import { decode } from "./rooms.js";
import type { RoomRow, Tx } from "./tables.js";

/** A room with the numbers that a list shows. */
export interface Glance {
  readonly row: RoomRow;
  readonly room: Room;
  readonly membership: Membership | undefined;
  /** With the mark that is still on its way, as what follows. */
  readonly mark: Mark;
  readonly unread: number;
  readonly mentions: number;
}

/** A room with its numbers; `undefined`: no verdict on it has come. */
export function glanceOf(row: RoomRow, waiting: Mark | undefined): Glance | undefined {
  const room = decode(RoomSchema, row.room);
  if (!room) return undefined;
  const membership = decode(MembershipSchema, row.membership);
  const mark = marks.shown(markOf(membership), waiting);
  return {
    row,
    room,
    membership,
    mark,
    unread: Number(unreadOf(mark, room.count, room.firstCount)),
    mentions: (membership?.unreadMentionSeqs ?? []).filter((seq) => seq > mark.seq).length,
  };
}

/** Rooms that the person is in and that are known, but for those that they are about to leave. */
export async function joined(tx: Tx): Promise<Glance[]> {
  const waiting = new Map((await tx.list("marks")).map((mark) => [mark.roomId, mark]));
  const leaving = await leavingRooms(tx);
  const rows = (await tx.list("rooms")).filter((row) => row.joined && !leaving.has(row.roomId));
  return rows.flatMap((row) => glanceOf(row, waiting.get(row.roomId)) ?? []);
}

/** The same, of these rooms alone. */
export async function joinedAmong(tx: Tx, roomIds: Iterable<string>): Promise<Glance[]> {
  const leaving = await leavingRooms(tx);
  const glances: Glance[] = [];
  for (const roomId of roomIds) {
    const row = await tx.get("rooms", roomId);
    const glance = row?.joined && !leaving.has(roomId) ? glanceOf(row, await marks.find(tx, roomId)) : undefined;
    if (glance) glances.push(glance);
  }
  return glances;
}

/** Rooms that the person is about to leave. */
async function leavingRooms(tx: Tx): Promise<ReadonlySet<string>> {
  const open = (await outbox.waiting(tx)).filter((entry) => entry.state !== outbox.FAILED);
  return new Set(open.filter((entry) => outbox.kindOf(entry) === "Leave").map((entry) => entry.roomId));
}

/** What is unread in all rooms, with the marks that are still on their way. */
export async function totals(tx: Tx): Promise<Totals> {
  const glances = await joined(tx);
  return {
    unread: glances.reduce((sum, room) => sum + room.unread, 0),
    mentions: glances.reduce((sum, room) => sum + room.mentions, 0),
    rooms: glances.filter((room) => room.unread > 0).length,
  };
}
