/** What the tasks of one client share. */

import type { Backoff, ClientConfig } from "../config.js";
import type { ConnectionState, StorageState } from "../client.js";
import type { Observers } from "../changes.js";
import { ClientError } from "../error.js";
import type { Connection } from "../net/connection.js";
import { Bell, Cell } from "../observed.js";
import * as outbox from "../store/outbox.js";
import type { Entry } from "../store/outbox.js";
import type { Store, Warm, Write } from "../store/store.js";
import type { Tx } from "../store/tables.js";
import { noOutcome, type Outcome, type View } from "./frames.js";
import { type Ask, askRoom } from "./repair.js";
import type { Tabs } from "./tabs.js";
import { TypingBoard } from "./typing.js";
import { Shown } from "./watched.js";

/** Ids that turned out to be nobody's, remembered so as not to be asked for again. */
const NOBODY = 10_000;
/** People waiting to be asked for; of more, those that a screen needs are wanted again when it is read again. */
const WANTED = 10_000;

/** A stream, for those who have something for it. */
export interface OpenStream {
  /** It may be dead without knowing. */
  suspect(): void;
  /** There is no network. */
  lose(): void;
  /** Says that the person is writing. */
  write(roomId: string): void;
}

/** What empties the outbox. */
export interface Leaving {
  /** Takes what may leave now, in the transaction that puts something in. */
  take(w: Write): Promise<readonly Entry[]>;
  /** Says it, after the commit. */
  say(entries: readonly Entry[]): void;
}

/** A room with open timelines. */
interface Open {
  timelines: number;
  /** Newest item that a timeline has given out. */
  seenSeq: number;
}

/** What is on the screen of a tab. */
export interface Focus {
  readonly rooms: readonly string[];
  /** Messages whose readers are counted. */
  readonly messages: readonly { readonly roomId: string; readonly seq: number }[];
  /** People whose presence is shown. */
  readonly people: readonly string[];
}

/** What the tasks of one client share. */
export class Core {
  readonly state = new Cell<ConnectionState>({ kind: "Connecting" });
  readonly me = new Cell<string | undefined>(undefined);
  /** A stream is open and its Welcome has come: calls make sense, and name the right epoch. */
  readonly online = new Cell(false);
  /** No connection is wanted. */
  readonly offline = new Cell(false);
  readonly ended = new AbortController();
  readonly bells = {
    /** The session has something to attend to. */
    session: new Bell(),
    outbox: new Bell(),
    marks: new Bell(),
    people: new Bell(),
    /** Do not wait for the next attempt. */
    hurry: new Bell(),
  };
  /** The stream that is open. */
  stream: OpenStream | undefined;
  /** In the tab that leads. */
  sender: Leaving | undefined;
  /** The focus changed, or a command left questions: the stream has something to attend to. */
  attention = true;
  readonly typing = new TypingBoard();
  readonly presence = new Shown<boolean>();
  readonly reads = new Shown<{ readonly read: number; readonly members: number }>();
  readonly wanted = new Set<string>();
  readonly nobody = new Set<string>();
  readonly asks: Ask[] = [];
  readonly #open = new Map<string, Open>();
  #set: readonly string[] = [];

  constructor(
    readonly config: ClientConfig,
    readonly backoff: Backoff,
    readonly connection: Connection,
    readonly store: Store,
    readonly observers: Observers,
    readonly storage: Cell<StorageState>,
    readonly tabs: Tabs,
  ) {
    this.presence.onShown = () => this.#focusChanged();
    this.reads.onShown = () => this.#focusChanged();
  }

