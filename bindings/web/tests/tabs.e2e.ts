/**
 * Tabs, reloads and stores that fail, against a real server: the program that `GROUND` names. Each client is a tab; they share
 * an IndexedDB, and locks and channels as tabs of a browser do.
 */

import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { Client, MemoryStore, type MessageItem, type RoomItem, type TimelineItem } from "../src/index.js";
import { Ground } from "./ground.js";
import { Host } from "./host.js";
import { Locks } from "./locks.js";

const PATIENCE_MS = 20_000;

let ground: Ground;
let open: Client[] = [];
/** Who is signed in in this browser: one sign-in for all tabs of a person. */
let hosts = new Map<string, Host>();

beforeAll(async () => {
  const program = process.env["GROUND"];
  if (!program) throw new Error("GROUND names no program: cargo build -p madang-tests --bin ground");
  ground = await Ground.start(program);
}, 60_000);
afterAll(() => ground.end());
beforeEach(() => {
  vi.stubGlobal("indexedDB", new IDBFactory());
  vi.stubGlobal("navigator", { locks: new Locks(), language: "en" });
});
afterEach(async () => {
  for (const client of open) await client.shutdown();
  open = [];
  hosts = new Map();
});

async function tab(person: string): Promise<Client> {
  const backoff = { baseMs: 20, capMs: 200 };
  const host = hosts.get(person) ?? new Host(ground, person);
  hosts.set(person, host);
  const client = await Client.open({ server: ground.server, tokens: host.tokens, backoff });
  open.push(client);
  return client;
}

async function live(person: string): Promise<Client> {
  const client = await tab(person);
  await client.state.until((state) => state.kind === "Live", AbortSignal.timeout(PATIENCE_MS));
  return client;
}

async function room(client: Client, name: string, members: readonly Client[]): Promise<string> {
  const id = await client.createRoom({ name, members: members.map(({ me }) => me.now ?? "") });
  await client.settled(id);
  return id;
}

/** Waits until a room's messages are these. */
async function shows(client: Client, roomId: string, wanted: readonly string[]): Promise<void> {
  const timeline = await client.timeline(roomId);
  const said = (items: readonly TimelineItem[]) =>
    items.filter((item): item is MessageItem => item.kind === "Message").map(({ text, state }) => `${state.kind} ${text}`);
  const over = AbortSignal.timeout(PATIENCE_MS);
  while (said(timeline.items).join() !== wanted.join()) {
    await timeline.next(over).catch(() => expect(said(timeline.items)).toEqual(wanted));
  }
  timeline.close();
}

/** Waits until the room list shows a room as it is wanted. */
async function listed(client: Client, wanted: (rooms: readonly RoomItem[]) => boolean): Promise<void> {
  const list = await client.rooms();
  while (!wanted(list.items)) await list.next(AbortSignal.timeout(PATIENCE_MS));
  list.close();
}

test("two tabs share one stream, and when the one that leads closes the other takes over", async () => {
  const [first, bob] = [await live("ann"), await live("bob")];
  const second = await live("ann");
  expect([first.leads.now, second.leads.now, first.deviceId]).toEqual([true, false, second.deviceId]);
  const roomId = await room(first, "tabs", [bob]);
  await second.settled(await second.send(roomId, "from the second"));
  await first.send(roomId, "from the first");
  const both = ["Sent from the second", "Sent from the first"];
  for (const client of [first, second, bob]) await shows(client, roomId, both);
  await first.shutdown();
  await second.leads.until((leads) => leads, AbortSignal.timeout(PATIENCE_MS));
  await second.state.until((state) => state.kind === "Live", AbortSignal.timeout(PATIENCE_MS));
  await bob.settled(await bob.send(roomId, "after it"));
  await second.send(roomId, "still here");
  for (const client of [second, bob]) await shows(client, roomId, [...both, "Sent after it", "Sent still here"]);
}, 60_000);

