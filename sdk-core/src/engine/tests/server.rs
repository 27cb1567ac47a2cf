//! A server in memory with one room, as one member sees it: numbers, deltas, verdicts. It may lose, repeat and delay what it
//! says, and then owes a summary.

use std::collections::{BTreeMap, VecDeque};

use madang_proto::v1::{
    Drained, FetchChange, GoneReason, ListMessagesResponse, Member, MemberChange, MemberState, Membership, Message,
    MessageBody, NoChange, Receipt, ReceiptBatch, Room, RoomCursor, RoomDelta, RoomEvent, RoomGone, RoomPresent,
    RoomSummary, ServerFrame, Tombstone, UserBehind, UserDelta, list_messages_request::Position, room_event::Change,
    room_summary::Verdict, server_frame::Frame,
};

pub(super) const ME: &str = "me";
pub(super) const ROOM: &str = "room";
/// Rows in a page.
const PAGE: usize = 3;
/// Rows behind which a client begins anew.
const FAR_BEHIND: usize = 14;

#[derive(Default)]
pub(super) struct Server {
    pub(super) room: Room,
    pub(super) rows: BTreeMap<i64, Message>,
    pub(super) members: BTreeMap<String, Member>,
    pub(super) receipts: BTreeMap<String, Receipt>,
    pub(super) me: Membership,
    pub(super) user_rev: i64,
    /// Grows with each change; what a watermark compares.
    clock: i64,
    room_changed: i64,
    /// What is on its way on the stream.
    pub(super) stream: VecDeque<Frame>,
    owes_summary: bool,
    owes_user: bool,
}

impl Server {
    pub(super) fn new() -> Self {
        let mut server =
            Self { room: Room { id: ROOM.into(), name: "r".into(), ..Room::default() }, ..Self::default() };
        for user in [ME, "bob"] {
            server.place(user, MemberState::Joined);
        }
        server.stream.clear();
        server
    }

    /// A change of the room: takes a revision and tells it, unless it is lost.
    fn tell(&mut self, change: Change, lost: bool) -> RoomEvent {
        self.clock += 1;
        self.room_changed = self.clock;
        let event = RoomEvent {
            room_id: ROOM.into(),
            prev_rev: self.room.rev - 1,
            rev: self.room.rev,
            actor_id: "bob".into(),
            change: Some(change),
        };
        if self.is_joined() && !lost {
            let hidden = |message: &Message| message.seq < self.history_from();
            let change = match event.change.clone() {
                Some(Change::Message(message)) if hidden(&message) => Some(Change::None(NoChange {})),
                change => change,
            };
            self.stream.push_back(Frame::RoomEvent(RoomEvent { change, ..event.clone() }));
        } else {
            self.owes_summary = true;
        }
        event
    }

    fn tell_user(&mut self, lost: bool) {
        self.user_rev += 1;
        self.me.user_rev = self.user_rev;
        self.clock += 1;
        if lost {
            self.owes_user = true;
        } else {
            let delta = self.user_delta(self.user_rev - 1);
            self.stream.push_back(Frame::UserDelta(delta));
        }
    }

    pub(super) fn is_joined(&self) -> bool {
        self.members.get(ME).is_some_and(|member| member.state() == MemberState::Joined)
    }

    fn history_from(&self) -> i64 {
        self.members.get(ME).map_or(0, |member| member.history_from_seq)
    }

    /// One's own message moves one's own mark if everything before it was seen; others' move theirs always.
    pub(super) fn send(&mut self, from: &str, mentions: bool, seen: bool, lost: bool) -> RoomEvent {
        let (seq, count) = (self.room.seq + 1, self.room.count + 1);
        self.room.rev += 1;
        (self.room.seq, self.room.count) = (seq, count);
        let marks = from != ME || seen;
        let message = Message {
            room_id: ROOM.into(),
            seq,
            rev: self.room.rev,
            count,
            sender_id: from.into(),
            mark_generation: marks.then_some(if from == ME { self.me.read_generation } else { 0 }),
            client_message_id: format!("{from}-{seq}"),
            body: Some(MessageBody { text: "text".into(), ..MessageBody::default() }),
            mentioned_user_ids: if mentions { vec![ME.into()] } else { vec![] },
            ..Message::default()
        };
        self.rows.insert(seq, message.clone());
        if marks && from == ME {
            (self.me.last_read_seq, self.me.read_count) = (seq, count);
        } else if marks {
            let receipt = self.receipts.entry(from.into()).or_default();
            (receipt.user_id, receipt.last_read_seq, receipt.rev) = (from.into(), seq, self.room.rev);
        }
        self.tell(Change::Message(message), lost)
    }

    /// Edits or deletes an item; turns a mention on or off.
    pub(super) fn edit(&mut self, at: i64, delete: bool, lost: bool) -> Option<RoomEvent> {
        let seq = 1 + at.rem_euclid(self.room.seq.max(1));
        let rev = self.room.rev + 1;
        let row = self.rows.get_mut(&seq)?;
        row.rev = rev;
        if delete {
            row.body = None;
            row.tombstone = Some(Tombstone::default());
        } else if row.mentioned_user_ids.is_empty() {
            row.mentioned_user_ids.push(ME.into());
        } else {
            row.mentioned_user_ids.clear();
        }
        self.room.rev = rev;
        let row = row.clone();
        Some(self.tell(Change::Message(row), lost))
    }

