/**
 * Each kind of change: how it is said to the server, and what the answer, or a refusal, does to the rows. Another kind is added
 * by its line in `KINDS`.
 */

import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { ClientError } from "../error.js";
import { ErrorReason } from "../gen/madang/v1/error_pb.js";
import type { Message } from "../gen/madang/v1/message_pb.js";
import { DeleteMessageRequestSchema, EditMessageRequestSchema, MessageService, SendMessageRequestSchema } from "../gen/madang/v1/message_service_pb.js";
import { MemberRole, MemberSchema, MemberState, MembershipSchema, RoomSchema, RoomState as RoomUse } from "../gen/madang/v1/room_pb.js";
import { type CreateRoomRequest, CreateRoomRequestSchema, InviteMembersRequestSchema, JoinRoomRequestSchema, LeaveRoomRequestSchema, RemoveMemberRequestSchema, RoomService } from "../gen/madang/v1/room_service_pb.js";
import type { RoomEvent, RoomSummary } from "../gen/madang/v1/sync_pb.js";
import type { User } from "../gen/madang/v1/user_pb.js";
import { SetStatusRequestSchema, UpdateProfileRequestSchema, UserService } from "../gen/madang/v1/user_service_pb.js";
import type { ChangeKind } from "../lists/item.js";
import type { Connection } from "../net/connection.js";
import * as people from "../store/people.js";
import * as rooms from "../store/rooms.js";
import type { Write } from "../store/store.js";
import { timestampOf } from "../time.js";
import * as frames from "./frames.js";
import type { Outcome, View } from "./frames.js";

/** The server has done it. */
export interface Happened {
  /** Position that a message has got, and the revision of its state; else 0. */
  readonly seq: bigint;
  readonly rev: bigint;
  /** What the answer does to the rows. Written until the store takes it, so it may run more than once. */
  readonly takeIn: (w: Write, view: View, out: Outcome) => Promise<void>;
}

/** A change that a person makes, as the request of the contract that says it. */
interface KindOf<D extends DescMessage> {
  readonly schema: D;
  /** Says it, once. May be repeated without harm. */
  say(request: MessageShape<D>, connection: Connection): Promise<Happened>;
  /** Shows at once what can be known before the server answers; `nowMs`: when it was made. */
  foresee?(w: Write, request: MessageShape<D>, nowMs: number): Promise<void>;
  /** Takes back what was foreseen. */
  takeBack?(w: Write, request: MessageShape<D>): Promise<void>;
  /** Whether everything that waits behind it in its room falls with it for this reason; absent: if the room is not there. */
  endsRoom?(reason: ErrorReason): boolean;
  /** It names the message that it changes by position. */
  readonly names?: true;
}

/** A kind of change that is not known where it is used. */
export interface Kind extends KindOf<DescMessage> {
  /** The room whose order it keeps; empty: the person's own changes. */
  roomId(request: MessageShape<DescMessage>): string;
  endsRoom(reason: ErrorReason): boolean;
}

function kind<D extends DescMessage>(of: KindOf<D>): Kind {
  return {
    endsRoom: (reason) => reason === ErrorReason.ROOM_NOT_FOUND || reason === ErrorReason.ROOM_ENDED,
    ...(of as unknown as KindOf<DescMessage>),
    roomId: (request) => ("roomId" in request ? String(request.roomId) : ""),
  };
}

