//! One batch: what is read under its locks, what each draft becomes, what is written and who is told.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::{Draft, Job, Mark, Marked, Sent, Task, rows};
use crate::{
    access::{self, JOINED, Place, RoomPermission, RoomRow},
    error::{Error, Reason, Refusal, Result},
    ids::{RoomId, UserId},
    realtime::{Changes, Node},
    rooms::{self, Member, store::PlaceKey},
    timeline::{self, Item, Kind},
};

/// What became of each job, in their order.
#[derive(Debug)]
pub struct Written(Vec<Outcome>);

#[derive(Debug)]
enum Outcome {
    Sent(Box<Sent>),
    Marked(Box<Marked>),
    Refused(Refusal),
    /// Something it needs is locked elsewhere.
    Locked,
}

type SentKey = (RoomId, UserId, Uuid);

/// What a batch has read, as its drafts change it one by one.
struct Batch {
    rooms: HashMap<RoomId, RoomRow>,
    moved_rooms: BTreeSet<RoomId>,
    people: HashMap<UserId, i64>,
    moved_people: BTreeSet<UserId>,
    members: HashMap<PlaceKey, Member>,
    moved_members: BTreeSet<PlaceKey>,
    /// Stored before, or in this batch.
    sent: HashMap<SentKey, Item>,
    joined: HashSet<PlaceKey>,
    counts: HashMap<(RoomId, i64), (i64, i64)>,
    new: Vec<Item>,
    at: DateTime<Utc>,
    waited: bool,
}

/// Writes a batch in the caller's transaction. Rooms first, then people, then members, each in the order of ids.
pub async fn write(tx: &mut PgConnection, node: &Node, jobs: &[Job], wait: bool) -> Result<Written> {
    if wait {
        rows::set_lock_timeout(tx).await?;
    }
    let mut batch = read(tx, node, jobs, wait).await?;
    let mut outcomes: Vec<Outcome> = jobs.iter().map(|job| batch.decide(&job.task)).collect();
    batch.store(tx).await?;
    fill_mentions(tx, &mut outcomes).await?;
    Ok(Written(outcomes))
}

async fn read(tx: &mut PgConnection, node: &Node, jobs: &[Job], wait: bool) -> Result<Batch> {
    let (mut send_rooms, mut mark_rooms, mut people) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut ids, mut mentioned, mut counted) = (Vec::new(), Vec::new(), Vec::new());
    // Members whose marks may move are locked; whether somebody may post changes only under the room's lock.
    let (mut marked, mut others) = (BTreeSet::new(), BTreeSet::new());
    for job in jobs {
        match &job.task {
            Task::Send(draft, _) => {
                send_rooms.insert(draft.room_id);
                let place = (draft.room_id, draft.sender_id);
                if draft.seen_seq > 0 {
                    marked.insert(place)
                } else {
                    others.insert(place)
                };
                ids.push((draft.room_id, draft.sender_id, draft.client_message_id));
                mentioned.extend(draft.mentioned.iter().map(|user| (draft.room_id, *user)));
            }
            Task::Mark(mark, _) => {
                mark_rooms.insert(mark.room_id);
                people.insert(mark.user_id);
                marked.insert((mark.room_id, mark.user_id));
                counted.push((mark.room_id, mark.target()));
            }
        }
    }
    let others: Vec<PlaceKey> = others.difference(&marked).copied().collect();
    let marked: Vec<PlaceKey> = marked.into_iter().collect();
    let guards = node.database.guards();
    let all = || [marked.clone(), others.clone()].concat();
    let early = if guards.lock_then_read() { None } else { Some(rows::find_members(tx, &all()).await?) };
    let mut rooms = Vec::new();
    if !send_rooms.is_empty() {
        rooms = rows::lock_rooms(tx, &send_rooms.iter().copied().collect::<Vec<_>>(), wait).await?;
    }
    let mut numbers = Vec::new();
    if !people.is_empty() {
        numbers = rows::lock_people(tx, &people.into_iter().collect::<Vec<_>>(), wait).await?;
        let not_locked: Vec<RoomId> = mark_rooms.difference(&send_rooms).copied().collect();
        rooms.extend(rows::find_rooms(tx, &not_locked).await?);
    }
    let members = match early {
        Some(members) => members,
        None => members_of(tx, marked, &others, &rooms).await?,
    };
    let sent = if guards.idempotency() && !ids.is_empty() { rows::find_sent(tx, &ids).await? } else { Vec::new() };
    let joined = if mentioned.is_empty() { Vec::new() } else { rows::find_joined(tx, &mentioned).await? };
    let counts = if counted.is_empty() { Vec::new() } else { rows::find_counts(tx, &counted).await? };
    Ok(Batch {
        rooms: rooms.into_iter().map(|room| (room.id, room)).collect(),
        moved_rooms: BTreeSet::new(),
        people: numbers.into_iter().collect(),
        moved_people: BTreeSet::new(),
        members: members.into_iter().map(|member| ((member.room_id, member.user_id), member)).collect(),
        moved_members: BTreeSet::new(),
        sent: sent
            .into_iter()
            .filter_map(|item| Some(((item.room_id, item.sender_id, item.client_message_id?), item)))
            .collect(),
        joined: joined.into_iter().collect(),
        counts: counted.into_iter().zip(counts).collect(),
        new: Vec::new(),
        at: node.clock.now(),
        waited: wait,
    })
}