    pub(super) fn rename(&mut self, lost: bool) {
        self.room.rev += 1;
        self.room.name = format!("name {}", self.room.rev);
        self.tell(Change::Room(self.room.clone()), lost);
    }

    pub(super) fn receipt(&mut self, lost: bool) {
        self.room.rev += 1;
        let rev = self.room.rev;
        let seq = self.room.seq;
        let mut batch = Vec::new();
        for user in ["bob", "cat"] {
            let receipt = self.receipts.entry(user.into()).or_default();
            (receipt.user_id, receipt.rev) = (user.into(), rev);
            receipt.last_read_seq = receipt.last_read_seq.max(seq);
            batch.push(receipt.clone());
        }
        self.tell(Change::Receipts(ReceiptBatch { receipts: batch }), lost);
    }

    /// A change that says nothing to this member, or one that is too big for a frame.
    pub(super) fn silent(&mut self, fetch: bool, lost: bool) {
        self.room.rev += 1;
        if fetch {
            self.room.topic = format!("topic {}", self.room.rev);
            self.tell(Change::Fetch(FetchChange {}), lost);
        } else {
            self.tell(Change::None(NoChange {}), lost);
        }
    }

    /// Somebody comes or goes; oneself too, who then sees only what comes after, if history is hidden.
    pub(super) fn place(&mut self, user: &str, state: MemberState) {
        self.room.rev += 1;
        let row = self.members.entry(user.into()).or_default();
        let joins = state == MemberState::Joined && row.state() != MemberState::Joined;
        (row.room_id, row.user_id, row.rev) = (ROOM.into(), user.into(), self.room.rev);
        row.set_state(state);
        if joins && user == ME && self.room.seq > 0 {
            row.history_from_seq = self.room.seq + 1;
        }
        let row = row.clone();
        let joined = self.members.values().filter(|member| member.state() == MemberState::Joined);
        self.room.member_count = i32::try_from(joined.count()).unwrap();
        let member_count = self.room.member_count;
        let change = MemberChange { member: Some(row.clone()), member_count, ..MemberChange::default() };
        if user == ME && !joins {
            // One's own removal is the last event one is given.
            self.members.get_mut(ME).unwrap().set_state(MemberState::Joined);
            self.tell(Change::Member(change), false);
            self.members.insert(ME.into(), row.clone());
        } else {
            self.tell(Change::Member(change), user == ME);
        }
        if user == ME {
            self.me.member = Some(row);
            if joins {
                (self.me.last_read_seq, self.me.read_count) = (self.room.seq, self.room.count);
            }
            self.tell_user(false);
            self.owes_summary = true;
            self.pay();
        }
    }

    pub(super) fn read(&mut self, lost: bool) {
        if self.me.last_read_seq < self.room.seq {
            (self.me.last_read_seq, self.me.read_count) = (self.room.seq, self.room.count);
            self.tell_user(lost);
        }
    }

    pub(super) fn unread(&mut self, at: i64, lost: bool) {
        let seq = 1 + at.rem_euclid(self.room.seq.max(1));
        self.me.last_read_seq = seq - 1;
        self.me.read_count = self.rows.get(&(seq - 1)).map_or(0, |row| row.count);
        self.me.read_generation += 1;
        self.tell_user(lost);
    }

    /// Says what was lost: a summary for what concerns the room, a number for what concerns the person.
    pub(super) fn pay(&mut self) {
        if std::mem::take(&mut self.owes_summary) {
            let summary = self.summary();
            self.stream.push_back(Frame::RoomSummary(summary));
        }
        if std::mem::take(&mut self.owes_user) {
            self.stream.push_back(Frame::UserBehind(UserBehind { user_rev: self.user_rev }));
        }
    }

    /// One's own place as it is, mentions counted.
    pub(super) fn membership(&self) -> Membership {
        let unread = |row: &&Message| {
            row.seq > self.me.last_read_seq
                && row.seq >= self.history_from()
                && row.sender_id != ME
                && row.tombstone.is_none()
                && !row.mentioned_user_ids.is_empty()
        };
        let unread_mention_seqs = self.rows.values().filter(unread).map(|row| row.seq).collect();
        Membership { unread_mention_seqs, member: self.members.get(ME).cloned(), ..self.me.clone() }
    }

    fn summary(&self) -> RoomSummary {
        let verdict = if self.is_joined() {
            Verdict::Present(RoomPresent {
                room: Some(self.room.clone()),
                last_message: self.last_message(),
                membership: Some(self.membership()),
            })
        } else {
            let mut gone = RoomGone { membership_user_rev: self.me.user_rev, ..RoomGone::default() };
            gone.set_reason(GoneReason::Left);
            Verdict::Gone(gone)
        };
        RoomSummary { room_id: ROOM.into(), verdict: Some(verdict) }
    }

