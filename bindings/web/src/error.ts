/** The one error of the client: flat, and the same as in every other language. */

/** What kind of failure it is. */
export type ClientErrorKind =
  /** The server cannot be reached, or did not answer in time. */
  | "Offline"
  /** Nobody is signed in, or the token is not taken. */
  | "Unauthenticated"
  /** Not allowed. */
  | "PermissionDenied"
  /** Not there, or not for the caller. */
  | "NotFound"
  /** It does not fit what is there. */
  | "Conflict"
  /** Too much at once. */
  | "RateLimited"
  /** The request is wrong. */
  | "Invalid"
  /** The store failed. */
  | "Storage"
  /** Given up by the caller or by the end of the client. */
  | "Cancelled"
  /** A fault of the server or of this program. */
  | "Internal";

/** The server's reason, as `docs/errors.md` lists them, spelled as in every language of the client. */
export type ErrorReason =
  | "InvalidField"
  | "MalformedRequest"
  | "RequestTooLarge"
  | "MethodUnknown"
  | "PageTokenInvalid"
  | "CursorInvalid"
  | "DeviceIdMissing"
  | "IdFromFuture"
  | "TokenMissing"
  | "TokenInvalid"
  | "TokenExpired"
  | "SessionRevoked"
  | "IssuerUnavailable"
  | "AccountDisabled"
  | "AccountLocked"
  | "AccountExpired"
  | "RoleMissing"
  | "TooManyDevices"
  | "EpochChanged"
  | "SessionElsewhere"
  | "RoomNotFound"
  | "RoomEnded"
  | "RoomPermissionMissing"
  | "RoomFull"
  | "TooManyRooms"
  | "RoomKindRefuses"
  | "LastAdmin"
  | "MemberNotFound"
  | "MemberBanned"
  | "MessageNotFound"
  | "MessageDeleted"
  | "NotTheSender"
  | "MessageNotEditable"
  | "IdReused"
  | "UserNotFound"
  | "DeviceSessionNotFound"
  | "RateLimited"
  | "TooManyCalls"
  | "QueueFull"
  | "DeadlinePassed"
  | "DatabaseUnavailable"
  | "OutcomeUnknown"
  | "Draining"
  | "Internal"
  /** One that this version does not know. */
  | "Unspecified";

/** Why something failed on this side of the wire, where there is more to say than the kind. */
export type LocalReason =
  /** Another client has the store open, and it is one that cannot be shared. */
  | "StoreBusy"
  /** The store was written by a later version; it was not touched. */
  | "StoreNewer"
  /** The store belongs to another person or another server. */
  | "StoreOfAnother"
  /** No room for what is to be kept. */
  | "DiskFull"
  /** What is kept cannot be read as it should be. */
  | "StoreDamaged"
  /** The host did not give a token in time. */
  | "TokenTimeout"
  /** What the host gave is no token, or it threw over it. */
  | "TokenInvalid"
  /** The server's address is none. */
  | "AddressInvalid"
  /** Something answers at this address, and it is not Madang: a web site, a proxy's error page. */
  | "NotMadang"
  /** The clock of this device, or that of the tokens' issuer, is wrong: set it. */
  | "ClockWrong"
  /** No way to the server: no network, no answer in time, or a gateway that finds nothing behind it. */
  | "Unreachable";

/** A field of a request, and the limit that it breaks. */
export interface FieldViolation {
  /** The field. */
  readonly field: string;
  /** The limit, in words. */
  readonly limit: string;
}

/** What a failure says beside its kind. */
export interface FailureDetails {
  /** The server's reason, where it gave one. */
  readonly reason?: ErrorReason | undefined;
  /** The client's own reason, where there is one. */
  readonly local?: LocalReason | undefined;
  /** All fields that break their limits. */
  readonly violations?: readonly FieldViolation[] | undefined;
  /** Do not repeat before so many milliseconds. */
  readonly retryAfterMs?: number | undefined;
  /** Finds the call in the server's log. */
  readonly requestId?: string | undefined;
}

/** A failure. */
export class ClientError extends Error {
  override readonly name = "ClientError";
  /** What kind of failure. */
  readonly kind: ClientErrorKind;
  /** The server's reason, where it gave one. */
  readonly reason: ErrorReason | undefined;
  /** The client's own reason, where there is one. */
  readonly local: LocalReason | undefined;
  /** All fields that break their limits. */
  readonly violations: readonly FieldViolation[];
  /** Do not repeat before so many milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** Finds the call in the server's log. */
  readonly requestId: string | undefined;

  constructor(kind: ClientErrorKind, message: string, details: FailureDetails = {}) {
    super(message);
    this.kind = kind;
    this.reason = details.reason;
    this.local = details.local;
    this.violations = details.violations ?? [];
    this.retryAfterMs = details.retryAfterMs;
    this.requestId = details.requestId;
  }

  /** The first field to blame, where there is one. */
  get field(): string | undefined {
    return this.violations[0]?.field;
  }
}

/** A failure as plain data, as it goes from tab to tab. */
export type PlainError = Pick<ClientError, "kind" | "message"> & FailureDetails;

/** A failure as plain data. */
export function plainError({ kind, message, reason, local, violations, retryAfterMs, requestId }: ClientError): PlainError {
  return { kind, message, reason, local, violations, retryAfterMs, requestId };
}

/** A failure that was plain data. */
export function errorOf({ kind, message, ...details }: PlainError): ClientError {
  return new ClientError(kind, message, details);
}