test("a timeline is whole again at once when a tab that does not lead has dropped what can be had again", async () => {
  const [leader, bob] = [await live("ann"), await live("bob")];
  const follower = await live("ann");
  const roomId = await room(leader, "cache", [bob]);
  await bob.settled(await bob.send(roomId, "still there"));
  await shows(follower, roomId, ["Sent still there"]);
  const timeline = await follower.timeline(roomId);
  await follower.clearCache();
  const over = AbortSignal.timeout(5_000);
  const isGone = () => !timeline.items.some((item) => item.kind === "Message");
  while (!isGone()) await timeline.next(over);
  while (isGone()) await timeline.next(over);
}, 60_000);

test("what one tab sees another tab is told of: marks, typing, presence and readers", async () => {
  const [leader, bob] = [await live("ann"), await live("bob")];
  const follower = await live("ann");
  const roomId = await room(leader, "moments", [bob]);
  await listed(bob, (rooms) => rooms.some(({ id }) => id === roomId));
  const id = await follower.send(roomId, "who reads?");
  const seq = await follower.settled(id);
  const readers = follower.readers(roomId, seq);
  const presence = follower.presence([bob.me.now ?? ""]);
  const typers = follower.typers(roomId);
  await presence.until((people) => people.get(bob.me.now ?? "") === true, AbortSignal.timeout(PATIENCE_MS));
  const timeline = await bob.timeline(roomId);
  const typing = setInterval(() => bob.typing(roomId), 500);
  await typers.until((who) => who.includes(bob.me.now ?? ""), AbortSignal.timeout(PATIENCE_MS));
  clearInterval(typing);
  await bob.markRead(roomId, seq);
  await readers.until((count) => count?.read === 1, AbortSignal.timeout(PATIENCE_MS));
  for (const watched of [readers, presence, typers]) watched.close();
  timeline.close();
}, 60_000);

test("unread totals are the same in all tabs, and a mark in one is one in the other", async () => {
  const [leader, bob] = [await live("ann"), await live("bob")];
  const follower = await live("ann");
  const roomId = await room(bob, "marks", [leader]);
  const [one, other] = [await leader.unreadTotals(), await follower.unreadTotals()];
  const before = one.now.unread;
  const seq = await bob.settled(await bob.send(roomId, "unread"));
  for (const totals of [one, other]) {
    await totals.until(({ unread }) => unread === before + 1, AbortSignal.timeout(PATIENCE_MS));
  }
  await follower.markRead(roomId, seq);
  for (const totals of [one, other]) {
    await totals.until(({ unread }) => unread === before, AbortSignal.timeout(PATIENCE_MS));
    totals.close();
  }
}, 60_000);

test("what was typed without a network outlives a reload and is sent once", async () => {
  const [ann, bob] = [await live("ann"), await live("bob")];
  const roomId = await room(ann, "reload", [bob]);
  await ann.setDraft(roomId, "half a");
  ann.disconnect();
  await ann.state.until((state) => state.kind === "Suspended");
  await ann.send(roomId, "typed offline");
  await ann.setDraft(roomId, "half another");
  await ann.shutdown();
  const again = await tab("ann");
  expect(await again.draft(roomId)).toBe("half another");
  await shows(again, roomId, ["Sent typed offline"]);
  await shows(bob, roomId, ["Sent typed offline"]);
}, 60_000);

test("without IndexedDB everything works and nothing is kept", async () => {
  vi.stubGlobal("indexedDB", undefined);
  const ann = await live("ann");
  expect(ann.storage.now).toEqual({ kind: "NotKept", reason: "Absent" });
  const roomId = await room(ann, "absent", []);
  await ann.send(roomId, "there");
  await shows(ann, roomId, ["Sent there"]);
});

