//! Calls that read, over the real server: a hundred rooms of twenty people with a thousand messages each, and a person who is
//! in all of them. Each is timed one by one, and for the server's processor time with 32 under way. Beside
//! them, in the same rounds: a bare tonic server's answer, and `select 1` over a connection of the same kind.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::BoxFuture;
use madang_proto::v1;
use madang_proto::v1::message_service_client::MessageServiceClient;
use madang_proto::v1::read_service_client::ReadServiceClient;
use madang_proto::v1::room_service_client::RoomServiceClient;
use madang_proto::v1::sync_service_client::SyncServiceClient;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tonic::transport::Channel;

use crate::Plan;
use crate::crowd::{self, Crowd, Somebody};
use crate::figure::{Figure, float, median, percentile};
use crate::ground::Ground;
use crate::process::{Bare, processor_time, this_program};
use crate::streams;

const ROOMS: usize = 100;
const MEMBERS: usize = 20;

/// People; somebody is in all rooms.
const PEOPLE: usize = 200;

/// Messages of a room.
const EACH: usize = 1_000;

/// Calls under way at once.
const MANY: usize = 32;

/// Connections that they go over.
const CONNECTIONS: usize = 8;

/// Calls before a measurement counts.
const WARM: usize = 20;

type Answer = BoxFuture<'static, Result<()>>;
type Call = Arc<dyn Fn(usize) -> Result<Answer> + Send + Sync>;

/// What one kind of call took.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    p50_ms: f64,
    p99_ms: f64,
    per_second: f64,
    core_us: f64,
}

pub async fn measure(plan: &Plan, ground: &Ground) -> Result<Vec<Figure>> {
    plan.say("\nreads: making 100,000 messages");
    let url = ground.database("bench_reads").await?;
    let crowd = Crowd::gather(ground, &url, PEOPLE).await?;
    let inside = |room: usize| {
        let others = (0..MEMBERS - 1).map(move |place| 1 + (room * 7 + place) % (PEOPLE - 1));
        std::iter::once(0).chain(others).collect()
    };
    crowd::insert_rooms(&url, ROOMS, inside).await?;
    crowd::insert_messages(&url, EACH).await?;
    let mut server = streams::launch(plan, &url, crowd.issuer_url()).serve().await?;
    let bare = Bare::start(&this_program()?).await?;
    let calls = calls(server.grpc(), &crowd.people[0]).await?;
    let empty = bare_call(bare.address, &crowd.people[0]).await?;
    let mut select = PgConnection::connect(&url).await?;
    let mut costs = vec![Vec::new(); calls.len()];
    let (mut answers, mut selects) = (Vec::new(), Vec::new());
    for number in 1..=plan.rounds {
        plan.say(&format!("reads: round {number} of {}", plan.rounds));
        answers.push(cost(&empty, bare.pid()?, plan.span / 2).await?);
        selects.push(selecting(&mut select, plan.span / 2).await?);
        for (place, (_, call)) in calls.iter().enumerate() {
            costs[place].push(cost(call, server.pid(), plan.span / 2).await?);
        }
    }
    server.kill().await?;
    bare.stop().await?;
    let bare = of(&answers, |cost| cost.p50_ms);
    let select = median(selects);
    Ok(calls
        .iter()
        .zip(&costs)
        .map(|((name, _), costs)| {
            let p50 = of(costs, |cost| cost.p50_ms);
            Figure::new(format!("reads, {name}"), p50, "ms, p50")
                .against("bare answer and select 1", bare + select, (bare + select) / p50)
                .beside("p99", of(costs, |cost| cost.p99_ms))
                .beside("calls/s", of(costs, |cost| cost.per_second))
                .beside("core-us a call", of(costs, |cost| cost.core_us))
        })
        .collect())
}

fn of(costs: &[Cost], get: fn(&Cost) -> f64) -> f64 {
    median(costs.iter().map(get).collect())
}

