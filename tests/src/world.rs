//! A world: servers, their database, and who is in it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use madang_devstack::{nats::Nats, postgres::TestDatabase};
use madang_server::{
    app::{App, Running},
    clock::ShiftedClock,
    config::{Config, Rate},
};
use sqlx::PgPool;

use crate::{Person, Stack, fresh, stack};
#[cfg(feature = "sabotage")]
use madang_sdk_core::sabotage::Guard as ClientGuard;
#[cfg(feature = "sabotage")]
use madang_server::sabotage::{Gates, Guard, Guards};

/// How long a world may take to settle. Longer than any honest delay; a story that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a world is like.
#[derive(Debug, Clone, Default)]
pub struct WorldConfig {
    /// The server's guard that is out.
    #[cfg(feature = "sabotage")]
    pub without: Option<Guard>,
    /// The clients' guard that is out.
    #[cfg(feature = "sabotage")]
    pub client_without: Option<ClientGuard>,
    /// The poll is off, so that nothing but the streams' own rules keeps clients right.
    pub no_poll: bool,
    /// Servers on the database.
    pub nodes: usize,
    /// The servers hear each other over a NATS of their own.
    pub nats: bool,
    /// Rates and other settings of the servers, changed at the end.
    pub settings: Option<fn(&mut Config)>,
}

/// Servers on one database, and who is in it.
#[derive(Debug)]
pub struct World {
    /// What the process shares.
    pub stack: &'static Stack,
    /// The time of the servers.
    pub clock: Arc<ShiftedClock>,
    /// Where a test holds the servers.
    #[cfg(feature = "sabotage")]
    pub gates: &'static Gates,
    /// What the servers hear each other by.
    pub nats: Option<Nats>,
    config: WorldConfig,
    database: TestDatabase,
    servers: Vec<Running>,
    people: Mutex<Vec<Person>>,
}

impl World {
    /// A world with one server.
    pub async fn new() -> Self {
        Self::with(WorldConfig::default()).await
    }

    /// A world in which nothing but the streams' own rules keeps clients right: nobody polls.
    pub async fn alone() -> Self {
        Self::with(WorldConfig { no_poll: true, ..WorldConfig::default() }).await
    }

    /// A world as told, without the guard that the environment names: `MADANG_WITHOUT=spans`.
    pub async fn with(config: WorldConfig) -> Self {
        #[cfg(feature = "sabotage")]
        let config = sabotaged(config);
        Self::start(config).await.expect("a world can be made")
    }

    async fn start(config: WorldConfig) -> Result<Self> {
        let stack = stack().await?;
        let mut world = Self {
            stack,
            clock: Arc::default(),
            #[cfg(feature = "sabotage")]
            gates: Gates::new(),
            nats: if config.nats { Some(Nats::start().await?) } else { None },
            database: stack.database().await?,
            servers: Vec::new(),
            people: Mutex::default(),
            config,
        };
        for _ in 0..world.config.nodes.max(1) {
            world.add_server().await?;
        }
        Ok(world)
    }

    /// Starts one more server on the database.
    pub async fn add_server(&mut self) -> Result<()> {
        self.start_server_at(([127, 0, 0, 1], 0).into()).await
    }

    /// Settings of this world's servers: rates that no story reaches, bounds as they are.
    pub fn server_config(&self) -> Config {
        let fast = Rate::per_second(100_000, 100_000);
        let mut config = Config {
            database_url: self.database.url.clone(),
            database_connections: 8,
            listen: ([127, 0, 0, 1], 0).into(),
            issuer: self.stack.issuer.url().to_owned(),
            nats_url: self.nats.as_ref().map(Nats::url),
            reflection: true,
            receipt_gather: Duration::from_millis(50),
            rate_read: fast,
            rate_write: fast,
            rate_send: fast,
            rate_mark: fast,
            rate_join: fast,
            rate_search: fast,
            rate_invite: fast,
            rate_stream: fast,
            rate_room_send: fast,
            rate_bad_token: fast,
            rate_refusal: fast,
            ..Config::default()
        };
        if self.config.no_poll {
            (config.poll_interval, config.poll_interval_with_nats) =
                (Duration::from_hours(24), Duration::from_hours(24));
            // Receipts are changes of the room, and the next change would show what the story is about to hide.
            config.receipts_members = 0;
            config.deliveries_members = 0;
        }
        #[cfg(feature = "sabotage")]
        {
            config.held = self.config.without.map(Guards::without).unwrap_or_default().with_gates(self.gates);
        }
        if let Some(change) = self.config.settings {
            change(&mut config);
        }
        config
    }

