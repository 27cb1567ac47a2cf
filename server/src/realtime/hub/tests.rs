//! Moments between two steps of the hub, made to happen by a reader that is as quick as can be.

use std::task::{Context, Poll, Wake, Waker};

use chrono::DateTime;
use uuid::Uuid;

use super::*;
use crate::{
    clock::ShiftedClock,
    ids::DeviceId,
    limits::ConnectionAge,
    realtime::{
        Work,
        session::{Opener, Step},
    },
};

fn hub() -> Arc<Hub> {
    Arc::new(Hub::new(10, Record::new(Arc::new(ShiftedClock::default())), Guards::default()))
}

fn session(hub: &Hub, n: u128) -> Arc<Session> {
    let opener = Opener {
        user_id: UserId(Uuid::from_u128(n)),
        device_id: DeviceId(Uuid::from_u128(n)),
        sid: String::new(),
        issued_at: DateTime::default(),
        expires_at: DateTime::default(),
        connection: ConnectionAge::default(),
    };
    let session =
        Arc::new(Session::new(SessionId(Uuid::from_u128(n)), opener, Guards::default(), Arc::clone(hub.record())));
    hub.open(&session);
    session
}

fn room_id() -> RoomId {
    RoomId(Uuid::from_u128(9))
}

/// A stay in the room, read when the room was at a revision.
fn stay(room_rev: i64) -> Membership {
    Membership { room_id: room_id(), joined: true, rev: 1, history_from_seq: 1, room_rev, room_seq: 1 }
}

fn change(rev: i64) -> Changes {
    change_that(rev, None)
}

fn change_that(rev: i64, removes: Option<UserId>) -> Changes {
    let (frame, span) = (Bytes::from_static(b"event"), Bytes::from_static(b"span"));
    let event = RoomEvent { room_id: room_id(), prev_rev: rev - 1, rev, item_seq: None, removes, frame, span };
    Changes { rooms: vec![event], ..Changes::default() }
}

/// Whether the next thing that a session does is to read the room.
fn reads(session: &Session) -> bool {
    let step = session.poll_step(&Context::from_waker(Waker::noop()));
    matches!(step, Poll::Ready(Step::Read(Work::Rooms(rooms))) if rooms == [room_id()])
}

/// Reads as soon as it is woken; right after that the room changes.
struct Quick {
    hub: Arc<Hub>,
    session: Arc<Session>,
}

impl Wake for Quick {
    fn wake(self: Arc<Self>) {
        assert!(reads(&self.session));
        self.hub.publish(change(5));
    }
}

#[test]
fn what_changes_between_a_readers_read_and_its_listening_is_read_again() {
    let hub = hub();
    let (other, late) = (session(&hub, 1), session(&hub, 2));
    hub.listen(&other, &stay(4));
    let quick = Arc::new(Quick { hub: Arc::clone(&hub), session: Arc::clone(&late) });
    assert!(late.poll_step(&Context::from_waker(&Waker::from(quick))).is_pending());
    hub.listen_later(&late, &stay(4));
    assert_eq!(hub.tail(room_id()), Some(5), "the others were told");
    assert!(reads(&late), "and the late one is told too");
}

#[test]
fn a_removal_that_was_told_before_its_person_listens_is_found_by_reading() {
    let hub = hub();
    let (ann, bob) = (session(&hub, 1), session(&hub, 2));
    hub.listen(&ann, &stay(3));
    let read_before = stay(3);
    hub.publish(change_that(4, Some(bob.user_id())));
    hub.listen(&bob, &read_before);
    bob.go_live(7);
    hub.publish(change(5));
    assert!(reads(&bob));
    hub.leave(&bob, room_id(), 4);
    hub.publish(change(6));
    let step = || bob.poll_step(&Context::from_waker(Waker::noop()));
    assert!(matches!(step(), Poll::Ready(Step::Send(frame)) if frame == crate::realtime::wire::drained(7)));
    assert!(step().is_pending());
}

#[test]
fn what_waits_of_an_earlier_stay_does_not_leave_when_a_later_one_begins() {
    let hub = hub();
    let late = session(&hub, 2);
    hub.listen(&late, &stay(3));
    late.go_live(7);
    hub.publish(change(4));
    // Their removal was never heard of here; what came after it waits for them.
    let again = Membership { rev: 6, history_from_seq: 5, room_rev: 7, ..stay(7) };
    hub.listen_later(&late, &again);
    assert!(reads(&late), "the room is read first");
    let step = || late.poll_step(&Context::from_waker(Waker::noop()));
    assert!(matches!(step(), Poll::Ready(Step::Send(frame)) if frame == crate::realtime::wire::drained(7)));
    assert!(step().is_pending(), "and nothing else is told");
}

