//! What answers at an address, in the tests.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::clock::{Clock as _, SystemClock};

/// Serves every connection to a port of the loopback.
pub(super) async fn serve<F: Future<Output = io::Result<()>> + Send>(
    each: impl Fn(TcpStream) -> F + Clone + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let each = each.clone();
            tokio::spawn(async move { each(socket).await });
        }
    });
    address
}

/// Answers every call of HTTP/2 like this.
async fn http2<S>(
    stream: S,
    answer: impl Fn() -> Response<http_body_util::combinators::BoxBody<Bytes, Infallible>> + Copy + Send + Sync + 'static,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |_: Request<Incoming>| async move { Ok::<_, Infallible>(answer()) });
    http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(io::Error::other)
}

/// Answers every call with an empty message, as Madang would.
pub(super) async fn grpc<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(stream: S) -> io::Result<()> {
    let answer = || {
        let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]);
        let body = Full::new(Bytes::from_static(&[0; 5])).with_trailers(std::future::ready(Some(Ok(trailers))));
        Response::builder().header("content-type", "application/grpc").body(body.boxed()).unwrap()
    };
    http2(stream, answer).await
}

/// Speaks HTTP/2, and never answers a call.
pub(super) async fn hangs<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(stream: S) -> io::Result<()> {
    let service =
        service_fn(|_: Request<Incoming>| std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>());
    http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(io::Error::other)
}

/// Answers every call of HTTP/2 with a page.
pub(super) async fn page<S>(stream: S, status: u16) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let body = || Full::new(Bytes::from_static(b"<html>please sign in</html>")).boxed();
    let answer = move || Response::builder().status(status).header("content-type", "text/html").body(body()).unwrap();
    http2(stream, answer).await
}

/// Says a thing to whoever says something, and closes.
pub(super) async fn says<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, what: &[u8]) -> io::Result<()> {
    let mut heard = [0; 1024];
    let _ = stream.read(&mut heard).await?;
    stream.write_all(what).await?;
    stream.shutdown().await?;
    while stream.read(&mut heard).await? > 0 {}
    Ok(())
}

/// Listens, and says nothing for as long as the other side is there.
pub(super) async fn is_silent(mut socket: TcpStream) -> io::Result<()> {
    let mut heard = [0; 1024];
    while socket.read(&mut heard).await? > 0 {}
    Ok(())
}

/// A proxy that lets those through who know its secret.
pub(super) async fn proxy(mut socket: TcpStream, secret: &str) -> io::Result<()> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(char::from(socket.read_u8().await?));
    }
    if !head.contains(secret) {
        return socket.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    }
    let mut server = TcpStream::connect(head.split(' ').nth(1).unwrap_or_default()).await?;
    socket.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    copy_bidirectional(&mut socket, &mut server).await.map(drop)
}

/// Somebody who signs certificates.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    pub(super) pem: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for a name, good between two times; this many hours before and after now.
    pub(super) fn certificate(&self, name: &str, before: i64, after: i64) -> Certificate {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (in_hours(-before).into(), in_hours(after).into());
        let key = KeyPair::generate().unwrap();
        Certificate::new(params.signed_by(&key, &self.issuer).unwrap(), &key)
    }
}

fn in_hours(hours: i64) -> SystemTime {
    let (now, by) = (SystemClock.now(), Duration::from_hours(hours.unsigned_abs()));
    if hours < 0 { now - by } else { now + by }
}

/// A certificate with its key.
#[derive(Clone)]
pub(super) struct Certificate(TlsAcceptor);

impl Certificate {
    fn new(certificate: rcgen::Certificate, key: &KeyPair) -> Self {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.into()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self(TlsAcceptor::from(Arc::new(config)))
    }

    /// One that nobody has signed.
    pub(super) fn of_nobody(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        Self::new(params.self_signed(&key).unwrap(), &key)
    }

    /// The same for HTTP/1 only.
    pub(super) fn for_http1(self) -> Self {
        let mut config = ServerConfig::clone(self.0.config());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(TlsAcceptor::from(Arc::new(config)))
    }

    /// The same of a server that agrees on nothing beforehand.
    pub(super) fn without_protocols(self) -> Self {
        let mut config = ServerConfig::clone(self.0.config());
        config.alpn_protocols.clear();
        Self(TlsAcceptor::from(Arc::new(config)))
    }

    pub(super) async fn accept(&self, socket: TcpStream) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
        self.0.accept(socket).await
    }

    /// Serves gRPC with it.
    pub(super) async fn serve(self) -> SocketAddr {
        serve(move |socket| {
            let certificate = self.clone();
            async move { grpc(certificate.accept(socket).await?).await }
        })
        .await
    }
}
