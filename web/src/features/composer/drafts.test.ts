import { beforeEach, expect, test } from "vitest";
import { DraftKeeper, editKept, editedKey, forgetEdit, keepEdit } from "./drafts.js";

const kept = new Map<string, string>();

beforeEach(() => {
  kept.clear();
  const storage = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  };
  Object.assign(globalThis, { sessionStorage: storage });
});

const pause = () => new Promise((resolve) => setTimeout(resolve, 5));

/** A store that writes when told. */
function slowStore(first = "") {
  let draft = first;
  const waiting: (() => void)[] = [];
  return {
    draft: async () => draft,
    setDraft: (_room: string, text: string) =>
      new Promise<void>((resolve, reject) =>
        waiting.push(() => {
          if (text === "fail") return reject(new Error("full"));
          draft = text;
          resolve();
        }),
      ),
    async writeOne() {
      await pause();
      waiting.shift()?.();
      await pause();
    },
    now: () => draft,
    waiting,
  };
}

test("the newest text is always in one of the two places", async () => {
  const store = slowStore();
  const keeper = new DraftKeeper(store, "r", 0);
  for (const text of ["a", "ab", "abc"]) keeper.keep(text);
  expect(kept.get("madang.draft.r")).toBe("abc");
  await pause();
  expect(store.waiting.length).toBe(1);
  keeper.keep("abcd");
  await store.writeOne();
  expect(store.now()).toBe("abc");
  expect(kept.get("madang.draft.r")).toBe("abcd");
  await store.writeOne();
  expect(store.now()).toBe("abcd");
  expect(kept.size).toBe(0);
});

test("what a reload overtook comes before what the store has", async () => {
  kept.set("madang.draft.r", "newer");
  expect(await new DraftKeeper(slowStore("older"), "r").load()).toBe("newer");
  expect(await new DraftKeeper(slowStore("older"), "other").load()).toBe("older");
});

test("a store that fails loses nothing", async () => {
  const store = slowStore();
  const keeper = new DraftKeeper(store, "r", 0);
  keeper.keep("fail");
  await store.writeOne();
  expect(kept.get("madang.draft.r")).toBe("fail");
  keeper.keep("later");
  await store.writeOne();
  expect(store.now()).toBe("later");
  expect(kept.size).toBe(0);
});

test("what is being sent is not written as a draft behind that, and stands in one place until it was sent", async () => {
  const store = slowStore();
  const keeper = new DraftKeeper(store, "r", 0);
  keeper.keep("a");
  keeper.sending();
  await pause();
  expect([store.waiting.length, kept.get("madang.draft.r")]).toEqual([0, "a"]);
  keeper.keep("a, and a bit more");
  await store.writeOne();
  expect([store.now(), kept.size]).toEqual(["a, and a bit more", 0]);
});

test("what was sent is in no place", async () => {
  const store = slowStore();
  const keeper = new DraftKeeper(store, "r", 0);
  keeper.keep("a");
  await pause();
  keeper.keep("ab");
  keeper.sent();
  await store.writeOne();
  await pause();
  expect(kept.size).toBe(0);
  expect(store.waiting.length).toBe(0);
});

test("an edit is kept for its message until it ends", () => {
  keepEdit("r", "m1", "new text");
  expect(editedKey("r")).toBe("m1");
  expect(editKept("r", "m1")).toBe("new text");
  expect(editKept("r", "m2")).toBeUndefined();
  forgetEdit("r");
  expect(editedKey("r")).toBeUndefined();
  kept.set("madang.edit.r", "{");
  expect(editedKey("r")).toBeUndefined();
});
