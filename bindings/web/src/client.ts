/** The client: opened once, shared by a whole page, ended by `shutdown`. */

import { create } from "@bufbuild/protobuf";
import * as commands from "./commands.js";
import type { ClientConfig } from "./config.js";
import type { CustomStatus, DeviceSession, RoomSettings, ServerInfo, User, UserStatus } from "./contract.js";
import * as changes from "./engine/changes.js";
import type { Core } from "./engine/core.js";
import * as frames from "./engine/frames.js";
import type { Shown } from "./engine/watched.js";
import { ClientError } from "./error.js";
import { ServerInfoSchema } from "./gen/madang/v1/identity_pb.js";
import { IdentityService } from "./gen/madang/v1/identity_service_pb.js";
import { RoomKind, type RoomSettings as WireRoomSettings, RoomSettingsSchema } from "./gen/madang/v1/room_pb.js";
import {
  CreateRoomRequestSchema,
  InviteMembersRequestSchema,
  JoinRoomRequestSchema,
  LeaveRoomRequestSchema,
  RemoveMemberRequestSchema,
  RoomService,
} from "./gen/madang/v1/room_service_pb.js";
import { RoomSummarySchema } from "./gen/madang/v1/sync_pb.js";
import { CustomStatusSchema, type User as WireUser } from "./gen/madang/v1/user_pb.js";
import { SetStatusRequestSchema, UpdateProfileRequestSchema, UserService } from "./gen/madang/v1/user_service_pb.js";
import { positionOf, timeOf } from "./given.js";
import { Life } from "./life.js";
import { equal } from "./lists/diff.js";
import type { MessageKey, ReadCount, RoomItem, RoomMember, Totals, WaitingChange } from "./lists/item.js";
import type { LiveList } from "./lists/list.js";
import { MemberList } from "./lists/members.js";
import { OutboxList } from "./lists/outbox.js";
import type { RoomQuery } from "./lists/query.js";
import { formerRooms, OpenRoomList, type RoomList } from "./lists/rooms.js";
import { OpenTimeline } from "./lists/timeline/open.js";
import type { Timeline, TimelineOptions } from "./lists/timeline/timeline.js";
import { watchedCell, watchTotals } from "./lists/totals.js";
import { deviceOf, serverOf, statusNumber, userOf, whoMayNumber } from "./lists/words.js";
import { originOf } from "./net/connection.js";
import { failureOf } from "./net/failure.js";
import { callerOf } from "./net/grpc.js";
import { Cell, type Observed, type Watched } from "./observed.js";
import * as outbox from "./store/outbox.js";
import * as people from "./store/people.js";
import * as size from "./store/size.js";
import type { Write } from "./store/store.js";
import { newId, timestampOf } from "./time.js";

/** How the client stands to its server. */
export type ConnectionState =
  /** Opening a stream, or catching up on one. */
  | { readonly kind: "Connecting" }
  /** Everything that happened is here, and what happens comes at once. */
  | { readonly kind: "Live" }
  /** Not connected; tries again by itself in so many milliseconds. Why, where the last attempt told. */
  | { readonly kind: "Offline"; readonly retryInMs: number; readonly reason: ClientError | undefined }
  /** Put to rest by `disconnect`: `reconnect` ends it. */
  | { readonly kind: "Suspended" }
  /** The person must sign in again; `reconnect` after that. */
  | { readonly kind: "SignedOut" }
  /**
   * The server will not have this client any more, and `reconnect` tries nevertheless; or it was ended by the host, for good,
   * when the reason is of the kind `Cancelled`.
   */
  | { readonly kind: "Ended"; readonly reason: ClientError };

/** Whether what the client knows, and what was typed, outlives the page. */
export type StorageState =
  /** It does. */
  | { readonly kind: "Kept" }
  /** It does not: everything works, and what was not sent is gone with the page. */
  | {
      readonly kind: "NotKept";
      /**
       * `Absent`: this browser has no IndexedDB; `Denied`: it may not be used, as in some private windows; `Full`: there is no
       * room; `Damaged`: it cannot be read; `Wanted`: the host asked for a `MemoryStore`.
       */
      readonly reason: "Absent" | "Denied" | "Full" | "Damaged" | "Wanted";
    };

/** A message to be sent. */
export interface Draft {
  /** What it says. */
  readonly text: string;
  /** People mentioned, by id. */
  readonly mentions?: readonly string[] | undefined;
  /** Mentions everybody in the room. */
  readonly mentionAll?: boolean | undefined;
  /** The item it answers. */
  readonly replyTo?: number | undefined;
}

