/**
 * What is heard while a question is on its way: it is asked for when the answer has come, and what the store says does not hide from
 * the next page what only this one knew.
 */

import "fake-indexeddb/auto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { IDBFactory } from "fake-indexeddb";
import { beforeEach, expect, test, vi } from "vitest";
import { answer, apply, noOutcome } from "../src/engine/frames.js";
import * as repair from "../src/engine/repair.js";
import { ClientError } from "../src/error.js";
import * as welcome from "../src/engine/welcome.js";
import { MessageSchema } from "../src/gen/madang/v1/message_pb.js";
import { MemberState } from "../src/gen/madang/v1/room_pb.js";
import { type RoomDelta, RoomDeltaSchema, type RoomEvent, RoomEventSchema, type ServerFrame, ServerFrameSchema, UserDeltaSchema, WelcomeSchema } from "../src/gen/madang/v1/sync_pb.js";
import { UserSchema } from "../src/gen/madang/v1/user_pb.js";
import { IndexedBackend } from "../src/store/indexed.js";
import * as meta from "../src/store/meta.js";
import * as people from "../src/store/people.js";
import { Store } from "../src/store/store.js";
import { newId } from "../src/time.js";

const [ROOM, ME, OTHER] = [newId(), newId(), newId()];
/** The room is on the screen, or it is not. */
const SHOWN = { focus: new Set([ROOM]), live: true };
const HIDDEN = { focus: new Set<string>(), live: true };

let store: Store;

beforeEach(async () => {
  vi.stubGlobal("indexedDB", new IDBFactory());
  store = await opened();
  await store.write("relaxed", (w) => meta.set(w.tx, "user_id", ME));
});

/** A store as a page opens it: what the page before only knew is gone. */
const opened = async () => new Store(await IndexedBackend.open("store", () => undefined), () => undefined);

type Told = NonNullable<MessageInitShape<typeof ServerFrameSchema>["frame"]>;

const takeIn = (view: typeof SHOWN, ...frames: Told[]) => {
  const told: ServerFrame[] = frames.map((frame) => create(ServerFrameSchema, { frame }));
  return store.write("relaxed", (w) => apply(w, view, told));
};
const watermark = () => store.read((r) => meta.number(r.tx, "watermark"));

/** The room at a revision, in which the person is. */
function present(rev: bigint) {
  const member = { roomId: ROOM, userId: ME, state: MemberState.JOINED, rev: 1n };
  return { room: { id: ROOM, rev, seq: rev }, membership: { userRev: 1n, member } };
}
const summary = (rev: bigint) => ({ roomId: ROOM, verdict: { case: "present", value: present(rev) } }) as const;
const verdict = (rev: bigint) => ({ case: "roomSummary", value: summary(rev) }) as const;
const drained = (upTo: bigint) => ({ case: "drained", value: { watermark: upTo } }) as const;
const beat = (upTo: bigint) => ({ case: "heartbeat", value: { watermark: upTo } }) as const;

function change(rev: bigint): RoomEvent {
  const value = create(MessageSchema, { roomId: ROOM, seq: rev, rev, count: rev, senderId: OTHER });
  return create(RoomEventSchema, { roomId: ROOM, prevRev: rev - 1n, rev, actorId: OTHER, change: { case: "message", value } });
}
const event = (rev: bigint) => ({ case: "roomEvent", value: change(rev) }) as const;

function delta(from: bigint, to: bigint): RoomDelta {
  const cursor = (rev: bigint) => ({ roomId: ROOM, rev, seq: rev });
  return create(RoomDeltaSchema, { summary: summary(to), from: cursor(from), to: cursor(to), snapshotRev: to, last: true });
}
const answered = (view: typeof SHOWN, told: RoomDelta) =>
  store.write("relaxed", (w) => repair.roomAnswered(w, view, ROOM, told));

test("a watermark is not kept over what waits for an answer", async () => {
  await takeIn(HIDDEN, verdict(1n), drained(10n));
  expect(await watermark()).toBe(10n);
  // Revision 2 is missing, and 4 waits with it.
  expect((await takeIn(HIDDEN, event(3n), event(4n), beat(20n))).asks).toHaveLength(1);
  expect(await watermark()).toBe(10n);
  await answered(HIDDEN, delta(0n, 4n));
  expect(await watermark()).toBe(20n);
});

test("a watermark is not kept over a question that is refused because the session has ended", async () => {
  for (const [reason, kept] of [["SessionRevoked", 10n], ["RoomNotFound", 20n]] as const) {
    vi.stubGlobal("indexedDB", new IDBFactory());
    store = await opened();
    await store.write("relaxed", (w) => meta.set(w.tx, "user_id", ME));
    await takeIn(HIDDEN, verdict(1n), drained(10n));
    // Revision 2 is missing.
    expect((await takeIn(HIDDEN, event(3n), beat(20n))).asks).toHaveLength(1);
    const refusal = new ClientError("Unauthenticated", "refused", { reason });
    await store.write("relaxed", (w) => repair.roomRefused(w, HIDDEN, ROOM, refusal));
    expect(await watermark()).toBe(kept);
    // The next stream tells it again.
    await store.write("relaxed", async (w) => w.repairs.begin());
    await takeIn(HIDDEN, verdict(3n), drained(30n));
    expect(await watermark()).toBe(30n);
  }
});

