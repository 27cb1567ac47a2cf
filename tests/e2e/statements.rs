//! How many statements a call costs: as many for forty people, rooms or messages as for one.

use std::sync::{Mutex, OnceLock};
use std::thread;

use madang_proto::v1::{self, list_messages_request::Position};
use madang_tests::{World, WorldConfig, person::Calls};
use tokio_stream::StreamExt as _;
use tracing::{
    Event, Id, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use uuid::Uuid;

/// A call is made so often; what the server does beside it falls into some of them and not into all.
const TIMES: usize = 5;

/// People in the large room, beside two.
const PEOPLE: usize = 40;

/// Statements of a call, transaction and all; with few rows and with many. More is a loop that asks the database.
const COSTS: [(&str, usize); 16] = [
    ("GetMe", 4),
    ("BatchGetUsers", 2),
    ("ListMyRooms", 7),
    ("GetRoom", 8),
    ("ListMembers", 5),
    ("ListReceipts", 5),
    ("GetUnread", 3),
    ("GetMessage", 5),
    ("ListMessages", 5),
    ("SyncRoom", 11),
    ("SyncUser", 5),
    ("SendMessage", 11),
    ("EditMessage", 10),
    ("MarkUnread", 7),
    ("CreateRoom", 14),
    ("Connect", 14),
];

/// The server's threads: the one of the test, and the writer's. Other tests of this program have servers of their own.
static THREADS: OnceLock<[String; 2]> = OnceLock::new();

/// What they asked the database for since this was emptied.
static STATEMENTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn statements() -> std::sync::MutexGuard<'static, Vec<String>> {
    STATEMENTS.lock().expect("no panic in it")
}

/// Notes the statements of the server's threads.
#[derive(Debug)]
struct Notes;

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let thread = thread::current();
        if THREADS.get().is_some_and(|names| names.iter().any(|name| Some(name.as_str()) == thread.name())) {
            let mut summary = Summary(String::new());
            event.record(&mut summary);
            statements().push(summary.0);
        }
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Summary(String);

impl Visit for Summary {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "summary" {
            self.0 = format!("{value:?}");
        }
    }
}

/// Makes a call a few times; gives the fewest statements that it took.
async fn fewest(mut call: impl AsyncFnMut()) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..TIMES {
        statements().clear();
        call().await;
        all.push(std::mem::take(&mut *statements()));
    }
    all.into_iter().min_by_key(Vec::len).expect("it was called")
}

/// A room with its people, and the calls that are made of it.
struct Subject<'a> {
    calls: &'a Calls,
    room: String,
    people: Vec<String>,
    seq: i64,
}

