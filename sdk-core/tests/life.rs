//! The life of a client, without a server: one store for one client, rests, ends.

mod ground;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use madang_sdk_core::{
    Client, ClientConfig, ClientErrorKind, ConnectionState, LocalReason, Mode, StoreLocation, SyncOutcome,
};

use self::ground::{AnyToken, ROOM, config, open, store};

/// Longer than any step here takes, and shorter than what a system that puts an app to rest gives.
const SOON: Duration = Duration::from_secs(2);

fn beside(store: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", store.display()))
}

#[tokio::test]
async fn the_second_client_of_a_store_is_refused_at_once() {
    let (_folder, store) = store();
    let first = open(&store).await.unwrap();
    let begin = Instant::now();
    assert_eq!(open(&store).await.unwrap_err().local, Some(LocalReason::StoreBusy));
    assert!(begin.elapsed() < Duration::from_secs(1));
    // One that is just ending is waited for.
    drop(first);
    open(&store).await.unwrap();
}

#[tokio::test]
async fn a_client_at_rest_has_no_file_open_and_says_so() {
    let (_folder, store) = store();
    let client = open(&store).await.unwrap();
    client.send(ROOM, "one").await.unwrap();
    assert!(beside(&store, "-wal").exists());
    let begin = Instant::now();
    client.suspend().await.unwrap();
    assert!(begin.elapsed() < SOON);
    assert!(!beside(&store, "-wal").exists() && !beside(&store, "-shm").exists());
    assert_eq!(client.state(), ConnectionState::Suspended);
    for error in [client.send(ROOM, "two").await.unwrap_err(), client.rooms().await.unwrap_err()] {
        assert_eq!((error.kind, error.local), (ClientErrorKind::Cancelled, Some(LocalReason::Suspended)));
    }
    client.resume().await.unwrap();
    client.send(ROOM, "three").await.unwrap();
    let outbox = client.snapshot().await.unwrap().outbox;
    assert_eq!(outbox.iter().map(|item| item.text.as_str()).collect::<Vec<_>>(), ["one", "three"]);
}

#[tokio::test]
async fn what_another_process_did_meanwhile_is_seen_after_a_rest() {
    let (_folder, store) = store();
    let client = open(&store).await.unwrap();
    let mut timeline = client.timeline(ROOM).await.unwrap();
    client.suspend().await.unwrap();
    let extension = open(&store).await.unwrap();
    extension.send(ROOM, "by the extension").await.unwrap();
    assert_eq!(client.resume().await.unwrap_err().local, Some(LocalReason::StoreBusy));
    assert_eq!(client.state(), ConnectionState::Suspended);
    extension.shutdown(Duration::ZERO).await;
    client.resume().await.unwrap();
    let told = tokio::time::timeout(SOON, timeline.next()).await.unwrap();
    assert!(told.is_some_and(|batch| !batch.is_empty()));
}

#[tokio::test]
async fn a_store_in_memory_outlives_a_rest() {
    let client = Client::open(config(StoreLocation::Memory), Arc::new(AnyToken)).await.unwrap();
    client.send(ROOM, "one").await.unwrap();
    client.suspend().await.unwrap();
    assert_eq!(client.rooms().await.unwrap_err().local, Some(LocalReason::Suspended));
    client.resume().await.unwrap();
    assert_eq!(client.snapshot().await.unwrap().outbox.len(), 1);
}

#[tokio::test]
async fn a_list_waits_a_rest_out() {
    let (_folder, store) = store();
    let client = open(&store).await.unwrap();
    let mut timeline = client.timeline(ROOM).await.unwrap();
    // Told before the rest, read after it.
    client.send(ROOM, "one").await.unwrap();
    client.suspend().await.unwrap();
    let next = tokio::spawn(async move { timeline.next().await });
    tokio::task::yield_now().await;
    client.resume().await.unwrap();
    assert!(tokio::time::timeout(SOON, next).await.unwrap().unwrap().is_some());
}

#[tokio::test]
async fn a_store_that_is_gone_after_a_rest_is_made_anew_for_the_same_device() {
    let (_folder, store) = store();
    let client = open(&store).await.unwrap();
    client.send(ROOM, "lost with the file").await.unwrap();
    client.suspend().await.unwrap();
    std::fs::remove_file(&store).unwrap();
    client.resume().await.unwrap();
    assert!(client.snapshot().await.unwrap().outbox.is_empty());
    let device = client.device_id().to_owned();
    client.shutdown(Duration::ZERO).await;
    assert_eq!(open(&store).await.unwrap().device_id(), device);
}

