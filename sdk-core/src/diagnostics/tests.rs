use std::sync::{Arc, Mutex};

use madang_proto::v1::{
    Closing, CustomStatus, ErrorReason, Heartbeat, Message, MessageBody, Refused, Room, RoomEvent, ServerFrame, User,
    UserStatus, Welcome, room_event::Change, server_frame::Frame,
};
use serde_json::Value;

use super::{
    Cause, LogLevel, LogLine, LogSink,
    explain::{Now, explain},
    recorder::EVENTS,
    set_log_sink,
};
use crate::{
    client::Client,
    commands::{NewRoom, ProfileChange},
    config::{ClientConfig, NetworkConfig, Proxy, StoreLocation, TokenProvider},
    engine::ConnectionState,
    error::ClientError,
    observe::lock,
    store::{Durability, MessageKey, Write, messages, outbox, people, rooms},
    sync::RoomState,
};

const ROOM: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
/// What must never be told.
const SECRET: &str = "open-sesame";

#[derive(Debug)]
struct SecretToken;

#[async_trait::async_trait]
impl TokenProvider for SecretToken {
    async fn token(&self, _: bool) -> Result<String, ClientError> {
        Ok(SECRET.into())
    }
}

async fn open(config: ClientConfig) -> Client {
    Client::open(config, Arc::new(SecretToken)).await.unwrap()
}

async fn client() -> Client {
    open(ClientConfig::new("http://127.0.0.1:1", StoreLocation::Memory)).await
}