/** A room to be made. */
export interface NewRoom {
  /** Its name. */
  readonly name: string;
  /** Anyone may join, instead of by invitation. */
  readonly open?: boolean | undefined;
  /** People besides the person, by id. */
  readonly members?: readonly string[] | undefined;
  /** What it is about. */
  readonly topic?: string | undefined;
  /** Rules; else the defaults. */
  readonly settings?: Partial<RoomSettings> | undefined;
}

/** What a profile is to say; what is absent stays, an empty text clears. */
export interface ProfileChange {
  /** Shown name; cannot be cleared. */
  readonly displayName?: string | undefined;
  /** Job title. */
  readonly title?: string | undefined;
  /** About the person. */
  readonly bio?: string | undefined;
  /** Telephone. */
  readonly phone?: string | undefined;
}

/** What the server says about itself, asked before anybody is signed in: the issuer and the client id among it. */
export async function serverInfo(server: string): Promise<ServerInfo> {
  return ask(async () => {
    const caller = callerOf(IdentityService, originOf(server));
    return serverOf((await caller.getServerInfo({})).server ?? create(ServerInfoSchema));
  });
}

/**
 * A signed-in installation: its store, its connection, and everything that a screen needs.
 *
 * Every change returns at once with an id: it is in the store, shown as if it were done, and leaves by itself, in the order of
 * its room, once, also after a reload. All methods reject with a `ClientError` and nothing else, but for aborted signals.
 * All tabs of a person share one store and one stream: one of them leads, and when it closes another takes over.
 */
export class Client {
  readonly #life: Life;
  readonly #core: Core;

  private constructor(life: Life) {
    this.#life = life;
    this.#core = life.core;
  }

  /**
   * Opens the store and starts to connect. Works without a connection; rejects if the address is none, if nobody can say whose
   * store to open, or with `StoreBusy` if a `MemoryStore` is in use.
   */
  static async open(config: ClientConfig): Promise<Client> {
    return ask(async () => new Client(await Life.begin(config)));
  }

  /** How the client stands to its server. The same in all tabs. */
  get state(): Observed<ConnectionState> {
    return this.#core.state;
  }

  /** Whether what the client knows outlives the page. */
  get storage(): Observed<StorageState> {
    return this.#core.storage;
  }

  /** Whether this tab is the one that holds the stream for all. */
  get leads(): Observed<boolean> {
    return this.#core.tabs.leads;
  }

  /** The person, by id; known once the server has answered for the first time. */
  get me(): Observed<string | undefined> {
    return this.#core.me;
  }

  /** Id of this installation, under which the server knows its session. */
  get deviceId(): string {
    return this.#core.connection.deviceId;
  }

