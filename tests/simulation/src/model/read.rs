//! What the server's statements read, each in one snapshot: restated from `rooms/store.rs`, `messages/store.rs`,
//! `sync/store.rs`, `sync/delta.rs` and `realtime/poll.rs`.

use madang_proto::v1;
use madang_server::{
    access::JOINED,
    realtime::Membership,
    rooms::{self, Member, Summary, store::Gone},
    sabotage::Guards,
    timeline::{self, Item},
};

use super::{Db, Place, person_of, room_id, room_of};

/// Where a client stands in a room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor {
    pub(crate) room: usize,
    pub(crate) rev: i64,
    pub(crate) seq: i64,
}

impl Cursor {
    fn wire(self) -> v1::RoomCursor {
        v1::RoomCursor { room_id: room_id(self.room).to_string(), rev: self.rev, seq: self.seq }
    }
}

/// A snapshot: which transactions it saw.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) xmin: i64,
    pub(crate) xmax: i64,
    xip: Vec<i64>,
}

/// A row that changed.
enum Changed<'a> {
    Item(&'a Item),
    Member(&'a Member),
    Receipt(&'a Member),
}

impl Changed<'_> {
    fn rev(&self) -> i64 {
        match self {
            Self::Item(item) => item.rev,
            Self::Member(member) => member.rev,
            Self::Receipt(member) => member.receipt_rev,
        }
    }
}

impl Db {
    /// The horizon, or without the guard the next id.
    pub(crate) fn watermark(&self, horizon: bool) -> i64 {
        let seen = self.seen();
        if horizon { seen.xmin } else { seen.xmax }
    }

    pub(crate) fn seen(&self) -> Seen {
        let xmin = self.running.first().copied().unwrap_or(self.next_xid);
        Seen { xmin, xmax: self.next_xid, xip: self.running.iter().copied().collect() }
    }

    /// Rooms that a later snapshot shows to have changed, with their revisions.
    pub(crate) fn changed_since(&self, before: &Seen) -> Vec<(usize, i64)> {
        let after = |xid: i64| xid >= before.xmax || before.xip.contains(&xid);
        let changed = |room: &usize| self.changes.iter().any(|(xid, changed)| changed == room && after(*xid));
        (0..self.rooms.len()).filter(changed).map(|room| (room, self.rooms[room].row.rev)).collect()
    }

    fn rows_of(&self, person: usize) -> impl Iterator<Item = (usize, &Member)> {
        let rows = self.rooms.iter().enumerate();
        rows.filter_map(move |(room, table)| Some((room, table.members[person].as_ref()?)))
    }

    /// The rooms that a person is in, as a session must know them.
    pub(crate) fn memberships(&self, person: usize) -> Vec<Membership> {
        let joined = self.rows_of(person).filter(|(_, member)| member.state == JOINED);
        joined.map(|(room, member)| member.listen((self.rooms[room].row.rev, self.rooms[room].row.seq))).collect()
    }

    /// Rooms of a person that changed at or after a watermark, or in which their place did after a number.
    pub(crate) fn changed_rooms(&self, person: usize, watermark: i64, user_rev: i64) -> Vec<usize> {
        let changed = |room: usize, member: &Member| {
            member.state == JOINED && (self.rooms[room].row.changed_xid >= watermark || member.user_rev > user_rev)
        };
        self.rows_of(person).filter(|(room, member)| changed(*room, member)).map(|(room, _)| room).collect()
    }

    /// Rows of a person that changed after a number, in its order; with 0 those of rooms that they are in.
    pub(crate) fn memberships_changed(&self, person: usize, after: i64, limit: usize) -> Vec<Member> {
        let changed = |member: &Member| member.user_rev > after && (after > 0 || member.state == JOINED);
        let mut rows: Vec<Member> =
            self.rows_of(person).map(|(_, member)| member.clone()).filter(|member| changed(member)).collect();
        rows.sort_by_key(|member| member.user_rev);
        rows.truncate(limit);
        rows
    }

    /// Unread items that mention the person.
    pub(crate) fn mentions(&self, (room, person): Place) -> Vec<i64> {
        let Some(member) = self.member((room, person)).filter(|member| member.state == JOINED) else {
            return Vec::new();
        };
        let mine = |item: &&Item| {
            let named = item.mentions_all || item.mentioned.iter().flatten().any(|id| *id == member.user_id.0);
            let unread = item.seq > member.last_read_seq && item.seq >= member.history_from_seq;
            named && unread && !item.is_deleted() && item.sender_id != member.user_id
        };
        self.rooms[room].items.iter().filter(mine).map(|item| item.seq).collect()
    }

    /// A room as the person sees it; `None`: they are not in it.
    pub(crate) fn summary(&self, (room, person): Place, unchecked: bool) -> Option<Summary> {
        let member = self.member((room, person)).filter(|member| member.state == JOINED || unchecked)?;
        let table = &self.rooms[room];
        let last = table.items.last().filter(|item| item.seq >= member.history_from_seq);
        Some(Summary {
            room: table.row.clone(),
            member: member.clone(),
            last: last.cloned(),
            mentions: self.mentions((room, person)),
        })
    }

    /// The person's place in a room that is gone for them.
    pub(crate) fn gone(&self, (room, person): Place) -> Option<Gone> {
        let Member { room_id, user_id, state, rev, user_rev, .. } = *self.member((room, person))?;
        Some(Gone { room_id, user_id, state, rev, user_rev, ended_rev: None })
    }

    /// What changed in a room after a cursor; `None`: the person is not in it.
    pub(crate) fn delta(
        &self,
        person: usize,
        cursor: Cursor,
        limit: usize,
        most_behind: i64,
        guards: Guards,
    ) -> Option<v1::RoomDelta> {
        let place = (cursor.room, person);
        let unchecked = !guards.access_at_read();
        let member = self.member(place).filter(|member| member.state == JOINED || unchecked)?;
        let summary = self.summary(place, unchecked)?;
        let now = &self.rooms[cursor.room].row;
        let useless =
            cursor.rev == 0 || cursor.rev > now.rev || cursor.seq > now.seq || now.rev - cursor.rev > most_behind;
        let mut delta = if useless {
            self.reset(cursor.room, member, limit)
        } else {
            self.page(cursor, member.history_from_seq, limit, guards)
        };
        delta.summary = Some(rooms::wire::summary(&summary));
        delta.from = Some(cursor.wire());
        delta.snapshot_rev = now.rev;
        Some(delta)
    }

    /// The items before a position, oldest first; `None`: the person is not in the room.
    pub(crate) fn page_before(&self, place: Place, before: i64, limit: usize) -> Option<v1::ListMessagesResponse> {
        let member = self.member(place).filter(|member| member.state == JOINED)?;
        let table = &self.rooms[place.0];
        let seen = |item: &&Item| item.seq >= member.history_from_seq && item.seq < before;
        let seen: Vec<&Item> = table.items.iter().filter(seen).collect();
        let page = &seen[seen.len().saturating_sub(limit)..];
        Some(v1::ListMessagesResponse {
            messages: page.iter().map(|item| timeline::wire::message(item)).collect(),
            snapshot_rev: table.row.rev,
            has_before: page.len() < seen.len(),
            has_after: true,
        })
    }

    fn reset(&self, room: usize, member: &Member, limit: usize) -> v1::RoomDelta {
        let table = &self.rooms[room];
        let seen: Vec<&Item> = table.items.iter().filter(|item| item.seq >= member.history_from_seq).collect();
        let newest = &seen[seen.len().saturating_sub(limit)..];
        let members = || table.members.iter().flatten().filter(|member| member.state == JOINED);
        v1::RoomDelta {
            to: Some(Cursor { room, rev: table.row.rev, seq: table.row.seq }.wire()),
            last: true,
            reset: true,
            messages: newest.iter().map(|item| timeline::wire::message(item)).collect(),
            members: members().map(rooms::wire::member).collect(),
            receipts: members().map(rooms::wire::receipt).collect(),
            ..v1::RoomDelta::default()
        }
    }

    fn page(&self, cursor: Cursor, history_from: i64, limit: usize, guards: Guards) -> v1::RoomDelta {
        let table = &self.rooms[cursor.room];
        let seen = || table.items.iter().filter(|item| item.seq >= history_from);
        let mut new: Vec<&Item> = seen().filter(|item| item.seq > cursor.seq).collect();
        let more_new = new.len() > limit;
        new.truncate(limit);
        let messages = new.iter().map(|item| timeline::wire::message(item)).collect();
        let mut delta = v1::RoomDelta { messages, ..v1::RoomDelta::default() };
        let seq = new.last().map_or(cursor.seq, |item| item.seq);
        let left = limit - new.len();
        let mut rev = cursor.rev;
        if !more_new && left > 0 {
            let old = |item: &&Item| item.changed && item.rev > cursor.rev && item.seq <= cursor.seq;
            let members = || table.members.iter().flatten();
            let mut rows: Vec<Changed<'_>> = seen().filter(old).map(Changed::Item).collect();
            rows.extend(members().filter(|member| member.rev > cursor.rev).map(Changed::Member));
            let read = |member: &&Member| member.receipt_rev > cursor.rev && member.state == JOINED;
            rows.extend(members().filter(read).map(Changed::Receipt));
            rows.sort_by_key(Changed::rev);
            let (changed, all) = whole_revs(rows, left);
            rev = if all { table.row.rev } else { changed.last().map_or(rev, Changed::rev) };
            delta.last = all;
            put(&mut delta, &changed);
        }
        if !guards.paging() {
            rev = table.row.rev;
        }
        let seq = if delta.last { table.row.seq } else { seq };
        delta.to = Some(Cursor { room: cursor.room, rev, seq }.wire());
        delta
    }

    /// A page of a person's changes: the number, the rows and their mentions, which without a snapshot are read one after
    /// the other.
    pub(crate) fn user_delta(&self, person: usize, after: i64, limit: usize) -> v1::UserDelta {
        let now = self.user_revs[person];
        let (after, rows) = self.user_rows(person, after, now, limit);
        self.user_page(after, now, rows, limit)
    }

    /// The rows of such a page, one more than fit.
    pub(crate) fn user_rows(&self, person: usize, after: i64, now: i64, limit: usize) -> (i64, Vec<Member>) {
        let after = if after > now { 0 } else { after };
        (after, self.memberships_changed(person, after, limit + 1))
    }

    /// Such a page, with the mentions as they are now.
    pub(crate) fn user_page(&self, after: i64, now: i64, mut rows: Vec<Member>, limit: usize) -> v1::UserDelta {
        let last = rows.len() <= limit;
        if !last {
            let cut = rows.pop().map_or(0, |row| row.user_rev);
            rows.retain(|row| row.user_rev < cut);
        }
        let to = if last { now } else { rows.last().map_or(after, |row| row.user_rev) };
        let mentions = |row: &Member| self.mentions((room_of(row.room_id), person_of(row.user_id)));
        let memberships = rows.iter().map(|row| rooms::wire::membership(row, mentions(row))).collect();
        v1::UserDelta { from_user_rev: after, to_user_rev: to, last, memberships }
    }
}

fn whole_revs(mut rows: Vec<Changed<'_>>, most: usize) -> (Vec<Changed<'_>>, bool) {
    if rows.len() <= most {
        return (rows, true);
    }
    let (cut, first) = (rows[most].rev(), rows[0].rev());
    let kept = if cut == first {
        rows.partition_point(|row| row.rev() <= cut)
    } else {
        rows.partition_point(|row| row.rev() < cut)
    };
    let all = kept == rows.len();
    rows.truncate(kept);
    (rows, all)
}

fn put(delta: &mut v1::RoomDelta, changed: &[Changed<'_>]) {
    for row in changed {
        match row {
            Changed::Item(item) => delta.messages.push(timeline::wire::message(item)),
            Changed::Member(member) => delta.members.push(rooms::wire::member(member)),
            Changed::Receipt(member) => delta.receipts.push(rooms::wire::receipt(member)),
        }
    }
}
