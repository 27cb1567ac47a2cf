//! What can go wrong in a call, and how it leaves the server: always as a status with a typed reason.

use std::time::Duration;

pub use madang_proto::{Refusal, v1::ErrorReason as Reason};
use tonic::Status;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller is told why.
    #[error("{}: {}", .0.reason.rule().name, .0.message)]
    Refused(Box<Refusal>),
    /// The database failed; the caller is told only whether repeating may help.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// A fault of ours; the caller gets a request id.
    #[error("{0}")]
    Internal(String),
}

/// What a call answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl Error {
    /// A refusal without details.
    pub fn refused(reason: Reason, message: impl Into<String>) -> Self {
        Refusal::new(reason, message).into()
    }

    /// A room that is not there, or not for the caller: byte for byte the same answer.
    pub fn room_not_found() -> Self {
        Self::refused(Reason::RoomNotFound, "room not found")
    }

    /// A commit whose answer was lost with its connection.
    pub fn outcome_unknown() -> Self {
        Refusal::new(Reason::OutcomeUnknown, "the connection broke during the commit").retry_after(later()).into()
    }

    /// Whether it is a refusal with this reason.
    pub fn is(&self, reason: Reason) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.reason == reason)
    }

    /// Whether PostgreSQL broke a deadlock or found a serialization conflict: the transaction may be repeated as it is.
    pub fn is_deadlock(&self) -> bool {
        self.sql_state().is_some_and(|code| code == "40P01" || code == "40001")
    }

    /// The database is away, or too busy to answer.
    pub fn database_away() -> Self {
        Self::Database(sqlx::Error::PoolTimedOut)
    }

    /// Whether the database did not answer, for a reason that passes by itself.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Database(error) if is_passing(error))
    }

    fn sql_state(&self) -> Option<String> {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.code().map(Into::into),
            _ => None,
        }
    }

    /// The refusal that the caller is told. What it hides is logged here, once.
    pub fn into_refusal(self) -> Refusal {
        match self {
            Self::Refused(refusal) => *refusal,
            Self::Database(error) if is_passing(&error) => {
                tracing::warn!(%error, "the database did not answer");
                Refusal::new(Reason::DatabaseUnavailable, "the database cannot be reached").retry_after(later())
            }
            Self::Database(error) => {
                tracing::error!(%error, "a statement failed");
                Refusal::new(Reason::Internal, "internal error")
            }
            Self::Internal(error) => {
                tracing::error!(error, "internal error");
                Refusal::new(Reason::Internal, "internal error")
            }
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.into_refusal().into()
    }
}

/// When to come again after a database that was away: it starts within a second, and not everybody should come at once.
fn later() -> Duration {
    Duration::from_millis(rand::random_range(500..1_500))
}

/// Faults that pass by themselves: the connection, the pool, a server that starts or stops, timeouts of statements and locks.
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_)
        | sqlx::Error::Tls(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["57", "53", "08"].iter().any(|class| code.starts_with(class))
                || ["55P03", "40P01", "40001", "25P03"].contains(&&*code)
        }),
        _ => false,
    }
}
