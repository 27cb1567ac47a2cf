//! Streams that are opened in a second: the connection, sign-in and Hello of people who have missed nothing, without and with
//! TLS, until the last one is live; beside them a bare tonic server. And 20,000 of them at once: what each holds of the server,
//! and how long it takes until all are there.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use madang_devstack::server_process::Launch;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio_rustls::TlsConnector;

use crate::Plan;
use crate::crowd::{self, Crowd, Somebody};
use crate::figure::{Figure, float, median};
use crate::ground::Ground;
use crate::idle::{self, MEMBERS, ROOMS_EACH};
use crate::process::{Bare, most_connections, this_program};
use crate::storm::{held, sign_in};
use crate::streams::{self, Door, Hello, Streams};

/// Connections that the machine is to hold at once.
const MANY: usize = 20_000;

/// Streams that are opened at once.
const AT_ONCE: usize = 512;

/// Certificate and key of a server, and how its clients believe it.
pub struct Tls {
    files: [String; 2],
    connector: TlsConnector,
}

impl Tls {
    /// A certificate of its own for 127.0.0.1.
    pub fn make(plan: &Plan) -> Result<Self> {
        let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let files = ["certificate.pem", "key.pem"].map(|name| plan.folder.join(name));
        fs::write(&files[0], certified.cert.pem())?;
        fs::write(&files[1], certified.signing_key.serialize_pem())?;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(certified.cert.pem().as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = versions.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        // Everybody comes for the first time, as from machines of their own.
        config.resumption = rustls::client::Resumption::disabled();
        let files = files.map(|path| path.display().to_string());
        Ok(Self { files, connector: TlsConnector::from(Arc::new(config)) })
    }

    /// The server with this certificate.
    pub fn launch(&self, launch: &Launch) -> Launch {
        let [certificate, key] = &self.files;
        launch.clone().with("MADANG_TLS_CERTIFICATE", certificate).with("MADANG_TLS_KEY", key)
    }

    /// Where it listens.
    pub fn door(&self, address: std::net::SocketAddr) -> Door {
        Door::with_tls(address, self.connector.clone())
    }
}

pub async fn measure(plan: &Plan, ground: &Ground) -> Result<Vec<Figure>> {
    let many = MANY.min(most_connections()) / MEMBERS * MEMBERS;
    let some = plan.connections.min(many);
    ensure!(some > 0, "connections needs more files than it may open");
    plan.say(&format!("\nconnections: making {many} people"));
    let url = ground.database("bench_connections").await?;
    let crowd = Crowd::gather(ground, &url, many).await?;
    let rooms = many * ROOMS_EACH / MEMBERS;
    crowd::insert_rooms(&url, rooms, |room| crowd::circle(room, MEMBERS, many)).await?;
    let (launch, tls) = (streams::launch(plan, &url, crowd.issuer_url()), Tls::make(plan)?);
    let mut server = launch.serve().await?;
    sign_in(server.grpc(), &crowd.people).await?;
    let held = held(server.grpc(), &crowd.people[0]).await?;
    server.kill().await?;
    // Each knows their rooms, and that nothing of them has changed.
    let user_rev = i64::try_from(ROOMS_EACH)?;
    let hello = |_| held.hello(user_rev, Vec::new());
    let people = &crowd.people[..some];
    let (mut clear, mut secure, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=plan.rounds {
        plan.say(&format!("connections: round {number} of {}", plan.rounds));
        let mut server = launch.serve().await?;
        clear.push(rate(server.grpc().into(), people, &hello).await?);
        server.kill().await?;
        let mut server = tls.launch(&launch).serve().await?;
        secure.push(rate(tls.door(server.grpc()), people, &hello).await?);
        server.kill().await?;
        let server = Bare::start(&this_program()?).await?;
        bare.push(rate(server.address.into(), people, &hello).await?);
        server.stop().await?;
    }
    plan.say(&format!("connections: {many} at once"));
    let mut server = idle::launch(&launch).serve().await?;
    let began = Instant::now();
    let grown = idle::growth(server.pid(), server.grpc(), &crowd.people, true).await.context("all at once")?;
    let took = began.elapsed().as_secs_f64();
    server.kill().await?;
    let ratio = |mine: &[f64], theirs: &[f64]| median(mine.iter().zip(theirs).map(|(a, b)| a / b).collect());
    let (to_bare, to_clear) = (ratio(&clear, &bare), ratio(&secure, &clear));
    let (clear, secure, bare) = (median(clear), median(secure), median(bare));
    Ok(vec![
        Figure::new("connections, opened", clear, "streams/s")
            .against("bare", bare, to_bare)
            .note(format!("{some} people who have missed nothing: TCP, sign-in and Hello until the last is live")),
        Figure::new("connections, opened with TLS", secure, "streams/s")
            .against("without", clear, to_clear)
            .note("the server's own TLS 1.3, no session is taken up again"),
        Figure::new(format!("connections, {many} at once"), grown, "KB/connection").note(format!(
            "each of another person in {ROOMS_EACH} rooms of {MEMBERS}, who is new to the node; all were live and had a heartbeat after {took:.0} s"
        )),
    ])
}

/// Streams a second from the first connection until the last is live.
async fn rate(door: Door, people: &[Somebody], hello: Hello<'_>) -> Result<f64> {
    let began = Instant::now();
    let streams = Streams::come_back(door, people, AT_ONCE, hello).await?;
    let last = streams.live_after(began).into_iter().fold(0.0, f64::max);
    Ok(float(people.len() as u64) / last)
}