    /// Address of a server.
    pub fn server(&self, node: usize) -> String {
        format!("http://{}", self.servers[node].grpc)
    }

    /// Where a server shows its metrics and whether it is ready.
    pub fn admin(&self, node: usize) -> Option<SocketAddr> {
        self.servers[node].admin
    }

    /// A server's inside.
    pub fn node(&self, node: usize) -> &madang_server::realtime::Node {
        &self.servers[node].node
    }

    /// Stops a server; answers with its address.
    pub async fn stop_server(&mut self, node: usize) -> SocketAddr {
        let server = self.servers.remove(node);
        let address = server.grpc;
        server.shutdown().await;
        address
    }

    /// Starts a server at an address, as the last of the world's.
    pub async fn start_server_at(&mut self, listen: SocketAddr) -> Result<()> {
        self.start_server_with(listen, |_| {}).await
    }

    /// The same, with other settings.
    pub async fn start_server_with(&mut self, listen: SocketAddr, change: impl FnOnce(&mut Config)) -> Result<()> {
        let mut config = Config { listen, ..self.server_config() };
        change(&mut config);
        // Boxed: a story that starts several would carry the whole start in its own future.
        self.servers.push(Box::pin(App::start(config, Arc::clone(&self.clock) as _)).await?);
        Ok(())
    }

    /// Where the database is.
    pub fn database_url(&self) -> &str {
        &self.database.url
    }

    /// A connection beside the servers'.
    pub async fn sql(&self) -> PgPool {
        PgPool::connect(&self.database.url).await.expect("the database answers")
    }

    /// Somebody comes online on the first server.
    pub async fn person(&self, login: &str) -> Person {
        self.person_at(login, 0).await
    }

    /// Somebody comes online on a server.
    pub async fn person_at(&self, login: &str, node: usize) -> Person {
        let person = self.newcomer(login, node).await;
        person.live().await;
        person
    }

    /// Somebody who begins to connect.
    pub async fn newcomer(&self, login: &str, node: usize) -> Person {
        let server = self.server(node);
        let person = Person::open(
            self,
            login,
            &server,
            #[cfg(feature = "sabotage")]
            self.config.client_without,
        );
        let person = person.await.expect("a client can be made");
        self.people.lock().unwrap_or_else(PoisonError::into_inner).push(person.clone());
        person
    }

    /// Waits until every online person's store equals what the server says.
    pub async fn settle(&self) {
        if let Err(difference) = self.try_settle(patience()).await {
            panic!("the world does not settle: {difference:#}");
        }
    }

    /// Waits for that no longer than told.
    pub async fn try_settle(&self, patience: Duration) -> Result<()> {
        let people: Vec<Person> = self.people.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let until = Instant::now() + patience;
        for person in people.iter().filter(|person| person.is_online()) {
            let mut changed = person.client.changed();
            while let Err(difference) = fresh::compare(person).await {
                if Instant::now() > until {
                    bail!(difference.context(person.login.clone()));
                }
                let _ = tokio::time::timeout(Duration::from_millis(50), changed.changed()).await;
            }
        }
        Ok(())
    }

    /// Everybody goes, then the servers.
    pub async fn end(self) {
        let people = std::mem::take(&mut *self.people.lock().unwrap_or_else(PoisonError::into_inner));
        for person in people {
            person.client.shutdown(Duration::from_secs(1)).await;
        }
        for server in self.servers {
            server.shutdown().await;
        }
    }
}

/// Names of all guards, the server's and the clients'.
#[cfg(feature = "sabotage")]
pub fn guards() -> Vec<&'static str> {
    Guard::ALL.iter().map(|(name, _)| *name).chain(ClientGuard::ALL.iter().map(|(name, _)| *name)).collect()
}

#[cfg(feature = "sabotage")]
fn sabotaged(mut config: WorldConfig) -> WorldConfig {
    let Ok(out) = std::env::var("MADANG_WITHOUT") else { return config };
    let server = Guard::ALL.iter().find(|(name, _)| *name == out).map(|(_, guard)| *guard);
    let client = ClientGuard::ALL.iter().find(|(name, _)| *name == out).map(|(_, guard)| *guard);
    assert!(server.is_some() || client.is_some(), "no guard is called {out}");
    config.without = server.or(config.without);
    config.client_without = client.or(config.client_without);
    config
}

/// A story without a guard fails sooner: it is meant to.
fn patience() -> Duration {
    if std::env::var_os("MADANG_WITHOUT").is_some() { PATIENCE / 3 } else { PATIENCE }
}

/// Waits until something holds, looking again and again; fails loudly when it never does.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + patience();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < until, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
