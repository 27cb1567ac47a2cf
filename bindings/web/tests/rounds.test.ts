/** How often a write waits for the store: each wait is felt between a key and the other's screen. */

import "fake-indexeddb/auto";
import { create } from "@bufbuild/protobuf";
import { IDBFactory } from "fake-indexeddb";
import { beforeEach, expect, test, vi } from "vitest";
import * as changes from "../src/engine/changes.js";
import { apply, warm } from "../src/engine/frames.js";
import { take } from "../src/engine/outbox.js";
import { MessageSchema } from "../src/gen/madang/v1/message_pb.js";
import { SendMessageRequestSchema } from "../src/gen/madang/v1/message_service_pb.js";
import { type Membership, MemberSchema, MembershipSchema, MemberState, RoomSchema } from "../src/gen/madang/v1/room_pb.js";
import { RoomEventSchema, type ServerFrame, ServerFrameSchema, UserDeltaSchema } from "../src/gen/madang/v1/sync_pb.js";
import { IndexedBackend } from "../src/store/indexed.js";
import * as meta from "../src/store/meta.js";
import * as outbox from "../src/store/outbox.js";
import * as rooms from "../src/store/rooms.js";
import { Store } from "../src/store/store.js";
import { newId } from "../src/time.js";

const [ROOM, ME, OTHER] = [newId(), newId(), newId()];
const VIEW = { focus: new Set([ROOM]), live: true };

let store: Store;
/** Questions that wait for an answer, and how often one was asked while none did. */
let [waiting, rounds] = [0, 0];

for (const prototype of [IDBObjectStore.prototype, IDBIndex.prototype] as Record<string, any>[]) {
  for (const name of ["get", "getAll", "openCursor"]) {
    const ask = prototype[name];
    prototype[name] = function (...words: unknown[]) {
      const asked = ask.apply(this, words);
      if (waiting++ === 0) rounds += 1;
      for (const end of ["success", "error"]) asked.addEventListener(end, () => (waiting -= 1));
      return asked;
    };
  }
}

const place = (roomId: string): Membership =>
  create(MembershipSchema, { userRev: 1n, member: create(MemberSchema, { roomId, userId: ME, state: MemberState.JOINED }) });

beforeEach(async () => {
  vi.stubGlobal("indexedDB", new IDBFactory());
  store = new Store(await IndexedBackend.open("store", () => undefined), () => undefined);
  await store.write("relaxed", async (w) => {
    await meta.set(w.tx, "user_id", ME);
    const room = create(RoomSchema, { id: ROOM, seq: 1n, rev: 1n });
    const numbers = { rev: 1n, headRev: 1n, seq: 1n, lowSeq: 1n };
    await rooms.save(w.tx, { ...(await rooms.load(w.tx, ROOM)), ...numbers, room, membership: place(ROOM) });
  });
  rounds = 0;
});

const takeIn = (frame: ServerFrame) => store.write("relaxed", (w) => apply(w, VIEW, [frame]), (tx) => warm(tx, [frame]));

test("a message that arrives waits once", async () => {
  const message = create(MessageSchema, { roomId: ROOM, seq: 2n, rev: 2n, count: 2n, senderId: OTHER, markGeneration: 0n });
  const change = { case: "message", value: message } as const;
  const event = create(RoomEventSchema, { roomId: ROOM, prevRev: 1n, rev: 2n, actorId: OTHER, change });
  await takeIn(create(ServerFrameSchema, { frame: { case: "roomEvent", value: event } }));
  expect(rounds).toBe(1);
  expect((await store.read((r) => rooms.load(r.tx, ROOM))).rev).toBe(2n);
});

test("a message that is sent waits twice until it leaves", async () => {
  const request = create(SendMessageRequestSchema, { roomId: ROOM, clientMessageId: newId(), body: { text: "hello" } });
  const taken = await store.write(
    "strict",
    async (w) => {
      await changes.put(w, "Send", request, { changeId: request.clientMessageId, nowMs: 0 });
      return take(w, new Set(), 8);
    },
    (tx) => outbox.warm(tx),
  );
  expect(taken.map((entry) => entry.roomId)).toEqual([ROOM]);
  expect(rounds).toBe(2);
});

test("the rooms of somebody who is in many wait as often as one", async () => {
  const memberships = Array.from({ length: 100 }, () => place(newId()));
  const delta = create(UserDeltaSchema, { fromUserRev: 0n, toUserRev: 5n, memberships, last: true });
  await takeIn(create(ServerFrameSchema, { frame: { case: "userDelta", value: delta } }));
  expect(rounds).toBe(1);
});
