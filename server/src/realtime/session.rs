//! One stream as the hub sees it.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::{
    error::Refusal,
    ids::{DeviceId, RoomId, SessionId, UserId},
    limits::ConnectionAge,
    realtime::{
        ClosingReason, Focus, Frame, Happened, Membership, PersonEvent, Record, Report,
        focus::Known,
        queue::{Next, Queue},
        token::TokenEnd,
        wire,
    },
    sabotage::Guards,
};

/// Who opened a stream, and how long its token lasts.
#[derive(Debug, Clone)]
pub struct Opener {
    /// The person.
    pub user_id: UserId,
    /// The installation.
    pub device_id: DeviceId,
    /// Session at the issuer.
    pub sid: String,
    /// When the token was issued.
    pub issued_at: DateTime<Utc>,
    /// When the token ends.
    pub expires_at: DateTime<Utc>,
    /// The age of the connection that it lives on.
    pub connection: ConnectionAge,
}

/// One stream.
pub struct Session {
    id: SessionId,
    opener: Opener,
    guards: Guards,
    record: Arc<Record>,
    state: Mutex<State>,
    born: Instant,
    /// Milliseconds since birth at which the peer was last heard.
    heard_ms: AtomicU64,
    /// The same for [`Session::takes`].
    taken_ms: AtomicU64,
    /// The same for the last heartbeat.
    beat_ms: AtomicU64,
    token: TokenEnd,
    /// Number of the person's changes that this stream was told.
    user_rev: AtomicI64,
    /// The first read has said how far it reaches.
    is_read: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue,
    focus: Focus,
    closing: Option<(ClosingReason, Bytes)>,
    ended: bool,
    /// The initial read is over; until then only news leave.
    live: bool,
    /// Something was taken to be read and has not been told yet.
    reading: bool,
    /// Span of the person's events that came before the first read had said how far it reaches.
    early: Option<(i64, i64)>,
    /// The reader that has found nothing, to be woken by whoever changes this.
    waiting: Option<Waker>,
}

