/**
 * The stream: opened, kept alive, ended and opened again. What it brings goes to the store in its order; what is missing is
 * asked for beside it.
 */

import { ClientError } from "../error.js";
import { ErrorReason } from "../gen/madang/v1/error_pb.js";
import { type Closing, ClosingReason, type Ephemeral, type ServerFrame, type Welcome } from "../gen/madang/v1/sync_pb.js";
import { SyncService } from "../gen/madang/v1/sync_service_pb.js";
import { failureOf, mayRepeat, refused } from "../net/failure.js";
import type { Caller, CallOptions } from "../net/grpc.js";
import { Bell } from "../observed.js";
import { joined, totalsOf } from "../store/totals.js";
import { delayMs, msOf, sleep } from "../time.js";
import type { Core, OpenStream } from "./core.js";
import { apply, noOutcome, type Outcome, type View, warm } from "./frames.js";
import * as repair from "./repair.js";
import type { Ask } from "./repair.js";
import * as welcome from "./welcome.js";

/** A stream that says nothing for so long is dead: more than two heartbeats of the server. */
const SILENCE_MS = 45_000;
/** One that has said nothing for so long is looked at when the page wakes: more than one heartbeat. */
const DOUBT_MS = 25_000;
/** An ack so soon after something arrived; a server takes two a second. */
const ACK_SOON_MS = 1_000;
/** A focus that could not be said is said again after so long. */
const FOCUS_AGAIN_MS = 2_000;
/** Frames that wait to be applied; beyond that the stream is not read, and the server keeps count of what it drops. */
const WAITING = 256;
/** Frames applied in one transaction: while one catches up they are many, and after each the lists are read again. */
const BATCH = 128;
/** Rooms, messages and people in a Focus, and rooms in an Ack; the server takes no more. */
const FOCUS_ROOMS = 16;
const FOCUS_MESSAGES = 5;
const FOCUS_PEOPLE = 200;
const ACK_ROOMS = 200;

/** How a stream ended. */
type End =
  /** Open another, not before a time. */
  | { readonly kind: "Resume"; readonly afterMs: number; readonly reason?: ClientError }
  /** Open another at once. */
  | { readonly kind: "Again" }
  /** The person must sign in. */
  | { readonly kind: "SignIn" }
  /** Do not come back by yourself. */
  | { readonly kind: "Over"; readonly reason: ClientError };

function endOf(error: unknown): End {
  const reason = failureOf(error);
  const afterMs = reason.retryAfterMs ?? 0;
  // A host that hangs or throws is asked again; one that says that nobody is signed in is not.
  if (reason.local === "TokenInvalid" || mayRepeat(reason)) return { kind: "Resume", afterMs, reason };
  if (reason.kind === "Unauthenticated") return { kind: "SignIn" };
  if (reason.kind === "Storage" || reason.kind === "Cancelled") return { kind: "Resume", afterMs: 0, reason };
  return { kind: "Over", reason };
}

/** Keeps a stream open for as long as the host wants one. */
export async function run(core: Core, signal: AbortSignal): Promise<void> {
  const failures = { count: 0 };
  while (!signal.aborted) {
    if (core.offline.now) {
      core.tellState({ kind: "Suspended" });
      await core.offline.until((offline) => !offline, signal).catch(() => undefined);
      continue;
    }
    core.tellState({ kind: "Connecting" });
    const stream = new Stream(core, failures, signal);
    const end = await stream.serve().catch(endOf);
    core.stream = undefined;
    core.lost();
    if (!signal.aborted) await rest(core, end, failures, signal);
  }
}

/** Waits for as long as the end demands. */
async function rest(core: Core, end: End, failures: { count: number }, signal: AbortSignal): Promise<void> {
  if (end.kind === "Again" || (end.kind === "Resume" && core.offline.now)) return;
  const over = new AbortController();
  const leave = core.offline.subscribe(() => over.abort());
  const stop = AbortSignal.any([signal, over.signal]);
  if (end.kind === "Resume") {
    failures.count += 1;
    const retryInMs = Math.max(delayMs(core.backoff, failures.count), end.afterMs);
    core.tellState({ kind: "Offline", retryInMs, reason: end.reason });
    await core.bells.hurry.wait(stop, retryInMs);
  } else {
    core.tellState(end.kind === "SignIn" ? { kind: "SignedOut" } : { kind: "Ended", reason: end.reason });
    await core.bells.hurry.wait(stop);
  }
  leave();
}

