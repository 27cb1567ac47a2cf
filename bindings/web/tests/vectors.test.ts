/** The cases of `tests/vectors/merge.json`, which every implementation of the rules plays. */

import { readFileSync } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { MessageSchema, TombstoneSchema } from "../src/gen/madang/v1/message_pb.js";
import { ListMessagesResponseSchema } from "../src/gen/madang/v1/message_service_pb.js";
import { MemberSchema, MembershipSchema, MemberState, RoomSchema } from "../src/gen/madang/v1/room_pb.js";
import {
  GoneReason,
  RoomCursorSchema,
  RoomDeltaSchema,
  type RoomEvent,
  RoomEventSchema,
  RoomGoneSchema,
  RoomPresentSchema,
  RoomSummarySchema,
} from "../src/gen/madang/v1/sync_pb.js";
import type { Island } from "../src/sync/islands.js";
import { type Mark, markOf, mergeMarks, unreadOf } from "../src/sync/mark.js";
import * as rules from "../src/sync/room.js";
import { type Drop, type Effects, isJoined, newRoomState, noEffects, type RoomState } from "../src/sync/room.js";
import { verdictOf } from "../src/sync/span.js";

const ME = "ann";
const roomId = "r";

/** Numbers come as they stand in the file, the greatest of them too: JSON's own are not exact. */
type Json = string | bigint | boolean | null | Json[] | { [name: string]: Json };
type Told = { [name: string]: Json };

const file = readFileSync(new URL("../../../tests/vectors/merge.json", import.meta.url), "utf8");
const exact = (value: unknown): Json => {
  if (typeof value === "string" && /^-?\d+n$/.test(value)) return BigInt(value.slice(0, -1));
  if (Array.isArray(value)) return value.map(exact);
  if (typeof value !== "object" || value === null) return value as Json;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, exact(one)]));
};
const { cases, spans, marks, unread } = exact(
  JSON.parse(file.replace(/(?<=[[:,]\s*)(-?\d+)(?=\s*[,\]}])/g, '"$1n"')),
) as { cases: { name: string; steps: Told[] }[]; spans: Told[]; marks: Told[]; unread: Told[] };

const number = (told: Told, name: string): bigint => (told[name] as bigint | undefined) ?? 0n;
const list = <T extends Json>(told: Told, name: string): T[] => (told[name] as T[] | undefined) ?? [];
const at = (told: Told, name: string) => told[name] as Told;

function mark(told: Json | undefined): Mark {
  const [generation = 0n, seq = 0n, count = 0n] = (told as bigint[] | undefined) ?? [];
  return { generation, seq, count };
}

function message(told: Told) {
  return create(MessageSchema, {
    roomId,
    seq: number(told, "seq"),
    rev: number(told, "rev"),
    count: number(told, "count"),
    senderId: told["sender"] as string,
    mentionedUserIds: list<string>(told, "mentions"),
    mentionsAll: told["all"] === true,
    ...(told["mark"] === undefined ? {} : { markGeneration: told["mark"] as bigint }),
    ...(told["deleted"] === true ? { tombstone: create(TombstoneSchema) } : {}),
  });
}

const messages = (told: Told) => list<Told>(told, "messages").map(message);

function room(told: Told) {
  return create(RoomSchema, {
    id: roomId,
    rev: number(told, "rev"),
    seq: number(told, "seq"),
    count: number(told, "count"),
    firstCount: number(told, "first_count"),
    memberCount: Number(number(told, "members")),
    large: told["large"] === true,
  });
}

function membership(told: Told) {
  const { generation, seq, count } = mark(told["mark"]);
  const place = { roomId, userId: ME, state: MemberState.JOINED, historyFromSeq: number(told, "history_from") };
  return create(MembershipSchema, {
    member: create(MemberSchema, place),
    userRev: number(told, "user_rev"),
    unreadMentionSeqs: list<bigint>(told, "mentions"),
    readGeneration: generation,
    lastReadSeq: seq,
    readCount: count,
  });
}

function summary(told: Told) {
  const present = create(RoomPresentSchema, {
    room: room(told),
    ...(told["last"] === undefined ? {} : { lastMessage: create(MessageSchema, { seq: number(told, "last") }) }),
    ...(told["membership"] === undefined ? {} : { membership: membership(at(told, "membership")) }),
  });
  return create(RoomSummarySchema, { roomId, verdict: { case: "present", value: present } });
}

function gone(told: Told) {
  const reasons: Record<string, GoneReason> = { removed: GoneReason.REMOVED, ended: GoneReason.ENDED };
  const reason = reasons[told["reason"] as string] ?? GoneReason.LEFT;
  const value = create(RoomGoneSchema, { reason, membershipUserRev: number(told, "user_rev") });
  return create(RoomSummarySchema, { roomId, verdict: { case: "gone", value } });
}

