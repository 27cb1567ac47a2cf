//! Device sessions and the server's limits, as the contract has them.

use std::time::Duration;

use madang_proto::{
    REQUEST_BYTES,
    v1::{DeviceSession, ServerInfo, ServerLimits},
};

use crate::{config::Config, realtime::wire::timestamp, sessions::store};

/// Most characters and bytes of a message's text, as `message.proto` limits them.
const MESSAGE: (i32, i32) = (8_000, 32 * 1024);

/// Most cursors in a Hello, as `sync.proto` limits them.
const HELLO_CURSORS: i32 = 200;

/// A device session; `live` says whether it has a stream here.
pub fn device_session(session: store::DeviceSession, live: bool) -> DeviceSession {
    DeviceSession {
        user_id: session.user_id.to_string(),
        device_id: session.device_id.to_string(),
        sid: session.sid,
        platform: session.platform,
        app_version: session.app_version,
        address: session.address,
        user_agent: session.user_agent,
        created_at: Some(timestamp(session.created_at)),
        last_seen_at: Some(timestamp(session.last_seen_at)),
        live,
        revoked_at: session.revoked_at.map(timestamp),
    }
}

/// What the server says about itself.
pub(super) fn server_info(config: &Config, epoch: String) -> ServerInfo {
    ServerInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        epoch,
        issuer: config.issuer.clone(),
        client_id: config.client_id.clone(),
        limits: Some(server_limits(config)),
        features: Vec::new(),
    }
}

/// The limits in force; Welcome says them too.
pub fn server_limits(config: &Config) -> ServerLimits {
    let number = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
    ServerLimits {
        message_characters: MESSAGE.0,
        message_bytes: MESSAGE.1,
        request_bytes: i32::try_from(REQUEST_BYTES).unwrap_or(i32::MAX),
        group_members: number(config.group_members),
        open_members: number(config.open_members),
        rooms_per_person: number(config.rooms_per_person),
        hello_cursors: HELLO_CURSORS,
        large_room_members: number(config.large_room_members),
        heartbeat: Some(duration(config.heartbeat)),
    }
}

fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(duration).unwrap_or_default()
}
