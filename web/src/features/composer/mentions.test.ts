import type { RoomMember } from "@madang/client";
import { expect, test } from "vitest";
import { candidates, mentionAt, mentioned } from "./mentions.js";

const member = (id: string, displayName: string) => ({ user: { id, displayName, login: id, title: "" }, member: {} }) as unknown as RoomMember;
const members = [member("ann", "Ann Kim"), member("bob", "Bob Lee"), member("min1", "김민수"), member("min2", "김민수")];
const all = { id: undefined, name: "모두", hint: "" };

test("an @ at the beginning of a word asks for people", () => {
  expect(mentionAt("hi @bo", 6)).toEqual({ start: 3, typed: "bo" });
  expect(mentionAt("@", 1)).toEqual({ start: 0, typed: "" });
  expect(mentionAt("mail ann@example.com", 20)).toBeUndefined();
  expect(mentionAt("@bob hello", 10)).toBeUndefined();
});

test("people are offered by name and login, not oneself", () => {
  expect(candidates("b", members, "ann", all).map((found) => found.id)).toEqual(["bob"]);
  expect(candidates("le", members, "ann", all).map((found) => found.id)).toEqual(["bob"]);
  expect(candidates("", members, "ann", all).length).toBe(4);
  expect(candidates("모", members, "ann", all)).toEqual([all]);
});

test("a text means whose name stands in it", () => {
  const none = new Set<string>();
  expect(mentioned("@Bob Lee, look", members, none, "모두").mentions).toEqual(["bob"]);
  expect(mentioned("@Bob Leed", members, none, "모두").mentions).toEqual([]);
  expect(mentioned("Bob Lee", members, none, "모두").mentions).toEqual([]);
  expect(mentioned("@모두 오세요", members, none, "모두").mentionAll).toBe(true);
});

test("of two with one name the chosen one is meant, and nobody by chance", () => {
  expect(mentioned("@김민수님", members, new Set(["min2"]), "모두").mentions).toEqual(["min2"]);
  expect(mentioned("@김민수님", members, new Set(), "모두").mentions).toEqual([]);
});
