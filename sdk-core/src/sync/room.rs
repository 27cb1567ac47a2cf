//! One room: what is held of it, and how summaries, deltas and events change that.
//!
//! Always true: every row up to `rev` that the person may see and that lies in `low_seq..=seq` is in the store;
//! `head_rev >= rev`, and the room's numbers, newest message and mentions are those of `head_rev`. Older pieces that are held
//! beside that range are islands.

use madang_proto::v1::{
    GoneReason, ListMessagesResponse, Member, MemberState, Membership, Message, Receipt, Room, RoomDelta, RoomEvent,
    RoomGone, RoomPresent, RoomState as RoomUse, RoomSummary, room_event::Change, room_summary,
};

use super::{Island, Mark, Place, Receiver, Verdict, islands, mentions};
use crate::sabotage::Guard;

/// Characters of the newest message in a summary; `RoomPresent.last_message` is cut by the same rule.
const PREVIEW_CHARACTERS: usize = 200;

/// What is held of a room beside its rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RoomState {
    /// The room.
    pub(crate) room_id: String,
    /// It was deleted; nothing that arrives later counts.
    pub(crate) ended: bool,
    /// The room as of `head_rev`; absent until a verdict on it has come.
    pub(crate) room: Option<Room>,
    /// One's own place, with the marks and mentions merged into it.
    pub(crate) membership: Option<Membership>,
    /// The newest item, cut as in a summary.
    pub(crate) last: Option<Message>,
    /// Rows are complete up to this revision.
    pub(crate) rev: i64,
    /// The summary is complete up to this revision.
    pub(crate) head_rev: i64,
    /// Items up to here are known to exist.
    pub(crate) seq: i64,
    /// The oldest item of the unbroken range that is held; above `seq` when nothing is.
    pub(crate) low_seq: i64,
    /// Snapshot of the last reset; pages of older snapshots do not fit what is held.
    pub(crate) reset_rev: i64,
}

/// Rows to be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drop {
    /// Messages, members and receipts whose last change is not newer than this revision.
    UpToRev(i64),
    /// Messages below this position.
    BelowSeq(i64),
    /// No row, but what says that older pieces are whole.
    Islands,
    /// Everything of the room.
    All,
}

/// What is to be done in the store and on the wire. Drops come first; rows merge by revision.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Effects {
    pub(crate) drop: Vec<Drop>,
    pub(crate) messages: Vec<Message>,
    pub(crate) members: Vec<Member>,
    pub(crate) receipts: Vec<Receipt>,
    /// Something is missing: ask `SyncRoom`.
    pub(crate) hole: bool,
    /// The room was deleted: what waits to be sent to it has failed.
    pub(crate) ended: bool,
}

impl RoomState {
    pub(crate) fn new(room_id: &str) -> Self {
        Self { room_id: room_id.to_owned(), ..Self::default() }
    }

    /// Whether the person is in the room and the room is known.
    pub(crate) fn is_joined(&self) -> bool {
        !self.ended && self.is_member()
    }

    /// Whether the room waits in the outbox to be made: it is shown, and nothing of it is the server's.
    pub(crate) fn is_foreseen(&self) -> bool {
        self.head_rev == 0 && self.room.is_some()
    }

    /// Whether the server has made the person a member and no verdict on the room has come.
    pub(crate) fn is_unheard_of(&self) -> bool {
        let numbered = || self.membership.as_ref().is_some_and(|membership| membership.user_rev > 0);
        self.room.is_none() || self.is_foreseen() && numbered()
    }

    fn is_member(&self) -> bool {
        self.membership.as_ref().is_some_and(|m| member_state(m) == MemberState::Joined)
    }

    /// The mark; all zero without a membership.
    pub(crate) fn mark(&self) -> Mark {
        self.membership.as_ref().map(Mark::of).unwrap_or_default()
    }

