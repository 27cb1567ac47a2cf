//! The one error that calls throw.

use madang_sdk_core::{self as core, ClientErrorKind};

/// A failure of a call.
#[derive(Debug, Clone, thiserror::Error, uniffi::Error)]
pub enum ClientError {
    /// The call failed.
    #[error("{failure}")]
    Failed {
        /// What went wrong.
        failure: core::ClientError,
    },
}

impl ClientError {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        core::ClientError::new(ClientErrorKind::Invalid, message).into()
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        core::ClientError::new(ClientErrorKind::Internal, message).into()
    }
}

impl From<core::ClientError> for ClientError {
    fn from(failure: core::ClientError) -> Self {
        Self::Failed { failure }
    }
}

impl From<ClientError> for core::ClientError {
    fn from(ClientError::Failed { failure }: ClientError) -> Self {
        failure
    }
}

impl From<uniffi::UnexpectedUniFFICallbackError> for ClientError {
    /// The host threw something else.
    fn from(thrown: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::internal(format!("the host threw: {}", thrown.reason))
    }
}
