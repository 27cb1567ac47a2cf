//! Without a server: what is typed is kept, shown and in order; what is refused is said.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use madang_sdk_core::{
    Backoff, Client, ClientConfig, ClientError, ClientErrorKind, Clock, ConnectionState, ListChange, LocalReason,
    NewRoom, SendState, Sleep, StoreLocation, SystemClock, TimelineItem, TokenProvider,
};

const ROOM: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

#[derive(Debug)]
struct NoTokens;

#[async_trait]
impl TokenProvider for NoTokens {
    async fn token(&self, _: bool) -> Result<String, ClientError> {
        Ok("token".into())
    }
}

#[derive(Debug)]
struct SignedOut;

#[async_trait]
impl TokenProvider for SignedOut {
    async fn token(&self, _: bool) -> Result<String, ClientError> {
        Err(ClientError::new(ClientErrorKind::Unauthenticated, "nobody is signed in"))
    }
}

async fn client(store: StoreLocation) -> Client {
    // Port 1 of the loopback: nobody listens there.
    let backoff = Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(5) };
    let config = ClientConfig { backoff, ..ClientConfig::new("http://127.0.0.1:1", store) };
    Client::open(config, Arc::new(NoTokens)).await.expect("the store opens")
}

fn at(folder: &Path) -> StoreLocation {
    StoreLocation::File(folder.join("store.db"))
}

async fn texts(client: &Client) -> Vec<(String, SendState)> {
    let timeline = client.timeline(ROOM).await.expect("a timeline");
    let text = |item: &TimelineItem| match item {
        TimelineItem::Message(message) => Some((message.text.clone(), message.state.clone())),
        _ => None,
    };
    timeline.items().iter().filter_map(text).collect()
}

#[tokio::test]
async fn what_was_typed_offline_survives_the_process_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let first = client(at(folder.path())).await;
    for text in ["one", "two", "three"] {
        first.send(ROOM, text).await.unwrap();
    }
    assert!(!first.drain(Duration::from_millis(20)).await);
    // No farewell: the process is gone.
    drop(first);
    let second = client(at(folder.path())).await;
    let queued = |text: &str| (text.to_owned(), SendState::Queued);
    assert_eq!(texts(&second).await, ["one", "two", "three"].map(queued));
}

#[tokio::test]
async fn what_never_left_is_edited_and_deleted_where_it_waits() {
    let client = client(StoreLocation::Memory).await;
    let first = client.send(ROOM, "one").await.unwrap();
    let second = client.send(ROOM, "two").await.unwrap();
    assert_eq!(client.edit(ROOM, first.as_str(), "1").await.unwrap(), first);
    let deleted = client.delete(ROOM, second.as_str()).await.unwrap();
    assert_eq!(client.settled(&deleted).await, Ok(0));
    assert_eq!(texts(&client).await, [("1".to_owned(), SendState::Queued)]);
    assert_eq!(client.settled(&second).await.unwrap_err().kind, ClientErrorKind::NotFound);
    let nothing = client.edit(ROOM, "unknown", "seven").await.unwrap_err();
    assert_eq!(nothing.kind, ClientErrorKind::NotFound);
}

#[tokio::test]
async fn a_room_made_offline_is_there_at_once_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = client(at(folder.path())).await;
    let room = first.create_room(NewRoom { name: "lunch".into(), ..NewRoom::default() }).await.unwrap();
    first.send(&room, "who comes?").await.unwrap();
    drop(first);
    let second = client(at(folder.path())).await;
    let rooms = second.rooms().await.unwrap();
    let shown: Vec<&str> = rooms.items().iter().map(|room| room.name.as_str()).collect();
    assert_eq!(shown, ["lunch"]);
    let timeline = second.timeline(&room).await.unwrap();
    let typed = |item: &TimelineItem| matches!(item, TimelineItem::Message(message) if message.text == "who comes?");
    assert_eq!(timeline.items().iter().filter(|item| typed(item)).count(), 1);
}

#[tokio::test]
async fn what_the_server_would_refuse_for_its_limits_does_not_go_in() {
    let client = client(StoreLocation::Memory).await;
    let long = client.send(ROOM, "x".repeat(10_000_000)).await.unwrap_err();
    assert_eq!((long.kind, long.field()), (ClientErrorKind::Invalid, Some("body.text")));
    assert_eq!(client.send("not a room", "hello").await.unwrap_err().field(), Some("room_id"));
    let nameless = client.create_room(NewRoom::default()).await.unwrap_err();
    assert_eq!((nameless.kind, nameless.field()), (ClientErrorKind::Invalid, Some("name")));
    assert!(texts(&client).await.is_empty());
}

#[tokio::test]
async fn an_open_timeline_tells_what_is_typed_at_once() {
    let client = client(StoreLocation::Memory).await;
    let mut timeline = client.timeline(ROOM).await.unwrap();
    assert!(timeline.items().is_empty());
    client.send(ROOM, "hello").await.unwrap();
    let batch = timeline.next().await.unwrap();
    let [ListChange::Appended { items }] = batch.as_slice() else { panic!("a message was typed: {batch:?}") };
    let [TimelineItem::DayLine { .. }, TimelineItem::Message(message)] = items.as_slice() else {
        panic!("a line and a message: {items:?}");
    };
    assert_eq!((message.text.as_str(), message.seq, message.state.clone()), ("hello", None, SendState::Queued));
}

