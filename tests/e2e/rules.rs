//! The rules of sync, one by one: each story holds with its guard and fails without it (`cargo xtask guards`).

use std::time::Duration;

use madang_proto::v1;
use madang_sdk_core::{Client, NewRoom};
use madang_server::sabotage::Guard;
use madang_tests::{
    Person, World, WorldConfig,
    person::{Calls, send},
    world::eventually,
};
use tokio::task::JoinHandle;

use crate::raw::Stream;

/// Two people in a room, both caught up.
async fn pair(world: &World) -> (Person, Person, String) {
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let room = ann.room("plans", &[&bob]).await;
    bob.sees(&room).await;
    ann.look_at(&[&room]);
    bob.look_at(&[&room]);
    ann.say(&room, "first").await;
    world.settle().await;
    (ann, bob, room)
}

async fn offline(person: &Person) {
    person.client.disconnect();
    eventually("offline", async || (!person.is_online()).then_some(())).await;
}

/// Nothing has changed since anybody looked: a verdict on a room comes from what follows alone.
async fn calm(world: &World) {
    sqlx::query("update rooms set changed_xid = 0").execute(&world.sql().await).await.expect("calmed");
}

/// Sends by a call of its own, so that the story can hold the server meanwhile.
fn send_beside(calls: &Calls, room: &str, text: &str) -> JoinHandle<()> {
    let (calls, request) = (calls.clone(), send(room, text));
    tokio::spawn(async move {
        let _ = calls.messages().send_message(calls.request(request)).await;
    })
}

async fn is_stored(world: &World, text: &str) {
    let sql = world.sql().await;
    eventually("the message is committed", async || {
        let found = sqlx::query_scalar::<_, i64>("select count(*) from messages where text = $1").bind(text);
        (found.fetch_one(&sql).await.ok()? > 0).then_some(())
    })
    .await;
}

