/** What is unread in all rooms together: the number on an app's icon. */

import { type Changes, noChanges } from "../changes.js";
import type { Core } from "../engine/core.js";
import { failureOf } from "../net/failure.js";
import { Cell, type Watched } from "../observed.js";
import { joined, joinedAmong, totalsOf, warmAmong } from "../store/totals.js";
import { delayMs, sleep } from "../time.js";
import { equal } from "./diff.js";
import type { Totals } from "./item.js";

/** The totals, read again whenever something has changed, until they are closed. */
export async function watchTotals(core: Core): Promise<Watched<Totals>> {
  const listener = core.observers.listen();
  // A room is read again when it has changed: to read all of them for each message would be felt.
  const rooms = new Map<string, { readonly unread: number; readonly mentions: number }>();
  const read = async ({ everything, rooms: changed }: Changes) => {
    const badges = await core.store.read(
      (r) => (everything ? joined(r.tx) : joinedAmong(r.tx, changed)),
      everything ? undefined : warmAmong(changed),
    );
    if (everything) rooms.clear();
    for (const roomId of changed) rooms.delete(roomId);
    for (const { row, unread, mentions } of badges) rooms.set(row.roomId, { unread, mentions });
    return totalsOf([...rooms.values()]);
  };
  const cell = new Cell(await read({ ...noChanges(), everything: true }));
  const follow = async () => {
    while (!listener.ended) {
      await listener.changed();
      const changes = listener.take();
      if (listener.ended) return;
      try {
        const now = await read(changes);
        if (!equal(now, cell.now)) cell.set(now);
      } catch (error) {
        if (failureOf(error).kind === "Cancelled") return;
        listener.hear({ ...noChanges(), everything: true });
        await sleep(delayMs(core.backoff, 1));
      }
    }
  };
  void follow();
  return watchedCell(cell, () => listener.close());
}

/** A value that is watched until it is closed. */
export function watchedCell<T>(cell: Cell<T>, close: () => void): Watched<T> {
  return {
    get now() {
      return cell.now;
    },
    subscribe: (listener) => cell.subscribe(listener),
    until: (wanted, signal) => cell.until(wanted, signal),
    close,
  };
}
