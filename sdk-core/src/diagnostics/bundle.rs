//! What a person sends to support: the client's state and its last events, as JSON.

use serde_json::{Value, json};

use super::{
    Counters,
    event::{Event, millis as in_ms, plain},
};
use crate::{
    client::Client,
    clock::millis,
    config::{Mode, Proxy, StoreLocation},
    engine::Inner,
    error::ClientError,
    store::{Read, meta},
};

impl Client {
    /// What the client has done since it was opened.
    pub fn counters(&self) -> Counters {
        self.inner.connection.record.counters()
    }

    /// What support wants to know, as JSON: versions, settings, numbers of the store, counters and the last 1,000 events.
    /// Holds ids, numbers, kinds and reasons; nothing that anybody wrote, no names, no tokens, no addresses. Does not fail:
    /// of a store that cannot be read it says so.
    pub async fn support_bundle(&self) -> String {
        let inner = &*self.inner;
        let store = match inner.store.read(numbers).await {
            Ok(numbers) => numbers,
            Err(error) => json!({ "unreadable": reason(&error) }),
        };
        let state = Event::of_state(&inner.state.borrow()).to_json();
        let bundle = json!({
            "core": env!("CARGO_PKG_VERSION"),
            "os": std::env::consts::OS,
            "architecture": std::env::consts::ARCH,
            "at_ms": millis(inner.config.clock.now()),
            "device_id": plain(inner.connection.device_id()),
            "user_id": inner.me.borrow().as_deref().and_then(plain),
            "settings": settings(inner),
            "now": state,
            "rooms_on_the_screen": inner.focused().iter().filter_map(|id| plain(id)).collect::<Vec<_>>(),
            "store": store,
            "counters": self.counters().to_json(),
            "events": inner.connection.record.events(),
        });
        bundle.to_string()
    }
}

fn reason(error: &ClientError) -> String {
    error.local.map_or_else(|| format!("{:?}", error.kind), |local| format!("{local:?}"))
}

/// The settings, as far as they name nobody.
fn settings(inner: &Inner) -> Value {
    let config = &inner.config;
    json!({
        "mode": match config.mode { Mode::Foreground => "foreground", Mode::Background => "background" },
        "tls": config.server.starts_with("https:"),
        "extra_roots": config.network.extra_roots.len(),
        "proxy": match config.network.proxy {
            Proxy::None => "none",
            Proxy::Http { .. } => "http",
            Proxy::Environment => "environment",
        },
        "store": match config.store { StoreLocation::File(_) => "file", StoreLocation::Memory => "memory" },
        "backoff_ms": [in_ms(config.backoff.base), in_ms(config.backoff.cap)],
    })
}

/// The store in numbers.
fn numbers(r: &Read<'_>) -> rusqlite::Result<Value> {
    let one = |sql: &str| r.conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    let mut rooms =
        r.conn.prepare("select room_id, rev, head_rev, seq, low_seq from rooms order by room_id limit 200")?;
    let rooms = rooms.query_map([], |row| {
        Ok(json!({
            "room_id": plain(&row.get::<_, String>(0)?), "rev": row.get::<_, i64>(1)?, "head_rev": row.get::<_, i64>(2)?,
            "seq": row.get::<_, i64>(3)?, "low_seq": row.get::<_, i64>(4)?,
        }))
    })?;
    let mut outbox = r.conn.prepare("select kind, state, reason, count(*) from outbox group by 1, 2, 3")?;
    let outbox = outbox.query_map([], |row| {
        let (kind, state, reason): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(json!({ "kind": kind, "state": state, "reason": reason, "entries": row.get::<_, i64>(3)? }))
    })?;
    Ok(json!({
        "version": one("pragma user_version")?,
        "bytes": one("pragma page_count")? * one("pragma page_size")?,
        "epoch": plain(&meta::text(r.conn, meta::EPOCH)?),
        "user_rev": meta::number(r.conn, meta::USER_REV)?,
        "watermark": meta::number(r.conn, meta::WATERMARK)?,
        "rooms": one("select count(*) from rooms")?,
        "messages": one("select count(*) from messages")?,
        "people": one("select count(*) from users where profile <> x''")?,
        "first_rooms": rooms.collect::<rusqlite::Result<Vec<_>>>()?,
        "outbox": outbox.collect::<rusqlite::Result<Vec<_>>>()?,
    }))
}
