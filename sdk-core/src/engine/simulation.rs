//! The engine without its tasks: the functions that they call, on one thread, over a store in memory, for a scheduler that
//! decides what happens when. Nothing is decided here; what the tasks do between the functions is the scheduler's.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use madang_proto::v1::{
    ErrorReason, Hello, ListMessagesResponse, Membership, Message, MessageBody, RoomCursor, RoomDelta, RoomEvent,
    RoomSummary, SendMessageRequest, SendMessageResponse, ServerFrame, UserDelta, Welcome,
};

use super::{
    changes::{self, Fate},
    frames::{self, Outcome, View},
    marks as marking, outbox as sending, repair, session, welcome,
};
use crate::{
    commands,
    config::Backoff,
    sabotage::{Guard, Guards},
    store::{self, Db, StoreSnapshot, Write, marks, meta, outbox, rooms},
};

/// Entries that leave at once; the engine's bound is the same for all rooms.
const ENTRIES: usize = 8;

/// A question to the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// `SyncRoom` from this cursor.
    Room(RoomCursor),
    /// `SyncUser` from this number.
    User(i64),
}

/// What follows from what was taken in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// Questions to the server.
    pub asks: Vec<Ask>,
    /// All verdicts of the stream are in.
    pub drained: bool,
}

impl From<Outcome> for Told {
    fn from(outcome: Outcome) -> Self {
        let asks = outcome.asks.into_iter().map(|ask| match ask {
            repair::Ask::Room(cursor) => Ask::Room(cursor),
            repair::Ask::User(user_rev) => Ask::User(user_rev),
        });
        Self { asks: asks.collect(), drained: outcome.drained }
    }
}

/// A message that leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaving {
    /// What it says.
    pub request: SendMessageRequest,
    entry: outbox::Entry,
}

impl Leaving {
    /// Its entry in the outbox.
    pub fn id(&self) -> i64 {
        self.entry.id
    }
}

/// A mark that leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeavingMark(marks::Pending);

impl LeavingMark {
    /// The room.
    pub fn room_id(&self) -> &str {
        &self.0.room_id
    }

    /// The item named.
    pub fn seq(&self) -> i64 {
        self.0.at_seq
    }

    /// The generation under which the person acted.
    pub fn generation(&self) -> i64 {
        self.0.base_generation
    }

    /// "Mark as unread" rather than read.
    pub fn is_unread(&self) -> bool {
        self.0.unread
    }
}

/// An entry that the server acknowledged under another epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Doubtful(outbox::Entry);

impl Doubtful {
    /// The room.
    pub fn room_id(&self) -> &str {
        &self.0.room_id
    }

    /// The client's id of it.
    pub fn client_message_id(&self) -> &str {
        &self.0.change_id
    }

    /// Where it was.
    pub fn seq(&self) -> i64 {
        self.0.seq
    }
}

/// A client.
pub struct Core {
    db: Db,
    guards: Guards,
    focus: BTreeSet<String>,
    live: bool,
    late: Vec<ServerFrame>,
}

/// What the store cannot fail at, being in memory and written by this program alone.
const SOUND: &str = "a store in memory takes every statement";

impl Core {
    /// A client with an empty store.
    pub fn new(without: Option<Guard>) -> Self {
        let guards = Guards { without };
        let db = Db::in_memory(Arc::default(), guards).expect(SOUND);
        Self { db, guards, focus: BTreeSet::new(), live: false, late: Vec::new() }
    }

    /// The same as a new one, sooner.
    pub fn renew(&mut self, without: Option<Guard>) {
        self.guards = Guards { without };
        self.db.empty(self.guards).expect(SOUND);
        self.focus.clear();
        self.end();
    }

    /// The process was killed and started again: what was committed is there, and nothing else.
    pub fn restart(&mut self) {
        self.db.reopen().expect(SOUND);
        self.end();
    }

    /// The stream has ended.
    pub fn end(&mut self) {
        self.live = false;
        self.late.clear();
    }

