//! Frames that no server would send: numbers that run backwards, overlap or overflow, fields that are missing, texts that
//! are no ids. They are taken in without a panic or an error, and nothing of them outlives the next epoch.

use madang_proto::v1::{
    Drained, FetchChange, Heartbeat, Member, MemberChange, Membership, Message, MessageBody, NoChange, PeopleChanged,
    Receipt, ReceiptBatch, Room, RoomCursor, RoomDelta, RoomEvent, RoomGone, RoomPresent, RoomRev, RoomSummary,
    ServerFrame, UserBehind, UserDelta, room_event::Change, room_summary::Verdict, server_frame::Frame,
};
use proptest::{option, prelude::*};

use super::{
    server::{ME, ROOM},
    story::World,
};
use crate::{
    engine::{frames, repair},
    sabotage::Guards,
};

fn number() -> BoxedStrategy<i64> {
    prop_oneof![6 => 0..6_i64, 1 => Just(-1), 1 => Just(i64::MAX), 1 => Just(i64::MIN), 1 => any::<i64>()].boxed()
}

fn id() -> BoxedStrategy<String> {
    prop_oneof![4 => Just(ROOM.to_owned()), 1 => Just(String::new()), 1 => "\\PC{0,8}"].boxed()
}

fn person() -> BoxedStrategy<String> {
    prop_oneof![2 => Just(ME.to_owned()), 1 => Just(String::new()), 1 => "\\PC{0,8}"].boxed()
}

fn message() -> BoxedStrategy<Message> {
    let numbers = (number(), number(), number(), option::of(number()));
    (id(), numbers, person(), person(), any::<bool>(), option::of("\\PC{0,300}"))
        .prop_map(|(room_id, (seq, rev, count, mark_generation), sender_id, mentioned, mentions_all, text)| Message {
            room_id,
            seq,
            rev,
            count,
            mark_generation,
            sender_id,
            mentioned_user_ids: vec![mentioned],
            mentions_all,
            body: text.map(|text| MessageBody { text, ..MessageBody::default() }),
            ..Message::default()
        })
        .boxed()
}

fn member() -> BoxedStrategy<Member> {
    (id(), person(), number(), number(), 0..7_i32)
        .prop_map(|(room_id, user_id, rev, history_from_seq, state)| Member {
            room_id,
            user_id,
            rev,
            history_from_seq,
            state,
            ..Member::default()
        })
        .boxed()
}

fn membership() -> BoxedStrategy<Membership> {
    let numbers = (number(), number(), number(), number());
    (option::of(member()), numbers, prop::collection::vec(number(), 0..4))
        .prop_map(|(member, (last_read_seq, read_count, read_generation, user_rev), unread_mention_seqs)| Membership {
            member,
            last_read_seq,
            read_count,
            read_generation,
            user_rev,
            unread_mention_seqs,
            ..Membership::default()
        })
        .boxed()
}

fn room() -> BoxedStrategy<Room> {
    (id(), number(), number(), number(), number(), any::<bool>(), 0..5_i32)
        .prop_map(|(id, rev, seq, count, first_count, large, state)| Room {
            id,
            rev,
            seq,
            count,
            first_count,
            large,
            state,
            ..Room::default()
        })
        .boxed()
}

fn summary() -> BoxedStrategy<RoomSummary> {
    let present = (option::of(room()), option::of(membership()), option::of(message()))
        .prop_map(|(room, membership, last_message)| Verdict::Present(RoomPresent { room, membership, last_message }));
    // An end is the one thing that a room never comes back from, also under another epoch of this test's one room.
    let gone = (number(), 1..3_i32).prop_map(|(membership_user_rev, reason)| {
        Verdict::Gone(RoomGone { membership_user_rev, reason, ..RoomGone::default() })
    });
    (id(), option::of(prop_oneof![present, gone]))
        .prop_map(|(room_id, verdict)| RoomSummary { room_id, verdict })
        .boxed()
}

fn cursor() -> BoxedStrategy<RoomCursor> {
    (id(), number(), number()).prop_map(|(room_id, rev, seq)| RoomCursor { room_id, rev, seq }).boxed()
}

