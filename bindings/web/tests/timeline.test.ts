/** What an open timeline reads when something happens, and that it is what a read of everything would give. */

import { create } from "@bufbuild/protobuf";
import { beforeEach, expect, test } from "vitest";
import type { StorageState } from "../src/client.js";
import { noChanges, Observers } from "../src/changes.js";
import * as changes from "../src/engine/changes.js";
import { Core } from "../src/engine/core.js";
import { apply, noOutcome, page } from "../src/engine/frames.js";
import { Tabs } from "../src/engine/tabs.js";
import { type Message, MessageBodySchema, MessageSchema } from "../src/gen/madang/v1/message_pb.js";
import { EditMessageRequestSchema, ListMessagesResponseSchema, SendMessageRequestSchema } from "../src/gen/madang/v1/message_service_pb.js";
import { MemberSchema, MembershipSchema, MemberState, ReceiptSchema, RoomSchema } from "../src/gen/madang/v1/room_pb.js";
import { ReceiptBatchSchema, type RoomEvent, RoomEventSchema, RoomSummarySchema, ServerFrameSchema } from "../src/gen/madang/v1/sync_pb.js";
import { UserSchema } from "../src/gen/madang/v1/user_pb.js";
import type { TimelineItem } from "../src/lists/item.js";
import { OpenTimeline } from "../src/lists/timeline/open.js";
import { Connection } from "../src/net/connection.js";
import { Cell } from "../src/observed.js";
import { MemoryBackend } from "../src/store/memory.js";
import * as messages from "../src/store/messages.js";
import * as meta from "../src/store/meta.js";
import * as people from "../src/store/people.js";
import * as rooms from "../src/store/rooms.js";
import { Store, type Write } from "../src/store/store.js";
import type { Backend, Table, Tx } from "../src/store/tables.js";

let ids = 0;
const newId = () => `00000000-0000-7000-8000-${String((ids += 1)).padStart(12, "0")}`;
const [ROOM, ME] = [newId(), newId()];
const OTHERS = Array.from({ length: 40 }, newId);
const VIEW = { focus: new Set([ROOM]), live: true };
const HELD = 900;
/** Items of a long list. */
const LONG = 600;

