//! The one error of the client core: flat, so that it is the same in every language.

use std::{fmt, io, path::Path, time::Duration};

use madang_proto::{
    Refusal, Violation,
    v1::{ClientAction, ErrorReason},
};
use rusqlite::{ErrorCode, ffi::SQLITE_IOERR_SHMSIZE};
use tonic::{Code, Status};

use crate::net::Failure;

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

impl ClientErrorKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Offline,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::NotFound,
        Self::Conflict,
        Self::RateLimited,
        Self::Invalid,
        Self::Storage,
        Self::Cancelled,
        Self::Internal,
    ];
}

/// Why something failed on this side of the wire, where there is more to say than the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

impl LocalReason {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::StoreBusy,
        Self::StoreNewer,
        Self::StoreOfAnother,
        Self::DiskFull,
        Self::DiskReadOnly,
        Self::StorePathInvalid,
        Self::StoreDamaged,
        Self::StoreKeyWrong,
        Self::StoreKeyMissing,
        Self::StoreNotEncrypted,
        Self::Suspended,
        Self::TokenTimeout,
        Self::TokenInvalid,
        Self::AddressInvalid,
        Self::RootsInvalid,
        Self::CaptivePortal,
        Self::NotMadang,
        Self::ClockWrong,
        Self::CertificateExpired,
        Self::CertificateUntrusted,
        Self::CertificateName,
        Self::NameNotFound,
        Self::Refused,
        Self::Unreachable,
        Self::ProxyFailed,
    ];
}

/// A field of a request, and the limit that it breaks.
pub type FieldViolation = Violation;

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientError {
    /// What kind of failure.
    pub kind: ClientErrorKind,
    /// The server's reason, where it gave one.
    pub reason: Option<ErrorReason>,
    /// The client's own reason, where there is one.
    pub local: Option<LocalReason>,
    /// A sentence for developers and logs; for people there is [`sentence`](Self::sentence).
    pub message: String,
    /// All fields that break their limits.
    pub violations: Vec<FieldViolation>,
    /// Do not repeat before.
    pub retry_after: Option<Duration>,
    /// Finds the call in the server's log.
    pub request_id: Option<String>,
}

