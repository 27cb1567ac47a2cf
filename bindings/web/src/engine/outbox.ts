/** Empties the outbox: one change of a room at a time, rooms beside each other. */

import { MessageService } from "../gen/madang/v1/message_service_pb.js";
import { failureOf, isBeforeTheWire, mayRepeat, reasonOf } from "../net/failure.js";
import * as meta from "../store/meta.js";
import * as outbox from "../store/outbox.js";
import { type Entry, kindOf } from "../store/outbox.js";
import type { Write } from "../store/store.js";
import { delayMs, sleep } from "../time.js";
import * as changes from "./changes.js";
import type { Core, Leaving } from "./core.js";
import type { Happened } from "./kinds.js";

/** Rooms that are sent to at once; a quarter of the calls that a server lets a person have in flight. */
const ROOMS_AT_ONCE = 8;

/** Sends what waits, as long as this tab leads. */
export async function run(core: Core, signal: AbortSignal): Promise<void> {
  const sender = new Sender(core, signal);
  signal.addEventListener("abort", () => (core.sender = undefined));
  await core.store.write("strict", (w) => outbox.recover(w.tx));
  if (!signal.aborted) core.sender = sender;
  while (!signal.aborted) {
    await core.online.until((online) => online, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      await sender.start();
      await sender.reoffer();
    } catch {
      // What waits, waits; the store or the connection says why elsewhere.
      await sleep(delayMs(core.backoff, 1), signal);
      core.bells.outbox.ring();
    }
    await core.bells.outbox.wait(signal);
  }
}

class Sender implements Leaving {
  /** Rooms with an entry on its way, or in the wait before its next attempt. */
  readonly #busy = new Set<string>();
  /** Attempts in a row that failed, by room. */
  readonly #failures = new Map<string, number>();

  constructor(
    private readonly core: Core,
    private readonly signal: AbortSignal,
  ) {}

  /** Lets leave what may leave now. */
  async start(): Promise<void> {
    // Mostly there is nothing, and to look by a write would hold up the lists.
    const open = await this.core.store.read((r) => outbox.waiting(r.tx));
    if (open.some((entry) => entry.state === outbox.QUEUED)) this.say(await this.core.store.write("strict", (w) => this.take(w)));
  }

  async take(w: Write): Promise<readonly Entry[]> {
    const free = ROOMS_AT_ONCE - this.#busy.size;
    return this.core.online.now && free > 0 ? take(w, this.#busy, free) : [];
  }

  say(entries: readonly Entry[]): void {
    for (const entry of entries) {
      this.#busy.add(entry.roomId);
      void this.#attempt(entry).then((failed) => {
        this.#busy.delete(entry.roomId);
        if (failed) this.#failures.set(entry.roomId, (this.#failures.get(entry.roomId) ?? 0) + 1);
        else this.#failures.delete(entry.roomId);
        this.core.bells.outbox.ring();
      });
    }
  }

  /**
   * Says an entry once; tells whether the room waited for its next attempt. One that may be repeated goes back into the queue:
   * the entry keeps its place, and the person sees that it is not on its way.
   */
  async #attempt(entry: Entry): Promise<boolean> {
    const { core } = this;
    try {
      const { kind, request } = changes.read(entry);
      core.maySay();
      const happened = await kind.say(request, core.connection);
      await this.#untilWritten(() => this.#settle(entry, happened));
      return false;
    } catch (error) {
      const failure = failureOf(error);
      if (failure.kind === "Cancelled" && failure.reason === undefined) return false;
      if (mayRepeat(failure) || isBeforeTheWire(failure)) {
        const failures = (this.#failures.get(entry.roomId) ?? 0) + 1;
        if (failure.reason === "EpochChanged") core.bells.hurry.ring();
        await this.#untilWritten(() => this.#write(entry, (w) => outbox.wait(w.tx, entry.id)));
        await sleep(Math.max(failure.retryAfterMs ?? 0, delayMs(core.backoff, failures)), this.signal);
        return true;
      }
      const reason = reasonOf(failure.reason);
      await this.#untilWritten(() => this.#write(entry, (w) => changes.refused(w, entry, reason, failure.message)));
      const profile = ["Profile", "Status"].includes(kindOf(entry));
      if (profile && core.me.now !== undefined) core.wantPeople([core.me.now]);
      return false;
    }
  }

  /** The server has done it: the rows are taken, and the echo becomes what is stored. */
  async #settle(entry: Entry, happened: Happened): Promise<void> {
    await this.core.apply(async (w, view, out) => {
      await outbox.acknowledge(w.tx, entry, happened.seq, happened.rev, Date.now());
      changes.touch(w, entry);
      await happened.takeIn(w, view, out);
    });
  }

  #write(entry: Entry, job: (w: Write) => Promise<void>): Promise<void> {
    return this.core.store.write("strict", async (w) => {
      changes.touch(w, entry);
      await job(w);
    });
  }

  /** Writes until the store takes it: an entry that stayed on its way would hold its room up until the next start. */
  async #untilWritten(write: () => Promise<void>): Promise<void> {
    for (let failures = 1; !this.signal.aborted; failures++) {
      try {
        return await write();
      } catch (error) {
        if (failureOf(error).kind !== "Storage") throw error;
        await sleep(delayMs(this.core.backoff, failures), this.signal);
      }
    }
  }

  /**
   * After a change of the epoch: what the server had acknowledged and no longer has is said again. A backup is a beginning of
   * each room, so the newest message that is still there vouches for all before it.
   */
  async reoffer(): Promise<void> {
    const { store } = this.core;
    const [epoch, entries] = await store.write("relaxed", async (w) => [
      await meta.text(w.tx, "epoch"),
      await outbox.ofOtherEpochs(w.tx),
    ]);
    const settled = new Set<string>();
    for (const entry of entries) {
      if (settled.has(entry.roomId)) continue;
      const fate = await this.#fateOf(entry);
      if (fate === "Kept" && kindOf(entry) === "Send") settled.add(entry.roomId);
      await this.#write(entry, (w) => changes.settleFate(w, entry, fate, epoch));
      this.core.bells.outbox.ring();
    }
  }

  async #fateOf(entry: Entry): Promise<changes.Fate> {
    const request = { roomId: entry.roomId, seq: entry.seq };
    try {
      const call = this.core.connection.callOnce(MessageService, (caller, options) => caller.getMessage(request, options));
      return changes.fateOf(entry, (await call).message);
    } catch (error) {
      // Out of the room now: whether it is there is not told. It is offered again, because a server that has it says so
      // whoever asks, and else the person is to know that it is gone.
      if (mayRepeat(failureOf(error))) throw error;
      return "Gone";
    }
  }
}

/**
 * Takes the entries that leave now, of rooms that are not busy. One that cannot be said holds up its room: neither the others, nor
 * the write of a person that this is a part of.
 */
export async function take(w: Write, busy: ReadonlySet<string>, most: number): Promise<Entry[]> {
  const leaving: Entry[] = [];
  // What turns out not to leave makes way for the next of its room.
  for (;;) {
    const ready = (await outbox.ready(w.tx)).filter((entry) => !busy.has(entry.roomId)).slice(0, most - leaving.length);
    let left = 0;
    for (const entry of ready) {
      const taken = await changes.take(w, entry).catch((error: unknown) => {
        // The whole transaction has failed.
        if (error instanceof DOMException) throw error;
        console.error("madang: a change cannot be said", entry.changeId, error);
        return "Stuck" as const;
      });
      if (taken && taken !== "Stuck") leaving.push(taken);
      if (taken) left += 1;
    }
    if (left === ready.length) return leaving;
  }
}
