//! What one connection may cost, whoever is at its other end: the limits of HTTP/2, and floods that are cut.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use madang_devstack::server_process::{Launch, ServerProcess};
use madang_tests::{World, world::eventually};

use crate::{
    h2::{
        ACK, CONTINUATION, Connection, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, GOAWAY, HEADERS, PING,
        PRIORITY, REFUSED_STREAM, RST_STREAM, SETTINGS, WINDOW_UPDATE, call, frame, literal,
    },
    people::Guest,
};

/// A method without a token, so that nothing but the connection's limits is in the way.
const OPEN: &str = "/madang.v1.IdentityService/GetServerInfo";

/// Streams that a flood tries to open.
const FLOOD: u32 = 50_000;

/// Said at once, before the answers are looked at.
const AT_ONCE: u32 = 100;

/// Streams of a flood that are looked at before it is cut: 1,024 resets of the server's own (setting of h2), and some.
const MOST_LOOKED_AT: u32 = 2_048;

/// What a flood got.
#[derive(Debug, Default)]
struct Outcome {
    said: u32,
    /// Error of the GOAWAY, and the last stream that was looked at.
    goaway: Option<(u32, u32)>,
    refused: BTreeSet<u32>,
    answered: BTreeSet<u32>,
}

impl Outcome {
    fn take(&mut self, frame: &Frame) {
        match frame.kind {
            GOAWAY => self.goaway = Some((frame.error(), frame.last_stream())),
            RST_STREAM if frame.error() == REFUSED_STREAM => _ = self.refused.insert(frame.stream),
            HEADERS => _ = self.answered.insert(frame.stream),
            _ => {}
        }
    }
}

impl Outcome {
    /// Cut long before the end. What was said includes what lies in buffers and was never looked at; what was looked at is in
    /// the last word, which a reset may have swallowed.
    #[track_caller]
    fn is_cut(&self) {
        assert!(self.said < FLOOD, "{} streams", self.said);
        if let Some((error, last)) = self.goaway {
            assert_eq!(error, ENHANCE_YOUR_CALM, "{self:?}");
            assert!(last < stream(MOST_LOOKED_AT), "{last} is the last stream that was looked at");
        }
    }
}

/// Says what `part` makes of each number, until the server has had enough or all is said.
async fn flood(connection: &mut Connection, count: u32, part: impl Fn(u32) -> Vec<u8>) -> Outcome {
    let mut outcome = Outcome::default();
    while outcome.said < count && outcome.goaway.is_none() {
        let bytes: Vec<u8> = (outcome.said..outcome.said + AT_ONCE).flat_map(&part).collect();
        if !connection.say(&bytes).await {
            break;
        }
        outcome.said += AT_ONCE;
        while let Some(frame) = connection.heard() {
            outcome.take(&frame);
        }
        tokio::task::yield_now().await;
    }
    // What is still on its way: the connection's end, or the word before it.
    while outcome.goaway.is_none() && outcome.said < count {
        match connection.next().await {
            Some(frame) => outcome.take(&frame),
            None => break,
        }
    }
    outcome
}

