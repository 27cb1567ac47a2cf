//! End to end: `SendMessage` by signed-in people over real connections to the real server, a process of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use madang_devstack::server_process::ServerProcess;
use madang_proto::v1::message_service_client::MessageServiceClient;
use tonic::transport::Channel;

use super::{MEMBERS, PEOPLE, ROOMS, Sends};
use crate::Plan;
use crate::crowd::{Crowd, Somebody};
use crate::streams;

/// Connections, each of another person.
pub const CONNECTIONS: usize = 64;

/// Before a measurement counts.
const WARM: Duration = Duration::from_millis(500);

/// A running server, and people with a connection to it.
pub struct Grpc {
    server: ServerProcess,
    callers: Vec<Caller>,
}

#[derive(Clone)]
struct Caller {
    number: usize,
    somebody: Somebody,
    client: MessageServiceClient<Channel>,
}

impl Grpc {
    /// Starts the server and connects.
    pub async fn start(plan: &Plan, database_url: &str, crowd: &Crowd) -> Result<Self> {
        let server = streams::launch(plan, database_url, crowd.issuer_url()).serve().await?;
        let mut callers = Vec::new();
        for (number, somebody) in crowd.people.iter().take(CONNECTIONS).enumerate() {
            let client = MessageServiceClient::new(streams::connect(server.grpc(), number).await?);
            callers.push(Caller { number, somebody: somebody.clone(), client });
        }
        let grpc = Self { server, callers };
        grpc.run(CONNECTIONS, Duration::from_secs(1)).await?;
        Ok(grpc)
    }

    /// Keeps so many calls in flight, spread over the connections.
    pub async fn run(&self, in_flight: usize, span: Duration) -> Result<Sends> {
        let (counts, ends) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let callers = self.callers.iter().cycle().take(in_flight).cloned();
        let calls: Vec<_> =
            callers.map(|caller| tokio::spawn(caller.send(Arc::clone(&counts), Arc::clone(&ends)))).collect();
        tokio::time::sleep(WARM).await;
        let began = Instant::now();
        counts.store(true, Ordering::Relaxed);
        tokio::time::sleep(span).await;
        counts.store(false, Ordering::Relaxed);
        let took = began.elapsed();
        ends.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        for call in calls {
            times.extend(call.await??);
        }
        Ok(Sends::of(times, took))
    }

    /// Stops the server.
    pub async fn stop(&mut self) -> Result<()> {
        self.server.kill().await.map(drop)
    }
}

impl Caller {
    async fn send(mut self, counts: Arc<AtomicBool>, ends: Arc<AtomicBool>) -> Result<Vec<f64>> {
        let mut times = Vec::new();
        while !ends.load(Ordering::Relaxed) {
            let request = self.somebody.sign(streams::message(self.room()))?;
            let began = Instant::now();
            self.client.send_message(request).await.context("a send was refused")?;
            if counts.load(Ordering::Relaxed) {
                times.push(began.elapsed().as_secs_f64());
            }
        }
        Ok(times)
    }

    /// One of the rooms that the caller is in: `member` the other way round.
    fn room(&self) -> usize {
        let first = (self.number + PEOPLE - rand::random_range(0..MEMBERS)) % PEOPLE;
        first + PEOPLE * rand::random_range(0..(ROOMS - first).div_ceil(PEOPLE))
    }
}
