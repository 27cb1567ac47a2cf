//! What is heard while a question is on its way: it is asked for when the answer has come, and what the store says does not
//! hide from the next process what only this one knew.

use madang_proto::v1::{
    ChangedProfile, Drained, ErrorReason, Heartbeat, Member, MemberState, Membership, Message, PeopleChanged, Room,
    RoomCursor, RoomDelta, RoomEvent, RoomPresent, RoomSummary, ServerFrame, User, UserBehind, UserDelta,
    room_event::Change, room_summary::Verdict, server_frame::Frame,
};

use super::{
    server::{ME, ROOM},
    story::store,
};
use crate::{
    engine::{
        frames::{self, Outcome, View},
        repair::{self, Ask},
        welcome,
    },
    sabotage::Guards,
    store::{Durability, Store, Write, meta, people},
};

/// The room is on the screen.
fn view() -> View {
    View { live: true, focus: [ROOM.to_owned()].into() }
}

async fn take(store: &Store, frames: Vec<Frame>) -> Outcome {
    take_in(store, View { live: true, ..View::default() }, frames).await
}

async fn take_in(store: &Store, view: View, frames: Vec<Frame>) -> Outcome {
    let frames = frames.into_iter().map(|frame| ServerFrame { frame: Some(frame) }).collect();
    store.write(Durability::Frames, move |w| frames::apply(w, &view, frames)).await.unwrap()
}

/// What the next process would say that it knows.
async fn watermark(store: &Store) -> i64 {
    store.read(|r| meta::number(r.conn, meta::WATERMARK)).await.unwrap()
}

/// The room at a revision, in which the person is.
fn summary(rev: i64) -> RoomSummary {
    let mut member = Member { room_id: ROOM.into(), user_id: ME.into(), rev: 1, ..Member::default() };
    member.set_state(MemberState::Joined);
    let present = RoomPresent {
        room: Some(Room { id: ROOM.into(), rev, seq: rev, ..Room::default() }),
        membership: Some(Membership { member: Some(member), user_rev: 1, ..Membership::default() }),
        last_message: None,
    };
    RoomSummary { room_id: ROOM.into(), verdict: Some(Verdict::Present(present)) }
}

fn event(rev: i64) -> Frame {
    let message = Message { room_id: ROOM.into(), seq: rev, rev, count: rev, ..Message::default() };
    let change = Some(Change::Message(message));
    Frame::RoomEvent(RoomEvent { room_id: ROOM.into(), prev_rev: rev - 1, rev, actor_id: "bob".into(), change })
}

fn delta(from: i64, to: i64) -> RoomDelta {
    let cursor = |rev| Some(RoomCursor { room_id: ROOM.into(), rev, seq: rev });
    let (from, summary) = (cursor(from), Some(summary(to)));
    RoomDelta { summary, from, snapshot_rev: to, to: cursor(to), last: true, ..RoomDelta::default() }
}

async fn answered(store: &Store, view: View, delta: RoomDelta) -> Outcome {
    store.write(Durability::Frames, move |w| repair::room_answered(w, &view, ROOM, delta)).await.unwrap()
}

fn beat(watermark: i64) -> Frame {
    Frame::Heartbeat(Heartbeat { watermark, ..Heartbeat::default() })
}

#[tokio::test]
async fn a_watermark_is_not_kept_over_what_waits_for_an_answer() {
    let store = store(Guards::default()).await;
    take(&store, vec![Frame::RoomSummary(summary(1)), Frame::Drained(Drained { watermark: 10 })]).await;
    assert_eq!(watermark(&store).await, 10);

    // Revision 2 is missing, and 4 waits with it.
    let asked = take(&store, vec![event(3), event(4), beat(20)]).await.asks.len();
    assert_eq!((asked, watermark(&store).await), (1, 10));

    answered(&store, View::default(), delta(0, 4)).await;
    assert_eq!(watermark(&store).await, 20);
}

