/** What the wire fails with, as a failure of the client. */

import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { ClientError, type ClientErrorKind, type ErrorReason, type FieldViolation } from "../error.js";
import { ClientAction, ErrorReason as Reason, ErrorReasonSchema } from "../gen/madang/v1/error_pb.js";
import { REASONS as RULES } from "../gen/rules.js";

/** `ErrorInfo.domain` of every refusal. */
const DOMAIN = "madang";

/** How a call ended, as gRPC numbers it and the contract does; of the others the client knows nothing. */
const Code = {
  Cancelled: 1,
  Unknown: 2,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  NotFound: 5,
  AlreadyExists: 6,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Aborted: 10,
  OutOfRange: 11,
  Unimplemented: 12,
  Unavailable: 14,
  Unauthenticated: 16,
};

const KINDS: Readonly<Record<number, ClientErrorKind>> = {
  [Code.Unavailable]: "Offline",
  [Code.DeadlineExceeded]: "Offline",
  [Code.Unauthenticated]: "Unauthenticated",
  [Code.PermissionDenied]: "PermissionDenied",
  [Code.NotFound]: "NotFound",
  [Code.AlreadyExists]: "Conflict",
  [Code.FailedPrecondition]: "Conflict",
  [Code.Aborted]: "Conflict",
  [Code.ResourceExhausted]: "RateLimited",
  [Code.InvalidArgument]: "Invalid",
  [Code.OutOfRange]: "Invalid",
  [Code.Unimplemented]: "Invalid",
  [Code.Cancelled]: "Cancelled",
};

/**
 * Every refusal of the server has a reason, so a status without one was made on the way: by a broken connection, or by a proxy.
 * It says so by one of these codes, or by one that has no kind.
 */
const BROKEN: readonly number[] = [Code.Cancelled, Code.Aborted];

/** The reasons by the names that all languages give them. */
const REASONS = new Map<ErrorReason, Reason>();
const NAMES = new Map<Reason, ErrorReason>();
const BY_WIRE = new Map<string, Reason>();
for (const value of ErrorReasonSchema.values) {
  const wire = value.name.replace(/^ERROR_REASON_/, "");
  const name = wire.replace(/(?:^|_)([A-Z])([A-Z]*)/g, (_, first: string, rest: string) => first + rest.toLowerCase());
  REASONS.set(name as ErrorReason, value.number);
  NAMES.set(value.number, name as ErrorReason);
  BY_WIRE.set(wire, value.number);
}

/** What a reason is called. */
export function reasonName(reason: Reason): ErrorReason {
  return NAMES.get(reason) ?? "Unspecified";
}

/** What a reason is on the wire. */
export function reasonOf(name: ErrorReason | undefined): Reason {
  return (name && REASONS.get(name)) ?? Reason.UNSPECIFIED;
}

/** A reason that a newer server gave says nothing: the code decides. */
function ruleOf(reason: Reason): { code: number; action: ClientAction } {
  const [code, action] = RULES[reason] ?? [0, 0];
  return { code: code === 0 ? Code.Unknown : code, action };
}

/** A refusal that came in a frame or from the store. */
export function refused(reason: Reason, message: string): ClientError {
  return new ClientError(KINDS[ruleOf(reason).code] ?? "Internal", message, { reason: reasonName(reason) });
}

/** Whether the same call may succeed later without anybody doing anything. */
export function mayRepeat(error: ClientError): boolean {
  if (error.reason === undefined || error.reason === "Unspecified") {
    return error.kind === "Offline" || error.kind === "RateLimited";
  }
  const { action } = ruleOf(reasonOf(error.reason));
  return [ClientAction.RETRY, ClientAction.RENEW_TOKEN, ClientAction.RECONNECT, ClientAction.RESYNC].includes(action);
}

/** Whether a call failed before it left this side: whatever it asks for, the server has not refused it. */
export function isBeforeTheWire(error: ClientError): boolean {
  return error.reason === undefined && (error.local !== undefined || error.kind === "Unauthenticated");
}

/** A failure of any kind as one of the client. */
export function failureOf(error: unknown): ClientError {
  if (error instanceof ClientError) return error;
  return new ClientError("Internal", error instanceof Error ? `${error.name}: ${error.message}` : String(error));
}

