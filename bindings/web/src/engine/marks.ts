/**
 * Sends the marks that wait. One at a time; a mark made offline names the generation it was made under, so that the server can
 * ignore it when "mark as unread" came in between.
 */

import { create } from "@bufbuild/protobuf";
import { type MarkReadResponse, type MarkUnreadResponse, ReadService } from "../gen/madang/v1/read_service_pb.js";
import { MembershipSchema } from "../gen/madang/v1/room_pb.js";
import { failureOf, isBeforeTheWire, mayRepeat } from "../net/failure.js";
import * as marks from "../store/marks.js";
import type { MarkRow } from "../store/tables.js";
import { delayMs, sleep } from "../time.js";
import type { Core } from "./core.js";
import * as frames from "./frames.js";

/** Sends what waits, as long as this tab leads. */
export async function run(core: Core, signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    await core.online.until((online) => online, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      const waiting = await core.store.read((r) => marks.waiting(r.tx));
      for (const mark of waiting) await settle(core, mark);
      failures = 0;
      if (waiting.length === 0) await core.bells.marks.wait(signal);
    } catch (error) {
      failures += 1;
      await sleep(Math.max(failureOf(error).retryAfterMs ?? 0, delayMs(core.backoff, failures)), signal);
    }
  }
}

/** Sends one mark; fails when that may be repeated. A mark that is refused for good is dropped. */
async function settle(core: Core, mark: MarkRow): Promise<void> {
  try {
    const { membership, prevUserRev } = await send(core, mark);
    const place = membership ?? create(MembershipSchema);
    await core.apply(async (w, view, out) => {
      await marks.done(w.tx, mark);
      if (mark.unread) await marks.rebase(w.tx, mark.roomId, place.readGeneration);
      w.changes.rooms.add(mark.roomId);
      await frames.ownAnswer(w, view, place, prevUserRev, out);
    });
  } catch (error) {
    const failure = failureOf(error);
    if (mayRepeat(failure) || isBeforeTheWire(failure) || failure.kind === "Storage" || failure.kind === "Cancelled") {
      throw failure;
    }
    await core.store.write("relaxed", async (w) => {
      w.changes.rooms.add(mark.roomId);
      await marks.done(w.tx, mark);
    });
  }
}

async function send(
  core: Core,
  { roomId, atSeq: seq, baseGeneration: generation, unread }: MarkRow,
): Promise<MarkReadResponse | MarkUnreadResponse> {
  core.maySay();
  const request = { roomId, seq, generation };
  if (unread) return core.connection.callOnce(ReadService, (caller, options) => caller.markUnread(request, options));
  return core.connection.callOnce(ReadService, (caller, options) => caller.markRead(request, options));
}