test("a room that was heard of meanwhile is asked for again", async () => {
  await takeIn(SHOWN, verdict(1n));
  await answered(SHOWN, delta(0n, 1n));
  expect((await takeIn(SHOWN, verdict(2n))).asks).toHaveLength(1);
  // One's own send brings what was asked for, and somebody else is heard of; the answer knows nothing of that.
  await store.write("relaxed", (w) => answer(w, SHOWN, change(2n), noOutcome()));
  expect((await takeIn(SHOWN, verdict(3n))).asks).toHaveLength(0);
  expect((await answered(SHOWN, delta(1n, 2n))).asks).toHaveLength(1);
  expect((await answered(SHOWN, delta(1n, 2n))).asks).toHaveLength(0);
});

test("a number of one's own that was heard of meanwhile is asked for again", async () => {
  const behind = (userRev: bigint) => takeIn(SHOWN, { case: "userBehind", value: { userRev } });
  const told = (fromUserRev: bigint, toUserRev: bigint) => {
    const page = create(UserDeltaSchema, { fromUserRev, toUserRev, last: true });
    return store.write("relaxed", (w) => repair.userAnswered(w, SHOWN, page));
  };
  expect((await behind(1n)).asks).toEqual([{ user: 0n }]);
  // A mark of one's own brings what was asked for.
  await store.write("relaxed", (w) => meta.set(w.tx, "user_rev", 1n));
  expect((await behind(2n)).asks).toEqual([]);
  expect((await told(0n, 1n)).asks).toEqual([{ user: 1n }]);
  expect((await told(1n, 1n)).asks).toEqual([]);
});

type Numbered = readonly (readonly [string, bigint])[];

/** What the server answers to a question for profiles that was asked at a moment; whose are wanted still. */
const usersAnswered = (users: Numbered, askedAt: bigint) =>
  store.write("relaxed", (w) => {
    const told = users.map(([id, profileRev]) => create(UserSchema, { id, profileRev }));
    return people.take(w, told, askedAt);
  });
const peopleChanged = async (changed: Numbered, all = false) => {
  const profiles = changed.map(([userId, profileRev]) => ({ userId, profileRev }));
  return [...(await takeIn(SHOWN, { case: "peopleChanged", value: { profiles, all } })).people].sort();
};
/** Whose profiles the next page would ask for. */
const peopleWanted = async () => {
  store = await opened();
  return [...(await takeIn(SHOWN, drained(1n))).people].sort();
};

test("a profile that has changed is wanted by the next page too", async () => {
  await usersAnswered([["ann", 3n], ["bob", 3n]], 0n);
  expect(await peopleChanged([["ann", 4n], ["bob", 3n], ["nobody", 9n]])).toEqual(["ann"]);
  expect(await peopleWanted()).toEqual(["ann"]);
  expect(await usersAnswered([["ann", 4n]], 0n)).toEqual([]);
  expect(await peopleWanted()).toEqual([]);
  expect(await peopleChanged([], true)).toEqual(["ann", "bob"]);
  expect(await peopleWanted()).toEqual(["ann", "bob"]);
});

test("an older answer is not taken for a profile that has changed since", async () => {
  await usersAnswered([["ann", 3n]], 0n);
  await peopleChanged([["ann", 4n], ["new", 2n]]);
  // What was read before the change: nothing of it is shown, and it is wanted still.
  expect(await usersAnswered([["ann", 3n], ["new", 1n]], 0n)).toEqual(["ann", "new"]);
  expect(await store.read((r) => people.find(r.tx, "new"))).toBeUndefined();
  expect(await usersAnswered([["ann", 4n], ["new", 2n]], 0n)).toEqual([]);

  // Anybody's may have changed: also of those whose answer is on its way.
  await peopleChanged([], true);
  expect(await usersAnswered([["ann", 4n], ["late", 7n]], 0n)).toEqual(["ann", "late"]);
  expect(await peopleWanted()).toEqual(["ann", "late", "new"]);
  expect(await usersAnswered([["ann", 4n], ["late", 8n], ["new", 2n]], 1n)).toEqual([]);
  expect(await peopleWanted()).toEqual([]);
});

test("profiles of a history that is gone are fetched anew", async () => {
  const begins = (epoch: string) => welcome.take(store, create(WelcomeSchema, { userId: ME, epoch }));
  await begins("first");
  await usersAnswered([["ann", 9n]], 0n);
  await begins("restored");
  expect(await usersAnswered([["ann", 9n]], 0n)).toEqual(["ann"]);
  expect(await peopleWanted()).toEqual(["ann"]);
  expect(await usersAnswered([["ann", 8n]], 1n)).toEqual([]);
  expect((await store.read((r) => people.find(r.tx, "ann")))?.profileRev).toBe(8n);
});