impl State {
    /// Whoever changes it wakes the reader after this.
    fn wait(&mut self, cx: &Context<'_>) -> Poll<Step> {
        self.waiting = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// What a reader does next.
#[derive(Debug)]
pub enum Step {
    /// Send this.
    Send(Bytes),
    /// An event of the person, with the room it lets in.
    Person(Bytes, Option<Box<Membership>>),
    /// Read this first.
    Read(crate::realtime::Work),
    /// Send this; it is the last.
    Close(Bytes),
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Session {
    /// A stream that has just been opened.
    pub fn new(id: SessionId, opener: Opener, guards: Guards, record: Arc<Record>) -> Self {
        Self {
            id,
            token: TokenEnd::new(opener.issued_at, opener.expires_at),
            opener,
            guards,
            record,
            state: Mutex::default(),
            born: Instant::now(),
            heard_ms: AtomicU64::new(0),
            taken_ms: AtomicU64::new(0),
            beat_ms: AtomicU64::new(0),
            user_rev: AtomicI64::new(0),
            is_read: AtomicBool::new(false),
        }
    }

    /// The same with a queue of so many frames, which a test can fill.
    #[cfg(feature = "sabotage")]
    #[must_use]
    pub fn with_queue(self, most_frames: usize) -> Self {
        self.state().queue = Queue::bounded(most_frames);
        self
    }

    /// Its name.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Whose it is.
    pub fn user_id(&self) -> UserId {
        self.opener.user_id
    }

    /// Who opened it.
    pub fn opener(&self) -> &Opener {
        &self.opener
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        if state.ended {
            return;
        }
        change(&mut state);
        Self::wake(state);
    }

    /// A reader that is awake, or runs already, looks again by itself before it waits.
    fn wake(mut state: MutexGuard<'_, State>) {
        let waiting = state.waiting.take();
        drop(state);
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// Offers a durable frame.
    pub fn offer(&self, frame: Frame) {
        self.offer_all([frame]);
    }

    /// Offers durable frames, and wakes the reader once.
    pub fn offer_all(&self, frames: impl IntoIterator<Item = Frame>) {
        let mut soiled = Vec::new();
        self.change(|state| {
            if state.live || self.guards.buffer() {
                for frame in frames {
                    soiled.append(&mut state.queue.offer(frame, self.guards));
                }
            }
        });
        for room_id in soiled {
            self.note(Happened::Overflowed(room_id));
        }
    }

    /// Writes down what happens to it.
    pub fn note(&self, happened: Happened) {
        self.record.note(Some(self.id), self.opener.user_id, self.opener.device_id, happened);
    }

    /// Offers news without a number.
    pub fn offer_ephemeral(&self, frame: Bytes) {
        self.change(|state| state.queue.offer_ephemeral(frame));
    }

    /// The room must be read before anything more of it is told.
    pub fn soil_room(&self, room_id: RoomId) {
        self.dirty(room_id, |queue| queue.soil_room(room_id));
    }

    /// Another stay in the room has begun: nothing of the one before may leave, and the room is read.
    pub fn reread_room(&self, room_id: RoomId) {
        self.dirty(room_id, |queue| queue.reread_room(room_id));
    }

    fn dirty(&self, room_id: RoomId, soil: impl FnOnce(&mut Queue) -> bool) {
        let mut new = false;
        self.change(|state| new = soil(&mut state.queue));
        if new {
            self.note(Happened::Dirtied(room_id));
        }
    }

    /// The reader must ask for what belongs to the person.
    pub fn soil_person(&self) {
        self.change(|state| state.queue.soil_person());
    }

    /// Any profile may have changed.
    pub fn soil_profiles(&self) {
        self.change(|state| state.queue.soil_profiles());
    }

    /// The room is gone for the person: nothing that waits of it may leave.
    pub fn forget_room(&self, room_id: RoomId) {
        self.change(|state| state.queue.forget_room(room_id));
    }

    /// The first read is over; Drained follows what it and the queue hold.
    pub fn go_live(&self, watermark: i64) {
        self.change(|state| {
            state.live = true;
            state.queue.cover(watermark, self.guards);
        });
        self.note(Happened::Live);
    }

    /// Whether the first read is over.
    pub fn is_live(&self) -> bool {
        self.state().live
    }

    /// Tells that the server lives. `covered` is a watermark before which everything has been offered or is dirty: it goes
    /// with the heartbeat when nothing waits, else behind what waits.
    pub fn beat(&self, now: DateTime<Utc>, rooms: Vec<(RoomId, i64)>, covered: i64) {
        self.change(|state| {
            let clean = state.live && !state.reading && state.queue.is_empty();
            if state.live && !clean && covered > 0 {
                state.queue.cover(covered, self.guards);
            }
            let frame = wire::heartbeat(now, self.user_rev(), rooms, if clean { covered } else { 0 });
            state.queue.offer_ephemeral(frame);
        });
    }

    /// The person's state was read up to a number, and told.
    pub fn reached(&self, user_rev: i64) {
        self.user_rev.fetch_max(user_rev, Ordering::Relaxed);
        self.is_read.store(true, Ordering::Relaxed);
        if let Some((from, to)) = self.state().early.take()
            && from <= self.user_rev()
        {
            self.user_rev.fetch_max(to, Ordering::Relaxed);
        }
    }

    /// Offers an event of the person. One that does not join what this stream was told hides others, made on another node,
    /// with rooms that must be listened to: then the person's state is read instead.
    pub fn offer_person(&self, event: &PersonEvent) {
        let frame = Frame::Person(event.frame.clone(), event.membership.map(Box::new));
        let (from, to) = (event.prev_user_rev, event.user_rev);
        let told = self.user_rev();
        if told == 0 {
            self.change(|state| {
                let joins = state.early.is_none_or(|(_, end)| from <= end);
                if joins {
                    state.early = Some((state.early.map_or(from, |(start, _)| start), to));
                } else {
                    state.queue.soil_person();
                }
            });
            self.offer(frame);
        } else if from <= told || !self.guards.index_repair() {
            self.user_rev.fetch_max(to, Ordering::Relaxed);
            self.offer(frame);
        } else {
            self.soil_person();
        }
    }

    /// See [`Session::reached`].
    pub fn user_rev(&self) -> i64 {
        self.user_rev.load(Ordering::Relaxed)
    }

    /// Whether the person's number is one that this stream should have been told of. While its first read is on its way that
    /// is not known: it is looked at again.
    pub fn is_behind(&self, user_rev: i64) -> bool {
        self.is_read.load(Ordering::Relaxed) && self.user_rev() < user_rev
    }

    /// Offers news without a number that may end the wait for a token.
    pub fn tell_token_end(&self, grace: Duration) {
        let frame = wire::token_expiring(self.token.at(), grace);
        self.offer_ephemeral(frame);
    }

    /// Ends the stream with a reason; the first one counts.
    pub fn close(&self, reason: ClosingReason, retry_after: Duration) {
        self.close_with(reason, || wire::closing(reason, retry_after));
    }

    /// The same, with the refusal behind it.
    pub fn close_refused(&self, reason: ClosingReason, refusal: Option<&Refusal>) {
        self.close_with(reason, || wire::closing_refused(reason, refusal));
    }

    fn close_with(&self, reason: ClosingReason, last: impl FnOnce() -> Bytes) {
        let mut first = false;
        self.change(|state| {
            state.closing.get_or_insert_with(|| {
                first = true;
                (reason, last())
            });
        });
        if first {
            self.note(Happened::Closing(reason));
        }
    }

    /// Nothing more is kept for it.
    pub fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.queue = Queue::default();
        Self::wake(state);
    }

    /// Whether nothing waits for it.
    pub fn is_idle(&self) -> bool {
        let state = self.state();
        state.live && !state.reading && state.queue.is_empty()
    }

    /// Whether it is over.
    pub fn is_ended(&self) -> bool {
        self.state().ended
    }

    /// What to do next; waits until there is something.
    pub fn poll_step(&self, cx: &Context<'_>) -> Poll<Step> {
        let mut state = self.state();
        state.reading = false;
        if let Some((_, closing)) = &state.closing {
            return Poll::Ready(Step::Close(closing.clone()));
        }
        if state.ended {
            return Poll::Ready(Step::Close(wire::closing(ClosingReason::SlowConsumer, Duration::ZERO)));
        }
        match state.queue.take() {
            Next::Frame(Frame::Person(bytes, membership)) => Poll::Ready(Step::Person(bytes, membership)),
            Next::Frame(frame) => Poll::Ready(Step::Send(frame.encoded())),
            Next::Ephemeral(bytes) => Poll::Ready(Step::Send(bytes)),
            Next::Work(work) => {
                state.reading = true;
                Poll::Ready(Step::Read(work))
            }
            Next::Empty => state.wait(cx),
        }
    }

    /// The reader takes what it is given, or has found nothing to take. Noted once a write, not for each frame.
    pub fn takes(&self) {
        Self::touch(&self.taken_ms, self.born);
    }

    /// News and the end of the stream, which do not wait for a read that is under way.
    pub fn poll_beside(&self, cx: &Context<'_>) -> Poll<Step> {
        let mut state = self.state();
        if let Some((_, closing)) = &state.closing {
            return Poll::Ready(Step::Close(closing.clone()));
        }
        match state.queue.take_ephemeral() {
            Some(bytes) => Poll::Ready(Step::Send(bytes)),
            None => state.wait(cx),
        }
    }

    fn touch(mark: &AtomicU64, born: Instant) {
        mark.store(u64::try_from(born.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn since(&self, mark: &AtomicU64) -> Duration {
        self.born.elapsed().saturating_sub(Duration::from_millis(mark.load(Ordering::Relaxed)))
    }

    /// The peer spoke.
    pub fn heard(&self) {
        Self::touch(&self.heard_ms, self.born);
    }

    /// How long ago it was opened.
    pub fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// How long the peer has been silent.
    pub fn silent_for(&self) -> Duration {
        self.since(&self.heard_ms)
    }

    /// How long the reader has taken nothing although something waits.
    pub fn stuck_for(&self) -> Duration {
        if self.state().queue.is_empty() { Duration::ZERO } else { self.since(&self.taken_ms) }
    }

    /// How it stands, seen from a room if one is asked about.
    pub fn report(&self, room_id: Option<RoomId>) -> Report {
        let (silent_for, stuck_for, now) = (self.silent_for(), self.stuck_for(), self.record.now());
        let state = self.state();
        let dirty = state.queue.dirty_rooms();
        Report {
            opened_at: now - self.age(),
            live: state.live,
            closing: state.closing.as_ref().map(|(reason, _)| *reason),
            user_rev: self.user_rev(),
            waiting: state.queue.waiting(),
            dirty_rooms: dirty.len(),
            room_dirty: room_id.is_some_and(|room_id| dirty.contains(&room_id)),
            focused: room_id.is_some_and(|room_id| state.focus.rooms.contains(&room_id)),
            silent_for,
            stuck_for,
        }
    }

    /// Whether a heartbeat is due; if so the next one counts from now.
    pub fn beat_due(&self, every: Duration) -> bool {
        let due = self.since(&self.beat_ms) >= every;
        if due {
            Self::touch(&self.beat_ms, self.born);
        }
        due
    }

    /// Says what is on the screen.
    pub fn set_focus(&self, focus: Focus) {
        self.state().focus.replace(focus);
    }

    /// Looks at what is on the screen. The look must take no lock: this one is the last in order.
    pub fn focus<T>(&self, look: impl FnOnce(&Focus) -> T) -> T {
        look(&self.state().focus)
    }

    /// Tells what is known now of what is on the screen, where it is not what was told. `false`: not all of it had room.
    pub fn tell(&self, known: &Known) -> bool {
        let mut state = self.state();
        let free = state.queue.free_ephemeral();
        let (news, all) = state.focus.news(known, free);
        if news.is_empty() || state.ended {
            return all;
        }
        for frame in news {
            state.queue.offer_ephemeral(frame);
        }
        Self::wake(state);
        all
    }

    /// How long its token lasts.
    pub fn token(&self) -> &TokenEnd {
        &self.token
    }
}
