//! What transactions do, restated from `messages/writer/batch.rs`, `messages/service.rs`, `rooms/people.rs` and
//! `rooms/store.rs`: what each locks, what it decides under its locks, what it writes, and whom it tells.

use chrono::{DateTime, Utc};
use madang_proto::v1::{self, ErrorReason, room_event::Change};
use madang_server::{
    access::JOINED,
    realtime::{self, PersonEvent, RoomEvent},
    rooms::{self, Member},
    timeline::{self, Item, Kind, Notice, wire::NoticeKind},
};
use uuid::Uuid;

use super::{Db, Place, Stay, new_member, person_of, room_id, room_named, room_of, user_id};

/// What a call asks to be changed.
#[derive(Debug, Clone)]
pub(crate) enum Task {
    Send(v1::SendMessageRequest),
    Mark {
        room: usize,
        seq: i64,
        generation: i64,
        unread: bool,
    },
    Edit {
        room: usize,
        seq: i64,
        text: String,
        mention: Option<usize>,
    },
    Delete {
        room: usize,
        seq: i64,
    },
    Join {
        room: usize,
    },
    Leave {
        room: usize,
    },
    Invite {
        room: usize,
        person: usize,
    },
    Remove {
        room: usize,
        person: usize,
    },
    /// Nothing, but slowly.
    Nothing,
}

/// What a transaction locks, in the order in which it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    Room(usize),
    Person(usize),
    Member(usize, usize),
}

/// Who is told of a commit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    pub(crate) rooms: Vec<RoomEvent>,
    pub(crate) people: Vec<PersonEvent>,
}

/// What a transaction answers.
#[derive(Debug, Clone)]
pub(crate) enum Done {
    Sent(Box<v1::SendMessageResponse>),
    Marked(Box<v1::Membership>, i64),
    Changed(Box<v1::Message>, i64, i64),
    Entered(Box<v1::RoomSummary>),
    Left(Box<v1::Membership>),
    Happened(Vec<v1::RoomEvent>),
    Refused(ErrorReason),
}

impl Task {
    /// What it locks for a person as things are, rooms first.
    pub(crate) fn locks(&self, me: usize, db: &Db) -> Vec<Lock> {
        match self {
            Self::Send(request) => {
                let room = room_named(&request.room_id);
                let last = db.rooms[room].row.last_countable_seq;
                let has_read_all = db.member((room, me)).is_some_and(|member| member.last_read_seq >= last);
                let may_move = request.seen_seq > 0 || has_read_all;
                [Lock::Room(room)].into_iter().chain(may_move.then_some(Lock::Member(room, me))).collect()
            }
            Self::Mark { room, .. } => vec![Lock::Person(me), Lock::Member(*room, me)],
            Self::Edit { room, .. } | Self::Delete { room, .. } => vec![Lock::Room(*room)],
            Self::Join { room } | Self::Leave { room } => {
                vec![Lock::Room(*room), Lock::Person(me), Lock::Member(*room, me)]
            }
            Self::Invite { room, person } | Self::Remove { room, person } => {
                vec![Lock::Room(*room), Lock::Person(*person), Lock::Member(*room, *person)]
            }
            Self::Nothing => Vec::new(),
        }
    }

    /// The room whose membership it depends on.
    pub(crate) fn room(&self) -> Option<usize> {
        match self {
            Self::Send(request) => Some(room_named(&request.room_id)),
            Self::Mark { room, .. }
            | Self::Edit { room, .. }
            | Self::Delete { room, .. }
            | Self::Join { room }
            | Self::Leave { room }
            | Self::Invite { room, .. }
            | Self::Remove { room, .. } => Some(*room),
            Self::Nothing => None,
        }
    }
}

const NOT_FOUND: Done = Done::Refused(ErrorReason::RoomNotFound);

/// A transaction's own view of what it changes.
struct Tx<'a> {
    db: &'a mut Db,
    xid: i64,
    me: usize,
    at: DateTime<Utc>,
    told: Told,
}

