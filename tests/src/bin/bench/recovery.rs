//! How long it takes until all is well again: a node that is killed, a node that stops in order, a database that was away, a
//! crowd that comes back at once, and a device that is signed out on another node. Real processes, and client cores with
//! their own waits between attempts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use madang_devstack::nats::Nats;
use madang_devstack::server_process::{Launch, ServerProcess};
use madang_proto::v1;
use madang_sdk_core::{Client, ClientConfig, ClientError, ConnectionState, StoreLocation, TimelineItem, TokenProvider};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::Plan;
use crate::crowd::{self, Crowd, Somebody, room_id};
use crate::figure::{Figure, Goal, median, percentile};
use crate::ground::Ground;
use crate::process::most_connections;
use crate::streams::{self, Streams};

/// Devices that lose their node.
const CLIENTS: usize = 100;

/// Devices that are signed out elsewhere, in a round.
const SIGNED_OUT: usize = 20;

/// How long the database is away.
const OUTAGE: Duration = Duration::from_secs(2);

/// Longest wait for anything to be well again.
const PATIENCE: Duration = Duration::from_mins(2);

/// Milliseconds in which a revocation holds on all nodes: with the bus, and without.
const REVOKED_MS: (f64, f64) = (1_000.0, 2_000.0);

pub async fn measure(plan: &Plan, ground: &Ground) -> Result<Vec<Figure>> {
    let connections = plan.connections.min(most_connections());
    plan.say(&format!("\nrecovery: making {connections} people"));
    let url = ground.database("bench_recovery").await?;
    // Whoever is signed out does not come back: they are others.
    let crowd = Crowd::gather(ground, &url, connections + SIGNED_OUT * (2 * plan.rounds + 1)).await?;
    crowd::insert_rooms(&url, 1, |_| (0..CLIENTS).collect()).await?;
    let launch = streams::launch(plan, &url, crowd.issuer_url());
    let mut times = Times::default();
    for number in 1..=plan.rounds {
        plan.say(&format!("recovery: round {number} of {}", plan.rounds));
        let nats = Nats::start().await?;
        let with_bus = launch.clone().with("MADANG_NATS_URL", nats.url());
        times.round(&with_bus, ground, &crowd).await?;
        times.revoked.extend(revoke(&with_bus, &crowd, number).await?);
        times.revoked_alone.extend(revoke(&launch, &crowd, number + plan.rounds).await?);
        times.crowd.push(come_back(&launch, &crowd.people[..connections]).await?);
    }
    Ok(times.figures(connections))
}

/// What was measured, in milliseconds.
#[derive(Default)]
struct Times {
    killed: Vec<f64>,
    drained: Vec<f64>,
    database: Vec<f64>,
    revoked: Vec<f64>,
    revoked_alone: Vec<f64>,
    crowd: Vec<f64>,
}

impl Times {
    async fn round(&mut self, launch: &Launch, ground: &Ground, crowd: &Crowd) -> Result<()> {
        let mut nodes = [launch.serve().await?, launch.serve().await?];
        let way = Way::open(nodes[0].grpc()).await?;
        let clients = Clients::open(&format!("http://{}", way.address), &crowd.people[..CLIENTS]).await?;
        let began = Instant::now();
        way.lead_to(nodes[1].grpc());
        let well = clients.watch(began);
        nodes[0].kill().await?;
        self.killed.extend(all(well).await?);
        nodes[0] = launch.serve().await?;
        let began = Instant::now();
        way.lead_to(nodes[0].grpc());
        let well = clients.watch(began);
        nodes[1].stop(PATIENCE).await?;
        self.drained.extend(all(well).await?);
        self.database.push(outage(ground, &clients.0[0]).await?);
        clients.close().await;
        end(&mut nodes[..1]).await
    }

    fn figures(self, connections: usize) -> Vec<Figure> {
        let both = |name: &str, times: Vec<f64>, note: &str| {
            let (middle, late) = (median(times.clone()), percentile(times, 99));
            Figure::new(name, middle, "ms").beside("p99", late).note(note)
        };
        let killed = format!("from the kill to live on the other node, {CLIENTS} devices a round; p50 above");
        let drained =
            format!("from SIGTERM to live on the other node, {CLIENTS} devices a round, spread over 2 s on purpose");
        let revoked = |name: &str, times: Vec<f64>, most: f64| {
            let middle = median(times.clone());
            Figure::new(name, percentile(times, 99), "ms").beside("p50", middle).goal(Goal::AtMost(most))
        };
        vec![
            both("recovery, node killed", self.killed, &killed),
            both("recovery, node stopped", self.drained, &drained),
            both(
                "recovery, database back",
                self.database,
                "from PostgreSQL's first answer to the first acknowledged send",
            ),
            both("recovery, crowd", self.crowd, &format!("{connections} streams opened on one node, the last verdict")),
            revoked("revocation elsewhere, NATS", self.revoked, REVOKED_MS.0),
            revoked("revocation elsewhere, no bus", self.revoked_alone, REVOKED_MS.1),
        ]
    }
}

/// Milliseconds since then.
pub fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

async fn all(mut tasks: JoinSet<Result<f64>>) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    while let Some(time) = tasks.join_next().await {
        times.push(time??);
    }
    Ok(times)
}

