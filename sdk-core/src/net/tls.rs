//! TLS: rustls, with the certificates that the system trusts and those of the host.

use std::{
    fmt, io,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{Request, header::DATE};
use http_body_util::Empty;
use hyper::{body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    CertificateError, ClientConfig,
    client::danger::ServerCertVerifier,
    crypto::{CryptoProvider, KeyProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    sign::SigningKey,
    time_provider::TimeProvider,
};
use rustls_platform_verifier::Verifier;
use tokio::{net::TcpStream, task::JoinSet};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::Failure;
use crate::{
    clock::Clock,
    error::{ClientError, ClientErrorKind, LocalReason},
};

/// 1 November 2026, a day before this version was made, in hours since 1970: a clock that says less is wrong. Raised with
/// each release.
const MADE: Duration = Duration::from_hours(498_192);

/// How connections to a server are secured.
#[derive(Clone)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    verifier: Arc<dyn ServerCertVerifier>,
    name: ServerName<'static>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Certificates are looked at with the client's clock.
#[derive(Debug)]
struct Now(Arc<dyn Clock>);

impl TimeProvider for Now {
    fn current_time(&self) -> Option<UnixTime> {
        self.0.now().duration_since(UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

/// Certificates are looked at as if it were another time.
#[derive(Debug)]
struct At(UnixTime);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}

impl Tls {
    /// Fails when the host's roots are no certificates or the name is none.
    pub(super) fn new(host: &str, extra_roots: &[String], clock: Arc<dyn Clock>) -> Result<Self, ClientError> {
        let address = |error: &dyn fmt::Display| {
            let message = format!("the server's address {host:?}: {error}");
            ClientError::local(ClientErrorKind::Invalid, LocalReason::AddressInvalid, message)
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| address(&error))?;
        let verifier: Arc<dyn ServerCertVerifier> = Arc::new(verifier(roots(extra_roots)?)?);
        let config = config(Arc::clone(&verifier), Arc::new(Now(Arc::clone(&clock)))).map_err(|e| address(&e))?;
        Ok(Self { config, verifier, name, clock })
    }

    /// Secures a socket.
    pub(super) async fn secure(&self, socket: TcpStream) -> Result<TlsStream<TcpStream>, TlsFailure> {
        TlsConnector::from(Arc::clone(&self.config)).connect(self.name.clone(), socket).await.map_err(TlsFailure)
    }

    /// Whether a certificate is refused for its time because of our clock: it says less than this version's day, or the
    /// server, asked over a second socket for nothing but its time, has one at which the certificate is good. What it says
    /// serves for the wording only.
    pub(super) async fn is_our_clock_wrong(
        &self,
        bounds: &Bounds,
        socket: impl Future<Output = Result<TcpStream, Failure>>,
    ) -> bool {
        let now = self.clock.now();
        if now < UNIX_EPOCH + MADE {
            return true;
        }
        let Ok(socket) = socket.await else { return false };
        self.date(bounds.good, socket).await.is_some_and(|date| bounds.hold(date))
    }

    /// The server's time.
    async fn date(&self, good: UnixTime, socket: TcpStream) -> Option<SystemTime> {
        let config = config(Arc::clone(&self.verifier), Arc::new(At(good))).ok()?;
        let stream = TlsConnector::from(config).connect(self.name.clone(), socket).await.ok()?;
        let (mut sender, connection) =
            http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), TokioIo::new(stream)).await.ok()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        let request = Request::get(format!("https://{}/", self.name.to_str())).body(Empty::new()).ok()?;
        let answer = sender.send_request(request).await.ok()?;
        httpdate::parse_http_date(answer.headers().get(DATE)?.to_str().ok()?).ok()
    }
}

/// When a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// A moment at which it is.
    good: UnixTime,
    /// It begins here.
    from: Option<UnixTime>,
    /// It ends here.
    to: Option<UnixTime>,
}

impl Bounds {
    fn hold(&self, date: SystemTime) -> bool {
        let Ok(date) = date.duration_since(UNIX_EPOCH) else { return false };
        let date = UnixTime::since_unix_epoch(date);
        self.from.is_none_or(|from| from <= date) && self.to.is_none_or(|to| date <= to)
    }
}

/// Why there is no TLS.
#[derive(Debug)]
pub(super) struct TlsFailure(io::Error);

impl TlsFailure {
    fn error(&self) -> Option<&rustls::Error> {
        self.0.get_ref()?.downcast_ref()
    }

    /// What is known of a certificate that was refused for its time.
    pub(super) fn bounds(&self) -> Option<Bounds> {
        match self.error()? {
            rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after: to, .. }) => {
                Some(Bounds { good: *to, from: None, to: Some(*to) })
            }
            rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before: from, .. }) => {
                Some(Bounds { good: *from, from: Some(*from), to: None })
            }
            _ => None,
        }
    }
}

impl From<TlsFailure> for Failure {
    fn from(failure: TlsFailure) -> Self {
        match failure.error() {
            Some(error) => Self::of_tls(error),
            None => Self::new(LocalReason::Unreachable, format!("TLS: {}", failure.0)),
        }
    }
}

/// What signs, for whoever shows a certificate of their own: nobody does here, so that none of it is in the library.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General("this client has no keys".into()))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { key_provider: &NoKeys, ..ring::default_provider() })
}

fn config(
    verifier: Arc<dyn ServerCertVerifier>,
    time: Arc<dyn TimeProvider>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut config = ClientConfig::builder_with_details(provider(), time)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

fn roots(pems: &[String]) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let invalid = |message: String| ClientError::local(ClientErrorKind::Invalid, LocalReason::RootsInvalid, message);
    let mut roots = Vec::new();
    for pem in pems {
        let before = roots.len();
        for root in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.push(root.map_err(|error| invalid(format!("an extra root: {error}")))?);
        }
        if roots.len() == before {
            return Err(invalid("an extra root holds no certificate in PEM".into()));
        }
    }
    Ok(roots)
}

/// The system's verifier, which trusts the host's roots beside its own.
fn verifier(roots: Vec<CertificateDer<'static>>) -> Result<Verifier, ClientError> {
    let invalid = |error: rustls::Error| {
        ClientError::local(ClientErrorKind::Invalid, LocalReason::RootsInvalid, error.to_string())
    };
    #[cfg(target_os = "android")]
    if !roots.is_empty() {
        let message = "on Android extra roots belong into the app's network security configuration";
        return Err(ClientError::local(ClientErrorKind::Invalid, LocalReason::RootsInvalid, message));
    }
    #[cfg(target_os = "android")]
    return Verifier::new(provider()).map_err(invalid);
    #[cfg(not(target_os = "android"))]
    Verifier::new_with_extra_roots(roots, provider()).map_err(invalid)
}
