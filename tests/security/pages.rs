//! Pages, their tokens, and cursors that are not from here.

use madang_proto::{
    POLICIES,
    v1::{self, ErrorReason, list_messages_request::Position, server_frame::Frame},
};
use madang_tests::World;
use tonic::Code;
use uuid::Uuid;

use crate::{
    people::Guest,
    raw::{Answer, Call},
    requests::{Contract, Things, encoded},
    streams::Stream,
};

const LIST_MESSAGES: &str = "/madang.v1.MessageService/ListMessages";
const LIST_MEMBERS: &str = "/madang.v1.RoomService/ListMembers";
const LIST_MY_ROOMS: &str = "/madang.v1.RoomService/ListMyRooms";
const LIST_RECEIPTS: &str = "/madang.v1.ReadService/ListReceipts";
const SEARCH_USERS: &str = "/madang.v1.UserService/SearchUsers";
const SYNC_ROOM: &str = "/madang.v1.SyncService/SyncRoom";
const SYNC_USER: &str = "/madang.v1.SyncService/SyncUser";

/// People that nobody signed in as, to fill pages.
async fn crowd(world: &World, count: i32) {
    let insert = "insert into users (id, issuer, subject, login, login_key, name_key, display_name, claimed_name)
        select gen_random_uuid(), 'crowd', n::text, 'crowd' || n, 'crowd' || lpad(n::text, 5, '0'), 'crowd', 'Crowd', ''
        from generate_series(1, $1) n";
    sqlx::query(insert).bind(count).execute(&world.sql().await).await.expect("a crowd");
}

