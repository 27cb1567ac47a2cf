//! The way between a device and its server: a TCP proxy that can be led elsewhere, cut, made deaf, late or slow.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

use crate::stage::Addresses;

/// Bytes moved at once.
const CHUNK: usize = 16 * 1024;
/// Connections of one device at a time; a core has one, and a second while it changes.
const CONNECTIONS: usize = 32;

/// What happens to bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They pass.
    Open,
    /// They vanish, and nobody is told. A connection that has lost bytes never delivers another.
    Swallow,
    /// They pass later.
    Delay(Duration),
    /// So many pass a second.
    Throttle(u32),
}

/// What a connection looks at.
#[derive(Debug, Clone, Copy)]
struct State {
    mode: Mode,
    /// Connections of an earlier number are cut.
    cuts: u64,
    node: usize,
}

/// A proxy of one device.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// Starts a proxy to a server.
    pub async fn start(addresses: Addresses, node: usize) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(watch::Sender::new(State { mode: Mode::Open, cuts: 0, node }));
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, addresses, Arc::clone(&state)));
        Ok(Self { address, state, _accepting: accepting })
    }

    /// Where the device finds its server, always.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same for another protocol.
    pub fn url_of(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// Changes what happens to bytes.
    pub fn set(&self, mode: Mode) {
        self.state.send_modify(|state| state.mode = mode);
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Leads to another server; open connections are cut.
    pub fn lead_to(&self, node: usize) {
        self.state.send_modify(|state| {
            state.node = node;
            state.cuts += 1;
        });
    }
}

async fn accept(listener: TcpListener, addresses: Addresses, state: Arc<watch::Sender<State>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => {
                let Ok((device, _)) = accepted else { continue };
                // A server that is down refuses: the device's connection is closed at once.
                if let Some(server) = addresses.of(state.borrow().node) {
                    connections.spawn(join(device, server, state.subscribe()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves a connection to its end.
async fn join(device: TcpStream, server: SocketAddr, state: watch::Receiver<State>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    device.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let (from_device, to_device) = device.into_split();
    let (from_server, to_server) = server.into_split();
    let mut cut = state.clone();
    let cuts = cut.borrow().cuts;
    let up = pump(from_device, to_server, state.clone());
    let down = pump(from_server, to_device, state);
    tokio::select! {
        // Whoever ends ends both: half a connection is of no use to HTTP/2.
        () = up => {}
        () = down => {}
        _ = cut.wait_for(|state| state.cuts != cuts) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: watch::Receiver<State>) {
    let mut buffer = vec![0; CHUNK];
    let mut lost = false;
    loop {
        let mode = state.borrow().mode;
        let most = match mode {
            Mode::Throttle(bytes) => usize::try_from(bytes / 10).unwrap_or(CHUNK).clamp(1, CHUNK),
            _ => CHUNK,
        };
        let Ok(count) = from.read(&mut buffer[..most]).await else { return };
        // The mode may have changed while nothing came.
        let mode = state.borrow().mode;
        lost |= mode == Mode::Swallow;
        if lost {
            if count == 0 {
                // The end vanishes too.
                std::future::pending::<()>().await;
            }
            continue;
        }
        match mode {
            Mode::Delay(delay) => tokio::time::sleep(delay).await,
            Mode::Throttle(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            Mode::Open | Mode::Swallow => {}
        }
        if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