async fn calls(address: SocketAddr, somebody: &Somebody) -> Result<Vec<(&'static str, Call)>> {
    let caller = Caller::open(address, somebody).await?;
    let room = |number: usize| crowd::room_id(number % ROOMS).to_string();
    let end = i64::try_from(EACH)?;
    Ok(vec![
        (
            "list of 50 rooms",
            caller.call(|channel, request| async move { RoomServiceClient::new(channel).list_my_rooms(request).await.map(drop) }, move |_| {
                v1::ListMyRoomsRequest { page_size: 50, ..Default::default() }
            }),
        ),
        (
            "page of 50 messages",
            caller.call(|channel, request| async move { MessageServiceClient::new(channel).list_messages(request).await.map(drop) }, move |number| {
                v1::ListMessagesRequest {
                    room_id: room(number),
                    position: Some(v1::list_messages_request::Position::BeforeSeq(end / 2)),
                    page_size: 50,
                }
            }),
        ),
        (
            "what changed by ten",
            caller.call(|channel, request| async move { SyncServiceClient::new(channel).sync_room(request).await.map(drop) }, move |number| {
                v1::SyncRoomRequest {
                    cursor: Some(v1::RoomCursor { room_id: room(number), rev: end - 9, seq: end - 10 }),
                    limit: 50,
                }
            }),
        ),
        (
            "unread of all rooms",
            caller.call(|channel, request| async move { ReadServiceClient::new(channel).get_unread(request).await.map(drop) }, |_| {
                v1::GetUnreadRequest {}
            }),
        ),
        (
            "members of a room",
            caller.call(|channel, request| async move { RoomServiceClient::new(channel).list_members(request).await.map(drop) }, move |number| {
                v1::ListMembersRequest { room_id: room(number), page_size: 100, ..Default::default() }
            }),
        ),
    ])
}

/// The same with nothing behind it.
async fn bare_call(address: SocketAddr, somebody: &Somebody) -> Result<Call> {
    let caller = Caller::open(address, somebody).await?;
    Ok(caller.call(
        |channel, request| async move { MessageServiceClient::new(channel).send_message(request).await.map(drop) },
        streams::message,
    ))
}

struct Caller {
    channels: Arc<Vec<Channel>>,
    somebody: Somebody,
}

impl Caller {
    async fn open(address: SocketAddr, somebody: &Somebody) -> Result<Self> {
        let mut channels = Vec::new();
        for number in 0..CONNECTIONS {
            channels.push(streams::connect(address, number).await?);
        }
        Ok(Self { channels: Arc::new(channels), somebody: somebody.clone() })
    }

    fn call<R: Send + 'static, F>(
        &self,
        ask: impl Fn(Channel, tonic::Request<R>) -> F + Send + Sync + 'static,
        request: impl Fn(usize) -> R + Send + Sync + 'static,
    ) -> Call
    where
        F: Future<Output = Result<(), tonic::Status>> + Send + 'static,
    {
        let (channels, somebody) = (Arc::clone(&self.channels), self.somebody.clone());
        Arc::new(move |number| {
            let channel = channels[number % channels.len()].clone();
            let answer = ask(channel, somebody.sign(request(number))?);
            Ok(Box::pin(async move { answer.await.context("a read was refused") }))
        })
    }
}

/// Times a call one by one, then keeps many under way.
async fn cost(call: &Call, pid: u32, span: Duration) -> Result<Cost> {
    for number in 0..WARM {
        call(number)?.await?;
    }
    let mut times = Vec::new();
    let began = Instant::now();
    for number in 0.. {
        if began.elapsed() > span {
            break;
        }
        let asked = Instant::now();
        call(number)?.await?;
        times.push(asked.elapsed().as_secs_f64() * 1_000.0);
    }
    let (before, began) = (processor_time(pid)?, Instant::now());
    let askers = (0..MANY).map(|asker| {
        let call = Arc::clone(call);
        tokio::spawn(async move {
            let mut done = 0_u64;
            while began.elapsed() < span {
                call(asker + MANY * usize::try_from(done)?)?.await?;
                done += 1;
            }
            anyhow::Ok(done)
        })
    });
    let mut done = 0;
    for asker in askers.collect::<Vec<_>>() {
        done += asker.await??;
    }
    let (took, used) = (began.elapsed().as_secs_f64(), processor_time(pid)?.saturating_sub(before).as_secs_f64());
    Ok(Cost {
        p50_ms: median(times.clone()),
        p99_ms: percentile(times, 99),
        per_second: float(done) / took,
        core_us: used / float(done) * 1_000_000.0,
    })
}

/// Milliseconds of a statement that reads nothing.
async fn selecting(connection: &mut PgConnection, span: Duration) -> Result<f64> {
    let mut times = Vec::new();
    let began = Instant::now();
    while began.elapsed() < span {
        let asked = Instant::now();
        sqlx::query("select 1").execute(&mut *connection).await?;
        times.push(asked.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(median(times))
}
