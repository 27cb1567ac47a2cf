/** Frames into the store: where the rules meet the rows. Runs inside a transaction. */

import { create } from "@bufbuild/protobuf";
import { type ChangedRows, noteRows } from "../changes.js";
import { ErrorReason } from "../gen/madang/v1/error_pb.js";
import type { Message } from "../gen/madang/v1/message_pb.js";
import type { ListMessagesResponse } from "../gen/madang/v1/message_service_pb.js";
import { MemberState, type Membership } from "../gen/madang/v1/room_pb.js";
import { type Heartbeat, type PeopleChanged, type RoomEvent, RoomEventSchema, type RoomSummary, type ServerFrame, type UserDelta } from "../gen/madang/v1/sync_pb.js";
import * as messages from "../store/messages.js";
import * as meta from "../store/meta.js";
import * as outbox from "../store/outbox.js";
import * as people from "../store/people.js";
import * as rooms from "../store/rooms.js";
import type { Write } from "../store/store.js";
import type { Tx } from "../store/tables.js";
import type { Island } from "../sync/islands.js";
import { markOf } from "../sync/mark.js";
import * as rules from "../sync/room.js";
import { type Effects, isJoined, isUnheardOf, noEffects, type RoomState } from "../sync/room.js";
import { type Verdict, verdictOf } from "../sync/span.js";
import * as repair from "./repair.js";
import type { Ask } from "./repair.js";

/** What is to be done after the commit. */
export interface Outcome {
  /** Questions to the server. */
  readonly asks: Ask[];
  /** People who were seen and are not known, or whose profile changed. */
  readonly people: Set<string>;
  /** Newest item that has arrived, by room. */
  readonly delivered: Map<string, bigint>;
  /** All verdicts are in. */
  drained: boolean;
}

/** Nothing is to be done. */
export function noOutcome(): Outcome {
  return { asks: [], people: new Set(), delivered: new Map(), drained: false };
}

/** What the application of frames must know beside the store. */
export interface View {
  /** Rooms on the screen. */
  readonly focus: ReadonlySet<string>;
  /** All verdicts of this stream are in. */
  readonly live: boolean;
}

/** Applies frames in their order, in one transaction. Those that concern the stream alone are passed over. */
export async function apply(w: Write, begun: View, frames: readonly ServerFrame[]): Promise<Outcome> {
  const out = noOutcome();
  let view = begun;
  for (let at = 0; at < frames.length; at++) {
    const frame = (frames[at] as ServerFrame).frame;
    switch (frame.case) {
      case "roomSummary": {
        // Verdicts on different rooms have nothing to do with each other; somebody in a thousand rooms gets them in a row.
        const verdicts = summariesFrom(frames, at);
        at += verdicts.length - 1;
        const now = view;
        await Promise.all(verdicts.map((told) => summary(w, now, told, out)));
        break;
      }
      case "roomDelta": {
        const delta = frame.value;
        const roomId = delta.summary?.roomId ?? "";
        await onRoom(w, view, roomId, out, (state, effects) => rules.delta(state, delta, w.me, effects));
        if (!delta.last && delta.to) await repair.askRoom(w, roomId, out);
        break;
      }
      case "roomEvent":
        await event(w, view, frame.value, out);
        break;
      case "userDelta":
        await userDelta(w, view, frame.value, out);
        break;
      case "userBehind":
        await repair.userIsAt(w, frame.value.userRev, out);
        break;
      case "peopleChanged":
        await peopleChanged(w, frame.value, out);
        break;
      case "drained":
        await keepWatermark(w, frame.value.watermark);
        view = { ...view, live: true };
        out.drained = true;
        await repair.afterDrained(w, view, out);
        break;
      case "heartbeat":
        await heartbeat(w, view, frame.value, out);
        break;
    }
  }
  return out;
}

/** Begins to read what frames are applied to. */
export function warm(tx: Tx, frames: readonly ServerFrame[]): void {
  tx.warm("meta", "user_rev");
  for (const { frame } of frames) {
    if (frame.case === "roomSummary") tx.warm("rooms", frame.value.roomId);
    else if (frame.case === "roomDelta") tx.warm("rooms", frame.value.summary?.roomId ?? "");
    else if (frame.case === "roomEvent") warmEvent(tx, frame.value);
    else if (frame.case === "userDelta") for (const { member } of frame.value.memberships) tx.warm("rooms", member?.roomId ?? "");
  }
}