/// No transaction of the cluster, of a neighbour's database too, is older than this message: a horizon read now covers it.
async fn is_behind_the_horizon(world: &World, text: &str) {
    let sql = world.sql().await;
    let behind = "select exists (select 1 from messages where text = $1
         and xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint)";
    eventually("the horizon passes the message", async || {
        sqlx::query_scalar::<_, bool>(behind).bind(text).fetch_one(&sql).await.ok()?.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn register_first() {
    let world = World::alone().await;
    let (ann, bob, room) = pair(&world).await;
    offline(&bob).await;
    calm(&world).await;
    world.gates.close("rooms_found");
    bob.client.reconnect();
    world.gates.arrived("rooms_found").await;
    ann.calls.send(&room, "while bob connects").await.expect("sent");
    world.gates.open("rooms_found");
    bob.live().await;
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buffer() {
    let world = World::alone().await;
    let (ann, bob, room) = pair(&world).await;
    offline(&bob).await;
    calm(&world).await;
    world.gates.close("rooms_found");
    bob.client.reconnect();
    world.gates.arrived("rooms_found").await;
    for n in 0..20 {
        ann.calls.send(&room, &format!("{n} while bob connects")).await.expect("sent");
    }
    world.gates.open("rooms_found");
    bob.live().await;
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watermark_before_read() {
    let world = World::alone().await;
    let (ann, bob, room) = pair(&world).await;
    offline(&bob).await;
    calm(&world).await;
    world.gates.close("rooms_found");
    bob.client.reconnect();
    world.gates.arrived("rooms_found").await;
    world.gates.close("publish");
    let sending = send_beside(&ann.calls, &room, "committed, not published");
    is_behind_the_horizon(&world, "committed, not published").await;
    world.gates.open("rooms_found");
    bob.live().await;
    offline(&bob).await;
    world.gates.open("publish");
    sending.await.expect("sent");
    bob.client.reconnect();
    bob.live().await;
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xmin() {
    let world = World::alone().await;
    let (ann, bob, room) = pair(&world).await;
    offline(&bob).await;
    calm(&world).await;
    world.gates.close("commit");
    world.gates.close("publish");
    let sending = send_beside(&ann.calls, &room, "still running");
    world.gates.arrived("commit").await;
    // A later transaction ends before it: "the next one" is no horizon.
    let later = sqlx::query("select pg_current_xact_id()::text");
    later.execute(&world.sql().await).await.expect("a later transaction");
    bob.client.reconnect();
    bob.live().await;
    world.gates.open("commit");
    is_stored(&world, "still running").await;
    offline(&bob).await;
    world.gates.open("publish");
    sending.await.expect("sent");
    bob.client.reconnect();
    bob.live().await;
    world.settle().await;
    world.end().await;
}

/// One message more than a queue holds, while nobody takes anything: what follows would show the hole.
async fn overflow(world: &World, ann: &Person, bob: &Person, room: &str) {
    offline(bob).await;
    calm(world).await;
    world.gates.close("rooms_found");
    bob.client.reconnect();
    world.gates.arrived("rooms_found").await;
    for n in 0..257 {
        ann.calls.send(room, &format!("{n} of many")).await.expect("sent");
    }
    world.gates.open("rooms_found");
    bob.live().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dirty() {
    let world = World::alone().await;
    let (ann, bob, room) = pair(&world).await;
    overflow(&world, &ann, &bob, &room).await;
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drained_last() {
    let settings = |config: &mut madang_server::config::Config| {
        config.poll_interval = Duration::from_millis(50);
        config.heartbeat = Duration::from_millis(200);
    };
    let world = World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await;
    let (ann, bob, room) = pair(&world).await;
    offline(&bob).await;
    let mut stream = Stream::open(&bob.calls, v1::Hello::default()).await;
    stream.until_drained().await;
    let big = "가".repeat(8_000);
    for _ in 0..20 {
        ann.calls.send(&room, &big).await.expect("sent");
    }
    // The reader takes nothing: what it is told of a watermark now waits behind what came before.
    let covered = world.node(0).hub.covered();
    eventually("a heartbeat waits", async || (world.node(0).hub.covered() > covered).then_some(())).await;
    stream.beats(&world).await;
    for _ in 0..60 {
        ann.calls.send(&room, &big).await.expect("sent");
    }
    let sql = world.sql().await;
    let rows = sqlx::query_as::<_, (i64, i64)>("select rev, xmin::text::bigint from messages").fetch_all(&sql).await;
    stream.check_watermarks(&room, &rows.expect("rows")).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hub_order() {
    let world = World::alone().await;
    let (ann, _, room) = pair(&world).await;
    let cat = world.person("cat").await;
    ann.invite(&room, [cat.id.clone()]).await.expect("invited");
    cat.sees(&room).await;
    world.settle().await;
    let mut stream = Stream::open(&cat.calls, v1::Hello::default()).await;
    stream.until_drained().await;
    world.gates.close("publish_change");
    let (client, id, at) = (ann.client.clone(), cat.id.clone(), room.clone());
    let removing = tokio::spawn(async move { client.settled(&client.remove(&at, &id).await?).await });
    world.gates.arrived("publish_change").await;
    ann.calls.send(&room, "behind cat's back").await.expect("sent");
    stream.hears_nothing_of("behind cat's back").await;
    world.gates.open("publish_change");
    removing.await.expect("no panic").expect("removed");
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removal_order() {
    let world = World::alone().await;
    let (ann, _, room) = pair(&world).await;
    let cat = world.person("cat").await;
    ann.invite(&room, [cat.id.clone()]).await.expect("invited");
    cat.sees(&room).await;
    let mut stream = Stream::open(&cat.calls, v1::Hello::default()).await;
    stream.until_drained().await;
    ann.remove(&room, &cat.id).await.expect("removed");
    ann.calls.send(&room, "behind cat's back").await.expect("sent");
    stream.hears_nothing_of("behind cat's back").await;
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_at_read() {
    let world = World::alone().await;
    let (ann, _, room) = pair(&world).await;
    let cat = world.person("cat").await;
    ann.invite(&room, [cat.id.clone()]).await.expect("invited");
    cat.sees(&room).await;
    cat.look_at(&[&room]);
    world.settle().await;
    offline(&cat).await;
    ann.remove(&room, &cat.id).await.expect("removed");
    ann.calls.send(&room, "behind cat's back").await.expect("sent");
    cat.client.reconnect();
    cat.live().await;
    world.settle().await;
    let cursor = v1::RoomCursor { room_id: room.clone(), rev: 1, seq: 1 };
    let request = v1::SyncRoomRequest { cursor: Some(cursor), limit: 0 };
    let delta = cat.calls.sync().sync_room(cat.calls.request(request)).await.expect("a verdict").into_inner();
    let delta = delta.delta.expect("a delta");
    assert!(delta.messages.is_empty() && delta.to.is_none(), "a cursor grants nothing");
    assert!(!cat.texts(&room).await.contains(&"behind cat's back".to_owned()));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poll() {
    let world = World::with(WorldConfig { nodes: 2, ..WorldConfig::default() }).await;
    let (ann, bob) = (world.person_at("ann", 0).await, world.person_at("bob", 1).await);
    let room = ann.room("two nodes", &[&bob]).await;
    bob.sees(&room).await;
    bob.look_at(&[&room]);
    ann.say(&room, "from the other node").await;
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn index_repair() {
    let world = World::with(WorldConfig { nodes: 2, ..WorldConfig::default() }).await;
    let (ann, cat) = (world.person_at("ann", 0).await, world.person_at("cat", 1).await);
    let room = ann.room("two nodes", &[]).await;
    ann.invite(&room, [cat.id.clone()]).await.expect("invited");
    cat.sees(&room).await;
    cat.look_at(&[&room]);
    world.settle().await;
    ann.say(&room, "from the other node").await;
    world.settle().await;
    world.end().await;
}

/// Somebody was away while a room filled up beyond a page and an old message was edited.
async fn more_than_a_page() {
    let world = World::alone().await;
    let (ann, bob, room) = pair(&world).await;
    let old = ann.say(&room, "old").await;
    world.settle().await;
    offline(&bob).await;
    ann.edit(&room, old, "edited").await.expect("edited");
    for n in 0..250 {
        ann.calls.send(&room, &format!("{n} of many")).await.expect("sent");
    }
    bob.client.reconnect();
    bob.live().await;
    world.settle().await;
    assert!(bob.texts(&room).await.contains(&"edited".to_owned()));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paging() {
    more_than_a_page().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_paging() {
    more_than_a_page().await;
}

/// A room whose newcomers do not see what was before.
async fn hidden_room(client: &Client, people: Vec<String>) -> String {
    let settings = v1::RoomSettings { history_hidden_from_newcomers: true, ..Default::default() };
    let room = NewRoom { name: "discreet".into(), members: people, settings: Some(settings), ..NewRoom::default() };
    client.create_room(room).await.expect("a room can be made")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_an_old_message_does_not_reach_a_newcomer() {
    let world = World::alone().await;
    let (ann, cat) = (world.person("ann").await, world.person("cat").await);
    let room = hidden_room(&ann.client, Vec::new()).await;
    let old = ann.say(&room, "before cat").await;
    ann.invite(&room, [cat.id.clone()]).await.expect("invited");
    cat.sees(&room).await;
    cat.look_at(&[&room]);
    world.settle().await;
    let mut stream = Stream::open(&cat.calls, v1::Hello::default()).await;
    stream.until_drained().await;
    ann.edit(&room, old, "edited before cat").await.expect("edited");
    ann.say(&room, "after cat").await;
    stream.hears_nothing_of("before cat").await;
    world.settle().await;
    assert_eq!(cat.texts(&room).await, ["after cat"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tail_stays() {
    let world = World::alone().await;
    let (ann, bob, room) = pair(&world).await;
    let cat = world.person("cat").await;
    ann.invite(&room, [cat.id.clone()]).await.expect("invited");
    cat.sees(&room).await;
    world.settle().await;
    offline(&cat).await;
    world.gates.close("publish");
    let sending = send_beside(&ann.calls, &room, "in flight");
    is_stored(&world, "in flight").await;
    cat.client.reconnect();
    cat.live().await;
    world.gates.open("publish");
    sending.await.expect("sent");
    world.settle().await;
    assert!(bob.texts(&room).await.contains(&"in flight".to_owned()));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_keep_after_drained() {
    let world = World::alone().await;
    let (ann, bob, room) = pair(&world).await;
    offline(&bob).await;
    ann.calls.send(&room, "while bob was away").await.expect("sent");
    is_behind_the_horizon(&world, "while bob was away").await;
    bob.client.reconnect();
    bob.live().await;
    offline(&bob).await;
    bob.client.reconnect();
    bob.live().await;
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_spans() {
    // Against a node that forwards as it comes: what is missing is for the client to notice.
    let config = WorldConfig { without: Some(Guard::HubOrder), no_poll: true, ..WorldConfig::default() };
    let world = World::with(config).await;
    let (ann, bob, room) = pair(&world).await;
    world.gates.break_off("publish");
    ann.calls.send(&room, "lost on its way").await.expect("sent");
    world.gates.mend("publish");
    ann.calls.send(&room, "after it").await.expect("sent");
    world.settle().await;
    assert_eq!(bob.texts(&room).await, ["first", "lost on its way", "after it"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_came_after_the_registration_is_listened_to() {
    let world = World::alone().await;
    let (ann, bob, _) = pair(&world).await;
    offline(&bob).await;
    world.gates.close("registered");
    bob.client.reconnect();
    world.gates.arrived("registered").await;
    // Made on another node, for all that this one hears of it.
    world.gates.break_off("publish_change");
    let room = ann.room("made in between", &[&bob]).await;
    world.gates.mend("publish_change");
    world.gates.open("registered");
    bob.live().await;
    bob.sees(&room).await;
    ann.calls.send(&room, "news").await.expect("sent");
    eventually("the news arrive", async || (bob.badge(&room).await.0 == 1).then_some(())).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_user_spans() {
    // Against a node that forwards as it comes: what is missing is for the client to notice.
    let config = WorldConfig { without: Some(Guard::IndexRepair), no_poll: true, ..WorldConfig::default() };
    let world = World::with(config).await;
    let (ann, bob, _) = pair(&world).await;
    world.gates.break_off("publish_change");
    let lost = ann.room("lost on its way", &[&bob]).await;
    world.gates.mend("publish_change");
    let next = ann.room("after it", &[&bob]).await;
    bob.sees(&next).await;
    bob.sees(&lost).await;
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_head_rev() {
    let world = World::alone().await;
    let (ann, bob, room) = pair(&world).await;
    bob.look_at(&[]);
    overflow(&world, &ann, &bob, &room).await;
    world.settle().await;
    ann.calls.send(&room, "one more").await.expect("sent");
    world.settle().await;
    bob.look_at(&[&room]);
    eventually("the room heals", async || {
        let rooms = bob.rooms().await;
        rooms.get(&room).filter(|held| held.rev == held.head_rev).map(|_| ())
    })
    .await;
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_gone_numbered() {
    let world = World::alone().await;
    let (_, bob, room) = pair(&world).await;
    offline(&bob).await;
    let leave = v1::LeaveRoomRequest { room_id: room.clone() };
    bob.calls.rooms().leave_room(bob.calls.request(leave)).await.expect("left");
    world.gates.close("summaries_read");
    bob.client.reconnect();
    world.gates.arrived("summaries_read").await;
    // The verdict "gone" is on its way; the rejoin's own news never come.
    world.gates.break_off("publish_change");
    bob.join(&room).await.expect("joined");
    world.gates.open("summaries_read");
    bob.live().await;
    assert!(bob.rooms().await[&room].joined, "an old verdict undid a rejoin");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_generation() {
    let world = World::alone().await;
    let (ann, bob, room) = pair(&world).await;
    for n in 0..5 {
        ann.say(&room, &format!("{n}")).await;
    }
    world.settle().await;
    let second = world.person("bob").await;
    second.look_at(&[&room]);
    world.settle().await;
    let newest = bob.newest(&room).await;
    bob.client.mark_read(&room, newest).await.expect("marked");
    world.settle().await;
    offline(&second).await;
    bob.client.mark_unread(&room, newest - 1).await.expect("marked");
    world.settle().await;
    assert_eq!(bob.badge(&room).await.0, 2);
    second.client.mark_read(&room, newest).await.expect("stored");
    second.client.reconnect();
    second.live().await;
    world.settle().await;
    assert_eq!((bob.badge(&room).await.0, second.badge(&room).await.0), (2, 2));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_epoch() {
    let mut world = World::new().await;
    let (ann, bob, room) = pair(&world).await;
    offline(&ann).await;
    offline(&bob).await;
    let address = world.stop_server(0).await;
    // Back to an older state: the newest message never was, and another history begins.
    let sql = world.sql().await;
    sqlx::raw_sql(
        "delete from messages where text = 'first'; update rooms set seq = 1, count = 0, rev = 3, last_countable_seq = 0; \
         update members set last_read_seq = least(last_read_seq, 1), read_count = 0, told_read = least(told_read, 1), \
         receipt_rev = least(receipt_rev, 3), read_generation = 0",
    )
    .execute(&sql)
    .await
    .expect("restored");
    madang_server::app::restore_done(world.database_url()).await.expect("said so");
    world.start_server_at(address).await.expect("a server");
    for person in [&ann, &bob] {
        person.client.reconnect();
        person.live().await;
        person.look_at(&[&room]);
    }
    eventually("ann offers what is missing again", async || (bob.texts(&room).await == ["first"]).then_some(())).await;
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_reset() {
    let world = World::alone().await;
    let (ann, bob, room) = pair(&world).await;
    let cat = world.person("cat").await;
    ann.invite(&room, [cat.id.clone()]).await.expect("invited");
    cat.sees(&room).await;
    world.settle().await;
    offline(&bob).await;
    cat.leave(&room).await.expect("left");
    for n in 0..520 {
        ann.calls.send(&room, &format!("{n} of very many")).await.expect("sent");
    }
    bob.client.reconnect();
    bob.live().await;
    world.settle().await;
    let held = &bob.rooms().await[&room];
    assert!(held.low_seq > 400, "the newest page and nothing below a hole: from {}", held.low_seq);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_history() {
    let world = World::alone().await;
    let (ann, cat) = (world.person("ann").await, world.person("cat").await);
    let room = hidden_room(&ann.client, vec![cat.id.clone()]).await;
    cat.sees(&room).await;
    cat.look_at(&[&room]);
    ann.say(&room, "in cat's first stay").await;
    world.settle().await;
    cat.leave(&room).await.expect("left");
    world.settle().await;
    ann.say(&room, "between").await;
    ann.invite(&room, [cat.id.clone()]).await.expect("invited");
    cat.sees(&room).await;
    ann.say(&room, "in cat's second stay").await;
    world.settle().await;
    assert_eq!(cat.texts(&room).await, ["in cat's second stay"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_echo_merge() {
    let world = World::alone().await;
    let (ann, _, room) = pair(&world).await;
    let mut timeline = ann.client.timeline(&room).await.expect("a timeline");
    ann.say(&room, "once").await;
    eventually("the message is shown as stored, once", async || {
        while let Ok(Some(_)) = tokio::time::timeout(Duration::from_millis(20), timeline.next()).await {}
        let shown: Vec<_> = timeline.items().iter().filter_map(text_of).filter(|(text, _)| text == "once").collect();
        (shown.len() == 1 && shown[0].1).then_some(())
    })
    .await;
    world.settle().await;
    world.end().await;
}

fn text_of(item: &madang_sdk_core::TimelineItem) -> Option<(String, bool)> {
    match item {
        madang_sdk_core::TimelineItem::Message(message) => Some((message.text.clone(), message.seq.is_some())),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_outbox_order() {
    let world = World::alone().await;
    let (ann, bob, room) = pair(&world).await;
    let mut last = String::new();
    for n in 0..40 {
        last = ann.client.send(&room, format!("{n}").as_str()).await.expect("in the outbox");
    }
    ann.stored(&room, &last).await;
    world.settle().await;
    let expected: Vec<String> = std::iter::once("first".to_owned()).chain((0..40).map(|n| n.to_string())).collect();
    assert_eq!(bob.texts(&room).await, expected);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_rows_by_rev() {
    let world = World::alone().await;
    let (ann, bob, room) = pair(&world).await;
    let old = ann.say(&room, "old").await;
    for n in 0..60 {
        ann.calls.send(&room, &format!("{n}")).await.expect("sent");
    }
    let cat = world.person("cat").await;
    ann.invite(&room, [cat.id.clone()]).await.expect("invited");
    cat.sees(&room).await;
    cat.look_at(&[&room]);
    world.settle().await;
    assert!(cat.rooms().await[&room].low_seq > old, "cat holds the newest page alone");
    let mut timeline = cat.client.timeline(&room).await.expect("a timeline");
    world.gates.close("page_read");
    let loading = tokio::spawn(async move { timeline.load_older(100).await });
    world.gates.arrived("page_read").await;
    ann.edit(&room, old, "edited while the page was on its way").await.expect("edited");
    eventually("the edit has arrived", async || {
        let rooms = cat.rooms().await;
        let newest = bob.rooms().await[&room].rev;
        (rooms[&room].rev == newest && newest > 0).then_some(())
    })
    .await;
    world.gates.open("page_read");
    loading.await.expect("no panic").expect("loaded");
    world.settle().await;
    assert!(cat.texts(&room).await.contains(&"edited while the page was on its way".to_owned()));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_made_elsewhere_is_not_hidden_by_one_made_here() {
    let settings = |config: &mut madang_server::config::Config| config.poll_interval = Duration::from_secs(1);
    let world = World::with(WorldConfig { nodes: 2, settings: Some(settings), ..WorldConfig::default() }).await;
    let (ann, bob) = (world.person_at("ann", 0).await, world.person_at("bob", 1).await);
    // Bob's rooms are made on his node; what ann's node hears first is a room that is made there.
    let (one, two) = (bob.room("one", &[&ann]).await, bob.room("two", &[&ann]).await);
    let three = ann.room("three", &[&bob]).await;
    for room in [&one, &two, &three] {
        ann.sees(room).await;
        bob.sees(room).await;
    }
    world.settle().await;
    for room in [&one, &two, &three] {
        bob.say(room, "heard on both nodes").await;
    }
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_epoch_reaches_open_streams() {
    let settings = |config: &mut madang_server::config::Config| config.poll_interval = Duration::from_millis(50);
    let world = World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await;
    let (ann, bob, room) = pair(&world).await;
    let before = ann.client.snapshot().await.expect("the store answers").epoch;
    madang_server::app::restore_done(world.database_url()).await.expect("said so");
    for person in [&ann, &bob] {
        eventually("the new epoch is known", async || {
            let now = person.client.snapshot().await.ok()?.epoch;
            (now != before && person.is_online()).then_some(())
        })
        .await;
    }
    ann.say(&room, "in another history").await;
    world.settle().await;
    assert_eq!(bob.texts(&room).await, ["first", "in another history"]);
    world.end().await;
}
