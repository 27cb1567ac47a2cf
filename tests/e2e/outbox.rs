//! Changes of every kind through the outbox: made offline, in their order, once; refused with a reason.

use std::time::Duration;

use madang_sdk_core::{ClientErrorKind, ConnectionState, NewRoom, ProfileChange, TimelineItem, v1::ErrorReason};
use madang_tests::{Person, World, world::eventually};

async fn offline(person: &Person) {
    person.client.disconnect();
    let suspended = |state: &ConnectionState| *state == ConnectionState::Suspended;
    person.client.states().wait_for(suspended).await.expect("the client lives");
}

async fn names(person: &Person) -> Vec<String> {
    let rooms = person.client.rooms().await.expect("a list");
    rooms.items().iter().map(|room| room.name.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_offline_happens_in_its_order_when_the_connection_is_back() {
    let world = World::new().await;
    let (ann, bob, cat) = (world.person("ann").await, world.person("bob").await, world.person("cat").await);
    let old = ann.room("old", &[&bob]).await;
    let said = ann.say(&old, "teh plan").await;
    world.settle().await;
    offline(&ann).await;
    ann.client.edit(&old, said, "the plan").await.expect("typed");
    let second = ann.client.send(&old, "and more").await.expect("typed");
    ann.client.edit(&old, second.as_str(), "and much more").await.expect("typed");
    let third = ann.client.send(&old, "nonsense").await.expect("typed");
    ann.client.delete(&old, third.as_str()).await.expect("thrown away");
    let new = NewRoom { name: "new".into(), members: vec![bob.id.clone()], ..NewRoom::default() };
    let new = ann.client.create_room(new).await.expect("made here");
    let hello = ann.client.send(&new, "hello").await.expect("typed");
    ann.client.invite(&new, [cat.id.clone()]).await.expect("invited later");
    let all = ann.client.send(&new, "hello all").await.expect("typed");
    let profile = ProfileChange { display_name: Some("Ann".into()), ..ProfileChange::default() };
    let profile = ann.client.update_profile(profile).await.expect("changed here");
    assert_eq!(names(&ann).await, ["new", "old"]);
    ann.client.reconnect();
    for change in [&second, &new, &hello, &all, &profile] {
        ann.client.settled(change).await.expect("done");
    }
    bob.look_at(&[&old, &new]);
    ann.look_at(&[&new]);
    world.settle().await;
    cat.sees(&new).await;
    assert_eq!(bob.texts(&old).await, ["the plan", "and much more"]);
    assert_eq!(bob.texts(&new).await, ["hello", "hello all"]);
    assert_eq!(ann.texts(&new).await, ["hello", "hello all"]);
    let told = async || bob.client.user(&ann.id).await.ok()??.display_name.eq("Ann").then_some(());
    eventually("the profile is told", told).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_typed_right_after_going_offline_stays_here() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let room = ann.room("plans", &[&bob]).await;
    bob.look_at(&[&room]);
    let mut typed = Vec::new();
    for n in 0..10 {
        ann.client.states().wait_for(|state| *state == ConnectionState::Live).await.expect("the client lives");
        ann.client.disconnect();
        let id = ann.client.send(&room, format!("{n}")).await.expect("typed");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!ann.client.drain(Duration::ZERO).await, "{n} has left");
        ann.client.reconnect();
        ann.client.settled(&id).await.expect("sent");
        typed.push(n.to_string());
    }
    world.settle().await;
    assert_eq!(bob.texts(&room).await, typed);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ones_own_name_is_known_before_anybody_asks_for_it() {
    let world = World::new().await;
    // However long a machine takes for one call more, some person is online for long enough.
    for (login, online) in [("ann", 100), ("bob", 1_000), ("cat", 5_000)] {
        let ann = world.person(login).await;
        tokio::time::sleep(Duration::from_millis(online)).await;
        offline(&ann).await;
        let notes =
            ann.client.create_room(NewRoom { name: "notes".into(), ..NewRoom::default() }).await.expect("made here");
        ann.client.send(&notes, "to do").await.expect("typed");
        let shown = ann.client.timeline(&notes).await.expect("a timeline");
        let names = shown.items().iter().filter_map(|item| match item {
            TimelineItem::Message(message) => Some(message.sender.name.clone()),
            _ => None,
        });
        if names.collect::<Vec<_>>().iter().any(|name| !name.is_empty()) {
            return world.end().await;
        }
    }
    panic!("nobody's own name is known");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_cannot_be_made_fails_with_all_that_was_meant_for_it() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    offline(&ann).await;
    let nobody = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
    let new = NewRoom { name: "new".into(), members: vec![nobody], ..NewRoom::default() };
    let new = ann.client.create_room(new).await.expect("made here");
    let hello = ann.client.send(&new, "hello").await.expect("typed");
    ann.client.reconnect();
    let refused = ann.client.settled(&new).await.expect_err("nobody to invite");
    assert_eq!((refused.kind, refused.reason), (ClientErrorKind::NotFound, Some(ErrorReason::UserNotFound)));
    assert_eq!(ann.client.settled(&hello).await.expect_err("no room").reason, Some(ErrorReason::UserNotFound));
    assert_eq!(names(&ann).await, ["new"]);
    ann.client.retry_failed(&new).await.expect("it has failed");
    ann.client.settled(&hello).await.expect_err("still nobody");
    ann.client.discard_failed(&new).await.expect("it has failed");
    assert!(names(&ann).await.is_empty());
    assert_eq!(ann.client.settled(&hello).await.expect_err("thrown away").kind, ClientErrorKind::NotFound);
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_a_message_that_was_refused_waits_in_it() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let room = ann.room("room", &[&bob]).await;
    ann.look_at(&[&room]);
    world.settle().await;
    offline(&bob).await;
    let typed = bob.client.send(&room, "teh end").await.expect("typed");
    ann.remove(&room, &bob.id).await.expect("removed");
    bob.client.reconnect();
    bob.client.settled(&typed).await.expect_err("bob is out");
    bob.client.edit(&room, typed.as_str(), "the end").await.expect("it waits here");
    ann.invite(&room, [bob.id.clone()]).await.expect("invited");
    bob.client.retry_failed(&typed).await.expect("it has failed");
    bob.client.settled(&typed).await.expect("sent");
    world.settle().await;
    assert_eq!(ann.texts(&room).await, ["the end"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaving_hides_the_room_at_once_and_a_refusal_brings_it_back() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let room = ann.room("room", &[&bob]).await;
    world.settle().await;
    offline(&ann).await;
    let leaving = ann.client.leave(&room).await.expect("left here");
    assert!(names(&ann).await.is_empty());
    ann.client.reconnect();
    let refused = ann.client.settled(&leaving).await.expect_err("the last admin stays");
    assert_eq!(refused.reason, Some(ErrorReason::LastAdmin));
    assert_eq!(names(&ann).await, ["room"]);
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_restore_took_together_with_the_place_in_the_room_has_failed_and_may_be_tried_again() {
    let mut world = World::new().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let room = ann.room("room", &[&bob]).await;
    bob.sees(&room).await;
    let said = bob.client.send(&room, "gone").await.expect("typed");
    bob.client.settled(&said).await.expect("sent");
    world.settle().await;
    offline(&ann).await;
    offline(&bob).await;
    let address = world.stop_server(0).await;
    // Back to before bob was in the room.
    let sql = world.sql().await;
    let back = "delete from messages where text = 'gone'; \
         update rooms set seq = 1, count = 0, rev = 3, last_countable_seq = 0; \
         update members set last_read_seq = least(last_read_seq, 1), read_count = 0, told_read = least(told_read, 1), \
         receipt_rev = least(receipt_rev, 3), read_generation = 0";
    sqlx::raw_sql(back).execute(&sql).await.expect("restored");
    let out = sqlx::query("update members set state = 2 where user_id = $1::uuid").bind(&bob.id);
    out.execute(&sql).await.expect("restored");
    madang_server::app::restore_done(world.database_url()).await.expect("said so");
    world.start_server_at(address).await.expect("a server");
    for person in [&ann, &bob] {
        person.client.reconnect();
        person.live().await;
        person.look_at(&[&room]);
    }
    let refused = async || bob.client.settled(&said).await.err().map(|refused| refused.reason);
    assert_eq!(eventually("bob is told", refused).await, Some(ErrorReason::RoomNotFound));
    ann.invite(&room, [bob.id.clone()]).await.expect("invited");
    bob.client.retry_failed(&said).await.expect("it has failed");
    bob.client.settled(&said).await.expect("sent again");
    world.settle().await;
    assert_eq!(ann.texts(&room).await, ["gone"]);
    world.end().await;
}

/// What the people of a room see of it, tombstones apart.
async fn said(person: &Person, room: &str) -> Vec<String> {
    let texts = person.texts(room).await;
    texts.into_iter().filter(|text| !text.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_and_deletions_that_a_restore_took_are_made_again_and_those_that_stand_are_not() {
    let mut world = World::new().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let room = ann.room("room", &[&bob]).await;
    bob.sees(&room).await;
    let (plan, nonsense, kept) =
        (ann.say(&room, "teh plan").await, ann.say(&room, "nonsense").await, ann.say(&room, "kpet").await);
    let other = ann.say(&room, "changed elsewhere").await;
    ann.edit(&room, kept, "kept").await.expect("edited");
    world.settle().await;
    let sql = world.sql().await;
    let backup = "create table kept_messages as table messages; create table kept_rooms as table rooms; \
         create table kept_members as table members";
    sqlx::raw_sql(backup).execute(&sql).await.expect("a backup");
    ann.edit(&room, plan, "the plan").await.expect("edited");
    ann.delete(&room, nonsense).await.expect("deleted");
    ann.edit(&room, other, "changed here").await.expect("edited");
    let late = ann.say(&room, "teh end").await;
    ann.edit(&room, late, "the end").await.expect("edited");
    world.settle().await;
    offline(&ann).await;
    offline(&bob).await;
    let address = world.stop_server(0).await;
    // Another device of ann's was there first after the restore: its word stands, at a revision that ann's edit never reached.
    let restore = "delete from messages; insert into messages table kept_messages; \
         update messages set text = 'changed there', edited_at = now(), changed = true, rev = rev + 100 \
           where text = 'changed elsewhere'; \
         update rooms r set seq = k.seq, count = k.count, last_countable_seq = k.last_countable_seq, rev = k.rev + 100 \
           from kept_rooms k where k.id = r.id; \
         update members m set last_read_seq = k.last_read_seq, read_count = k.read_count, told_read = k.told_read, \
           told_delivered = k.told_delivered, receipt_rev = k.receipt_rev, read_generation = k.read_generation \
           from kept_members k where (k.room_id, k.user_id) = (m.room_id, m.user_id)";
    sqlx::raw_sql(restore).execute(&sql).await.expect("restored");
    madang_server::app::restore_done(world.database_url()).await.expect("said so");
    world.start_server_at(address).await.expect("a server");
    for person in [&ann, &bob] {
        person.client.reconnect();
        person.live().await;
        person.look_at(&[&room]);
    }
    let all = ["the plan", "kept", "changed there", "the end"];
    eventually("ann says again what is missing", async || (said(&bob, &room).await == all).then_some(())).await;
    world.settle().await;
    assert_eq!(said(&ann, &room).await, all);
    world.end().await;
}