  /** What the server says about itself; needs no sign-in. */
  async serverInfo(): Promise<ServerInfo> {
    return serverInfo(this.#core.config.server);
  }

  // What is shown.

  /** The room list, or a part of it: which rooms, in which order, and which places of that are shown. */
  async rooms(query: RoomQuery = {}): Promise<RoomList> {
    return ask(() => OpenRoomList.open(this.#core, query));
  }

  /** Rooms that the person has left or was removed from and that are still known here, the most recently active first. */
  async formerRooms(): Promise<RoomItem[]> {
    return ask(() => formerRooms(this.#core));
  }

  /**
   * Opens the timeline of a room: what is held at once, the rest as it comes. The room is in focus until it is closed. With an
   * anchor of which nothing is held and nothing can be fetched it rejects.
   */
  async timeline(roomId: string, options: TimelineOptions = {}): Promise<Timeline> {
    return ask(() => OpenTimeline.open(this.#core, roomId, options));
  }

  /** Who is in a room, admins first, then by name: what is held at once, the rest as it comes. */
  async members(roomId: string): Promise<LiveList<RoomMember>> {
    return ask(() => MemberList.open(this.#core, roomId));
  }

  /** What was typed and the server does not have, of all rooms, oldest first. */
  async outbox(): Promise<LiveList<WaitingChange>> {
    return ask(() => OutboxList.open(this.#core));
  }

  /** What is unread in all rooms together. */
  async unreadTotals(): Promise<Watched<Totals>> {
    return ask(() => watchTotals(this.#core));
  }

  /** Who is writing in a room, by id. */
  typers(roomId: string): Watched<readonly string[]> {
    return watchedCell(this.#core.typing.in(roomId), () => undefined);
  }

  /** Whether each of these people is here, by id; who is missing is not known. The server tells of up to 200. */
  presence(userIds: readonly string[]): Watched<ReadonlyMap<string, boolean>> {
    return watchShown(this.#core.presence, userIds, (known) => known);
  }

  /** How many have read a message; `undefined` while it is not known. The server counts for up to five, once a second. */
  readers(roomId: string, seq: number): Watched<ReadCount | undefined> {
    const key = `${roomId}/${positionOf(seq)}`;
    return watchShown(this.#core.reads, [key], (known) => known.get(key));
  }

  // Writing.

  /**
   * Sends a message. It is in the store when this returns, and leaves in the order of the calls; the answer is its id, by which
   * the timeline shows how far it is. An empty text is refused with `Invalid`.
   */
  async send(roomId: string, draft: Draft | string): Promise<string> {
    return ask(() => commands.send(this.#core, roomId, draft));
  }

  /**
   * Replaces the text of one's own message, also of one that is not there yet. The answer is the id of the change; of a message
   * that has never left it is that of the message, which says the new text when it leaves.
   */
  async edit(roomId: string, message: MessageKey, draft: Draft | string): Promise<string> {
    return ask(() => commands.edit(this.#core, roomId, message, draft));
  }

  /** Deletes a message for everybody; one that has never left is thrown away. The answer is the id of the change. */
  async delete(roomId: string, message: MessageKey): Promise<string> {
    return ask(() => commands.del(this.#core, roomId, message));
  }

  /** Says that the person is writing. Lossy, and cheap to call at every key: the host need not count. */
  typing(roomId: string): void {
    const core = this.#core;
    if (!core.typing.maySay(roomId)) return;
    if (core.tabs.leads.now) core.stream?.write(roomId);
    else core.tabs.tell({ kind: "Write", roomId });
  }

  /** What the person began to write in a room; empty: nothing. */
  async draft(roomId: string): Promise<string> {
    return ask(() => this.#core.store.read(async (r) => (await r.tx.get("drafts", roomId))?.text ?? ""));
  }

  /** Keeps what the person began to write; empty: nothing. Sending clears it. */
  async setDraft(roomId: string, text: string): Promise<void> {
    return ask(() => this.#core.store.write("strict", (w) => commands.putDraft(w, roomId, text)));
  }

  /** Marks everything up to an item as read. Marks merge by maximum: one that moves nothing is none. */
  async markRead(roomId: string, seq: number): Promise<void> {
    return ask(() => commands.markRead(this.#core, roomId, positionOf(seq)));
  }

  /** Marks an item and all after it as unread. No older mark of another device undoes it. */
  async markUnread(roomId: string, seq: number): Promise<void> {
    return ask(() => commands.markUnread(this.#core, roomId, positionOf(seq)));
  }

  // What waits.

  /**
   * Waits until the server has done a change, or refused it: then it rejects with the refusal, and the change waits to be tried
   * again or thrown away. The answer is the position of a message, else 0. Giving the wait up by the signal changes nothing.
   */
  async settled(changeId: string, signal?: AbortSignal): Promise<number> {
    try {
      return await commands.settled(this.#core, changeId, signal);
    } catch (error) {
      throw signal?.aborted ? error : failureOf(error);
    }
  }

  /** Tries a change that has failed again, at its old place. With a room that could not be made goes all that was meant for it. */
  async retryFailed(changeId: string): Promise<void> {
    await this.#failed((w) => changes.retry(w, changeId));
    this.#core.ring("outbox");
  }

  /** Throws a change that has failed away; with a room that could not be made all that was meant for it. */
  async discardFailed(changeId: string): Promise<void> {
    await this.#failed((w) => changes.discard(w, changeId));
  }

  /** Waits until the outbox is empty, at most this long. Tells whether it is. */
  async drain(timeoutMs: number): Promise<boolean> {
    return ask(() => drain(this.#core, timeoutMs));
  }

  // Rooms.

  /**
   * Makes a room with its members; it opens at once, offline too, and messages may be sent into it. The answer is its id, which
   * is also the id of the change.
   */
  async createRoom(room: NewRoom): Promise<string> {
    const roomId = newId();
    const request = create(CreateRoomRequestSchema, {
      roomId,
      kind: room.open ? RoomKind.OPEN : RoomKind.GROUP,
      name: room.name,
      topic: room.topic ?? "",
      invitedUserIds: [...(room.members ?? [])],
      ...(room.settings ? { settings: settingsOf(room.settings) } : {}),
    });
    return ask(() => commands.change(this.#core, "CreateRoom", request, roomId));
  }

  /** The one room with a person, made if there is none: only the server knows, so this needs a connection. Its id. */
  async openDirect(userId: string): Promise<string> {
    return ask(async () => {
      const request = { userId };
      const rpc = this.#core.connection.call(RoomService, (caller, options) => caller.openDirectRoom(request, options));
      const summary = (await rpc).summary ?? create(RoomSummarySchema);
      await this.#core.apply((w, view, out) => frames.summary(w, view, summary, out));
      return summary.roomId;
    });
  }

  /** Enters an open room, or one that the person has left. The answer is the id of the change. */
  async join(roomId: string): Promise<string> {
    return ask(() => commands.change(this.#core, "Join", create(JoinRoomRequestSchema, { roomId })));
  }

  /** Leaves a room; what is held of it stays on this device, and out of the list. The answer is the id of the change. */
  async leave(roomId: string): Promise<string> {
    return ask(() => commands.change(this.#core, "Leave", create(LeaveRoomRequestSchema, { roomId })));
  }

  /** Brings people in, by id. The answer is the id of the change. */
  async invite(roomId: string, userIds: readonly string[]): Promise<string> {
    const request = create(InviteMembersRequestSchema, { roomId, userIds: [...userIds] });
    return ask(() => commands.change(this.#core, "Invite", request));
  }

  /** Takes a person out. The answer is the id of the change. */
  async remove(roomId: string, userId: string): Promise<string> {
    const request = create(RemoveMemberRequestSchema, { roomId, userId });
    return ask(() => commands.change(this.#core, "Remove", request));
  }

  /** Says which rooms are on the screen beside open timelines: they are kept complete. It replaces what was said before. */
  setFocus(roomIds: readonly string[]): void {
    this.#core.setFocus(roomIds);
  }

  // People.

  /** A profile, from the store or else from the server. `undefined`: no such person. */
  async user(userId: string): Promise<User | undefined> {
    return ask(() => findUser(this.#core, userId));
  }

  /** People whose login or name begins with a text; the first page. */
  async searchUsers(prefix: string): Promise<User[]> {
    return ask(async () => {
      const request = { prefix };
      const askedAt = await this.#core.store.read((r) => people.changesOfAll(r.tx));
      const rpc = this.#core.connection.call(UserService, (caller, options) => caller.searchUsers(request, options));
      const { users } = await rpc;
      await keepUsers(this.#core, users, askedAt);
      return users.map(userOf);
    });
  }

  /** Changes one's own profile; it is shown at once. The answer is the id of the change. */
  async updateProfile({ displayName, title, bio, phone }: ProfileChange): Promise<string> {
    const stated = Object.entries({ displayName, title, bio, phone }).filter(([, value]) => value !== undefined);
    const request = create(UpdateProfileRequestSchema, Object.fromEntries(stated));
    return ask(() => commands.change(this.#core, "Profile", request));
  }

  /** Sets one's own status as a whole; it is shown at once. The answer is the id of the change. */
  async setStatus(status: UserStatus, custom?: CustomStatus): Promise<string> {
    return ask(async () => {
      const { emoji = "", text = "", until } = custom ?? {};
      const ends = until ? { until: timestampOf(timeOf(until)) } : {};
      const own = custom ? { customStatus: create(CustomStatusSchema, { emoji, text, ...ends }) } : {};
      const request = create(SetStatusRequestSchema, { status: statusNumber(status), ...own });
      return commands.change(this.#core, "Status", request);
    });
  }

  // Devices and the life of the client.

  /** Where the person is or was signed in, newest first; needs a connection. */
  async devices(): Promise<DeviceSession[]> {
    return ask(async () => {
      const { connection } = this.#core;
      const rpc = connection.call(IdentityService, (caller, options) => caller.listDeviceSessions({}, options));
      return (await rpc).sessions.map((one) => deviceOf(one, connection.deviceId));
    });
  }

  /** Ends the session of a device of the person's own; its streams end within a second. Needs a connection. */
  async revokeDevice(deviceId: string): Promise<void> {
    return ask(async () => {
      const request = { deviceId };
      await this.#core.connection.call(IdentityService, (caller, options) => caller.revokeDeviceSession(request, options));
    });
  }

  /** Lets go of the connection, in all tabs, and opens no other until `reconnect`. Everything works as without a network. */
  disconnect(): void {
    this.#core.offline.set(true);
    this.#core.tabs.tell({ kind: "Wish", offline: true });
  }

  /** Connects, at once: after `disconnect`, after a new sign-in, or instead of waiting for the next attempt. */
  reconnect(): void {
    const core = this.#core;
    core.connection.tokens.forget();
    core.offline.set(false);
    core.bells.hurry.ring();
    core.tabs.tell({ kind: "Wish", offline: false });
    core.tabs.tell({ kind: "Ring", bell: "hurry" });
  }

  /** Drops what can be had from the server again. What was typed, drafts, marks and badges stay. */
  async clearCache(): Promise<void> {
    return ask(async () => {
      await this.#core.store.write("relaxed", size.clear);
      this.#core.refetch();
    });
  }

  /**
   * Drains the outbox, at most this long, then ends the client of this tab with all its lists. What was not sent waits in the
   * store. Another tab takes over.
   */
  async shutdown(timeoutMs = 0): Promise<void> {
    if (timeoutMs > 0) await this.drain(timeoutMs);
    await this.#life.end();
  }

  /**
   * Signs this device out, in all tabs: the server revokes its session, if it can be reached within 5 s, and everything in the
   * store is removed, also what was typed and not sent. Then the client has ended. Tells whether the server knows; else the
   * session ends by its own age.
   */
  async signOut(): Promise<boolean> {
    return ask(async () => {
      const revoked = await revoke(this.#core);
      await this.#life.erase();
      return revoked;
    });
  }

  async #failed(job: (w: Write) => Promise<boolean>): Promise<void> {
    const found = await ask(() => this.#core.store.write("strict", job));
    if (!found) throw new ClientError("NotFound", "no such change has failed");
  }
}

/** Whatever fails, fails as a `ClientError`. */
async function ask<T>(job: () => Promise<T>): Promise<T> {
  try {
    return await job();
  } catch (error) {
    throw failureOf(error);
  }
}

/** What is known of things that are shown, for as long as they are. */
function watchShown<V, T>(
  shown: Shown<V>,
  keys: readonly string[],
  pick: (known: ReadonlyMap<string, V>) => T,
): Watched<T> {
  const cell = new Cell(pick(shown.known(keys)));
  const leave = shown.changed.subscribe(() => {
    const now = pick(shown.known(keys));
    if (!same(now, cell.now)) cell.set(now);
  });
  const hide = shown.show(keys);
  return watchedCell(cell, () => {
    leave();
    hide();
  });
}

function same(one: unknown, other: unknown): boolean {
  if (one instanceof Map && other instanceof Map) return equal([...one], [...other]);
  return equal(one, other);
}

/** Waits until the outbox is empty. */
async function drain(core: Core, timeoutMs: number): Promise<boolean> {
  const over = AbortSignal.timeout(timeoutMs);
  const changed = core.observers.listen();
  try {
    while ((await core.store.read((r) => outbox.unsent(r.tx))) > 0) {
      if (changed.ended) return false;
      changed.take();
      if ((await core.store.read((r) => outbox.unsent(r.tx))) === 0) return true;
      await changed.changed(over);
    }
    return true;
  } catch (error) {
    if (over.aborted) return false;
    throw error;
  } finally {
    changed.close();
  }
}

async function findUser(core: Core, userId: string): Promise<User | undefined> {
  const [held, askedAt] = await core.store.read((r) =>
    Promise.all([people.find(r.tx, userId), people.changesOfAll(r.tx)]),
  );
  if (held) return userOf(held);
  const request = { userIds: [userId] };
  const { users } = await core.connection.call(UserService, (caller, options) => caller.batchGetUsers(request, options));
  await keepUsers(core, users, askedAt);
  return users[0] && userOf(users[0]);
}

/** Keeps profiles that were asked for; those that have changed meanwhile are asked for again. */
async function keepUsers(core: Core, users: readonly WireUser[], askedAt: bigint): Promise<void> {
  core.wantPeople(await core.store.write("relaxed", (w) => people.take(w, users, askedAt)));
}

/** How long a sign-out may wait for the server; after that the session ends by its own age. */
const SIGN_OUT_MS = 5_000;

/** Revokes this device's session; tells whether it is revoked. */
async function revoke({ connection }: Core): Promise<boolean> {
  const over = AbortSignal.timeout(SIGN_OUT_MS);
  try {
    await connection.callOnce(IdentityService, (caller, options) => caller.signOut({}, options), over);
    return true;
  } catch (error) {
    // Whoever is not let in has no session any more.
    const failure = failureOf(error);
    return failure.kind === "Unauthenticated" && failure.reason !== undefined;
  }
}

function settingsOf(settings: Partial<RoomSettings>): WireRoomSettings {
  const { whoMayPost, whoMayInvite, whoMayPin, ...rest } = settings;
  const stated = Object.entries(rest).filter(([, value]) => value !== undefined);
  return create(RoomSettingsSchema, {
    whoMayPost: whoMayNumber(whoMayPost),
    whoMayInvite: whoMayNumber(whoMayInvite),
    whoMayPin: whoMayNumber(whoMayPin),
    ...Object.fromEntries(stated),
  });
}