/// Members whose marks may move, locked, and others. Of senders who had nothing in front of them these are those who have
/// read everything: what they say themselves is not unread to them.
async fn members_of(
    tx: &mut PgConnection,
    mut marked: Vec<PlaceKey>,
    others: &[PlaceKey],
    rooms: &[RoomRow],
) -> Result<Vec<Member>> {
    let mut members = if others.is_empty() { Vec::new() } else { rows::find_members(tx, others).await? };
    let last: HashMap<RoomId, i64> = rooms.iter().map(|room| (room.id, room.last_countable_seq)).collect();
    members.retain(|member| {
        let has_read_all = last.get(&member.room_id).is_some_and(|last| member.last_read_seq >= *last);
        if has_read_all {
            marked.push((member.room_id, member.user_id));
        }
        !has_read_all
    });
    if !marked.is_empty() {
        members.extend(rows::lock_members(tx, &marked).await?);
    }
    Ok(members)
}

impl Batch {
    fn decide(&mut self, task: &Task) -> Outcome {
        let outcome = match task {
            Task::Send(draft, _) => self.send(draft),
            Task::Mark(mark, _) => self.mark(*mark),
        };
        outcome.unwrap_or_else(|error| Outcome::Refused(error.into_refusal()))
    }

    /// A duplicate is decided before rights: whoever was removed since still learns that the message is there.
    fn send(&mut self, draft: &Draft) -> Result<Outcome> {
        let Some(room) = self.rooms.get(&draft.room_id) else { return self.missing() };
        let key = (draft.room_id, draft.sender_id, draft.client_message_id);
        if let Some(item) = self.sent.get(&key) {
            if item.payload_hash.as_ref() != Some(&draft.payload_hash) {
                let refusal = Refusal::new(Reason::IdReused, "client_message_id names another message");
                return Err(refusal.with("field", "client_message_id").into());
            }
            return Ok(Outcome::Sent(Box::new(Sent { item: item.clone(), prev_rev: 0, rev: 0 })));
        }
        let member = self.members.get(&(draft.room_id, draft.sender_id)).ok_or_else(Error::room_not_found)?;
        check_place(room, member, RoomPermission::Post)?;
        let from = member.history_from_seq.max(room.first_seq);
        if draft.reply_to_seq != 0 && !(from..=room.seq).contains(&draft.reply_to_seq) {
            let refusal = Refusal::new(Reason::MessageNotFound, "reply_to_seq: no such message");
            return Err(refusal.with("seq", draft.reply_to_seq).into());
        }
        let item = self.append(draft)?;
        self.sent.insert(key, item.clone());
        let sent = Sent { prev_rev: item.rev - 1, rev: item.rev, item: item.clone() };
        self.new.push(item);
        Ok(Outcome::Sent(Box::new(sent)))
    }

