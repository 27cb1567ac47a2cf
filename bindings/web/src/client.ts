/** The client: opened once, shared by a whole page, ended by `shutdown`. */

import type { ClientConfig } from "./config.js";
import type { CustomStatus, DeviceSession, RoomSettings, ServerInfo, User, UserStatus } from "./contract.js";
import { ClientError } from "./error.js";
import type { MessageKey, ReadCount, RoomItem, RoomMember, Totals, WaitingChange } from "./lists/item.js";
import type { LiveList } from "./lists/list.js";
import type { RoomQuery } from "./lists/query.js";
import type { RoomList } from "./lists/rooms.js";
import type { Timeline, TimelineOptions } from "./lists/timeline.js";
import type { Observed, Watched } from "./observed.js";

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
export async function serverInfo(_server: string): Promise<ServerInfo> {
  throw unbuilt();
}

/**
 * A signed-in installation: its store, its connection, and everything that a screen needs.
 *
 * Every change returns at once with an id: it is in the store, shown as if it were done, and leaves by itself, in the order of
 * its room, once, also after a reload. All methods reject with a `ClientError` and nothing else, but for aborted signals.
 * All tabs of a person share one store and one stream: one of them leads, and when it closes another takes over.
 */
export class Client {
  /**
   * Opens the store and starts to connect. Works without a connection; rejects if the address is none, if nobody can say whose
   * store to open, or with `StoreBusy` if a `MemoryStore` is in use.
   */
  static async open(_config: ClientConfig): Promise<Client> {
    throw unbuilt();
  }

  /** How the client stands to its server. The same in all tabs. */
  get state(): Observed<ConnectionState> {
    throw unbuilt();
  }

  /** Whether what the client knows outlives the page. */
  get storage(): Observed<StorageState> {
    throw unbuilt();
  }

  /** Whether this tab is the one that holds the stream for all. */
  get leads(): Observed<boolean> {
    throw unbuilt();
  }

  /** The person, by id; known once the server has answered for the first time. */
  get me(): Observed<string | undefined> {
    throw unbuilt();
  }

  /** Id of this installation, under which the server knows its session. */
  get deviceId(): string {
    throw unbuilt();
  }

  /** What the server says about itself; needs no sign-in. */
  async serverInfo(): Promise<ServerInfo> {
    throw unbuilt();
  }

  // What is shown.

  /** The room list, or a part of it: which rooms, in which order, and which places of that are shown. */
  async rooms(_query: RoomQuery = {}): Promise<RoomList> {
    throw unbuilt();
  }

  /** Rooms that the person has left or was removed from and that are still known here, the most recently active first. */
  async formerRooms(): Promise<RoomItem[]> {
    throw unbuilt();
  }

  /**
   * Opens the timeline of a room: what is held at once, the rest as it comes. The room is in focus until it is closed. With an
   * anchor of which nothing is held and nothing can be fetched it rejects.
   */
  async timeline(_roomId: string, _options: TimelineOptions = {}): Promise<Timeline> {
    throw unbuilt();
  }

  /** Who is in a room, admins first, then by name: what is held at once, the rest as it comes. */
  async members(_roomId: string): Promise<LiveList<RoomMember>> {
    throw unbuilt();
  }

  /** What was typed and the server does not have, of all rooms, oldest first. */
  async outbox(): Promise<LiveList<WaitingChange>> {
    throw unbuilt();
  }

  /** What is unread in all rooms together. */
  async unreadTotals(): Promise<Watched<Totals>> {
    throw unbuilt();
  }

  /** Who is writing in a room, by id. */
  typers(_roomId: string): Watched<readonly string[]> {
    throw unbuilt();
  }

  /** Whether each of these people is here, by id; who is missing is not known. The server tells of up to 200. */
  presence(_userIds: readonly string[]): Watched<ReadonlyMap<string, boolean>> {
    throw unbuilt();
  }

  /** How many have read a message; `undefined` while it is not known. The server counts for up to five, once a second. */
  readers(_roomId: string, _seq: number): Watched<ReadCount | undefined> {
    throw unbuilt();
  }

  // Writing.

  /**
   * Sends a message. It is in the store when this returns, and leaves in the order of the calls; the answer is its id, by which
   * the timeline shows how far it is. An empty text is refused with `Invalid`.
   */
  async send(_roomId: string, _draft: Draft | string): Promise<string> {
    throw unbuilt();
  }

  /**
   * Replaces the text of one's own message, also of one that is not there yet. The answer is the id of the change; of a message
   * that has never left it is that of the message, which says the new text when it leaves.
   */
  async edit(_roomId: string, _message: MessageKey, _draft: Draft | string): Promise<string> {
    throw unbuilt();
  }

  /** Deletes a message for everybody; one that has never left is thrown away. The answer is the id of the change. */
  async delete(_roomId: string, _message: MessageKey): Promise<string> {
    throw unbuilt();
  }

  /** Says that the person is writing. Lossy, and cheap to call at every key: the host need not count. */
  typing(_roomId: string): void {
    throw unbuilt();
  }

