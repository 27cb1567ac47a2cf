/** The two places that tables lie in do the same. */

import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { ClientError } from "../src/error.js";
import { take } from "../src/engine/outbox.js";
import { type Entry, QUEUED } from "../src/store/outbox.js";
import * as outbox from "../src/store/outbox.js";
import { IndexedBackend } from "../src/store/indexed.js";
import { MemoryBackend, MemoryStore } from "../src/store/memory.js";
import { Store, type Write } from "../src/store/store.js";
import { type Backend, beginningWith, type Range, type Rows, type Table, type Tx } from "../src/store/tables.js";

const places: readonly (readonly [string, () => Promise<Backend>])[] = [
  ["memory", async () => new MemoryBackend()],
  ["IndexedDB", () => IndexedBackend.open("store", () => undefined)],
];

beforeEach(() => void vi.stubGlobal("indexedDB", new IDBFactory()));

const message = (roomId: string, seq: number): Rows["messages"] => ({ roomId, seq, rev: 1n, message: new Uint8Array([seq]) });
const entry = (roomId: string, changeId: string) => {
  return { kind: "Send", roomId, changeId, target: "", request: new Uint8Array() } as const;
};
const ids = (entries: readonly Entry[]) => entries.map(({ changeId }) => changeId);

describe.each(places)("in %s", (_, open) => {
  test("rows are found by key, by range and by index, in order", async () => {
    const place = await open();
    await place.write("relaxed", async (tx) => {
      for (const seq of [3, 1, 20, 2]) await tx.put("messages", message("r", seq));
      await tx.put("messages", { ...message("r", 4), clientMessageId: "own" });
      await tx.put("messages", message("ra", 1));
    });
    const found = await place.read(async (tx) => ({
      one: await tx.get("messages", ["r", 3]),
      none: await tx.get("messages", ["r", 9]),
      room: await tx.list("messages", beginningWith("r")),
      part: await tx.list("messages", { from: ["r", 2], to: ["r", 4] }),
      newest: await tx.list("messages", { ...beginningWith("r"), reverse: true, limit: 2 }),
      own: await tx.get("messages", ["r", "own"], "own"),
    }));
    const seqs = (rows: readonly Rows["messages"][]) => rows.map((row) => row.seq);
    expect([found.one?.seq, found.none]).toEqual([3, undefined]);
    expect([seqs(found.room), seqs(found.part)]).toEqual([[1, 2, 3, 4, 20], [2, 3, 4]]);
    expect([seqs(found.newest), found.own?.seq]).toEqual([[20, 4], 4]);
  });

  test("a write that fails changes nothing and tells nobody", async () => {
    const published = vi.fn();
    const store = new Store(await open(), published);
    await store.write("strict", async (w) => outbox.put(w.tx, entry("r", "before"), 0));
    const failing = store.write("strict", async (w: Write) => {
      await outbox.put(w.tx, entry("r", "lost"), 0);
      await w.tx.clear("outbox");
      w.changes.rooms.add("r");
      throw new Error("on purpose");
    });
    await expect(failing).rejects.toThrow("on purpose");
    expect(ids(await store.read((r) => outbox.waiting(r.tx)))).toEqual(["before"]);
    expect(published).not.toHaveBeenCalled();
  });

  test("one of a room leaves at a time, and rooms beside each other", async () => {
    const store = new Store(await open(), () => undefined);
    await store.write("strict", async ({ tx }) => {
      for (const [room, id] of [["r", "r1"], ["r", "r2"], ["s", "s1"]] as const) await outbox.put(tx, entry(room, id), 0);
      const [first] = await outbox.ready(tx);
      expect(ids(await outbox.ready(tx))).toEqual(["r1", "s1"]);
      await outbox.leave(tx, first as Entry);
      expect(ids(await outbox.ready(tx))).toEqual(["s1"]);
      await outbox.recover(tx);
      expect(ids(await outbox.ready(tx))).toEqual(["r1", "s1"]);
      await outbox.fail(tx, first?.id ?? 0, 84, "refused");
      expect(ids(await outbox.ready(tx))).toEqual(["r2", "s1"]);
      await outbox.retry(tx, first?.id ?? 0);
      expect(ids(await outbox.ready(tx))).toEqual(["r1", "s1"]);
      await outbox.acknowledge(tx, (await outbox.find(tx, "r1")) as Entry, 9n, 9n, 1);
      expect(ids(await outbox.ready(tx))).toEqual(["r2", "s1"]);
      expect([await outbox.unsent(tx), ids(await outbox.shown(tx, "r", 8n))]).toEqual([2, ["r1", "r2"]]);
      expect(ids(await outbox.shown(tx, "r", 9n))).toEqual(["r2"]);
    });
  });

  test("what was acknowledged long ago is forgotten, whatever was refused before it", async () => {
    const store = new Store(await open(), () => undefined);
    await store.write("strict", async ({ tx }) => {
      for (let n = 0; n < 12; n++) {
        await outbox.put(tx, entry("r", `refused ${n}`), 0);
        await outbox.fail(tx, (await outbox.find(tx, `refused ${n}`))?.id ?? 0, 84, "refused");
      }
      for (const [id, atMs] of [["old", 1], ["new", 8 * 24 * 3_600_000]] as const) {
        await outbox.put(tx, entry("r", id), 0);
        await outbox.acknowledge(tx, (await outbox.find(tx, id)) as Entry, 1n, 1n, atMs);
      }
      expect([await outbox.find(tx, "old"), (await outbox.find(tx, "new"))?.changeId]).toEqual([undefined, "new"]);
      expect((await outbox.waiting(tx)).length).toBe(12);
    });
  });

  test("a change that cannot be said holds up its room, and neither others nor what a person writes", async () => {
    const complained = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const store = new Store(await open(), () => undefined);
    await store.write("strict", async ({ tx }) => {
      const broken = { ...entry("r", "broken"), kind: "Edit", target: "not there", request: new Uint8Array([255]) } as const;
      for (const one of [broken, entry("r", "behind it"), entry("s", "beside it")]) await outbox.put(tx, one, 0);
    });
    const taken = await store.write("strict", async (w) => {
      await outbox.put(w.tx, entry("t", "written now"), 0);
      return take(w, new Set(), 8);
    });
    expect(ids(taken)).toEqual(["beside it", "written now"]);
    expect(ids(await store.read((r) => outbox.waiting(r.tx)))).toEqual(["broken", "behind it", "beside it", "written now"]);
    expect(complained).toHaveBeenCalledOnce();
    complained.mockRestore();
  });

  test("what was acknowledged under another epoch holds its room up until it is confirmed", async () => {
    const store = new Store(await open(), () => undefined);
    await store.write("strict", async ({ tx }) => {
      await outbox.put(tx, entry("r", "old"), 0);
      await outbox.acknowledge(tx, (await outbox.find(tx, "old")) as Entry, 1n, 1n, 1);
      await tx.put("meta", { key: "epoch", value: "another" });
      await outbox.put(tx, entry("r", "new"), 0);
      expect(ids(await outbox.ready(tx))).toEqual(["new"]);
      await outbox.doubtAll(tx);
      expect([ids(await outbox.ofOtherEpochs(tx)), await outbox.ready(tx)]).toEqual([["old"], []]);
      const old = (await outbox.find(tx, "old")) as Entry;
      await outbox.reoffer(tx, old, old.request, "another");
      expect((await outbox.find(tx, "old"))?.state).toBe(QUEUED);
      expect(ids(await outbox.ready(tx))).toEqual(["old"]);
    });
  });
});

