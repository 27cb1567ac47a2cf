//! What a host tells a client before it begins.

use std::{path::PathBuf, time::Duration};

use madang_sdk_core::{Backoff, Mode, NetworkConfig, Proxy, StoreLocation};

/// Where the store lies.
#[uniffi::remote(Enum)]
pub enum StoreLocation {
    /// A file; its folder exists.
    File(PathBuf),
    /// Nowhere: gone with the client. For tests.
    Memory,
}

/// What a client is there for.
#[uniffi::remote(Enum)]
pub enum Mode {
    /// An app that is used: keeps a connection.
    Foreground,
    /// A process that the system wakes for a moment, as for a push: connects only for
    /// `sync_once`(crate::Client::sync_once), shows nothing, and keeps memory small.
    Background,
}

/// How long to wait between attempts: a random time up to `base`, doubled with each failure, up to `cap`.
#[uniffi::remote(Record)]
pub struct Backoff {
    /// Longest first wait.
    pub base: Duration,
    /// Longest wait.
    pub cap: Duration,
}

/// A proxy between the client and its server.
#[uniffi::remote(Enum)]
pub enum Proxy {
    /// None, whatever the environment says.
    None,
    /// An HTTP proxy that gives tunnels (CONNECT).
    Http {
        /// `host:port` or `http://host:port`.
        address: String,
        /// Name and secret that it wants, as in basic authentication. Never shown.
        credentials: Option<(String, String)>,
    },
    /// What `HTTPS_PROXY` (of `http://` servers `HTTP_PROXY`), `ALL_PROXY` and `NO_PROXY` say, read when the client is
    /// opened.
    Environment,
}

/// How the server is reached, beside its address.
#[uniffi::remote(Record)]
pub struct NetworkConfig {
    /// Certificates that are trusted beside those of the system, in PEM; a text may hold several. On Android they belong
    /// into the app's network security configuration instead.
    #[uniffi(default = [])]
    pub extra_roots: Vec<String>,
    /// A proxy.
    pub proxy: Proxy,
}