/// The number of a client's stream.
fn stream(n: u32) -> u32 {
    2 * n + 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_told_its_limits_at_once() {
    let world = World::new().await;
    let (_connection, settings) = Connection::open(&world.server(0)).await;
    let of = |number: u16| settings.iter().find(|(found, _)| *found == number).map(|(_, value)| *value);
    assert_eq!(of(3), Some(world.server_config().streams_per_connection), "MAX_CONCURRENT_STREAMS: {settings:?}");
    assert_eq!(of(6), Some(16 * 1024), "MAX_HEADER_LIST_SIZE: {settings:?}");
    assert!(of(4).is_none_or(|window| window <= 64 * 1024), "INITIAL_WINDOW_SIZE: {settings:?}");
    assert!(of(5).is_none_or(|size| size <= 16 * 1024), "MAX_FRAME_SIZE: {settings:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_opened_and_reset_at_once_cut_their_connection() {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    let (mut connection, _) = Connection::open(&world.server(0)).await;
    let outcome = flood(&mut connection, FLOOD, |n| {
        let cancel = frame(RST_STREAM, 0, stream(n), &8_u32.to_be_bytes());
        [frame(HEADERS, END_HEADERS, stream(n), &call(OPEN)), frame(DATA, END_STREAM, stream(n), &[0; 5]), cancel]
            .concat()
    })
    .await;
    outcome.is_cut();
    eventually("the connection is cut", async || connection.is_over().then_some(())).await;
    ann.me().await.expect("another connection");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_make_the_server_reset_streams_cut_their_connection() {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    let (mut connection, _) = Connection::open(&world.server(0)).await;
    // A header that HTTP/2 forbids: each such stream is reset by the server.
    let bad = [call(OPEN), literal("connection", "close")].concat();
    let outcome = flood(&mut connection, FLOOD, |n| frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &bad)).await;
    outcome.is_cut();
    eventually("the connection is cut", async || connection.is_over().then_some(())).await;
    ann.me().await.expect("another connection");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_without_end_cut_their_connection() {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    for value in ["v".repeat(100), String::new()] {
        let (mut connection, _) = Connection::open(&world.server(0)).await;
        connection.say(&frame(HEADERS, 0, 1, &call(OPEN))).await;
        let part = |n: u32| frame(CONTINUATION, 0, 1, &literal(&format!("x-{}", n % 10), &value));
        let outcome = flood(&mut connection, FLOOD, part).await;
        assert!(outcome.said < FLOOD, "{} frames", outcome.said);
        eventually("the connection is cut", async || connection.is_over().then_some(())).await;
    }
    // Nothing in them at all.
    let (mut connection, _) = Connection::open(&world.server(0)).await;
    connection.say(&frame(HEADERS, 0, 1, &call(OPEN))).await;
    let outcome = flood(&mut connection, FLOOD, |_| frame(CONTINUATION, 0, 1, &[])).await;
    assert!(outcome.said < FLOOD, "{} empty frames", outcome.said);
    ann.me().await.expect("another connection");
    world.end().await;
}

/// Frames that are no call are taken by h2 for ever, but for empty DATA: a connection that says nothing else is cut.
async fn is_cut_by(what: &str, part: impl Fn(u32) -> Vec<u8>) {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    let (mut connection, _) = Connection::open(&world.server(0)).await;
    // A call that waits for its message, so that there is a stream to speak of.
    connection.say(&frame(HEADERS, END_HEADERS, stream(0), &call(OPEN))).await;
    // All of it may lie in buffers: nobody may have to wait for whoever floods.
    flood(&mut connection, FLOOD, part).await;
    eventually(&format!("{what} cut their connection"), async || connection.is_over().then_some(())).await;
    ann.me().await.expect("another connection");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_without_end_cut_their_connection() {
    is_cut_by("PING", |n| frame(PING, 0, 0, &u64::from(n).to_be_bytes())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_pings_that_nobody_sent_cut_their_connection() {
    is_cut_by("answers to PING", |n| frame(PING, ACK, 0, &u64::from(n).to_be_bytes())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_without_end_cut_their_connection() {
    is_cut_by("empty SETTINGS", |_| frame(SETTINGS, 0, 0, &[])).await;
    // INITIAL_WINDOW_SIZE, another each time, moves the window of every stream.
    is_cut_by("SETTINGS", |n| frame(SETTINGS, 0, 0, &[&[0, 4][..], &(n % 2 + 1_000).to_be_bytes()].concat())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_without_bytes_cuts_its_connection() {
    is_cut_by("empty DATA", |_| frame(DATA, 0, stream(0), &[])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_that_are_moved_without_end_cut_their_connection() {
    is_cut_by("WINDOW_UPDATE of the connection", |_| frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())).await;
    is_cut_by("WINDOW_UPDATE of a stream", |_| frame(WINDOW_UPDATE, 0, stream(0), &1_u32.to_be_bytes())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn priorities_and_unknown_frames_without_end_cut_their_connection() {
    is_cut_by("PRIORITY", |_| frame(PRIORITY, 0, stream(0), &[0, 0, 0, 0, 16])).await;
    is_cut_by("an unknown frame", |_| frame(99, 0, 0, b"who knows")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_streams_are_open_than_were_announced() {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    let most = world.server_config().streams_per_connection;
    let (mut connection, _) = Connection::open(&world.server(0)).await;
    // Opened and never ended: each of these calls waits for its message.
    let outcome = flood(&mut connection, FLOOD, |n| frame(HEADERS, END_HEADERS, stream(n), &call(OPEN))).await;
    assert!(
        outcome.goaway.is_some() || outcome.refused.len() >= (outcome.said - most - AT_ONCE) as usize,
        "{} said, {} refused",
        outcome.said,
        outcome.refused.len()
    );
    assert!(outcome.answered.is_empty(), "{:?}", outcome.answered);
    let within = (0..most).map(stream).collect::<BTreeSet<_>>();
    assert!(outcome.refused.is_disjoint(&within), "a stream within the limit was refused");
    ann.me().await.expect("another connection");
    world.end().await;
}

/// Where the server's own binary is.
pub fn binary() -> PathBuf {
    let here = std::env::current_exe().expect("this program has a path");
    let binary = here.ancestors().nth(2).expect("target/debug").join("madang");
    assert!(binary.exists(), "{} is not there: cargo build -p madang-server", binary.display());
    binary
}

/// A server in a process of its own, on the world's database.
pub async fn process(world: &World, log: &std::path::Path, settings: &[(&str, &str)]) -> ServerProcess {
    let launch = Launch::new(&binary(), world.database_url(), world.stack.issuer.url(), log);
    let launch = settings.iter().fold(launch, |launch, (name, value)| launch.with(name, *value));
    launch.serve().await.expect("a server")
}

/// Bytes of memory that a process has.
fn memory(pid: u32) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).expect("the process lives");
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
    pages * 4096
}

/// Without the limits 50,000 half-open streams took 427 MB, with them 7 MB (measured); a debug build takes more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_streams_cost_no_memory_worth_speaking_of() {
    let world = World::new().await;
    let folder = std::env::temp_dir().join(format!("madang-floods-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let fast = [("MADANG_RATE_READ", "100000/s burst 100000"), ("MADANG_LOG", "info,madang::call=off")];
    let server = process(&world, &folder.join("server.log"), &fast).await;
    let address = format!("http://{}", server.grpc());
    // What the first calls take is taken once.
    let ann = Guest::at(&world, "ann", &address).await;
    let before = memory(server.pid());
    let mut connections = Vec::new();
    for _ in 0..4 {
        let (mut connection, _) = Connection::open(&address).await;
        flood(&mut connection, FLOOD / 4, |n| frame(HEADERS, END_HEADERS, stream(n), &call(OPEN))).await;
        connections.push(connection);
    }
    let more = memory(server.pid()).saturating_sub(before);
    assert!(more < 48 << 20, "{} MiB more", more >> 20);
    tokio::time::timeout(Duration::from_secs(5), ann.me()).await.expect("in time").expect("an answer");
    drop(server);
    std::fs::remove_dir_all(&folder).expect("cleaned up");
    world.end().await;
}
