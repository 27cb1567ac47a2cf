/**
 * What keeps a client alive: its store, its tasks, the other tabs, and what the page goes through.
 *
 * Always true: the tab that leads has the tasks that speak with the server, and no other; a page at rest has no stream and holds
 * up no other tab; what has ended stays so.
 */

import { type Changes, noChanges, Observers } from "./changes.js";
import type { ConnectionState, StorageState } from "./client.js";
import type { ClientConfig } from "./config.js";
import { Core } from "./engine/core.js";
import * as marks from "./engine/marks.js";
import * as outbox from "./engine/outbox.js";
import * as people from "./engine/people.js";
import * as session from "./engine/session.js";
import { type PlainState, type TabMessage, Tabs } from "./engine/tabs.js";
import { ClientError, errorOf, plainError } from "./error.js";
import { Connection } from "./net/connection.js";
import { failureOf } from "./net/failure.js";
import { subjectOf } from "./net/tokens.js";
import { Cell } from "./observed.js";
import { IndexedBackend } from "./store/indexed.js";
import { MemoryBackend } from "./store/memory.js";
import * as meta from "./store/meta.js";
import * as size from "./store/size.js";
import { Store } from "./store/store.js";
import type { Backend } from "./store/tables.js";
import { delayMs, newId, sleep } from "./time.js";

/** Waits between attempts, unless the host says otherwise. */
const BACKOFF = { baseMs: 500, capMs: 60_000 };
/** How often it is looked whether the store is to be kept small. */
const LOOK_MS = 3_600_000;
/** A store that is full again so soon after it was cleared cannot be kept. */
const FULL_AGAIN_MS = 60_000;

/** Where a store lies, and what tabs that share it have in common; absent: nobody shares it. */
interface Place {
  readonly backend: Backend;
  readonly name: string | undefined;
  readonly storage: StorageState;
}

/** What keeps a client alive. */
export class Life {
  #tasks = new AbortController();
  #resting = false;
  #clearedMs = 0;
  readonly #page = new AbortController();

  private constructor(
    readonly core: Core,
    private readonly account: string,
  ) {}

  /** Opens the store of whoever is signed in, and starts. */
  static async begin(config: ClientConfig): Promise<Life> {
    const backoff = config.backoff ?? BACKOFF;
    // Whatever is wrong with the configuration is told before anything is opened.
    new Connection(config, "", backoff);
    const account = config.store ? "" : await accountOf(config);
    let lost: () => void = () => undefined;
    const place = await placeOf(config, account, () => lost());
    let life: Life | undefined;
    const observers = new Observers();
    const tabs = new Tabs(place.name);
    const publish = (changes: Changes) => {
      observers.publish(changes);
      tabs.tell({ kind: "Changed", changes });
    };
    const store = new Store(place.backend, publish, async () => (await life?.makeRoom()) ?? false);
    try {
      const [deviceId, me, epoch] = await remembered(store, config);
      const connection = new Connection(config, deviceId, backoff);
      connection.epoch = epoch;
      const core = new Core(config, backoff, connection, store, observers, new Cell(place.storage), tabs);
      core.me.set(me || undefined);
      life = new Life(core, account);
    } catch (error) {
      await store.end();
      throw failureOf(error);
    }
    const begun = life;
    lost = () => void begun.goApart("Damaged");
    begun.#join();
    begun.#watchPage();
    return begun;
  }

  /** Ends the client of this tab. */
  async end(): Promise<void> {
    this.#stop();
    await this.core.store.end();
    this.#ended();
  }

  /** Ends the clients of all tabs, and removes what they had. */
  async erase(): Promise<void> {
    this.core.tabs.tell({ kind: "SignedOut" });
    this.#stop();
    await this.core.store.erase();
    forgetAccount(this.core.config, this.account);
    this.#ended();
  }

