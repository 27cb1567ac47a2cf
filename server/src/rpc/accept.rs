//! The accept loop, and what holds for each connection.
//!
//! Always true: connections are bounded in all and by address; one that says nothing is closed, and so is one that says too much
//! that is no call (`heard`); one that has reached its age, or whose node stops, is asked to go and cut some time later. tonic's own server takes hyper's limits away (50,000 half-open
//! streams took 427 MB), so they are set here.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::{Service, ServiceExt as _};

use super::{Request, Response, count::Counts, heard::Heard};
use crate::{config::Config, limits::ConnectionAge};

/// How long a new connection may take to speak TLS, and then to say its first words.
const FIRST_WORDS: Duration = Duration::from_secs(10);

/// The first words of HTTP/2 (RFC 9113 3.4); no request of HTTP/1.1 is shorter.
const FIRST_BYTES: usize = 24;

/// How long the streams of an aged connection have to end.
const AFTER_AGE: Duration = Duration::from_secs(30);

/// Pause when the machine has no file descriptors left.
const AFTER_ERROR: Duration = Duration::from_millis(50);

/// HTTP/2 pings of a silent peer, and how long it may take to answer.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));

/// Bytes of headers (contract: 16 KiB).
const HEADER_BYTES: u32 = 16 * 1024;

/// Bytes that a peer may send ahead: in one stream, in one connection. A request is small and mostly one frame.
const WINDOWS: (u32, u32) = (64 * 1024, 1024 * 1024);

/// Bytes of one stream that wait in h2.
const SEND_BYTES: usize = 64 * 1024;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
}

/// What answers requests.
pub trait Front:
    Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> Front for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

/// What all connections share.
struct Shared<F> {
    front: F,
    builder: Builder<TokioExecutor>,
    tls: Option<TlsAcceptor>,
    config: Arc<Config>,
    counts: Arc<Counts>,
    stop: CancellationToken,
}

/// Serves until `stop`, and then until all calls have ended, but no longer than the settings say.
pub async fn serve(
    front: impl Front,
    config: Arc<Config>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
) {
    let shared = Arc::new(Shared {
        front,
        builder: builder(&config),
        tls,
        counts: Arc::new(Counts::new(config.connections, config.connections_per_address)),
        config: Arc::clone(&config),
        stop: stop.clone(),
    });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => accept(&shared, &mut connections, stream, peer),
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    sleep(AFTER_ERROR).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(config.drain_timeout, all).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections were cut at the end of the drain");
    }
}

fn accept(shared: &Arc<Shared<impl Front>>, connections: &mut JoinSet<()>, stream: TcpStream, peer: SocketAddr) {
    let Some(counted) = shared.counts.take(peer.ip().to_canonical()) else {
        metrics::counter!("madang_connections_refused_total").increment(1);
        return;
    };
    let shared = Arc::clone(shared);
    connections.spawn(async move {
        // Small frames must not wait for each other.
        let _ = stream.set_nodelay(true);
        let peer = Peer { address: peer.ip().to_canonical() };
        match shared.tls.clone() {
            None => serve_one(&shared, stream, peer).await,
            Some(tls) => {
                if let Ok(Ok(stream)) = timeout(FIRST_WORDS, tls.accept(stream)).await {
                    // Apart, so that a plaintext connection is not as large as one with TLS.
                    Box::pin(serve_one(&shared, stream, peer)).await;
                }
            }
        }
        drop(counted);
    });
}

async fn serve_one(shared: &Shared<impl Front>, stream: impl AsyncRead + AsyncWrite + Unpin + 'static, peer: Peer) {
    let aged = ConnectionAge::default();
    let front = shared.front.clone();
    let in_request = aged.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        request.extensions_mut().insert(in_request.clone());
        front.clone().oneshot(request)
    });
    let heard = Arc::new(AtomicUsize::new(0));
    let stream = Heard::new(stream, Arc::clone(&heard));
    let mut connection = pin!(shared.builder.serve_connection(TokioIo::new(stream), service));
    let born = Instant::now();
    let leaves = age(&shared.config).map(|age| born + age);
    let mut spoke = false;
    loop {
        tokio::select! {
            // Errors are the peer's: a reset, a broken frame.
            _ = connection.as_mut() => return,
            () = sleep_until(born + FIRST_WORDS), if !spoke => {
                spoke = true;
                if heard.load(Ordering::Relaxed) < FIRST_BYTES {
                    return;
                }
            }
            () = until(leaves) => {
                aged.end();
                connection.as_mut().graceful_shutdown();
                let _ = timeout(AFTER_AGE, connection).await;
                return;
            }
            () = shared.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
                return;
            }
        }
    }
}

/// The age at which a connection is asked to go, a tenth more or less, so that those of one moment do not go in one moment.
fn age(config: &Config) -> Option<Duration> {
    let spread = rand::random_range(0.9..1.1);
    (!config.connection_age.is_zero()).then(|| config.connection_age.mul_f64(spread))
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn builder(config: &Config) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(FIRST_WORDS).max_buf_size(HEADER_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.streams_per_connection)
        .max_local_error_reset_streams(1024)
        .max_pending_accept_reset_streams(20)
        .max_header_list_size(HEADER_BYTES)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_send_buf_size(SEND_BYTES);
    builder
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn config() -> Config {
        Config { connection_age: Duration::ZERO, ..Config::default() }
    }

    /// A server that answers with the caller's address once its connection has aged, if `late`, or at once.
    async fn start(config: Config, late: bool) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let front = tower::service_fn(move |request: Request| async move {
            let age = request.extensions().get::<ConnectionAge>().cloned().expect("put there");
            if late {
                while !age.is_over() {
                    sleep(Duration::from_secs(1)).await;
                }
            }
            Ok::<_, Infallible>(Response::new(Body::empty()))
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (address, stop) = (listener.local_addr().expect("an address"), CancellationToken::new());
        let serving = tokio::spawn(serve(front, Arc::new(config), listener, None, stop.clone()));
        (address, stop, serving)
    }

    async fn request(address: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
        stream
    }

    async fn all(mut stream: TcpStream) -> String {
        let mut text = String::new();
        // A cut may be a reset.
        let _ = stream.read_to_string(&mut text).await;
        text
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_is_closed() {
        let (address, _stop, _serving) = start(config(), false).await;
        let silent = TcpStream::connect(address).await.expect("a connection");
        assert_eq!(all(silent).await, "");
        let mut halting = TcpStream::connect(address).await.expect("a connection");
        halting.write_all(b"PRI * HT").await.expect("sent");
        assert_eq!(all(halting).await, "");
    }

    #[tokio::test(start_paused = true)]
    async fn an_aged_connection_lets_its_calls_end_and_goes() {
        let config = Config { connection_age: Duration::from_hours(1), ..config() };
        let (address, _stop, _serving) = start(config, true).await;
        let begun = Instant::now();
        let answer = all(request(address).await).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let age = begun.elapsed().as_secs();
        assert!((3240..3960).contains(&age), "{age}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_has_an_end() {
        let (address, stop, serving) = start(config(), true).await;
        let hanging = request(address).await;
        sleep(Duration::from_secs(1)).await;
        stop.cancel();
        let begun = Instant::now();
        serving.await.expect("no panic");
        assert_eq!(begun.elapsed().as_secs(), config().drain_timeout.as_secs());
        assert_eq!(all(hanging).await, "");
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
    }
}