function cursor(told: Json | undefined) {
  const [rev = 0n, seq = 0n] = told as bigint[];
  return create(RoomCursorSchema, { roomId, rev, seq });
}

function delta(told: Told) {
  return create(RoomDeltaSchema, {
    ...(told["summary"] === undefined ? {} : { summary: summary(at(told, "summary")) }),
    from: cursor(told["from"]),
    to: cursor(told["to"]),
    last: told["last"] === true,
    reset: told["reset"] === true,
    messages: messages(told),
    snapshotRev: number(told, "snapshot"),
  });
}

function changeOf(told: Told): RoomEvent["change"] {
  if ("message" in told) return { case: "message", value: message(at(told, "message")) };
  if ("room" in told) return { case: "room", value: room(at(told, "room")) };
  const shapes = create(RoomEventSchema, {
    change:
      "member" in told
        ? { case: "member", value: memberChange(at(told, "member")) }
        : { case: "none" in told ? "none" : "fetch", value: {} },
  });
  return shapes.change;
}

function memberChange(told: Told) {
  const state = told["state"] === "joined" ? MemberState.JOINED : MemberState.REMOVED;
  return {
    member: { userId: told["user"] as string, state, rev: number(told, "rev") },
    memberCount: Number(number(told, "count")),
  };
}

function event(told: Told) {
  const change = changeOf(told);
  return create(RoomEventSchema, { roomId, prevRev: number(told, "prev"), rev: number(told, "rev"), change });
}

function page(told: Told) {
  return create(ListMessagesResponseSchema, { messages: messages(told), snapshotRev: number(told, "snapshot") });
}

function play(step: Told, state: RoomState, islands: Island[]): Effects {
  const out = noEffects();
  if ("summary" in step) rules.summary(state, summary(at(step, "summary")), out);
  else if ("gone" in step) rules.summary(state, gone(at(step, "gone")), out);
  else if ("delta" in step) rules.delta(state, delta(at(step, "delta")), ME, out);
  else if ("event" in step) rules.event(state, event(at(step, "event")), ME, out);
  else if ("membership" in step) rules.member(state, membership(at(step, "membership")), "Person", out);
  else if ("page" in step) rules.page(state, page(at(step, "page")), islands, ME, out);
  else throw new Error(`no such step: ${Object.keys(step).join()}`);
  return out;
}

function dropWords(drop: Drop): string {
  if (typeof drop === "string") return drop.toLowerCase();
  return "upToRev" in drop ? `up_to_rev ${drop.upToRev}` : `below_seq ${drop.belowSeq}`;
}

/** Everything that a case may name. */
function seen(state: RoomState, out: Effects, islands: readonly Island[]): Told {
  const held = markOf(state.membership);
  return {
    joined: isJoined(state),
    ended: state.ended,
    rev: state.rev,
    head: state.headRev,
    seq: state.seq,
    low: state.lowSeq,
    reset: state.resetRev,
    last: state.last?.seq ?? 0n,
    members: BigInt(state.room?.memberCount ?? 0),
    unread: unreadOf(held, state.room?.count ?? 0n, state.room?.firstCount ?? 0n),
    mark: [held.generation, held.seq, held.count],
    mentions: state.membership?.unreadMentionSeqs ?? [],
    messages: out.messages.map(({ seq }) => seq),
    drop: out.drop.map(dropWords),
    hole: out.hole,
    failed: out.ended,
    islands: islands.map(({ low, high }) => [low, high]),
  };
}

test.each(cases)("$name", ({ steps }) => {
  const [state, islands]: [RoomState, Island[]] = [newRoomState(roomId), []];
  for (const [index, step] of steps.entries()) {
    const held = seen(state, play(step, state, islands), islands);
    const wanted = at(step, "then");
    const named = Object.fromEntries(Object.keys(wanted).map((name) => [name, held[name]]));
    expect(named, `after step ${index + 1}`).toEqual(wanted);
  }
});

test.each(spans)("a span from $from to $to, where $held is held: $is", (span) => {
  expect(verdictOf(number(span, "from"), number(span, "to"), number(span, "held"))).toBe(span["is"]);
});

test.each(marks)("marks $one and $other are $is together", (told) => {
  expect(mergeMarks(mark(told["one"]), mark(told["other"]))).toEqual(mark(told["is"]));
});

test.each(unread)("of $count countable items $is are unread", (told) => {
  expect(unreadOf(mark(told["mark"]), number(told, "count"), number(told, "first_count"))).toBe(number(told, "is"));
});