impl Subject<'_> {
    /// Every call, by its name.
    async fn count(&self) -> Vec<(&'static str, Vec<String>)> {
        let (calls, room) = (self.calls, || self.room.clone());
        let mut counted = Vec::new();
        macro_rules! count {
            ($name:literal, $service:ident.$method:ident, $request:expr) => {
                let call = async || {
                    let request = calls.request($request);
                    calls.$service().$method(request).await.expect($name);
                };
                counted.push(($name, fewest(call).await));
            };
        }
        let position = Some(Position::AfterSeq(0));
        count!("GetMe", identity.get_me, v1::GetMeRequest {});
        count!("BatchGetUsers", users.batch_get_users, v1::BatchGetUsersRequest { user_ids: self.people.clone() });
        count!("ListMyRooms", rooms.list_my_rooms, v1::ListMyRoomsRequest { page_size: 50, ..Default::default() });
        count!("GetRoom", rooms.get_room, v1::GetRoomRequest { room_id: room() });
        count!("ListMembers", rooms.list_members, v1::ListMembersRequest { room_id: room(), ..Default::default() });
        count!("ListReceipts", reads.list_receipts, v1::ListReceiptsRequest { room_id: room(), ..Default::default() });
        count!("GetUnread", reads.get_unread, v1::GetUnreadRequest {});
        count!("GetMessage", messages.get_message, v1::GetMessageRequest { room_id: room(), seq: self.seq });
        count!(
            "ListMessages",
            messages.list_messages,
            v1::ListMessagesRequest { room_id: room(), position, page_size: 200 }
        );
        let cursor = || Some(v1::RoomCursor { room_id: room(), ..Default::default() });
        count!("SyncRoom", sync.sync_room, v1::SyncRoomRequest { cursor: cursor(), limit: 0 });
        count!("SyncUser", sync.sync_user, v1::SyncUserRequest { user_rev: 0, limit: 0 });
        let mention = |mut message: v1::SendMessageRequest| {
            message.mentioned_user_ids.clone_from(&self.people);
            message
        };
        count!("SendMessage", messages.send_message, mention(madang_tests::person::send(&self.room, "to you all")));
        let body = |text: String| Some(v1::MessageBody { text, ..Default::default() });
        count!(
            "EditMessage",
            messages.edit_message,
            v1::EditMessageRequest {
                room_id: room(),
                seq: self.seq,
                body: body(Uuid::now_v7().to_string()),
                mentioned_user_ids: self.people.clone(),
                mention_all: false,
            }
        );
        count!(
            "MarkUnread",
            reads.mark_unread,
            v1::MarkUnreadRequest { room_id: room(), seq: self.seq, generation: 0 }
        );
        let invited_user_ids = || self.people.clone();
        count!(
            "CreateRoom",
            rooms.create_room,
            v1::CreateRoomRequest {
                room_id: Uuid::now_v7().to_string(),
                kind: v1::RoomKind::Group.into(),
                name: "new".to_owned(),
                invited_user_ids: invited_user_ids(),
                ..Default::default()
            }
        );
        let connect = async || {
            let hello = v1::client_frame::Frame::Hello(v1::Hello::default());
            let hello = v1::ClientFrame { frame: Some(hello) };
            let says = tokio_stream::iter([hello]).chain(tokio_stream::pending());
            let mut stream = calls.sync().connect(calls.request(says)).await.expect("a stream").into_inner();
            while let Some(frame) = stream.next().await {
                if matches!(frame.expect("a frame").frame, Some(v1::server_frame::Frame::Drained(_))) {
                    return;
                }
            }
        };
        counted.push(("Connect", fewest(connect).await));
        counted
    }
}

/// A room with so many people and messages.
async fn subject<'a>(world: &World, calls: &'a Calls, people: usize, messages: usize, rooms: usize) -> Subject<'a> {
    let sql = "with people as (
            insert into users (id, issuer, subject, login, login_key, name_key, display_name, claimed_name)
            select gen_random_uuid(), 'i', gen_random_uuid()::text, 'p', 'p', 'p', 'p', 'p' from generate_series(1, $1)
            returning id)
        insert into user_cursors (user_id) select id from people returning user_id::text";
    let pool = world.sql().await;
    let people: Vec<String> =
        sqlx::query_scalar(sql).bind(i32::try_from(people).expect("few")).fetch_all(&pool).await.expect("people");
    let mut room = String::new();
    for _ in 0..rooms {
        room = Uuid::now_v7().to_string();
        let create = v1::CreateRoomRequest {
            room_id: room.clone(),
            kind: v1::RoomKind::Group.into(),
            name: "room".to_owned(),
            invited_user_ids: people.clone(),
            ..Default::default()
        };
        calls.rooms().create_room(calls.request(create)).await.expect("a room");
    }
    let mut seq = 0;
    for n in 0..messages {
        let sent = calls.send(&room, &format!("{n}")).await.expect("sent");
        seq = sent.message.expect("the message").seq;
    }
    Subject { calls, room, people, seq }
}

/// On one thread beside the writer's, so that the server's statements are those of this test.
#[tokio::test]
async fn a_call_costs_as_many_statements_for_many_as_for_one() {
    let world = World::with(WorldConfig { no_poll: true, ..WorldConfig::default() }).await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    // Devices would ask on their own.
    ann.client.disconnect();
    bob.client.disconnect();
    let few = subject(&world, &ann.calls, 1, 1, 1).await;
    let many = subject(&world, &bob.calls, PEOPLE, 60, 30).await;
    let this = thread::current().name().expect("the test's name").to_owned();
    THREADS.set([this, format!("writer of {}", world.node(0).name)]).expect("once");
    tracing::subscriber::set_global_default(Notes).expect("nobody else in this program listens");
    let (few, many) = (few.count().await, many.count().await);
    for ((name, few), (_, many)) in few.iter().zip(&many) {
        assert_eq!(few.len(), many.len(), "{name}\nfew: {few:#?}\nmany: {many:#?}");
    }
    let counts: Vec<_> = many.iter().map(|(name, statements)| (*name, statements.len())).collect();
    assert_eq!(counts, COSTS, "{many:#?}");
    world.end().await;
}
