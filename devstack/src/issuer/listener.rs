//! The issuer's connections: they can be cut all at once, as a network that is gone does it.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;

/// Connections at a time; more are closed at once.
const CONNECTIONS: usize = 1024;

/// Time a client has for its headers.
const HEADERS: Duration = Duration::from_secs(10);

/// Whether the issuer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Open,
    /// Keeps the port, but closes every connection without an answer.
    Cut,
    Closed,
}

/// A listening port and its connections; both end with the value.
pub(super) struct Listener {
    line: watch::Sender<Line>,
    task: tokio::task::JoinHandle<()>,
}

impl Listener {
    pub(super) fn start(socket: TcpListener, router: Router) -> Self {
        let (line, watched) = watch::channel(Line::Open);
        Self { line, task: tokio::spawn(accept(socket, router, watched)) }
    }

    pub(super) fn cut(&self) {
        self.line.send_replace(Line::Cut);
    }

    pub(super) fn mend(&self) {
        self.line.send_replace(Line::Open);
    }

    /// Closes the port and every connection, and waits until that is done.
    pub(super) async fn close(mut self) -> Result<()> {
        self.line.send_replace(Line::Closed);
        (&mut self.task).await.context("the issuer's listener failed")
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Its connections end with it: they are in its set.
        self.task.abort();
    }
}

async fn accept(socket: TcpListener, router: Router, mut line: watch::Receiver<Line>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = socket.accept() => {
                let Ok((stream, _)) = accepted else {
                    // Out of file descriptors, most likely: some come back when connections end.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                if *line.borrow() == Line::Open && connections.len() < CONNECTIONS {
                    connections.spawn(serve(stream, router.clone()));
                }
            }
            changed = line.changed() => {
                let now = *line.borrow_and_update();
                if now != Line::Open {
                    connections.shutdown().await;
                }
                if now == Line::Closed || changed.is_err() {
                    return;
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, router: Router) {
    let service = router.map_request(|request: hyper::Request<hyper::body::Incoming>| request.map(Body::new));
    let service = service.map_err(|never: Infallible| never);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    // A client that breaks off is no concern of the issuer's.
    connection.await.ok();
}
