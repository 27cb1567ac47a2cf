//! A database that takes its time over one thing: it lets whoever begins a transaction wait, and tells when somebody does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
    task::JoinSet,
};

/// Bytes that are passed on at once.
const CHUNK: usize = 16 * 1024;

/// Passes connections on to the database; ends with the value.
#[derive(Debug)]
pub struct SlowDatabase {
    /// The database's address, through this.
    pub url: String,
    begun: watch::Receiver<u64>,
    _passing: JoinSet<()>,
}

impl SlowDatabase {
    /// Stands in front of a database; its answer to the beginning of a transaction takes so much longer.
    pub async fn before(url: &str, delay: Duration) -> Self {
        let (front, rest) = url.rsplit_once('@').expect("a user and a host");
        let (host, name) = rest.split_once('/').expect("a host and a database");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let here = listener.local_addr().expect("an address");
        let (tell, begun) = watch::channel(0);
        let mut passing = JoinSet::new();
        passing.spawn(accept(listener, host.to_owned(), delay, tell));
        Self { url: format!("{front}@{here}/{name}"), begun, _passing: passing }
    }

    /// Changes whenever a transaction is about to begin.
    pub fn begun(&self) -> watch::Receiver<u64> {
        self.begun.clone()
    }
}

async fn accept(listener: TcpListener, host: String, delay: Duration, tell: watch::Sender<u64>) {
    let mut connections = JoinSet::new();
    let tell = Arc::new(tell);
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect(&host).await else { continue };
        client.set_nodelay(true).expect("small packets");
        server.set_nodelay(true).expect("small packets");
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let begins = Arc::new(AtomicBool::default());
        connections.spawn(ask(from_client, to_server, Arc::clone(&begins), Arc::clone(&tell)));
        connections.spawn(answer(from_server, to_client, begins, delay));
    }
}

async fn ask(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    begins: Arc<AtomicBool>,
    tell: Arc<watch::Sender<u64>>,
) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        let said = &chunk[..count];
        if said.windows(5).any(|word| word.eq_ignore_ascii_case(b"begin")) {
            begins.store(true, Ordering::Release);
            tell.send_modify(|begun| *begun += 1);
        }
        if to.write_all(said).await.is_err() {
            return;
        }
    }
}

async fn answer(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, begins: Arc<AtomicBool>, delay: Duration) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        if begins.swap(false, Ordering::AcqRel) {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&chunk[..count]).await.is_err() {
            return;
        }
    }
}
