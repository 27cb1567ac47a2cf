/** An open timeline: what is held of a room, and what was typed and is not there yet, as one list. */

import type { Changes } from "../../changes.js";
import type { Core } from "../../engine/core.js";
import * as frames from "../../engine/frames.js";
import { syncNow } from "../../engine/repair.js";
import { ClientError } from "../../error.js";
import type { Message } from "../../gen/madang/v1/message_pb.js";
import { type ListMessagesRequest, type ListMessagesResponse, MessageService } from "../../gen/madang/v1/message_service_pb.js";
import { countOf } from "../../given.js";
import { failureOf, mayRepeat } from "../../net/failure.js";
import type { Read, Warm } from "../../store/store.js";
import type { Tx } from "../../store/tables.js";
import { dateOf, delayMs, sleep, timestampOf } from "../../time.js";
import type { Person, TimelineItem } from "../item.js";
import { FollowedList } from "../list.js";
import { Names } from "../names.js";
import { type Lines, readPage } from "./page.js";
import type { Rows } from "./rows.js";
import type { Anchor, Timeline, TimelineOptions } from "./timeline.js";
import { FIRST_PAGE, type Found, Ground, NO_WINDOW, type Window } from "./window.js";

/** Messages in one call; the server gives no more. */
const PAGE = 200;
/** Attempts to find a place in a room that begins anew again and again. */
const ATTEMPTS = 3;
/** How often in a row a lost piece is fetched before the timeline goes to the newest items instead. */
const HEALS = 3;

type Position = ListMessagesRequest["position"];

/** An open timeline. */
export class OpenTimeline extends FollowedList<TimelineItem> implements Timeline {
  #window: Window = NO_WINDOW;
  #newer = 0;
  #isAtOldest = false;
  #healing = false;
  /** How often in a row that did not help. */
  #heals = 0;
  readonly #closed = new AbortController();
  /** People whose names are known, until profiles change. */
  readonly #known = new Map<string, Person>();
  /** What was read last; absent: it says nothing any more. */
  #rows: Rows | undefined;

  private constructor(
    core: Core,
    readonly roomId: string,
    private readonly lines: Lines,
  ) {
    super(core, core.observers.listen(roomId), (item) => item.key);
  }

  /** Opens a timeline: what is held at once; an anchor of which nothing is held is fetched first. */
  static async open(core: Core, roomId: string, { anchor = "Newest", timeZone }: TimelineOptions): Promise<Timeline> {
    const dayOf = dayOfZone(timeZone);
    const look = async (r: Read) => {
      const ground = await Ground.read(r.tx, roomId);
      return { read: await ground.unreadAfter(r.tx), place: await placeOf(ground, r.tx, anchor) };
    };
    const { read, place } = await core.store.read(look, warmGround(roomId));
    const timeline = new OpenTimeline(core, roomId, { dayOf, unreadAfter: read === undefined ? undefined : Number(read) });
    core.openTimeline(roomId);
    try {
      timeline.#window = await timeline.#find(anchor, place);
      await timeline.begin();
    } catch (error) {
      timeline.close();
      throw failureOf(error);
    }
    return timeline;
  }

  get isAtNewest(): boolean {
    return this.#window.high === 0n;
  }

  get isAtOldest(): boolean {
    return this.#isAtOldest;
  }

  get newer(): number {
    return this.#newer;
  }

  loadOlder(count: number): Promise<boolean> {
    const gapOf = (ground: Ground, window: Window) => {
      const value = ground.gapBelow(window);
      return value === undefined ? undefined : { case: "beforeSeq" as const, value };
    };
    return this.#load(gapOf, count, (ground, window) => ground.older(window, countOf(count)));
  }

  loadNewer(count: number): Promise<boolean> {
    const gapOf = (ground: Ground, window: Window) => {
      const value = ground.gapAbove(window);
      return value === undefined ? undefined : { case: "afterSeq" as const, value };
    };
    return this.#load(gapOf, count, (ground, window) => ground.newer(window, countOf(count)));
  }

  async jump(anchor: Anchor): Promise<void> {
    try {
      const window = await this.#find(anchor);
      await this.refresh(async () => {
        this.#window = window;
        this.#heals = 0;
      });
    } catch (error) {
      throw failureOf(error);
    }
  }