test("a store in IndexedDB is there for the next page, and gone when it is erased", async () => {
  const open = () => IndexedBackend.open("store", () => undefined);
  const first = await open();
  await first.write("strict", (tx) => tx.put("drafts", { roomId: "r", text: "half a" }));
  first.close();
  const second = await open();
  expect((await second.read((tx) => tx.get("drafts", "r")))?.text).toBe("half a");
  await second.erase();
  expect(await (await open()).read((tx) => tx.list("drafts"))).toEqual([]);
});

test("a page that is left in the middle of a write holds up no other page, and does it when it is there again", async () => {
  const open = () => IndexedBackend.open("store", () => undefined);
  const [left, other] = [await open(), await open()];
  let begun = () => {};
  const middle = new Promise<void>((resolve) => (begun = resolve));
  let runs = 0;
  const written = left.write("strict", async (tx) => {
    await outbox.put(tx, entry("r", "of the page that is left"), 0);
    runs += 1;
    begun();
    // As a page that is kept: it is never again heard of.
    while (runs === 1) await tx.get("drafts", "r");
  });
  await middle;
  left.rest();
  await other.write("strict", (tx) => outbox.put(tx, entry("r", "of the other"), 0));
  const read = left.read((tx) => outbox.waiting(tx));
  left.rise();
  await written;
  expect([ids(await read)[0], ids(await left.read((tx) => outbox.waiting(tx)))]).toEqual([
    "of the other",
    ["of the other", "of the page that is left"],
  ]);
  expect(runs).toBe(2);
});

