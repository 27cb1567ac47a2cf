/** The contract's enums by the names that all languages give them, and its shapes as plain data. */

import type { DescEnum } from "@bufbuild/protobuf";
import type { DeviceSession, Member, MemberRole, MemberState, RoomKind, ServerInfo, SystemKind, User, UserState, UserStatus, WhoMay } from "../contract.js";
import type { DeviceSession as WireDeviceSession, ServerInfo as WireServerInfo } from "../gen/madang/v1/identity_pb.js";
import { SystemKindSchema } from "../gen/madang/v1/message_pb.js";
import { MemberRoleSchema, MemberStateSchema, type Member as WireMember, RoomKindSchema, WhoMaySchema } from "../gen/madang/v1/room_pb.js";
import { UserStateSchema, UserStatusSchema, type User as WireUser } from "../gen/madang/v1/user_pb.js";
import { dateOf } from "../time.js";

/** `MEMBER_STATE_JOINED` is `Joined`; what this version does not know is `Unspecified`. */
function namer<N extends string>(schema: DescEnum): (value: number) => N {
  const names = new Map(
    schema.values.map(({ number, name }) => {
      const bare = name.slice(schema.sharedPrefix?.length ?? 0).toLowerCase();
      return [number, bare.replace(/(?:^|_)([a-z])/g, (_, first: string) => first.toUpperCase()) as N];
    }),
  );
  return (value) => names.get(value) ?? ("Unspecified" as N);
}

export const roomKind = namer<RoomKind>(RoomKindSchema);
export const systemKind = namer<SystemKind>(SystemKindSchema);
const memberState = namer<MemberState>(MemberStateSchema);
const memberRole = namer<MemberRole>(MemberRoleSchema);
const userStatus = namer<UserStatus>(UserStatusSchema);
const userState = namer<UserState>(UserStateSchema);

const whoMay = namer<WhoMay>(WhoMaySchema);

/** The number of a status. */
export function statusNumber(status: UserStatus): number {
  return UserStatusSchema.values.find(({ number }) => userStatus(number) === status)?.number ?? 0;
}

/** The number of who may do something. */
export function whoMayNumber(who: WhoMay | undefined): number {
  return WhoMaySchema.values.find(({ number }) => whoMay(number) === who)?.number ?? 0;
}

export function memberOf(member: WireMember): Member {
  const { roomId, userId, nickname } = member;
  const joinedAt = member.joinedAt && dateOf(member.joinedAt);
  return { roomId, userId, state: memberState(member.state), role: memberRole(member.role), nickname, joinedAt };
}

export function userOf(user: WireUser): User {
  const { id, login, displayName, title, phone, email, bio, employeeNo, customStatus: custom } = user;
  const until = custom?.until ? { until: dateOf(custom.until) } : {};
  return {
    id,
    login,
    displayName,
    title,
    status: userStatus(user.status),
    customStatus: custom && { emoji: custom.emoji, text: custom.text, ...until },
    phone,
    email,
    bio,
    employeeNo,
    state: userState(user.state),
  };
}

/** A person of whom nothing but the id is known. */
export function unknownUser(id: string): User {
  return {
    id,
    login: "",
    displayName: "",
    title: "",
    status: "Unspecified",
    customStatus: undefined,
    phone: "",
    email: "",
    bio: "",
    employeeNo: "",
    state: "Unspecified",
  };
}

export function deviceOf(session: WireDeviceSession, own: string): DeviceSession {
  const { deviceId, platform, appVersion, address, userAgent, live } = session;
  return {
    deviceId,
    current: deviceId === own,
    platform,
    appVersion,
    address,
    userAgent,
    createdAt: session.createdAt && dateOf(session.createdAt),
    lastSeenAt: session.lastSeenAt && dateOf(session.lastSeenAt),
    live,
    revokedAt: session.revokedAt && dateOf(session.revokedAt),
  };
}

export function serverOf({ version, issuer, clientId, limits, features }: WireServerInfo): ServerInfo {
  return { version, issuer, clientId, messageCharacters: limits?.messageCharacters ?? 0, features: [...features] };
}
