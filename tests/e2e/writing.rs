//! The writer: one message a draft, whatever else is in its batch.

use std::time::Duration;

use madang_proto::{
    Refusal,
    v1::{self, ErrorReason},
};
use madang_sdk_core::{SendState, TimelineItem};
use madang_server::config::Rate;
use madang_tests::{Person, World, WorldConfig, person::send, world::eventually};
use tokio::time::timeout;

fn reason<T: std::fmt::Debug>(answer: Result<T, tonic::Status>) -> ErrorReason {
    Refusal::of(&answer.expect_err("refused")).expect("a typed refusal").reason
}

async fn member_of_two(world: &World) -> (Person, String, String) {
    let ann = world.person("ann").await;
    let (one, two) = (ann.room("one", &[]).await, ann.room("two", &[]).await);
    (ann, one, two)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sending_twice_with_one_id_stores_one_message() {
    let world = World::new().await;
    let (ann, room, _) = member_of_two(&world).await;
    let request = send(&room, "once");
    let send = |request: v1::SendMessageRequest| async {
        ann.calls.messages().send_message(ann.calls.request(request)).await.map(tonic::Response::into_inner)
    };
    let first = send(request.clone()).await.expect("sent");
    let again = send(request.clone()).await.expect("the first result");
    assert_eq!((again.message.as_ref(), again.rev), (first.message.as_ref(), 0));
    let seen = v1::SendMessageRequest { seen_seq: 1, ..request.clone() };
    assert_eq!(send(seen).await.expect("what was seen is no content").message, first.message);
    let other = v1::SendMessageRequest { mention_all: true, ..request.clone() };
    assert_eq!(reason(send(other).await), ErrorReason::IdReused);
    let seq = first.message.expect("a message").seq;
    ann.delete(&room, seq).await.expect("deleted");
    let deleted = send(request).await.expect("the item as it is now").message.expect("a message");
    assert!(deleted.tombstone.is_some() && deleted.seq == seq);
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_same_id_one_message() {
    let world = World::with(WorldConfig { nodes: 2, ..WorldConfig::default() }).await;
    let (ann, room, _) = member_of_two(&world).await;
    let elsewhere =
        madang_tests::person::Calls::new(&world.server(1), ann.calls.token.clone(), ann.calls.device_id.clone());
    let elsewhere = elsewhere.expect("an address");
    for n in 0..20 {
        let request = send(&room, &format!("{n}"));
        let (mut here, mut there) = (ann.calls.messages(), elsewhere.messages());
        let (one, two) = tokio::join!(
            here.send_message(ann.calls.request(request.clone())),
            there.send_message(elsewhere.request(request))
        );
        let (one, two) = (one.expect("sent").into_inner(), two.expect("sent").into_inner());
        assert_eq!(one.message, two.message);
        assert!((one.rev == 0) != (two.rev == 0), "one of them stored it");
    }
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_while_the_writer_waits_wins() {
    let world = World::new().await;
    let (ann, cat) = (world.person("ann").await, world.person("cat").await);
    let room = ann.room("one", &[&cat]).await;
    cat.sees(&room).await;
    let sql = world.sql().await;
    let mut tx = sql.begin().await.expect("a transaction");
    let id = uuid::Uuid::parse_str(&room).expect("an id");
    sqlx::query("select from rooms where id = $1 for no key update").bind(id).execute(&mut *tx).await.expect("locked");
    let (calls, request) = (cat.calls.clone(), send(&room, "too late"));
    let sending = tokio::spawn(async move { calls.messages().send_message(calls.request(request)).await });
    waits_for_a_lock(&sql).await;
    let removal = "update members set state = 3 where room_id = $1 and user_id = $2";
    sqlx::query(removal)
        .bind(id)
        .bind(uuid::Uuid::parse_str(&cat.id).expect("an id"))
        .execute(&mut *tx)
        .await
        .expect("removed");
    tx.commit().await.expect("committed");
    assert_eq!(reason(sending.await.expect("no panic")), ErrorReason::RoomNotFound);
    world.end().await;
}

async fn waits_for_a_lock(sql: &sqlx::PgPool) {
    eventually("somebody waits for the lock", async || {
        let waiting = sqlx::query_scalar::<_, i64>(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        );
        (waiting.fetch_one(sql).await.ok()? > 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_brings_somebody_in_locks_the_person_before_the_member() {
    let world = World::new().await;
    let (ann, room, _) = member_of_two(&world).await;
    let bob = world.person("bob").await;
    ann.invite(&room, [bob.id.clone()]).await.expect("invited");
    bob.sees(&room).await;
    bob.leave(&room).await.expect("left");
    let sql = world.sql().await;
    // A mark of bob's, between its two locks.
    let mut mark = sql.begin().await.expect("begun");
    let person = sqlx::query("select 1 from user_cursors where user_id = $1::uuid for update").bind(&bob.id);
    person.execute(&mut *mark).await.expect("locked");
    let (client, at, who) = (ann.client.clone(), room.clone(), bob.id.clone());
    let inviting = tokio::spawn(async move { client.settled(&client.invite(&at, [who]).await?).await });
    waits_for_a_lock(&sql).await;
    let member = "select 1 from members where room_id = $1::uuid and user_id = $2::uuid for no key update nowait";
    let member = sqlx::query(member).bind(&room).bind(&bob.id).execute(&mut *mark).await;
    assert!(member.is_ok(), "each waits for the other: {member:?}");
    mark.commit().await.expect("committed");
    inviting.await.expect("no panic").expect("invited");
    bob.sees(&room).await;
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_draft_fails_alone() {
    let world = World::new().await;
    let (ann, one, two) = member_of_two(&world).await;
    let sql = world.sql().await;
    sqlx::raw_sql(
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
         create trigger refuse before insert on messages for each row when (new.text = 'bad') execute function refuse()",
    )
    .execute(&sql)
    .await
    .expect("a trigger");
    // Held at the commit of a first batch, the others gather into one.
    world.gates.close("commit");
    let beside = |room: &str, text: &str| {
        let (calls, request) = (ann.calls.clone(), send(room, text));
        tokio::spawn(async move { calls.messages().send_message(calls.request(request)).await })
    };
    let first = beside(&one, "first");
    world.gates.arrived("commit").await;
    let mut drafts: Vec<_> =
        (0..10).map(|n| beside(if n % 2 == 0 { &one } else { &two }, &format!("good {n}"))).collect();
    let bad = beside(&one, "bad");
    drafts.extend((10..20).map(|n| beside(&two, &format!("good {n}"))));
    // Calls of one connection are taken in their order, so those before these are in the queue.
    for _ in 0..5 {
        ann.calls.reads().get_unread(ann.calls.request(v1::GetUnreadRequest {})).await.expect("answered");
    }
    world.gates.open("commit");
    first.await.expect("no panic").expect("sent");
    for draft in drafts {
        draft.await.expect("no panic").expect("a good draft is sent");
    }
    assert_eq!(reason(bad.await.expect("no panic")), ErrorReason::Internal);
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_room_delays_no_other() {
    let world = World::new().await;
    let (ann, slow, other) = member_of_two(&world).await;
    let sql = world.sql().await;
    let mut tx = sql.begin().await.expect("a transaction");
    let id = uuid::Uuid::parse_str(&slow).expect("an id");
    sqlx::query("select from rooms where id = $1 for no key update").bind(id).execute(&mut *tx).await.expect("locked");
    let (calls, request) = (ann.calls.clone(), send(&slow, "waits"));
    let waiting = tokio::spawn(async move { calls.messages().send_message(calls.request(request)).await });
    waits_for_a_lock(&sql).await;
    let meanwhile = timeout(Duration::from_secs(1), ann.calls.send(&other, "does not wait")).await;
    meanwhile.expect("another room is not delayed").expect("sent");
    tx.rollback().await.expect("unlocked");
    waiting.await.expect("no panic").expect("sent in the end");
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_are_dense_whoever_writes() {
    let world = World::with(WorldConfig { nodes: 2, ..WorldConfig::default() }).await;
    let (ann, bob) = (world.person_at("ann", 0).await, world.person_at("bob", 1).await);
    let room = ann.room("busy", &[&bob]).await;
    bob.sees(&room).await;
    let burst = |person: &Person| {
        let (calls, room) = (person.calls.clone(), room.clone());
        tokio::spawn(async move {
            for n in 0..100 {
                calls.send(&room, &format!("{n}")).await.expect("sent");
            }
        })
    };
    let (one, two) = (burst(&ann), burst(&bob));
    one.await.expect("no panic");
    two.await.expect("no panic");
    let sql = world.sql().await;
    let seqs =
        sqlx::query_scalar::<_, i64>("select seq from messages order by seq").fetch_all(&sql).await.expect("rows");
    assert_eq!(seqs, (1..=201).collect::<Vec<i64>>());
    ann.look_at(&[&room]);
    bob.look_at(&[&room]);
    world.settle().await;
    world.end().await;
}

/// Whoever was taken out of a room while they wrote offline has not tried to get in: nothing else is refused for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_room_that_is_gone_fails_without_a_call_for_each() {
    let settings = |config: &mut madang_server::config::Config| config.rate_refusal = Rate::per_minute(1, 5);
    let world = World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let room = ann.room("plans", &[&bob]).await;
    bob.sees(&room).await;
    bob.client.disconnect();
    eventually("offline", async || (!bob.is_online()).then_some(())).await;
    for n in 0..30 {
        bob.client.send(&room, format!("written offline {n}")).await.expect("it is in the outbox");
    }
    ann.remove(&room, &bob.id).await.expect("removed");
    bob.client.reconnect();
    bob.live().await;
    assert!(bob.client.drain(Duration::from_secs(5)).await, "everything has failed");
    let timeline = bob.client.timeline(&room).await.expect("what was typed is still shown");
    let failed = timeline.items().iter().filter(|item| match item {
        TimelineItem::Message(message) => {
            matches!(message.state, SendState::Failed { reason: ErrorReason::RoomNotFound, .. })
        }
        _ => false,
    });
    assert_eq!(failed.count(), 30);
    bob.room("another", &[&ann]).await;
    world.settle().await;
    world.end().await;
}

/// More than have a lane of their own at once.
const LOCKED: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_locked_rooms_hold_up_no_other() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let mut locked = Vec::new();
    for number in 0..LOCKED {
        locked.push(ann.room(&format!("locked {number}"), &[]).await);
    }
    let free = ann.room("free", &[]).await;
    world.settle().await;
    let mut holder = world.sql().await.begin().await.expect("begun");
    let lock = sqlx::query("select from rooms where id = any($1::uuid[]) for update").bind(&locked);
    lock.execute(&mut *holder).await.expect("locked");
    let send = |room: &str, text: &'static str| {
        let (calls, room) = (ann.calls.clone(), room.to_owned());
        tokio::spawn(async move { calls.send(&room, text).await })
    };
    let waiting: Vec<_> = locked.iter().map(|room| send(room, "waits")).collect();
    // Each has been found locked by now, or stands behind those that were; and again, while they wait.
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        send(&free, "goes on").await.expect("no panic").expect("sent");
        assert!(waiting.iter().all(|send| !send.is_finished()), "a send waited until the lock was given up");
    }
    holder.rollback().await.expect("given back");
    for send in waiting {
        send.await.expect("no panic").expect("sent when the lock was gone");
    }
    world.settle().await;
    world.end().await;
}