/** A stream, from its opening to its end. */
class Stream implements OpenStream {
  readonly #bell: Bell;
  readonly #over = new AbortController();
  readonly #signal: AbortSignal;
  readonly #frames: ServerFrame[] = [];
  readonly #room = new Bell();
  /** What has arrived and is not acknowledged. */
  readonly #delivered = new Map<string, bigint>();
  #end: End | undefined;
  /** The token it was opened with. */
  #token = "";
  #welcome: Welcome | undefined;
  #live = false;
  #heardMs = Date.now();
  #ackAtMs: number | undefined;
  #acking = false;
  /** A heartbeat is to be answered, with the unread total. */
  #counts = false;
  #focusing = false;
  #focusAgain = false;
  /** The focus that the server has heard. */
  #saidFocus: string | undefined;

  constructor(
    private readonly core: Core,
    private readonly failures: { count: number },
    signal: AbortSignal,
  ) {
    this.#bell = core.bells.session;
    this.#signal = AbortSignal.any([signal, this.#over.signal]);
  }

  /** Opens it and serves it to its end. */
  async serve(): Promise<End> {
    const { core } = this;
    const hello = await welcome.hello(core.store, new Set(core.tabs.focus().rooms));
    const leave = core.offline.subscribe(() => this.#endWith({ kind: "Resume", afterMs: 0 }));
    core.stream = this;
    core.attention = true;
    const silence = setInterval(() => this.#listen(), ACK_SOON_MS * 5);
    try {
      const { frames, token } = await core.connection.watch(hello, this.#signal);
      this.#token = token;
      void this.#read(frames);
      return await this.#loop();
    } finally {
      clearInterval(silence);
      leave();
      this.#over.abort();
    }
  }

  async #loop(): Promise<End> {
    for (;;) {
      if (this.#frames.length > 0) {
        const frames = this.#frames.splice(0, BATCH);
        this.#room.ring();
        await this.#take(frames);
      } else if (this.#end) {
        return this.#end;
      } else if (this.core.attention && this.#welcome) {
        this.core.attention = false;
        await this.#attend();
      } else {
        const dueMs = this.#ackAtMs === undefined ? undefined : this.#ackAtMs - Date.now();
        if (dueMs !== undefined && dueMs <= 0) {
          this.#acknowledge();
          continue;
        }
        await this.#bell.wait(this.#signal, dueMs);
        if (this.#signal.aborted && !this.#end) return { kind: "Resume", afterMs: 0 };
      }
    }
  }

  async #read(frames: AsyncIterable<ServerFrame>): Promise<void> {
    try {
      for await (const frame of frames) {
        this.#heardMs = Date.now();
        this.#frames.push(frame);
        this.#bell.ring();
        while (this.#frames.length >= WAITING && !this.#signal.aborted) await this.#room.wait(this.#signal);
      }
      this.#endWith({ kind: "Resume", afterMs: 0 });
    } catch (error) {
      const failure = failureOf(error);
      if (failure.reason === "TokenExpired") await this.core.connection.tokens.renew(this.#token).catch(() => "");
      this.#endWith(endOf(failure));
    }
  }

  /** The stream is over, when what has arrived is applied. The first reason counts. */
  #endWith(end: End): void {
    this.#end ??= end;
    this.#bell.ring();
  }

  /** The connection may live, and the stream on it does not. */
  #listen(): void {
    // A clock that went back would put it off.
    this.#heardMs = Math.min(this.#heardMs, Date.now());
    if (Date.now() - this.#heardMs < SILENCE_MS) return;
    const reason = new ClientError("Offline", "the stream has gone silent", { local: "Unreachable" });
    this.#endWith({ kind: "Resume", afterMs: 0, reason });
  }

  /** The page has woken, or the network is another one: a stream that should have spoken is opened anew. */
  suspect(): void {
    if (Date.now() - this.#heardMs > DOUBT_MS) this.#endWith({ kind: "Again" });
  }

  /** There is no network: the connection may not know for long. */
  lose(): void {
    const reason = new ClientError("Offline", "there is no network", { local: "Unreachable" });
    this.#endWith({ kind: "Resume", afterMs: 0, reason });
  }

  /** Takes frames in: those of the stream itself at once, the others through the store. */
  async #take(frames: readonly ServerFrame[]): Promise<void> {
    const durable: ServerFrame[] = [];
    for (const told of frames) {
      const { frame } = told;
      switch (frame.case) {
        case "welcome":
          await this.#greet(frame.value);
          break;
        case "ephemeral":
          this.#hear(frame.value);
          break;
        case "tokenExpiring":
          void this.#reauthenticate();
          break;
        case "refused":
          break;
        case "closing":
          // What the server says goes before the end of what was read, which may have been seen earlier.
          this.#end = await this.#closing(frame.value);
          break;
        case "heartbeat":
          this.#ackAtMs = 0;
          this.#counts = true;
          durable.push(told);
          break;
        default:
          this.#stopTyping(told);
          durable.push(told);
      }
    }
    if (durable.length > 0) await this.#apply(durable);
  }

  async #greet(told: Welcome): Promise<void> {
    const { core } = this;
    const knowsMe = await welcome.take(core.store, told);
    // One's own name is wanted also where nobody else's is, as when the device is soon without a network.
    if (!knowsMe) core.wantPeople([told.userId]);
    core.connection.tokens.isMine(this.#token);
    core.connection.epoch = told.epoch;
    core.me.set(told.userId);
    this.#welcome = told;
    core.attention = true;
    core.online.set(true);
  }

  #hear({ news }: Ephemeral): void {
    const { core } = this;
    switch (news.case) {
      case "typing":
        this.#tellTyping(news.value.roomId, news.value.userId, true);
        break;
      case "presence": {
        const { userId, online } = news.value;
        core.presence.hear(userId, online);
        core.tabs.tell({ kind: "Presence", userId, online });
        break;
      }
      case "readCount": {
        const { roomId, seq, read, members } = news.value;
        const key = `${roomId}/${seq}`;
        core.reads.hear(key, { read, members });
        core.tabs.tell({ kind: "Reads", key, read, members });
        break;
      }
    }
  }

  /** Whoever has sent is not writing that any more. */
  #stopTyping({ frame }: ServerFrame): void {
    if (frame.case !== "roomEvent" || frame.value.change.case !== "message") return;
    this.#tellTyping(frame.value.roomId, frame.value.actorId, false);
  }

  #tellTyping(roomId: string, userId: string, writes: boolean): void {
    if (writes) this.core.typing.hear(roomId, userId);
    else this.core.typing.stop(roomId, userId);
    this.core.tabs.tell({ kind: "Typing", roomId, userId, writes });
  }