impl Db {
    /// Decides and writes at once, which nobody can tell from one after the other, because the locks are held. `is_in`: the
    /// membership as it was read.
    pub(crate) fn commit(
        &mut self,
        xid: i64,
        (me, is_in): (usize, bool),
        task: &Task,
        at: DateTime<Utc>,
    ) -> (Done, Told) {
        let mut tx = Tx { db: self, xid, me, at, told: Told::default() };
        let done = match task {
            Task::Send(request) => tx.send(request, is_in),
            _ if task.room().is_some() && !is_in && !matches!(task, Task::Join { .. }) => NOT_FOUND,
            Task::Mark { room, seq, generation, unread } => tx.mark(*room, *seq, *generation, *unread),
            Task::Edit { room, seq, text, mention } => tx.edit(*room, *seq, text, *mention),
            Task::Delete { room, seq } => tx.delete(*room, *seq),
            Task::Join { room } => tx.join(*room),
            Task::Leave { room } => tx.leave(*room),
            Task::Invite { room, person } => tx.invite(*room, *person),
            Task::Remove { room, person } => tx.remove(*room, *person),
            Task::Nothing => Done::Happened(Vec::new()),
        };
        let told = tx.told;
        self.end(xid);
        (done, told)
    }

    /// Writes a stay that begins; the first members of a room come in without a transaction.
    pub(super) fn let_in(&mut self, (room, person): Place, at: DateTime<Utc>) -> Member {
        self.user_revs[person] += 1;
        let user_rev = self.user_revs[person];
        let table = &mut self.rooms[room];
        let row = &mut table.row;
        row.rev += 1;
        row.member_count += 1;
        let known = table.members[person].take();
        let generation = known.as_ref().map_or(0, |member| member.read_generation + 1);
        let member = Member {
            joined_at: at,
            history_from_seq: if row.history_hidden { row.seq + 1 } else { 1 },
            rev: row.rev,
            user_rev,
            last_read_seq: row.seq,
            read_count: row.count,
            read_generation: generation,
            told_read: row.seq,
            receipt_rev: row.rev,
            ..new_member((room, person), at)
        };
        table.stays[person].push(Stay { from: row.rev, to: i64::MAX, history_from: member.history_from_seq });
        table.members[person] = Some(member.clone());
        member
    }
}