async fn write(client: &Client, job: impl FnOnce(&mut Write<'_>) -> rusqlite::Result<()> + Send + 'static) {
    client.inner.store.write(Durability::Outbox, job).await.unwrap();
}

async fn cause(client: &Client, message: impl Into<MessageKey>) -> Cause {
    client.explain(ROOM, message.into()).await.unwrap().cause
}

/// The cause if the client were online, which would send what waits.
async fn cause_online(client: &Client, change_id: &str, attempts: u32) -> Cause {
    let (key, now) = (MessageKey::from(change_id), Now { online: true, attempts, repair: false });
    client.inner.store.read(move |r| Ok(explain(r, ROOM, &key, &now)?.cause)).await.unwrap()
}

#[tokio::test]
async fn a_message_that_was_typed_is_explained_on_every_step_of_its_way() {
    let client = client().await;
    let first = client.send(ROOM, "one").await.unwrap();
    let second = client.send(ROOM, "two").await.unwrap();
    assert_eq!(cause(&client, first.as_str()).await, Cause::WaitsForConnection);
    assert_eq!(cause(&client, second.as_str()).await, Cause::WaitsForEarlier { entries: 1 });
    let id =
        move |w: &Write<'_>, change_id: &str| Ok::<_, rusqlite::Error>(outbox::find(&w.tx, change_id)?.unwrap().id);
    let one = first.clone();
    write(&client, move |w| outbox::leave(&w.tx, id(w, &one)?)).await;
    client.inner.connection.record.send(&first);
    client.inner.connection.record.send(&first);
    assert_eq!(cause(&client, first.as_str()).await, Cause::OnItsWay { attempt: 2 });
    let one = first.clone();
    write(&client, move |w| outbox::wait(&w.tx, id(w, &one)?)).await;
    assert_eq!(cause_online(&client, &first, 2).await, Cause::WaitsToLeave { attempts: 2 });
    let one = first.clone();
    write(&client, move |w| outbox::fail(&w.tx, id(w, &one)?, ErrorReason::RoomFull, "")).await;
    assert_eq!(cause(&client, first.as_str()).await, Cause::Refused { reason: ErrorReason::RoomFull });
    // What was refused holds nobody up.
    assert_eq!(cause_online(&client, &second, 0).await, Cause::WaitsToLeave { attempts: 0 });
    let two = second.clone();
    write(&client, move |w| outbox::acknowledge(&w.tx, id(w, &two)?, (7, 7), 0)).await;
    assert_eq!(cause(&client, second.as_str()).await, Cause::Acknowledged { seq: 7 });
    assert_eq!(cause(&client, "no such message").await, Cause::Unknown);
}

/// A room of which the rows 5 to 8 of 10 are held, without the row 6.
fn held(w: &mut Write<'_>) -> rusqlite::Result<()> {
    let room = Room { id: ROOM.into(), seq: 10, ..Room::default() };
    let state = RoomState { room: Some(room), rev: 8, head_rev: 12, seq: 8, low_seq: 5, ..RoomState::new(ROOM) };
    rooms::save(&w.tx, &state)?;
    let row = |seq| Message { room_id: ROOM.into(), seq, rev: seq, ..Message::default() };
    messages::upsert(&w.tx, &[5, 7, 8].map(row), w.guards)
}

#[tokio::test]
async fn an_item_of_a_room_is_explained_by_what_is_held_of_the_room() {
    let client = client().await;
    assert_eq!(cause(&client, 3).await, Cause::Unknown);
    write(&client, held).await;
    assert_eq!(cause(&client, 7).await, Cause::Held { seq: 7, rev: 7, deleted: false });
    assert_eq!(cause(&client, 4).await, Cause::BelowHeld);
    assert_eq!(cause(&client, 6).await, Cause::Missing);
    assert_eq!(cause(&client, 9).await, Cause::AheadOfRows { repair: false });
    assert_eq!(cause(&client, 11).await, Cause::Unknown);
    write(&client, |w| {
        w.repairs.rooms.insert(ROOM.into(), crate::sync::Flight::default());
        Ok(())
    })
    .await;
    let explanation = client.explain(ROOM, MessageKey::Seq(9)).await.unwrap();
    assert_eq!(explanation.cause, Cause::AheadOfRows { repair: true });
    let numbers = (explanation.rev, explanation.head_rev, explanation.low_seq, explanation.seq, explanation.newest_seq);
    assert_eq!(numbers, (8, 12, 5, 8, 10));
}

fn frames() -> Vec<ServerFrame> {
    let secret = || SECRET.to_owned();
    let message = Message {
        room_id: ROOM.into(),
        seq: 1,
        sender_id: secret(),
        client_message_id: secret(),
        body: Some(MessageBody { text: secret(), ..MessageBody::default() }),
        ..Message::default()
    };
    let change = Some(Change::Message(message));
    [
        Frame::Welcome(Welcome { node: secret(), user_id: secret(), epoch: secret(), ..Welcome::default() }),
        Frame::RoomEvent(RoomEvent {
            room_id: ROOM.into(),
            rev: 1,
            actor_id: secret(),
            change,
            ..RoomEvent::default()
        }),
        Frame::RoomEvent(RoomEvent { room_id: secret(), ..RoomEvent::default() }),
        Frame::Refused(Refused { message: secret(), field: secret(), ..Refused::default() }),
        Frame::Closing(Closing { message: secret(), ..Closing::default() }),
    ]
    .map(|frame| ServerFrame { frame: Some(frame) })
    .into()
}

/// A client that has met the secret wherever there is room for it.
async fn full_of_secrets() -> Client {
    let credentials = Some(("ann".to_owned(), SECRET.to_owned()));
    let network =
        NetworkConfig { proxy: Proxy::Http { address: "127.0.0.1:1".into(), credentials }, ..NetworkConfig::default() };
    let config = ClientConfig {
        network,
        app_version: SECRET.into(),
        platform: SECRET.into(),
        device_id: Some(SECRET.into()),
        ..ClientConfig::new(format!("http://{SECRET}.example.com"), StoreLocation::Memory)
    };
    let client = open(config).await;
    client.send(ROOM, SECRET).await.unwrap();
    client.set_draft(ROOM, SECRET).await.unwrap();
    client.create_room(NewRoom { name: SECRET.into(), topic: SECRET.into(), ..NewRoom::default() }).await.unwrap();
    let profile = ProfileChange { display_name: Some(SECRET.into()), phone: Some(SECRET.into()), ..Default::default() };
    client.update_profile(profile).await.unwrap();
    let status = CustomStatus { text: SECRET.into(), ..CustomStatus::default() };
    client.set_status(UserStatus::default(), Some(status)).await.unwrap();
    client.set_focus([SECRET.to_owned()]);
    let user = User { id: SECRET.into(), display_name: SECRET.into(), ..User::default() };
    write(&client, move |w| people::upsert(&w.tx, &[user])).await;
    let state = RoomState { room: Some(Room { name: SECRET.into(), ..Room::default() }), ..RoomState::new(SECRET) };
    write(&client, move |w| rooms::save(&w.tx, &state)).await;
    for frame in frames() {
        client.inner.connection.record.frame(&frame);
    }
    client.inner.connection.record.refused(SECRET, ErrorReason::RoomFull);
    client.inner.connection.record.send(SECRET);
    client.inner.me.send_replace(Some(SECRET.into()));
    let reason = ClientError {
        request_id: Some(SECRET.into()),
        violations: vec![madang_proto::Violation { field: SECRET.into(), limit: SECRET.into() }],
        ..ClientError::refused(ErrorReason::Internal, SECRET)
    };
    client.inner.tell_state(ConnectionState::Ended { reason });
    client
}

/// The sink is the process's: one test at a time has it.
static SINK: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test]
async fn neither_the_bundle_nor_the_log_nor_debug_output_tells_a_secret() {
    let _turn = SINK.lock().await;
    let lines = Arc::new(Lines::default());
    set_log_sink(LogLevel::Trace, Arc::clone(&lines) as Arc<dyn LogSink>);
    let client = full_of_secrets().await;
    // A call on the way, through the proxy that is not there.
    client.server_info().await.unwrap_err();
    let bundle = client.support_bundle().await;
    assert!(!bundle.contains(SECRET), "{bundle}");
    let parsed: Value = serde_json::from_str(&bundle).unwrap();
    assert_eq!(parsed["settings"]["proxy"], "http");
    assert!(parsed["store"]["outbox"].as_array().is_some_and(|outbox| outbox.len() >= 3), "{bundle}");
    assert!(parsed["events"].as_array().is_some_and(|events| events.len() >= 5), "{bundle}");
    assert!(parsed["counters"]["calls"].as_u64() >= Some(1) && parsed["counters"]["frames"] == 5, "{bundle}");
    let said = lock(&lines.0);
    // The name of the server is in its address, of which the log may tell.
    assert!(said.iter().all(|line| !line.message.replace("open-sesame.example.com", "").contains(SECRET)), "{said:?}");
    let network = format!("{:?}", client.inner.config.network);
    assert!(!network.contains(SECRET), "{network}");
}