    /// A verdict on the room.
    pub(crate) fn summary(&mut self, summary: RoomSummary, to: Receiver<'_>, out: &mut Effects) {
        match summary.verdict {
            Some(room_summary::Verdict::Present(present)) => self.present(present, to, out),
            Some(room_summary::Verdict::Gone(gone)) => self.gone(&gone, to, out),
            None => {}
        }
    }

    fn present(&mut self, present: RoomPresent, to: Receiver<'_>, out: &mut Effects) {
        let Some(room) = present.room.filter(|_| !self.ended) else { return };
        let newest = room.rev >= self.head_rev;
        if newest {
            self.head_rev = room.rev;
            self.last = present.last_message.map(preview);
            self.be(room);
        }
        if let Some(membership) = present.membership {
            self.member(membership, if newest { Place::Newest } else { Place::Older }, to, out);
        }
    }

    /// Takes the room's new state. Members and receipts of a large room are not told: when it is small again, what is held is
    /// no ground to build on.
    fn be(&mut self, room: Room) {
        let was_large = self.room.as_ref().is_some_and(|held| held.large);
        if was_large && !room.large {
            // A cursor without a revision is answered by a reset.
            self.rev = 0;
        }
        self.room = Some(room);
    }

    /// The person is out of the room, if that is not older than what is held of their membership.
    fn gone(&mut self, gone: &RoomGone, to: Receiver<'_>, out: &mut Effects) {
        if gone.reason() == GoneReason::Ended {
            self.end(out);
            return;
        }
        let held = self.membership.get_or_insert_default();
        if gone.membership_user_rev < held.user_rev && to.guards.holds(Guard::GoneNumbered) {
            return;
        }
        held.user_rev = held.user_rev.max(gone.membership_user_rev);
        let state = match gone.reason() {
            GoneReason::Removed => MemberState::Removed,
            GoneReason::Banned => MemberState::Banned,
            _ => MemberState::Left,
        };
        held.member.get_or_insert_default().set_state(state);
    }

    /// The room was deleted: that always wins.
    fn end(&mut self, out: &mut Effects) {
        *self = Self { ended: true, ..Self::new(&self.room_id) };
        out.drop.push(Drop::All);
        out.ended = true;
    }

    /// One's own place, whole and numbered by `user_rev`.
    pub(crate) fn member(&mut self, mut new: Membership, place: Place, to: Receiver<'_>, out: &mut Effects) {
        if self.ended {
            return;
        }
        let held = self.membership.take().unwrap_or_default();
        let (old, given) = (Mark::of(&held), Mark::of(&new));
        let stale = new.user_rev < held.user_rev && to.guards.holds(Guard::GoneNumbered);
        let list = std::mem::take(&mut new.unread_mention_seqs);
        let mut merged = if stale { held.clone() } else { new };
        merged.unread_mention_seqs = held.unread_mention_seqs;
        if let (Some(ours), Some(theirs)) = (held.member, merged.member.as_mut())
            && ours.rev > theirs.rev
            && ours.state == theirs.state
        {
            *theirs = ours;
        }
        let mark = old.merge(given, to.guards);
        mark.write(&mut merged);
        // A list read under a mark that "mark as unread" has lowered since lacks what is unread again.
        let older = stale && place == Place::Person || given.generation < old.generation;
        let place = if older { Place::Older } else { place };
        mentions::by_list(&mut merged.unread_mention_seqs, &list, place, mark.generation > old.generation);
        merged.unread_mention_seqs.retain(|seq| *seq > mark.seq);
        let joined = member_state(&merged) == MemberState::Joined;
        let from = merged.member.as_ref().map_or(0, |member| member.history_from_seq);
        self.membership = Some(merged);
        if joined && from > self.low_seq && to.guards.holds(Guard::History) {
            self.forget_below(from, out);
        }
    }

    fn forget_below(&mut self, from: i64, out: &mut Effects) {
        self.low_seq = from;
        self.last.take_if(|last| last.seq < from);
        out.drop.push(Drop::BelowSeq(from));
    }

