//! What a client meets at an address: real sockets, real TLS.

mod pulse;
mod servers;

use std::{
    net::{Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use madang_proto::v1::{GetServerInfoRequest, identity_service_client::IdentityServiceClient};
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::watch,
};

use self::servers::{Authority, Certificate, grpc, is_silent, page, proxy, says, serve};
use super::{
    Line, Route,
    dial::{Resolver, Resolving},
};
use crate::{
    clock::{Clock, Sleep, SystemClock, tests::MovedClock},
    config::{NetworkConfig, Proxy},
    diagnostics::Recorder,
    error::{ClientError, ClientErrorKind, LocalReason},
};

fn line(route: Route) -> Line {
    let record = Arc::new(Recorder::new(Arc::clone(&route.clock)));
    Line::new(&Arc::new(route), &record, watch::Sender::new(false).subscribe())
}

async fn ask(line: &Line) -> Result<(), ClientError> {
    let answer = IdentityServiceClient::new(line.wire()).get_server_info(GetServerInfoRequest {}).await;
    answer.map(drop).map_err(ClientError::from)
}

/// What a call to a server comes to; every failure is one that is tried again.
async fn met(server: &str, network: &NetworkConfig, clock: Arc<dyn Clock>) -> Result<(), LocalReason> {
    let met = ask(&line(Route::new(server, network, clock).unwrap())).await;
    met.map_err(|error| {
        assert!(error.kind == ClientErrorKind::Offline && error.may_repeat(), "{error}");
        error.local.unwrap_or_else(|| panic!("no reason of its own: {server} {error}"))
    })
}

async fn met_plainly(address: SocketAddr) -> Result<(), LocalReason> {
    met(&format!("http://{address}"), &NetworkConfig::default(), Arc::new(SystemClock)).await
}

/// What a client meets that trusts an authority beside the system's.
async fn met_securely(address: SocketAddr, trusted: &Authority) -> Result<(), LocalReason> {
    met_at(address, trusted, Arc::new(SystemClock)).await
}

async fn met_at(address: SocketAddr, trusted: &Authority, clock: Arc<dyn Clock>) -> Result<(), LocalReason> {
    let network = NetworkConfig { extra_roots: vec![trusted.pem.clone()], ..NetworkConfig::default() };
    met(&format!("https://localhost:{}", address.port()), &network, clock).await
}

/// Lets time pass, second by second; what is on its way over real sockets arrives in between.
async fn pass(clock: &MovedClock, time: Duration) {
    for _ in 0..time.as_secs() {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        clock.move_by(Duration::from_secs(1));
    }
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// A clock that is off by this many seconds.
#[derive(Debug)]
struct OffBy(i64);

impl Clock for OffBy {
    fn now(&self) -> SystemTime {
        let (now, by) = (SystemClock.now(), Duration::from_secs(self.0.unsigned_abs()));
        if self.0 < 0 { now - by } else { now + by }
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        SystemClock.sleep(duration)
    }
}

#[tokio::test]
async fn a_server_of_grpc_is_met_with_and_without_tls() {
    let authority = Authority::new();
    assert_eq!(met_plainly(serve(grpc).await).await, Ok(()));
    let certificate = authority.certificate("localhost", 1, 24);
    assert_eq!(met_securely(certificate.clone().serve().await, &authority).await, Ok(()));
    assert_eq!(met_securely(certificate.without_protocols().serve().await, &authority).await, Ok(()));
}

#[tokio::test]
async fn a_wrong_port_and_a_wrong_name_are_told_apart() {
    assert_eq!(met_plainly("127.0.0.1:1".parse().unwrap()).await, Err(LocalReason::Refused));
    let nowhere = met("http://nowhere.invalid", &NetworkConfig::default(), Arc::new(SystemClock)).await;
    assert_eq!(nowhere, Err(LocalReason::NameNotFound));
}

#[tokio::test]
async fn a_site_that_is_not_madang_is_called_so() {
    let not_madang = Err(LocalReason::NotMadang);
    let site = |what: &'static [u8]| serve(move |socket| says(socket, what));
    let bad_request = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/html\r\n\r\n<html>no</html>";
    assert_eq!(met_plainly(site(bad_request).await).await, not_madang);
    assert_eq!(met_plainly(site(b"SSH-2.0-OpenSSH_9.2\r\n").await).await, not_madang);
    assert_eq!(met_plainly(serve(|socket| page(socket, 404)).await).await, not_madang);
    let authority = Authority::new();
    let certificate = authority.certificate("localhost", 1, 24);
    // TLS where none was expected, whether it says so or only closes; none where it was; and TLS of a site of HTTP/1.
    assert_eq!(met_plainly(site(&[0x15, 3, 3, 0, 2, 2, 70]).await).await, not_madang);
    let tls = certificate.clone().serve().await;
    assert!(matches!(met_plainly(tls).await, Err(LocalReason::NotMadang | LocalReason::Unreachable)));
    assert_eq!(met_securely(serve(grpc).await, &authority).await, not_madang);
    assert_eq!(met_securely(certificate.for_http1().serve().await, &authority).await, not_madang);
}

#[tokio::test]
async fn a_network_that_wants_a_sign_in_is_known_by_its_redirect_or_its_page() {
    let portal = Err(LocalReason::CaptivePortal);
    let site = |what: &'static [u8]| serve(move |socket| says(socket, what));
    let redirect = b"HTTP/1.1 302 Found\r\nlocation: http://portal.example/\r\n\r\n";
    assert_eq!(met_plainly(site(redirect).await).await, portal);
    let answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html>sign in</html>";
    assert_eq!(met_plainly(site(answer).await).await, portal);
    assert_eq!(met_plainly(serve(|socket| page(socket, 302)).await).await, portal);
    let authority = Authority::new();
    let certificate = authority.certificate("localhost", 1, 24).without_protocols();
    let behind_tls = serve(move |socket| {
        let certificate = certificate.clone();
        async move { says(certificate.accept(socket).await?, redirect).await }
    });
    assert_eq!(met_securely(behind_tls.await, &authority).await, portal);
    let certificate = authority.certificate("localhost", 1, 24);
    let page_behind_tls = serve(move |socket| {
        let certificate = certificate.clone();
        async move { page(certificate.accept(socket).await?, 200).await }
    });
    assert_eq!(met_securely(page_behind_tls.await, &authority).await, portal);
}

#[tokio::test]
async fn a_gateway_without_a_server_behind_it_is_no_other_site() {
    assert_eq!(met_plainly(serve(|socket| page(socket, 502)).await).await, Err(LocalReason::Unreachable));
}

#[tokio::test]
async fn certificates_are_refused_for_what_is_wrong_with_them() {
    let (authority, other) = (Authority::new(), Authority::new());
    let served = |certificate: Certificate| certificate.serve();
    let expired = served(authority.certificate("localhost", 48, -24)).await;
    assert_eq!(met_securely(expired, &authority).await, Err(LocalReason::CertificateExpired));
    let early = served(authority.certificate("localhost", -24, 48)).await;
    assert_eq!(met_securely(early, &authority).await, Err(LocalReason::CertificateExpired));
    let name = served(authority.certificate("chat.example.com", 1, 24)).await;
    assert_eq!(met_securely(name, &authority).await, Err(LocalReason::CertificateName));
    let untrusted = served(other.certificate("localhost", 1, 24)).await;
    assert_eq!(met_securely(untrusted, &authority).await, Err(LocalReason::CertificateUntrusted));
    let signed_by_itself = served(Certificate::of_nobody("localhost")).await;
    assert_eq!(met_securely(signed_by_itself, &authority).await, Err(LocalReason::CertificateUntrusted));
}

#[tokio::test]
async fn a_clock_that_is_two_days_off_is_to_blame_and_not_the_certificate() {
    const TWO_DAYS: i64 = 2 * 24 * 3_600;
    let authority = Authority::new();
    let server = authority.certificate("localhost", 12, 12).serve().await;
    for off_by in [-TWO_DAYS, TWO_DAYS] {
        let met = met_at(server, &authority, Arc::new(OffBy(off_by))).await;
        assert_eq!(met, Err(LocalReason::ClockWrong), "{off_by}");
    }
    // One that says 1970 is wrong, even if the server says nothing.
    let since_1970 = SystemClock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let at_the_beginning = OffBy(-i64::try_from(since_1970).unwrap());
    let certificate = authority.certificate("localhost", 12, 12);
    let says_no_time = serve(move |socket| {
        let certificate = certificate.clone();
        async move { certificate.accept(socket).await.map(drop) }
    });
    let met = met_at(says_no_time.await, &authority, Arc::new(at_the_beginning)).await;
    assert_eq!(met, Err(LocalReason::ClockWrong));
}

fn through(address: SocketAddr, credentials: Option<(&str, &str)>) -> NetworkConfig {
    let credentials = credentials.map(|(name, secret)| (name.to_owned(), secret.to_owned()));
    NetworkConfig { proxy: Proxy::Http { address: address.to_string(), credentials }, ..NetworkConfig::default() }
}

#[tokio::test]
async fn a_proxy_that_refuses_or_wants_other_credentials_is_to_blame() {
    // "ann:open sesame" in base 64.
    let gate = serve(|socket| proxy(socket, "Basic YW5uOm9wZW4gc2VzYW1l")).await;
    let server = format!("http://{}", serve(grpc).await);
    let met = async |network: NetworkConfig| met(&server, &network, Arc::new(SystemClock)).await;
    assert_eq!(met(through(gate, Some(("ann", "open sesame")))).await, Ok(()));
    assert_eq!(met(through(gate, Some(("ann", "wrong")))).await, Err(LocalReason::ProxyFailed));
    assert_eq!(met(through(gate, None)).await, Err(LocalReason::ProxyFailed));
    let refusing = serve(|socket| says(socket, b"HTTP/1.1 403 Forbidden\r\n\r\n")).await;
    assert_eq!(met(through(refusing, None)).await, Err(LocalReason::ProxyFailed));
    let no_proxy = serve(|socket| says(socket, b"220 mail.example.com ESMTP\r\n\r\n")).await;
    assert_eq!(met(through(no_proxy, None)).await, Err(LocalReason::ProxyFailed));
    assert_eq!(met(through("127.0.0.1:1".parse().unwrap(), None)).await, Err(LocalReason::ProxyFailed));
}

#[tokio::test]
async fn whoever_says_nothing_is_waited_for_ten_seconds() {
    let silent = serve(is_silent).await;
    let authority = Authority::new();
    let secure = NetworkConfig { extra_roots: vec![authority.pem.clone()], ..NetworkConfig::default() };
    let cases = [
        ("http://127.0.0.1:1".to_owned(), through(silent, None), LocalReason::ProxyFailed),
        (format!("http://{silent}"), NetworkConfig::default(), LocalReason::Unreachable),
        (format!("https://localhost:{}", silent.port()), secure, LocalReason::Unreachable),
    ];
    for (server, network, reason) in cases {
        let clock = Arc::<MovedClock>::default();
        let asking = tokio::spawn({
            let (server, clock) = (server.clone(), Arc::clone(&clock));
            async move { met(&server, &network, clock).await }
        });
        let mut waited = Duration::ZERO;
        while !asking.is_finished() {
            pass(&clock, Duration::from_secs(1)).await;
            waited += Duration::from_secs(1);
            assert!(waited < Duration::from_mins(1), "{server}");
        }
        assert!((10..=12).contains(&waited.as_secs()), "{server}: {waited:?}");
        assert_eq!(asking.await.unwrap(), Err(reason), "{server}");
    }
}

/// A name with these addresses.
#[derive(Debug)]
struct Named(Vec<SocketAddr>);

impl Resolver for Named {
    fn resolve(&self, _: String, _: u16) -> Resolving {
        let addresses = self.0.clone();
        Box::pin(async move { Ok(addresses) })
    }
}

/// An address whose host does not answer: its queue is full, so that nothing is said to whoever comes.
async fn dead(address: SocketAddr) -> std::io::Result<(SocketAddr, Vec<TcpStream>, tokio::net::TcpListener)> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    socket.bind(address)?;
    let listener = socket.listen(0)?;
    let address = listener.local_addr()?;
    let mut waiting = Vec::new();
    loop {
        tokio::select! {
            socket = TcpStream::connect(address) => waiting.push(socket?),
            () = SystemClock.sleep(Duration::from_millis(200)) => return Ok((address, waiting, listener)),
        }
    }
}

#[tokio::test]
async fn a_dead_ipv6_address_does_not_keep_from_a_live_ipv4_one() {
    let live = serve(grpc).await;
    let (dead, _full, _queue) = match dead((Ipv6Addr::LOCALHOST, 0).into()).await {
        Ok(dead) => dead,
        // A machine without IPv6.
        Err(_) => dead("127.0.0.1:0".parse().unwrap()).await.unwrap(),
    };
    let named = |addresses: Vec<SocketAddr>, clock: &Arc<MovedClock>| {
        let route = Route::new("http://chat.example.com", &NetworkConfig::default(), Arc::clone(clock) as _).unwrap();
        line(route.resolved_by(Named(addresses)))
    };
    let clock = Arc::<MovedClock>::default();
    let first = named(vec![dead, live], &clock);
    let asking = tokio::spawn(async move { ask(&first).await });
    // The wait for the whole, and that before the next address.
    clock.until_sleeping(2).await;
    clock.move_by(Duration::from_millis(249));
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    assert!(!asking.is_finished());
    clock.move_by(Duration::from_millis(1));
    asking.await.unwrap().unwrap();
    // One that refuses is not even waited for.
    ask(&named(vec!["[::1]:1".parse().unwrap(), live], &clock)).await.unwrap();
}