fn delta() -> BoxedStrategy<RoomDelta> {
    let rows = (prop::collection::vec(message(), 0..4), prop::collection::vec(member(), 0..3));
    let cursors = (option::of(cursor()), option::of(cursor()), number());
    (option::of(summary()), cursors, any::<(bool, bool)>(), rows)
        .prop_map(|(summary, (from, to, snapshot_rev), (reset, last), (messages, members))| RoomDelta {
            summary,
            from,
            to,
            snapshot_rev,
            reset,
            last,
            messages,
            members,
            ..RoomDelta::default()
        })
        .boxed()
}

fn change() -> BoxedStrategy<Change> {
    let receipt = || {
        (person(), number(), number()).prop_map(|(user_id, last_read_seq, rev)| Receipt {
            user_id,
            last_read_seq,
            rev,
            ..Receipt::default()
        })
    };
    prop_oneof![
        4 => message().prop_map(Change::Message),
        2 => (option::of(member()), any::<i32>(), option::of(receipt())).prop_map(|(member, member_count, receipt)| {
            Change::Member(MemberChange { member, member_count, receipt })
        }),
        1 => room().prop_map(Change::Room),
        1 => prop::collection::vec(receipt(), 0..3).prop_map(|receipts| Change::Receipts(ReceiptBatch { receipts })),
        1 => Just(Change::None(NoChange::default())),
        1 => Just(Change::Fetch(FetchChange::default())),
    ]
    .boxed()
}

fn event() -> BoxedStrategy<RoomEvent> {
    (id(), number(), number(), person(), option::of(change()))
        .prop_map(|(room_id, prev_rev, rev, actor_id, change)| RoomEvent { room_id, prev_rev, rev, actor_id, change })
        .boxed()
}

fn user_delta() -> BoxedStrategy<UserDelta> {
    (number(), number(), any::<bool>(), prop::collection::vec(membership(), 0..3))
        .prop_map(|(from_user_rev, to_user_rev, last, memberships)| UserDelta {
            from_user_rev,
            to_user_rev,
            last,
            memberships,
        })
        .boxed()
}

fn frame() -> BoxedStrategy<ServerFrame> {
    let beat =
        (number(), number(), prop::collection::vec((id(), number()), 0..3)).prop_map(|(watermark, user_rev, rooms)| {
            let rooms = rooms.into_iter().map(|(room_id, rev)| RoomRev { room_id, rev }).collect();
            Frame::Heartbeat(Heartbeat { watermark, user_rev, rooms, ..Heartbeat::default() })
        });
    let frame = prop_oneof![
        4 => summary().prop_map(Frame::RoomSummary),
        4 => delta().prop_map(Frame::RoomDelta),
        8 => event().prop_map(Frame::RoomEvent),
        3 => user_delta().prop_map(Frame::UserDelta),
        1 => number().prop_map(|user_rev| Frame::UserBehind(UserBehind { user_rev })),
        1 => any::<bool>().prop_map(|all| Frame::PeopleChanged(PeopleChanged { all, ..PeopleChanged::default() })),
        1 => number().prop_map(|watermark| Frame::Drained(Drained { watermark })),
        1 => beat,
    ];
    option::weighted(0.98, frame).prop_map(|frame| ServerFrame { frame }).boxed()
}

/// What comes: by the stream, or as the answer to a question that was perhaps never asked.
#[derive(Debug, Clone)]
enum Garbage {
    Frames(Vec<ServerFrame>),
    Room(String, Box<RoomDelta>),
    User(UserDelta),
}

fn garbage() -> BoxedStrategy<Garbage> {
    prop_oneof![
        6 => prop::collection::vec(frame(), 1..6).prop_map(Garbage::Frames),
        2 => (id(), delta()).prop_map(|(room_id, delta)| Garbage::Room(room_id, Box::new(delta))),
        1 => user_delta().prop_map(Garbage::User),
    ]
    .boxed()
}

async fn take(world: &mut World, garbage: Garbage) {
    match garbage {
        Garbage::Frames(frames) => world.write(move |w, view| frames::apply(w, view, frames)).await,
        Garbage::Room(room_id, delta) => {
            world.write(move |w, view| repair::room_answered(w, view, &room_id, *delta)).await;
        }
        Garbage::User(delta) => world.write(move |w, view| repair::user_answered(w, view, delta)).await,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_frame_breaks_the_store_and_none_outlives_its_epoch(garbage in prop::collection::vec(garbage(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let mut world = World::new(Guards::default()).await;
            world.epoch("broken").await;
            for one in garbage {
                take(&mut world, one).await;
                world.room().await;
            }
            world.epoch("whole").await;
            world.is_equal().await
        })?;
    }
}