  async #apply(frames: readonly ServerFrame[]): Promise<void> {
    const { core } = this;
    const view = this.#view();
    const outcome = await core.store.write("relaxed", (w) => apply(w, view, frames), (tx) => warm(tx, frames));
    core.wantPeople(outcome.people);
    this.#ask(outcome.asks);
    for (const [roomId, seq] of outcome.delivered) this.#delivered.set(roomId, seq);
    if (this.#delivered.size > 0) this.#ackAtMs ??= Date.now() + ACK_SOON_MS;
    if (!outcome.drained) return;
    this.#live = true;
    this.failures.count = 0;
    core.tellState({ kind: "Live" });
    core.bells.outbox.ring();
    core.bells.marks.ring();
  }

  #view(): View {
    return { focus: new Set(this.core.tabs.focus().rooms), live: this.#live };
  }

  #ask(asks: readonly Ask[]): void {
    for (const ask of asks) {
      const answered = repair.answer(this.core, ask, this.#signal).then((more) => this.#ask(more));
      answered.catch((error: unknown) => this.#endWith(endOf(error)));
    }
  }

  /** The focus changed, or a command left questions. */
  async #attend(): Promise<void> {
    void this.#sayFocus();
    this.#ask(this.core.asks.splice(0));
    if (!this.#live) return;
    const view = this.#view();
    const heal = this.core.store.write("relaxed", async (w) => {
      const out: Outcome = noOutcome();
      await repair.heal(w, view, out);
      return out;
    });
    this.#ask((await heal).asks);
  }

  /** One at a time, so that the last said is what holds. */
  async #sayFocus(): Promise<void> {
    if (this.#focusing) {
      this.#focusAgain = true;
      return;
    }
    this.#focusing = true;
    do {
      this.#focusAgain = false;
      const { rooms, messages, people } = this.core.tabs.focus();
      const watched = messages.slice(0, FOCUS_MESSAGES).map(({ roomId, seq }) => ({ roomId, seq: BigInt(seq) }));
      const focus = { roomIds: rooms.slice(0, FOCUS_ROOMS), watched, userIds: people.slice(0, FOCUS_PEOPLE) };
      const said = JSON.stringify(focus, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
      if (said === this.#saidFocus || !this.#welcome) break;
      this.#saidFocus = said;
      const told = await this.#say((caller, place, options) => caller.setFocus({ ...place, focus }, options));
      if (!told && !this.#signal.aborted) {
        this.#saidFocus = undefined;
        this.#focusAgain = true;
        await sleep(FOCUS_AGAIN_MS, this.#signal);
      }
    } while (this.#focusAgain && !this.#signal.aborted);
    this.#focusing = false;
  }
  /** Says that the person is writing. */
  write(roomId: string): void {
    void this.#say((caller, place, options) => caller.setTyping({ ...place, typing: { roomId } }, options));
  }

  #acknowledge(): void {
    this.#ackAtMs = undefined;
    if (this.#acking) return;
    this.#acking = true;
    void this.#sayAck().finally(() => {
      this.#acking = false;
    });
  }

  async #sayAck(): Promise<void> {
    const delivered = [...this.#delivered].slice(0, ACK_ROOMS).map(([roomId, seq]) => ({ roomId, seq }));
    for (const { roomId } of delivered) this.#delivered.delete(roomId);
    // Before Drained the total is that of an earlier time. It is said with the answers to heartbeats: to count all rooms every
    // second would be felt.
    const counts = this.#live && this.#counts;
    this.#counts = false;
    const badges = counts ? await this.core.store.read((r) => joined(r.tx)) : [];
    const ack = counts ? { delivered, unreadTotal: BigInt(totalsOf(badges).unread) } : { delivered };
    await this.#say((caller, place, options) => caller.ack({ ...place, ack }, options));
  }

  /** Says something beside the stream; tells whether the server has heard it. */
  async #say(
    rpc: (
      caller: Caller<typeof SyncService>,
      place: { sessionId: string; node: string },
      options: CallOptions,
    ) => Promise<unknown>,
  ): Promise<boolean> {
    if (!this.#welcome) return false;
    const { sessionId, node } = this.#welcome;
    const call = (caller: Caller<typeof SyncService>, options: CallOptions) => rpc(caller, { sessionId, node }, options);
    return this.core.connection.callOnce(SyncService, call, this.#signal).then(
      () => true,
      () => false,
    );
  }

  /** Fetches a fresh token and says it. Without one the server closes, and the next stream asks again. */
  async #reauthenticate(): Promise<void> {
    const { connection } = this.core;
    if (!this.#welcome) return;
    const { sessionId, node } = this.#welcome;
    try {
      await connection.tokens.renewNow();
      const request = { sessionId, node };
      await connection.callOnce(SyncService, (caller, options) => caller.reauthenticate(request, options), this.#signal);
    } catch (error) {
      if (failureOf(error).reason === "SessionElsewhere") this.#endWith({ kind: "Again" });
    }
  }

  async #closing({ reason, error, message, retryAfter }: Closing): Promise<End> {
    const afterMs = retryAfter ? Math.max(0, msOf(retryAfter)) : 0;
    switch (reason) {
      case ClosingReason.REVOKED:
        return { kind: "Over", reason: refused(error === ErrorReason.UNSPECIFIED ? ErrorReason.SESSION_REVOKED : error, message) };
      case ClosingReason.REPLACED:
      case ClosingReason.TOO_MANY_STREAMS:
        // To come back would push out another, which would come back in turn.
        return { kind: "Over", reason: new ClientError("Conflict", message) };
      case ClosingReason.TOKEN_EXPIRED:
        // One that comes later is asked for when the stream is opened again: the issuer needs that long.
        if (afterMs === 0) await this.core.connection.tokens.renewNow();
        return { kind: "Resume", afterMs };
      default:
        return { kind: "Resume", afterMs };
    }
  }
}