/// Lets the crowd into a room.
async fn fill(world: &World, room: &str) {
    let insert = "insert into members (room_id, user_id, state, role, joined_at, history_from_seq, rev, user_rev)
        select $1::uuid, id, 1, 1, now(), 1, 1, 1 from users where issuer = 'crowd'";
    sqlx::query(insert).bind(room).execute(&world.sql().await).await.expect("members");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_never_larger_than_its_maximum_whatever_is_asked() {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    let room_id = ann.room(&[]).await;
    crowd(&world, 620).await;
    fill(&world, &room_id).await;
    for n in 0..205 {
        ann.calls.send(&room_id, &format!("{n}")).await.expect("sent");
    }
    for n in 0..110 {
        let name = format!("{n}");
        ann.room_like(&[], v1::CreateRoomRequest { name, ..Default::default() }).await;
    }
    // What is asked for, and how many come: 0 is the default, and a million the maximum or all there is.
    for (page_size, messages, members, rooms, people) in
        [(0, 50, 100, 100, 50), (1_000_000, 200, 500, 111, 200), (i32::MAX, 200, 500, 111, 200), (1, 1, 1, 1, 1)]
    {
        let page_token = String::new;
        let room_id = || room_id.clone();
        for position in
            [None, Some(Position::BeforeSeq(i64::MAX)), Some(Position::AfterSeq(0)), Some(Position::AroundSeq(150))]
        {
            let request = v1::ListMessagesRequest { room_id: room_id(), position, page_size };
            let answer = ann.wire.ask(&ann.caller, LIST_MESSAGES, &request).await.message::<v1::ListMessagesResponse>();
            assert!(answer.messages.len() <= messages, "{page_size}, {position:?}: {}", answer.messages.len());
            let is_full = answer.messages.len() == messages;
            assert!(is_full || matches!(position, Some(Position::AroundSeq(_))), "{page_size}, {position:?}");
        }
        let request = v1::ListMembersRequest { room_id: room_id(), page_size, page_token: page_token() };
        let answer = ann.wire.ask(&ann.caller, LIST_MEMBERS, &request).await.message::<v1::ListMembersResponse>();
        assert_eq!(answer.members.len(), members, "{page_size}");
        let request = v1::ListReceiptsRequest { room_id: room_id(), page_size, page_token: page_token() };
        let answer = ann.wire.ask(&ann.caller, LIST_RECEIPTS, &request).await.message::<v1::ListReceiptsResponse>();
        assert_eq!(answer.receipts.len(), members, "{page_size}");
        let request = v1::ListMyRoomsRequest { page_size, page_token: page_token() };
        let answer = ann.wire.ask(&ann.caller, LIST_MY_ROOMS, &request).await.message::<v1::ListMyRoomsResponse>();
        assert_eq!(answer.rooms.len(), rooms, "{page_size}");
        let request = v1::SearchUsersRequest { prefix: "crowd".to_owned(), page_size, page_token: page_token() };
        let answer = ann.wire.ask(&ann.caller, SEARCH_USERS, &request).await.message::<v1::SearchUsersResponse>();
        assert_eq!(answer.users.len(), people, "{page_size}");
    }
    for limit in [0, 1_000_000, i32::MAX] {
        let cursor = Some(v1::RoomCursor { room_id: room_id.clone(), rev: 1, seq: 1 });
        let request = v1::SyncRoomRequest { cursor, limit };
        let delta = ann
            .wire
            .ask(&ann.caller, SYNC_ROOM, &request)
            .await
            .message::<v1::SyncRoomResponse>()
            .delta
            .expect("a delta");
        assert!(delta.messages.len() + delta.members.len() <= 500, "{limit}");
        let request = v1::SyncUserRequest { user_rev: 0, limit };
        let delta = ann
            .wire
            .ask(&ann.caller, SYNC_USER, &request)
            .await
            .message::<v1::SyncUserResponse>()
            .delta
            .expect("a delta");
        assert!(delta.memberships.len() <= 500, "{limit}");
    }
    world.end().await;
}

/// Calls that give and take page tokens.
async fn with_token(ann: &Guest, room_id: &str, page_token: &str) -> Vec<(&'static str, Answer)> {
    let (page_size, page_token, room_id) = (1, || page_token.to_owned(), || room_id.to_owned());
    let wire = &ann.wire;
    let members = v1::ListMembersRequest { room_id: room_id(), page_size, page_token: page_token() };
    let receipts = v1::ListReceiptsRequest { room_id: room_id(), page_size, page_token: page_token() };
    let rooms = v1::ListMyRoomsRequest { page_size, page_token: page_token() };
    let people = v1::SearchUsersRequest { prefix: "c".to_owned(), page_size, page_token: page_token() };
    vec![
        (LIST_MEMBERS, wire.ask(&ann.caller, LIST_MEMBERS, &members).await),
        (LIST_RECEIPTS, wire.ask(&ann.caller, LIST_RECEIPTS, &receipts).await),
        (LIST_MY_ROOMS, wire.ask(&ann.caller, LIST_MY_ROOMS, &rooms).await),
        (SEARCH_USERS, wire.ask(&ann.caller, SEARCH_USERS, &people).await),
    ]
}

/// Refused as a token that is not ours, or taken as a place behind which there is, or is not, something of one's own.
#[track_caller]
fn is_refused_or_harmless(path: &str, answer: &Answer, token: &str) {
    if answer.code() != Code::Ok {
        answer.is_refused(ErrorReason::PageTokenInvalid, &format!("{path} with {token:?}"));
        assert_eq!(answer.refusal().metadata["field"], "page_token");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_token_that_is_not_from_here_is_refused_or_harmless() {
    let world = World::new().await;
    let (ann, bob) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
    crowd(&world, 10).await;
    let (mine, theirs) = (ann.room(&[&bob]).await, bob.room(&[]).await);
    ann.room(&[]).await;
    let id = Uuid::now_v7().to_string();
    let mut tokens: Vec<String> =
        ["x", "1\u{1f}x", "\u{1f}", "\u{1f}\u{1f}", "x\u{1f}", "0\u{1f}0", "1.5\u{1f}", "-", "🙂", " "]
            .map(str::to_owned)
            .into();
    tokens.extend([
        id.clone(),
        format!("x\u{1f}{id}"),
        format!("99999999999999999999\u{1f}{id}"),
        format!("{id}\u{1f}{id}"),
        format!("1\u{1f}{id}\u{1f}1"),
    ]);
    // Tokens of other calls, of another person, of another room.
    for (path, answer) in with_token(&ann, &mine, "").await.into_iter().chain(with_token(&bob, &theirs, "").await) {
        let token = match path {
            LIST_MEMBERS => answer.message::<v1::ListMembersResponse>().next_page_token,
            LIST_RECEIPTS => answer.message::<v1::ListReceiptsResponse>().next_page_token,
            LIST_MY_ROOMS => answer.message::<v1::ListMyRoomsResponse>().next_page_token,
            _ => answer.message::<v1::SearchUsersResponse>().next_page_token,
        };
        tokens.push(token);
    }
    assert!(tokens.iter().filter(|token| token.contains('\u{1f}')).count() > 10, "no token was given: {tokens:?}");
    for token in tokens {
        for (path, answer) in with_token(&ann, &mine, &token).await {
            is_refused_or_harmless(path, &answer, &token);
            assert!(!format!("{answer:?}").contains(&theirs), "{path} with {token:?} shows a room of others");
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_token_of_a_time_that_no_database_knows_is_refused_or_harmless() {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    let room = ann.room(&[]).await;
    let id = Uuid::now_v7().to_string();
    for micros in [
        "-6000000000000000000",
        "9000000000000000000",
        "-8334601228800000000",
        "8210266876799999999",
        "99999999999999999999",
    ] {
        let token = format!("{micros}\u{1f}{id}");
        for (path, answer) in with_token(&ann, &room, &token).await {
            is_refused_or_harmless(path, &answer, &token);
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_that_cannot_be_of_this_room_starts_anew() {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    let room_id = ann.room(&[]).await;
    for n in 0..3 {
        ann.calls.send(&room_id, &format!("{n}")).await.expect("sent");
    }
    let room = ann
        .wire
        .ask(&ann.caller, SYNC_ROOM, &v1::SyncRoomRequest { cursor: Some(cursor(&room_id, 0, 0)), limit: 0 })
        .await;
    let whole = room.message::<v1::SyncRoomResponse>().delta.expect("a delta");
    assert!(whole.reset && whole.messages.len() == 4, "{whole:?}");
    let now = whole.to.clone().expect("a cursor");
    for (rev, seq) in [
        (i64::MAX, i64::MAX),
        (now.rev + 1, now.seq),
        (now.rev, now.seq + 1),
        (1, i64::MAX),
        (i64::MAX, 0),
        (0, i64::MAX),
    ] {
        let request = v1::SyncRoomRequest { cursor: Some(cursor(&room_id, rev, seq)), limit: 0 };
        let delta = ann
            .wire
            .ask(&ann.caller, SYNC_ROOM, &request)
            .await
            .message::<v1::SyncRoomResponse>()
            .delta
            .expect("a delta");
        assert!(delta.reset && delta.last, "({rev}, {seq}): {delta:?}");
        assert_eq!(delta.to, whole.to, "({rev}, {seq})");
        assert_eq!(delta.messages, whole.messages, "({rev}, {seq})");
    }
    for user_rev in [i64::MAX, 1_000_000] {
        let delta = ann.wire.ask(&ann.caller, SYNC_USER, &v1::SyncUserRequest { user_rev, limit: 0 }).await;
        let delta = delta.message::<v1::SyncUserResponse>().delta.expect("a delta");
        assert_eq!((delta.from_user_rev, delta.memberships.len()), (0, 1), "a number of another history is none");
    }
    world.end().await;
}

fn cursor(room_id: &str, rev: i64, seq: i64) -> v1::RoomCursor {
    v1::RoomCursor { room_id: room_id.to_owned(), rev, seq }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_another_epoch_is_refused_on_every_method_and_told_the_present_one() {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    let info = ann.wire.call(Call::to("/madang.v1.IdentityService/GetServerInfo", &[])).await;
    let epoch = info.message::<v1::GetServerInfoResponse>().server.expect("a server").epoch;
    let contract = Contract::read();
    let things =
        Things { room_id: Uuid::now_v7().to_string(), user_id: ann.id.clone(), device_id: Uuid::now_v7().to_string() };
    let methods =
        POLICIES.iter().filter(|policy| !policy.public && !policy.streams && policy.roles.contains(&v1::Role::User));
    for policy in methods {
        let request = encoded(&contract.good(&contract.method(policy), &things));
        let call = || Call::to(policy.path, &request).by(&ann.caller);
        for other in ["another", "", &epoch.to_uppercase(), &"e".repeat(4_000)] {
            let answer = ann.wire.call(call().with("madang-epoch", other)).await;
            answer.is_refused(ErrorReason::EpochChanged, policy.path);
            assert_eq!(answer.refusal().metadata["epoch"], epoch);
        }
        if policy.method != "SignOut" {
            let answer = ann.wire.call(call().with("madang-epoch", &epoch)).await;
            assert!(answer.code() == Code::Ok || answer.reason() != ErrorReason::EpochChanged, "{answer:?}");
        }
    }
    world.end().await;
}

/// Numbers of another history say nothing here: whoever brings them is told everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_of_another_epoch_counts_as_one_without_numbers() {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    let (first, second) = (ann.room(&[]).await, ann.room(&[]).await);
    let hello = v1::Hello {
        epoch: "another".to_owned(),
        user_rev: i64::MAX,
        watermark: i64::MAX,
        rooms: vec![v1::RoomCursor { room_id: first.clone(), rev: 1_000, seq: 1_000 }],
    };
    let mut stream = Stream::open(&ann, hello).await;
    let frames = stream.until_drained().await;
    let delta = frames.iter().find_map(|frame| if let Frame::RoomDelta(delta) = frame { Some(delta) } else { None });
    assert!(delta.is_some_and(|delta| delta.reset), "{delta:?}");
    let summary =
        frames.iter().find_map(|frame| if let Frame::RoomSummary(summary) = frame { Some(summary) } else { None });
    assert_eq!(summary.map(|summary| &summary.room_id), Some(&second));
    let person = frames.iter().find_map(|frame| if let Frame::UserDelta(delta) = frame { Some(delta) } else { None });
    assert!(person.is_some_and(|delta| delta.from_user_rev == 0 && delta.memberships.len() == 2), "{person:?}");
    world.end().await;
}