#[tokio::test]
async fn without_a_server_the_client_is_offline_and_tries_again() {
    let client = client(StoreLocation::Memory).await;
    // The state says why: the machine is there, and nothing listens.
    let refused = |error: &ClientError| error.local == Some(LocalReason::Refused);
    let offline = |state: &ConnectionState| matches!(state, ConnectionState::Offline { reason: Some(reason), .. } if refused(reason));
    client.states().wait_for(offline).await.unwrap();
    client.states().wait_for(|state| *state == ConnectionState::Connecting).await.unwrap();
    let error = client.search_users("b").await.unwrap_err();
    assert_eq!((error.kind, error.local), (ClientErrorKind::Offline, Some(LocalReason::Refused)));
    client.disconnect();
    client.states().wait_for(|state| *state == ConnectionState::Suspended).await.unwrap();
    client.reconnect();
    client.states().wait_for(offline).await.unwrap();
}

/// A clock that panics when it has been asked to wait this often, and is well again after that.
#[derive(Debug)]
struct PanickingClock(AtomicUsize);

impl Clock for PanickingClock {
    fn now(&self) -> SystemTime {
        SystemClock.now()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let left = self.0.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        assert!(left != Ok(1), "a host's clock");
        SystemClock.sleep(duration)
    }
}

#[tokio::test]
async fn a_panic_of_the_host_within_a_task_ends_neither_the_client_nor_the_host() {
    let mut panics = 0;
    for waits in 1..12 {
        let backoff = Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(5) };
        let clock = Arc::new(PanickingClock(AtomicUsize::new(waits)));
        let config = ClientConfig { backoff, clock, ..ClientConfig::new("http://127.0.0.1:1", StoreLocation::Memory) };
        let client = Client::open(config, Arc::new(NoTokens)).await.unwrap();
        let mut states = client.states();
        // It tries on and on.
        for _ in 0..12 {
            states.wait_for(|state| matches!(state, ConnectionState::Offline { .. })).await.unwrap();
            states.wait_for(|state| *state == ConnectionState::Connecting).await.unwrap();
        }
        client.send(ROOM, "still here").await.unwrap();
        panics += client.counters().panics;
    }
    // Not all waits are a task's own.
    assert!((1..12).contains(&panics), "{panics}");
}

#[tokio::test]
async fn nobody_signed_in_is_said_and_not_tried_again() {
    let config = ClientConfig::new("http://127.0.0.1:1", StoreLocation::Memory);
    let client = Client::open(config, Arc::new(SignedOut)).await.unwrap();
    client.states().wait_for(|state| *state == ConnectionState::SignedOut).await.unwrap();
    assert_eq!(client.me(), None);
}

/// A host whose issuer does not answer for a while.
#[derive(Debug)]
struct Away(AtomicBool);

#[async_trait]
impl TokenProvider for Away {
    async fn token(&self, _: bool) -> Result<String, ClientError> {
        let away = || ClientError::new(ClientErrorKind::RateLimited, "the issuer is away");
        if self.0.load(SeqCst) { Err(away()) } else { Ok("token".into()) }
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_had_is_told_and_asked_for_again() {
    let backoff = Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(5) };
    let config = ClientConfig { backoff, ..ClientConfig::new("http://127.0.0.1:1", StoreLocation::Memory) };
    let host = Arc::new(Away(AtomicBool::new(true)));
    let client = Client::open(config, Arc::clone(&host) as _).await.unwrap();
    let why = |state: &ConnectionState| match state {
        ConnectionState::Offline { reason, .. } => reason.as_ref().map(|reason| (reason.kind, reason.local)),
        _ => None,
    };
    client.states().wait_for(|state| why(state) == Some((ClientErrorKind::RateLimited, None))).await.unwrap();
    client.send(ROOM, "kept meanwhile").await.unwrap();
    host.0.store(false, SeqCst);
    let refused = Some((ClientErrorKind::Offline, Some(LocalReason::Refused)));
    client.states().wait_for(|state| why(state) == refused).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_is_refused_at_once() {
    let client = client(StoreLocation::Memory).await;
    assert_eq!(client.send(ROOM, "").await.unwrap_err().kind, ClientErrorKind::Invalid);
    assert_eq!(client.retry_failed("no such id").await.unwrap_err().kind, ClientErrorKind::NotFound);
    let config = ClientConfig::new("chat.example.com", StoreLocation::Memory);
    assert_eq!(Client::open(config, Arc::new(NoTokens)).await.unwrap_err().kind, ClientErrorKind::Invalid);
}

#[tokio::test]
async fn a_draft_and_the_device_survive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let first = client(at(folder.path())).await;
    first.set_draft(ROOM, "half a sen").await.unwrap();
    assert_eq!(first.draft(ROOM).await.unwrap(), "half a sen");
    let device = first.device_id().to_owned();
    first.shutdown(Duration::ZERO).await;
    drop(first);
    let second = client(at(folder.path())).await;
    assert_eq!(second.draft(ROOM).await.unwrap(), "half a sen");
    assert_eq!(second.device_id(), device);
    second.send(ROOM, "half a sentence").await.unwrap();
    assert_eq!(second.draft(ROOM).await.unwrap(), "");
}