/** Begins to read what an event is applied to. */
export function warmEvent(tx: Tx, { roomId, actorId, change }: RoomEvent): void {
  tx.warm("rooms", roomId);
  if (change.case !== "message") return;
  tx.warm("messages", [roomId, Number(change.value.seq)]);
  if (change.value.markGeneration !== undefined) tx.warm("receipts", [roomId, actorId]);
  for (const userId of peopleOf(change.value)) if (userId !== "") tx.warm("users", userId);
}

/** The verdicts on different rooms that begin at a frame. */
function summariesFrom(frames: readonly ServerFrame[], begin: number): RoomSummary[] {
  const rooms = new Map<string, RoomSummary>();
  for (const { frame } of frames.slice(begin)) {
    if (frame.case !== "roomSummary" || rooms.has(frame.value.roomId)) break;
    rooms.set(frame.value.roomId, frame.value);
  }
  return [...rooms.values()];
}

/** Lets a rule change a room, does what follows from it, and saves the room. */
export async function onRoom(
  w: Write,
  view: View,
  roomId: string,
  out: Outcome,
  rule: (state: RoomState, effects: Effects) => void,
): Promise<void> {
  if (roomId === "") return;
  const { tx } = w;
  const state = await rooms.load(tx, roomId);
  const newestBefore = state.room?.seq ?? 0n;
  const effects = noEffects();
  rule(state, effects);
  await rooms.dropRows(tx, roomId, effects.drop);
  await messages.upsert(tx, effects.messages, w.me);
  await messages.upsertMembers(tx, roomId, effects.members);
  await messages.upsertReceipts(tx, roomId, effects.receipts);
  if (effects.ended) {
    const lost = await outbox.failRoom(tx, roomId, ErrorReason.ROOM_ENDED, "the room has ended");
    for (const entry of lost) w.changes.entries.add(entry.changeId);
  }
  const newest = state.room?.seq ?? 0n;
  if (isJoined(state) && newest > newestBefore) out.delivered.set(roomId, newest);
  await seePeople(w, state, effects, out);
  await rooms.save(tx, state);
  noteRows(w.changes, roomId, rowsOf(effects));
  const behind = state.rev < state.headRev && view.focus.has(roomId);
  if (effects.hole || (isJoined(state) && view.live && (behind || isUnheardOf(state)))) {
    await repair.askRoom(w, roomId, out);
  }
}

/** Which rows a rule has changed. */
function rowsOf({ messages: told, members, receipts, drop }: Effects): ChangedRows {
  const marked = told.filter((message) => message.markGeneration !== undefined).map((message) => message.senderId);
  const people = [...members, ...receipts].map(({ userId }) => userId);
  return { seqs: told.map(({ seq }) => Number(seq)), people: [...people, ...marked], all: drop.length > 0 };
}

/** A verdict on a room. */
export async function summary(w: Write, view: View, told: RoomSummary, out: Outcome): Promise<void> {
  await onRoom(w, view, told.roomId, out, (state, effects) => rules.summary(state, told, effects));
}

/** A live change. While the room is being repaired it waits: the answer may hold it already, or let it join. */
export async function event(w: Write, view: View, told: RoomEvent, out: Outcome): Promise<void> {
  if (w.repairs.hold(told)) return;
  await onRoom(w, view, told.roomId, out, (state, effects) => rules.event(state, told, w.me, effects));
}

/** The event that a message's change is, as a command's answer tells it. */
export function changeOf(message: Message, prevRev: bigint, rev: bigint): RoomEvent {
  const { roomId, senderId: actorId } = message;
  return create(RoomEventSchema, { roomId, prevRev, rev, actorId, change: { case: "message", value: message } });
}

/** What a command has changed, told by its answer: the row is taken, the cursor moves only where the span joins. */
export async function answer(w: Write, view: View, told: RoomEvent, out: Outcome): Promise<void> {
  await onRoom(w, view, told.roomId, out, (state, effects) => {
    const rows = told.change.case === "message" && !state.ended ? [told.change.value] : [];
    if (told.rev > 0n) rules.event(state, told, w.me, effects);
    effects.hole = false;
    if (effects.messages.length === 0) effects.messages = rows;
  });
}