    pub(super) fn last_message(&self) -> Option<Message> {
        self.rows.range(self.history_from()..).next_back().map(|(_, row)| row.clone())
    }

    fn user_delta(&self, from_user_rev: i64) -> UserDelta {
        let memberships = vec![self.membership()];
        UserDelta { from_user_rev, to_user_rev: self.user_rev, last: true, memberships }
    }

    pub(super) fn sync_user(&self, user_rev: i64) -> UserDelta {
        self.user_delta(user_rev)
    }

    pub(super) fn sync_room(&self, from: &RoomCursor) -> RoomDelta {
        let mut delta = RoomDelta {
            summary: Some(self.summary()),
            from: Some(from.clone()),
            snapshot_rev: self.room.rev,
            last: true,
            ..RoomDelta::default()
        };
        if !self.is_joined() {
            return RoomDelta { summary: delta.summary, last: true, ..RoomDelta::default() };
        }
        let end = RoomCursor { rev: self.room.rev, seq: self.room.seq, ..from.clone() };
        let visible: Vec<&Message> = self.rows.range(self.history_from()..).map(|(_, row)| row).collect();
        let new: Vec<Message> = visible.iter().filter(|row| row.seq > from.seq).map(|row| (*row).clone()).collect();
        let old = visible.iter().filter(|row| row.seq <= from.seq && row.rev > from.rev);
        let members = self.members.values().filter(|member| member.rev > from.rev);
        let receipts = self.receipts.values().filter(|receipt| receipt.rev > from.rev);
        let mut revs: Vec<i64> = old.clone().map(|row| row.rev).collect();
        revs.extend(members.clone().map(|member| member.rev));
        revs.extend(receipts.clone().map(|receipt| receipt.rev));
        revs.sort_unstable();
        if new.len() + revs.len() > FAR_BEHIND {
            delta.reset = true;
            let first = visible.len().saturating_sub(PAGE);
            delta.messages = visible[first..].iter().map(|row| (*row).clone()).collect();
            delta.members = self.members.values().cloned().collect();
            delta.receipts = self.receipts.values().cloned().collect();
            delta.to = Some(end);
        } else if new.len() > PAGE {
            // New rows first: the position advances, the revision stays.
            delta.messages = new[..PAGE].to_vec();
            delta.to = Some(RoomCursor { seq: delta.messages[PAGE - 1].seq, ..from.clone() });
            delta.last = false;
        } else {
            // A page never ends inside a revision.
            let until = revs.get(PAGE - 1).copied().filter(|until| revs.last() != Some(until));
            let rev = until.unwrap_or(self.room.rev);
            let seq = new.last().map_or(from.seq, |row| row.seq);
            delta.messages = new;
            delta.messages.extend(old.filter(|row| row.rev <= rev).map(|row| (*row).clone()));
            delta.members = members.filter(|member| member.rev <= rev).cloned().collect();
            delta.receipts = receipts.filter(|receipt| receipt.rev <= rev).cloned().collect();
            delta.last = until.is_none();
            delta.to = Some(if delta.last { end } else { RoomCursor { rev, seq, ..from.clone() } });
        }
        delta
    }

    pub(super) fn page(&self, position: Position) -> ListMessagesResponse {
        let visible: Vec<&Message> = self.rows.range(self.history_from()..).map(|(_, row)| row).collect();
        let below = |seq| visible.partition_point(|row| row.seq < seq);
        let first = match position {
            Position::BeforeSeq(seq) => below(seq).saturating_sub(PAGE),
            Position::AfterSeq(seq) => below(seq + 1),
            Position::AroundSeq(seq) => below(seq).saturating_sub(PAGE / 2),
            Position::FromTime(_) => unreachable!("no time in this world"),
        };
        let end = match position {
            Position::BeforeSeq(seq) => below(seq),
            _ => visible.len().min(first + PAGE),
        };
        let messages = visible[first..end].iter().map(|row| (*row).clone()).collect();
        ListMessagesResponse { messages, snapshot_rev: self.room.rev, ..Default::default() }
    }

    /// A stream begins: verdicts on what has changed since the watermark, then Drained.
    pub(super) fn connect(&mut self, user_rev: i64, watermark: i64, cursors: &[RoomCursor]) {
        self.stream.clear();
        (self.owes_summary, self.owes_user) = (false, false);
        if user_rev < self.user_rev {
            let delta = self.user_delta(user_rev);
            self.stream.push_back(Frame::UserDelta(delta));
        }
        if self.room_changed > watermark || user_rev < self.user_rev {
            let frame = match cursors.first() {
                Some(cursor) if self.is_joined() => Frame::RoomDelta(self.sync_room(cursor)),
                _ => Frame::RoomSummary(self.summary()),
            };
            self.stream.push_back(frame);
        }
        self.stream.push_back(Frame::Drained(Drained { watermark: self.clock }));
    }

    pub(super) fn next_frame(&mut self) -> Option<ServerFrame> {
        self.stream.pop_front().map(|frame| ServerFrame { frame: Some(frame) })
    }
}