async fn end(nodes: &mut [ServerProcess]) -> Result<()> {
    for node in nodes {
        node.stop(PATIENCE).await?;
    }
    Ok(())
}

/// A message is typed while the database is away: the time from its first answer to the acknowledgement.
async fn outage(ground: &Ground, client: &Client) -> Result<f64> {
    let room = room_id(0).to_string();
    ground.take_away().await?;
    let id = client.send(&room, "typed while the database is away").await?;
    tokio::time::sleep(OUTAGE).await;
    ground.bring_back().await?;
    let began = Instant::now();
    let stored = async {
        loop {
            let timeline = client.timeline(&room).await?;
            let is_it = |item: &TimelineItem| matches!(item, TimelineItem::Message(m) if m.client_message_id == id && m.seq.is_some());
            if timeline.items().iter().any(is_it) {
                return Ok(milliseconds(began));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, stored).await.context("the message is not acknowledged")?
}

/// Devices on one node are signed out on another; how long their streams live on.
async fn revoke(launch: &Launch, crowd: &Crowd, round: usize) -> Result<Vec<f64>> {
    let mut nodes = [launch.serve().await?, launch.serve().await?];
    // People who were not there before: a device that is signed out needs a newer token to come back.
    let people: Vec<_> = crowd.people.iter().rev().skip(round * SIGNED_OUT).take(SIGNED_OUT).cloned().collect();
    let clients = Clients::open(&format!("http://{}", nodes[0].grpc()), &people).await?;
    let other = streams::connect(nodes[1].grpc(), 0).await?;
    let mut calls = v1::identity_service_client::IdentityServiceClient::new(other);
    let mut times = Vec::new();
    for (person, client) in people.iter().zip(&clients.0) {
        let elsewhere = Somebody { device_id: Uuid::now_v7().to_string(), ..person.clone() };
        let mut states = client.states();
        let began = Instant::now();
        let device_id = person.device_id.clone();
        calls.revoke_device_session(elsewhere.sign(v1::RevokeDeviceSessionRequest { device_id })?).await?;
        let ended = states.wait_for(|state| matches!(state, ConnectionState::Ended { .. }));
        tokio::time::timeout(PATIENCE, ended).await.context("the device lives on")??;
        times.push(milliseconds(began));
    }
    clients.close().await;
    end(&mut nodes).await?;
    Ok(times)
}

/// Everybody opens a stream on a node that has just started.
async fn come_back(launch: &Launch, people: &[Somebody]) -> Result<f64> {
    let mut nodes = [launch.serve().await?];
    let began = Instant::now();
    let streams = Streams::open(nodes[0].grpc(), people).await?;
    let took = milliseconds(began);
    drop(streams);
    nodes[0].kill().await?;
    Ok(took)
}

/// A port that leads to a node, as a load balancer does.
struct Way {
    address: SocketAddr,
    to: watch::Sender<SocketAddr>,
    _accepting: JoinSet<()>,
}

impl Way {
    async fn open(to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (to, leads) = watch::channel(to);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut carried = JoinSet::new();
            while let Ok((mut here, _)) = listener.accept().await {
                let there = *leads.borrow();
                carried.spawn(async move {
                    if let Ok(mut there) = TcpStream::connect(there).await {
                        let _ = copy_bidirectional(&mut here, &mut there).await;
                    }
                });
            }
        });
        Ok(Self { address, to, _accepting: accepting })
    }

    fn lead_to(&self, node: SocketAddr) {
        self.to.send_replace(node);
    }
}

/// Devices with the real client core.
struct Clients(Vec<Client>);

/// One token for good.
#[derive(Debug)]
pub struct Token(pub String);

#[async_trait::async_trait]
impl TokenProvider for Token {
    async fn token(&self, _: bool) -> Result<String, ClientError> {
        Ok(self.0.clone())
    }
}

impl Clients {
    async fn open(server: &str, people: &[Somebody]) -> Result<Self> {
        let mut clients = Vec::new();
        for person in people {
            let mut config = ClientConfig::new(server, StoreLocation::Memory);
            config.device_id = Some(person.device_id.clone());
            clients.push(Client::open(config, Arc::new(Token(person.token.clone()))).await?);
        }
        for client in &clients {
            let mut states = client.states();
            let live = states.wait_for(|state| *state == ConnectionState::Live);
            tokio::time::timeout(PATIENCE, live).await.context("a device is not live")??;
        }
        Ok(Self(clients))
    }

    /// How long it takes each, from here on, to be cut off and live again.
    fn watch(&self, began: Instant) -> JoinSet<Result<f64>> {
        let mut tasks = JoinSet::new();
        for client in &self.0 {
            let mut states = client.states();
            tasks.spawn(async move {
                let again = async {
                    states.wait_for(|state| *state != ConnectionState::Live).await?;
                    states.wait_for(|state| *state == ConnectionState::Live).await?;
                    Ok(milliseconds(began))
                };
                tokio::time::timeout(PATIENCE, again).await.context("a device is not live again")?
            });
        }
        tasks
    }

    async fn close(self) {
        for client in self.0 {
            client.shutdown(Duration::from_secs(1)).await;
        }
    }
}