/** One's own place in a room, as a command or the stream tells it. */
export async function membership(w: Write, view: View, told: Membership, out: Outcome): Promise<void> {
  const roomId = told.member?.roomId ?? "";
  const before = await rooms.load(w.tx, roomId);
  await onRoom(w, view, roomId, out, (state, effects) => rules.member(state, told, "Person", effects));
  // Older messages are unread again: which of them mention the person is not told by a membership for sure.
  if (isJoined(before) && told.readGeneration > markOf(before.membership).generation) {
    await repair.askAnew(w, view, roomId, out);
  }
}

/** The person's changes. */
export async function userDelta(w: Write, view: View, told: UserDelta, out: Outcome): Promise<void> {
  if ((await userSpan(w, told.fromUserRev, told.toUserRev)) === "Hole") {
    await repair.userIsAt(w, told.toUserRev, out);
    return;
  }
  // Whole states merge by their own numbers; a delta that is held already changes nothing. There is one of each room, and
  // rooms have nothing to do with each other.
  await Promise.all(told.memberships.map((place) => membership(w, view, place, out)));
  if (!told.last) await repair.userIsAt(w, told.toUserRev + 1n, out);
}

/** Moves the person's number where a span joins, and tells whether it does. */
async function userSpan(w: Write, from: bigint, to: bigint): Promise<Verdict> {
  const verdict = verdictOf(from, to, await meta.number(w.tx, "user_rev"));
  if (verdict === "Apply") await meta.set(w.tx, "user_rev", to);
  return verdict;
}

/** A membership that a command answered with; `prevUserRev` 0: nothing moved. */
export async function ownAnswer(
  w: Write,
  view: View,
  place: Membership,
  prevUserRev: bigint,
  out: Outcome,
): Promise<void> {
  if (prevUserRev > 0n && (await meta.number(w.tx, "user_rev")) === prevUserRev) {
    await meta.set(w.tx, "user_rev", place.userRev);
  }
  await membership(w, view, place, out);
}

/** A page of the timeline, from anywhere. One whose snapshot is older than a reset does not fit any more. */
export async function page(
  w: Write,
  view: View,
  roomId: string,
  told: ListMessagesResponse,
  out: Outcome,
): Promise<void> {
  const islands: Island[] = await rooms.islandsOf(w.tx, roomId);
  await onRoom(w, view, roomId, out, (state, effects) => rules.page(state, told, islands, w.me, effects));
  await rooms.saveIslands(w.tx, roomId, islands);
}

/** Everything up to here has been told; it is kept once it is held too. */
async function keepWatermark(w: Write, watermark: bigint): Promise<void> {
  if (watermark > w.repairs.watermark) w.repairs.watermark = watermark;
  await repair.keepWatermark(w);
}

async function heartbeat(w: Write, view: View, beat: Heartbeat, out: Outcome): Promise<void> {
  await repair.userIsAt(w, beat.userRev, out);
  for (const room of beat.rooms) {
    const state = await rooms.load(w.tx, room.roomId);
    if (isJoined(state) && room.rev > state.rev && view.focus.has(room.roomId)) {
      await repair.askRoom(w, room.roomId, out);
    }
  }
  await keepWatermark(w, beat.watermark);
}

async function peopleChanged(w: Write, changed: PeopleChanged, out: Outcome): Promise<void> {
  if (changed.all) for (const id of await people.outdateAll(w.tx)) out.people.add(id);
  for (const { userId, profileRev } of changed.profiles) {
    if (await people.outdate(w.tx, userId, profileRev)) out.people.add(userId);
  }
}

/** Notes who is seen for the first time. */
async function seePeople(w: Write, state: RoomState, effects: Effects, out: Outcome): Promise<void> {
  const seen = new Set(state.room?.directUserIds ?? []);
  for (const message of state.last ? [...effects.messages, state.last] : effects.messages) {
    for (const id of peopleOf(message)) seen.add(id);
  }
  for (const member of effects.members) if (member.state === MemberState.JOINED) seen.add(member.userId);
  seen.delete("");
  await Promise.all([...seen].map(async (id) => (await people.knows(w.tx, id)) || out.people.add(id)));
}

/** Whose names a message needs. */
export function peopleOf({ senderId, system }: Message): string[] {
  return system ? [senderId, system.actorId, ...system.userIds] : [senderId];
}
