//! Several servers on one database, which hear each other over NATS. Where nobody polls, only NATS can have told it.

use std::{collections::BTreeMap, time::Duration};

use madang_proto::v1::{self, ClosingReason, server_frame::Frame};
use madang_sdk_core::ListChange;
use madang_tests::{Person, World, WorldConfig, world::eventually};

use crate::raw::Stream;

/// Two servers that do not poll.
async fn two() -> World {
    World::with(WorldConfig { nodes: 2, nats: true, no_poll: true, ..WorldConfig::default() }).await
}

/// Ann on one server and bob on the other, in a room.
async fn apart(world: &World) -> (Person, Person, String) {
    let (ann, bob) = (world.person_at("ann", 0).await, world.person_at("bob", 1).await);
    let room = ann.room("plans", &[&bob]).await;
    bob.sees(&room).await;
    ann.look_at(&[&room]);
    bob.look_at(&[&room]);
    world.settle().await;
    (ann, bob, room)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_on_one_node_is_told_on_the_others() {
    let world = two().await;
    let (ann, bob, room) = apart(&world).await;
    for n in 0..10 {
        ann.say(&room, &format!("from ann {n}")).await;
        bob.say(&room, &format!("from bob {n}")).await;
    }
    world.settle().await;
    ann.edit(&room, 2, "edited").await.expect("edited");
    bob.delete(&room, 3).await.expect("deleted");
    bob.client.mark_read(&room, 21).await.expect("marked");
    world.settle().await;
    let cat = world.person_at("cat", 1).await;
    ann.invite(&room, [cat.id.clone()]).await.expect("invited");
    cat.sees(&room).await;
    world.settle().await;
    ann.remove(&room, &cat.id).await.expect("removed");
    world.settle().await;
    ann.invite(&room, [cat.id.clone()]).await.expect("invited");
    cat.sees(&room).await;
    cat.say(&room, "here again").await;
    world.settle().await;
    for person in [&ann, &bob] {
        assert_eq!(person.texts(&room).await.last().map(String::as_str), Some("here again"));
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typing_and_presence_cross_nodes() {
    let world = two().await;
    let (ann, bob, room) = apart(&world).await;
    let mut typers = ann.client.typers(&room);
    bob.client.typing(&room);
    assert_eq!(typers.next().await, Some(vec![bob.id.clone()]));
    let presence = ann.client.presence([bob.id.clone()]);
    let is = async |here| {
        let wanted = BTreeMap::from([(bob.id.clone(), here)]);
        eventually("bob's presence is told", async || (presence.now() == wanted).then_some(())).await;
    };
    is(true).await;
    bob.client.disconnect();
    is(false).await;
    bob.client.reconnect();
    is(true).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_limited_and_replaced_across_nodes() {
    let settings = |config: &mut madang_server::config::Config| config.streams_per_person = 2;
    let world = World::with(WorldConfig {
        nodes: 2,
        nats: true,
        no_poll: true,
        settings: Some(settings),
        ..Default::default()
    })
    .await;
    let closing = |frame| match frame {
        Frame::Closing(closing) => Some(closing.reason()),
        _ => None,
    };
    let open = async |login: &str, node: usize| Stream::of(&world, login, node).await;
    let mut first = open("cat", 0).await;
    let mut second = open("cat", 1).await;
    let third = open("cat", 0).await;
    assert_eq!(first.until(closing).await, ClosingReason::TooManyStreams);
    let mut fourth = open("cat", 1).await;
    assert_eq!(second.until(closing).await, ClosingReason::TooManyStreams);
    let mut fifth = third.again_at(&world, 1).await;
    let mut third = third;
    assert_eq!(third.until(closing).await, ClosingReason::Replaced);
    for stream in [&mut fourth, &mut fifth] {
        stream.say(v1::client_frame::Frame::Typing(v1::Typing { room_id: uuid::Uuid::now_v7().to_string() })).await;
        let refused = |frame| matches!(frame, Frame::Refused(_)).then_some(());
        stream.until(refused).await;
    }
    world.end().await;
}

/// Ids of streams are made of the nodes' clocks. A device that comes to a node whose clock is behind has the newer stream all
/// the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_is_behind_keeps_the_newer_stream() {
    let world = two().await;
    let mut first = Stream::of(&world, "ann", 0).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    world.clock.rewind(Duration::from_secs(10));
    let mut second = first.again_at(&world, 1).await;
    let closing = |frame| match frame {
        Frame::Closing(closing) => Some(closing.reason()),
        _ => None,
    };
    assert_eq!(first.until(closing).await, ClosingReason::Replaced);
    second.say(v1::client_frame::Frame::Typing(v1::Typing { room_id: uuid::Uuid::now_v7().to_string() })).await;
    let refused = |frame| match frame {
        Frame::Closing(closing) => Some(Err(closing.reason())),
        Frame::Refused(_) => Some(Ok(())),
        _ => None,
    };
    assert_eq!(second.until(refused).await, Ok(()));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_ends_streams_on_every_node() {
    let world = two().await;
    let mut there = Stream::of(&world, "ann", 1).await;
    let here = there.calls_at(&world, 0);
    let revoke = v1::RevokeDeviceSessionRequest { device_id: here.device_id.clone() };
    here.identity().revoke_device_session(here.request(revoke)).await.expect("revoked");
    let closing = |frame| match frame {
        Frame::Closing(closing) => Some(closing.reason()),
        _ => None,
    };
    assert_eq!(there.until(closing).await, ClosingReason::Revoked);
    world.end().await;
}

/// A stream that a browser opened on one node, and the calls that go with it on another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_stand_for_frames_find_their_stream_on_another_node() {
    let world = two().await;
    let (ann, bob, room) = apart(&world).await;
    let mut typers = ann.client.typers(&room);
    let mut stream = Stream::open(&bob.calls, v1::Hello::default()).await;
    let welcome = |frame| match frame {
        Frame::Welcome(welcome) => Some(welcome),
        _ => None,
    };
    let welcome = stream.until(welcome).await;
    stream.until_drained().await;
    let elsewhere = stream.calls_at(&world, 0);
    let typing = v1::SetTypingRequest {
        session_id: welcome.session_id.clone(),
        node: welcome.node.clone(),
        typing: Some(v1::Typing { room_id: room.clone() }),
    };
    elsewhere.sync().set_typing(elsewhere.request(typing)).await.expect("taken");
    assert_eq!(typers.next().await, Some(vec![bob.id.clone()]));
    let focus = v1::SetFocusRequest {
        session_id: welcome.session_id.clone(),
        node: welcome.node,
        focus: Some(v1::Focus { user_ids: vec![ann.id.clone()], ..Default::default() }),
    };
    elsewhere.sync().set_focus(elsewhere.request(focus)).await.expect("taken");
    let presence = |frame| match frame {
        Frame::Ephemeral(v1::Ephemeral { news: Some(v1::ephemeral::News::Presence(news)) }) => Some(news),
        _ => None,
    };
    let news = stream.until(presence).await;
    assert_eq!((news.user_id, news.online), (ann.id.clone(), true));
    world.end().await;
}

/// Nothing is lost when NATS goes, stands still or comes back; it only takes longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_may_go_stand_still_and_come_back() {
    let mut world = World::with(WorldConfig { nodes: 2, nats: true, ..WorldConfig::default() }).await;
    let (ann, bob, room) = apart(&world).await;
    let mut nats = world.nats.take().expect("a NATS");
    let mut timeline = bob.client.timeline(&room).await.expect("a timeline");
    nats.kill().await.expect("killed");
    ann.say(&room, "while NATS is gone").await;
    world.settle().await;
    nats.restart().await.expect("back");
    for n in 0..20 {
        ann.say(&room, &format!("while NATS comes back {n}")).await;
    }
    world.settle().await;
    nats.hold().expect("held");
    ann.say(&room, "while NATS stands still").await;
    // Somebody comes to a node that asks NATS for what it did not listen to yet.
    world.person_at("cat", 0).await;
    world.settle().await;
    nats.release().expect("released");
    ann.say(&room, "after all").await;
    world.settle().await;
    // What the screen was told, one by one, is the room.
    let mut told = 0;
    while told < 23 {
        let batch = tokio::time::timeout(Duration::from_secs(5), timeline.next()).await.expect("a change");
        let new = batch.into_iter().flatten().filter_map(|change| match change {
            ListChange::Appended { items } => Some(items.iter().filter(|item| item.seq().is_some()).count()),
            ListChange::Inserted { item, .. } => Some(usize::from(item.seq().is_some())),
            _ => None,
        });
        told += new.sum::<usize>();
    }
    assert_eq!(bob.texts(&room).await.len(), 23);
    world.end().await;
}

/// An upgrade: each node is stopped in order and another takes its place, while both sides write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_are_replaced_under_load_and_nothing_fails() {
    const EACH: usize = 150;
    let mut world = World::with(WorldConfig { nodes: 2, nats: true, ..WorldConfig::default() }).await;
    let (ann, bob, room) = apart(&world).await;
    let write = |person: &Person| {
        let (person, room) = (person.clone(), room.clone());
        tokio::spawn(async move {
            for n in 0..EACH {
                person.client.send(&room, format!("{} {n}", person.login)).await.expect("it is in the outbox");
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
        })
    };
    let writers = [write(&ann), write(&bob)];
    for _ in 0..2 {
        let address = world.stop_server(0).await;
        world.start_server_at(address).await.expect("another node");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    for writer in writers {
        writer.await.expect("everything was typed");
    }
    for person in [&ann, &bob] {
        assert!(person.client.drain(Duration::from_secs(20)).await, "{} still waits", person.login);
    }
    world.settle().await;
    let texts = ann.texts(&room).await;
    for person in [&ann, &bob] {
        let mine: Vec<&String> = texts.iter().filter(|text| text.starts_with(&person.login)).collect();
        let typed: Vec<String> = (0..EACH).map(|n| format!("{} {n}", person.login)).collect();
        assert_eq!(mine, typed.iter().collect::<Vec<_>>(), "each once and in order");
    }
    assert_eq!(texts.len(), 2 * EACH);
    world.end().await;
}