#[test]
fn what_comes_late_of_the_time_between_two_stays_is_not_told_to_who_has_come_back() {
    let hub = hub();
    let (other, late) = (session(&hub, 1), session(&hub, 2));
    hub.listen(&other, &stay(3));
    hub.listen(&late, &stay(3));
    late.go_live(7);
    hub.publish(change_that(4, Some(late.user_id())));
    let step = || late.poll_step(&Context::from_waker(Waker::noop()));
    assert!(matches!(step(), Poll::Ready(Step::Send(_))), "the removal is the last that is told");
    // They are back before the others' changes meanwhile were heard of here, and have read the room.
    hub.listen_later(&late, &Membership { rev: 7, room_rev: 7, ..stay(7) });
    assert!(reads(&late));
    assert!(matches!(step(), Poll::Ready(Step::Send(frame)) if frame == crate::realtime::wire::drained(7)));
    (5..=7).for_each(|rev| hub.publish(change(rev)));
    assert!(step().is_pending());
    assert_eq!(hub.tail(room_id()), Some(7), "the others were told");
    hub.publish(change(8));
    assert!(matches!(step(), Poll::Ready(Step::Send(frame)) if frame == "event"));
}

/// Several revisions of the room, committed together.
fn changes(events: impl IntoIterator<Item = (i64, Option<UserId>)>) -> Changes {
    let rooms = events.into_iter().flat_map(|(rev, removes)| change_that(rev, removes).rooms);
    Changes { rooms: rooms.collect(), ..Changes::default() }
}

/// How many frames wait for a session; it takes them.
fn told(session: &Session) -> usize {
    let step = || session.poll_step(&Context::from_waker(Waker::noop()));
    std::iter::from_fn(|| matches!(step(), Poll::Ready(Step::Send(_))).then_some(())).count()
}

/// Counts how often a reader is woken.
#[derive(Default)]
struct Bell(AtomicI64);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn what_was_committed_together_wakes_a_reader_once() {
    let (hub, bell) = (hub(), Arc::new(Bell::default()));
    let session = session(&hub, 1);
    hub.listen(&session, &stay(1));
    assert!(session.poll_step(&Context::from_waker(&Waker::from(Arc::clone(&bell)))).is_pending());
    hub.publish(changes((2..=9).map(|rev| (rev, None))));
    assert_eq!((bell.0.load(Ordering::Relaxed), told(&session)), (1, 8));
}

#[test]
fn who_is_removed_hears_nothing_that_was_committed_together_with_it_and_after_it() {
    let hub = hub();
    let (ann, bob) = (session(&hub, 1), session(&hub, 2));
    hub.listen(&ann, &stay(1));
    hub.listen(&bob, &stay(1));
    hub.publish(changes([(2, None), (3, Some(bob.user_id())), (4, None)]));
    assert_eq!((told(&ann), told(&bob)), (3, 2));
    assert!(!hub.is_listening(bob.id(), room_id()));
}

#[tokio::test]
async fn what_was_committed_together_waits_for_what_is_missing_before_it() {
    let hub = hub();
    let session = session(&hub, 1);
    hub.listen(&session, &stay(1));
    hub.publish(changes([(3, None), (4, None), (6, None)]));
    assert_eq!(told(&session), 0);
    hub.publish(changes([(2, None), (5, None)]));
    assert_eq!((told(&session), hub.tail(room_id())), (5, Some(6)));
}

/// Readers of the room in which allocations are counted.
const READERS: u64 = 1_000;

#[test]
fn what_is_told_to_a_thousand_readers_allocates_nothing_for_each() {
    let hub = hub();
    let sessions: Vec<_> = (1..=u128::from(READERS)).map(|n| session(&hub, n)).collect();
    for session in &sessions {
        hub.listen(session, &stay(1));
    }
    let told = |rev| {
        hub.publish(change(rev));
        for session in &sessions {
            let step = session.poll_step(&Context::from_waker(Waker::noop()));
            assert!(matches!(step, Poll::Ready(Step::Send(_))));
        }
    };
    told(2);
    let counted = allocation_counter::measure(|| told(3));
    assert!(counted.count_total < READERS / 10, "{counted:?} for {READERS} readers");
}
