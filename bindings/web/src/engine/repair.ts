/**
 * Repairs: the questions that close holes, and what their answers do to the rows. Which are on their way stands in
 * `sync/repairs.ts`.
 */

import { create } from "@bufbuild/protobuf";
import type { ClientError } from "../error.js";
import { GoneReason, RoomCursorSchema, type RoomCursor, type RoomDelta, RoomDeltaSchema, RoomSummarySchema, type UserDelta, UserDeltaSchema } from "../gen/madang/v1/sync_pb.js";
import { SyncService } from "../gen/madang/v1/sync_service_pb.js";
import { failureOf, isBeforeTheWire, mayRepeat } from "../net/failure.js";
import * as meta from "../store/meta.js";
import * as people from "../store/people.js";
import * as rooms from "../store/rooms.js";
import type { Write } from "../store/store.js";
import { heardOf } from "../sync/repairs.js";
import * as rules from "../sync/room.js";
import { isForeseen, isJoined, isUnheardOf } from "../sync/room.js";
import { delayMs, sleep } from "../time.js";
import type { Core } from "./core.js";
import * as frames from "./frames.js";
import { noOutcome, type Outcome, type View } from "./frames.js";

/** Rows in a page; the server gives no more. */
const PAGE = 500;

/** A question to the server: `SyncRoom` from a cursor, or `SyncUser` from a number. */
export type Ask = { readonly room: RoomCursor } | { readonly user: bigint };

/** The view in which nothing is asked for: whether to ask again is decided once, by who looks. */
const QUIET: View = { focus: new Set(), live: false };

/** Asks for a room, unless an answer is on its way. */
export async function askRoom(w: Write, roomId: string, out: Outcome): Promise<void> {
  const flight = w.repairs.rooms.get(roomId);
  if (flight) {
    flight.again = true;
    return;
  }
  const { ended, rev, seq } = await rooms.load(w.tx, roomId);
  if (ended) return;
  w.repairs.rooms.set(roomId, { held: [], short: false, again: false });
  out.asks.push({ room: create(RoomCursorSchema, { roomId, rev, seq }) });
}

/**
 * Asks for a room as it is from now on: an answer that is on its way was perhaps read earlier. While a stream catches up, the
 * question waits for its end.
 */
export async function askAnew(w: Write, view: View, roomId: string, out: Outcome): Promise<void> {
  const flight = w.repairs.rooms.get(roomId);
  if (flight) flight.short = true;
  else if (!view.live) w.repairs.unanswered.add(roomId);
  else await askRoom(w, roomId, out);
}

/** The person's number is at least this; asks if that is ahead of what is held. */
export async function userIsAt(w: Write, userRev: bigint, out: Outcome): Promise<void> {
  if (userRev > w.repairs.userRev) {
    w.repairs.userRev = userRev;
    w.repairs.userAgain = w.repairs.user;
  }
  const held = await meta.number(w.tx, "user_rev");
  if (w.repairs.userRev > held && !w.repairs.user) {
    w.repairs.user = true;
    out.asks.push({ user: held });
  }
}

/**
 * Keeps how far everything is held, unless a room has a question on its way, or one without an answer: what was told of that room
 * meanwhile is held by this page at most, and the next stream tells only what is behind the mark.
 */
export async function keepWatermark(w: Write): Promise<void> {
  const { rooms: asked, watermark, lost } = w.repairs;
  if (asked.size === 0 && !lost && watermark > (await meta.number(w.tx, "watermark"))) await meta.set(w.tx, "watermark", watermark);
}

/** All verdicts are in: rooms on the screen that are behind, those never heard of, and those whose question was lost. */
export async function afterDrained(w: Write, view: View, out: Outcome): Promise<void> {
  const lost = [...w.repairs.unanswered];
  w.repairs.unanswered.clear();
  for (const roomId of [...lost, ...(await rooms.unknown(w.tx))]) await askRoom(w, roomId, out);
  if (!w.repairs.knowsOutdated) for (const id of await people.outdated(w.tx)) out.people.add(id);
  w.repairs.knowsOutdated = true;
  await heal(w, view, out);
}

/** Asks for the rooms on the screen that are behind. */
export async function heal(w: Write, view: View, out: Outcome): Promise<void> {
  for (const roomId of view.focus) {
    const state = await rooms.load(w.tx, roomId);
    const waitsToBeMade = isForeseen(state) && !isUnheardOf(state);
    if (isJoined(state) && (state.rev < state.headRev || state.rev === 0n) && !waitsToBeMade) {
      await askRoom(w, roomId, out);
    }
  }
}

