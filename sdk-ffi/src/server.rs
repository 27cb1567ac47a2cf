//! What needs no client.

use madang_sdk_core::{self as core, ItemKey, Language, NetworkConfig, TimelineItem, v1::ServerInfo};

use crate::{error::ClientError, runtime::spawned};

/// What a server says about itself, asked before anybody is signed in: the issuer and the client id among it. The network is
/// how it is reached; absent: directly.
#[uniffi::export(default(network = None))]
pub async fn server_info(server: String, network: Option<NetworkConfig>) -> Result<ServerInfo, ClientError> {
    spawned(async move { core::server_info_through(&server, &network.unwrap_or_default()).await }).await
}

/// A failure as a sentence for people, without names and numbers.
#[uniffi::export]
pub fn sentence_of(failure: core::ClientError, language: Language) -> String {
    failure.sentence(language).to_owned()
}

/// What an item of a timeline is recognised by, for as long as it lives.
#[uniffi::export]
pub fn timeline_item_key(item: TimelineItem) -> ItemKey {
    item.key()
}
