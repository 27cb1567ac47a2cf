/**
 * `@madang/client`: everything that a Madang page needs beside its screen.
 *
 * A `Client` keeps a store in the browser equal to the server, works offline from it, sends through a durable outbox, and shows
 * rooms and timelines as lists that are followed. Always true: what a person typed is in the store before the call that took it
 * returns; nothing is shown twice, out of order, or with a hole; a listener that lags is told.
 */

export {
  Client,
  serverInfo,
  type ConnectionState,
  type Draft,
  type NewRoom,
  type ProfileChange,
  type StorageState,
} from "./client.js";
export type { Backoff, ClientConfig, TokenProvider } from "./config.js";
export type {
  CustomStatus,
  DeviceSession,
  Member,
  MemberRole,
  MemberState,
  RoomKind,
  RoomSettings,
  ServerInfo,
  SystemKind,
  User,
  UserState,
  UserStatus,
  WhoMay,
} from "./contract.js";
export {
  ClientError,
  type ClientErrorKind,
  type ErrorReason,
  type FailureDetails,
  type FieldViolation,
  type LocalReason,
} from "./error.js";
export { applyChange, type ListChange } from "./lists/diff.js";
export type {
  ChangeKind,
  DayLine,
  MessageChange,
  MessageItem,
  MessageKey,
  NewLine,
  NoticeItem,
  Person,
  Reach,
  ReadCount,
  RoomItem,
  RoomMember,
  SendState,
  TimelineItem,
  Totals,
  UnsupportedItem,
  WaitingChange,
} from "./lists/item.js";
export type { LiveList } from "./lists/list.js";
export type { RoomFilter, RoomQuery, RoomSort } from "./lists/query.js";
export type { RoomList } from "./lists/rooms.js";
export type { Anchor, Timeline, TimelineOptions } from "./lists/timeline/timeline.js";
export type { Observed, Watched } from "./observed.js";
export { MemoryStore } from "./store/memory.js";
