//! A server, and the way to it.

use std::{fmt, sync::Arc, time::Duration};

use http::Uri;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{
    Failure,
    dial::{Resolver, System, dial},
    proxy::{self, ProxyRoute, bare, choose, tunnel},
    tls::Tls,
};
use crate::{
    clock::Clock,
    config::NetworkConfig,
    error::{ClientError, ClientErrorKind, LocalReason},
    observe::lock,
};

/// To open a connection, with everything that belongs to it.
const CONNECT: Duration = Duration::from_secs(10);
/// To ask a server for its time, when its certificate is refused for ours.
const ASK_TIME: Duration = Duration::from_secs(3);

/// An open connection.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// A server, and the way to it.
#[derive(Debug)]
pub(crate) struct Route {
    uri: Uri,
    host: String,
    port: u16,
    tls: Option<Tls>,
    proxy: Option<ProxyRoute>,
    resolver: Box<dyn Resolver>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Route {
    /// Fails if an address is none or the host's roots are no certificates.
    pub(crate) fn new(server: &str, network: &NetworkConfig, clock: Arc<dyn Clock>) -> Result<Self, ClientError> {
        let invalid = |error: &dyn fmt::Display| {
            let message = format!("the server's address {server:?}: {error}");
            ClientError::local(ClientErrorKind::Invalid, LocalReason::AddressInvalid, message)
        };
        let uri: Uri = server.parse().map_err(|error| invalid(&error))?;
        let usual = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => return Err(invalid(&"must begin with http:// or https://")),
        };
        let host = uri.host().map(bare).filter(|host| !host.is_empty()).ok_or_else(|| invalid(&"names no host"))?;
        let tls = usual == 443;
        let tls = tls.then(|| Tls::new(&host, &network.extra_roots, Arc::clone(&clock))).transpose()?;
        let proxy = choose(&network.proxy, &uri)?;
        let port = uri.port_u16().unwrap_or(usual);
        Ok(Self { uri, host, port, tls, proxy, resolver: Box::new(System), clock })
    }

    /// Asks somebody else for addresses.
    #[cfg(test)]
    pub(super) fn resolved_by(self, resolver: impl Resolver + 'static) -> Self {
        Self { resolver: Box::new(resolver), ..self }
    }

    /// The server's address.
    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Opens a connection, within 10 s.
    pub(super) async fn open(&self) -> Result<Box<dyn Socket>, Failure> {
        let stage = std::sync::Mutex::new(Failure::new(LocalReason::NameNotFound, "no answer to the name in time"));
        let at = |failure: Failure| *lock(&stage) = failure;
        let opened = async {
            let socket = self.socket(&at).await?;
            at(Failure::new(LocalReason::Unreachable, "no TLS in time"));
            match &self.tls {
                None => Ok(Box::new(socket) as Box<dyn Socket>),
                Some(tls) => self.secure(tls, socket).await,
            }
        };
        tokio::select! {
            opened = opened => opened,
            () = self.clock.sleep(CONNECT) => Err(lock(&stage).clone()),
        }
    }

    async fn secure(&self, tls: &Tls, socket: TcpStream) -> Result<Box<dyn Socket>, Failure> {
        let failure = match tls.secure(socket).await {
            Ok(stream) => return Ok(Box::new(stream)),
            Err(failure) => failure,
        };
        let bounds = failure.bounds();
        let failure = Failure::from(failure);
        let Some(bounds) = bounds else { return Err(failure) };
        let wrong = tokio::select! {
            wrong = tls.is_our_clock_wrong(&bounds, self.socket(&|_| ())) => wrong,
            () = self.clock.sleep(ASK_TIME) => false,
        };
        let reason = if wrong { LocalReason::ClockWrong } else { failure.reason };
        Err(Failure { reason, ..failure })
    }

    /// A socket whose other end is the server; says what it waits for.
    async fn socket(&self, at: &(dyn Fn(Failure) + Sync)) -> Result<TcpStream, Failure> {
        let (host, port) = match &self.proxy {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => (self.host.as_str(), self.port),
        };
        let no_answer = || Failure::new(LocalReason::Unreachable, "no answer in time");
        let dialled = dial(&*self.resolver, &*self.clock, host, port, &|| at(no_answer())).await;
        let Some(proxy) = &self.proxy else { return dialled };
        at(proxy::failed("no answer in time"));
        let socket = dialled.map_err(|failure| proxy::failed(&failure.message))?;
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        tunnel(socket, proxy, &format!("{host}:{}", self.port)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn route(server: &str) -> Result<Route, ClientError> {
        Route::new(server, &NetworkConfig::default(), Arc::new(SystemClock))
    }

    #[tokio::test]
    async fn an_address_is_http_or_https_and_nothing_else() {
        for (right, host, port) in [
            ("http://127.0.0.1:50051", "127.0.0.1", 50051),
            ("https://chat.example.com", "chat.example.com", 443),
            ("http://[::1]", "::1", 80),
        ] {
            let route = route(right).unwrap();
            assert_eq!((route.host.as_str(), route.port), (host, port));
        }
        for wrong in ["chat.example.com", "ftp://chat.example.com", "", "http://", "chat.example.com:443"] {
            let error = route(wrong).unwrap_err();
            let expected = (ClientErrorKind::Invalid, Some(LocalReason::AddressInvalid));
            assert_eq!((error.kind, error.local), expected, "{wrong}");
        }
    }

    #[test]
    fn roots_that_are_no_certificates_are_refused() {
        let broken = "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n";
        for roots in ["", "nonsense", broken] {
            let network = NetworkConfig { extra_roots: vec![roots.into()], ..NetworkConfig::default() };
            let error = Route::new("https://chat.example.com", &network, Arc::new(SystemClock)).unwrap_err();
            assert_eq!(error.local, Some(LocalReason::RootsInvalid), "{roots}");
        }
    }
}