  scrolledTo(seq: number | undefined): void {
    this.#window = { ...this.#window, anchor: seq !== undefined && Number.isSafeInteger(seq) ? BigInt(seq) : 0n };
  }

  override close(): void {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort();
    this.core.closeTimeline(this.roomId);
    super.close();
  }

  protected override told(): void {
    this.core.saw(this.roomId, Number(newestOf(this.items)));
  }

  protected async read(changes: Changes): Promise<readonly TimelineItem[] | undefined> {
    if (changes.people || changes.everything) {
      this.#known.clear();
      this.#rows = undefined;
    }
    const held = { rows: this.#rows, changed: changes.rows.get(this.roomId) };
    const shown = newestOf(this.latest);
    const { anchor } = this.#window;
    const found = await this.core.store.read(async (r) => {
      const ground = await Ground.read(r.tx, this.roomId);
      const { window, lost } = ground.place(this.#window, shown);
      const names = new Names(r.tx, this.#known);
      const page = lost ? undefined : await readPage(r, ground, window, this.lines, names, held);
      return { window, page, missing: names.missing, newest: ground.newestSeq, first: ground.first };
    }, warmGround(this.roomId));
    // Somebody may have scrolled on meanwhile.
    this.#window = this.#window.anchor === anchor ? found.window : { ...found.window, anchor: this.#window.anchor };
    this.#newer = found.window.high === 0n ? 0 : Number(found.newest - found.window.high);
    this.#isAtOldest = found.window.low <= found.first;
    this.#rows = found.page?.rows;
    if (!found.page) {
      if (!this.#healing) void this.#heal();
      return undefined;
    }
    this.#heals = 0;
    this.core.wantPeople(found.missing);
    return found.page.items;
  }

  /** Moves an end of the window, once what lies beyond is held; tells whether there is more. */
  async #load(
    gapOf: (ground: Ground, window: Window) => Position | undefined,
    count: number,
    move: (ground: Ground, window: Window) => [Window, boolean],
  ): Promise<boolean> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      await this.#hold();
      const gap = await this.#ground((ground) => gapOf(ground, this.#window));
      const page = gap && (await this.#ask(gap, count));
      let [from, to, more] = [this.#window, this.#window, false];
      await this.refresh(async () => {
        // Here, so that the list is read once for both: it may be long.
        if (page) await this.#keep(page);
        from = this.#window;
        [to, more] = await this.#ground((ground) => move(ground, from));
        this.#window = to;
      });
      const moved = !isSame(to, from);
      // Else the room began anew meanwhile.
      if (!this.#healing && (moved || isSame(this.#window, from))) return more && moved;
    }
    throw beganAnew();
  }

  /**
   * What the window lies in is held after this: rows of a room that is known by its summary alone, and what a reset took away, are
   * fetched first.
   */
  async #hold(): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      await this.refreshIfStale();
      if (this.#healing) await this.#fetch({ case: "aroundSeq", value: this.#window.anchor }, PAGE);
      else if (await this.#ground((ground) => ground.isSummary)) await syncNow(this.core, this.roomId);
      else return;
    }
    throw beganAnew();
  }

  /** Finds the window of an anchor, and fetches what is there if nothing is held. `place`: where it was found just now. */
  async #find(anchor: Anchor, place?: Place): Promise<Window> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const now = attempt === 0 ? place : undefined;
      const { found, complete } = now ?? (await this.#ground((ground, tx) => placeOf(ground, tx, anchor)));
      if ("window" in found) return found.window;
      if (!complete) {
        await syncNow(this.core, this.roomId);
        continue;
      }
      const position: Position =
        "seq" in found
          ? { case: "aroundSeq", value: found.seq }
          : { case: "fromTime", value: timestampOf(found.time.getTime()) };
      const seq = await this.#fetch(position, Number(FIRST_PAGE));
      const window = await this.#ground((ground) => ground.around(seq));
      if (window) return window;
    }
    throw beganAnew();
  }

  #ground<T>(look: (ground: Ground, tx: Tx) => T | Promise<T>): Promise<T> {
    return this.core.store.read(async (r) => look(await Ground.read(r.tx, this.roomId), r.tx));
  }

  /** Fetches a page into the store; tells the item of it that was meant. */
  async #fetch(position: Position, count: number): Promise<bigint> {
    const page = await this.#ask(position, count);
    await this.#keep(page);
    return meant(position, page);
  }

  #ask(position: Position, count: number): Promise<ListMessagesResponse> {
    const request = { roomId: this.roomId, position, pageSize: Math.min(PAGE, Number(countOf(count))) };
    return this.core.connection.call(MessageService, (caller, options) => caller.listMessages(request, options));
  }

