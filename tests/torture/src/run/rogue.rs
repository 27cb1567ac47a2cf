//! Somebody who speaks the protocol as nobody should: it must harm nobody else.

use std::time::Duration;

use anyhow::Result;
use futures_util::{StreamExt as _, stream};
use madang_proto::v1::{self, client_frame::Frame};
use madang_tests::person::Calls;
use rand::{Rng as _, seq::IndexedRandom as _};
use tokio::sync::mpsc;
use tonic::Streaming;
use uuid::Uuid;

use super::faults::{Parts, VERDICTS};

/// Streams that one opens who opens many: a person has ten at most. Many seeds in one process share what that costs.
const MANY: usize = 1_000;
const MANY_HERE: usize = 50;

/// Longest time that they are tried.
const PATIENCE: Duration = Duration::from_secs(20);

/// Frames that wait to be said.
const SAID: usize = 64;

/// Longest time of one who never reads, beyond what the fault lasts.
const DEAF: Duration = Duration::from_secs(2);

/// Calls that one gives up who gives calls up, so many at once, and how long each is waited for at most: a transaction takes
/// a few milliseconds, so all of its moments are hit.
const GIVEN_UP: usize = 120;
const GIVEN_UP_AT_ONCE: usize = 4;
const SOON_US: u64 = 12_000;

/// The ways.
const WAYS: [&str; 6] =
    ["never reads", "acks unseen", "many streams", "gives calls up", "hello twice", "cursors of the future"];

/// A stream, both ways.
struct Line {
    say: mpsc::Sender<v1::ClientFrame>,
    hear: Streaming<v1::ServerFrame>,
}

impl Line {
    async fn open(calls: &Calls, hello: v1::Hello) -> Option<Self> {
        let calls = Calls { device_id: Uuid::now_v7().to_string(), ..calls.clone() };
        let (say, said) = mpsc::channel(SAID);
        say.send(frame(Frame::Hello(hello))).await.ok()?;
        let said = stream::unfold(said, async |mut said| Some((said.recv().await?, said)));
        let hear = tokio::time::timeout(VERDICTS, calls.sync().connect(calls.request(said))).await.ok()?.ok()?;
        Some(Self { say, hear: hear.into_inner() })
    }

    /// Takes what comes for a while.
    async fn listen(&mut self, lasting: Duration) {
        let all = async { while let Ok(Some(_)) = self.hear.message().await {} };
        tokio::time::timeout(lasting, all).await.ok();
    }
}

fn frame(frame: Frame) -> v1::ClientFrame {
    v1::ClientFrame { frame: Some(frame) }
}

impl Parts {
    /// Behaves badly in one of the ways; tells whether a server was there for it.
    pub(super) async fn rogue(&self, node: usize, person: usize, lasting: Duration) -> Result<bool> {
        let Some(&way) = WAYS.choose(&mut rand::rng()) else { return Ok(false) };
        let someone = &self.world.people[person];
        let Some(calls) = self.calls(node, someone) else { return Ok(false) };
        let rooms: Vec<String> = (0..8).filter_map(|room| self.world.room(room)).collect();
        let done = match way {
            "never reads" => never_reads(&calls, lasting).await,
            "acks unseen" => acks_unseen(&calls, rooms, lasting).await,
            // Whoever opens many pushes out their own: this one has no others.
            "many streams" => self.many(node).await,
            "gives calls up" => self.gives_calls_up(node).await,
            "hello twice" => twice(&calls, lasting).await,
            _ => of_the_future(&calls, rooms, lasting).await,
        };
        if done.is_some() {
            self.world.in_way(way);
        }
        Ok(done.is_some())
    }
}

impl Parts {
    fn calls_of_rogue(&self, node: usize) -> Option<Calls> {
        self.calls(node, self.world.rogue.as_ref()?)
    }

    async fn many(&self, node: usize) -> Option<()> {
        many(&self.calls_of_rogue(node)?, if self.site.ground.is_here() { MANY_HERE } else { MANY }).await
    }

    /// Makes rooms that nobody else is in, and waits for hardly any of them: a transaction that is left behind would take
    /// what others are told is stored with it.
    async fn gives_calls_up(&self, node: usize) -> Option<()> {
        let calls = self.calls_of_rogue(node)?;
        let make = |_| {
            let request = v1::CreateRoomRequest {
                room_id: Uuid::now_v7().to_string(),
                name: "given up".into(),
                ..Default::default()
            };
            let soon = Duration::from_micros(rand::rng().random_range(0..SOON_US));
            let (mut rooms, request) = (calls.rooms(), calls.request(request));
            async move { tokio::time::timeout(soon, rooms.create_room(request)).await.is_err() }
        };
        let given_up = stream::iter((0..GIVEN_UP).map(make)).buffer_unordered(GIVEN_UP_AT_ONCE);
        let given_up = given_up.filter(|given_up| std::future::ready(*given_up)).count().await;
        (given_up > 0).then_some(())
    }
}

async fn never_reads(calls: &Calls, lasting: Duration) -> Option<()> {
    let _line = Line::open(calls, v1::Hello::default()).await?;
    tokio::time::sleep(lasting + DEAF).await;
    Some(())
}

async fn acks_unseen(calls: &Calls, rooms: Vec<String>, lasting: Duration) -> Option<()> {
    let mut line = Line::open(calls, v1::Hello::default()).await?;
    let delivered =
        rooms.into_iter().map(|room_id| v1::DeliveredSeq { room_id, seq: rand::rng().random_range(1..900) });
    let ack = v1::Ack { delivered: delivered.collect(), unread_total: Some(-1) };
    line.say.send(frame(Frame::Ack(ack))).await.ok()?;
    line.listen(lasting).await;
    Some(())
}

/// A connection takes so many at once that some wait, and a person so many that the oldest are ended.
async fn many(calls: &Calls, streams: usize) -> Option<()> {
    let mut lines = vec![Line::open(calls, v1::Hello::default()).await?];
    let open = async {
        for _ in 1..streams {
            lines.extend(Line::open(calls, v1::Hello::default()).await);
        }
    };
    tokio::time::timeout(PATIENCE, open).await.ok();
    Some(())
}

async fn twice(calls: &Calls, lasting: Duration) -> Option<()> {
    let mut line = Line::open(calls, v1::Hello::default()).await?;
    line.say.send(frame(Frame::Hello(v1::Hello::default()))).await.ok()?;
    line.listen(lasting).await;
    Some(())
}

async fn of_the_future(calls: &Calls, rooms: Vec<String>, lasting: Duration) -> Option<()> {
    let rooms = rooms.into_iter().map(|room_id| v1::RoomCursor { room_id, rev: i64::MAX, seq: i64::MAX });
    let hello = v1::Hello { rooms: rooms.collect(), user_rev: i64::MAX, watermark: i64::MAX, ..v1::Hello::default() };
    Line::open(calls, hello).await?.listen(lasting).await;
    Some(())
}