#[tokio::test]
async fn after_the_end_every_call_of_every_clone_says_so() {
    let (_folder, store) = store();
    let client = open(&store).await.unwrap();
    let (mut rooms, mut timeline) = (client.rooms().await.unwrap(), client.timeline(ROOM).await.unwrap());
    let (mut typers, mut presence) = (client.typers(ROOM), client.presence([String::from("bob")]));
    let clone = client.clone();
    client.shutdown(Duration::ZERO).await;
    assert!(matches!(clone.state(), ConnectionState::Ended { reason } if reason.kind == ClientErrorKind::Cancelled));
    let errors = [
        clone.send(ROOM, "late").await.unwrap_err(),
        clone.rooms().await.unwrap_err(),
        clone.timeline(ROOM).await.unwrap_err(),
        clone.suspend().await.unwrap_err(),
        clone.resume().await.unwrap_err(),
        clone.sign_out().await.unwrap_err(),
        clone.clear_cache().await.unwrap_err(),
        clone.sync_once(SOON).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind, error.local), (ClientErrorKind::Cancelled, None));
    }
    let ended = async { (rooms.next().await, timeline.next().await, typers.next().await, presence.next().await) };
    assert_eq!(tokio::time::timeout(SOON, ended).await.unwrap(), (None, None, None, None));
    assert!(!clone.drain(Duration::ZERO).await);
    clone.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn an_outbox_is_looked_into_however_short_the_wait() {
    let (_folder, store) = store();
    let client = open(&store).await.unwrap();
    for _ in 0..50 {
        assert!(client.drain(Duration::ZERO).await);
    }
    client.send(ROOM, "waits").await.unwrap();
    assert!(!client.drain(Duration::ZERO).await);
}

#[tokio::test]
async fn the_last_drop_ends_lists_too() {
    let (_folder, store) = store();
    let client = open(&store).await.unwrap();
    let mut rooms = client.rooms().await.unwrap();
    drop(client);
    assert_eq!(tokio::time::timeout(SOON, rooms.next()).await.unwrap(), None);
}

#[tokio::test]
async fn a_thousand_calls_at_once_are_all_done() {
    let (_folder, store) = store();
    let client = open(&store).await.unwrap();
    let mut sends = tokio::task::JoinSet::new();
    for n in 0..1_000 {
        let client = client.clone();
        sends.spawn(async move {
            client.send(ROOM, format!("{n}")).await.unwrap();
            client.unread_total().await.unwrap()
        });
    }
    assert_eq!(sends.join_all().await.len(), 1_000);
    assert_eq!(client.snapshot().await.unwrap().outbox.len(), 1_000);
    // All of it waits, and a rest does not.
    let begin = Instant::now();
    client.suspend().await.unwrap();
    assert!(begin.elapsed() < SOON);
}

#[tokio::test]
async fn a_list_that_nobody_reads_costs_a_sender_nothing() {
    let client = Client::open(config(StoreLocation::Memory), Arc::new(AnyToken)).await.unwrap();
    let (_rooms, mut timeline) = (client.rooms().await.unwrap(), client.timeline(ROOM).await.unwrap());
    for n in 0..300 {
        client.send(ROOM, format!("{n}")).await.unwrap();
    }
    while timeline.items().len() < 300 {
        timeline.next().await.unwrap();
    }
}

#[tokio::test]
async fn one_that_is_there_for_the_background_connects_only_when_woken() {
    let (_folder, store) = store();
    let background = ClientConfig { mode: Mode::Background, ..config(StoreLocation::File(store.clone())) };
    let client = Client::open(background, Arc::new(AnyToken)).await.unwrap();
    client.states().wait_for(|state| *state == ConnectionState::Suspended).await.unwrap();
    client.reconnect();
    let mut states = client.states();
    let tried = async { states.wait_for(|state| matches!(state, ConnectionState::Offline { .. })).await.map(drop) };
    let (outcome, tried) = tokio::join!(client.sync_once(Duration::from_millis(200)), tried);
    tried.unwrap();
    assert_eq!(outcome.unwrap(), SyncOutcome::default());
    client.states().wait_for(|state| *state == ConnectionState::Suspended).await.unwrap();
    assert_eq!(open(&store).await.unwrap_err().local, Some(LocalReason::StoreBusy));
}

#[tokio::test]
async fn a_client_at_rest_that_is_woken_is_at_rest_again() {
    let (_folder, store) = store();
    let client = open(&store).await.unwrap();
    client.suspend().await.unwrap();
    assert!(!client.sync_once(Duration::from_millis(50)).await.unwrap().finished);
    assert_eq!(client.state(), ConnectionState::Suspended);
    let other = open(&store).await.unwrap();
    assert_eq!(client.sync_once(SOON).await.unwrap_err().local, Some(LocalReason::StoreBusy));
    other.shutdown(Duration::ZERO).await;
    let (woken, rested) = tokio::join!(client.sync_once(SOON), async {
        client.states().wait_for(|state| *state != ConnectionState::Suspended).await.unwrap();
        client.suspend().await
    });
    rested.unwrap();
    assert_eq!(woken.unwrap_err().local, Some(LocalReason::Suspended));
    open(&store).await.unwrap();
}

#[tokio::test]
async fn signing_out_offline_removes_everything_and_says_that_the_server_does_not_know() {
    let (folder, store) = store();
    let client = open(&store).await.unwrap();
    client.send(ROOM, "gone with me").await.unwrap();
    assert!(!client.sign_out().await.unwrap());
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, ["store.db.lock"]);
    assert!(matches!(client.state(), ConnectionState::Ended { .. }));
    assert!(open(&store).await.unwrap().snapshot().await.unwrap().outbox.is_empty());
}
