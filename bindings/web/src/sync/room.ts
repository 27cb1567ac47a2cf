/**
 * One room: what is held of it, and how summaries, deltas and events change that.
 *
 * Always true: every row up to `rev` that the person may see and that lies in `lowSeq..=seq` is in the store;
 * `headRev >= rev`, and the room's numbers, newest message and mentions are those of `headRev`. Older pieces that are held
 * beside that range are islands.
 */

import { create } from "@bufbuild/protobuf";
import type { Message } from "../gen/madang/v1/message_pb.js";
import type { ListMessagesResponse } from "../gen/madang/v1/message_service_pb.js";
import {
  type Member,
  MemberSchema,
  MemberState,
  type Membership,
  MembershipSchema,
  type Receipt,
  type Room,
  RoomState as RoomUse,
} from "../gen/madang/v1/room_pb.js";
import { GoneReason, type RoomDelta, type RoomEvent, type RoomGone, type RoomPresent, type RoomSummary } from "../gen/madang/v1/sync_pb.js";
import { addIsland, type Island, joined, max, min } from "./islands.js";
import { type Mark, markOf, markOfOwn, mergeMarks, writeMark } from "./mark.js";
import { mentionsByList, mentionsByMessage, type Place } from "./mentions.js";
import { verdictOf } from "./span.js";

/** Characters of the newest message in a summary; `RoomPresent.lastMessage` is cut by the same rule. */
const PREVIEW_CHARACTERS = 200;
/** Greater than every number of the server. */
const EVERY_REV = (1n << 63n) - 1n;

/** What is held of a room beside its rows. */
export interface RoomState {
  /** The room. */
  readonly roomId: string;
  /** It was deleted; nothing that arrives later counts. */
  ended: boolean;
  /** The room as of `headRev`; absent until a verdict on it has come. */
  room: Room | undefined;
  /** One's own place, with the marks and mentions merged into it. */
  membership: Membership | undefined;
  /** The newest item, cut as in a summary. */
  last: Message | undefined;
  /** Rows are complete up to this revision. */
  rev: bigint;
  /** The summary is complete up to this revision. */
  headRev: bigint;
  /** Items up to here are known to exist. */
  seq: bigint;
  /** The oldest item of the unbroken range that is held; above `seq` when nothing is. */
  lowSeq: bigint;
  /** Snapshot of the last reset; pages of older snapshots do not fit what is held. */
  resetRev: bigint;
}

/** Rows to be dropped. */
export type Drop =
  /** Messages, members and receipts whose last change is not newer than this revision. */
  | { readonly upToRev: bigint }
  /** Messages below this position. */
  | { readonly belowSeq: bigint }
  /** No row, but what says that older pieces are whole. */
  | "Islands"
  /** Everything of the room. */
  | "All";

/** What is to be done in the store and on the wire. Drops come first; rows merge by revision. */
export interface Effects {
  readonly drop: Drop[];
  messages: Message[];
  readonly members: Member[];
  readonly receipts: Receipt[];
  /** Something is missing: ask `SyncRoom`. */
  hole: boolean;
  /** The room was deleted: what waits to be sent to it has failed. */
  ended: boolean;
}

/** Nothing to be done. */
export function noEffects(): Effects {
  return { drop: [], messages: [], members: [], receipts: [], hole: false, ended: false };
}

/** A room of which nothing is held. */
export function newRoomState(roomId: string): RoomState {
  return {
    roomId,
    ended: false,
    room: undefined,
    membership: undefined,
    last: undefined,
    rev: 0n,
    headRev: 0n,
    seq: 0n,
    lowSeq: 0n,
    resetRev: 0n,
  };
}

/** Whether the person is in the room and the room is known not to have ended. */
export function isJoined(state: RoomState): boolean {
  return !state.ended && memberState(state.membership) === MemberState.JOINED;
}

/** Whether the room waits in the outbox to be made: it is shown, and nothing of it is the server's. */
export function isForeseen(state: RoomState): boolean {
  return state.headRev === 0n && state.room !== undefined;
}

/** Whether the server has made the person a member and no verdict on the room has come. */
export function isUnheardOf(state: RoomState): boolean {
  return state.room === undefined || (isForeseen(state) && (state.membership?.userRev ?? 0n) > 0n);
}

/** The first item that the person may see. */
export function firstSeq(state: RoomState): bigint {
  return max(max(state.room?.firstSeq ?? 0n, historyFrom(state)), 1n);
}

/** The state of a membership. */
export function memberState(membership: Membership | undefined): MemberState {
  return membership?.member?.state ?? MemberState.UNSPECIFIED;
}

/** A verdict on the room. */
export function summary(state: RoomState, told: RoomSummary, out: Effects): void {
  if (told.verdict.case === "present") present(state, told.verdict.value, out);
  else if (told.verdict.case === "gone") gone(state, told.verdict.value, out);
}

