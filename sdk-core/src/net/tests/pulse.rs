//! Connections that go silent, are cut, and are behind and in front.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use madang_proto::v1::{GetServerInfoRequest, identity_service_client::IdentityServiceClient};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    task::JoinHandle,
};

use super::{
    MovedClock, pass,
    servers::{hangs, serve},
};
use crate::{
    clock::{Clock, Sleep},
    config::{ClientConfig, Mode, NetworkConfig, StoreLocation},
    connection::Connection,
    diagnostics::Recorder,
    error::{ClientError, LocalReason},
    net::{Line, Route, failure::Trouble, line::Reins, pulse::Pulse},
    tokens::tests::NoTokens,
};

/// Passes on what both sides say, until it does not any more, of which nobody is told.
async fn relay(mut client: TcpStream, server: SocketAddr, silent: Arc<AtomicBool>) -> io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    // A clock that is moved does not wait for the kernel to gather bytes.
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let (mut said, mut answered) = ([0; 4096], [0; 4096]);
    loop {
        tokio::select! {
            bytes = client.read(&mut said) => match bytes? {
                0 => return Ok(()),
                _ if silent.load(SeqCst) => {}
                bytes => server.write_all(&said[..bytes]).await?,
            },
            bytes = server.read(&mut answered) => match bytes? {
                0 => return Ok(()),
                _ if silent.load(SeqCst) => {}
                bytes => client.write_all(&answered[..bytes]).await?,
            },
        }
    }
}

/// A call that waits for its answer over a connection that is there.
struct Waiting {
    call: JoinHandle<Result<(), ClientError>>,
    clock: Arc<MovedClock>,
    record: Arc<Recorder>,
    in_front: watch::Sender<bool>,
    silent: Arc<AtomicBool>,
    line: Arc<Line>,
}

/// A server that never answers, behind a wire that may go silent.
async fn server(silent: &Arc<AtomicBool>) -> SocketAddr {
    let (server, wire) = (serve(hangs).await, Arc::clone(silent));
    serve(move |socket| relay(socket, server, Arc::clone(&wire))).await
}

async fn waiting(in_front: bool) -> Waiting {
    let silent = Arc::<AtomicBool>::default();
    let address = server(&silent).await;
    let clock = Arc::<MovedClock>::default();
    let record = Arc::new(Recorder::new(Arc::clone(&clock) as Arc<dyn Clock>));
    let in_front = watch::Sender::new(in_front);
    let route = Route::new(&format!("http://{address}"), &NetworkConfig::default(), Arc::clone(&clock) as _).unwrap();
    let line = Arc::new(Line::new(&Arc::new(route), &record, in_front.subscribe()));
    let call = tokio::spawn({
        let line = Arc::clone(&line);
        async move { super::ask(&line).await }
    });
    while record.counters().bytes_received == 0 {
        tokio::task::yield_now().await;
    }
    Waiting { call, clock, record, in_front, silent, line }
}

impl Waiting {
    /// How many seconds pass until the call fails.
    async fn seconds_to_the_end(self) -> u64 {
        seconds_to_the_end(self.call, &self.clock).await
    }
}

async fn seconds_to_the_end(call: JoinHandle<Result<(), ClientError>>, clock: &MovedClock) -> u64 {
    let mut seconds = 0;
    while !call.is_finished() {
        pass(clock, Duration::from_secs(1)).await;
        seconds += 1;
        assert!(seconds < 100, "it does not end");
    }
    assert_eq!(call.await.unwrap().unwrap_err().local, Some(LocalReason::Unreachable));
    seconds
}

