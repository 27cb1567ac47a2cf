/**
 * Which piece of a room a timeline shows, and how it moves. Everything here is decided from the store.
 *
 * Always true: a window lies in one piece that is held without a hole, or it is lost: a reset took that piece away, and it
 * keeps what it showed until the piece was fetched again.
 */

import { positionOf, timeOf } from "../../given.js";
import { dateOf } from "../../time.js";
import * as marks from "../../store/marks.js";
import * as messages from "../../store/messages.js";
import * as rooms from "../../store/rooms.js";
import type { Tx } from "../../store/tables.js";
import { holds, type Island, max, min } from "../../sync/islands.js";
import { markOf, unreadOf } from "../../sync/mark.js";
import { firstSeq, isJoined, type RoomState } from "../../sync/room.js";
import type { Anchor } from "./timeline.js";

/** Items shown where a timeline opens. */
export const FIRST_PAGE = 50n;
/** Items that a window holds at most; it lets go at its other end, so that neither a busy room nor a long scroll grows it. */
const MOST = 2000n;

/** Which piece of the room is shown. */
export interface Window {
  /** It begins here; 0: not decided. */
  readonly low: bigint;
  /** It ends here; 0: it follows the newest item. */
  readonly high: bigint;
  /** What is in front of the person; 0: not told. */
  readonly anchor: bigint;
  /** The reset that this was decided after. */
  readonly resetRev: bigint;
}

/** Nothing is decided. */
export const NO_WINDOW: Window = { low: 0n, high: 0n, anchor: 0n, resetRev: 0n };

/** Where an anchor lies: in what is held, around an item that is not held, or at a time of which nothing is held. */
export type Found = { readonly window: Window } | { readonly seq: bigint } | { readonly time: Date };

/** A room as a window sees it. */
export class Ground {
  private constructor(
    readonly state: RoomState,
    /** Pieces that are held, the highest last. */
    private readonly pieces: readonly Island[],
  ) {}

  static async read(tx: Tx, roomId: string): Promise<Ground> {
    const [state, pieces] = await Promise.all([rooms.load(tx, roomId), rooms.islandsOf(tx, roomId)]);
    const range = { low: max(state.lowSeq, 1n), high: state.seq };
    if (range.low <= range.high) pieces.push(range);
    return new Ground(state, pieces);
  }

  /** The first item that the person may see. */
  get first(): bigint {
    return firstSeq(this.state);
  }

  /** The newest item, held or not. */
  get newestSeq(): bigint {
    return max(this.state.room?.seq ?? 0n, this.state.seq);
  }

  /** Whether everything that happened is held, as far as is known. */
  get isComplete(): boolean {
    return this.state.rev > 0n && this.state.rev === this.state.headRev;
  }

  /** Whether the room is known by its summary alone: none of its rows was ever asked for. */
  get isSummary(): boolean {
    return this.state.rev === 0n && this.state.headRev > 0n && !this.state.ended;
  }

  /** The window at the newest item. */
  newest(): Window {
    const { seq, lowSeq, resetRev } = this.state;
    const low = seq > 0n ? max(max(lowSeq, seq - FIRST_PAGE + 1n), 1n) : 0n;
    return { low, high: 0n, anchor: 0n, resetRev };
  }

  /** The window around an item that is held. */
  around(seq: bigint): Window | undefined {
    const piece = this.#piece(seq);
    if (!piece) return undefined;
    const low = max(piece.low, seq - FIRST_PAGE / 2n);
    const high = min(piece.high, low + FIRST_PAGE - 1n);
    return this.#window(min(low, max(piece.low, high - FIRST_PAGE + 1n)), high, seq);
  }

  /** Where a window lies now; `shown` is the newest item that it showed. Lost: what was shown stays. */
  place(window: Window, shown: bigint): { readonly window: Window; readonly lost: boolean } {
    const held = (at: Window) => ({ window: at, lost: false });
    const { state } = this;
    const beyond = window.low > state.seq + 1n && this.isComplete;
    if (window.low === 0n || state.ended || beyond) return held(this.newest());
    if (window.high !== 0n) return this.#placeOfRange(window);
    if (window.resetRev === state.resetRev) {
      const low = max(max(window.low, state.lowSeq), state.seq - MOST + 1n);
      return held({ ...window, low });
    }
    // The newest item is what the person wants to see.
    if (window.anchor === 0n || shown === 0n) return held(this.newest());
    return this.#placeOfRange({ ...window, high: shown });
  }