function present(state: RoomState, told: RoomPresent, out: Effects): void {
  if (!told.room || state.ended) return;
  const newest = told.room.rev >= state.headRev;
  if (newest) {
    state.headRev = told.room.rev;
    state.last = told.lastMessage && preview(told.lastMessage);
    be(state, told.room);
  }
  if (told.membership) member(state, told.membership, newest ? "Newest" : "Older", out);
}

/**
 * Takes the room's new state. Members and receipts of a large room are not told: when it is small again, what is held is no
 * ground to build on.
 */
function be(state: RoomState, room: Room): void {
  // A cursor without a revision is answered by a reset.
  if (state.room?.large && !room.large) state.rev = 0n;
  state.room = room;
}

/** The person is out of the room, if that is not older than what is held of their membership. */
function gone(state: RoomState, told: RoomGone, out: Effects): void {
  if (told.reason === GoneReason.ENDED) {
    end(state, out);
    return;
  }
  state.membership ??= create(MembershipSchema);
  const held = state.membership;
  if (told.membershipUserRev < held.userRev) return;
  held.userRev = told.membershipUserRev;
  held.member ??= create(MemberSchema);
  held.member.state =
    told.reason === GoneReason.REMOVED
      ? MemberState.REMOVED
      : told.reason === GoneReason.BANNED
        ? MemberState.BANNED
        : MemberState.LEFT;
}

/** The room was deleted: that always wins. */
function end(state: RoomState, out: Effects): void {
  Object.assign(state, newRoomState(state.roomId), { ended: true });
  out.drop.push("All");
  out.ended = true;
}

/** One's own place, whole and numbered by `userRev`. */
export function member(state: RoomState, told: Membership, place: Place, out: Effects): void {
  if (state.ended) return;
  const held = state.membership ?? create(MembershipSchema);
  const [old, given] = [markOf(held), markOf(told)];
  const stale = told.userRev < held.userRev;
  const merged = structuredClone(stale ? held : told);
  if (held.member && merged.member && held.member.rev > merged.member.rev && held.member.state === merged.member.state) {
    merged.member = held.member;
  }
  const mark = mergeMarks(old, given);
  writeMark(mark, merged);
  // A list read under a mark that "mark as unread" has lowered since lacks what is unread again.
  const older = (stale && place === "Person") || given.generation < old.generation;
  const list = mentionsByList(
    held.unreadMentionSeqs,
    told.unreadMentionSeqs,
    older ? "Older" : place,
    mark.generation > old.generation,
  );
  merged.unreadMentionSeqs = list.filter((seq) => seq > mark.seq);
  state.membership = merged;
  const from = historyFrom(state);
  if (memberState(merged) === MemberState.JOINED && from > state.lowSeq) forgetBelow(state, from, out);
}

function forgetBelow(state: RoomState, from: bigint, out: Effects): void {
  state.lowSeq = from;
  if (state.last && state.last.seq < from) state.last = undefined;
  out.drop.push({ belowSeq: from });
}

/** A page of changes: rows first, then the cursor. */
export function delta(state: RoomState, told: RoomDelta, me: string, out: Effects): void {
  if (told.reset && told.snapshotRev < state.rev && told.from?.rev === state.rev) {
    // What is held is ahead of the server: none of it is known to be true.
    Object.assign(state, { rev: 0n, seq: 0n, headRev: 0n, resetRev: 0n });
    out.drop.push({ upToRev: EVERY_REV });
  }
  if (told.summary) summary(state, told.summary, out);
  const { from, to } = told;
  if (!from || !to || state.ended) return;
  // Read before the last reset, it may tell of people who had gone by then, and whom nothing takes away any more.
  if (told.snapshotRev < state.resetRev) return;
  const joins = from.rev <= state.rev && from.seq <= state.seq;
  const moves = to.rev > state.rev || to.seq > state.seq;
  const low = told.messages[0]?.seq ?? to.seq + 1n;
  if (told.reset && moves) {
    out.drop.push({ upToRev: told.snapshotRev });
    Object.assign(state, { rev: to.rev, seq: to.seq, lowSeq: low, resetRev: told.snapshotRev });
  } else if (!told.reset && joins) {
    if (state.rev === 0n && state.seq === 0n) {
      out.drop.push("Islands");
      state.lowSeq = low;
    }
    state.rev = max(state.rev, to.rev);
    state.seq = max(state.seq, to.seq);
  }
  // Rows that do not join are newer or older states of what is held: they merge, and move nothing.
  takeRows(state, told.messages, me, out);
  out.members.push(...told.members);
  out.receipts.push(...told.receipts);
  state.headRev = max(state.headRev, state.rev);
}

function takeRows(state: RoomState, messages: readonly Message[], me: string, out: Effects): void {
  for (const message of messages) deriveMark(state, message, me);
  out.messages.push(...messages);
}