impl ClientError {
    /// A failure without a reason of the server.
    pub fn new(kind: ClientErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, reason: None, local: None, message, violations: Vec::new(), retry_after: None, request_id: None }
    }

    /// A failure on this side of the wire.
    pub fn local(kind: ClientErrorKind, reason: LocalReason, message: impl Into<String>) -> Self {
        Self { local: Some(reason), ..Self::new(kind, message) }
    }

    /// A refusal that came in a frame or from the store.
    pub fn refused(reason: ErrorReason, message: impl Into<String>) -> Self {
        Self { reason: Some(reason), ..Self::new(kind_of(reason.rule().code), message) }
    }

    /// The first field to blame, where there is one.
    pub fn field(&self) -> Option<&str> {
        self.violations.first().map(|violation| violation.field.as_str())
    }

    pub(crate) fn storage(error: impl fmt::Display) -> Self {
        Self::new(ClientErrorKind::Storage, error.to_string())
    }

    pub(crate) fn ended() -> Self {
        Self::new(ClientErrorKind::Cancelled, "the client has ended")
    }

    pub(crate) fn suspended() -> Self {
        Self::local(ClientErrorKind::Cancelled, LocalReason::Suspended, "the client is suspended")
    }

    /// A file could not be had or changed.
    pub(crate) fn of_file(path: &Path, error: &io::Error) -> Self {
        let reason = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Some(LocalReason::DiskFull)
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Some(LocalReason::DiskReadOnly),
            _ => None,
        };
        Self { local: reason, ..Self::storage(format_args!("{}: {error}", path.display())) }
    }

    /// Whether a call failed before it left this side: whatever it asks for, the server has not refused it.
    pub(crate) fn is_before_the_wire(&self) -> bool {
        self.reason.is_none() && (self.local.is_some() || self.kind == ClientErrorKind::Unauthenticated)
    }

    /// Whether the same call may succeed later without anybody doing anything.
    pub fn may_repeat(&self) -> bool {
        match self.reason.filter(|reason| *reason != ErrorReason::Unspecified) {
            Some(reason) => matches!(
                reason.rule().action,
                ClientAction::Retry | ClientAction::RenewToken | ClientAction::Reconnect | ClientAction::Resync
            ),
            None => matches!(self.kind, ClientErrorKind::Offline | ClientErrorKind::RateLimited),
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Some(reason) => write!(f, "{}: {}", reason.rule().name, self.message),
            None => write!(f, "{:?}: {}", self.kind, self.message),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<rusqlite::Error> for ClientError {
    fn from(error: rusqlite::Error) -> Self {
        let reason = match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => return Self::suspended(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Some(LocalReason::StoreBusy),
            Some(ErrorCode::DiskFull) => Some(LocalReason::DiskFull),
            Some(ErrorCode::ReadOnly) => Some(LocalReason::DiskReadOnly),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Some(LocalReason::StoreDamaged),
            // The memory that connections share lies in a file: it does not get as large as it must be on a full disk.
            _ if error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_IOERR_SHMSIZE) => {
                Some(LocalReason::DiskFull)
            }
            _ => None,
        };
        Self { local: reason, ..Self::storage(error) }
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        let request_id = status.metadata().get("madang-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        let Some(refusal) = Refusal::of(&status) else {
            if let Some(failure) = Failure::behind(&status) {
                return Self { request_id, ..failure.into() };
            }
            return Self { request_id, ..Self::new(kind_without_reason(status.code()), status.message()) };
        };
        let detail = |key: &str| refusal.metadata.get(key).cloned();
        // A token that begins later than the server's time: the clocks of the two who check and issue it differ.
        let too_early =
            refusal.reason == ErrorReason::TokenInvalid && matches!(detail("check").as_deref(), Some("nbf" | "iat"));
        let one = detail("field").map(|field| Violation { field, limit: detail("limit").unwrap_or_default() });
        Self {
            kind: kind_of(status.code()),
            reason: Some(refusal.reason),
            local: too_early.then_some(LocalReason::ClockWrong),
            request_id: detail("request_id").or(request_id),
            violations: if refusal.violations.is_empty() { one.into_iter().collect() } else { refusal.violations },
            message: refusal.message,
            retry_after: refusal.retry_after,
        }
    }
}

impl From<Failure> for ClientError {
    /// Nothing is there for now, whatever the failure: it is tried again, because a network or a certificate changes.
    fn from(failure: Failure) -> Self {
        Self::local(ClientErrorKind::Offline, failure.reason, failure.message)
    }
}

fn kind_of(code: Code) -> ClientErrorKind {
    match code {
        Code::Unavailable | Code::DeadlineExceeded => ClientErrorKind::Offline,
        Code::Unauthenticated => ClientErrorKind::Unauthenticated,
        Code::PermissionDenied => ClientErrorKind::PermissionDenied,
        Code::NotFound => ClientErrorKind::NotFound,
        Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => ClientErrorKind::Conflict,
        Code::ResourceExhausted => ClientErrorKind::RateLimited,
        Code::InvalidArgument | Code::OutOfRange | Code::Unimplemented => ClientErrorKind::Invalid,
        Code::Cancelled => ClientErrorKind::Cancelled,
        _ => ClientErrorKind::Internal,
    }
}

/// Every refusal of the server has a reason, so a status without one was made on the way: by a broken connection, which
/// tonic reports under several codes, or by a proxy.
fn kind_without_reason(code: Code) -> ClientErrorKind {
    match code {
        Code::Unknown | Code::Internal | Code::Cancelled | Code::Aborted | Code::DataLoss => ClientErrorKind::Offline,
        code => kind_of(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_repeated_is_decided_by_the_reason_and_without_one_by_the_kind() {
        let repeat = |reason| ClientError::from(Status::from(Refusal::new(reason, ""))).may_repeat();
        assert!(repeat(ErrorReason::QueueFull) && repeat(ErrorReason::OutcomeUnknown) && repeat(ErrorReason::Internal));
        assert!(!repeat(ErrorReason::IdReused) && !repeat(ErrorReason::RoomNotFound));
        assert!(ClientError::from(Status::unknown("transport error")).may_repeat());
        assert!(!ClientError::from(Status::invalid_argument("a proxy's")).may_repeat());
    }

    #[test]
    fn every_field_that_breaks_a_limit_is_named_with_its_limit() {
        let violation = |field: &str, limit: &str| Violation { field: field.into(), limit: limit.into() };
        let both = vec![violation("name", "at most 100 characters"), violation("topic", "at most 500 characters")];
        let error = ClientError::from(Status::from(Refusal::fields(both.clone())));
        assert_eq!((error.kind, error.field()), (ClientErrorKind::Invalid, Some("name")));
        assert_eq!(error.violations, both);
        let single = Refusal::new(ErrorReason::CursorInvalid, "").with("field", "cursor.seq");
        assert_eq!(ClientError::from(Status::from(single)).field(), Some("cursor.seq"));
    }

    #[test]
    fn a_token_that_is_not_valid_yet_means_that_a_clock_is_wrong() {
        let local = |check| {
            let refusal = Refusal::new(ErrorReason::TokenInvalid, "").with("check", check);
            ClientError::from(Status::from(refusal)).local
        };
        assert_eq!((local("nbf"), local("aud")), (Some(LocalReason::ClockWrong), None));
    }
}