  /** There is no room: what can be had again is dropped, and if that is not enough nothing is kept any more. */
  async makeRoom(): Promise<boolean> {
    const now = Date.now();
    if (Math.abs(now - this.#clearedMs) < FULL_AGAIN_MS) {
      await this.goApart("Full");
      return true;
    }
    this.#clearedMs = now;
    // Beside the turn of writes, which waits for this.
    await this.core.store.writeNow("relaxed", size.clear).catch(() => this.goApart("Full"));
    this.core.refetch();
    return true;
  }

  /** From now on this tab has a store of its own, which is gone with the page. */
  async goApart(reason: "Full" | "Damaged"): Promise<void> {
    const { core } = this;
    if (core.storage.now.kind === "NotKept") return;
    core.storage.set({ kind: "NotKept", reason });
    this.#tasks.abort();
    await core.store.replace(new MemoryBackend());
    // Another tab may lead those that are left, under the id that they have.
    core.connection.deviceId = newId();
    core.tabs.goAlone();
  }

  #join(): void {
    const { core } = this;
    core.tabs.leads.subscribe((leads) => {
      if (leads) this.#lead();
    });
    core.state.subscribe(() => this.#tellState());
    core.online.subscribe(() => this.#tellState());
    const own = () => core.focus();
    core.tabs.join(own, (message) => this.#hear(message), () => core.attend());
    void people.run(core, core.ended.signal);
  }

  /** This tab leads: it speaks with the server for all. */
  #lead(): void {
    const { core } = this;
    this.#tasks.abort();
    this.#tasks = new AbortController();
    const { signal } = this.#tasks;
    for (const task of [session.run, outbox.run, marks.run, upkeep]) void kept(core, task, signal);
  }

  #stop(): void {
    this.#page.abort();
    this.core.ended.abort();
    this.#tasks.abort();
    this.core.tabs.leave();
    this.core.lost();
    this.core.typing.end();
  }

  #ended(): void {
    const reason = new ClientError("Cancelled", "the client has ended");
    this.core.state.set({ kind: "Ended", reason });
    this.core.observers.end();
  }