/** `SyncRoom` has answered. */
export async function roomAnswered(w: Write, view: View, roomId: string, delta: RoomDelta): Promise<Outcome> {
  const out = noOutcome();
  const flight = w.repairs.rooms.get(roomId);
  w.repairs.rooms.delete(roomId);
  const before = await rooms.load(w.tx, roomId);
  await frames.onRoom(w, QUIET, roomId, out, (state, effects) => rules.delta(state, delta, w.me, effects));
  for (const event of flight?.held ?? []) await frames.event(w, QUIET, event, out);
  const state = await rooms.load(w.tx, roomId);
  const moved = before.rev !== state.rev || before.seq !== state.seq;
  const more = !delta.last && delta.to !== undefined;
  const wanted = flight?.again === true || view.focus.has(roomId);
  const behind = state.rev < state.headRev && wanted;
  // An answer that moved nothing, and during which nothing was heard, is not asked for again: the next heartbeat says if
  // something is missing.
  const news = moved || flight?.again === true;
  if (isJoined(state) && (flight?.short === true || (news && (more || behind)))) await askRoom(w, roomId, out);
  await keepWatermark(w);
  return out;
}

/** `SyncRoom` was refused for good: the room is not there for the person, or nothing is, because the session has ended. */
export async function roomRefused(w: Write, view: View, roomId: string, error: ClientError): Promise<Outcome> {
  const out = noOutcome();
  const flight = w.repairs.rooms.get(roomId);
  w.repairs.rooms.delete(roomId);
  if (error.reason === "RoomEnded") {
    const gone = { reason: GoneReason.ENDED };
    const verdict = create(RoomSummarySchema, { roomId, verdict: { case: "gone", value: gone } });
    await frames.summary(w, view, verdict, out);
  } else if (error.reason === "CursorInvalid") {
    const state = await rooms.load(w.tx, roomId);
    await rooms.save(w.tx, { ...state, rev: 0n, seq: 0n });
    await askRoom(w, roomId, out);
  } else if (error.reason !== "RoomNotFound" || heardOf(flight)) {
    // What waited for the answer is gone, and what the question was for.
    w.repairs.lost = true;
  }
  await keepWatermark(w);
  return out;
}

/** `SyncUser` has answered a page. */
export async function userAnswered(w: Write, view: View, delta: UserDelta): Promise<Outcome> {
  const out = noOutcome();
  const before = await meta.number(w.tx, "user_rev");
  await frames.userDelta(w, view, delta, out);
  w.repairs.user = false;
  const held = await meta.number(w.tx, "user_rev");
  // An answer that brings nothing new ends the asking; the next heartbeat says if something is missing.
  if (held === before && !w.repairs.userAgain) w.repairs.userRev = held;
  w.repairs.userAgain = false;
  await userIsAt(w, held, out);
  return out;
}

/** Asks until there is an answer or a refusal for good, and takes it in; tells what is to be asked next. */
export async function answer(core: Core, ask: Ask, signal: AbortSignal): Promise<readonly Ask[]> {
  for (let failures = 1; ; failures++) {
    try {
      const outcome = "room" in ask ? await syncRoom(core, ask.room, signal) : await syncUser(core, ask.user, signal);
      core.wantPeople(outcome.people);
      return outcome.asks;
    } catch (error) {
      const failure = failureOf(error);
      if (failure.kind === "Storage" || signal.aborted) throw failure;
      if (!mayRepeat(failure) && !isBeforeTheWire(failure)) return refused(core, ask, failure);
      await sleep(Math.max(failure.retryAfterMs ?? 0, delayMs(core.backoff, failures)), signal);
    }
  }
}

async function refused(core: Core, ask: Ask, failure: ClientError): Promise<readonly Ask[]> {
  const view = core.view();
  const outcome = await core.store.write("relaxed", async (w) => {
    if ("room" in ask) return roomRefused(w, view, ask.room.roomId, failure);
    w.repairs.user = false;
    return noOutcome();
  });
  return outcome.asks;
}

/** Catches a room up before returning, whether it is shown or not. */
export async function syncNow(core: Core, roomId: string): Promise<void> {
  for (;;) {
    const { rev, seq } = await core.store.read((r) => rooms.load(r.tx, roomId));
    const outcome = await syncRoom(core, create(RoomCursorSchema, { roomId, rev, seq }));
    core.wantPeople(outcome.people);
    if (outcome.asks.length === 0) return;
  }
}

async function syncRoom(core: Core, cursor: RoomCursor, signal?: AbortSignal): Promise<Outcome> {
  const request = { cursor, limit: PAGE };
  const rpc = core.connection.callOnce(SyncService, (caller, options) => caller.syncRoom(request, options), signal);
  const delta = (await rpc).delta ?? create(RoomDeltaSchema, { last: true });
  const view = core.view();
  return core.store.write("relaxed", (w) => roomAnswered(w, view, cursor.roomId, delta));
}

async function syncUser(core: Core, userRev: bigint, signal: AbortSignal): Promise<Outcome> {
  const request = { userRev, limit: PAGE };
  const rpc = core.connection.callOnce(SyncService, (caller, options) => caller.syncUser(request, options), signal);
  const delta = (await rpc).delta ?? create(UserDeltaSchema);
  const view = core.view();
  return core.store.write("relaxed", (w) => userAnswered(w, view, delta));
}
