/** What plain JavaScript gives, whatever the types say, is refused in words, and breaks nothing. */

import { afterEach, beforeEach, expect, test } from "vitest";
import { Client, ClientError, MemoryStore } from "../src/index.js";

let client: Client;
let roomId: string;

beforeEach(async () => {
  // There is no server, and none is needed.
  client = await Client.open({ server: "http://127.0.0.1:1", tokens: async () => "token", store: new MemoryStore() });
  roomId = await client.createRoom({ name: "offline" });
});
afterEach(() => client.shutdown());

const NO_TIME = new Date(Number.NaN);

test.each<[string, () => Promise<unknown>]>([
  ["a place to begin at", () => client.timeline(roomId, { anchor: { seq: Number.NaN } })],
  ["a day to begin at", () => client.timeline(roomId, { anchor: { date: NO_TIME } })],
  ["a place to go to", async () => (await client.timeline(roomId)).jump({ seq: 1.5 })],
  ["what is answered", () => client.send(roomId, { text: "yes", replyTo: 1.5 })],
  ["what is edited", () => client.edit(roomId, Number.NaN, "yes")],
  ["what is deleted", () => client.delete(roomId, Number.POSITIVE_INFINITY)],
  ["what is read", () => client.markRead(roomId, undefined as unknown as number)],
  ["whose readers are counted", async () => client.readers(roomId, undefined as unknown as number)],
  ["when a status ends", () => client.setStatus("Away", { emoji: "", text: "lunch", until: NO_TIME })],
])("%s, when it is none, is refused", async (_, call) => {
  const error = await call().then(() => undefined, (refused: unknown) => refused);
  expect(error).toBeInstanceOf(ClientError);
  expect((error as ClientError).kind).toBe("Invalid");
});

test.each([Number.NaN, -3, 0.5, Number.POSITIVE_INFINITY])("%d items are some", async (count) => {
  const timeline = await client.timeline(roomId);
  expect([await timeline.loadOlder(count), await timeline.loadNewer(count)]).toEqual([false, false]);
  timeline.scrolledTo(count);
});
