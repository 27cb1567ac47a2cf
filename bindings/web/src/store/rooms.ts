/** Rooms: what is held of each beside its rows. */

import { create, fromBinary, type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { MessageSchema } from "../gen/madang/v1/message_pb.js";
import { MembershipSchema, RoomSchema } from "../gen/madang/v1/room_pb.js";
import { type RoomCursor, RoomCursorSchema } from "../gen/madang/v1/sync_pb.js";
import { cutBelow, type Island } from "../sync/islands.js";
import { markOf } from "../sync/mark.js";
import { type Drop, isForeseen, isJoined, isUnheardOf, newRoomState, type RoomState } from "../sync/room.js";
import { dateOf, isId } from "../time.js";
import * as meta from "./meta.js";
import { beginningWith, type RoomRow, type Tx } from "./tables.js";

/** Decodes what this program encoded; a shape that cannot be read counts as absent and comes again. */
export function decode<D extends DescMessage>(schema: D, bytes: Uint8Array | undefined): MessageShape<D> | undefined {
  try {
    return bytes && fromBinary(schema, bytes);
  } catch {
    return undefined;
  }
}

function stateOf(row: RoomRow): RoomState {
  const { roomId, ended, rev, headRev, seq, lowSeq, resetRev } = row;
  return {
    roomId,
    ended,
    room: decode(RoomSchema, row.room),
    membership: decode(MembershipSchema, row.membership),
    last: decode(MessageSchema, row.last),
    rev,
    headRev,
    seq,
    lowSeq,
    resetRev,
  };
}

/** What is held of a room, or a beginning. */
export async function load(tx: Tx, roomId: string): Promise<RoomState> {
  return (await find(tx, roomId)) ?? newRoomState(roomId);
}

/** What is held of a room. */
export async function find(tx: Tx, roomId: string): Promise<RoomState | undefined> {
  const row = await tx.get("rooms", roomId);
  return row && stateOf(row);
}

/** All rooms, whatever their state. */
export async function all(tx: Tx): Promise<RoomState[]> {
  return (await tx.list("rooms")).map(stateOf);
}

/** Rooms that the person is in and of which no verdict has come. */
export async function unknown(tx: Tx): Promise<string[]> {
  const rows = (await tx.list("rooms")).filter((row) => row.joined && (!row.room || row.headRev === 0n));
  return rows.map(stateOf).filter(isUnheardOf).map((state) => state.roomId);
}

/**
 * Cursors for a Hello: the rooms on the screen first, also those of which nothing is held, so that their rows come before all
 * else; then the most recently active ones that have rows. Before the person's first number a server tells only which rooms there
 * are, so then all are named: one that a command brought may be gone.
 */
export async function cursors(tx: Tx, first: ReadonlySet<string>, most: number): Promise<RoomCursor[]> {
  const numbered = (await meta.number(tx, "user_rev")) > 0n;
  const rows = await tx.list("rooms");
  const named = rows.filter(
    // One that waits to be made is nobody's yet.
    (row) => row.joined && !(row.headRev === 0n && row.room) && (row.rev > 0n || !numbered || first.has(row.roomId)),
  );
  const rank = (row: RoomRow) => (first.has(row.roomId) ? 0 : 1);
  named.sort((one, other) => rank(one) - rank(other) || other.activeMs - one.activeMs);
  const held = new Set(rows.map((row) => row.roomId));
  // A host may have it from an address that somebody typed.
  const unheard = [...first].filter((roomId) => !held.has(roomId) && isId(roomId));
  const nothing = unheard.map((roomId) => ({ roomId, rev: 0n, seq: 0n }));
  return [...nothing, ...named].slice(0, most).map(({ roomId, rev, seq }) => create(RoomCursorSchema, { roomId, rev, seq }));
}

/** Writes what is held of a room. */
export async function save(tx: Tx, state: RoomState): Promise<void> {
  const { roomId, ended, room, membership, last, rev, headRev, seq, lowSeq, resetRev } = state;
  await tx.put("rooms", {
    roomId,
    ended,
    rev,
    headRev,
    seq,
    lowSeq,
    resetRev,
    joined: isJoined(state),
    activeMs: dateOf(room?.lastActiveAt).getTime(),
    count: room?.count ?? 0n,
    firstCount: room?.firstCount ?? 0n,
    mark: markOf(membership),
    mentions: membership?.unreadMentionSeqs ?? [],
    room: room && toBinary(RoomSchema, room),
    membership: membership && toBinary(MembershipSchema, membership),
    last: last && toBinary(MessageSchema, last),
  });
}

/** Forgets a room that was never made. */
export async function forgetForeseen(tx: Tx, roomId: string): Promise<void> {
  const state = await find(tx, roomId);
  if (state && isForeseen(state)) await tx.delete("rooms", roomId);
}

/** Drops rows, as the rules say. */
export async function dropRows(tx: Tx, roomId: string, drops: readonly Drop[]): Promise<void> {
  const rows = beginningWith(roomId);
  for (const drop of drops) {
    if (drop === "Islands") {
      await tx.delete("islands", roomId);
    } else if (drop === "All") {
      for (const table of ["messages", "members", "receipts"] as const) await tx.clear(table, rows);
      for (const table of ["marks", "drafts", "visits", "islands"] as const) await tx.delete(table, roomId);
    } else if ("belowSeq" in drop) {
      await tx.clear("messages", { from: [roomId], to: [roomId, Number(drop.belowSeq) - 1] });
      await saveIslands(tx, roomId, cutBelow(await islandsOf(tx, roomId), drop.belowSeq));
    } else {
      await dropUpTo(tx, roomId, drop.upToRev);
      await tx.delete("islands", roomId);
    }
  }
}

async function dropUpTo(tx: Tx, roomId: string, rev: bigint): Promise<void> {
  const rows = beginningWith(roomId);
  for (const row of await tx.list("messages", rows)) if (row.rev <= rev) await tx.delete("messages", [roomId, row.seq]);
  for (const table of ["members", "receipts"] as const) {
    for (const row of await tx.list(table, rows)) if (row.rev <= rev) await tx.delete(table, [roomId, row.userId]);
  }
}

/** Older pieces of a room that are held, the lowest first. */
export async function islandsOf(tx: Tx, roomId: string): Promise<Island[]> {
  return [...((await tx.get("islands", roomId))?.islands ?? [])];
}

/** Keeps these islands of a room, and no other. */
export async function saveIslands(tx: Tx, roomId: string, islands: readonly Island[]): Promise<void> {
  if (islands.length === 0) await tx.delete("islands", roomId);
  else await tx.put("islands", { roomId, islands });
}
