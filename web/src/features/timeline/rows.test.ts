import type { MessageItem, TimelineItem } from "@madang/client";
import { expect, test } from "vitest";
import { hasHead, haveCommon, lastOwn, newLineIndex, readersFrom, seqUpTo, unsettled } from "./rows.js";

const message = (key: string, change: Partial<MessageItem> = {}): MessageItem => ({
  kind: "Message",
  key,
  seq: Number(key),
  clientMessageId: key,
  sender: { id: "bob", name: "Bob" },
  mine: false,
  text: key,
  createdAt: new Date("2026-11-21T09:00:00Z"),
  edited: false,
  deleted: false,
  replyToSeq: 0,
  mentionsMe: false,
  state: { kind: "Sent" },
  change: undefined,
  reach: "Nobody",
  readersHere: [],
  rev: 1,
  ...change,
});
const day: TimelineItem = { kind: "DayLine", key: "day", date: "2026-11-21" };

test("messages of one person within five minutes stand below one name", () => {
  const first = message("1");
  expect(hasHead(undefined, first)).toBe(true);
  expect(hasHead(day, first)).toBe(true);
  expect(hasHead(first, message("2", { createdAt: new Date("2026-11-21T09:05:00Z") }))).toBe(false);
  expect(hasHead(first, message("2", { createdAt: new Date("2026-11-21T09:05:01Z") }))).toBe(true);
  expect(hasHead(first, message("2", { sender: { id: "ann", name: "Ann" } }))).toBe(true);
});

test("the newest of one's own that is not deleted is edited", () => {
  const items = [message("1", { mine: true }), message("2", { mine: true, deleted: true }), message("3")];
  expect(lastOwn(items)?.key).toBe("1");
  expect(lastOwn([message("3")])).toBeUndefined();
});

test("read is what has a position up to the line", () => {
  const items = [day, message("7"), message("8", { seq: undefined })];
  expect(seqUpTo(items, 2)).toBe(7);
  expect(seqUpTo(items, 0)).toBe(0);
  expect(seqUpTo(items, 99)).toBe(7);
});

test("who has read further has read this", () => {
  const ann = { id: "ann", name: "Ann" };
  const items = [message("1"), message("2", { readersHere: [ann] }), message("3", { readersHere: [{ id: "cat", name: "Cat" }] })];
  expect(readersFrom(items, 0)).toEqual(["Ann", "Cat"]);
  expect(readersFrom(items, 2)).toEqual(["Cat"]);
});

test("the line of new messages is found", () => {
  expect(newLineIndex([day, { kind: "NewLine", key: "new" }])).toBe(1);
  expect(newLineIndex([day])).toBe(-1);
});

test("what may look otherwise once older items come is not drawn", () => {
  const many = Array.from({ length: 30 }, (_, n) => message(`${n + 1}`));
  const line: TimelineItem = { kind: "NewLine", key: "new" };
  expect(unsettled(many, false)).toBe(1);
  expect(unsettled([day, ...many], false)).toBe(2);
  expect(unsettled([day, line, ...many], false)).toBe(1);
  expect(unsettled([line, ...many], false)).toBe(0);
  expect(unsettled([day, ...many], true)).toBe(0);
  expect(unsettled([day, message("1")], false)).toBe(0);
  expect(unsettled([], false)).toBe(0);
});

test("lists that share a line alone have nothing in common", () => {
  expect(haveCommon([day, message("1")], [day, message("2")])).toBe(false);
  expect(haveCommon([day, message("1"), message("2")], [day, message("2")])).toBe(true);
  expect(haveCommon([], [])).toBe(false);
});
