/**
 * What was typed, in order; acknowledged entries stay for a while, to be offered again when the server was restored.
 */

import type { ErrorReason } from "../gen/madang/v1/error_pb.js";
import type { ChangeKind } from "../lists/item.js";
import * as meta from "./meta.js";
import type { OutboxRow, Tx } from "./tables.js";

/** Acknowledged entries that are kept, and for how long: a server is restored within days, if at all. */
const KEPT = 10_000;
const KEPT_MS = 7 * 24 * 3_600_000;
/** Entries that are looked at when one is acknowledged, to be forgotten: more than come, so that none stays. */
const FEW = 10;

/** What an entry changes, at the place of its number. Numbers are in the table, and are never given to another kind. */
export const KINDS: readonly ChangeKind[] = [
  "Send",
  "Edit",
  "Delete",
  "CreateRoom",
  "Join",
  "Leave",
  "Invite",
  "Remove",
  "Profile",
  "Status",
];

/** How far an entry is. The numbers are in the table. */
export const QUEUED = 0;
export const SENDING = 1;
export const FAILED = 2;
export const ACKNOWLEDGED = 3;

/** An entry. */
export interface Entry extends OutboxRow {
  readonly id: number;
}

/** An entry to be put in. */
export interface NewEntry {
  readonly kind: ChangeKind;
  readonly roomId: string;
  readonly changeId: string;
  readonly target: string;
  readonly request: Uint8Array;
}

/** What an entry changes. */
export function kindOf(entry: Entry): ChangeKind {
  const kind = KINDS[entry.kind];
  if (!kind) throw new Error(`no such kind of change: ${entry.kind}`);
  return kind;
}

/** The client's id of the message of one's own that an entry sends or changes; empty: none, or that of another. */
export function messageId(entry: Entry): string {
  return kindOf(entry) === "Send" ? entry.changeId : entry.target;
}

/** Begins to read what putting an entry in, and letting it leave, asks for. */
export function warm(tx: Tx): void {
  for (const key of ["epoch", "reoffer"]) tx.warm("meta", key);
}

/** Puts an entry in. */
export async function put(tx: Tx, { kind, ...entry }: NewEntry, nowMs: number): Promise<void> {
  await tx.put("outbox", {
    ...entry,
    kind: KINDS.indexOf(kind),
    epoch: await meta.text(tx, "epoch"),
    state: QUEUED,
    open: 1,
    tried: false,
    reason: 0,
    message: "",
    seq: 0n,
    rev: 0n,
    createdMs: nowMs,
    ackedMs: 0,
  });
}

/** An entry, by the client's id. */
export async function find(tx: Tx, changeId: string): Promise<Entry | undefined> {
  return (await tx.get("outbox", changeId, "change")) as Entry | undefined;
}

/** Entries that the server has not done, oldest first. */
export async function waiting(tx: Tx): Promise<Entry[]> {
  const rows = (await tx.list("outbox", { index: "open" })) as Entry[];
  return rows.sort((one, other) => one.id - other.id);
}

/** How many are on their way, or will be. */
export async function unsent(tx: Tx): Promise<number> {
  return (await waiting(tx)).filter((entry) => entry.state !== FAILED).length;
}

/** What was on its way when the last page ended waits again: the id makes repeating harmless. */
export async function recover(tx: Tx): Promise<void> {
  for (const entry of await waiting(tx)) if (entry.state === SENDING) await tx.put("outbox", { ...entry, state: QUEUED });
}

/** Whether a later epoch makes it doubtful that the server still has what it acknowledged. */
function isDoubtful(entry: Entry): boolean {
  return entry.state === ACKNOWLEDGED && entry.kind <= KINDS.indexOf("Delete") && messageId(entry) !== "";
}

/**
 * The first entry of each room that waits. Of a room with one on its way, or with acknowledged ones that may have to be said
 * again, none.
 */
export async function ready(tx: Tx): Promise<Entry[]> {
  const [open, doubtful] = await Promise.all([waiting(tx), ofOtherEpochs(tx)]);
  const busy = new Set([...open.filter((entry) => entry.state === SENDING), ...doubtful].map((entry) => entry.roomId));
  return open.filter((entry) => {
    if (entry.state !== QUEUED || busy.has(entry.roomId)) return false;
    busy.add(entry.roomId);
    return true;
  });
}

/** Changes an entry, if it is as far as that. */
export async function update(tx: Tx, id: number, states: readonly number[], change: Partial<OutboxRow>): Promise<void> {
  const entry = await tx.get("outbox", id);
  if (entry && states.includes(entry.state)) await tx.put("outbox", { ...entry, ...change });
}

/** It is on its way, as this transaction has found it. */
export function leave(tx: Tx, entry: Entry): Promise<void> {
  return tx.put("outbox", { ...entry, state: SENDING, tried: true });
}

/** It goes back to its place. */
export function wait(tx: Tx, id: number): Promise<void> {
  return update(tx, id, [SENDING], { state: QUEUED });
}

