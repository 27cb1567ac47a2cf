/** Who is told of a change, and when. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Changes, isEmpty, noChanges, Observers } from "../src/changes.js";

const inRoom = (roomId: string): Changes => ({ ...noChanges(), rooms: new Set([roomId]) });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("who looks at a room is told first, all others when that is read", async () => {
  const observers = new Observers();
  const [all, here, there] = [observers.listen(), observers.listen("here"), observers.listen("there")];
  observers.publish(inRoom("here"));
  expect([...here.dirty.rooms]).toEqual(["here"]);
  expect(isEmpty(all.dirty)).toBe(true);
  here.take();
  here.hasRead();
  await vi.advanceTimersByTimeAsync(0);
  expect([...all.dirty.rooms]).toEqual(["here"]);
  expect(isEmpty(there.dirty)).toBe(true);
});

test("a read that does not end, and a list that is closed, hold nobody up for long", async () => {
  const observers = new Observers();
  const [all, one, other] = [observers.listen(), observers.listen("here"), observers.listen("here")];
  observers.publish(inRoom("here"));
  one.hasRead();
  await vi.advanceTimersByTimeAsync(1);
  expect(isEmpty(all.dirty)).toBe(true);
  other.close();
  await vi.advanceTimersByTimeAsync(0);
  expect(isEmpty(all.dirty)).toBe(false);
  all.take();
  observers.publish(inRoom("here"));
  await vi.advanceTimersByTimeAsync(49);
  expect(isEmpty(all.dirty)).toBe(true);
  await vi.advanceTimersByTimeAsync(1);
  expect(isEmpty(all.dirty)).toBe(false);
});

test("where nobody looks at the room, all are told at once", () => {
  const observers = new Observers();
  const [all, there] = [observers.listen(), observers.listen("there")];
  observers.publish(inRoom("here"));
  expect([...all.dirty.rooms]).toEqual(["here"]);
  expect(isEmpty(there.dirty)).toBe(true);
});
