//! Names and people in requests: texts are kept as they were sent and compared in NFC, and nobody deals with themselves.

use madang_proto::v1::{self, ErrorReason};
use madang_tests::World;
use prost::Message as _;
use tonic::Code;
use uuid::Uuid;

use crate::{people::Guest, raw::Answer};

/// 한글 as a keyboard of some systems sends it, letter by letter, and as it is compared.
const DECOMPOSED: &str = "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}";
const COMPOSED: &str = "한글";

async fn search(ann: &Guest, prefix: &str) -> Vec<String> {
    let request = v1::SearchUsersRequest { prefix: prefix.to_owned(), ..Default::default() };
    let found = ann.calls.users().search_users(ann.calls.request(request)).await.expect("people").into_inner();
    found.users.into_iter().map(|user| user.display_name).collect()
}

async fn rename(ann: &Guest, name: &str) -> v1::User {
    let request = v1::UpdateProfileRequest { display_name: Some(name.to_owned()), ..Default::default() };
    let changed = ann.calls.users().update_profile(ann.calls.request(request)).await.expect("a new name").into_inner();
    changed.user.expect("a profile")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_kept_as_sent_and_found_however_they_are_written() {
    assert_ne!(DECOMPOSED, COMPOSED);
    let world = World::new().await;
    let (ann, bob) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
    for (kept, wanted) in [
        (DECOMPOSED, COMPOSED),
        (COMPOSED, DECOMPOSED),
        ("E\u{301}va", "\u{e9}v"),
        ("\u{c9}va", "e\u{301}"),
        ("\u{212b}ngstr\u{f6}m", "\u{e5}ngstro\u{308}"),
        ("100%_sure\\", "100%_SURE\\"),
    ] {
        assert_eq!(rename(&ann, kept).await.display_name, kept, "the answer to the change");
        assert_eq!(ann.me().await.expect("a profile").user.expect("a profile").display_name, kept);
        assert_eq!(search(&bob, wanted).await, [kept], "{wanted}");
    }
    // What means something to the database means nothing here.
    rename(&ann, "plain").await;
    for pattern in ["%", "_lain", "p%", "plai\\", "plain\\"] {
        assert!(search(&bob, pattern).await.is_empty(), "{pattern}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_and_room_names_are_kept_byte_for_byte() {
    let world = World::new().await;
    let ann = Guest::of(&world, "ann").await;
    let like =
        v1::CreateRoomRequest { name: DECOMPOSED.to_owned(), topic: "e\u{301}".to_owned(), ..Default::default() };
    let room_id = Uuid::now_v7().to_string();
    let request = v1::CreateRoomRequest { room_id: room_id.clone(), ..like };
    ann.calls.rooms().create_room(ann.calls.request(request)).await.expect("a room");
    let get = v1::GetRoomRequest { room_id: room_id.clone() };
    let summary = ann.calls.rooms().get_room(ann.calls.request(get)).await.expect("a room").into_inner().summary;
    let Some(v1::room_summary::Verdict::Present(present)) = summary.and_then(|summary| summary.verdict) else {
        panic!("the room is not there");
    };
    let room = present.room.expect("a room");
    assert_eq!((room.name.as_str(), room.topic.as_str()), (DECOMPOSED, "e\u{301}"));
    for text in
        [DECOMPOSED, COMPOSED, " spaces stay \n\t", "e\u{301}\u{fb01}", "\u{200d}👩‍👩‍👧‍👦", "%_\\'\"--", "\u{fffe}\u{10ffff}"]
    {
        let sent = ann.calls.send(&room_id, text).await.expect("sent").message.expect("an item");
        let request = v1::GetMessageRequest { room_id: room_id.clone(), seq: sent.seq };
        let got = ann.calls.messages().get_message(ann.calls.request(request)).await.expect("an item").into_inner();
        assert_eq!(got.message.and_then(|message| message.body).map(|body| body.text).as_deref(), Some(text));
    }
    world.end().await;
}

/// Refused for this field.
#[track_caller]
fn is_refused_for(answer: &Answer, field: &str) {
    let refusal = answer.refusal();
    assert_eq!(refusal.reason, ErrorReason::InvalidField, "{refusal:?}");
    assert_eq!(refusal.violations[0].field, field, "{refusal:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_invites_removes_or_talks_directly_to_themselves() {
    let world = World::new().await;
    let (ann, bob) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
    let room_id = ann.room(&[]).await;
    let (room, me) = (|| room_id.clone(), || ann.id.clone());
    let ask = async |path: &str, request: &dyn Fn() -> Vec<u8>| {
        ann.wire.call(crate::raw::Call::to(path, &request()).by(&ann.caller)).await
    };
    let invite = || v1::InviteMembersRequest { room_id: room(), user_ids: vec![bob.id.clone(), me()] }.encode_to_vec();
    is_refused_for(&ask("/madang.v1.RoomService/InviteMembers", &invite).await, "user_ids");
    let remove = || v1::RemoveMemberRequest { room_id: room(), user_id: me() }.encode_to_vec();
    is_refused_for(&ask("/madang.v1.RoomService/RemoveMember", &remove).await, "user_id");
    let direct = || v1::OpenDirectRoomRequest { user_id: me() }.encode_to_vec();
    is_refused_for(&ask("/madang.v1.RoomService/OpenDirectRoom", &direct).await, "user_id");
    assert_eq!(members(&ann, &room_id).await, [&*ann.id], "bob came in with the one who was refused");
    // Whoever makes a room is in it; naming oneself or somebody twice changes nothing.
    let invited_user_ids = vec![me(), bob.id.clone(), bob.id.clone(), me()];
    let made = Uuid::now_v7().to_string();
    let request =
        v1::CreateRoomRequest { room_id: made.clone(), name: "x".to_owned(), invited_user_ids, ..Default::default() };
    ann.calls.rooms().create_room(ann.calls.request(request)).await.expect("a room");
    assert_eq!(members(&ann, &made).await.len(), 2);
    world.end().await;
}

async fn members(ann: &Guest, room_id: &str) -> Vec<String> {
    let request = v1::ListMembersRequest { room_id: room_id.to_owned(), ..Default::default() };
    let listed = ann.calls.rooms().list_members(ann.calls.request(request)).await.expect("members").into_inner();
    listed.members.into_iter().map(|member| member.user_id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_people_invited_all_come_or_none() {
    let world = World::new().await;
    let (ann, bob) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
    let room_id = ann.room(&[]).await;
    let nobody = Uuid::now_v7().to_string();
    let with = |user_ids: Vec<String>| v1::InviteMembersRequest { room_id: room_id.clone(), user_ids };
    let invite =
        async |user_ids| ann.wire.ask(&ann.caller, "/madang.v1.RoomService/InviteMembers", &with(user_ids)).await;
    let missing = invite(vec![bob.id.clone(), nobody.clone()]).await.refusal();
    assert_eq!((missing.reason, &missing.metadata["user_id"]), (ErrorReason::UserNotFound, &nobody));
    let many = (0..10_000).map(|_| bob.id.clone()).collect();
    let many = invite(many).await;
    is_refused_for(&many, "user_ids");
    assert!(many.refusal().violations[0].limit.contains("200"), "{many:?}");
    assert_eq!(members(&ann, &room_id).await, [&*ann.id]);
    let create = |invited_user_ids| v1::CreateRoomRequest {
        room_id: Uuid::now_v7().to_string(),
        name: "x".to_owned(),
        invited_user_ids,
        ..Default::default()
    };
    let path = "/madang.v1.RoomService/CreateRoom";
    let failed = create(vec![bob.id.clone(), nobody]);
    ann.wire.ask(&ann.caller, path, &failed).await.is_refused(ErrorReason::UserNotFound, "somebody who is not there");
    let get = v1::GetRoomRequest { room_id: failed.room_id };
    let there = ann.wire.ask(&ann.caller, "/madang.v1.RoomService/GetRoom", &get).await;
    there.is_refused(ErrorReason::RoomNotFound, "a room that was not made");
    is_refused_for(&ann.wire.ask(&ann.caller, path, &create(vec![bob.id.clone(); 10_000])).await, "invited_user_ids");
    assert_eq!(invite(vec![bob.id.clone(); 200]).await.code(), Code::Ok, "the same person 200 times");
    world.end().await;
}

/// An id is the client's; its content is kept to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_was_used_for_something_else_or_lies_in_the_future_is_refused() {
    let world = World::new().await;
    let (ann, bob) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
    let room_id = ann.room(&[&bob]).await;
    let first = madang_tests::person::send(&room_id, "first");
    let path = "/madang.v1.MessageService/SendMessage";
    assert_eq!(ann.wire.ask(&ann.caller, path, &first).await.code(), Code::Ok);
    let other = v1::SendMessageRequest { mention_all: true, ..first.clone() };
    let reused = ann.wire.ask(&ann.caller, path, &other).await.refusal();
    assert_eq!((reused.reason, reused.metadata["field"].as_str()), (ErrorReason::IdReused, "client_message_id"));
    // Another person's id is another id.
    assert_eq!(bob.wire.ask(&bob.caller, path, &other).await.code(), Code::Ok);
    for ahead in ["0fffffff-ffff-7fff-bfff-ffffffffffff", "ffffffff-ffff-7fff-bfff-ffffffffffff"] {
        let future = v1::SendMessageRequest { client_message_id: ahead.to_owned(), ..first.clone() };
        let late = ann.wire.ask(&ann.caller, path, &future).await.refusal();
        assert_eq!((late.reason, late.metadata["field"].as_str()), (ErrorReason::IdFromFuture, "client_message_id"));
    }
    let make = |room_id: &str, name: &str| v1::CreateRoomRequest {
        room_id: room_id.to_owned(),
        name: name.to_owned(),
        ..Default::default()
    };
    let path = "/madang.v1.RoomService/CreateRoom";
    for guest in [&ann, &bob] {
        let reused = guest.wire.ask(&guest.caller, path, &make(&room_id, "another")).await.refusal();
        assert_eq!((reused.reason, reused.metadata["field"].as_str()), (ErrorReason::IdReused, "room_id"));
    }
    world.end().await;
}
