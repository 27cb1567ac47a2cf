//! Why something stands as it does, asked of a real server in a dozen situations: what is answered, word by word.

use std::time::Duration;

use madang_proto::v1::{self, explain_request as ask};
use madang_server::{admin::text::text, rpc::control};
use madang_tests::{Person, World, WorldConfig, person::Calls, world::eventually};

use crate::raw::Stream;

/// Somebody who may ask, on a server.
fn operator(world: &World, node: usize) -> Calls {
    let person = madang_devstack::issuer::Person::new("operator", "Operator").with_role("SYSTEM_ADMIN");
    world.stack.issuer.add_person(person);
    let token = world.stack.issuer.token("operator").expect("a token");
    Calls::new(&world.server(node), token, uuid::Uuid::now_v7().to_string()).expect("an address")
}

async fn explain(calls: &Calls, subject: ask::Subject, login: &str) -> v1::ExplainResponse {
    let person = Some(ask::Person::Login(login.to_owned()));
    let request = calls.request(v1::ExplainRequest { subject: Some(subject), person });
    calls.admin().explain(request).await.expect("an explanation").into_inner()
}

fn item(room: &str, seq: i64) -> ask::Subject {
    ask::Subject::Item(v1::ItemPlace { room_id: room.to_owned(), seq })
}

/// What follows, as a terminal shows it, without times; ids are words.
fn findings(answer: &v1::ExplainResponse) -> Vec<String> {
    let told = text(answer);
    let above = told.split("\n\n").next().unwrap_or_default().lines();
    above.map(|line| words(line.get(28..).unwrap_or_default())).collect()
}

