/** What is unread in all rooms together: the number on an app's icon. */

import type { Core } from "../engine/core.js";
import { failureOf } from "../net/failure.js";
import { Cell, type Watched } from "../observed.js";
import { totals } from "../store/totals.js";
import { delayMs, sleep } from "../time.js";
import { equal } from "./diff.js";
import type { Totals } from "./item.js";

/** The totals, read again whenever something has changed, until they are closed. */
export async function watchTotals(core: Core): Promise<Watched<Totals>> {
  const listener = core.observers.listen();
  const read = () => core.store.read((r) => totals(r.tx));
  const cell = new Cell(await read());
  const follow = async () => {
    while (!listener.ended) {
      await listener.changed();
      listener.take();
      if (listener.ended) return;
      try {
        const now = await read();
        if (!equal(now, cell.now)) cell.set(now);
      } catch (error) {
        if (failureOf(error).kind === "Cancelled") return;
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