test("where IndexedDB is denied everything works and nothing is kept", async () => {
  const denied = new IDBFactory();
  vi.spyOn(denied, "open").mockImplementation(() => {
    throw new DOMException("denied", "SecurityError");
  });
  vi.stubGlobal("indexedDB", denied);
  const ann = await live("ann");
  expect(ann.storage.now).toEqual({ kind: "NotKept", reason: "Denied" });
});

test("a store that is full is cleared of what can be had again, and if that is not enough nothing is kept", async () => {
  const ann = await live("ann");
  expect(ann.storage.now).toEqual({ kind: "Kept" });
  const roomId = await room(ann, "full", []);
  await ann.send(roomId, "before");
  await shows(ann, roomId, ["Sent before"]);
  const put = vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(() => {
    throw new DOMException("full", "QuotaExceededError");
  });
  const id = await ann.send(roomId, "when it was full");
  expect(ann.storage.now).toEqual({ kind: "NotKept", reason: "Full" });
  put.mockRestore();
  await ann.settled(id, AbortSignal.timeout(PATIENCE_MS));
  await shows(ann, roomId, ["Sent before", "Sent when it was full"]);
}, 60_000);

test("signing out ends all tabs, revokes the session and leaves nothing behind", async () => {
  const [first, second] = [await live("ann"), await live("ann")];
  const other = await Client.open({ server: ground.server, tokens: ground.tokensOf("ann"), store: new MemoryStore() });
  open.push(other);
  const device = first.deviceId;
  expect(await second.signOut()).toBe(true);
  for (const client of [first, second]) {
    const state = await client.state.until(({ kind }) => kind === "Ended", AbortSignal.timeout(PATIENCE_MS));
    expect(state).toMatchObject({ reason: { kind: "Cancelled" } });
  }
  await expect(first.setDraft("r", "x")).rejects.toMatchObject({ kind: "Cancelled" });
  const session = (await other.devices()).find(({ deviceId }) => deviceId === device);
  expect(session).toBeUndefined();
  expect(await indexedDB.databases()).toEqual([]);
}, 60_000);

test("a device that is revoked ends, and says why", async () => {
  const ann = await live("ann");
  const other = await Client.open({ server: ground.server, tokens: ground.tokensOf("ann"), store: new MemoryStore() });
  open.push(other);
  expect((await other.devices()).filter(({ current }) => current)).toHaveLength(1);
  await other.revokeDevice(ann.deviceId);
  const state = await ann.state.until(({ kind }) => kind === "Ended", AbortSignal.timeout(PATIENCE_MS));
  expect(state).toMatchObject({ reason: { kind: "Unauthenticated", reason: "SessionRevoked" } });
}, 60_000);

test("a page that another person signs in to does not show the first one's store", async () => {
  const store = new MemoryStore();
  const tokens = ground.tokensOf("ann");
  const ann = await Client.open({ server: ground.server, tokens, store });
  await ann.state.until((state) => state.kind === "Live", AbortSignal.timeout(PATIENCE_MS));
  await ann.shutdown();
  const bob = await Client.open({ server: ground.server, tokens: ground.tokensOf("bob"), store });
  open.push(bob);
  const state = await bob.state.until(({ kind }) => kind === "Ended", AbortSignal.timeout(PATIENCE_MS));
  expect(state).toMatchObject({ reason: { kind: "Conflict", local: "StoreOfAnother" } });
});

test("an answer that is not the server's is told as such", async () => {
  const html = new Response("<html>", { headers: { "content-type": "text/html" } });
  vi.spyOn(globalThis, "fetch").mockImplementation(async () => html.clone());
  const ann = await tab("ann");
  const state = await ann.state.until(({ kind }) => kind === "Offline", AbortSignal.timeout(PATIENCE_MS));
  expect(state).toMatchObject({ reason: { kind: "Offline", local: "NotMadang" } });
  vi.mocked(fetch).mockRestore();
  await ann.state.until(({ kind }) => kind === "Live", AbortSignal.timeout(PATIENCE_MS));
});