  #tellState(): void {
    const { core } = this;
    if (!core.tabs.leads.now) return;
    const { now } = core.state;
    const state: PlainState = "reason" in now && now.reason ? { ...now, reason: plainError(now.reason) } : (now as PlainState);
    core.tabs.tell({
      kind: "State",
      state,
      online: core.online.now,
      me: core.me.now,
      epoch: core.connection.epoch,
    });
  }

  #hear(message: TabMessage): void {
    const { core } = this;
    switch (message.kind) {
      case "Changed":
        core.observers.publish(message.changes);
        break;
      case "Ring":
        core.bells[message.bell].ring();
        break;
      case "Write":
        core.stream?.write(message.roomId);
        break;
      case "Ask":
        if (core.tabs.leads.now) core.askRooms(message.rooms);
        break;
      case "Wish":
        core.offline.set(message.offline);
        break;
      case "SignedOut":
        void this.end();
        break;
      case "WhoIsThere":
        if (core.tabs.leads.now) this.#tellAll();
        else core.tabs.focusChanged();
        break;
      case "State":
        this.#follow(message);
        break;
      case "Typing":
        if (message.writes) core.typing.hear(message.roomId, message.userId);
        else core.typing.stop(message.roomId, message.userId);
        break;
      case "Presence":
        core.presence.hear(message.userId, message.online);
        break;
      case "Reads":
        core.reads.hear(message.key, { read: message.read, members: message.members });
        break;
    }
  }

  #tellAll(): void {
    this.#tellState();
    this.core.tabs.tell({ kind: "Wish", offline: this.core.offline.now });
  }

  /** The leader says how the client stands. */
  #follow({ state, online, me, epoch }: TabMessage & { kind: "State" }): void {
    const { core } = this;
    if (core.tabs.leads.now) return;
    core.connection.epoch = epoch;
    core.me.set(me);
    if (online) core.online.set(true);
    else core.lost();
    core.tellState((state.reason ? { ...state, reason: errorOf(state.reason) } : state) as ConnectionState);
  }

  /** What the page goes through. There is none in a worker or outside of a browser. */
  #watchPage(): void {
    if (typeof window === "undefined") return;
    const { core } = this;
    const { signal } = this.#page;
    const woken = () => {
      core.stream?.suspect();
      core.bells.hurry.ring();
    };
    window.addEventListener("online", woken, { signal });
    window.addEventListener("offline", () => core.stream?.lose(), { signal });
    window.addEventListener("focus", woken, { signal });
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && woken(), { signal });
    // A page that the browser keeps to come back to runs nothing, and would hold up the other tabs.
    window.addEventListener("pagehide", (event) => event.persisted && this.#rest(), { signal });
    window.addEventListener("pageshow", (event) => event.persisted && this.#rise(), { signal });
  }

  #rest(): void {
    if (this.#resting) return;
    this.#resting = true;
    this.#tasks.abort();
    this.core.store.rest();
    this.core.tabs.leave();
    this.core.lost();
  }

  #rise(): void {
    if (!this.#resting) return;
    this.#resting = false;
    const { core } = this;
    core.store.rise();
    const own = () => core.focus();
    core.tabs.join(own, (message) => this.#hear(message), () => core.attend());
    // Whatever was told meanwhile was not heard.
    core.observers.publish({ ...noChanges(), people: true, everything: true });
  }
}

/** Runs a task, and again after a fault of it: the others go on. */
async function kept(core: Core, task: (core: Core, signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
  for (let faults = 1; !signal.aborted; faults++) {
    try {
      await task(core, signal);
    } catch (error) {
      if (signal.aborted || failureOf(error).kind === "Cancelled") return;
      console.error("madang: a task of the client failed", error);
      await sleep(delayMs(core.backoff, faults), signal);
    }
  }
}

/** Keeps the store small: seldom, when everything else is done. */
async function upkeep(core: Core, signal: AbortSignal): Promise<void> {
  await core.state.until((state) => state.kind === "Live", signal);
  const open = new Set(core.tabs.focus().rooms);
  await core.store.write("relaxed", (w) => size.keepSmall(w, open, Date.now()));
  await sleep(LOOK_MS, signal);
}

/** Whose store to open. */
async function accountOf(config: ClientConfig): Promise<string> {
  if (config.account !== undefined) return config.account;
  try {
    const account = subjectOf(await config.tokens(false)) ?? "";
    rememberAccount(config, account);
    return account;
  } catch (error) {
    const last = lastAccount(config);
    if (last === undefined) throw failureOf(error);
    return last;
  }
}

const accountKey = ({ server }: ClientConfig) => `madang account ${new URL(server).origin}`;

/** Who was signed in last, for a page that has no token yet: a name, and nothing that opens anything. */
function lastAccount(config: ClientConfig): string | undefined {
  try {
    return localStorage.getItem(accountKey(config)) ?? undefined;
  } catch {
    return undefined;
  }
}

function rememberAccount(config: ClientConfig, account: string): void {
  try {
    localStorage.setItem(accountKey(config), account);
  } catch {
    // Denied, or full: without a token there is no telling who it was.
  }
}

function forgetAccount(config: ClientConfig, account: string): void {
  try {
    if (lastAccount(config) === account) localStorage.removeItem(accountKey(config));
  } catch {
    // Denied: then nothing was remembered.
  }
}

/** Opens the store where it can be kept, else in memory. */
async function placeOf(config: ClientConfig, account: string, onLost: () => void): Promise<Place> {
  const notKept = (reason: "Absent" | "Denied" | "Full" | "Damaged"): Place => {
    return { backend: new MemoryBackend(), name: undefined, storage: { kind: "NotKept", reason } };
  };
  if (config.store) {
    return { backend: config.store.take(), name: undefined, storage: { kind: "NotKept", reason: "Wanted" } };
  }
  // Without locks two tabs would not know who leads; a page without TLS has none.
  if (typeof indexedDB === "undefined" || !globalThis.navigator?.locks) return notKept("Absent");
  const name = `madang ${new URL(config.server).origin} ${account}`;
  try {
    return { backend: await IndexedBackend.open(name, onLost), name, storage: { kind: "Kept" } };
  } catch (error) {
    const { local } = failureOf(error);
    if (local === "StoreNewer") throw failureOf(error);
    return notKept(local === "DiskFull" ? "Full" : local === "StoreDamaged" ? "Damaged" : "Denied");
  }
}

/** What a store remembers of its last client: the installation, the person and the history. */
async function remembered(store: Store, config: ClientConfig): Promise<[string, string, string]> {
  return store.write("strict", async (w) => {
    const deviceId = config.deviceId ?? ((await meta.text(w.tx, "device_id")) || newId());
    await meta.set(w.tx, "device_id", deviceId);
    return [deviceId, w.me, await meta.text(w.tx, "epoch")];
  });
}