    /// What was not found is locked elsewhere, unless this lane has waited for it: then it is not there.
    fn missing(&self) -> Result<Outcome> {
        if self.waited { Err(Error::room_not_found()) } else { Ok(Outcome::Locked) }
    }

    /// Gives the message its numbers, and moves its sender's mark if everything before it was seen or read.
    fn append(&mut self, draft: &Draft) -> Result<Item> {
        let room = self.rooms.get_mut(&draft.room_id).ok_or_else(Error::room_not_found)?;
        let place = (draft.room_id, draft.sender_id);
        let member = self.members.get_mut(&place).ok_or_else(Error::room_not_found)?;
        let seen = if draft.seen_generation == member.read_generation { draft.seen_seq.min(room.seq) } else { 0 };
        let saw_all = seen.max(member.last_read_seq) >= room.last_countable_seq;
        room.seq += 1;
        room.count += 1;
        room.rev += 1;
        room.last_countable_seq = room.seq;
        if saw_all {
            member.last_read_seq = room.seq;
            member.read_count = room.count;
            member.told_read = room.seq;
            member.receipt_rev = room.rev;
            self.moved_members.insert(place);
        }
        let mentioned: Vec<Uuid> = draft
            .mentioned
            .iter()
            .filter(|user| self.joined.contains(&(draft.room_id, **user)))
            .map(|user| user.0)
            .collect();
        self.moved_rooms.insert(draft.room_id);
        Ok(Item {
            room_id: draft.room_id,
            seq: room.seq,
            rev: room.rev,
            count: room.count,
            sender_id: draft.sender_id,
            client_message_id: Some(draft.client_message_id),
            payload_hash: Some(draft.payload_hash.clone()),
            mark_generation: saw_all.then_some(member.read_generation),
            created_at: self.at,
            edited_at: None,
            kind: Kind::Text as i16,
            text: draft.text.clone(),
            format: draft.format,
            extra: draft.extra.clone(),
            mentioned: (!mentioned.is_empty()).then_some(mentioned),
            mentions_all: draft.mention_all,
            reply_to_seq: draft.reply_to_seq,
            deleted_by: None,
            deleted_at: None,
            changed: false,
        })
    }

    fn mark(&mut self, mark: Mark) -> Result<Outcome> {
        let Some(room) = self.rooms.get(&mark.room_id) else { return self.missing() };
        if !self.people.contains_key(&mark.user_id) {
            return self.missing();
        }
        let user_rev = self.people.get_mut(&mark.user_id).ok_or_else(Error::room_not_found)?;
        let place = (mark.room_id, mark.user_id);
        let member = self.members.get_mut(&place).ok_or_else(Error::room_not_found)?;
        check_place(room, member, RoomPermission::Read)?;
        let stored = self.counts.get(&(mark.room_id, mark.target())).copied().unwrap_or_default();
        let added = self.new.iter().rev().find(|item| item.room_id == mark.room_id && item.seq <= mark.target());
        let (seq, count) = added.map_or(stored, |item| (item.seq, item.count));
        let moves = mark.generation == member.read_generation && (mark.unread || seq > member.last_read_seq);
        let mut prev_user_rev = 0;
        if moves {
            prev_user_rev = *user_rev;
            self.moved_people.insert(mark.user_id);
            *user_rev += 1;
            member.last_read_seq = seq;
            member.read_count = count;
            member.read_generation += i64::from(mark.unread);
            member.user_rev = *user_rev;
            self.moved_members.insert(place);
        }
        let marked =
            Marked { member: member.clone(), mentions: Vec::new(), prev_user_rev, member_count: room.member_count };
        Ok(Outcome::Marked(Box::new(marked)))
    }