/**
 * A page of the timeline from anywhere: it lengthens the range, or an island, or is one. Rows above the range come with the
 * changes that tell of them. A page read before the last reset says nothing of what changed until then.
 */
export function page(state: RoomState, told: ListMessagesResponse, held: Island[], me: string, out: Effects): void {
  if (state.ended || told.snapshotRev < state.resetRev) return;
  const from = historyFrom(state);
  const messages = told.messages.filter((message) => message.seq >= from && message.seq <= state.seq);
  const [first, last] = [messages[0], messages.at(-1)];
  if (!first || !last) return;
  const piece = joined(held, { low: first.seq, high: last.seq });
  if (piece.high + 1n >= state.lowSeq) state.lowSeq = min(state.lowSeq, piece.low);
  else addIsland(held, piece);
  takeRows(state, messages, me, out);
}

function historyFrom(state: RoomState): bigint {
  return state.membership?.member?.historyFromSeq ?? 0n;
}

/** A change that is told live, or by the answer of a command. */
export function event(state: RoomState, told: RoomEvent, me: string, out: Effects): void {
  if (state.ended) return;
  const rows = verdictOf(told.prevRev, told.rev, state.rev);
  const head = verdictOf(told.prevRev, told.rev, state.headRev);
  // Of a room that was guessed nothing is a ground to build on.
  if (isForeseen(state) || head === "Hole") {
    out.hole = true;
    return;
  }
  if (told.change.case === "fetch") {
    out.hole = rows !== "Drop";
    return;
  }
  const follows = head !== "Drop";
  const complete = rows === "Apply";
  if (follows) state.headRev = told.rev;
  if (complete) state.rev = told.rev;
  if (complete || follows) change(state, told, { complete, follows }, me, out);
  if (state.room && follows) state.room.rev = told.rev;
}

/** How a change meets what is held: `complete`: the rows; `follows`: the summary. */
interface Meets {
  readonly complete: boolean;
  readonly follows: boolean;
}

function change(state: RoomState, { change }: RoomEvent, { complete, follows }: Meets, me: string, out: Effects): void {
  switch (change.case) {
    case "message":
      if (follows) follow(state, change.value, me);
      deriveMark(state, change.value, me);
      if (complete) {
        state.seq = max(state.seq, change.value.seq);
        if (state.lowSeq === 0n) state.lowSeq = change.value.seq;
        out.messages.push(change.value);
      }
      break;
    case "member":
      if (state.room && follows) state.room.memberCount = change.value.memberCount;
      if (change.value.receipt) out.receipts.push(change.value.receipt);
      if (change.value.member) {
        ownRow(state, change.value.member, me);
        out.members.push(change.value.member);
      }
      break;
    case "room":
      if (change.value.state === RoomUse.DELETED) end(state, out);
      else if (follows) be(state, change.value);
      break;
    case "receipts":
      out.receipts.push(...change.value.receipts);
      break;
  }
}

/** Moves the summary by a message, as the server's would. */
function follow(state: RoomState, message: Message, me: string): void {
  const { room, membership } = state;
  if (room) {
    room.seq = max(room.seq, message.seq);
    if (message.count > room.count) {
      room.count = message.count;
      if (message.createdAt) room.lastActiveAt = message.createdAt;
      else delete room.lastActiveAt;
    }
  }
  if (!state.last || message.seq >= state.last.seq) state.last = preview(message);
  if (membership) mentionsByMessage(membership.unreadMentionSeqs, message, me, membership.lastReadSeq);
}

/** A message of one's own may say that the mark moved to it. */
function deriveMark(state: RoomState, message: Message, me: string): void {
  const own = markOfOwn(message, me);
  if (!own || !state.membership) return;
  const merged: Mark = mergeMarks(markOf(state.membership), own);
  writeMark(merged, state.membership);
  state.membership.unreadMentionSeqs = state.membership.unreadMentionSeqs.filter((seq) => seq > merged.seq);
}

/** What others see of oneself, while one is in. That one is out is told by numbers of the person, never from here. */
function ownRow(state: RoomState, told: Member, me: string): void {
  const held = state.membership?.member;
  if (state.membership && held && told.userId === me && told.rev > held.rev && told.state === held.state) {
    state.membership.member = structuredClone(told);
  }
}

/** A message as a summary shows it. */
function preview(message: Message): Message {
  const cut = structuredClone(message);
  if (cut.body) {
    const characters = [...cut.body.text];
    if (characters.length > PREVIEW_CHARACTERS) {
      cut.body.text = characters.slice(0, PREVIEW_CHARACTERS).join("");
      cut.textCut = true;
    }
    cut.body.entities = [];
    cut.body.card = "";
  }
  cut.metadata = {};
  return cut;
}