  /** What the person began to write in a room; empty: nothing. */
  async draft(_roomId: string): Promise<string> {
    throw unbuilt();
  }

  /** Keeps what the person began to write; empty: nothing. Sending clears it. */
  async setDraft(_roomId: string, _text: string): Promise<void> {
    throw unbuilt();
  }

  /** Marks everything up to an item as read. Marks merge by maximum: one that moves nothing is none. */
  async markRead(_roomId: string, _seq: number): Promise<void> {
    throw unbuilt();
  }

  /** Marks an item and all after it as unread. No older mark of another device undoes it. */
  async markUnread(_roomId: string, _seq: number): Promise<void> {
    throw unbuilt();
  }

  // What waits.

  /**
   * Waits until the server has done a change, or refused it: then it rejects with the refusal, and the change waits to be tried
   * again or thrown away. The answer is the position of a message, else 0. Giving the wait up by the signal changes nothing.
   */
  async settled(_changeId: string, _signal?: AbortSignal): Promise<number> {
    throw unbuilt();
  }

  /** Tries a change that has failed again, at its old place. With a room that could not be made goes all that was meant for it. */
  async retryFailed(_changeId: string): Promise<void> {
    throw unbuilt();
  }

  /** Throws a change that has failed away; with a room that could not be made all that was meant for it. */
  async discardFailed(_changeId: string): Promise<void> {
    throw unbuilt();
  }

  /** Waits until the outbox is empty, at most this long. Tells whether it is. */
  async drain(_timeoutMs: number): Promise<boolean> {
    throw unbuilt();
  }

  // Rooms.

  /**
   * Makes a room with its members; it opens at once, offline too, and messages may be sent into it. The answer is its id, which
   * is also the id of the change.
   */
  async createRoom(_room: NewRoom): Promise<string> {
    throw unbuilt();
  }

  /** The one room with a person, made if there is none: only the server knows, so this needs a connection. Its id. */
  async openDirect(_userId: string): Promise<string> {
    throw unbuilt();
  }

  /** Enters an open room, or one that the person has left. The answer is the id of the change. */
  async join(_roomId: string): Promise<string> {
    throw unbuilt();
  }

  /** Leaves a room; what is held of it stays on this device, and out of the list. The answer is the id of the change. */
  async leave(_roomId: string): Promise<string> {
    throw unbuilt();
  }

  /** Brings people in, by id. The answer is the id of the change. */
  async invite(_roomId: string, _userIds: readonly string[]): Promise<string> {
    throw unbuilt();
  }

  /** Takes a person out. The answer is the id of the change. */
  async remove(_roomId: string, _userId: string): Promise<string> {
    throw unbuilt();
  }

  /** Says which rooms are on the screen beside open timelines: they are kept complete. It replaces what was said before. */
  setFocus(_roomIds: readonly string[]): void {
    throw unbuilt();
  }

  // People.

  /** A profile, from the store or else from the server. `undefined`: no such person. */
  async user(_userId: string): Promise<User | undefined> {
    throw unbuilt();
  }

  /** People whose login or name begins with a text; the first page. */
  async searchUsers(_prefix: string): Promise<User[]> {
    throw unbuilt();
  }

  /** Changes one's own profile; it is shown at once. The answer is the id of the change. */
  async updateProfile(_profile: ProfileChange): Promise<string> {
    throw unbuilt();
  }

  /** Sets one's own status as a whole; it is shown at once. The answer is the id of the change. */
  async setStatus(_status: UserStatus, _custom?: CustomStatus): Promise<string> {
    throw unbuilt();
  }

  // Devices and the life of the client.

  /** Where the person is or was signed in, newest first; needs a connection. */
  async devices(): Promise<DeviceSession[]> {
    throw unbuilt();
  }

  /** Ends the session of a device of the person's own; its streams end within a second. Needs a connection. */
  async revokeDevice(_deviceId: string): Promise<void> {
    throw unbuilt();
  }

  /** Lets go of the connection, in all tabs, and opens no other until `reconnect`. Everything works as without a network. */
  disconnect(): void {
    throw unbuilt();
  }

  /** Connects, at once: after `disconnect`, after a new sign-in, or instead of waiting for the next attempt. */
  reconnect(): void {
    throw unbuilt();
  }

  /** Drops what can be had from the server again. What was typed, drafts, marks and badges stay. */
  async clearCache(): Promise<void> {
    throw unbuilt();
  }

  /**
   * Drains the outbox, at most this long, then ends the client of this tab with all its lists. What was not sent waits in the
   * store. Another tab takes over.
   */
  async shutdown(_timeoutMs = 0): Promise<void> {
    throw unbuilt();
  }

  /**
   * Signs this device out, in all tabs: the server revokes its session, if it can be reached within 5 s, and everything in the
   * store is removed, also what was typed and not sent. Then the client has ended. Tells whether the server knows; else the
   * session ends by its own age.
   */
  async signOut(): Promise<boolean> {
    throw unbuilt();
  }
}

function unbuilt(): ClientError {
  return new ClientError("Internal", "not built yet");
}
