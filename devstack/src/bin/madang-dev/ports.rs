//! Which ports a dev stack takes.
//!
//! The same ones as the last time where they are free: the issuer's address is part of every token, and people's tools
//! remember the server's.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// How far to look for a free port.
const TRIES: u16 = 200;

/// The ports of a dev stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) grpc: u16,
    pub(crate) issuer: u16,
    pub(crate) admin: u16,
    pub(crate) postgres: u16,
}

/// The ports of a stack that never ran.
const FIRST: Ports = Ports { grpc: 7080, issuer: 7081, admin: 7082, postgres: 7083 };

/// The ports somebody asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wishes {
    pub(crate) grpc: Option<u16>,
    pub(crate) issuer: Option<u16>,
    pub(crate) admin: Option<u16>,
    pub(crate) postgres: Option<u16>,
}

/// Waits until no other dev stack is starting: between finding a port free and taking it, another could take it.
///
/// The value is to be held until all ports are taken. The kernel frees it when the process dies.
pub(crate) async fn turn() -> Result<File> {
    let path = std::env::temp_dir().join("madang-dev-ports.lock");
    // Whoever was here first owns the file; for a lock, reading is enough.
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(_) => File::create(&path).with_context(|| format!("create {}", path.display()))?,
    };
    while file.try_lock().is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(file)
}

/// Finds free ports, and remembers them in `file`. A port that was asked for and is taken is an error.
pub(crate) fn choose(wishes: Wishes, file: &Path) -> Result<Ports> {
    let last = std::fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or(FIRST);
    let mut held = Vec::new();
    let mut take = |wish, last, option| -> Result<u16> {
        let socket = free(wish, last).with_context(|| format!("--{option}"))?;
        let port = socket.local_addr()?.port();
        held.push(socket); // so that the next one does not get it
        Ok(port)
    };
    let ports = Ports {
        grpc: take(wishes.grpc, last.grpc, "grpc-port")?,
        issuer: take(wishes.issuer, last.issuer, "issuer-port")?,
        admin: take(wishes.admin, last.admin, "admin-port")?,
        postgres: take(wishes.postgres, last.postgres, "postgres-port")?,
    };
    madang_devstack::files::write_private(file, &serde_json::to_vec(&ports)?)?;
    Ok(ports)
}

fn free(wish: Option<u16>, from: u16) -> Result<TcpListener> {
    if let Some(port) = wish {
        return TcpListener::bind(("127.0.0.1", port)).with_context(|| format!("port {port} cannot be taken"));
    }
    for port in from..from.saturating_add(TRIES) {
        if let Ok(socket) = TcpListener::bind(("127.0.0.1", port)) {
            return Ok(socket);
        }
    }
    bail!("no port is free from {from} on; name one");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_passed_over_unless_it_was_asked_for() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_ne!(free(None, port).unwrap().local_addr().unwrap().port(), port);
        assert!(free(Some(port), port).is_err());
    }
}
