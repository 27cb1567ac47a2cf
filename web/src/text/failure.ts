import { ClientError, type ErrorReason } from "@madang/client";
import type { Catalogue } from "./index.js";

type Sentence = Exclude<keyof Catalogue["failure"], "number">;

/** Reasons that say more than their kind. */
const BY_REASON: Partial<Record<ErrorReason, Sentence>> = {
  RequestTooLarge: "tooLarge",
  AccountDisabled: "account",
  AccountLocked: "account",
  AccountExpired: "account",
  RoleMissing: "account",
  TooManyDevices: "devices",
  RoomEnded: "roomEnded",
  RoomFull: "roomFull",
  LastAdmin: "lastAdmin",
  MemberBanned: "banned",
  MessageDeleted: "messageGone",
  MessageNotFound: "messageGone",
  NotTheSender: "notEditable",
  MessageNotEditable: "notEditable",
  UserNotFound: "unknownPerson",
  RoomNotFound: "notFound",
  RoomPermissionMissing: "denied",
  RateLimited: "rateLimited",
  TooManyCalls: "rateLimited",
  QueueFull: "rateLimited",
  InvalidField: "invalid",
};

const BY_KIND = {
  Offline: "offline",
  Unauthenticated: "unauthenticated",
  PermissionDenied: "denied",
  NotFound: "notFound",
  Conflict: "conflict",
  RateLimited: "rateLimited",
  Invalid: "invalid",
  Storage: "storage",
  Cancelled: "offline",
  Internal: "internal",
} as const;

function sentence(error: ClientError): Sentence {
  if (error.local === "ClockWrong") return "clock";
  if (error.local === "NotMadang") return "notMadang";
  return (error.reason && BY_REASON[error.reason]) ?? BY_KIND[error.kind];
}

/** What a refusal of a message or a change means, and what to do about it. */
export function reasonText(reason: ErrorReason, text: Catalogue): string {
  return text.failure[BY_REASON[reason] ?? "internal"];
}

/** What a failure means, and what to do about it; with a number for whoever runs the server, where it is the server's fault. */
export function failureText(error: unknown, text: Catalogue): string {
  if (!(error instanceof ClientError)) return text.failure.internal;
  const said = text.failure[sentence(error)];
  const number = error.kind === "Internal" && error.requestId ? ` ${text.failure.number(error.requestId)}` : "";
  return said + number;
}