#[tokio::test]
async fn only_the_last_thousand_events_are_kept() {
    let client = client().await;
    let heartbeat = ServerFrame { frame: Some(Frame::Heartbeat(Heartbeat::default())) };
    for _ in 0..2 * EVENTS {
        client.inner.connection.record.frame(&heartbeat);
    }
    let bundle: Value = serde_json::from_str(&client.support_bundle().await).unwrap();
    assert_eq!(bundle["events"].as_array().unwrap().len(), EVENTS);
    assert_eq!(client.counters().frames, 2 * EVENTS as u64);
}

/// Lines that were logged.
#[derive(Debug, Default)]
struct Lines(Mutex<Vec<LogLine>>);

impl LogSink for Lines {
    fn log(&self, line: LogLine) {
        // What a sink logs itself must not come back to it.
        tracing::error!("from the sink");
        let panics = line.message.contains("panic");
        lock(&self.0).push(line);
        assert!(!panics, "a host's panic");
    }
}

#[test]
fn a_sink_gets_lines_of_its_level_and_its_panic_harms_nobody() {
    let _turn = SINK.blocking_lock();
    let (first, second) = (Arc::new(Lines::default()), Arc::new(Lines::default()));
    assert!(set_log_sink(LogLevel::Warn, Arc::clone(&first) as Arc<dyn LogSink>));
    assert!(set_log_sink(LogLevel::Warn, Arc::clone(&second) as Arc<dyn LogSink>), "a second time");
    let room = 7;
    tracing::info!("too little");
    tracing::warn!(room, "something {}", "happened");
    tracing::error!("panic");
    tracing::warn!("{}", "가".repeat(10_000));
    tracing::error!(target: "another_crate", "not ours");
    let said = lock(&second.0);
    let ours: Vec<_> = said.iter().filter(|line| line.target.ends_with("diagnostics::tests")).collect();
    let words: Vec<_> = ours.iter().take(2).map(|line| (line.level, line.message.as_str())).collect();
    assert_eq!(words, [(LogLevel::Warn, "something happened room=7"), (LogLevel::Error, "panic")]);
    assert!(ours.len() == 3 && ours[2].message.len() <= 4 << 10);
    assert!(lock(&first.0).iter().all(|line| !line.message.contains("happened")));
}