impl Tx<'_> {
    fn touch(&mut self, room: usize) {
        self.db.rooms[room].row.changed_xid = self.xid;
        self.db.changes.push((self.xid, room));
    }

    fn tell_item(&mut self, room: usize, item: &Item) -> v1::RoomEvent {
        self.touch(room);
        let event = timeline::wire::item_event(room_id(room), user_id(self.me), item);
        self.told.rooms.push(realtime::wire::room_event(room_id(room), event.clone()));
        event
    }

    fn tell_member(&mut self, room: usize, member: &Member) -> v1::RoomEvent {
        self.touch(room);
        let receipt = (member.state == JOINED).then(|| rooms::wire::receipt(member));
        let member_count = self.db.rooms[room].row.member_count;
        let change = v1::MemberChange { member: Some(rooms::wire::member(member)), member_count, receipt };
        let event = v1::RoomEvent {
            room_id: room_id(room).to_string(),
            prev_rev: member.rev - 1,
            rev: member.rev,
            actor_id: user_id(self.me).to_string(),
            change: Some(Change::Member(change)),
        };
        self.told.rooms.push(realtime::wire::room_event(room_id(room), event.clone()));
        event
    }

    fn tell_person(&mut self, member: &Member, mentions: Vec<i64>, numbers: (i64, i64)) {
        self.told.people.push(rooms::wire::tell_person(member.user_id, member, mentions, numbers));
    }

    fn notice(&mut self, room: usize, kind: NoticeKind, person: usize) -> v1::RoomEvent {
        let notice = Notice { kind, people: vec![user_id(person)], at: self.at };
        let row = &mut self.db.rooms[room].row;
        row.seq += 1;
        row.rev += 1;
        let item = Item {
            seq: row.seq,
            rev: row.rev,
            count: row.count,
            kind: Kind::System as i16,
            extra: Some(timeline::wire::notice_extra(user_id(self.me), &notice)),
            ..new_item(room, self.me, self.at)
        };
        self.db.rooms[room].items.push(item.clone());
        self.tell_item(room, &item)
    }

    fn send(&mut self, request: &v1::SendMessageRequest, is_in: bool) -> Done {
        let room = room_named(&request.room_id);
        let id = Uuid::try_parse(&request.client_message_id).ok();
        let stored = self.db.rooms[room].items.iter().find(|item| item.client_message_id == id && id.is_some());
        if let Some(item) = stored.filter(|_| self.db.idempotent) {
            let message = Some(timeline::wire::message(item));
            return Done::Sent(Box::new(v1::SendMessageResponse { message, prev_rev: 0, rev: 0 }));
        }
        if !is_in {
            return NOT_FOUND;
        }
        let mentioned = self.joined_of(room, &request.mentioned_user_ids);
        let item = self.append(room, request, id, mentioned);
        self.db.rooms[room].items.push(item.clone());
        self.tell_item(room, &item);
        let message = Some(timeline::wire::message(&item));
        Done::Sent(Box::new(v1::SendMessageResponse { message, prev_rev: item.rev - 1, rev: item.rev }))
    }

    fn append(
        &mut self,
        room: usize,
        request: &v1::SendMessageRequest,
        id: Option<Uuid>,
        mentioned: Option<Vec<Uuid>>,
    ) -> Item {
        let table = &mut self.db.rooms[room];
        let row = &mut table.row;
        let mut nobody = new_member((room, self.me), self.at);
        // Without the guard somebody may be let through who is not in the room any more.
        let member = table.members[self.me].as_mut().unwrap_or(&mut nobody);
        let seen = if request.seen_generation == member.read_generation { request.seen_seq.min(row.seq) } else { 0 };
        let saw_all = seen.max(member.last_read_seq) >= row.last_countable_seq;
        row.seq += 1;
        row.count += 1;
        row.rev += 1;
        row.last_countable_seq = row.seq;
        row.last_active_at = self.at;
        if saw_all {
            member.last_read_seq = row.seq;
            member.read_count = row.count;
            member.told_read = row.seq;
            member.receipt_rev = row.rev;
        }
        Item {
            seq: row.seq,
            rev: row.rev,
            count: row.count,
            client_message_id: id,
            mark_generation: saw_all.then_some(member.read_generation),
            text: request.body.as_ref().map(|body| body.text.clone()).unwrap_or_default(),
            mentioned,
            mentions_all: request.mention_all,
            ..new_item(room, self.me, self.at)
        }
    }

    /// Those of the people who are in the room.
    fn joined_of(&self, room: usize, people: &[String]) -> Option<Vec<Uuid>> {
        let members = self.db.rooms[room].members.iter().flatten().filter(|member| member.state == JOINED);
        let joined: Vec<Uuid> = members
            .filter(|member| people.contains(&member.user_id.to_string()))
            .map(|member| member.user_id.0)
            .collect();
        (!joined.is_empty()).then_some(joined)
    }

    fn mark(&mut self, room: usize, seq: i64, generation: i64, unread: bool) -> Done {
        let target = if unread { seq - 1 } else { seq };
        let table = &mut self.db.rooms[room];
        let stored = table.items.iter().rev().find(|item| item.seq <= target);
        let (seq, count) = stored.map_or((0, 0), |item| (item.seq, item.count));
        let Some(member) = table.members[self.me].as_mut() else { return NOT_FOUND };
        let moves = generation == member.read_generation && (unread || seq > member.last_read_seq);
        let mut prev_user_rev = 0;
        if moves {
            prev_user_rev = self.db.user_revs[self.me];
            self.db.user_revs[self.me] += 1;
            member.last_read_seq = seq;
            member.read_count = count;
            member.read_generation += i64::from(unread);
            member.user_rev = prev_user_rev + 1;
        }
        let member = member.clone();
        let mentions = self.db.mentions((room, self.me));
        if moves {
            self.tell_person(&member, mentions.clone(), (0, 0));
        }
        Done::Marked(Box::new(rooms::wire::membership(&member, mentions)), prev_user_rev)
    }

    /// A text of the person's own that can still be changed.
    fn own_text(&self, room: usize, seq: i64) -> Option<usize> {
        let from = self.db.member((room, self.me))?.history_from_seq;
        let at = self.db.rooms[room].items.iter().position(|item| item.seq == seq && seq >= from)?;
        let item = &self.db.rooms[room].items[at];
        (!item.is_system() && !item.is_deleted() && person_of(item.sender_id) == self.me).then_some(at)
    }

    fn change(&mut self, room: usize, at: usize, change: impl FnOnce(&mut Item)) -> Done {
        let table = &mut self.db.rooms[room];
        table.row.rev += 1;
        let item = &mut table.items[at];
        change(item);
        item.rev = table.row.rev;
        item.changed = true;
        let item = item.clone();
        self.tell_item(room, &item);
        Done::Changed(Box::new(timeline::wire::message(&item)), item.rev - 1, item.rev)
    }

    fn edit(&mut self, room: usize, seq: i64, text: &str, mention: Option<usize>) -> Done {
        let Some(at) = self.own_text(room, seq) else { return Done::Refused(ErrorReason::MessageNotFound) };
        let everybody = mention == Some(self.db.user_revs.len());
        let mentioned = mention.filter(|_| !everybody).map(|person| user_id(person).to_string());
        let mentioned = self.joined_of(room, mentioned.as_slice());
        let now = self.at;
        self.change(room, at, |item| {
            text.clone_into(&mut item.text);
            item.mentioned = mentioned;
            item.mentions_all = everybody;
            item.edited_at = Some(now);
        })
    }

    fn delete(&mut self, room: usize, seq: i64) -> Done {
        let Some(at) = self.own_text(room, seq) else { return Done::Refused(ErrorReason::MessageNotFound) };
        let (me, now) = (user_id(self.me), self.at);
        self.change(room, at, |item| {
            item.text.clear();
            item.mentioned = None;
            item.mentions_all = false;
            item.deleted_by = Some(me.0);
            item.deleted_at = Some(now);
        })
    }

    fn bring_in(&mut self, room: usize, person: usize, kind: NoticeKind) -> Vec<v1::RoomEvent> {
        let member = self.db.let_in((room, person), self.at);
        let told = self.tell_member(room, &member);
        let row = &self.db.rooms[room].row;
        let numbers = (row.rev, row.seq);
        self.tell_person(&member, Vec::new(), numbers);
        vec![told, self.notice(room, kind, person)]
    }

    fn take_out(
        &mut self,
        room: usize,
        person: usize,
        (state, kind): (i16, NoticeKind),
    ) -> (Member, Vec<v1::RoomEvent>) {
        self.db.user_revs[person] += 1;
        let user_rev = self.db.user_revs[person];
        let table = &mut self.db.rooms[room];
        table.row.rev += 1;
        table.row.member_count -= 1;
        let rev = table.row.rev;
        let numbers = (rev, table.row.seq);
        if let Some(stay) = table.stays[person].last_mut() {
            stay.to = rev;
        }
        let member = table.members[person].get_or_insert_with(|| new_member((room, person), self.at));
        (member.state, member.role, member.left_at) = (state, 1, Some(self.at));
        (member.rev, member.user_rev) = (rev, user_rev);
        let member = member.clone();
        let told = self.tell_member(room, &member);
        self.tell_person(&member, Vec::new(), numbers);
        let events = vec![told, self.notice(room, kind, person)];
        (member, events)
    }

    fn join(&mut self, room: usize) -> Done {
        if !self.db.is_in((room, self.me)) {
            self.bring_in(room, self.me, NoticeKind::Joined);
        }
        let summary = self.db.summary((room, self.me), false);
        summary.map_or(NOT_FOUND, |summary| Done::Entered(Box::new(rooms::wire::summary(&summary))))
    }

    fn leave(&mut self, room: usize) -> Done {
        let (member, _) = self.take_out(room, self.me, (2, NoticeKind::Left));
        Done::Left(Box::new(rooms::wire::membership(&member, Vec::new())))
    }

    fn invite(&mut self, room: usize, person: usize) -> Done {
        if self.db.is_in((room, person)) {
            return Done::Happened(Vec::new());
        }
        Done::Happened(self.bring_in(room, person, NoticeKind::Invited))
    }

    fn remove(&mut self, room: usize, person: usize) -> Done {
        if person == self.me || !self.db.is_in((room, person)) {
            return Done::Refused(ErrorReason::MemberNotFound);
        }
        Done::Happened(self.take_out(room, person, (3, NoticeKind::Removed)).1)
    }
}

fn new_item(room: usize, sender: usize, at: DateTime<Utc>) -> Item {
    Item {
        room_id: room_id(room),
        seq: 0,
        rev: 0,
        count: 0,
        sender_id: user_id(sender),
        client_message_id: None,
        payload_hash: None,
        mark_generation: None,
        created_at: at,
        edited_at: None,
        kind: Kind::Text as i16,
        text: String::new(),
        format: 1,
        extra: None,
        mentioned: None,
        mentions_all: false,
        reply_to_seq: 0,
        deleted_by: None,
        deleted_at: None,
        changed: false,
    }
}

impl Told {
    /// Whether nobody is told anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.rooms.is_empty() && self.people.is_empty()
    }

    /// The rooms that it tells of.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = usize> {
        self.rooms.iter().map(|event| room_of(event.room_id))
    }
}
