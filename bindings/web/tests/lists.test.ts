import { expect, test } from "vitest";
import type { TimelineItem } from "../src/index.js";
import { arrange, nameHolds, places } from "../src/lists/query.js";
import { withLines } from "../src/lists/timeline/page.js";

const holds = (name: string, text: string) => nameHolds([...name], [...text]);

test("initial consonants stand for syllables", () => {
  expect([holds("홍길동", "ㅎㄱㄷ"), holds("우리 홍길동", "홍ㄱ"), holds("까치", "ㄲㅊ"), holds("plans", "lan")]).toEqual(
    Array(4).fill(true),
  );
  expect([holds("까치", "ㄱㅊ"), holds("plans", "plansx"), holds("홍길동", "ㅎㄷ")]).toEqual(Array(3).fill(false));
  expect([holds("힣", "ㅎ"), holds("가", "ㄱ")]).toEqual([true, true]);
});

test("rooms are filtered and ordered as asked", () => {
  const room = (id: string, activeMs: number, unread: number) =>
    ({ id, activeMs, unread, mentions: 0, kind: "Group", name: id }) as const;
  const rooms = [room("b", 1, 0), room("a", 1, 2), room("c", 3, 0)];
  const ids = (query: Parameters<typeof arrange>[0]) => arrange(query, rooms).map(({ id }) => id);
  expect([ids({}), ids({ sort: "Name" }), ids({ sort: "UnreadFirst" })]).toEqual([
    ["c", "a", "b"],
    ["a", "b", "c"],
    ["a", "c", "b"],
  ]);
  expect([ids({ filter: { unread: true } }), ids({ filter: { text: " B" } }), ids({ filter: { kinds: ["Dm"] } })]).toEqual(
    [["a"], ["b"], []],
  );
});

test("a window ends where the rooms end", () => {
  const window = (start: number, end: number, total: number) => places({ window: { start, end } }, total);
  expect([window(0, 20, 7), window(5, 20, 7), window(9, 20, 7), window(2, 4, 7)]).toEqual([
    { start: 0, end: 7 },
    { start: 5, end: 7 },
    { start: 7, end: 7 },
    { start: 2, end: 4 },
  ]);
});

const notice = (seq: number, second: number): TimelineItem => ({
  kind: "Notice",
  key: `seq:${seq}`,
  seq,
  createdAt: new Date(second * 1000),
  notice: "Joined",
  actor: { id: "ann", name: "Ann" },
  people: [],
  params: {},
});
const DAY = 24 * 3600;
const dayOf = (time: Date) => time.toISOString().slice(0, 10);

test("each day begins once, though a clock was set back", () => {
  const items = [notice(1, 10), notice(2, DAY + 1), notice(3, DAY - 1), notice(4, DAY + 2), notice(5, 3 * DAY)];
  const keys = withLines(items, { dayOf, unreadAfter: undefined }, true).map(({ key }) => key);
  const [one, two, four] = ["day:1970-01-01", "day:1970-01-02", "day:1970-01-04"];
  expect(keys).toEqual([one, "seq:1", two, "seq:2", "seq:3", "seq:4", four, "seq:5"]);
});

test("the new line lies before the first unread item and nowhere else", () => {
  const items = [4, 5, 6, 7].map((seq) => notice(seq, 10));
  const place = (unreadAfter: number, begins: boolean) =>
    withLines(items, { dayOf, unreadAfter }, begins).findIndex(({ kind }) => kind === "NewLine");
  expect([place(5, false), place(3, false), place(2, false), place(2, true), place(7, false)]).toEqual([3, 1, -1, 1, -1]);
});
