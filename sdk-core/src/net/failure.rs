//! Why there is no way to the server.

use std::{
    error::Error,
    io,
    sync::{Arc, Mutex},
};

use rustls::{AlertDescription, CertificateError};
use tonic::Status;

use crate::{error::LocalReason, observe::lock};

/// Why there is no way to the server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    /// What a screen shows.
    pub(crate) reason: LocalReason,
    /// What a log says.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(reason: LocalReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// The failure that a status was made of.
    pub(crate) fn behind(status: &Status) -> Option<Self> {
        find::<Self>(status.source()?).cloned()
    }

    /// A socket could not be had.
    pub(super) fn of_socket(error: &io::Error) -> Self {
        let reason = match error.kind() {
            io::ErrorKind::ConnectionRefused => LocalReason::Refused,
            _ => LocalReason::Unreachable,
        };
        Self::new(reason, format!("connecting: {error}"))
    }

    /// An HTTP answer that is none of gRPC. One that redirects, or that says "fine" to what it cannot have understood, comes
    /// from a network that wants a sign-in; one that refuses, from another server.
    pub(super) fn of_http(status: u16, is_html: bool) -> Self {
        let reason = match status {
            300..=399 | 511 => LocalReason::CaptivePortal,
            200..=299 if is_html => LocalReason::CaptivePortal,
            // A gateway that finds nothing behind it.
            429 | 502..=504 => LocalReason::Unreachable,
            _ => LocalReason::NotMadang,
        };
        Self::new(reason, format!("HTTP {status} where gRPC was expected"))
    }

    /// No TLS.
    pub(super) fn of_tls(error: &rustls::Error) -> Self {
        let reason = match error {
            rustls::Error::InvalidCertificate(error) => of_certificate(error),
            rustls::Error::NoCertificatesPresented => LocalReason::CertificateUntrusted,
            // Not TLS at all, or TLS for HTTP/1 only.
            rustls::Error::InvalidMessage(_)
            | rustls::Error::NoApplicationProtocol
            | rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => LocalReason::NotMadang,
            rustls::Error::AlertReceived(AlertDescription::UnrecognisedName) => LocalReason::CertificateName,
            _ => LocalReason::Unreachable,
        };
        Self::new(reason, format!("TLS: {error}"))
    }
}

fn of_certificate(error: &CertificateError) -> LocalReason {
    match error {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => LocalReason::CertificateExpired,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            LocalReason::CertificateName
        }
        _ => LocalReason::CertificateUntrusted,
    }
}

/// The error of a kind among an error and what it was made of.
pub(super) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// What is wrong with a connection: libraries between a socket and a call forget it on the way.
#[derive(Debug, Clone, Default)]
pub(super) struct Trouble(Arc<Mutex<Option<Failure>>>);

impl Trouble {
    /// Remembers a failure; gives what a stream fails with.
    pub(super) fn with(&self, failure: Failure) -> io::Error {
        *lock(&self.0) = Some(failure.clone());
        io::Error::other(failure)
    }

    /// The server has answered as it should.
    pub(super) fn is_over(&self) {
        *lock(&self.0) = None;
    }

    pub(super) fn get(&self) -> Option<Failure> {
        lock(&self.0).clone()
    }
}
