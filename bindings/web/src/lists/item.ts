/** Items of lists: what a screen shows. */

import type { Member, RoomKind, SystemKind, User } from "../contract.js";
import type { ErrorReason } from "../error.js";

/** A person as a screen names them. */
export interface Person {
  /** The person. */
  readonly id: string;
  /** Shown name, else the login; empty while it is not known. */
  readonly name: string;
}

/** How far a message, or another change, is on its way. */
export type SendState =
  /** Waits: for the connection, or for its turn. */
  | { readonly kind: "Queued" }
  /** On its way. */
  | { readonly kind: "Sending" }
  /** Committed by the server. */
  | { readonly kind: "Sent" }
  /** Refused; waits for the person to retry or discard it. */
  | {
      readonly kind: "Failed";
      /** The server's reason. */
      readonly reason: ErrorReason;
      /** A sentence for developers. */
      readonly message: string;
    };

/** What a message is named by: its position in the room, or for one's own the client's id of it. */
export type MessageKey = number | string;

/** How far one's own message has come, as others' marks say; told in rooms that are not large. */
export type Reach =
  /** To nobody, as far as is known; always so for others' messages. */
  | "Nobody"
  /** To a device of somebody who was there. */
  | "Delivered"
  /** Somebody who was there has read it. */
  | "Read";

/** An edit or a deletion that the server does not have. */
export interface MessageChange {
  /** The id of the change, by which it is tried again or thrown away when it has failed. */
  readonly id: string;
  /** It deletes; else it edits. */
  readonly deletes: boolean;
  /** How far it is. */
  readonly state: SendState;
}

/** A message. */
export interface MessageItem {
  readonly kind: "Message";
  /** What it is recognised by, for as long as it lives, also when it gets its position. */
  readonly key: string;
  /** Position in the room; absent until the server has it. */
  readonly seq: number | undefined;
  /** The client's id of it. */
  readonly clientMessageId: string;
  /** Who sent it. */
  readonly sender: Person;
  /** Sent by the person themselves. */
  readonly mine: boolean;
  /** What it says; empty when deleted. */
  readonly text: string;
  /** When it was committed; typed, while it is not. */
  readonly createdAt: Date;
  /** It was edited. */
  readonly edited: boolean;
  /** It was deleted. */
  readonly deleted: boolean;
  /** The item it answers; 0: none. */
  readonly replyToSeq: number;
  /** It mentions the person. */
  readonly mentionsMe: boolean;
  /** How far it is on its way to the server. */
  readonly state: SendState;
  /** The newest change of it that the server does not have. It is shown as made, unless the server refused it. */
  readonly change: MessageChange | undefined;
  /** How far one's own message has come from there. */
  readonly reach: Reach;
  /** Others who have read up to here and no further, at most 20; nobody in large rooms. */
  readonly readersHere: readonly Person[];
  /** Revision of the room at which it last changed; 0 until the server has it. */
  readonly rev: number;
}

/** Something that happened in the room; the app words it in the reader's language. */
export interface NoticeItem {
  readonly kind: "Notice";
  /** What it is recognised by. */
  readonly key: string;
  /** Position in the room. */
  readonly seq: number;
  /** When. */
  readonly createdAt: Date;
  /** What happened. */
  readonly notice: SystemKind;
  /** Who did it. */
  readonly actor: Person;
  /** Whom it concerns. */
  readonly people: readonly Person[];
  /** More about it: "name" of `Renamed`, "role" of `Role`. */
  readonly params: Readonly<Record<string, string>>;
}

/** A message of a kind that this version cannot show. */
export interface UnsupportedItem {
  readonly kind: "Unsupported";
  /** What it is recognised by. */
  readonly key: string;
  /** Position in the room. */
  readonly seq: number;
  /** When it was committed. */
  readonly createdAt: Date;
  /** Who sent it. */
  readonly sender: Person;
  /** Its kind, as the contract numbers them. */
  readonly messageKind: number;
  /** A text that stands for it; may be empty. */
  readonly text: string;
}

/** A day begins here. */
export interface DayLine {
  readonly kind: "DayLine";
  /** What it is recognised by; there is one a day. */
  readonly key: string;
  /** The day, as in `2026-11-21`. */
  readonly date: string;
}

/** What comes was unread when the timeline was opened. */
export interface NewLine {
  readonly kind: "NewLine";
  /** What it is recognised by; there is one. */
  readonly key: string;
}

/** An item of a timeline. */
export type TimelineItem = MessageItem | NoticeItem | UnsupportedItem | DayLine | NewLine;

/** A room in the list. */
export interface RoomItem {
  /** The room. */
  readonly id: string;
  /** What kind of room. */
  readonly kind: RoomKind;
  /** Its name; in a direct room that of the other person. */
  readonly name: string;
  /** What it is about. */
  readonly topic: string;
  /** Unread items. */
  readonly unread: number;
  /** Unread messages that mention the person; 100 is shown as 99+. */
  readonly mentions: number;
  /** The newest item, cut after 200 characters. */
  readonly lastMessage: TimelineItem | undefined;
  /** Muted now. */
  readonly muted: boolean;
  /** People in it. */
  readonly memberCount: number;
  /** Above 200 people: members and readers are told on request only. */
  readonly large: boolean;
  /** The person may change the room and its members. */
  readonly admin: boolean;
  /** The other person of a direct room; empty elsewhere. */
  readonly directUserId: string;
  /** What the person began to write. */
  readonly draft: string;
  /** Time of the newest countable message, else of the creation. */
  readonly lastActiveAt: Date;
}

/** A member as a screen lists them. */
export interface RoomMember {
  /** The profile; only the id is set while it is not known. */
  readonly user: User;
  /** The place in the room. */
  readonly member: Member;
}

/** What a change in the outbox changes. */
export type ChangeKind =
  | "Send"
  | "Edit"
  | "Delete"
  | "CreateRoom"
  | "Join"
  | "Leave"
  | "Invite"
  | "Remove"
  | "Profile"
  | "Status";

/** A change that the person made and the server does not have. */
export interface WaitingChange {
  /** Its id, as the call that made it answered. */
  readonly id: string;
  /** What it changes. */
  readonly kind: ChangeKind;
  /** The room; empty for the person's own profile. */
  readonly roomId: string;
  /** The message that it edits or deletes. */
  readonly message: MessageKey | undefined;
  /** What a message is to say; empty for everything else. */
  readonly text: string;
  /** How far it is. */
  readonly state: SendState;
  /** When it was made. */
  readonly createdAt: Date;
}

/** What is unread in all rooms together. */
export interface Totals {
  /** Unread items. */
  readonly unread: number;
  /** Unread messages that mention the person; of a room at most 100 are counted. */
  readonly mentions: number;
  /** Rooms with unread items. */
  readonly rooms: number;
}

/** How many have read a message. */
export interface ReadCount {
  /** People who have read it, without the sender. */
  readonly read: number;
  /** People who could, without the sender. */
  readonly members: number;
}
