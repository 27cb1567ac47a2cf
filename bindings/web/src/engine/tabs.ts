/**
 * The tabs of one person: one of them leads, and holds the stream for all; the others read the same store and are told of
 * changes. When the leader closes, another takes over: the browser passes its lock on.
 */

import type { Changes } from "../changes.js";
import type { PlainError } from "../error.js";
import { Cell } from "../observed.js";
import { newId } from "../time.js";
import type { Focus } from "./core.js";

/** A state as it goes from tab to tab. */
export interface PlainState {
  readonly kind: "Connecting" | "Live" | "Offline" | "Suspended" | "SignedOut" | "Ended";
  readonly retryInMs?: number;
  readonly reason?: PlainError | undefined;
}

/** What tabs tell each other. */
export type TabMessage =
  /** The store has changed. */
  | {
      readonly kind: "Changed";
      readonly changes: Changes;
    }
  /** What is on the screen of a tab. */
  | { readonly kind: "Focus"; readonly tab: string; readonly focus: Focus }
  /** To the leader: there is something to send. */
  | { readonly kind: "Ring"; readonly bell: "outbox" | "marks" | "hurry" }
  /** To the leader: the person is writing. */
  | { readonly kind: "Write"; readonly roomId: string }
  /** To the leader: these rooms are behind. */
  | { readonly kind: "Ask"; readonly rooms: readonly string[] }
  /** The host wants no connection, or one again. */
  | { readonly kind: "Wish"; readonly offline: boolean }
  /** The person has signed out. */
  | { readonly kind: "SignedOut" }
  /** A tab has come, or another leads: everybody says how they stand. */
  | { readonly kind: "WhoIsThere" }
  /** From the leader: how the client stands. */
  | {
      readonly kind: "State";
      readonly state: PlainState;
      readonly online: boolean;
      readonly me: string | undefined;
      readonly epoch: string;
    }
  /** From the leader: somebody writes, or stops. */
  | { readonly kind: "Typing"; readonly roomId: string; readonly userId: string; readonly writes: boolean }
  /** From the leader: somebody came or went. */
  | { readonly kind: "Presence"; readonly userId: string; readonly online: boolean }
  /** From the leader: readers of a message. */
  | { readonly kind: "Reads"; readonly key: string; readonly read: number; readonly members: number };

const NOTHING: Focus = { rooms: [], messages: [], people: [] };

/** The tabs of one person, as one of them sees them. */
export class Tabs {
  /** Whether this one leads. */
  readonly leads = new Cell(false);
  readonly #id = newId();
  readonly #others = new Map<string, Focus>();
  #channel: BroadcastChannel | undefined;
  #left = new AbortController();
  #own: () => Focus = () => NOTHING;
  #onFocus: () => void = () => undefined;

  /** `name`: what the tabs have in common; absent: this one is alone. */
  constructor(private name: string | undefined) {}

  /** Joins the others. `hear` is told what they say; `onFocus`, in the leader, that other things are on a screen. */
  join(own: () => Focus, hear: (message: TabMessage) => void, onFocus: () => void): void {
    this.#own = own;
    this.#onFocus = onFocus;
    this.#left = new AbortController();
    if (this.name === undefined) {
      this.leads.set(true);
      return;
    }
    this.#channel = new BroadcastChannel(this.name);
    this.#channel.onmessage = (event: MessageEvent<TabMessage>) => {
      if (event.data.kind === "Focus") this.#hearFocus(event.data.tab, event.data.focus);
      else hear(event.data);
    };
    // Held as long as this tab lives: by it the leader learns that a tab is gone, however it went.
    this.#hold(`${this.name} ${this.#id}`, () => undefined);
    this.#hold(this.name, () => {
      this.#others.clear();
      this.leads.set(true);
      this.tell({ kind: "WhoIsThere" });
    });
    this.tell({ kind: "WhoIsThere" });
    this.focusChanged();
  }

  /** Leaves the others; another leads then. */
  leave(): void {
    this.#left.abort();
    this.#channel?.close();
    this.#channel = undefined;
    this.#others.clear();
    this.leads.set(false);
  }

  /** Leaves the others for good: this tab has a store of its own now. */
  goAlone(): void {
    this.leave();
    this.name = undefined;
    this.leads.set(true);
  }

  /** Tells all other tabs. */
  tell(message: TabMessage): void {
    this.#channel?.postMessage(message);
  }

  /** What is on the screens of all tabs, as far as this one knows: the leader knows all. */
  focus(): Focus {
    const all = [this.#own(), ...this.#others.values()];
    return {
      rooms: [...new Set(all.flatMap((focus) => focus.rooms))],
      messages: all.flatMap((focus) => focus.messages),
      people: [...new Set(all.flatMap((focus) => focus.people))],
    };
  }

  /** Other things are on the screen of this tab. */
  focusChanged(): void {
    if (this.leads.now) this.#onFocus();
    else this.tell({ kind: "Focus", tab: this.#id, focus: this.#own() });
  }

  #hearFocus(tab: string, focus: Focus): void {
    if (!this.leads.now) return;
    if (!this.#others.has(tab)) this.#whenGone(tab);
    this.#others.set(tab, focus);
    this.#onFocus();
  }

  #whenGone(tab: string): void {
    const forget = () => {
      this.#others.delete(tab);
      this.#onFocus();
    };
    const { signal } = this.#left;
    navigator.locks.request(`${this.name} ${tab}`, { signal }, forget).catch(() => undefined);
  }

  /** Holds a lock from when it can be had until this tab leaves. */
  #hold(name: string, got: () => void): void {
    const { signal } = this.#left;
    const until = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    const held = () => {
      if (signal.aborted) return undefined;
      got();
      return until;
    };
    navigator.locks.request(name, { signal }, held).catch(() => undefined);
  }
}
