//! Composition: what a server is made of, in the order in which it is put together and taken apart. Tests start servers in
//! their own process with it; `main` starts one.

mod store;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpSocket},
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

pub use self::store::{migrate, migrations, restore_done};
use crate::{
    admin,
    clock::Clock,
    config::Config,
    database::Database,
    error::{Error, Result},
    identity::Identity,
    limits::{self, Limits},
    messages::Writer,
    reads::{self, Receipts},
    realtime::{Bus, Hub, Inbox, Node, Poller, Record, pulse},
    rpc,
    sessions::Sessions,
    sync, telemetry,
    users::{People, SignIn},
};

/// Connections that wait to be accepted: 5,000 at once lose no SYN (tonic's 128 do).
const BACKLOG: u32 = 4_096;

/// Time between two rounds in which what was revoked long ago is forgotten.
const PRUNE: Duration = Duration::from_hours(1);

/// How long the start waits for the issuer's keys before it goes on without them.
const WARM: Duration = Duration::from_secs(3);

/// A server that serves.
#[derive(Debug)]
pub struct Running {
    /// Where it speaks gRPC and gRPC-web.
    pub grpc: SocketAddr,
    /// Where it shows its metrics.
    pub admin: Option<SocketAddr>,
    /// The node, for whoever looks inside.
    pub node: Node,
    health: HealthReporter,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    background: JoinSet<()>,
}

/// Starts servers.
#[derive(Debug)]
pub struct App;

impl App {
    /// Starts one; it is ready when this returns. Fails when the settings are wrong, the database cannot be used or is not
    /// migrated, or an address is taken. An issuer that is away does not stop it.
    pub async fn start(config: Config, clock: Arc<dyn Clock>) -> Result<Running> {
        config.check().map_err(|mistakes| Error::Internal(mistakes.to_string()))?;
        let _ = telemetry::metrics();
        #[cfg(feature = "sabotage")]
        tracing::warn!("{}", crate::sabotage::MARK);
        let tls = rpc::acceptor(&config)?;
        store::check(&config.database_url).await?;
        let database = Database::connect(&config).await?;
        let (grpc, admin) = (listen(config.listen)?, config.admin_listen.map(listen).transpose()?);
        let control = config.control_socket.as_deref().map(control).transpose()?;
        let (parts, inbox) = parts(config, clock, database).await?;
        if tokio::time::timeout(WARM, parts.sign_in.warm()).await.is_err() {
            tracing::warn!("the issuer does not answer; going on without its keys");
        }
        parts.health.set_service_status("", ServingStatus::Serving).await;
        let (stop, node, health) = (CancellationToken::new(), parts.node.clone(), parts.health.clone());
        let addresses = (grpc.local_addr(), admin.as_ref().map(TcpListener::local_addr).transpose());
        let mut background = background(&parts);
        background.spawn(sync::hear_twins(node.clone(), parts.receipts.clone(), inbox.twins));
        background.spawn(admin::answer_questions(node.clone(), inbox.questions));
        if let Some(control) = control {
            background.spawn(control.serve(node.clone(), stop.clone()));
        }
        if let Some(admin) = admin {
            background.spawn(telemetry::serve_admin(
                admin,
                readiness(node.clone(), stop.clone()),
                CancellationToken::new(),
            ));
        }
        let front = rpc::front(parts);
        let serving = tokio::spawn(rpc::serve(front, Arc::clone(&node.config), grpc, tls, stop.clone()));
        let failed = |error: std::io::Error| Error::Internal(format!("a listening address: {error}"));
        let (grpc, admin) = (addresses.0.map_err(failed)?, addresses.1.map_err(failed)?);
        Ok(Running { grpc, admin, node, health, stop, serving, background })
    }
}

impl Running {
    /// Stops: takes no new connections, tells streams to come back elsewhere, lets calls end, within the drain's bound.
    pub async fn shutdown(mut self) {
        self.health.set_service_status("", ServingStatus::NotServing).await;
        self.node.hub.drain();
        self.stop.cancel();
        if let Err(error) = self.serving.await {
            tracing::error!(%error, "the accept loop failed");
        }
        self.node.bus.leave().await;
        self.background.shutdown().await;
        self.node.database.close().await;
    }
}

async fn parts(config: Config, clock: Arc<dyn Clock>, database: Database) -> Result<(rpc::Parts, Inbox)> {
    let identity = Identity::new(&config, Arc::clone(&clock))?;
    let sessions = Arc::new(Sessions::start(&config, database.clone(), Arc::clone(&clock)));
    let limits = Arc::new(Limits::new(&config));
    let name = config.node_name.clone().unwrap_or_else(|| format!("node-{:08x}", rand::random::<u32>()));
    let hub = Arc::new(Hub::new(config.streams_per_person, Record::new(Arc::clone(&clock)), config.guards()));
    let name: Arc<str> = name.into();
    let (bus, inbox) = Bus::start(&config, Arc::clone(&name), Arc::clone(&hub)).await?;
    let node = Node { name, config: Arc::new(config), clock: Arc::clone(&clock), database, limits, hub, bus };
    let (writer, receipts) = (Writer::start(node.clone())?, Receipts::new(node.clone()));
    let sign_in = Arc::new(SignIn::new(identity, People::new(node.clone()), Arc::clone(&sessions), clock));
    Ok((rpc::Parts { node, sign_in, sessions, writer, receipts, health: HealthReporter::new() }, inbox))
}

/// Tasks that end with the server.
fn background(parts: &rpc::Parts) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(Poller::new(parts.node.clone()).run());
    tasks.spawn(pulse(parts.node.clone()));
    tasks.spawn(reads::watch(parts.node.clone()));
    tasks.spawn(parts.receipts.clone().look());
    let limits = Arc::clone(&parts.node.limits);
    tasks.spawn(every(limits::SWEEP, move || limits.sweep()));
    let sessions = Arc::clone(&parts.sessions);
    tasks.spawn(async move {
        loop {
            sessions.prune().await;
            tokio::time::sleep(PRUNE).await;
        }
    });
    tasks.spawn(every(telemetry::UPKEEP, || telemetry::metrics().run_upkeep()));
    tasks
}

async fn every(pause: Duration, mut work: impl FnMut()) {
    loop {
        tokio::time::sleep(pause).await;
        work();
    }
}

/// Ready: not stopping, and the database answers.
fn readiness(
    node: Node,
    stop: CancellationToken,
) -> impl Fn() -> futures_util::future::BoxFuture<'static, bool> + Clone {
    move || {
        let (node, stop) = (node.clone(), stop.clone());
        Box::pin(async move { !stop.is_cancelled() && node.database.current_epoch().await.is_ok() })
    }
}

fn control(path: &Path) -> Result<rpc::control::Socket> {
    let failed = |error| Error::Internal(format!("control_socket: {}: {error}", path.display()));
    rpc::control::Socket::bind(path).map_err(failed)
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restarted server takes its address over from connections that are still closing.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bind().map_err(|error: std::io::Error| Error::Internal(format!("{address}: {error}")))
}