    /// A page of changes: rows first, then the cursor.
    pub(crate) fn delta(&mut self, delta: RoomDelta, to: Receiver<'_>, out: &mut Effects) {
        if delta.reset && delta.snapshot_rev < self.rev && delta.from.as_ref().is_some_and(|from| from.rev == self.rev)
        {
            // What is held is ahead of the server: none of it is known to be true.
            (self.rev, self.seq, self.head_rev, self.reset_rev) = (0, 0, 0, 0);
            out.drop.push(Drop::UpToRev(i64::MAX));
        }
        if let Some(summary) = delta.summary {
            self.summary(summary, to, out);
        }
        let (Some(from), Some(mut cursor)) = (delta.from, delta.to) else { return };
        // Read before the last reset, it may tell of people who had gone by then, and whom nothing takes away any more.
        if self.ended || delta.snapshot_rev < self.reset_rev {
            return;
        }
        if !to.guards.holds(Guard::Paging) {
            cursor.rev = delta.snapshot_rev;
        }
        let joins = from.rev <= self.rev && from.seq <= self.seq;
        let moves = cursor.rev > self.rev || cursor.seq > self.seq;
        if delta.reset && moves {
            if to.guards.holds(Guard::Reset) {
                out.drop.push(Drop::UpToRev(delta.snapshot_rev));
            }
            (self.rev, self.seq) = (cursor.rev, cursor.seq);
            self.low_seq = delta.messages.first().map_or(cursor.seq.saturating_add(1), |first| first.seq);
            self.reset_rev = delta.snapshot_rev;
        } else if !delta.reset && joins {
            if self.rev == 0 && self.seq == 0 {
                out.drop.push(Drop::Islands);
                self.low_seq = delta.messages.first().map_or(cursor.seq.saturating_add(1), |first| first.seq);
            }
            (self.rev, self.seq) = (self.rev.max(cursor.rev), self.seq.max(cursor.seq));
        }
        // Rows that do not join are newer or older states of what is held: they merge, and move nothing.
        self.take_rows(delta.messages, to, out);
        out.members.extend(delta.members);
        out.receipts.extend(delta.receipts);
        self.head_rev = self.head_rev.max(self.rev);
    }

    fn take_rows(&mut self, messages: Vec<Message>, to: Receiver<'_>, out: &mut Effects) {
        for message in &messages {
            self.derive_mark(message, to);
        }
        out.messages.extend(messages);
    }

    /// A page of the timeline from anywhere: it lengthens the range, or an island, or is one. Rows above the range come
    /// with the changes that tell of them. A page read before the last reset says nothing of what changed until then.
    pub(crate) fn page(
        &mut self,
        page: ListMessagesResponse,
        held: &mut Vec<Island>,
        to: Receiver<'_>,
        out: &mut Effects,
    ) {
        if self.ended || page.snapshot_rev < self.reset_rev {
            return;
        }
        let mut messages = page.messages;
        messages.retain(|message| (self.history_from()..=self.seq).contains(&message.seq));
        let (Some(first), Some(last)) = (messages.first(), messages.last()) else { return };
        let piece = islands::joined(held, Island { low: first.seq, high: last.seq });
        if piece.high.saturating_add(1) >= self.low_seq {
            self.low_seq = self.low_seq.min(piece.low);
        } else {
            islands::add(held, piece);
        }
        self.take_rows(messages, to, out);
    }

    fn history_from(&self) -> i64 {
        self.membership.as_ref().and_then(|m| m.member.as_ref()).map_or(0, |m| m.history_from_seq)
    }

    /// The first item that the person may see.
    pub(crate) fn first_seq(&self) -> i64 {
        self.room.as_ref().map_or(0, |room| room.first_seq).max(self.history_from()).max(1)
    }

