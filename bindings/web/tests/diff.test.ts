import { expect, test } from "vitest";
import { applyChange, differences, type ListChange } from "../src/lists/diff.js";

interface Item {
  readonly key: number;
  readonly value: number;
}

const of = (...keys: number[]): Item[] => keys.map((key) => ({ key, value: 0 }));
const range = (from: number, to: number): Item[] => of(...Array.from({ length: to - from }, (_, at) => from + at));
const told = (from: readonly Item[], to: readonly Item[]) => differences(from, to, ({ key }) => String(key));

test("one room that comes first is one move", () => {
  const from = range(0, 1000);
  const to = from.filter(({ key }) => key !== 700);
  to.unshift({ key: 700, value: 1 });
  expect(told(from, to)).toEqual([{ kind: "Moved", from: 700, to: 0, item: { key: 700, value: 1 } }]);
  expect(told(to, from)).toEqual([{ kind: "Moved", from: 0, to: 700, item: { key: 700, value: 0 } }]);
});

test("what comes at the end is one change, and so is what goes there", () => {
  expect(told(range(0, 3), range(0, 900))).toEqual([{ kind: "Appended", items: range(3, 900) }]);
  expect(told(range(0, 900), range(0, 3))).toEqual([{ kind: "Truncated", length: 3 }]);
});

test("another list altogether is told as such", () => {
  expect(told(range(0, 3), range(5, 9))).toEqual([{ kind: "Reset", items: range(5, 9) }]);
});

test("whatever two lists are, the changes lead from one to the other", () => {
  let seed = 7;
  const random = (below: number) => {
    seed = (seed * 48271) % 2147483647;
    return seed % below;
  };
  const some = () => {
    const keys = Array.from({ length: random(14) }, () => random(16));
    return [...new Set(keys)].map((key) => ({ key, value: random(3) }));
  };
  const kinds = new Set<ListChange<Item>["kind"]>();
  for (let round = 0; round < 5000; round++) {
    const [from, to] = [some(), some()];
    const list = [...from];
    for (const change of told(from, to)) {
      kinds.add(change.kind);
      applyChange(list, change);
    }
    expect(list).toEqual(to);
  }
  expect(kinds.size).toBe(7);
});