  #placeOfRange(window: Window): { readonly window: Window; readonly lost: boolean } {
    const [low, high] = [max(window.low, this.first), window.high];
    if (low > high) return { window: this.newest(), lost: false };
    const whole = this.#piece(low);
    if (whole && holds(whole, high)) return { window: this.#window(low, high, window.anchor), lost: false };
    const wanted = window.anchor > 0n ? window.anchor : (low + high) / 2n;
    const anchor = max(low, min(high, wanted));
    // What was fetched again may be less than what was shown.
    const piece = this.#piece(anchor);
    if (!piece) return { window: { ...window, anchor }, lost: true };
    return { window: this.#window(max(low, piece.low), min(high, piece.high), anchor), lost: false };
  }

  /** What must be fetched before a window can show older items: the page below this one. */
  gapBelow(window: Window): bigint | undefined {
    const piece = this.#piece(window.low);
    return piece && piece.low === window.low && window.low > this.first ? window.low : undefined;
  }

  /** The window with older items, and whether there are still older ones. */
  older(window: Window, count: bigint): [Window, boolean] {
    const piece = this.#piece(window.low);
    if (!piece) return [window, window.low > this.first];
    const low = max(piece.low, window.low - count);
    const high = window.high === 0n ? this.state.seq : window.high;
    return [this.#window(low, min(high, low + MOST - 1n), window.anchor), low > this.first];
  }

  /** What must be fetched before a window can show newer items: the page above this one. */
  gapAbove(window: Window): bigint | undefined {
    const piece = this.#piece(window.high);
    return piece && piece.high === window.high && window.high < this.state.seq ? window.high : undefined;
  }

  /** The window with newer items, and whether there are still newer ones. */
  newer(window: Window, count: bigint): [Window, boolean] {
    const piece = this.#piece(window.high);
    if (!piece) return [window, window.high > 0n];
    const high = min(piece.high, window.high + count);
    const moved = this.#window(max(window.low, high - MOST + 1n), high, window.anchor);
    return [moved, moved.high > 0n];
  }

  /** Where an anchor lies. */
  async find(tx: Tx, anchor: Anchor): Promise<Found> {
    let seq: bigint | undefined;
    if (anchor === "Newest") return { window: this.newest() };
    if (anchor === "FirstUnread") {
      const read = await this.unreadAfter(tx);
      if (read === undefined) return { window: this.newest() };
      seq = read + 1n;
    } else if ("seq" in anchor) {
      seq = positionOf(anchor.seq);
    } else {
      seq = await this.#firstSince(tx, new Date(timeOf(anchor.date)));
      if (seq === undefined) return { time: anchor.date };
    }
    if (seq > this.newestSeq) return { window: this.newest() };
    const wanted = max(seq, this.first);
    const window = this.around(wanted);
    return window ? { window } : { seq: wanted };
  }

  /** The last item that is read, if anything is unread. */
  async unreadAfter(tx: Tx): Promise<bigint | undefined> {
    const { state } = this;
    const mark = marks.shown(markOf(state.membership), await marks.find(tx, state.roomId));
    const unread = state.room ? unreadOf(mark, state.room.count, state.room.firstCount) : 0n;
    return isJoined(state) && unread > 0n ? mark.seq : undefined;
  }

  /** The first item of a time or after it, if what is held tells: times rise with positions, but for clocks that are set. */
  async #firstSince(tx: Tx, time: Date): Promise<bigint | undefined> {
    const before = async (seq: bigint) => {
      const row = await messages.find(tx, this.state.roomId, seq);
      return row === undefined || dateOf(row.createdAt) < time;
    };
    for (const piece of [...this.pieces].reverse()) {
      if (await before(piece.high)) {
        const isNewest = piece.high === this.state.seq && this.isComplete;
        return isNewest ? piece.high + 1n : undefined;
      }
      if (piece.low > this.first && !(await before(piece.low))) continue;
      let { low, high } = piece;
      while (low < high) {
        const middle = low + (high - low) / 2n;
        if (await before(middle)) low = middle + 1n;
        else high = middle;
      }
      return low;
    }
    return undefined;
  }

  /** The window of a range; one that reaches the newest item follows it. */
  #window(low: bigint, high: bigint, anchor: bigint): Window {
    const { seq, resetRev } = this.state;
    return { low, high: high >= seq ? 0n : high, anchor, resetRev };
  }

  #piece(seq: bigint): Island | undefined {
    return this.pieces.find((piece) => holds(piece, seq));
  }
}