    /// A change that is told live, or by the answer of a command.
    pub(crate) fn event(&mut self, event: RoomEvent, to: Receiver<'_>, out: &mut Effects) {
        if self.ended {
            return;
        }
        if self.is_foreseen() {
            // What is shown was guessed: nothing of it is a ground to build on.
            out.hole = true;
            return;
        }
        let rows = Verdict::of(event.prev_rev, event.rev, self.rev);
        let head = Verdict::of(event.prev_rev, event.rev, self.head_rev);
        let spans = to.guards.holds(Guard::Spans);
        if head == Verdict::Hole && spans {
            out.hole = true;
            return;
        }
        if matches!(event.change, Some(Change::Fetch(_))) {
            out.hole = rows != Verdict::Drop;
            return;
        }
        let follows = head != Verdict::Drop;
        let complete = rows == Verdict::Apply || rows == Verdict::Hole && !spans;
        if follows {
            self.head_rev = event.rev;
        }
        if complete || follows && !to.guards.holds(Guard::HeadRev) {
            self.rev = event.rev;
        }
        if let Some(change) = event.change.filter(|_| complete || follows) {
            self.change(change, complete, follows, to, out);
        }
        if let Some(room) = self.room.as_mut().filter(|_| follows) {
            room.rev = event.rev;
        }
    }

    fn change(&mut self, change: Change, complete: bool, follows: bool, to: Receiver<'_>, out: &mut Effects) {
        match change {
            Change::Message(message) => {
                if follows {
                    self.follow(&message, to);
                }
                self.derive_mark(&message, to);
                if complete {
                    self.seq = self.seq.max(message.seq);
                    self.low_seq = if self.low_seq == 0 { message.seq } else { self.low_seq };
                    out.messages.push(message);
                }
            }
            Change::Member(change) => {
                if let (Some(room), true) = (self.room.as_mut(), follows) {
                    room.member_count = change.member_count;
                }
                out.receipts.extend(change.receipt);
                if let Some(member) = change.member {
                    self.own_row(&member, to);
                    out.members.push(member);
                }
            }
            Change::Room(room) if room.state() == RoomUse::Deleted => self.end(out),
            Change::Room(room) => {
                if follows {
                    self.be(room);
                }
            }
            Change::Receipts(batch) => out.receipts.extend(batch.receipts),
            Change::None(_) | Change::Fetch(_) => {}
        }
    }

    /// Moves the summary by a message, as the server's would.
    fn follow(&mut self, message: &Message, to: Receiver<'_>) {
        if let Some(room) = &mut self.room {
            room.seq = room.seq.max(message.seq);
            if message.count > room.count {
                room.count = message.count;
                room.last_active_at = message.created_at;
            }
        }
        if self.last.as_ref().is_none_or(|last| message.seq >= last.seq) {
            self.last = Some(preview(message.clone()));
        }
        let mark = self.mark();
        if let Some(membership) = &mut self.membership {
            mentions::by_message(&mut membership.unread_mention_seqs, message, to.me, mark.seq);
        }
    }

    /// A message of one's own may say that the mark moved to it.
    fn derive_mark(&mut self, message: &Message, to: Receiver<'_>) {
        let Some(own) = Mark::of_own(message, to.me) else { return };
        let merged = self.mark().merge(own, to.guards);
        if let Some(membership) = &mut self.membership {
            merged.write(membership);
            membership.unread_mention_seqs.retain(|seq| *seq > merged.seq);
        }
    }

    /// What others see of oneself, while one is in. That one is out is told by numbers of the person, never from here.
    fn own_row(&mut self, member: &Member, to: Receiver<'_>) {
        let held = self.membership.as_mut().and_then(|membership| membership.member.as_mut());
        if let Some(held) = held
            && member.user_id == to.me
            && member.rev > held.rev
            && member.state == held.state
        {
            held.clone_from(member);
        }
    }
}

/// The state of a membership.
pub(crate) fn member_state(membership: &Membership) -> MemberState {
    membership.member.as_ref().map_or(MemberState::Unspecified, Member::state)
}

/// A message as a summary shows it.
fn preview(mut message: Message) -> Message {
    if let Some(body) = &mut message.body {
        if let Some((end, _)) = body.text.char_indices().nth(PREVIEW_CHARACTERS) {
            body.text.truncate(end);
            message.text_cut = true;
        }
        body.entities.clear();
        body.card.clear();
    }
    message.metadata.clear();
    message
}