  #keep(page: ListMessagesResponse): Promise<void> {
    return this.core.apply((w, view, out) => frames.page(w, view, this.roomId, page, out));
  }

  /** Fetches the piece around what is in front of the person, as soon as there is a connection. */
  async #heal(): Promise<void> {
    const { signal } = this.#closed;
    this.#healing = true;
    this.#heals += 1;
    if (this.#heals > HEALS) this.#window = NO_WINDOW;
    const position: Position = { case: "aroundSeq", value: this.#window.anchor };
    for (let failures = this.#heals - 1; this.#window.anchor > 0n && !signal.aborted; failures++) {
      try {
        await this.core.online.until((online) => online, signal);
        if (failures > 0) await sleep(delayMs(this.core.backoff, failures), signal);
        await this.#fetch(position, PAGE);
        break;
      } catch (error) {
        // What was on the screen cannot be had again: it stays there, until the person goes elsewhere.
        if (!mayRepeat(failureOf(error))) return;
      }
    }
    this.#healing = false;
    if (!signal.aborted) await this.refresh().catch(() => undefined);
  }
}

/** Where an anchor lies, and whether everything that happened is held. */
interface Place {
  readonly found: Found;
  readonly complete: boolean;
}

async function placeOf(ground: Ground, tx: Tx, anchor: Anchor): Promise<Place> {
  return { found: await ground.find(tx, anchor), complete: ground.isComplete };
}

/** Begins to read what a window is decided from. */
function warmGround(roomId: string): Warm {
  return (tx) => {
    for (const table of ["rooms", "islands", "marks"] as const) tx.warm(table, roomId);
  };
}

function isSame(one: Window, other: Window): boolean {
  return one.low === other.low && one.high === other.high;
}

function beganAnew(): ClientError {
  return new ClientError("Conflict", "the room began anew meanwhile");
}

function newestOf(items: readonly TimelineItem[]): bigint {
  for (let at = items.length - 1; at >= 0; at--) {
    const item = items[at];
    if (item && "seq" in item && item.seq !== undefined) return BigInt(item.seq);
  }
  return 0n;
}

function meant(position: Position, { messages }: ListMessagesResponse): bigint {
  const is = (message: Message) => {
    if (position.case === "fromTime") return dateOf(message.createdAt) >= dateOf(position.value);
    return position.value !== undefined && message.seq >= position.value;
  };
  return (messages.find(is) ?? messages.at(-1))?.seq ?? 0n;
}

/** Days begin at a multiple of this in every time zone. */
const QUARTER_MS = 15 * 60_000;
/** Quarters whose day is remembered: more than a window has, unless people seldom speak. */
const QUARTERS = 4_000;

/** The day of a time where the person is, as in `2026-11-21`. To ask the browser for each item of a long list would be felt. */
function dayOfZone(timeZone: string | undefined): (time: Date) => string {
  const format = new Intl.DateTimeFormat("en-CA", {
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    ...(timeZone === undefined ? {} : { timeZone }),
  });
  const known = new Map<number, string>();
  return (time) => {
    const quarter = Math.floor(time.getTime() / QUARTER_MS);
    const held = known.get(quarter);
    if (held !== undefined) return held;
    const parts = format.formatToParts(time);
    const part = (type: string) => parts.find((one) => one.type === type)?.value ?? "";
    const day = `${part("year")}-${part("month")}-${part("day")}`;
    if (known.size >= QUARTERS) known.clear();
    known.set(quarter, day);
    return day;
  };
}