  /** What is on the screen of this tab. */
  focus(): Focus {
    const messages = this.reads.keys().map((key) => {
      const [roomId = "", seq = ""] = key.split("/");
      return { roomId, seq: Number(seq) };
    });
    return { rooms: [...new Set([...this.#set, ...this.#open.keys()])], messages, people: this.presence.keys() };
  }

  /** The host says what is on the screen, beside the open timelines. */
  setFocus(roomIds: readonly string[]): void {
    this.#set = [...roomIds];
    this.#focusChanged();
  }

  /** A timeline of a room is open. */
  openTimeline(roomId: string): void {
    const open = this.#open.get(roomId);
    if (open) open.timelines += 1;
    else this.#open.set(roomId, { timelines: 1, seenSeq: 0 });
    this.#focusChanged();
  }

  closeTimeline(roomId: string): void {
    const open = this.#open.get(roomId);
    if (!open) return;
    open.timelines -= 1;
    if (open.timelines === 0) this.#open.delete(roomId);
    this.#focusChanged();
  }

  /** A timeline has given out items up to here. */
  saw(roomId: string, seq: number): void {
    const open = this.#open.get(roomId);
    if (open) open.seenSeq = Math.max(open.seenSeq, seq);
  }

  /** The newest item in front of the person; 0 when the room is not open. */
  seen(roomId: string): number {
    return this.#open.get(roomId)?.seenSeq ?? 0;
  }

  /** Rooms with an open timeline in this tab. */
  openRooms(): ReadonlySet<string> {
    return new Set(this.#open.keys());
  }

  view(): View {
    return { focus: new Set(this.tabs.focus().rooms), live: this.state.now.kind === "Live" };
  }

  /**
   * Refuses while the host wants to be offline. Asked after something was taken to be said, so that nothing leaves which a person
   * did after the host had gone offline.
   */
  maySay(): void {
    if (this.offline.now) throw new ClientError("Offline", "the host wants to be offline");
  }

  /** Applies what a command answered, and asks what follows from it. */
  async apply(change: (w: Write, view: View, out: Outcome) => Promise<void>): Promise<void> {
    const view = this.view();
    const outcome = await this.store.write("relaxed", async (w) => {
      const out = noOutcome();
      await change(w, view, out);
      return out;
    });
    this.wantPeople(outcome.people);
    if (outcome.asks.length > 0) this.ask(outcome.asks);
  }

  /** Questions that a command left. The tab that holds the stream asks them. */
  ask(asks: readonly Ask[]): void {
    if (this.tabs.leads.now) {
      this.asks.push(...asks);
      this.attend();
      return;
    }
    this.store.forgetRepairs();
    const rooms = asks.flatMap((ask) => ("room" in ask ? [ask.room.roomId] : []));
    this.tabs.tell({ kind: "Ask", rooms });
  }

  /**
   * Writes what a person does: it is on the disk when this returns. What may leave leaves by the same write: another one would
   * wait for all lists that are read because of this one.
   */
  async put<T>(job: (w: Write) => Promise<T>, warm?: Warm): Promise<T> {
    let leaving: readonly Entry[] = [];
    const { sender } = this;
    const write = async (w: Write) => {
      const done = await job(w);
      leaving = (await sender?.take(w)) ?? [];
      return done;
    };
    const warmAll = (tx: Tx) => {
      outbox.warm(tx);
      warm?.(tx);
    };
    const value = await this.store.write("strict", write, warmAll);
    if (leaving.length > 0) sender?.say(leaving);
    else this.ring("outbox");
    return value;
  }

  /** There is something to send. The tab that leads sends it. */
  ring(bell: "outbox" | "marks"): void {
    if (this.tabs.leads.now) this.bells[bell].ring();
    else this.tabs.tell({ kind: "Ring", bell });
  }

  /** Ends when something has happened to an entry of the outbox; rejects with the reason of the signal, or at the end. */
  entryTouched(changeId: string, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        leave();
        signal?.removeEventListener("abort", given);
        this.ended.signal.removeEventListener("abort", ended);
        settle();
      };
      const given = () => end(() => reject(signal?.reason));
      const ended = () => end(() => reject(new ClientError("Cancelled", "the client has ended")));
      const leave = this.observers.subscribe((changes) => {
        if (changes.everything || changes.entries.has(changeId)) end(resolve);
      });
      signal?.addEventListener("abort", given);
      this.ended.signal.addEventListener("abort", ended);
    });
  }

  /** The stream has something to attend to. */
  attend(): void {
    this.attention = true;
    this.bells.session.ring();
  }

  /** Rows of what is on the screen were dropped: they are fetched again. */
  refetch(): void {
    if (this.tabs.leads.now) this.attend();
    else this.tabs.tell({ kind: "Ask", rooms: this.focus().rooms });
  }

  /** Another tab has seen that rooms are behind. */
  askRooms(roomIds: readonly string[]): void {
    const asked = this.store.write("relaxed", async (w) => {
      const out = noOutcome();
      for (const roomId of roomIds) await askRoom(w, roomId, out);
      return out.asks;
    });
    asked.then((asks) => this.ask(asks)).catch(() => undefined);
  }

  /** Asks for profiles when there is a connection. */
  wantPeople(ids: Iterable<string>): void {
    const before = this.wanted.size;
    for (const id of ids) if (!this.nobody.has(id) && this.wanted.size < WANTED) this.wanted.add(id);
    if (this.wanted.size > before) this.bells.people.ring();
  }

  /** These ids are nobody's. */
  areNobody(ids: readonly string[]): void {
    if (this.nobody.size > NOBODY) this.nobody.clear();
    for (const id of ids) this.nobody.add(id);
  }

  /** The stream is gone: what it told of the moment is not known any more. */
  lost(): void {
    this.online.set(false);
    this.presence.forget();
    this.reads.forget();
  }

  /** Says how the client stands. What has ended stays so. */
  tellState(state: ConnectionState): void {
    const { now } = this.state;
    if (now.kind === "Ended" && now.reason.kind === "Cancelled") return;
    if (now.kind === state.kind && !("reason" in state)) return;
    this.state.set(state);
  }

  #focusChanged(): void {
    this.tabs.focusChanged();
  }
}
