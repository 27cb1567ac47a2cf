//! A stream without the client core: what a server really says, frame by frame.

use std::time::Duration;

use madang_proto::v1::{self, client_frame, server_frame::Frame};
use madang_tests::{World, person::Calls, world::eventually};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Endpoint};

/// How long a stream is listened to before it is believed to be silent; frames of one machine take milliseconds.
const SILENCE: Duration = Duration::from_millis(400);

/// The least that HTTP/2 allows a receiver to begin with.
const WINDOW: u32 = 65_535;

/// A stream.
pub struct Stream {
    /// Whose it is, and on which device.
    calls: Calls,
    /// Kept, because a stream ends when its sender goes.
    said: mpsc::Sender<v1::ClientFrame>,
    heard: Streaming<v1::ServerFrame>,
}

impl Stream {
    /// Opens a stream on a device of its own, so that the person's other streams stay.
    pub async fn open(calls: &Calls, hello: v1::Hello) -> Self {
        Self::on(Calls { device_id: uuid::Uuid::now_v7().to_string(), ..calls.clone() }, hello).await
    }

    /// Somebody opens a stream on a server, on a new device, and takes what it begins with.
    pub async fn of(world: &World, login: &str, node: usize) -> Self {
        let token = world.stack.issuer.token(login).expect("a token");
        let calls = Calls::new(&world.server(node), token, uuid::Uuid::now_v7().to_string()).expect("an address");
        let mut stream = Self::on(calls, v1::Hello::default()).await;
        stream.until_drained().await;
        stream
    }

    /// The same device opens another stream, on a server.
    pub async fn again_at(&self, world: &World, node: usize) -> Self {
        let mut stream = Self::on(self.calls_at(world, node), v1::Hello::default()).await;
        stream.until_drained().await;
        stream
    }

    /// Calls of the same device to a server.
    pub fn calls_at(&self, world: &World, node: usize) -> Calls {
        let Calls { token, device_id, .. } = self.calls.clone();
        Calls::new(&world.server(node), token, device_id).expect("an address")
    }

    async fn on(calls: Calls, hello: v1::Hello) -> Self {
        let (said, says) = mpsc::channel(16);
        // Small windows, so that what is not taken waits at the server.
        let endpoint = Endpoint::from_shared(calls.server.clone()).expect("an address");
        let endpoint = endpoint.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
        let calls = Calls { channel: endpoint.connect_lazy(), ..calls };
        said.send(v1::ClientFrame { frame: Some(client_frame::Frame::Hello(hello)) }).await.expect("room for Hello");
        let heard =
            calls.sync().connect(calls.request(ReceiverStream::new(says))).await.expect("a stream").into_inner();
        Self { calls, said, heard }
    }

    /// Says a frame.
    pub async fn say(&self, frame: client_frame::Frame) {
        self.said.send(v1::ClientFrame { frame: Some(frame) }).await.expect("the stream is open");
    }

    /// Takes frames until one is what is looked for.
    pub async fn until<T>(&mut self, look: impl Fn(Frame) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = look(self.next().await.expect("the stream goes on")) {
                    return found;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(5), found).await.expect("the frame comes")
    }

    /// The next frame; `None` when the stream is over.
    pub async fn next(&mut self) -> Option<Frame> {
        self.heard.message().await.expect("the stream works").and_then(|frame| frame.frame)
    }

    /// Takes frames up to Drained.
    pub async fn until_drained(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            let drained = matches!(frame, Frame::Drained(_));
            frames.push(frame);
            if drained {
                break;
            }
        }
        frames
    }

    /// Fails if any frame holds this text.
    pub async fn hears_nothing_of(&mut self, text: &str) {
        while let Ok(Some(frame)) = tokio::time::timeout(SILENCE, self.next()).await {
            assert!(!format!("{frame:?}").contains(text), "told: {frame:?}");
        }
    }

    /// Waits until the node has offered one more heartbeat to its streams; two looks of the pulse.
    pub async fn beats(&self, world: &World) {
        let look = tokio::time::Instant::now();
        let hub = &world.node(0).hub;
        eventually("the pulse has looked", async || {
            (hub.covered() > 0 && look.elapsed() > Duration::from_millis(1_200)).then_some(())
        })
        .await;
    }

    /// Takes everything that waits. Each watermark must come after every change of the room that lies before it. `rows` are
    /// revisions and transaction ids.
    pub async fn check_watermarks(&mut self, room: &str, rows: &[(i64, i64)]) {
        let newest = rows.iter().map(|(rev, _)| *rev).max().unwrap_or(0);
        let mut told = 0;
        while told < newest {
            let frame = tokio::time::timeout(Duration::from_secs(5), self.next()).await.expect("more is owed");
            let mut watermark = 0;
            match frame.expect("the stream goes on") {
                Frame::RoomEvent(event) if event.room_id == room => told = told.max(event.rev),
                Frame::RoomSummary(summary) if summary.room_id == room => told = told.max(rev_of(summary)),
                Frame::Drained(drained) => watermark = drained.watermark,
                Frame::Heartbeat(beat) => watermark = beat.watermark,
                _ => {}
            }
            let covered = rows.iter().filter(|(_, xid)| *xid < watermark).map(|(rev, _)| *rev).max().unwrap_or(0);
            assert!(covered <= told, "told of watermark {watermark} before revision {covered}; told up to {told}");
        }
    }
}

fn rev_of(summary: v1::RoomSummary) -> i64 {
    match summary.verdict {
        Some(v1::room_summary::Verdict::Present(present)) => present.room.map_or(0, |room| room.rev),
        _ => 0,
    }
}