    fn view(&self) -> View {
        View { focus: self.focus.clone(), live: self.live }
    }

    fn write<T>(&mut self, job: impl FnOnce(&mut Write<'_>) -> rusqlite::Result<T>) -> T {
        self.db.transact(job).expect(SOUND).0
    }

    fn apply_with(&mut self, job: impl FnOnce(&mut Write<'_>, &View, &mut Outcome) -> rusqlite::Result<()>) -> Told {
        let view = self.view();
        self.write(|w| {
            let mut out = Outcome::default();
            job(w, &view, &mut out)?;
            Ok(out.into())
        })
    }

    /// A stream begins.
    pub fn hello(&mut self) -> Hello {
        let focus: Vec<String> = self.focus.iter().cloned().collect();
        self.end();
        self.write(|w| welcome::begin(w, &focus, welcome::CURSORS))
    }

    /// Takes the Welcome in; `false` when the store belongs to another person.
    pub fn welcome(&mut self, welcome: &Welcome) -> bool {
        self.write(|w| welcome::take(w, &welcome.user_id, &welcome.epoch))
    }

    /// Takes durable frames in, in one transaction.
    pub fn apply(&mut self, frames: Vec<ServerFrame>) -> Told {
        let frames = session::put_off(frames, &mut self.late, self.live, self.guards);
        if frames.is_empty() {
            return Told::default();
        }
        let view = self.view();
        let told: Told = self.write(|w| frames::apply(w, &view, frames)).into();
        self.live |= told.drained;
        told
    }

    /// Whether all verdicts of the stream are in.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// `SyncRoom` has answered.
    pub fn room_answered(&mut self, room_id: &str, delta: RoomDelta) -> Told {
        let view = self.view();
        self.write(|w| repair::room_answered(w, &view, room_id, delta)).into()
    }

    /// `SyncRoom` was refused for good.
    pub fn room_refused(&mut self, room_id: &str, reason: ErrorReason) -> Told {
        let view = self.view();
        self.write(|w| repair::room_refused(w, &view, room_id, Some(reason))).into()
    }

    /// `SyncUser` has answered a page.
    pub fn user_answered(&mut self, delta: UserDelta) -> Told {
        let view = self.view();
        self.write(|w| repair::user_answered(w, &view, delta)).into()
    }

    /// Other rooms are on the screen.
    pub fn set_focus(&mut self, rooms: impl IntoIterator<Item = String>) -> Told {
        self.focus = rooms.into_iter().collect();
        if self.live { self.apply_with(repair::heal) } else { Told::default() }
    }

    /// The person sends a message; `seen_seq` is the newest item in front of them, 0 when the room is not open.
    pub fn send(&mut self, room_id: &str, id: &str, text: &str, mentions: Vec<String>, seen_seq: i64) {
        let request = SendMessageRequest {
            room_id: room_id.to_owned(),
            client_message_id: id.to_owned(),
            body: Some(MessageBody { text: text.to_owned(), ..MessageBody::default() }),
            mentioned_user_ids: mentions,
            ..SendMessageRequest::default()
        };
        self.write(|w| commands::put(w, request, seen_seq, 0));
    }

    /// The messages that leave now.
    pub fn leaving(&mut self) -> Vec<Leaving> {
        let entries = self.write(|w| sending::take(w, &BTreeSet::new(), ENTRIES));
        entries.into_iter().map(|entry| Leaving { request: entry.decode().expect(SOUND), entry }).collect()
    }

    /// The server has a message.
    pub fn sent(&mut self, Leaving { entry, .. }: &Leaving, answer: SendMessageResponse) -> Told {
        let happened = changes::sent(answer).expect("the server's answer names the message");
        self.apply_with(|w, view, out| sending::acknowledged(w, view, entry, &happened, 0, out))
    }

    /// Whether the server has a message is not known: it waits again.
    pub fn send_again(&mut self, id: i64) {
        self.write(|w| outbox::wait(&w.tx, id));
    }

    /// The server will not have a message.
    pub fn send_refused(&mut self, Leaving { entry, .. }: &Leaving, reason: ErrorReason) {
        self.write(|w| changes::refused(w, entry, reason, ""));
    }

    /// The next entry of an earlier epoch of which it is to be asked whether the server still has it.
    pub fn doubtful(&self) -> Option<Doubtful> {
        let entries = self.db.read(|r| outbox::of_other_epochs(r.conn, &meta::text(r.conn, meta::EPOCH)?));
        entries.expect(SOUND).into_iter().next().map(Doubtful)
    }

    /// The server still has the entry, or it is missing.
    pub fn settle_doubt(&mut self, Doubtful(entry): &Doubtful, missing: bool) {
        self.write(|w| {
            let epoch = meta::text(&w.tx, meta::EPOCH)?;
            let fate = if missing { Fate::Gone } else { Fate::Kept };
            changes::settle_fate(w, entry, fate, &epoch)
        });
    }

    /// The person has read up to an item.
    pub fn mark_read(&mut self, room_id: &str, seq: i64) {
        self.write(|w| commands::put_read(w, room_id, seq));
    }

    /// The person marks an item and all after it as unread.
    pub fn mark_unread(&mut self, room_id: &str, seq: i64) {
        self.write(|w| commands::put_unread(w, room_id, seq));
    }

    /// The eldest mark that waits.
    pub fn leaving_mark(&self) -> Option<LeavingMark> {
        self.db.read(|r| marks::waiting(r.conn)).expect(SOUND).into_iter().next().map(LeavingMark)
    }

    /// The server has a mark.
    pub fn marked(&mut self, LeavingMark(mark): &LeavingMark, place: Membership, prev_user_rev: i64) -> Told {
        self.apply_with(|w, view, out| marking::answered(w, view, mark, place, prev_user_rev, out))
    }

    /// The server will not have a mark.
    pub fn mark_refused(&mut self, LeavingMark(mark): &LeavingMark) {
        self.write(|w| marking::refused(w, mark));
    }

    /// A command answered with a changed message.
    pub fn changed(&mut self, message: Message, prev_rev: i64, rev: i64) -> Told {
        let event = frames::change_of(message, (prev_rev, rev));
        self.happened(vec![event])
    }

    /// A command answered with events.
    pub fn happened(&mut self, events: Vec<RoomEvent>) -> Told {
        self.apply_with(|w, view, out| events.into_iter().try_for_each(|event| frames::answer(w, view, event, out)))
    }

    /// A command answered with a room.
    pub fn entered(&mut self, summary: RoomSummary) -> Told {
        self.apply_with(|w, view, out| frames::summary(w, view, summary, out))
    }

    /// A command answered with one's own place.
    pub fn left(&mut self, place: Membership) -> Told {
        self.apply_with(|w, view, out| frames::membership(w, view, place, out))
    }

    /// The newest item of a room that is known to exist.
    pub fn newest(&self, room_id: &str) -> i64 {
        let state = self.db.read(|r| rooms::load(r.conn, room_id)).expect(SOUND);
        state.room.map_or(0, |room| room.seq)
    }

    /// Where the range that is held of a room begins, if there is more before it.
    pub fn begins(&self, room_id: &str) -> Option<i64> {
        let state = self.db.read(|r| rooms::load(r.conn, room_id)).expect(SOUND);
        (state.is_joined() && state.low_seq > state.first_seq()).then_some(state.low_seq)
    }

    /// `ListMessages` answered with a page.
    pub fn page(&mut self, room_id: &str, page: ListMessagesResponse) -> Told {
        self.apply_with(|w, view, out| frames::page(w, view, room_id, page, out))
    }

    /// Everything held.
    pub fn snapshot(&self) -> StoreSnapshot {
        self.db.read(store::snapshot).expect(SOUND)
    }
}

/// The wait before the attempt after so many failures, as a part of the longest.
pub fn wait(failures: u32, part: f64) -> Duration {
    Backoff::default().part(failures, part)
}