    async fn store(&self, tx: &mut PgConnection) -> Result<()> {
        if !self.new.is_empty() {
            let items: Vec<&Item> = self.new.iter().collect();
            rows::insert_items(tx, &items, self.at).await?;
            let mentions: Vec<_> = self.new.iter().flat_map(mentions_of).collect();
            if !mentions.is_empty() {
                rows::insert_mentions(tx, &mentions).await?;
            }
            let rooms: Vec<&RoomRow> = self.moved_rooms.iter().filter_map(|id| self.rooms.get(id)).collect();
            rows::update_rooms(tx, &rooms, self.at).await?;
        }
        if !self.moved_members.is_empty() {
            let members: Vec<&Member> = self.moved_members.iter().filter_map(|place| self.members.get(place)).collect();
            rows::update_marks(tx, &members).await?;
        }
        if !self.moved_people.is_empty() {
            let people: Vec<_> = self.moved_people.iter().filter_map(|id| Some((*id, *self.people.get(id)?))).collect();
            rows::update_people(tx, &people).await?;
        }
        Ok(())
    }
}

impl Mark {
    /// The item below which the mark goes.
    fn target(&self) -> i64 {
        if self.unread { self.seq - 1 } else { self.seq }
    }
}

fn check_place(room: &RoomRow, member: &Member, permission: RoomPermission) -> Result<()> {
    if room.state == 3 {
        return Err(Error::refused(Reason::RoomEnded, "the room has ended"));
    }
    if member.state != JOINED {
        return Err(Error::room_not_found());
    }
    let place = Place { state: member.state, role: member.role, history_from_seq: member.history_from_seq };
    access::may(permission, room, &place)
}

fn mentions_of(item: &Item) -> Vec<(RoomId, i64, Option<UserId>)> {
    let named = item.mentioned.iter().flatten().map(|id| Some(UserId(*id)));
    named.chain(item.mentions_all.then_some(None)).map(|user| (item.room_id, item.seq, user)).collect()
}

/// The answers to marks name the mentions that are left.
async fn fill_mentions(tx: &mut PgConnection, outcomes: &mut [Outcome]) -> Result<()> {
    let place = |outcome: &Outcome| match outcome {
        Outcome::Marked(marked) => Some((marked.member.room_id, marked.member.user_id)),
        _ => None,
    };
    let places: BTreeSet<PlaceKey> = outcomes.iter().filter_map(place).collect();
    if places.is_empty() {
        return Ok(());
    }
    let found = rows::find_mentions(tx, &places.into_iter().collect::<Vec<_>>()).await?;
    for outcome in outcomes {
        if let Outcome::Marked(marked) = outcome {
            let here = (marked.member.room_id, marked.member.user_id);
            marked.mentions = found.iter().filter(|m| (m.0, m.1) == here).map(|m| m.2).collect();
        }
    }
    Ok(())
}

/// Tells the streams, then the callers; returns the jobs that were locked elsewhere.
pub fn answer(node: &Node, jobs: Vec<Job>, written: Written, alive: bool) -> Vec<Job> {
    let mut changes = Changes::default();
    for outcome in &written.0 {
        match outcome {
            Outcome::Sent(sent) if sent.rev > 0 => {
                changes.rooms.push(timeline::wire::publish_item(sent.item.room_id, sent.item.sender_id, &sent.item));
            }
            Outcome::Marked(marked) if marked.prev_user_rev > 0 => {
                let member = &marked.member;
                changes.people.push(rooms::wire::tell_person(member.user_id, member, marked.mentions.clone(), (0, 0)));
            }
            _ => {}
        }
    }
    if alive {
        node.publish(changes);
    }
    jobs.into_iter().zip(written.0).filter_map(|(job, outcome)| give(job, outcome)).collect()
}

fn give(job: Job, outcome: Outcome) -> Option<Job> {
    match (job.task, outcome) {
        (Task::Send(_, answer), Outcome::Sent(sent)) => _ = answer.send(Ok(*sent)),
        (Task::Mark(_, answer), Outcome::Marked(marked)) => _ = answer.send(Ok(*marked)),
        (Task::Send(_, answer), Outcome::Refused(refusal)) => _ = answer.send(Err(refusal.into())),
        (Task::Mark(_, answer), Outcome::Refused(refusal)) => _ = answer.send(Err(refusal.into())),
        (task, _) => return Some(Job { task, ..job }),
    }
    None
}
