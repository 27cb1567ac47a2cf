import { expect, test } from "vitest";
import { isNewer, safePath, showsNewer, type Kept } from "./session.js";

const kept = (change: Partial<Kept> = {}): Kept => ({
  subject: "ann",
  sessionState: "s1",
  accessToken: "a",
  expiresAt: 1000,
  lifetime: 1000,
  since: 1000,
  user: "",
  ...change,
});

test("after a sign-in one goes on at a path of this page, and nowhere else", () => {
  const origin = "https://chat.example";
  expect(safePath("/rooms/1", origin)).toBe("/rooms/1");
  for (const bad of ["//evil.example/x", "/\\evil.example", "https://evil.example", "javascript:1", undefined, 1, "/signin/callback"]) {
    expect(safePath(bad, origin), String(bad)).toBe("/");
  }
});

test("a tab takes from another what is the same session, later", () => {
  expect(isNewer(kept(), kept({ since: 2000 }))).toBe(true);
  expect(isNewer(kept(), kept())).toBe(false);
  expect(isNewer(kept(), kept({ since: 2000, subject: "bob" }))).toBe(false);
  expect(isNewer(kept(), kept({ since: 2000, sessionState: "s2" }))).toBe(false);
});

test("a lock shows whether its tab has newer tokens of the same session", () => {
  expect(showsNewer("madang-tokens ann s1 1001", kept())).toBe(true);
  for (const lock of ["madang-tokens ann s1 1000", "madang-tokens ann s2 2000", "madang-tokens bob s1 2000", "madang-session-ann", ""]) {
    expect(showsNewer(lock, kept()), lock).toBe(false);
  }
});
