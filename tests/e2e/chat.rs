//! Two people chat.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use madang_proto::v1;
use madang_sdk_core::{Draft, Presence, ReadCount, Readers, v1::MemberState};
use madang_server::config::Config;
use madang_tests::{Person, World, WorldConfig, world::eventually};

/// Longer than presence lingers, and readers are counted.
const PATIENCE: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_chat_live() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let room = ann.room("plans", &[&bob]).await;
    bob.sees(&room).await;
    world.settle().await;
    ann.look_at(&[&room]);
    bob.look_at(&[&room]);
    ann.say(&room, "hello").await;
    world.settle().await;
    bob.say(&room, "안녕").await;
    world.settle().await;
    assert_eq!(ann.texts(&room).await, ["hello", "안녕"]);
    assert_eq!(bob.texts(&room).await, ["hello", "안녕"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_room_is_listened_to_behind_its_last_revision() {
    let world = World::alone().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let room = ann.room("plans", &[&bob]).await;
    bob.sees(&room).await;
    let listened = madang_server::ids::RoomId::parse(&room).and_then(|id| world.node(0).hub.tail(id));
    let revision = ann.rooms().await[&room].head_rev;
    // A tail before it would let the first message wait for an event that never comes.
    assert_eq!(listened, Some(revision));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_room_is_the_same_for_everybody() {
    let settings = |config: &mut Config| {
        (config.large_room_members, config.small_again_members) = (2, 1);
    };
    let world = World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await;
    let (ann, bob, cat) = (world.person("ann").await, world.person("bob").await, world.person("cat").await);
    let room = ann.room("hall", &[&bob]).await;
    bob.sees(&room).await;
    ann.look_at(&[&room]);
    world.settle().await;
    ann.invite(&room, [cat.id.clone()]).await.expect("invited");
    cat.sees(&room).await;
    world.settle().await;
    assert!(bob.rooms().await[&room].room.as_ref().is_some_and(|room| room.large && room.member_count == 3));
    cat.say(&room, "hello hall").await;
    world.settle().await;
    let listed = async || ann.client.members(&room).await.expect("a list").len();
    assert_eq!(listed().await, 3);
    cat.leave(&room).await.expect("left");
    world.settle().await;
    // Nobody was told; whoever asks again sees it.
    assert_eq!(listed().await, 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_is_small_again_tells_its_members_and_receipts() {
    let settings = |config: &mut Config| {
        (config.large_room_members, config.small_again_members) = (3, 3);
    };
    let world = World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let (cat, dan) = (world.person("cat").await, world.person("dan").await);
    let room = ann.room("hall", &[&bob, &cat, &dan]).await;
    for person in [&bob, &cat, &dan] {
        person.sees(&room).await;
        person.look_at(&[&room]);
    }
    ann.look_at(&[&room]);
    cat.say(&room, "nobody holds that I am here").await;
    world.settle().await;
    let is_large = async || ann.rooms().await[&room].room.as_ref().is_some_and(|room| room.large);
    assert!(is_large().await);
    bob.client.mark_read(&room, 2).await.expect("marked");
    offline(&dan).await;
    for leaves in [&cat, &bob] {
        leaves.leave(&room).await.expect("left");
    }
    world.settle().await;
    dan.client.reconnect();
    dan.live().await;
    world.settle().await;
    for person in [&ann, &dan] {
        let held = person.rooms().await.remove(&room).expect("held");
        let joined = held.members.values().filter(|member| member.state() == MemberState::Joined).count();
        assert_eq!((joined, person.texts(&room).await.len()), (2, 1));
    }
    ann.invite(&room, [bob.id.clone()]).await.expect("invited");
    bob.sees(&room).await;
    world.settle().await;
    world.end().await;
}

/// Their openings, what they missed and their verdicts are read together, two devices of one person among them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_comes_back_at_once_is_told_everything() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let mut crowd = Vec::new();
    for login in ["bob", "bob", "cat", "cat", "dan", "dan", "ann"] {
        crowd.push(world.person(login).await);
    }
    let (bob, dan) = (&crowd[0], &crowd[4]);
    let everybody: Vec<&Person> = crowd[..6].iter().step_by(2).collect();
    let open = ann.room("open before them", &everybody).await;
    let quiet = ann.room("not looked at", &everybody).await;
    let left = ann.room("left meanwhile", &everybody).await;
    world.settle().await;
    for device in &crowd {
        device.look_at(&[&open]);
    }
    for round in 0..3 {
        for device in &crowd {
            device.client.disconnect();
        }
        for room in [&open, &quiet] {
            let mentions = vec![bob.id.clone(), dan.id.clone()];
            let draft = Draft { text: format!("to you two, {round}"), mentions, ..Draft::default() };
            let id = ann.client.send(room, draft).await.expect("typed");
            ann.client.settled(&id).await.expect("sent");
            ann.say(room, &format!("to all, {round}")).await;
        }
        match round {
            0 => ann.remove(&left, &dan.id).await.expect("removed"),
            1 => ann.invite(&left, [dan.id.clone()]).await.expect("invited"),
            _ => ann.remove(&left, &bob.id).await.expect("removed"),
        }
        for device in &crowd {
            device.client.reconnect();
        }
        for device in &crowd {
            device.live().await;
        }
        world.settle().await;
        let (unread, mentions) = (2 * (round + 1), usize::try_from(round + 1).expect("few"));
        for device in &crowd[..2] {
            assert_eq!(device.badge(&quiet).await, (unread, mentions), "round {round}");
            assert_eq!(device.badge(&open).await, (unread, mentions), "round {round}");
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_says_oneself_is_not_unread_though_the_room_is_not_open() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let tablet = world.person("ann").await;
    let room = ann.room("plans", &[&bob]).await;
    let says = async |person: &Person, text: &str| {
        let id = person.client.send(&room, text).await.expect("typed");
        person.client.settled(&id).await.expect("sent");
        world.settle().await;
    };
    for text in ["first", "second"] {
        says(&ann, text).await;
        assert_eq!((ann.badge(&room).await.0, tablet.badge(&room).await.0), (0, 0), "{text}");
    }
    // What bob has not seen stays unread, and so does what he says after it.
    says(&bob, "third").await;
    assert_eq!((ann.badge(&room).await.0, bob.badge(&room).await.0), (1, 3));
    // The mark of another device counts, and so does one that was lowered.
    let third = ann.newest(&room).await;
    tablet.client.mark_read(&room, third).await.expect("marked");
    world.settle().await;
    says(&ann, "fourth").await;
    assert_eq!((ann.badge(&room).await.0, tablet.badge(&room).await.0), (0, 0));
    tablet.client.mark_unread(&room, third).await.expect("marked");
    world.settle().await;
    says(&ann, "fifth").await;
    assert_eq!((ann.badge(&room).await.0, tablet.badge(&room).await.0), (3, 3));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_here_is_told_of_those_who_are_shown() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let nobody = uuid::Uuid::now_v7().to_string();
    let mut presence = ann.client.presence([bob.id.clone(), nobody.clone()]);
    let is = |here| BTreeMap::from([(bob.id.clone(), here), (nobody.clone(), false)]);
    becomes(&mut presence, &is(true)).await;
    offline(&bob).await;
    becomes(&mut presence, &is(false)).await;
    bob.client.reconnect();
    becomes(&mut presence, &is(true)).await;
    offline(&ann).await;
    becomes(&mut presence, &BTreeMap::new()).await;
    ann.client.reconnect();
    becomes(&mut presence, &is(true)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_a_watched_message_are_counted_in_rooms_of_any_size() {
    for large in [2, 200] {
        let settings = match large {
            2 => |config: &mut Config| (config.large_room_members, config.small_again_members) = (2, 1),
            _ => |_: &mut Config| {},
        };
        let world = World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await;
        let (ann, bob, cat) = (world.person("ann").await, world.person("bob").await, world.person("cat").await);
        let room = ann.room("hall", &[&bob, &cat]).await;
        bob.sees(&room).await;
        cat.sees(&room).await;
        let seq = ann.say(&room, "who reads this?").await;
        let mut readers = ann.client.readers(&room, seq);
        counts(&mut readers, 0, 2).await;
        bob.client.mark_read(&room, seq).await.expect("marked");
        counts(&mut readers, 1, 2).await;
        // Whoever is out is told nothing more.
        let mut seen_by_cat = cat.client.readers(&room, seq);
        counts(&mut seen_by_cat, 1, 2).await;
        ann.remove(&room, &cat.id).await.expect("removed");
        counts(&mut readers, 1, 1).await;
        bob.client.mark_unread(&room, seq).await.expect("marked");
        counts(&mut readers, 0, 1).await;
        assert_eq!(seen_by_cat.now(), Some(ReadCount { read: 1, members: 2 }));
        world.settle().await;
        world.end().await;
    }
}

async fn offline(person: &Person) {
    person.client.disconnect();
    eventually("offline", async || (!person.is_online()).then_some(())).await;
}

async fn becomes(presence: &mut Presence, wanted: &BTreeMap<String, bool>) {
    let waits = async {
        while presence.now() != *wanted {
            presence.next().await.expect("the client lives");
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waits).await.is_ok(), "not {wanted:?}: {:?}", presence.now());
}

async fn counts(readers: &mut Readers, read: i32, members: i32) {
    let wanted = Some(ReadCount { read, members });
    let waits = async {
        while readers.now() != wanted {
            readers.next().await.expect("the client lives");
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waits).await.is_ok(), "not {wanted:?}: {:?}", readers.now());
}

/// Membership and removal are read in one snapshot: a verdict read after the return bears the number of the return, and a
/// client would believe it for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_taken_out_and_back_in_again_and_again_is_never_told_to_have_left() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let room = ann.room("a revolving door", &[&bob]).await;
    bob.sees(&room).await;
    let asking = Arc::new(AtomicBool::new(true));
    let askers: Vec<_> = (0..8)
        .map(|_| {
            let (calls, room, asking) = (bob.calls.clone(), room.clone(), Arc::clone(&asking));
            tokio::spawn(async move {
                let mut outs = 0;
                while asking.load(Ordering::Relaxed) {
                    let cursor = v1::RoomCursor { room_id: room.clone(), rev: 1, seq: 1 };
                    let request = calls.request(v1::SyncRoomRequest { cursor: Some(cursor), limit: 1 });
                    // Whoever asks so often is told to wait.
                    let Ok(answer) = calls.sync().sync_room(request).await else {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        continue;
                    };
                    let verdict =
                        answer.into_inner().delta.and_then(|delta| delta.summary).and_then(|summary| summary.verdict);
                    if let Some(v1::room_summary::Verdict::Gone(gone)) = verdict {
                        assert_eq!(gone.reason(), v1::GoneReason::Removed);
                        outs += 1;
                    }
                }
                outs
            })
        })
        .collect();
    for _ in 0..60 {
        ann.remove(&room, &bob.id).await.expect("removed");
        ann.invite(&room, [bob.id.clone()]).await.expect("invited");
    }
    asking.store(false, Ordering::Relaxed);
    let mut outs = 0;
    for asker in askers {
        outs += asker.await.expect("every answer was right");
    }
    assert!(outs > 0, "nobody asked while bob was out");
    world.settle().await;
    world.end().await;
}