#[tokio::test]
async fn what_a_stream_told_and_was_not_held_is_told_by_the_next() {
    let store = store(Guards::default()).await;
    take(&store, vec![Frame::RoomSummary(summary(1)), Frame::Drained(Drained { watermark: 10 })]).await;
    take(&store, vec![event(3), beat(20)]).await;
    let hello = store.write(Durability::Frames, |w| welcome::begin(w, &[], 0)).await.unwrap();
    assert_eq!(hello.watermark, 10);
    take(&store, vec![Frame::RoomSummary(summary(3)), Frame::Drained(Drained { watermark: 20 })]).await;
    assert_eq!(watermark(&store).await, 20);
}

fn user(id: &str, profile_rev: i64) -> User {
    User { id: id.into(), profile_rev, ..User::default() }
}

/// What the server answers to a question for profiles that was asked at a moment.
async fn users_answered(store: &Store, users: Vec<User>, asked_at: i64) -> Vec<String> {
    let take = move |w: &mut Write<'_>| people::take(w, &users, asked_at);
    store.write(Durability::Frames, take).await.unwrap().into_iter().collect()
}

async fn people_changed(store: &Store, profiles: &[(&str, i64)], all: bool) -> Vec<String> {
    let profile = |(id, profile_rev): &(&str, i64)| ChangedProfile { user_id: (*id).into(), profile_rev: *profile_rev };
    let profiles = profiles.iter().map(profile).collect();
    take(store, vec![Frame::PeopleChanged(PeopleChanged { profiles, all })]).await.people.into_iter().collect()
}

/// Whose profiles the next process would ask for.
async fn people_wanted(store: &Store) -> Vec<String> {
    take(store, vec![Frame::Drained(Drained { watermark: 20 })]).await.people.into_iter().collect()
}

#[tokio::test]
async fn a_profile_that_has_changed_is_wanted_by_the_next_process_too() {
    let store = store(Guards::default()).await;
    users_answered(&store, vec![user("ann", 3), user("bob", 3)], 0).await;
    assert_eq!(people_changed(&store, &[("ann", 4), ("bob", 3), ("nobody", 9)], false).await, ["ann"]);
    assert_eq!(people_wanted(&store).await, ["ann"]);
    assert!(users_answered(&store, vec![user("ann", 4)], 0).await.is_empty());
    assert!(people_wanted(&store).await.is_empty());

    assert_eq!(people_changed(&store, &[], true).await, ["ann", "bob"]);
    assert_eq!(people_wanted(&store).await, ["ann", "bob"]);
}

#[tokio::test]
async fn an_older_answer_is_not_taken_for_a_profile_that_has_changed_since() {
    let store = store(Guards::default()).await;
    users_answered(&store, vec![user("ann", 3)], 0).await;
    people_changed(&store, &[("ann", 4), ("new", 2)], false).await;
    // What was read before the change: nothing of it is shown, and it is wanted still.
    assert_eq!(users_answered(&store, vec![user("ann", 3), user("new", 1)], 0).await, ["ann", "new"]);
    assert!(store.read(|r| people::find(r.conn, "new")).await.unwrap().is_none());
    assert!(users_answered(&store, vec![user("ann", 4), user("new", 2)], 0).await.is_empty());

    // Anybody's may have changed: also of those whose answer is on its way.
    people_changed(&store, &[], true).await;
    assert_eq!(users_answered(&store, vec![user("ann", 4), user("late", 7)], 0).await, ["ann", "late"]);
    assert_eq!(people_wanted(&store).await, ["ann", "late", "new"]);
    assert!(users_answered(&store, vec![user("ann", 4), user("late", 8), user("new", 2)], 1).await.is_empty());
    assert!(people_wanted(&store).await.is_empty());
}

