//! Rooms that are not for the caller: whoever is not in one cannot tell it from one that is not there.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use madang_proto::{
    MethodPolicy, POLICIES,
    v1::{self, ErrorReason, RoomPermission},
};
use madang_tests::{World, WorldConfig};
use tonic::Code;
use uuid::Uuid;

use crate::{
    people::Guest,
    raw::{Answer, Call},
    requests::{Contract, Things, encoded},
    streams::Stream,
};

/// A room with some history and everybody who is not in it any more, or never was.
struct Outside {
    world: World,
    room_id: String,
    ann: Guest,
    stranger: Guest,
    left: Guest,
    removed: Guest,
    banned: Guest,
    invited: Guest,
    /// Somebody to invite or remove.
    other: Guest,
}

impl Outside {
    async fn new() -> Self {
        Box::pin(Self::gather()).await
    }

    async fn gather() -> Self {
        let world = World::new().await;
        let (ann, stranger) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
        let (left, removed) = (Guest::of(&world, "cat").await, Guest::of(&world, "dan").await);
        let (banned, invited) = (Guest::of(&world, "guest0").await, Guest::of(&world, "guest1").await);
        let other = Guest::of(&world, "guest2").await;
        let room_id = ann.room(&[&left, &removed, &banned, &invited]).await;
        ann.calls.send(&room_id, "hello").await.expect("sent");
        left.calls.send(&room_id, "I was here").await.expect("sent");
        let request = v1::LeaveRoomRequest { room_id: room_id.clone() };
        left.calls.rooms().leave_room(left.calls.request(request)).await.expect("gone");
        let request = v1::RemoveMemberRequest { room_id: room_id.clone(), user_id: removed.id.clone() };
        ann.calls.rooms().remove_member(ann.calls.request(request)).await.expect("removed");
        let outside = Self { world, room_id, ann, stranger, left, removed, banned, invited, other };
        // States that no call of this version gives.
        outside.set_state(&outside.banned, 4).await;
        outside.set_state(&outside.invited, 5).await;
        outside
    }

    async fn set_state(&self, person: &Guest, state: i16) {
        let set = sqlx::query("update members set state = $3 where room_id = $1::uuid and user_id = $2::uuid");
        let set = set.bind(&self.room_id).bind(&person.id).bind(state);
        set.execute(&self.world.sql().await).await.expect("set");
    }

    /// A good call of a method about a room.
    async fn ask(&self, person: &Guest, policy: &MethodPolicy, room_id: &str) -> Answer {
        let contract = Contract::read();
        let things = Things { room_id: room_id.to_owned(), user_id: self.other.id.clone(), ..Things::default() };
        let request = encoded(&contract.good(&contract.method(policy), &things));
        person.wire.call(Call::to(policy.path, &request).by(&person.caller)).await
    }
}

/// Methods that enter a room.
fn about_rooms() -> impl Iterator<Item = &'static MethodPolicy> {
    POLICIES.iter().filter(|policy| policy.room_permission != RoomPermission::Unspecified)
}

