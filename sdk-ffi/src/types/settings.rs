//! The settings of a client, without the clock that only tests give it.

use madang_sdk_core::{self as core, Backoff, Mode, NetworkConfig, StoreLocation};

use crate::error::ClientError;

/// What a host tells the client before it begins. Server and store are enough.
#[derive(Debug, uniffi::Record)]
pub struct ClientConfig {
    /// `http://host:port` or `https://host`; nothing else is needed.
    pub server: String,
    /// Where the store lies; one store belongs to one person on one server.
    pub store: StoreLocation,
    /// How the server is reached; absent: directly.
    #[uniffi(default = None)]
    pub network: Option<NetworkConfig>,
    /// What the client is there for; absent: for the foreground.
    #[uniffi(default = None)]
    pub mode: Option<Mode>,
    /// Encrypts the store: 32 random bytes, which the host keeps where the system keeps secrets. A store is made with a key
    /// or without, and stays so. Only in libraries that are built for it.
    #[uniffi(default = None)]
    pub key: Option<Vec<u8>>,
    /// Language of texts that the server makes, as in `ko`; absent: `en`.
    #[uniffi(default = None)]
    pub language: Option<String>,
    /// Operating system, shown in the list of devices; absent: as the system says.
    #[uniffi(default = None)]
    pub platform: Option<String>,
    /// Version of the app, shown in the list of devices; absent: that of this library.
    #[uniffi(default = None)]
    pub app_version: Option<String>,
    /// Id of the installation; else made once and kept in the store.
    #[uniffi(default = None)]
    pub device_id: Option<String>,
    /// Waits between attempts; absent: up to half a second at first, up to a minute later.
    #[uniffi(default = None)]
    pub backoff: Option<Backoff>,
}

impl TryFrom<ClientConfig> for core::ClientConfig {
    type Error = ClientError;

    fn try_from(given: ClientConfig) -> Result<Self, ClientError> {
        let ClientConfig { server, store, network, mode, key, language, platform, app_version, device_id, backoff } =
            given;
        let usual = Self::new(server, store);
        let mut config = Self {
            network: network.unwrap_or_default(),
            mode: mode.unwrap_or_default(),
            language: language.unwrap_or(usual.language),
            platform: platform.unwrap_or(usual.platform),
            app_version: app_version.unwrap_or(usual.app_version),
            device_id,
            backoff: backoff.unwrap_or(usual.backoff),
            ..usual
        };
        if let Some(key) = key {
            encrypt(&mut config, key)?;
        }
        Ok(config)
    }
}

#[cfg(feature = "encryption")]
fn encrypt(config: &mut core::ClientConfig, key: Vec<u8>) -> Result<(), ClientError> {
    let wrong = |key: Vec<u8>| ClientError::invalid(format!("a store's key has 32 bytes, not {}", key.len()));
    config.key = Some(core::StoreKey::new(key.try_into().map_err(wrong)?));
    Ok(())
}

#[cfg(not(feature = "encryption"))]
fn encrypt(_: &mut core::ClientConfig, _: Vec<u8>) -> Result<(), ClientError> {
    Err(ClientError::invalid("this library is built without encryption of the store"))
}