#[tokio::test]
async fn profiles_of_a_history_that_is_gone_are_fetched_anew() {
    let store = store(Guards::default()).await;
    let begins = async |epoch: &'static str| {
        store.write(Durability::Frames, move |w| welcome::take(w, ME, epoch)).await.unwrap();
    };
    begins("first").await;
    users_answered(&store, vec![user("ann", 9)], 0).await;
    begins("restored").await;
    assert_eq!(users_answered(&store, vec![user("ann", 9)], 0).await, ["ann"]);
    assert_eq!(people_wanted(&store).await, ["ann"]);
    assert!(users_answered(&store, vec![user("ann", 8)], 1).await.is_empty());
    let held = store.read(|r| people::find(r.conn, "ann")).await.unwrap().unwrap();
    assert_eq!(held.profile_rev, 8);
}

#[tokio::test]
async fn a_watermark_is_not_kept_over_a_question_that_is_refused_because_the_session_has_ended() {
    for (reason, kept) in [(ErrorReason::SessionRevoked, 10), (ErrorReason::RoomNotFound, 20)] {
        let store = store(Guards::default()).await;
        take(&store, vec![Frame::RoomSummary(summary(1)), Frame::Drained(Drained { watermark: 10 })]).await;
        // Revision 2 is missing.
        assert_eq!(take(&store, vec![event(3), beat(20)]).await.asks.len(), 1);
        let refused = move |w: &mut Write<'_>| repair::room_refused(w, &View::default(), ROOM, Some(reason));
        store.write(Durability::Frames, refused).await.unwrap();
        assert_eq!(watermark(&store).await, kept, "{reason:?}");
        // The next stream tells it again.
        store.write(Durability::Frames, |w| welcome::begin(w, &[], 10)).await.unwrap();
        take(&store, vec![Frame::RoomSummary(summary(3)), Frame::Drained(Drained { watermark: 30 })]).await;
        assert_eq!(watermark(&store).await, 30);
    }
}

#[tokio::test]
async fn a_room_that_was_heard_of_meanwhile_is_asked_for_again() {
    let store = store(Guards::default()).await;
    take_in(&store, view(), vec![Frame::RoomSummary(summary(1))]).await;
    answered(&store, view(), delta(0, 1)).await;
    assert_eq!(take_in(&store, view(), vec![Frame::RoomSummary(summary(2))]).await.asks.len(), 1);

    // One's own send brings what was asked for, and somebody else is heard of; the answer knows nothing of that.
    let Frame::RoomEvent(sent) = event(2) else { unreachable!("it is one") };
    let sent = move |w: &mut Write<'_>| {
        let mut out = Outcome::default();
        frames::answer(w, &view(), sent, &mut out).map(|()| out)
    };
    store.write(Durability::Frames, sent).await.unwrap();
    assert!(take_in(&store, view(), vec![Frame::RoomSummary(summary(3))]).await.asks.is_empty());
    assert_eq!(answered(&store, view(), delta(1, 2)).await.asks.len(), 1);
    // Nothing was heard since: whatever is missing then, it is not asked for for ever.
    assert!(answered(&store, view(), delta(1, 2)).await.asks.is_empty());
}

#[tokio::test]
async fn a_number_of_ones_own_that_was_heard_of_meanwhile_is_asked_for_again() {
    let store = store(Guards::default()).await;
    let behind = |user_rev| vec![Frame::UserBehind(UserBehind { user_rev })];
    let answer = async |from_user_rev, to_user_rev| {
        let delta = UserDelta { from_user_rev, to_user_rev, last: true, ..UserDelta::default() };
        let answered = move |w: &mut Write<'_>| repair::user_answered(w, &view(), delta);
        store.write(Durability::Frames, answered).await.unwrap().asks
    };
    assert_eq!(take(&store, behind(1)).await.asks, [Ask::User(0)]);
    // A mark of one's own brings what was asked for.
    store.write(Durability::Frames, |w| meta::set(&w.tx, meta::USER_REV, 1)).await.unwrap();
    assert!(take(&store, behind(2)).await.asks.is_empty());
    assert_eq!(answer(0, 1).await, [Ask::User(1)]);
    // Nothing was heard since: whatever is missing then, it is not asked for for ever.
    assert!(answer(1, 1).await.is_empty());
}