/** Chance that is the same each time. */
let dice = 1;
const chance = (below: number) => {
  dice = (Math.imul(dice, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((dice / 2 ** 32) * below);
};

let core: Core;
/** The room's revision and newest item. */
let [rev, seq] = [0n, 0n];
/** Rows that were read, by table. */
let read: Partial<Record<Table, number>> = {};

/** Tables that count what is read of them. */
class Counted extends MemoryBackend implements Backend {
  override read<T>(job: (tx: Tx) => Promise<T>): Promise<T> {
    const count = (table: Table, rows: number) => (read[table] = (read[table] ?? 0) + rows);
    return super.read((tx) =>
      job({
        ...tx,
        get: async (table, key, index) => {
          const row = await tx.get(table, key, index);
          count(table, row === undefined ? 0 : 1);
          return row;
        },
        list: async (table, range) => {
          const rows = await tx.list(table, range);
          count(table, rows.length);
          return rows;
        },
      }),
    );
  }
}

const body = (words: string) => create(MessageBodySchema, { text: words });
const at = (n: bigint) => ({ seconds: n * 7_000n, nanos: 0 });
const messageOf = (n: bigint, senderId: string, init: object = {}) =>
  create(MessageSchema, { roomId: ROOM, seq: n, rev: n, count: n, senderId, createdAt: at(n), body: body(`number ${n}`), ...init });
const userOf = (id: string, displayName: string, profileRev: bigint) => create(UserSchema, { id, displayName, profileRev });
const roomOf = (init: object) => create(RoomSchema, { id: ROOM, seq, rev, count: seq, ...init });
const someone = () => OTHERS[chance(OTHERS.length)] as string;

beforeEach(begin);

/** A client with a room that is held whole. */
async function begin(): Promise<void> {
  const observers = new Observers();
  const store = new Store(new Counted(), (told) => observers.publish(told));
  const config = { server: "http://127.0.0.1:1", tokens: async () => "" };
  const backoff = { baseMs: 1, capMs: 1 };
  const [connection, storage] = [new Connection(config, newId(), backoff), new Cell<StorageState>({ kind: "Kept" })];
  core = new Core(config, backoff, connection, store, observers, storage, new Tabs(undefined));
  [rev, seq] = [BigInt(HELD), BigInt(HELD)];
  await store.write("relaxed", async (w) => {
    await meta.set(w.tx, "user_id", ME);
    const member = create(MemberSchema, { roomId: ROOM, userId: ME, state: MemberState.JOINED });
    const membership = create(MembershipSchema, { userRev: 1n, member, lastReadSeq: seq, readCount: seq });
    const room = roomOf({});
    const numbers = { rev, headRev: rev, seq, lowSeq: 1n };
    await rooms.save(w.tx, { ...(await rooms.load(w.tx, ROOM)), ...numbers, room, membership });
    const sent = (_: unknown, n: number) =>
      messageOf(BigInt(n + 1), n % 3 === 0 ? ME : someone(), { clientMessageId: newId() });
    const held = Array.from({ length: HELD }, sent);
    await messages.upsert(w.tx, held, ME);
    const members = OTHERS.map((userId) => create(MemberSchema, { roomId: ROOM, userId, state: MemberState.JOINED, rev: 1n }));
    await messages.upsertMembers(w.tx, ROOM, members);
    const receipts = OTHERS.map((userId, n) => create(ReceiptSchema, { userId, lastReadSeq: BigInt(n * 20), rev: 1n }));
    await messages.upsertReceipts(w.tx, ROOM, receipts);
    await people.upsert(w.tx, OTHERS.slice(0, 30).map((id) => userOf(id, id.slice(-4), 1n)));
  });
}

/** The list with all that has happened. */
async function listOf(timeline: OpenTimeline): Promise<readonly TimelineItem[]> {
  await timeline["refreshIfStale"]();
  return timeline["latest"];
}

/** A long timeline at the newest item. */
async function long(): Promise<OpenTimeline> {
  const timeline = (await OpenTimeline.open(core, ROOM, { timeZone: "UTC" })) as OpenTimeline;
  while (timeline["latest"].length < LONG) await timeline.loadOlder(195);
  return timeline;
}

const event = (change: RoomEvent["change"], actorId = OTHERS[0] as string) =>
  create(ServerFrameSchema, {
    frame: { case: "roomEvent", value: create(RoomEventSchema, { roomId: ROOM, prevRev: rev, rev: (rev += 1n), actorId, change }) },
  });
const takeIn = async (...frames: ReturnType<typeof event>[]) => {
  await core.store.write("relaxed", (w) => apply(w, VIEW, frames));
};
const arrives = (senderId = someone()) => {
  const value = messageOf((seq += 1n), senderId, { rev: rev + 1n, markGeneration: 0n });
  return event({ case: "message", value }, senderId);
};
const becomes = (n: bigint, init: object) =>
  event({ case: "message", value: messageOf(n, OTHERS[1] as string, { rev: rev + 1n, ...init }) });
const reads = (userId: string, lastReadSeq: bigint) => {
  const receipt = create(ReceiptSchema, { userId, lastReadSeq, deliveredSeq: lastReadSeq, rev: rev + 1n });
  return event({ case: "receipts", value: create(ReceiptBatchSchema, { receipts: [receipt] }) });
};
const moves = (userId: string, state: MemberState) => {
  const member = create(MemberSchema, { roomId: ROOM, userId, state, rev: rev + 1n, joinedAt: at(seq) });
  return event({ case: "member", value: { $typeName: "madang.v1.MemberChange", member, memberCount: 9 } });
};

const put = (job: (w: Write) => Promise<unknown>) => core.store.write("relaxed", job);
const send = () => {
  const request = create(SendMessageRequestSchema, { roomId: ROOM, clientMessageId: newId(), body: { text: "mine" } });
  return put((w) => changes.put(w, "Send", request, { changeId: request.clientMessageId, nowMs: 0 }));
};
const edit = (n: bigint) => {
  const request = create(EditMessageRequestSchema, { roomId: ROOM, seq: n, body: { text: "another" } });
  return put((w) => changes.put(w, "Edit", request, { changeId: newId(), nowMs: 0 }));
};

/** Much was missed: what is held is the newest page, and what is older comes when it is wanted. */
async function reset(): Promise<void> {
  const from = { roomId: ROOM, rev, seq };
  const newest = Array.from({ length: 60 }, (_, n) => messageOf(seq - BigInt(59 - n), ME, { rev }));
  const room = roomOf({ rev: (rev += 600n) });
  const membership = (await core.store.read((r) => rooms.load(r.tx, ROOM))).membership;
  const summary = create(RoomSummarySchema, { roomId: ROOM, verdict: { case: "present", value: { room, membership } } });
  const delta = { summary, from, to: { roomId: ROOM, rev, seq }, last: true, reset: true, messages: newest, snapshotRev: rev };
  await takeIn(create(ServerFrameSchema, { frame: { case: "roomDelta", value: delta } }));
}

test.each([
  ["a message that arrives", () => takeIn(arrives()), { messages: 1, members: 1, receipts: 1 }],
  ["a change of an old one", () => takeIn(becomes(500n, { editedAt: at(1n) })), { messages: 1 }],
  ["a change of one that is not shown", () => takeIn(becomes(5n, { editedAt: at(1n) })), {}],
  ["a mark of somebody's", () => takeIn(reads(OTHERS[3] as string, 850n)), { members: 1, receipts: 1 }],
  ["what one writes oneself", send, {}],
  ["a draft", () => put(async (w) => void w.changes.rooms.add(ROOM)), {}],
])("in a long list %s costs what it changes", async (_, happens, wanted) => {
  const timeline = await long();
  read = {};
  const before = new Map(timeline["latest"].map((item) => [item.key, item]));
  await happens();
  const items = await listOf(timeline);
  const rows = (["messages", "members", "receipts"] as const).map((table) => [table, read[table]]);
  expect(Object.fromEntries(rows.filter(([, count]) => count !== undefined))).toEqual(wanted);
  expect(items.length).toBeGreaterThanOrEqual(LONG);
  // What is the same in itself is the same item, so that nobody has to compare.
  const others = items.filter((item) => item.kind === "Message" && item !== before.get(item.key));
  for (const item of others) expect(item).not.toEqual(before.get(item.key));
});

test("a name that changes is shown, and one that is not known is asked for as long as it is shown", async () => {
  const timeline = await long();
  const senders = () => timeline["latest"].flatMap((item) => (item.kind === "Message" ? [item.sender] : []));
  const nameOf = (id: string) => senders().find((sender) => sender.id === id)?.name;
  const [known, unknown] = [OTHERS[0] as string, OTHERS[39] as string];
  expect([nameOf(known), nameOf(unknown), core.wanted.has(unknown)]).toEqual([known.slice(-4), "", true]);
  core.wanted.clear();
  await takeIn(becomes((seq += 1n), {}));
  await listOf(timeline);
  expect(core.wanted.has(unknown)).toBe(true);
  await put((w) => {
    w.changes.people = true;
    return people.upsert(w.tx, [known, unknown].map((id) => userOf(id, `${id} anew`, 2n)));
  });
  await listOf(timeline);
  expect([nameOf(known), nameOf(unknown)]).toEqual([`${known} anew`, `${unknown} anew`]);
});

test("far up in a room a message that arrives below costs nothing of the list", async () => {
  const timeline = await long();
  await timeline.jump({ seq: 400 });
  for (let page = 0; page < 3; page++) await timeline.loadOlder(100);
  read = {};
  const before = new Set(timeline["latest"]);
  // It moves nobody's mark, which would be seen above.
  await takeIn(becomes((seq += 1n), {}));
  const items = await listOf(timeline);
  const last = items.at(-1);
  expect([timeline.newer, read.messages]).toEqual([last && "seq" in last && Number(seq) - (last.seq ?? 0), undefined]);
  expect(items.filter((item) => item.kind === "Message" && !before.has(item))).toHaveLength(0);
});

test("what a reset takes away is not shown any more", async () => {
  const timeline = await long();
  await takeIn(reads(OTHERS[3] as string, seq));
  const marks = async () => (await listOf(timeline)).filter((item) => item.kind === "Message" && item.readersHere.length > 0);
  expect((await marks()).length).toBeGreaterThan(5);
  await reset();
  expect([(await marks()).length, timeline["latest"].filter((item) => item.kind === "Message").length]).toEqual([0, 50]);
});

test("a page of older items is read alone", async () => {
  const timeline = await long();
  read = {};
  await timeline.loadOlder(50);
  expect(read.messages).toBe(50);
});

/** Something happens, by chance. */
async function somethingHappens(timeline: OpenTimeline): Promise<void> {
  const any = BigInt(1 + chance(Number(seq)));
  const deeds: (() => Promise<unknown>)[] = [
    () => takeIn(arrives()),
    () => takeIn(arrives(ME), arrives(), becomes(seq - 1n, { tombstone: {} })),
    () => takeIn(becomes(any, { body: body(newId()) })),
    () => takeIn(...Array.from({ length: [80, 300][chance(2)] ?? 0 }, (_, n) => becomes(seq - BigInt(n), { body: body(newId()) }))),
    () => takeIn(reads(someone(), any), reads(someone(), seq)),
    () => takeIn(...OTHERS.map((userId) => reads(userId, any))),
    () => takeIn(moves(someone(), MemberState.LEFT), moves(someone(), MemberState.JOINED)),
    () => takeIn(event({ case: "room", value: roomOf({ rev: rev + 1n, large: chance(2) === 0 }) })),
    send,
    () => edit(any),
    () => timeline.loadOlder(30),
    () => timeline.loadNewer(30),
    () => timeline.jump(chance(2) === 0 ? "Newest" : { seq: Number(any) }),
    () => put((w) => people.upsert(w.tx, [userOf(someone(), newId(), rev)]).then(() => (w.changes.people = true))),
    async () => (chance(3) === 0 ? reset() : undefined),
    async () => {
      const { lowSeq } = await core.store.read((r) => rooms.load(r.tx, ROOM));
      const above = lowSeq > 200n ? 200n : lowSeq - 1n;
      const older: Message[] = Array.from({ length: Number(above) }, (_, n) => messageOf(lowSeq - above + BigInt(n), someone()));
      const ends = { hasBefore: lowSeq > 201n, hasAfter: true };
      const told = create(ListMessagesResponseSchema, { messages: older, snapshotRev: rev, ...ends });
      await put((w) => page(w, VIEW, ROOM, told, noOutcome()));
    },
  ];
  // What cannot be fetched here changes nothing.
  await deeds[chance(deeds.length)]?.().catch(() => undefined);
}

test("whatever happens, the list is what a read of everything gives", async () => {
  for (let round = 0; round < 8; round++) {
    await begin();
    const timeline = await long();
    for (let step = 0; step < 10; step++) {
      for (let deed = chance(4); deed >= 0; deed--) await somethingHappens(timeline);
      const followed = structuredClone(await listOf(timeline));
      core.observers.publish({ ...noChanges(), everything: true });
      expect(await listOf(timeline)).toEqual(followed);
    }
    timeline.close();
  }
}, 60_000);
