/**
 * What the store keeps of what can be had again, so that it does not grow for ever.
 *
 * Always true: what is dropped is a beginning of a room's range, and `lowSeq` says so in the same transaction; numbers, what was
 * typed, drafts and marks stay.
 */

import { noteRows } from "../changes.js";
import * as meta from "./meta.js";
import * as rooms from "./rooms.js";
import type { Write } from "./store.js";

/** A room that was not opened for so long keeps its newest rows only. */
const LONG_MS = 30 * 24 * 3_600_000;
/** Rows that such a room keeps: what a screen shows and some scrolling. */
const KEPT = 200n;
/** Rows of a room that was never opened here: what a screen shows first. */
const KEPT_UNOPENED = 50n;
/** How seldom: a store grows by days. */
const EVERY_MS = 24 * 3_600_000;
/** A visit is noted no more often than this: what is kept is decided by months. */
const NOTED_MS = 24 * 3_600_000;

/** A room is opened now. A clock that went back does not put it off. */
export async function visit(w: Write, roomId: string, nowMs: number): Promise<void> {
  const visited = (await w.tx.get("visits", roomId))?.openedMs;
  if (visited === undefined || !isWithin(nowMs - visited, NOTED_MS)) await w.tx.put("visits", { roomId, openedMs: nowMs });
}

/** Drops what rooms keep too much of, if that was not done less than a day ago. Open rooms keep what they have. */
export async function keepSmall(w: Write, open: ReadonlySet<string>, nowMs: number): Promise<void> {
  if (isWithin(nowMs - Number(await meta.number(w.tx, "kept_small_ms")), EVERY_MS)) return;
  await meta.set(w.tx, "kept_small_ms", BigInt(nowMs));
  const visits = new Map((await w.tx.list("visits")).map((row) => [row.roomId, row.openedMs]));
  for (const row of await w.tx.list("rooms")) {
    const opened = visits.get(row.roomId);
    if (open.has(row.roomId) || (opened !== undefined && nowMs - opened < LONG_MS)) continue;
    await trim(w, row.roomId, opened === undefined ? KEPT_UNOPENED : KEPT);
  }
}

/** Drops the oldest rows of a room beyond what it may keep. */
async function trim(w: Write, roomId: string, kept: bigint): Promise<void> {
  const state = await rooms.find(w.tx, roomId);
  if (!state || state.seq - state.lowSeq < kept) return;
  state.lowSeq = state.seq - kept + 1n;
  await w.tx.clear("messages", { from: [roomId], to: [roomId, Number(state.lowSeq) - 1] });
  await w.tx.delete("islands", roomId);
  await rooms.save(w.tx, state);
  noteRows(w.changes, roomId, { all: true });
}

/**
 * Drops all rows of all rooms. A room without a revision is answered by its newest page, whole, when it is asked for next; until
 * then it follows by its head, as one that nobody has opened.
 */
export async function clear(w: Write): Promise<void> {
  for (const table of ["messages", "members", "receipts", "islands"] as const) await w.tx.clear(table);
  for (const state of await rooms.all(w.tx)) await rooms.save(w.tx, { ...state, rev: 0n, seq: 0n, lowSeq: 0n });
  w.changes.everything = true;
}

function isWithin(ms: number, most: number): boolean {
  return ms >= 0 && ms < most;
}