const KINDS: Readonly<Record<ChangeKind, Kind>> = {
  Send: kind({
    schema: SendMessageRequestSchema,
    say: async (request, connection) =>
      changed(await connection.callOnce(MessageService, (caller, options) => caller.sendMessage(request, options))),
    // About the person's place in the room, and not about the message: what waits behind would be refused one by one.
    endsRoom: (reason) =>
      [ErrorReason.ROOM_NOT_FOUND, ErrorReason.ROOM_ENDED, ErrorReason.ROOM_PERMISSION_MISSING].includes(reason),
  }),
  Edit: kind({
    schema: EditMessageRequestSchema,
    names: true,
    say: async (request, connection) =>
      changed(await connection.callOnce(MessageService, (caller, options) => caller.editMessage(request, options))),
  }),
  Delete: kind({
    schema: DeleteMessageRequestSchema,
    names: true,
    say: async (request, connection) =>
      changed(await connection.callOnce(MessageService, (caller, options) => caller.deleteMessage(request, options))),
  }),
  CreateRoom: kind({
    schema: CreateRoomRequestSchema,
    say: async (request, connection) =>
      entered((await connection.callOnce(RoomService, (caller, options) => caller.createRoom(request, options))).summary),
    foresee: foreseeRoom,
    endsRoom: () => true,
  }),
  Join: kind({
    schema: JoinRoomRequestSchema,
    say: async (request, connection) =>
      entered((await connection.callOnce(RoomService, (caller, options) => caller.joinRoom(request, options))).summary),
  }),
  Leave: kind({
    schema: LeaveRoomRequestSchema,
    say: async (request, connection) => {
      const answer = await connection.callOnce(RoomService, (caller, options) => caller.leaveRoom(request, options));
      const place = answer.membership ?? create(MembershipSchema);
      return happened((w, view, out) => frames.membership(w, view, place, out));
    },
  }),
  Invite: kind({
    schema: InviteMembersRequestSchema,
    say: async (request, connection) =>
      events((await connection.callOnce(RoomService, (caller, options) => caller.inviteMembers(request, options))).events),
  }),
  Remove: kind({
    schema: RemoveMemberRequestSchema,
    say: async (request, connection) =>
      events((await connection.callOnce(RoomService, (caller, options) => caller.removeMember(request, options))).events),
  }),
  Profile: kind({
    schema: UpdateProfileRequestSchema,
    say: async (request, connection) =>
      profile((await connection.callOnce(UserService, (caller, options) => caller.updateProfile(request, options))).user),
    foresee: (w, { displayName, title, bio, phone }) =>
      showMe(w, (me) => {
        me.displayName = displayName ?? me.displayName;
        me.title = title ?? me.title;
        me.bio = bio ?? me.bio;
        me.phone = phone ?? me.phone;
      }),
    takeBack: forgetMe,
  }),
  Status: kind({
    schema: SetStatusRequestSchema,
    say: async (request, connection) =>
      profile((await connection.callOnce(UserService, (caller, options) => caller.setStatus(request, options))).user),
    foresee: (w, { status, customStatus }) =>
      showMe(w, (me) => {
        me.status = status;
        if (customStatus) me.customStatus = customStatus;
        else delete me.customStatus;
      }),
    takeBack: forgetMe,
  }),
};

/** How a kind of change is said. */
export function kindFor(name: ChangeKind): Kind {
  return KINDS[name];
}

function happened(takeIn: Happened["takeIn"]): Happened {
  return { seq: 0n, rev: 0n, takeIn };
}

function changed(answer: { readonly message?: Message | undefined; readonly prevRev: bigint; readonly rev: bigint }): Happened {
  const { message, prevRev, rev } = answer;
  if (!message) throw new ClientError("Internal", "the answer names no message");
  const event = frames.changeOf(message, prevRev, rev);
  return { seq: message.seq, rev: message.rev, takeIn: (w, view, out) => frames.answer(w, view, event, out) };
}

function entered(summary: RoomSummary | undefined): Happened {
  return happened(async (w, view, out) => {
    if (summary) await frames.summary(w, view, summary, out);
  });
}

function events(told: readonly RoomEvent[]): Happened {
  return happened(async (w, view, out) => {
    for (const event of told) await frames.answer(w, view, event, out);
  });
}

function profile(user: User | undefined): Happened {
  return happened(async (w) => {
    w.changes.people = true;
    await people.upsert(w.tx, user ? [user] : []);
  });
}

/** Shows one's own profile as it is going to be, where it is held. */
async function showMe(w: Write, change: (me: User) => void): Promise<void> {
  const me = await people.find(w.tx, w.me);
  if (!me) return;
  change(me);
  w.changes.people = true;
  await people.show(w.tx, me);
}

/** Forgets what was shown; whoever needs the name asks the server. */
async function forgetMe(w: Write): Promise<void> {
  w.changes.people = true;
  await people.forget(w.tx, w.me);
}

/**
 * A room that waits to be made, as its maker sees it meanwhile: without a number of the server, so that whatever comes from
 * there is newer.
 */
async function foreseeRoom(w: Write, request: CreateRoomRequest, nowMs: number): Promise<void> {
  const { roomId, kind, name, topic, settings } = request;
  const state = await rooms.load(w.tx, roomId);
  if (state.room || state.ended) return;
  const now = timestampOf(nowMs);
  state.room = create(RoomSchema, {
    id: roomId,
    kind,
    name,
    topic,
    ...(settings ? { settings } : {}),
    state: RoomUse.ACTIVE,
    createdBy: w.me,
    createdAt: now,
    lastActiveAt: now,
    memberCount: request.invitedUserIds.length + 1,
  });
  const place = { roomId, userId: w.me, state: MemberState.JOINED, role: MemberRole.ADMIN };
  state.membership = create(MembershipSchema, { member: create(MemberSchema, place) });
  await rooms.save(w.tx, state);
}