/** It was refused. */
export function fail(tx: Tx, id: number, reason: ErrorReason, message: string): Promise<void> {
  return update(tx, id, [QUEUED, SENDING], { state: FAILED, reason, message });
}

/** Everything that waits for a room was refused. */
export async function failRoom(tx: Tx, roomId: string, reason: ErrorReason, message: string): Promise<Entry[]> {
  const lost = (await waiting(tx)).filter((entry) => entry.roomId === roomId && entry.state !== FAILED);
  for (const entry of lost) await fail(tx, entry.id, reason, message);
  return lost;
}

/** It waits again, at its old place. */
export function retry(tx: Tx, id: number): Promise<void> {
  return update(tx, id, [FAILED], { state: QUEUED, reason: 0, message: "" });
}

/** The server has done it. */
export async function acknowledge(tx: Tx, entry: Entry, seq: bigint, rev: bigint, nowMs: number): Promise<void> {
  const held = await tx.get("outbox", entry.id);
  if (!held || held.state === FAILED) return;
  const { open: _, ...rest } = held;
  const sent = kindOf(entry) === "Send" ? { ackedSeq: Number(seq) } : {};
  await tx.put("outbox", { ...rest, ...sent, state: ACKNOWLEDGED, seq, rev, ackedMs: nowMs });
  await forgetOld(tx, nowMs);
}

/** Forgets what was acknowledged long ago: the oldest first, a few at a time. */
async function forgetOld(tx: Tx, nowMs: number): Promise<void> {
  let oldest = (await tx.list("outbox", { limit: FEW })) as Entry[];
  // What was refused, or waits, may be older than all that was acknowledged.
  if (!oldest.some((entry) => entry.state === ACKNOWLEDGED)) {
    oldest = (await tx.list("outbox", { limit: FEW + (await waiting(tx)).length })) as Entry[];
  }
  const newest = ((await tx.list("outbox", { reverse: true, limit: 1 })) as Entry[])[0];
  for (const entry of oldest) {
    const old = entry.ackedMs < nowMs - KEPT_MS || entry.id <= (newest?.id ?? 0) - KEPT;
    if (entry.state === ACKNOWLEDGED && old) await tx.delete("outbox", entry.id);
  }
}

/** Throws an entry away, with what waits to change what it sends. */
export async function remove(tx: Tx, changeId: string): Promise<void> {
  const entry = await find(tx, changeId);
  if (entry) await tx.delete("outbox", entry.id);
  const changes = (await tx.list("outbox", { index: "target", from: changeId, to: changeId })) as Entry[];
  for (const change of changes) if (change.state !== ACKNOWLEDGED) await tx.delete("outbox", change.id);
}

/** Sends of a room that are no rows yet: what waits, and what was acknowledged above what is held. */
export async function shown(tx: Tx, roomId: string, heldSeq: bigint): Promise<Entry[]> {
  const above = { index: "acked", from: [roomId, Number(heldSeq) + 1], to: [roomId, []] };
  const [all, acked] = await Promise.all([waiting(tx), tx.list("outbox", above) as Promise<Entry[]>]);
  const open = all.filter((entry) => entry.roomId === roomId && kindOf(entry) === "Send");
  return [...open, ...acked].sort((one, other) => one.id - other.id);
}

/** Edits and deletions of a room that wait, oldest first. */
export async function edits(tx: Tx, roomId: string): Promise<Entry[]> {
  const open = (await waiting(tx)).filter((entry) => entry.roomId === roomId);
  return open.filter((entry) => ["Edit", "Delete"].includes(kindOf(entry)));
}

/** Acknowledged entries of another epoch, of which the server may know nothing any more, the newest first. */
export async function ofOtherEpochs(tx: Tx): Promise<Entry[]> {
  if ((await tx.get("meta", "reoffer")) === undefined) return [];
  const epoch = await meta.text(tx, "epoch");
  const rows = ((await tx.list("outbox")) as Entry[]).filter((entry) => isDoubtful(entry) && entry.epoch !== epoch);
  if (rows.length === 0) await tx.delete("meta", "reoffer");
  const order = (one: Entry, other: Entry) => Number(other.rev - one.rev) || other.id - one.id;
  return rows.sort(order);
}

/** Whether acknowledged entries must be looked at: the epoch is another. */
export async function doubtAll(tx: Tx): Promise<void> {
  await tx.put("meta", { key: "reoffer", value: 1 });
}

/** The server still has what an entry did, and everything acknowledged before it in its room. */
export async function confirmUntil(tx: Tx, entry: Entry, epoch: string): Promise<void> {
  for (const one of (await tx.list("outbox")) as Entry[]) {
    const before = one.rev < entry.rev || (one.rev === entry.rev && one.id <= entry.id);
    if (one.roomId === entry.roomId && one.state === ACKNOWLEDGED && before) await tx.put("outbox", { ...one, epoch });
  }
}

/** It is said again, under this epoch. */
export async function reoffer(tx: Tx, entry: Entry, request: Uint8Array, epoch: string): Promise<void> {
  const { ackedSeq: _, ...rest } = entry;
  await tx.put("outbox", { ...rest, request, epoch, state: QUEUED, open: 1 });
}