/** How a call ended that did not end well. */
export interface Status {
  /** A gRPC code. */
  readonly code: number;
  readonly message: string;
  /** A `google.rpc.Status`; may be empty, or no such thing. */
  readonly details: Uint8Array;
  readonly requestId: string | undefined;
}

/** A status as a failure of the client. */
export function statusFailure({ code, message, details: bytes, requestId }: Status): ClientError {
  const details = detailsOf(bytes);
  const kind = KINDS[code];
  if (details?.domain !== DOMAIN) {
    return new ClientError(kind === undefined || BROKEN.includes(code) ? "Offline" : kind, message, { requestId });
  }
  const { metadata } = details;
  const reason = BY_WIRE.get(details.reason) ?? Reason.UNSPECIFIED;
  // A token that begins later than the server's time: the clocks of the two who check and issue it differ.
  const early = reason === Reason.TOKEN_INVALID && ["nbf", "iat"].includes(metadata.get("check") ?? "");
  const field = metadata.get("field");
  const one = field === undefined ? [] : [{ field, limit: metadata.get("limit") ?? "" }];
  return new ClientError(kind ?? "Internal", message, {
    reason: reasonName(reason),
    local: early ? "ClockWrong" : undefined,
    requestId: metadata.get("request_id") ?? requestId,
    violations: details.violations.length > 0 ? details.violations : one,
    retryAfterMs: details.retryAfterMs,
  });
}

/** What a status carries beside its code. */
interface Details {
  reason: string;
  domain: string;
  readonly metadata: Map<string, string>;
  readonly violations: FieldViolation[];
  retryAfterMs: number | undefined;
}

/** Reads what a status carries; `undefined`: nothing that can be read. Shapes are those of `google.rpc`. */
function detailsOf(status: Uint8Array): Details | undefined {
  const details: Details = { reason: "", domain: "", metadata: new Map(), violations: [], retryAfterMs: undefined };
  try {
    eachField(status, { 3: (reader) => readDetail(reader.bytes(), details) });
    return details;
  } catch {
    return undefined;
  }
}

/** A `google.protobuf.Any`. */
function readDetail(bytes: Uint8Array, details: Details): void {
  let type = "";
  let value: Uint8Array = new Uint8Array();
  eachField(bytes, { 1: (reader) => (type = reader.string()), 2: (reader) => (value = reader.bytes()) });
  if (type.endsWith("/google.rpc.ErrorInfo")) readErrorInfo(value, details);
  else if (type.endsWith("/google.rpc.BadRequest")) readBadRequest(value, details);
  else if (type.endsWith("/google.rpc.RetryInfo")) readRetryInfo(value, details);
}

function readErrorInfo(bytes: Uint8Array, details: Details): void {
  eachField(bytes, {
    1: (reader) => (details.reason = reader.string()),
    2: (reader) => (details.domain = reader.string()),
    3: (reader) => {
      const [key, value] = readPair(reader.bytes());
      details.metadata.set(key, value);
    },
  });
}

function readBadRequest(bytes: Uint8Array, details: Details): void {
  eachField(bytes, {
    1: (reader) => {
      const [field, limit] = readPair(reader.bytes());
      details.violations.push({ field, limit });
    },
  });
}

/** Two texts: an entry of a map, or a field and what is wrong with it. */
function readPair(bytes: Uint8Array): [string, string] {
  const pair: [string, string] = ["", ""];
  eachField(bytes, { 1: (reader) => (pair[0] = reader.string()), 2: (reader) => (pair[1] = reader.string()) });
  return pair;
}

function readRetryInfo(bytes: Uint8Array, details: Details): void {
  let [seconds, nanos] = [0, 0];
  const duration = (inner: Uint8Array) =>
    eachField(inner, {
      1: (reader) => (seconds = Number(reader.int64())),
      2: (reader) => (nanos = reader.int32()),
    });
  eachField(bytes, { 1: (reader) => duration(reader.bytes()) });
  details.retryAfterMs = Math.max(0, seconds * 1000 + nanos / 1_000_000);
}

function eachField(bytes: Uint8Array, fields: Readonly<Record<number, (reader: BinaryReader) => unknown>>): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType]: [number, WireType] = reader.tag();
    const read = fields[number];
    if (read) read(reader);
    else reader.skip(wireType);
  }
}
