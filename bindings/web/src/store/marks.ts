/** The person's own marks that the server has not confirmed yet. One a room: a later one replaces an earlier. */

import { type Mark, mergeMarks } from "../sync/mark.js";
import type { MarkRow, Tx } from "./tables.js";

/** Marks that are sent in one go. */
const MOST = 50;

/** What the person sees: the confirmed mark and the one on its way. */
export function shown(held: Mark, waiting: Mark | undefined): Mark {
  return waiting ? mergeMarks(held, waiting) : held;
}

/** Puts a mark in, in place of an earlier one of the room. */
export async function put(tx: Tx, mark: Omit<MarkRow, "op">): Promise<void> {
  const ops = (await tx.list("marks")).map((row) => row.op);
  await tx.put("marks", { ...mark, op: Math.max(0, ...ops) + 1 });
}

/** The mark of a room that waits. */
export async function find(tx: Tx, roomId: string): Promise<MarkRow | undefined> {
  return tx.get("marks", roomId);
}

/** Marks that wait, the eldest first. */
export async function waiting(tx: Tx): Promise<MarkRow[]> {
  return (await tx.list("marks")).sort((one, other) => one.op - other.op).slice(0, MOST);
}

/** Takes a mark out, unless a later one has replaced it. */
export async function done(tx: Tx, mark: MarkRow): Promise<void> {
  if ((await find(tx, mark.roomId))?.op === mark.op) await tx.delete("marks", mark.roomId);
}

/** The person's own "mark as unread" has begun a generation: a mark made after it is one of that generation. */
export async function rebase(tx: Tx, roomId: string, generation: bigint): Promise<void> {
  const row = await find(tx, roomId);
  if (!row || row.baseGeneration >= generation) return;
  await tx.put("marks", { ...row, baseGeneration: generation, generation: generation + (row.unread ? 1n : 0n) });
}