/// Ids and times become words, runs of blanks one blank.
fn words(line: &str) -> String {
    let is_time = |word: &str| word.len() == 24 && word.ends_with('Z') && word.contains('T');
    let is_id = |word: &str| uuid::Uuid::try_parse(word).is_ok();
    let word = |word: &str| {
        let (bare, end) = word.find([',', ':', ';']).map_or((word, ""), |at| word.split_at(at));
        match bare {
            bare if is_time(bare) => format!("TIME{end}"),
            bare if is_id(bare) => format!("ID{end}"),
            _ => word.to_owned(),
        }
    };
    line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

/// Ann, a room of hers with bob, and who may ask. Bob's streams are bare: nothing acknowledges or reads by itself.
async fn plans(world: &World) -> (Person, Calls, String) {
    let ann = world.person("ann").await;
    let bob = Stream::of(world, "bob", 0).await;
    let bob_id = me(&bob.calls_at(world, 0)).await;
    let members = vec![bob_id];
    let new = madang_sdk_core::NewRoom { name: "plans".into(), members, ..madang_sdk_core::NewRoom::default() };
    let room = ann.create_room(new).await.expect("a room");
    drop(bob);
    let operator = operator(world, 0);
    eventually("bob's first stream is over", async || {
        let answer = explain(&operator, ask::Subject::RoomId(room.clone()), "bob").await;
        answer.nodes[0].streams.is_empty().then_some(())
    })
    .await;
    (ann, operator, room)
}

async fn me(calls: &Calls) -> String {
    let me = calls.identity().get_me(calls.request(v1::GetMeRequest {})).await.expect("me").into_inner();
    me.user.expect("a person").id
}

/// Sends by a call; answers with the place.
async fn say(ann: &Person, room: &str, text: &str) -> i64 {
    ann.calls.send(room, text).await.expect("sent").message.expect("a message").seq
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_live_at_opening_and_to_nobody() {
    let world = World::alone().await;
    let (ann, operator, room) = plans(&world).await;
    let first = say(&ann, &room, "nobody listens").await;
    let nobody = findings(&explain(&operator, item(&room, first), "bob").await);
    assert_eq!(
        nobody,
        [
            "no stream bob has no open stream; the last one is over because its connection ended; the next is told at its opening",
            "stored it is item 2, revision 4",
            "unread bob has read up to item 0, which is before it",
            "no bus no bus: other nodes, if there are any, were not asked",
        ]
    );
    let mut bob = Stream::of(&world, "bob", 0).await;
    let opened = findings(&explain(&operator, item(&room, first), "bob").await);
    assert_eq!(opened[0], "told at opening the stream was opened after it: its first read covers it");
    let second = say(&ann, &room, "bob listens").await;
    bob.until(|frame| matches!(frame, v1::server_frame::Frame::RoomEvent(_)).then_some(())).await;
    let answer = explain(&operator, item(&room, second), "bob").await;
    assert_eq!(findings(&answer)[0], "told live the stream was told as it happened");
    let facts: Vec<String> = text(&answer).split_once("\n\n").expect("facts").1.lines().map(words).collect();
    assert_eq!(facts[0], "item 3 of room ID, revision 5, count 2");
    assert_eq!(facts[2], "room ID, revision 5, newest item 3, 2 count, 2 members");
    assert_eq!(
        facts[4],
        "in the room since revision 2, sees from item 1, read up to item 0 (2 unread), delivered up to item 0"
    );
    let calls = bob.calls_at(&world, 0);
    let mark = v1::MarkReadRequest { room_id: room.clone(), seq: second, generation: 0 };
    calls.reads().mark_read(calls.request(mark)).await.expect("marked");
    let read = findings(&explain(&operator, item(&room, second), "bob").await);
    assert!(read.contains(&"read bob has read up to item 3".to_owned()), "{read:?}");
    let cursor = v1::RoomCursor { room_id: room.clone(), rev: 2, seq: 2 };
    let fetch = v1::SyncRoomRequest { cursor: Some(cursor), limit: 0 };
    calls.sync().sync_room(calls.request(fetch)).await.expect("a delta");
    let fetched = findings(&explain(&operator, item(&room, second), "bob").await);
    assert_eq!(fetched[1], "fetched device ID asked for the room from revision 2 and was told up to 5");
    ann.delete(&room, second).await.expect("deleted");
    let deleted = findings(&explain(&operator, item(&room, second), "bob").await);
    assert!(deleted.iter().any(|line| line.starts_with("deleted it was deleted by ID")), "{deleted:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_or_not_for_the_person() {
    let world = World::alone().await;
    let (ann, operator, room) = plans(&world).await;
    let first = |answer: &v1::ExplainResponse| findings(answer).swap_remove(0);
    let missing = explain(&operator, item(&room, 99), "bob").await;
    assert_eq!(first(&missing), "not stored there is no item 99: the newest of the room is 1");
    let sent = v1::SentMessage {
        room_id: room.clone(),
        sender_id: ann.id.clone(),
        client_message_id: uuid::Uuid::now_v7().to_string(),
    };
    let sent = explain(&operator, ask::Subject::Sent(sent), "bob").await;
    assert_eq!(first(&sent), "not stored it is not stored: it never arrived, was refused, or is still with its sender");
    let cat = world.person("cat").await;
    let early = say(&ann, &room, "before cat").await;
    let never = explain(&operator, item(&room, early), "cat").await;
    assert_eq!(first(&never), "never member cat was never in the room");
    ann.invite(&room, [cat.id.clone()]).await.expect("invited");
    let late = say(&ann, &room, "with cat").await;
    ann.remove(&room, &cat.id).await.expect("removed");
    let removed = explain(&operator, item(&room, late), "cat").await;
    assert_eq!(first(&removed), "out of room cat was removed from the room, after this was said");
    let after = say(&ann, &room, "without cat").await;
    let removed = explain(&operator, item(&room, after), "cat").await;
    assert_eq!(first(&removed), "out of room cat was removed from the room, before this was said");
    let settings = v1::RoomSettings { history_hidden_from_newcomers: true, ..v1::RoomSettings::default() };
    let hidden = madang_sdk_core::NewRoom { name: "discreet".into(), settings: Some(settings), ..Default::default() };
    let hidden = ann.create_room(hidden).await.expect("a room");
    let secret = say(&ann, &hidden, "before cat").await;
    ann.invite(&hidden, [cat.id.clone()]).await.expect("invited");
    let before = explain(&operator, item(&hidden, secret), "cat").await;
    assert_eq!(first(&before), "before history cat may see the room from item 3 on, and this is item 2");
    let sql = world.sql().await;
    sqlx::query("update users set state = 2 where login = 'cat'").execute(&sql).await.expect("shut");
    let shut = explain(&operator, item(&hidden, secret), "cat").await;
    assert_eq!(first(&shut), "account shut cat cannot be told anything: the account is disabled");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_behind_and_why() {
    let world = World::alone().await;
    let (ann, operator, room) = plans(&world).await;
    let last = |answer: &v1::ExplainResponse| findings(answer).swap_remove(0);
    // The first read is held.
    world.gates.close("rooms_found");
    let (token, device) = (world.stack.issuer.token("bob").expect("a token"), uuid::Uuid::now_v7().to_string());
    let calls = Calls::new(&world.server(0), token, device).expect("an address");
    let mut bob = Stream::open(&calls, v1::Hello::default()).await;
    world.gates.arrived("rooms_found").await;
    let seq = say(&ann, &room, "while bob connects").await;
    assert_eq!(
        last(&explain(&operator, item(&room, seq), "bob").await),
        "catching up the stream's first read goes on: the room's turn comes"
    );
    world.gates.open("rooms_found");
    bob.until_drained().await;
    // The reader takes nothing: first the connection fills, then the queue, then frames are dropped.
    let big = "가".repeat(8_000);
    let mut seen = Vec::new();
    let mut newest = 0;
    for _ in 0..70 {
        newest = say(&ann, &room, &big).await;
        let now = last(&explain(&operator, item(&room, newest), "bob").await);
        // What is answered is stored, and on its way to the streams.
        let kinds = ["waiting it waits for the stream's reader", "dirty the stream is not told"];
        let kind = kinds.into_iter().find(|kind| now.starts_with(kind));
        seen.extend(kind.filter(|kind| !seen.contains(kind)));
    }
    assert_eq!(seen, ["waiting it waits for the stream's reader", "dirty the stream is not told"]);
    let dirty = last(&explain(&operator, item(&room, newest), "bob").await);
    assert!(
        dirty.starts_with("dirty the stream is not told: its queue was full; the room is read for it when"),
        "{dirty}"
    );
    // It takes again what waits, and is told by a read.
    let told = eventually("the room is read", async || {
        let _ = tokio::time::timeout(Duration::from_millis(20), bob.next()).await;
        let now = last(&explain(&operator, item(&room, newest), "bob").await);
        now.starts_with("told by read").then_some(now)
    })
    .await;
    assert_eq!(told, format!("told by read the stream was told by a read of the room, up to revision {}", newest + 2));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_on_another_node_are_asked_over_the_bus() {
    let world = World::with(WorldConfig { nodes: 2, nats: true, no_poll: true, ..WorldConfig::default() }).await;
    let (ann, operator, room) = plans(&world).await;
    let mut bob = Stream::of(&world, "bob", 1).await;
    let first = |answer: &v1::ExplainResponse| findings(answer).swap_remove(0);
    let seq = say(&ann, &room, "to the other node").await;
    bob.until(|frame| matches!(frame, v1::server_frame::Frame::RoomEvent(_)).then_some(())).await;
    // Bob may have the frame a moment before his stream knows that it was taken.
    let answer = eventually("the stream was told", async || {
        let answer = explain(&operator, item(&room, seq), "bob").await;
        (first(&answer) == "told live the stream was told as it happened").then_some(answer)
    })
    .await;
    assert_eq!((answer.nodes.len(), answer.nodes[1].streams.len()), (2, 1), "{answer:?}");
    world.gates.break_off("publish");
    let lost = say(&ann, &room, "lost on its way").await;
    let behind = first(&explain(&operator, item(&room, lost), "bob").await);
    assert_eq!(
        behind,
        format!(
            "node behind the node has heard of revision {} of the room; the next comparison with the database finds {}",
            lost + 1,
            lost + 2
        )
    );
    world.gates.break_off("publish_change");
    let bob_id = me(&bob.calls_at(&world, 1)).await;
    let new = madang_sdk_core::NewRoom { name: "new".into(), members: vec![bob_id], ..Default::default() };
    let unheard = ann.create_room(new).await.expect("a room");
    let unheard = first(&explain(&operator, item(&unheard, 1), "bob").await);
    assert_eq!(
        unheard,
        "not listening the node does not know yet that the person is in the room; the next comparison with the database \
         tells it"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_and_streams() {
    let world = World::alone().await;
    let (ann, operator, room) = plans(&world).await;
    let bob = Stream::of(&world, "bob", 0).await;
    let seq = say(&ann, &room, "one").await;
    let calls = bob.calls_at(&world, 0);
    let mark = v1::MarkReadRequest { room_id: room.clone(), seq, generation: 0 };
    calls.reads().mark_read(calls.request(mark)).await.expect("marked");
    let unread = v1::MarkUnreadRequest { room_id: room.clone(), seq, generation: 0 };
    calls.reads().mark_unread(calls.request(unread)).await.expect("marked");
    say(&ann, &room, "two").await;
    let answer = explain(&operator, ask::Subject::RoomId(room.clone()), "bob").await;
    assert_eq!(
        findings(&answer)[0],
        "unread bob has 2 unread: 2 items count, 0 of them up to item 1, which is read, 0 removed by retention; marked as \
         unread 1 times"
    );
    let session = answer.nodes[0].streams[0].session_id.clone();
    let of_stream = async |id: &str| {
        let request = v1::ExplainRequest { subject: Some(ask::Subject::SessionId(id.to_owned())), person: None };
        operator.admin().explain(operator.request(request)).await.expect("an explanation").into_inner()
    };
    assert_eq!(findings(&of_stream(&session).await)[0], "live the stream is open and nothing waits for it");
    let _second = bob.again_at(&world, 0).await;
    let closed = eventually("the first is over", async || {
        let found = findings(&of_stream(&session).await).swap_remove(0);
        found.starts_with("closed").then_some(found)
    })
    .await;
    assert_eq!(closed, "closed the stream is over: the same device opened another");
    assert_eq!(of_stream(&session).await.person.expect("its person").login, "bob");
    let unknown = of_stream(&uuid::Uuid::now_v7().to_string()).await;
    assert!(findings(&unknown)[0].starts_with("unknown stream no node knows the stream"), "{unknown:?}");
    let everywhere = v1::RevokeUserSessionsRequest { user_id: answer.person.expect("bob").user_id };
    operator.identity().revoke_user_sessions(operator.request(everywhere)).await.expect("revoked");
    let signed_out = eventually("bob's streams are over", async || {
        let found = findings(&explain(&operator, item(&room, seq), "bob").await).swap_remove(0);
        found.starts_with("signed out").then_some(found)
    })
    .await;
    assert_eq!(signed_out, "signed out bob is signed out on all devices");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_runs_the_node_asks_at_its_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("control.sock");
    let mut world = World::alone().await;
    let address = world.stop_server(0).await;
    world.start_server_with(address, |config| config.control_socket = Some(socket.clone())).await.expect("a server");
    let (_, operator, room) = plans(&world).await;
    let request = v1::ExplainRequest {
        subject: Some(ask::Subject::RoomId(room.clone())),
        person: Some(ask::Person::Login("bob".to_owned())),
    };
    let mut door = control::knock(&socket).await.expect("it opens");
    let answer = door.explain(request.clone()).await.expect("an explanation").into_inner();
    assert_eq!(findings(&answer), findings(&explain(&operator, ask::Subject::RoomId(room), "bob").await));
    let nobody = v1::ExplainRequest { person: Some(ask::Person::Login("nobody".into())), ..request };
    assert_eq!(door.explain(nobody).await.expect_err("nobody").code(), tonic::Code::NotFound);
    let audited = "select count(*), count(actor_id) from audit_events where action = 'explain'";
    let audited = sqlx::query_as::<_, (i64, i64)>(audited).fetch_one(&world.sql().await).await.expect("the log");
    assert!(audited.0 > audited.1 && audited.1 > 0, "both ways are written down: {audited:?}");
    world.end().await;
    assert!(!socket.exists(), "the socket goes with the node");
}
