//! The way to a real server: a network that changes, and what a client tells of itself.

use madang_sdk_core::{
    ConnectionState, MessageKey,
    diagnostics::{Cause, Explanation},
};
use madang_tests::{World, world::eventually};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_changes_is_answered_with_a_new_connection_at_once() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let room = ann.room("plans", &[&bob]).await;
    bob.live().await;
    let before = bob.client.counters();
    let mut states = bob.client.states();
    let mut offline = bob.client.states();
    bob.client.network_changed();
    states.wait_for(|state| *state == ConnectionState::Connecting).await.expect("the client lives");
    states.wait_for(|state| *state == ConnectionState::Live).await.expect("the client lives");
    let after = bob.client.counters();
    assert_eq!((after.connections, after.reconnects), (before.connections + 1, before.reconnects + 1));
    assert!(!matches!(*offline.borrow_and_update(), ConnectionState::Offline { .. }));
    let seq = ann.say(&room, "over the new one").await;
    bob.sees(&room).await;
    bob.client.sync_room_now(&room).await.expect("caught up");
    assert_eq!(bob.texts(&room).await, ["over the new one"]);
    let held = bob.client.explain(&room, MessageKey::Seq(seq)).await.expect("explained");
    assert!(matches!(held, Explanation { cause: Cause::Held { deleted: false, .. }, online: true, .. }), "{held:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_does_is_counted_and_told_without_what_was_said() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let room = ann.room("the secret plan", &[&bob]).await;
    bob.sees(&room).await;
    ann.say(&room, "open sesame").await;
    eventually("the message has come", async || bob.texts(&room).await.pop()).await;
    let (sent, got) = (ann.client.counters(), bob.client.counters());
    assert!(sent.sends >= 1 && sent.calls > 1 && sent.streams == 1 && sent.retries == 0, "{sent:?}");
    assert!(got.frames > 2 && got.bytes_received > 500 && got.bytes_sent > 200, "{got:?}");
    for person in [&ann, &bob] {
        let bundle = person.client.support_bundle().await;
        for private in ["sesame", "secret", &person.login, "eyJ", "127.0.0.1"] {
            assert!(!bundle.contains(private), "{private} in {bundle}");
        }
        let bundle: Value = serde_json::from_str(&bundle).expect("JSON");
        assert_eq!((&bundle["now"]["state"], &bundle["user_id"]), (&"live".into(), &person.id.clone().into()));
        assert!(bundle["store"]["epoch"].as_str().is_some_and(|epoch| !epoch.is_empty()));
        let calls =
            bundle["events"].as_array().expect("events").iter().filter(|event| event["event"]["call"].is_string());
        assert!(calls.count() > 0);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_comes_to_the_front_looks_whether_its_connection_is_there() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    ann.live().await;
    assert_eq!(ann.client.counters().pings, 0);
    ann.client.set_foreground(false);
    ann.client.set_foreground(true);
    // The answer may take less than the millisecond that is counted.
    eventually("the connection was asked, and answers", async || {
        let bundle: Value = serde_json::from_str(&ann.client.support_bundle().await).expect("JSON");
        let events = bundle["events"].as_array().expect("events");
        events.iter().any(|event| event["event"]["ping_ms"].is_number()).then_some(())
    })
    .await;
    assert_eq!(ann.client.counters().pings, 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_metered_network_rows_come_when_a_room_is_opened() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let room = ann.room("plans", &[&bob]).await;
    bob.sees(&room).await;
    for metered in [false, true] {
        bob.client.set_metered(metered);
        bob.client.disconnect();
        bob.client.states().wait_for(|state| *state == ConnectionState::Suspended).await.expect("the client lives");
        let text = format!("metered {metered}");
        let seq = ann.say(&room, &text).await;
        bob.client.reconnect();
        bob.live().await;
        // The badge is right, and the row is there only where it costs nothing.
        assert_eq!(bob.badge(&room).await.0, if metered { 2 } else { 1 });
        let cause = async || bob.client.explain(&room, MessageKey::Seq(seq)).await.expect("explained").cause;
        if metered {
            assert_eq!(cause().await, Cause::AheadOfRows { repair: false });
        } else {
            eventually("the row", async || matches!(cause().await, Cause::Held { .. }).then_some(())).await;
        }
    }
    let timeline = bob.client.timeline(&room).await.expect("opened");
    eventually("the row has come", async || bob.texts(&room).await.contains(&"metered true".to_owned()).then_some(()))
        .await;
    drop(timeline);
    world.end().await;
}