test("a store in memory is one client's at a time", async () => {
  const store = new MemoryStore();
  const taken = store.take();
  expect(() => store.take()).toThrow("another client has the store");
  await taken.write("strict", (tx) => tx.put("drafts", { roomId: "r", text: "half a" }));
  taken.close();
  expect((await store.take().read((tx) => tx.get("drafts", "r")))?.text).toBe("half a");
});

test("a store that is full is asked to make room, and the same write is tried again", async () => {
  const place = new MemoryBackend();
  let full = true;
  const write = place.write.bind(place);
  vi.spyOn(place, "write").mockImplementation((durability, job) =>
    full ? Promise.reject(new ClientError("Storage", "full", { local: "DiskFull" })) : write(durability, job),
  );
  const store = new Store(place, () => undefined, async () => {
    full = false;
    return true;
  });
  await store.write("strict", (w) => w.tx.put("drafts", { roomId: "r", text: "kept" }));
  expect((await store.read((r) => r.tx.get("drafts", "r")))?.text).toBe("kept");
});

/** A place of which a table cannot be read. */
class Damaged extends MemoryBackend {
  constructor(private readonly table: Table) {
    super();
  }

  override read<T>(job: (tx: Tx) => Promise<T>): Promise<T> {
    const list = (tx: Tx) => (table: Table, range?: Range) =>
      table === this.table ? Promise.reject(new ClientError("Storage", "unreadable", { local: "StoreDamaged" })) : tx.list(table, range);
    return super.read((tx) => job({ ...tx, list: list(tx) as Tx["list"] }));
  }
}

test("another place takes all of a store, or what was typed alone: numbers without their rows would hide that any are missing", async () => {
  const held = async (place: MemoryBackend) => {
    await place.write("strict", async (tx) => {
      await tx.put("meta", { key: "watermark", value: 7n });
      await tx.put("messages", message("r", 1));
      await tx.put("drafts", { roomId: "r", text: "half a" });
      await outbox.put(tx, entry("r", "typed"), 0);
    });
    const next = new MemoryBackend();
    const store = new Store(place, () => undefined);
    await store.replace(next);
    return store.read(async ({ tx }) => ({
      watermark: (await tx.get("meta", "watermark"))?.value,
      rows: (await tx.list("messages")).length,
      draft: (await tx.get("drafts", "r"))?.text,
      typed: ids(await outbox.waiting(tx)),
    }));
  };
  const typed = { draft: "half a", typed: ["typed"] };
  expect(await held(new MemoryBackend())).toEqual({ watermark: 7n, rows: 1, ...typed });
  expect(await held(new Damaged("messages"))).toEqual({ watermark: undefined, rows: 0, ...typed });
  expect(await held(new Damaged("outbox"))).toEqual({ watermark: undefined, rows: 0, draft: "half a", typed: [] });
});