#[test]
fn whatever_names_a_room_demands_a_right_in_it() {
    let contract = Contract::read();
    // A new room's own id; the frames, whose rooms are checked against what their stream listens to; and what only those
    // may call who administer the installation, which tells no text.
    let others = ["CreateRoom", "Connect", "Watch", "Ack", "SetFocus", "SetTyping", "Explain"];
    for policy in POLICIES {
        let places = crate::requests::Place::all(&contract.method(policy).input());
        let names_one = places.iter().any(|place| place.field().name().starts_with("room_id"));
        let demands = policy.room_permission != RoomPermission::Unspecified;
        assert_eq!(names_one && !others.contains(&policy.method), demands, "{}", policy.path);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_cannot_tell_a_room_from_none_on_any_method() {
    let outside = Outside::new().await;
    let nowhere = Uuid::now_v7().to_string();
    let mut methods = 0;
    for policy in about_rooms() {
        for person in [&outside.stranger, &outside.banned, &outside.invited] {
            // Somebody banned learns where they are gone from: that is theirs to know.
            if policy.method == "SyncRoom" && person.id != outside.stranger.id {
                continue;
            }
            let (here, there) =
                (outside.ask(person, policy, &outside.room_id).await, outside.ask(person, policy, &nowhere).await);
            here.is_refused(ErrorReason::RoomNotFound, policy.path);
            assert_eq!(here.visible(), there.visible(), "{}", policy.path);
        }
        methods += 1;
    }
    assert!(methods >= 15, "{methods}");
    outside.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_former_member_cannot_tell_the_room_from_none_on_any_method() {
    let outside = Outside::new().await;
    let nowhere = Uuid::now_v7().to_string();
    for policy in about_rooms() {
        for person in [&outside.left, &outside.removed] {
            let (here, there) =
                (outside.ask(person, policy, &outside.room_id).await, outside.ask(person, policy, &nowhere).await);
            there.is_refused(ErrorReason::RoomNotFound, policy.path);
            match policy.method {
                // Told since when it is gone: nothing that the person did not see happen.
                "SyncRoom" => {
                    let delta = here.message::<v1::SyncRoomResponse>().delta.expect("a verdict");
                    let empty = v1::RoomDelta { summary: delta.summary.clone(), last: true, ..Default::default() };
                    assert_eq!(delta, empty);
                    let verdict = delta.summary.and_then(|summary| summary.verdict);
                    assert!(matches!(verdict, Some(v1::room_summary::Verdict::Gone(_))), "{verdict:?}");
                }
                // Whoever left may come back.
                "JoinRoom" if person.id == outside.left.id => assert_eq!(here.code(), Code::Ok, "{here:?}"),
                _ => assert_eq!(here.visible(), there.visible(), "{}", policy.path),
            }
            if policy.method == "JoinRoom" {
                outside.set_state(&outside.left, 2).await;
            }
        }
    }
    outside.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_room_is_not_there_for_a_third() {
    let outside = Outside::new().await;
    let (ann, bob, cat) = (&outside.ann, &outside.stranger, &outside.left);
    let request = v1::OpenDirectRoomRequest { user_id: bob.id.clone() };
    let direct = ann.calls.rooms().open_direct_room(ann.calls.request(request)).await.expect("a room").into_inner();
    let (room_id, nowhere) = (direct.summary.expect("a room").room_id, Uuid::now_v7().to_string());
    for policy in about_rooms() {
        let (here, there) = (outside.ask(cat, policy, &room_id).await, outside.ask(cat, policy, &nowhere).await);
        here.is_refused(ErrorReason::RoomNotFound, policy.path);
        assert_eq!(here.visible(), there.visible(), "{}", policy.path);
    }
    outside.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_ended_is_told_to_those_who_were_in_it_and_to_nobody_else() {
    let outside = Outside::new().await;
    let end = sqlx::query("update rooms set state = 3 where id = $1::uuid").bind(&outside.room_id);
    end.execute(&outside.world.sql().await).await.expect("ended");
    let nowhere = Uuid::now_v7().to_string();
    for policy in about_rooms() {
        let (here, there) = (
            outside.ask(&outside.stranger, policy, &outside.room_id).await,
            outside.ask(&outside.stranger, policy, &nowhere).await,
        );
        here.is_refused(ErrorReason::RoomNotFound, policy.path);
        assert_eq!(here.visible(), there.visible(), "{}", policy.path);
        for person in [&outside.ann, &outside.left, &outside.removed] {
            let answer = outside.ask(person, policy, &outside.room_id).await;
            if policy.method == "SyncRoom" {
                let summary = answer.message::<v1::SyncRoomResponse>().delta.and_then(|delta| delta.summary);
                let Some(v1::room_summary::Verdict::Gone(gone)) = summary.and_then(|summary| summary.verdict) else {
                    panic!("not gone: {answer:?}");
                };
                assert_eq!(gone.reason(), v1::GoneReason::Ended, "{gone:?}");
            } else {
                answer.is_refused(ErrorReason::RoomEnded, policy.path);
            }
        }
    }
    outside.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_about_a_room_that_is_not_theirs_tell_nothing() {
    use v1::client_frame::Frame;
    let outside = Outside::new().await;
    let nowhere = Uuid::now_v7().to_string();
    // So that the node knows the room.
    let mut inside = Stream::open(&outside.ann, v1::Hello::default()).await;
    inside.until_drained().await;
    for person in [&outside.stranger, &outside.left, &outside.removed] {
        let mut stream = Stream::open(person, v1::Hello::default()).await;
        stream.until_drained().await;
        let mut said = Vec::new();
        for room_id in [&outside.room_id, &nowhere] {
            let room_id = room_id.clone();
            let delivered = vec![v1::DeliveredSeq { room_id: room_id.clone(), seq: 1 }];
            let frames = [
                Frame::Typing(v1::Typing { room_id: room_id.clone() }),
                Frame::Focus(v1::Focus { room_ids: vec![room_id], ..Default::default() }),
                Frame::Ack(v1::Ack { delivered, ..Default::default() }),
            ];
            let mut refused = Vec::new();
            for frame in frames {
                stream.say(frame).await;
                // Behind it something that is always answered.
                stream.say(Frame::Reauthenticate(v1::Reauthenticate { token: "x".to_owned() })).await;
                refused.extend(stream.refusals_until("reauthenticate").await);
            }
            said.push(refused);
        }
        assert_eq!(said[0], said[1]);
        let about_rooms = said[0].iter().filter(|refused| refused.reason() == ErrorReason::RoomNotFound).count();
        // A focus is taken as it is, and looked at when something is told.
        assert_eq!(about_rooms, 2, "{:?}", said[0]);
    }
    outside.world.end().await;
}

/// A focus is taken as it is: what of it somebody may not see is never told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_focus_on_a_room_that_is_not_theirs_is_told_nothing_of_it() {
    use v1::{ephemeral::News, server_frame::Frame};
    let settings = |config: &mut madang_server::config::Config| config.heartbeat = Duration::from_millis(400);
    let world = World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await;
    let (ann, stranger) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
    let room_id = ann.room(&[]).await;
    ann.calls.send(&room_id, "among us").await.expect("sent");
    // The first stays, so that the node knows the room.
    let mut open = Vec::new();
    for (guest, is_told) in [(&ann, true), (&stranger, false)] {
        let mut stream = Stream::open(guest, v1::Hello::default()).await;
        stream.until_drained().await;
        let watched = vec![v1::WatchedMessage { room_id: room_id.clone(), seq: 2 }];
        let focus = v1::Focus { room_ids: vec![room_id.clone()], watched, ..Default::default() };
        stream.say(v1::client_frame::Frame::Focus(focus)).await;
        let (mut beats, mut told) = (0, BTreeSet::new());
        while beats < 6 {
            match stream.until(Some).await {
                Frame::Heartbeat(beat) => {
                    beats += 1;
                    told.extend((!beat.rooms.is_empty()).then_some("a revision"));
                }
                Frame::Ephemeral(v1::Ephemeral { news: Some(News::ReadCount(_)) }) => _ = told.insert("readers"),
                _ => {}
            }
        }
        let all = if is_told { vec!["a revision", "readers"] } else { Vec::new() };
        assert_eq!(told.into_iter().collect::<Vec<_>>(), all);
        open.push(stream);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_that_names_a_room_of_others_is_told_that_it_is_not_there() {
    let outside = Outside::new().await;
    let nowhere = Uuid::now_v7().to_string();
    let mut told = Vec::new();
    for room_id in [&outside.room_id, &nowhere] {
        let cursor = v1::RoomCursor { room_id: room_id.clone(), rev: 1, seq: 1 };
        let hello = v1::Hello { rooms: vec![cursor], ..Default::default() };
        let mut stream = Stream::open(&outside.stranger, hello).await;
        let frames = stream.until_drained().await;
        let about: Vec<String> =
            frames.iter().map(|frame| format!("{frame:?}")).filter(|frame| frame.contains(room_id)).collect();
        assert_eq!(about.len(), 1, "{about:?}");
        told.push(about[0].replace(room_id, "ROOM"));
    }
    assert_eq!(told[0], told[1]);
    assert!(told[0].contains("NotFound"), "{told:?}");
    outside.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_before_a_newcomers_time_is_not_there_for_them() {
    let world = World::new().await;
    let (ann, bob) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
    let settings = v1::RoomSettings { history_hidden_from_newcomers: true, ..Default::default() };
    let room_id = ann.room_like(&[], v1::CreateRoomRequest { settings: Some(settings), ..Default::default() }).await;
    let hidden = ann.calls.send(&room_id, "before bob").await.expect("sent").message.expect("an item").seq;
    let request = v1::InviteMembersRequest { room_id: room_id.clone(), user_ids: vec![bob.id.clone()] };
    ann.calls.rooms().invite_members(ann.calls.request(request)).await.expect("invited");
    let body = || Some(v1::MessageBody { text: "changed".to_owned(), ..Default::default() });
    let mut answers = Vec::new();
    for seq in [hidden, 1_000] {
        let room_id = || room_id.clone();
        let get = v1::GetMessageRequest { room_id: room_id(), seq };
        let edit = v1::EditMessageRequest { room_id: room_id(), seq, body: body(), ..Default::default() };
        let delete = v1::DeleteMessageRequest { room_id: room_id(), seq };
        let reply = v1::SendMessageRequest { reply_to_seq: seq, ..madang_tests::person::send(&room_id(), "reply") };
        let calls = [
            bob.wire.ask(&bob.caller, "/madang.v1.MessageService/GetMessage", &get).await,
            bob.wire.ask(&bob.caller, "/madang.v1.MessageService/EditMessage", &edit).await,
            bob.wire.ask(&bob.caller, "/madang.v1.MessageService/DeleteMessage", &delete).await,
            bob.wire.ask(&bob.caller, "/madang.v1.MessageService/SendMessage", &reply).await,
        ];
        let refusals = calls.each_ref().map(Answer::refusal);
        assert!(refusals.iter().all(|refusal| refusal.reason == ErrorReason::MessageNotFound), "{refusals:?}");
        assert!(refusals.iter().all(|refusal| refusal.metadata["seq"] == seq.to_string()), "{refusals:?}");
        answers.push(
            refusals.map(|refusal| format!("{:?}", madang_proto::Refusal { metadata: HashMap::default(), ..refusal })),
        );
    }
    assert_eq!(answers[0], answers[1]);
    world.end().await;
}
