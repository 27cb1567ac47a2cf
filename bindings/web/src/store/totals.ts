/** What is unread in all rooms together, and what of a room a list shows. */

import { type Membership, MembershipSchema, type Room, RoomSchema } from "../gen/madang/v1/room_pb.js";
import type { Totals } from "../lists/item.js";
import { type Mark, unreadOf } from "../sync/mark.js";
import * as marks from "./marks.js";
import * as outbox from "./outbox.js";
import { decode } from "./rooms.js";
import type { Warm } from "./store.js";
import type { RoomRow, Tx } from "./tables.js";

/** What is unread in a room, with the mark that is still on its way. */
export interface Badge {
  readonly row: RoomRow;
  readonly unread: number;
  readonly mentions: number;
}

/** A room with what a list shows of it. */
export interface Glance extends Badge {
  readonly room: Room;
  readonly membership: Membership | undefined;
}

/** A room as a list shows it; `undefined`: no verdict on it has come. */
export function glanceOf(badge: Badge): Glance | undefined {
  const room = decode(RoomSchema, badge.row.room);
  return room && { ...badge, room, membership: decode(MembershipSchema, badge.row.membership) };
}

/** What is unread in a room. */
export function badgeOf(row: RoomRow, waiting: Mark | undefined): Badge {
  const mark = marks.shown(row.mark, waiting);
  const unread = Number(unreadOf(mark, row.count, row.firstCount));
  return { row, unread, mentions: row.mentions.filter((seq) => seq > mark.seq).length };
}

/** Rooms that the person is in and that are known, but for those that they are about to leave. */
export async function joined(tx: Tx): Promise<Badge[]> {
  const [held, leaving, rows] = await Promise.all([tx.list("marks"), leavingRooms(tx), tx.list("rooms")]);
  const waiting = new Map(held.map((mark) => [mark.roomId, mark]));
  const inside = rows.filter((row) => row.joined && row.room && !leaving.has(row.roomId));
  return inside.map((row) => badgeOf(row, waiting.get(row.roomId)));
}

/** The same, of these rooms alone. */
export async function joinedAmong(tx: Tx, roomIds: Iterable<string>): Promise<Badge[]> {
  const found = [...roomIds].map((roomId) => Promise.all([tx.get("rooms", roomId), marks.find(tx, roomId)]));
  const [leaving, ...rows] = await Promise.all([leavingRooms(tx), ...found]);
  return rows.flatMap(([row, mark]) => (row?.joined && row.room && !leaving.has(row.roomId) ? [badgeOf(row, mark)] : []));
}

/** Begins to read what `joinedAmong` asks for. */
export function warmAmong(roomIds: Iterable<string>): Warm {
  return (tx) => {
    for (const roomId of roomIds) for (const table of ["rooms", "marks"] as const) tx.warm(table, roomId);
  };
}

/** Rooms that the person is about to leave. */
async function leavingRooms(tx: Tx): Promise<ReadonlySet<string>> {
  const open = (await outbox.waiting(tx)).filter((entry) => entry.state !== outbox.FAILED);
  return new Set(open.filter((entry) => outbox.kindOf(entry) === "Leave").map((entry) => entry.roomId));
}

/** What is unread in these rooms together. */
export function totalsOf(badges: readonly Pick<Badge, "unread" | "mentions">[]): Totals {
  return {
    unread: badges.reduce((sum, room) => sum + room.unread, 0),
    mentions: badges.reduce((sum, room) => sum + room.mentions, 0),
    rooms: badges.filter((room) => room.unread > 0).length,
  };
}
