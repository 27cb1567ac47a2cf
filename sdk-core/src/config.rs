//! What a host tells the client before it begins.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    clock::{Clock, SystemClock},
    error::ClientError,
};

/// Where the store lies.
#[derive(Debug, Clone)]
pub enum StoreLocation {
    /// A file; its folder exists.
    File(PathBuf),
    /// Nowhere: gone with the client. For tests.
    Memory,
}

/// What a client is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// An app that is used: keeps a connection.
    #[default]
    Foreground,
    /// A process that the system wakes for a moment, as for a push: connects only for
    /// [`sync_once`](crate::Client::sync_once), shows nothing, and keeps memory small.
    Background,
}

/// The key of an encrypted store: 32 random bytes, which the host keeps where the system keeps secrets. Never shown.
#[cfg(feature = "encryption")]
#[derive(Clone, PartialEq, Eq)]
pub struct StoreKey([u8; 32]);

#[cfg(feature = "encryption")]
impl StoreKey {
    /// A key of these bytes, used as they are: what a person can remember is none.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// As `SQLCipher` takes a key that is not to be stretched.
    pub(crate) fn literal(&self) -> String {
        use fmt::Write as _;
        let mut hex = String::with_capacity(67);
        for byte in self.0 {
            // Writing into a text does not fail.
            let _ = write!(hex, "{byte:02x}");
        }
        format!("x'{hex}'")
    }
}

#[cfg(feature = "encryption")]
impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(..)")
    }
}

/// How long to wait between attempts: a random time up to `base`, doubled with each failure, up to `cap`.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// Longest first wait.
    pub base: Duration,
    /// Longest wait.
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_millis(500), cap: Duration::from_mins(1) }
    }
}

impl Backoff {
    /// The wait before the attempt after `failures` failures, with full jitter.
    pub(crate) fn delay(&self, failures: u32) -> Duration {
        self.part(failures, rand::random())
    }

    /// A part of the longest wait, between 0 and 1.
    pub(crate) fn part(&self, failures: u32, part: f64) -> Duration {
        let most = self.base.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(self.cap);
        most.mul_f64(part)
    }
}

/// A proxy between the client and its server.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Proxy {
    /// None, whatever the environment says.
    #[default]
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

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Http { address, .. } => f.debug_struct("Http").field("address", address).finish_non_exhaustive(),
            Self::Environment => f.write_str("Environment"),
        }
    }
}

/// How the server is reached, beside its address.
#[derive(Debug, Clone, Default)]
pub struct NetworkConfig {
    /// Certificates that are trusted beside those of the system, in PEM; a text may hold several. On Android they belong
    /// into the app's network security configuration instead.
    pub extra_roots: Vec<String>,
    /// A proxy.
    pub proxy: Proxy,
}

/// What a host tells the client before it begins.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// `http://host:port` or `https://host`; nothing else is needed.
    pub server: String,
    /// How it is reached.
    pub network: NetworkConfig,
    /// Where the store lies; one store belongs to one person on one server.
    pub store: StoreLocation,
    /// What the client is there for.
    pub mode: Mode,
    /// Encrypts the store. A store is made with a key or without, and stays so.
    #[cfg(feature = "encryption")]
    pub key: Option<StoreKey>,
    /// Language of texts that the server makes, as in `ko`.
    pub language: String,
    /// Operating system, shown in the list of devices.
    pub platform: String,
    /// Version of the app, shown in the list of devices.
    pub app_version: String,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Id of the installation; else made once and kept in the store.
    pub device_id: Option<String>,
    /// Waits between attempts.
    pub backoff: Backoff,
    /// The rule that is taken out.
    #[cfg(feature = "sabotage")]
    pub without: Option<crate::sabotage::Guard>,
}

impl ClientConfig {
    /// The usual settings.
    pub fn new(server: impl Into<String>, store: StoreLocation) -> Self {
        Self {
            server: server.into(),
            network: NetworkConfig::default(),
            store,
            mode: Mode::default(),
            #[cfg(feature = "encryption")]
            key: None,
            language: "en".into(),
            platform: std::env::consts::OS.into(),
            app_version: env!("CARGO_PKG_VERSION").into(),
            clock: Arc::new(SystemClock),
            device_id: None,
            backoff: Backoff::default(),
            #[cfg(feature = "sabotage")]
            without: None,
        }
    }
}

/// Where access tokens come from. The host keeps them; the client asks before each call.
#[async_trait]
pub trait TokenProvider: Send + Sync + fmt::Debug {
    /// A token that is good now: plain ASCII, at most 20 s after it was asked for. `fresh`: the last one was refused or is
    /// about to end. An error of the kind `Unauthenticated` says that the person must sign in again; after any other the
    /// client asks again by and by. It may block: that costs one thread, and while it does not come back every 20 s an error
    /// of whatever wants a token, and nothing else; what needs no server goes on.
    async fn token(&self, fresh: bool) -> Result<String, ClientError>;
}
