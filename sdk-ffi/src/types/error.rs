//! What went wrong.

use std::time::Duration;

use madang_sdk_core::{ClientError as Failure, ClientErrorKind, FieldViolation, LocalReason, v1::ErrorReason};

/// What kind of failure it is.
#[uniffi::remote(Enum)]
pub enum ClientErrorKind {
    /// The server cannot be reached, or did not answer in time.
    Offline,
    /// Nobody is signed in, or the token is not taken.
    Unauthenticated,
    /// Not allowed.
    PermissionDenied,
    /// Not there, or not for the caller.
    NotFound,
    /// It does not fit what is there.
    Conflict,
    /// Too much at once.
    RateLimited,
    /// The request is wrong.
    Invalid,
    /// The store on disk failed.
    Storage,
    /// Given up by the caller or by the end of the client.
    Cancelled,
    /// A fault of the server or of this program.
    Internal,
}

/// Why something failed on this side of the wire, where there is more to say than the kind.
#[uniffi::remote(Enum)]
pub enum LocalReason {
    /// Another process, or another client of this one, has the store open. One whose wake-up meets this shows what the
    /// push says.
    StoreBusy,
    /// The store was written by a later version; it was not touched.
    StoreNewer,
    /// The store belongs to another person or another server.
    StoreOfAnother,
    /// No room on the disk.
    DiskFull,
    /// The disk or the file takes no writes.
    DiskReadOnly,
    /// The store's path is a folder, or its folder is not there.
    StorePathInvalid,
    /// What is on the disk cannot be read as it should be; the next opening rescues what was typed and begins anew.
    StoreDamaged,
    /// The store was made with another key; it was not touched.
    StoreKeyWrong,
    /// The store was made with a key, and none was given; it was not touched.
    StoreKeyMissing,
    /// The store was made without a key, and one was given; it was not touched.
    StoreNotEncrypted,
    /// The client was put to rest; after `resume` the same call may succeed.
    Suspended,
    /// The host did not give a token in time.
    TokenTimeout,
    /// What the host gave is no token, or it panicked over it.
    TokenInvalid,
    /// The server's or the proxy's address is none.
    AddressInvalid,
    /// The host's extra roots are no certificates.
    RootsInvalid,
    /// A network that wants a sign-in of its own answers in the server's place: show its page in a browser.
    CaptivePortal,
    /// Something answers at this address, and it is not Madang: a web site, another port.
    NotMadang,
    /// The clock of this device, or that of the tokens' issuer, is wrong: set it.
    ClockWrong,
    /// The server's certificate has ended, or has not begun, and the clock is not to blame.
    CertificateExpired,
    /// The server's certificate comes from nobody that this device trusts.
    CertificateUntrusted,
    /// The server's certificate is another server's.
    CertificateName,
    /// No such name, or nobody who knows names can be asked.
    NameNotFound,
    /// The machine is there, and nothing listens at this port.
    Refused,
    /// No way to the server: no network, no answer in time, or a gateway that finds nothing behind it.
    Unreachable,
    /// The proxy refuses, wants other credentials, or does not answer.
    ProxyFailed,
}

/// A field that breaks a limit.
#[uniffi::remote(Record)]
pub struct FieldViolation {
    /// Path of the field, as in `body.entities[3].url`.
    pub field: String,
    /// The limit, as in `at most 80 characters`.
    pub limit: String,
}

/// A failure.
#[uniffi::remote(Record)]
pub struct Failure {
    /// What kind of failure.
    pub kind: ClientErrorKind,
    /// The server's reason, where it gave one.
    pub reason: Option<ErrorReason>,
    /// The client's own reason, where there is one.
    pub local: Option<LocalReason>,
    /// A sentence for developers and logs; for people there is `sentence`.
    pub message: String,
    /// All fields that break their limits.
    pub violations: Vec<FieldViolation>,
    /// Do not repeat before.
    pub retry_after: Option<Duration>,
    /// Finds the call in the server's log.
    pub request_id: Option<String>,
}

/// ErrorReason is why a call or a frame was refused.
#[uniffi::remote(Enum)]
pub enum ErrorReason {
    /// Not a reason of this version: decide by the status code.
    Unspecified,
    /// A field breaks its limit. All violations are in BadRequest; metadata repeats the first.
    InvalidField,
    /// The bytes are no message of this method, or a text is not UTF-8.
    MalformedRequest,
    /// The message is larger than the server takes.
    RequestTooLarge,
    /// No such method on this server.
    MethodUnknown,
    /// The page token was not given by this server for this call.
    PageTokenInvalid,
    /// The cursor cannot belong to this room.
    CursorInvalid,
    /// The metadata madang-device-id is missing or no UUID.
    DeviceIdMissing,
    /// The time inside a version 7 id lies more than a day ahead of the server's.
    IdFromFuture,
    /// The call has no bearer token.
    TokenMissing,
    /// The token fails a check; metadata names it.
    TokenInvalid,
    /// The token has expired.
    TokenExpired,
    /// The device session was revoked; its tokens are refused although they have not expired.
    SessionRevoked,
    /// The issuer's keys cannot be fetched, so no token can be checked.
    IssuerUnavailable,
    /// The account was disabled or deleted.
    AccountDisabled,
    /// The account is locked until a time.
    AccountLocked,
    /// The account has expired.
    AccountExpired,
    /// The caller has none of the roles that the method demands.
    RoleMissing,
    /// The person has as many device sessions as allowed; revoke one.
    TooManyDevices,
    /// The database has another history than the client's: wipe rows and marks, keep outbox and drafts, snapshot.
    EpochChanged,
    /// The stream that the call names does not live on this node, or no longer.
    SessionElsewhere,
    /// No such room, or not for the caller; the two cannot be told apart.
    RoomNotFound,
    /// The room has been deleted; told only to those who were in it.
    RoomEnded,
    /// A member without the right that the call needs.
    RoomPermissionMissing,
    /// The room has as many members as it may have.
    RoomFull,
    /// A person is in as many rooms as allowed.
    TooManyRooms,
    /// This kind of room does not know this action: a direct room keeps its two people.
    RoomKindRefuses,
    /// The last admin cannot leave without handing over.
    LastAdmin,
    /// The person is not a member of the room.
    MemberNotFound,
    /// The person is banned from the room.
    MemberBanned,
    /// No such message in the room, or none that the caller may see.
    MessageNotFound,
    /// The message was deleted; only its tombstone is left.
    MessageDeleted,
    /// Only the sender may change a message; admins may delete it.
    NotTheSender,
    /// System notices cannot be edited or deleted.
    MessageNotEditable,
    /// The id names something created earlier with another content.
    IdReused,
    /// No such person.
    UserNotFound,
    /// The person has no session on such a device.
    DeviceSessionNotFound,
    /// Too many calls of this class; RetryInfo says when.
    RateLimited,
    /// The person has as many calls in flight as allowed.
    TooManyCalls,
    /// The write queue is full; nothing was written.
    QueueFull,
    /// The deadline passed; a command may or may not have been done, and may be repeated.
    DeadlinePassed,
    /// The database cannot be reached; nothing was written.
    DatabaseUnavailable,
    /// The connection broke during the commit: repeat the command with the same id.
    OutcomeUnknown,
    /// The node is shutting down.
    Draining,
    /// A fault of the server; the request id finds it in the logs.
    Internal,
}