#[tokio::test]
async fn a_connection_that_goes_silent_is_dead_within_45_seconds_and_within_20_in_front() {
    let behind = waiting(false).await;
    behind.silent.store(true, SeqCst);
    let seconds = behind.seconds_to_the_end().await;
    assert!((40..=45).contains(&seconds), "{seconds}");
    let in_front = waiting(true).await;
    in_front.silent.store(true, SeqCst);
    let seconds = in_front.seconds_to_the_end().await;
    assert!((15..=20).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_client_that_was_told_nothing_is_in_front_unless_it_is_there_for_the_background() {
    for (mode, wanted) in [(Mode::Foreground, 15..=20), (Mode::Background, 40..=45)] {
        let (silent, clock) = (Arc::<AtomicBool>::default(), Arc::<MovedClock>::default());
        let at = format!("http://{}", server(&silent).await);
        let config =
            ClientConfig { mode, clock: Arc::clone(&clock) as _, ..ClientConfig::new(at, StoreLocation::Memory) };
        let connection = Connection::new(&config, "device", Arc::new(NoTokens)).unwrap();
        let wire = connection.channel();
        let call = tokio::spawn(async move {
            let answer = IdentityServiceClient::new(wire).get_server_info(GetServerInfoRequest {}).await;
            answer.map(drop).map_err(ClientError::from)
        });
        while connection.record.counters().bytes_received == 0 {
            tokio::task::yield_now().await;
        }
        silent.store(true, SeqCst);
        let seconds = seconds_to_the_end(call, &clock).await;
        assert!(wanted.contains(&seconds), "{mode:?}: {seconds}");
    }
}

#[tokio::test]
async fn a_quiet_connection_that_lives_is_asked_and_stays() {
    for (in_front, pings) in [(false, 2..=3), (true, 5..=6)] {
        let waiting = waiting(in_front).await;
        pass(&waiting.clock, Duration::from_mins(1)).await;
        let counters = waiting.record.counters();
        assert!(pings.contains(&counters.pings), "{counters:?}");
        assert!(counters.ping_ms > 0, "the answer is heard: {counters:?}");
        assert!(!waiting.call.is_finished());
    }
}

#[tokio::test]
async fn coming_to_the_front_looks_at_once_whether_the_connection_is_there() {
    let waiting = waiting(false).await;
    waiting.silent.store(true, SeqCst);
    pass(&waiting.clock, Duration::from_secs(5)).await;
    waiting.in_front.send_replace(true);
    let seconds = waiting.seconds_to_the_end().await;
    assert!(seconds <= 10, "{seconds}");
}

#[tokio::test]
async fn a_line_that_is_let_go_of_ends_its_calls_at_once() {
    let waiting = waiting(false).await;
    let wire = waiting.line.wire();
    assert!(!waiting.call.is_finished());
    // The call holds the line; the client lets go of it by putting another in its place.
    waiting.call.abort();
    let other = tokio::spawn(async move {
        let mut client = IdentityServiceClient::new(wire);
        client.get_server_info(GetServerInfoRequest {}).await.map(drop).map_err(ClientError::from)
    });
    while waiting.record.counters().calls < 2 {
        tokio::task::yield_now().await;
    }
    let _ = waiting.call.await;
    drop(waiting.line);
    assert!(other.await.unwrap().unwrap_err().may_repeat());
}

/// A moved clock that counts the sleeps that came to their end.
#[derive(Debug, Default)]
struct Counted {
    moved: MovedClock,
    ended: Arc<AtomicUsize>,
}

impl Clock for Counted {
    fn now(&self) -> SystemTime {
        self.moved.now()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let (sleep, ended) = (self.moved.sleep(duration), Arc::clone(&self.ended));
        Box::pin(async move {
            sleep.await;
            ended.fetch_add(1, SeqCst);
        })
    }
}

#[tokio::test]
async fn behind_the_heartbeats_of_the_server_are_all_that_wakes_a_device() {
    let clock = Arc::<Counted>::default();
    let record = Arc::new(Recorder::new(Arc::clone(&clock) as Arc<dyn Clock>));
    let (cut, in_front) = (watch::Sender::new(false), watch::Sender::new(false));
    let reins = Reins { cut: cut.subscribe(), in_front: in_front.subscribe() };
    let (ours, mut servers) = tokio::io::duplex(4096);
    let pulse = Pulse::new(ours, Arc::clone(&clock) as _, Arc::clone(&record), Trouble::default(), &reins);
    let reading = tokio::spawn(async move {
        let mut pulse = pulse;
        while pulse.read_u8().await.is_ok() {}
    });
    for _ in 0..30 {
        pass(&clock.moved, Duration::from_secs(20)).await;
        // An empty DATA frame.
        servers.write_all(&[0, 0, 0, 0, 0, 0, 0, 0, 1]).await.unwrap();
    }
    assert_eq!((clock.ended.load(SeqCst), record.counters().pings), (0, 0));
    assert!(!reading.is_finished());
}

#[tokio::test]
async fn the_answer_to_a_ping_is_kept_from_those_who_did_not_ask() {
    let clock = Arc::<Counted>::default();
    let record = Arc::new(Recorder::new(Arc::clone(&clock) as Arc<dyn Clock>));
    let (cut, in_front) = (watch::Sender::new(false), watch::Sender::new(false));
    let reins = Reins { cut: cut.subscribe(), in_front: in_front.subscribe() };
    let (ours, mut servers) = tokio::io::duplex(4096);
    let mut pulse = Pulse::new(ours, clock as _, record, Trouble::default(), &reins);
    let (data, pong) = ([0, 0, 1, 0, 0, 0, 0, 0, 1, 7], [0, 0, 8, 6, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    servers.write_all(&[&data[..], &pong, &data].concat()).await.unwrap();
    let mut read = [0; 1024];
    assert_eq!(pulse.read(&mut read).await.unwrap(), 20);
    assert_eq!(read[..20], [data, data].concat());
    servers.write_all(&pong).await.unwrap();
    drop(servers);
    assert_eq!(pulse.read(&mut read).await.unwrap(), 0);
}
