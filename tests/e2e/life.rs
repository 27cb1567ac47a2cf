//! The life of a client on a real server: rests, wake-ups, tokens, sign-out.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use madang_proto::v1::{self, ErrorReason};
use madang_sdk_core::{
    Backoff, Client, ClientConfig, ClientError, ClientErrorKind, ConnectionState, LocalReason, Mode, StoreLocation,
    TokenProvider,
};
use madang_server::config::Config;
use madang_tests::{Person, World, WorldConfig, world::eventually};
use serde_json::json;

/// Longer than any wake-up takes.
const DEADLINE: Duration = Duration::from_secs(10);

fn config(world: &World, store: &Path) -> ClientConfig {
    let backoff = Backoff { base: Duration::from_millis(20), cap: Duration::from_millis(200) };
    ClientConfig { backoff, ..ClientConfig::new(world.server(0), StoreLocation::File(store.to_owned())) }
}

/// Somebody with a store on the disk, live.
async fn on_disk(world: &World, login: &str, store: &Path) -> Person {
    let person = Person::open_with(world, login, &world.server(0), config(world, store)).await.expect("a client");
    person.live().await;
    person
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wake_up_tells_each_new_message_once_sends_what_waits_and_rests_again() {
    let (world, folder) = (World::new().await, tempfile::tempdir().expect("a folder"));
    let ann = world.person("ann").await;
    let bob = on_disk(&world, "bob", &folder.path().join("bob.db")).await;
    let (plans, games) = (ann.room("plans", &[&bob]).await, ann.room("games", &[&bob]).await);
    bob.sees(&plans).await;
    bob.sees(&games).await;
    let read = ann.say(&plans, "read at once").await;
    bob.client.sync_room_now(&plans).await.expect("caught up");
    bob.client.mark_read(&plans, read).await.expect("marked");
    bob.client.disconnect();
    bob.client.send(&games, "typed offline").await.expect("in the outbox");
    bob.client.suspend().await.expect("at rest");
    ann.say(&plans, "first").await;
    let mention = madang_sdk_core::Draft { text: "you".into(), mentions: vec![bob.id.clone()], ..Default::default() };
    let id = ann.client.send(&games, mention).await.expect("sent");
    ann.stored(&games, &id).await;
    let woken = bob.client.sync_once(DEADLINE).await.expect("woken");
    assert!(woken.finished);
    assert_eq!(bob.client.state(), ConnectionState::Suspended);
    let told: Vec<_> =
        woken.notifications.iter().map(|n| (n.room_name.as_str(), n.text.as_str(), n.mentions_me)).collect();
    assert_eq!(told, [("plans", "first", false), ("games", "you", true)]);
    assert!(woken.notifications.iter().all(|one| one.sender.id == ann.id && !one.sender.name.is_empty()));
    assert_eq!(woken.total, 2);
    eventually("what was typed offline is there", async || {
        ann.client.sync_room_now(&games).await.ok()?;
        ann.texts(&games).await.contains(&"typed offline".to_owned()).then_some(())
    })
    .await;
    let again = bob.client.sync_once(DEADLINE).await.expect("woken");
    assert_eq!((again.notifications.len(), again.total, again.finished), (0, 0, true));
    ann.say(&plans, "second").await;
    let third = bob.client.sync_once(DEADLINE).await.expect("woken");
    assert_eq!(third.notifications.iter().map(|one| one.text.as_str()).collect::<Vec<_>>(), ["second"]);
    bob.client.resume().await.expect("used again");
    bob.live().await;
    bob.client.shutdown(Duration::ZERO).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_runs_is_woken_on_a_new_stream_and_tells_nothing_that_was_seen() {
    let (world, folder) = (World::new().await, tempfile::tempdir().expect("a folder"));
    let ann = world.person("ann").await;
    let bob = on_disk(&world, "bob", &folder.path().join("bob.db")).await;
    let room = ann.room("plans", &[&bob]).await;
    bob.sees(&room).await;
    let mut timeline = bob.client.timeline(&room).await.expect("a timeline");
    ann.say(&room, "seen").await;
    while !timeline.items().iter().any(|item| item.seq() == Some(2)) {
        timeline.next().await.expect("the client lives");
    }
    drop(timeline);
    let other = ann.room("games", &[&bob]).await;
    ann.say(&other, "not seen").await;
    let woken = bob.client.sync_once(DEADLINE).await.expect("woken");
    assert_eq!(woken.notifications.iter().map(|one| one.text.as_str()).collect::<Vec<_>>(), ["not seen"]);
    bob.live().await;
    bob.client.shutdown(Duration::ZERO).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_uses_the_store_while_the_app_is_at_rest() {
    let (world, folder) = (World::new().await, tempfile::tempdir().expect("a folder"));
    let store = folder.path().join("bob.db");
    let ann = world.person("ann").await;
    let bob = on_disk(&world, "bob", &store).await;
    let room = ann.room("plans", &[&bob]).await;
    bob.sees(&room).await;
    let mut rooms = bob.client.rooms().await.expect("the list");
    let background = ClientConfig { mode: Mode::Background, ..config(&world, &store) };
    let tokens = Arc::new(Given::of(&world, "bob"));
    let busy = Client::open(background.clone(), Arc::clone(&tokens) as _).await.expect_err("the app has it");
    assert_eq!(busy.local, Some(LocalReason::StoreBusy));
    bob.client.suspend().await.expect("at rest");
    ann.say(&room, "while the app sleeps").await;
    let extension = Client::open(background, tokens).await.expect("the store is free");
    assert_eq!(extension.device_id(), bob.client.device_id());
    let woken = extension.sync_once(DEADLINE).await.expect("woken");
    assert_eq!(woken.notifications.iter().map(|one| one.text.as_str()).collect::<Vec<_>>(), ["while the app sleeps"]);
    extension.shutdown(Duration::ZERO).await;
    ann.say(&room, "and after").await;
    bob.client.resume().await.expect("used again");
    bob.live().await;
    let unread =
        |rooms: &madang_sdk_core::RoomList| rooms.items().iter().find(|item| item.id == room).map(|item| item.unread);
    while unread(&rooms) != Some(2) {
        rooms.next().await.expect("the client lives");
    }
    bob.look_at(&[&room]);
    eventually("both are there", async || (bob.texts(&room).await.len() == 2).then_some(())).await;
    let told = bob.client.sync_once(DEADLINE).await.expect("woken").notifications;
    assert_eq!(told.iter().map(|one| one.text.as_str()).collect::<Vec<_>>(), ["and after"]);
    bob.client.shutdown(Duration::ZERO).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_signs_out_is_let_in_no_more_and_leaves_nothing_on_the_disk() {
    let (world, folder) = (World::new().await, tempfile::tempdir().expect("a folder"));
    let store = folder.path().join("bob.db");
    let ann = world.person("ann").await;
    let bob = on_disk(&world, "bob", &store).await;
    let room = ann.room("plans", &[&bob]).await;
    bob.sees(&room).await;
    let mut rooms = bob.client.rooms().await.expect("the list");
    assert!(bob.client.sign_out().await.expect("removed"));
    assert!(!store.exists());
    assert_eq!(rooms.next().await, None);
    assert!(matches!(bob.client.state(), ConnectionState::Ended { .. }));
    let refused = bob.calls.identity().get_me(bob.calls.request(v1::GetMeRequest {})).await.expect_err("revoked");
    let refusal = madang_proto::Refusal::of(&refused).expect("a reason");
    assert_eq!(refusal.reason, ErrorReason::SessionRevoked);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_another_person_is_refused_and_kept() {
    let (world, folder) = (World::new().await, tempfile::tempdir().expect("a folder"));
    let store = folder.path().join("bob.db");
    let bob = on_disk(&world, "bob", &store).await;
    let room = bob.room("plans", &[]).await;
    bob.client.shutdown(Duration::ZERO).await;
    let cat = Client::open(config(&world, &store), Arc::new(Given::of(&world, "cat"))).await.expect("it opens");
    let mut states = cat.states();
    let ended =
        states.wait_for(|state| matches!(state, ConnectionState::Ended { .. })).await.expect("it lives").clone();
    let ConnectionState::Ended { reason } = ended else { unreachable!("waited for") };
    assert_eq!((reason.kind, reason.local), (ClientErrorKind::Conflict, Some(LocalReason::StoreOfAnother)));
    cat.shutdown(Duration::ZERO).await;
    let bob = on_disk(&world, "bob", &store).await;
    assert!(bob.rooms().await.contains_key(&room));
    bob.client.shutdown(Duration::ZERO).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_and_many_calls_outlive_their_token_with_few_renewals() {
    let settings = |config: &mut Config| config.token_grace = Duration::from_secs(2);
    let world = World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await;
    let folder = tempfile::tempdir().expect("a folder");
    let ann = world.person("ann").await;
    let tokens = Arc::new(Given::of(&world, "bob"));
    let bob =
        Client::open(config(&world, &folder.path().join("bob.db")), Arc::clone(&tokens) as _).await.expect("opened");
    let live = async || {
        bob.states().wait_for(|state| *state == ConnectionState::Live).await.expect("the client lives");
    };
    live().await;
    let room = ann.room("plans", &[]).await;
    ann.client.invite(&room, [bob.me().expect("known")]).await.expect("invited");
    let begun = tokens.fresh.load(Ordering::SeqCst);
    // The server's time passes, and with it every token of before.
    world.clock.advance(Duration::from_hours(2));
    tokens.later.store(2 * 3_600, Ordering::SeqCst);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let bob = bob.clone();
        calls.spawn(async move { bob.search_users("ann").await });
    }
    for found in calls.join_all().await {
        found.expect("the token was renewed");
    }
    live().await;
    let renewals = tokens.fresh.load(Ordering::SeqCst) - begun;
    assert!((1..=3).contains(&renewals), "{renewals} renewals for 50 calls and a stream");
    bob.shutdown(Duration::ZERO).await;
    world.end().await;
}

/// Tokens of a person, counted.
#[derive(Debug)]
struct Given {
    stack: &'static madang_tests::Stack,
    login: String,
    held: Mutex<String>,
    fresh: AtomicUsize,
    /// Seconds by which the server's clock is ahead.
    later: AtomicUsize,
}

impl Given {
    fn of(world: &World, login: &str) -> Self {
        let held = Mutex::new(world.stack.issuer.token(login).expect("a token"));
        let (fresh, later) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { stack: world.stack, login: login.to_owned(), held, fresh, later }
    }
}

#[async_trait]
impl TokenProvider for Given {
    async fn token(&self, fresh: bool) -> Result<String, ClientError> {
        if fresh {
            self.fresh.fetch_add(1, Ordering::SeqCst);
            let later = self.later.load(Ordering::SeqCst);
            let token = self.stack.issuer.token_with(&self.login, |claims, _| {
                let end = claims["exp"].as_i64().expect("a time") + i64::try_from(later).expect("few");
                claims["exp"] = json!(end);
            });
            *self.held.lock().expect("no panic holds it") = token.expect("a token");
        }
        Ok(self.held.lock().expect("no panic holds it").clone())
    }
}
