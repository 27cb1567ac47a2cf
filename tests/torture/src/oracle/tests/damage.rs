//! Kinds of damage, each with what it must be found as.

use madang_proto::v1::{ErrorReason, Member};
use madang_sdk_core::{OutboxItem, RoomSnapshot, SendState};

use super::{AWAY, History, MessageFacts, RoomFacts, Sight, Wrong, acknowledged, message};
use crate::history::{Heard, News, Sighting};

type Damage = fn(&mut History);

/// All kinds.
pub const ALL: &[(&str, Wrong, Damage)] = &[
    ("an acknowledged message is gone from the database", Wrong::Lost, dropped),
    ("an acknowledged message is there twice", Wrong::Repeated, repeated),
    ("two messages have changed places", Wrong::Reordered, swapped),
    ("a message was acknowledged at another position", Wrong::Reordered, elsewhere),
    ("typed later, stored earlier", Wrong::Reordered, typed_later),
    ("a text is stored under two ids", Wrong::Repeated, two_ids),
    ("positions have a hole", Wrong::Lost, |h| drop(room(h).messages.remove(2))),
    ("the room ends before its seq", Wrong::Lost, |h| room(h).seq += 1),
    ("the room's count is wrong", Wrong::Badge, |h| room(h).count += 1),
    ("an item's count is wrong", Wrong::Badge, |h| room(h).messages[3].count += 1),
    ("two changes have one number", Wrong::Store, |h| room(h).messages[3].rev = room(h).messages[2].rev),
    ("the number of members is wrong", Wrong::Store, |h| room(h).member_count += 1),
    ("a mark has the wrong count", Wrong::Badge, |h| room(h).members.get_mut("person0").unwrap().read_count += 1),
    ("the database has another sender", Wrong::Store, other_sender),
    ("the database has another text", Wrong::Store, other_text),
    ("acknowledged once, waiting now", Wrong::Lost, |h| outbox(h).state = SendState::Queued),
    ("what was typed is nowhere", Wrong::Lost, nowhere),
    ("what was refused is stored twice", Wrong::Repeated, refused_twice),
    ("a store lacks a message", Wrong::Store, |h| drop(held(h).messages.remove(&3))),
    ("a store has a message's older text", Wrong::Store, older_text),
    ("a store has a message's older revision", Wrong::Store, |h| held(h).messages.get_mut(&5).unwrap().rev -= 1),
    ("a store lacks a tombstone", Wrong::Store, |h| held(h).messages.get_mut(&6).unwrap().tombstone = None),
    ("a store has another sender", Wrong::Store, |h| held(h).messages.get_mut(&3).unwrap().sender_id.push('x')),
    ("a store has two messages exchanged", Wrong::Store, exchanged),
    ("a store has an item of another room", Wrong::Store, foreign_item),
    ("a store holds an unknown room", Wrong::Leak, |h| foreign_room(h, "nowhere")),
    ("a store has a stale badge", Wrong::Badge, |h| held(h).unread += 1),
    ("a store's total is stale", Wrong::Badge, |h| h.devices[0].store.unread_total -= 1),
    ("a mark was lowered", Wrong::Store, |h| held(h).membership.as_mut().unwrap().last_read_seq -= 1),
    ("a mention is missing", Wrong::Badge, |h| change_mentions(h, false)),
    ("a mention is stale", Wrong::Badge, |h| change_mentions(h, true)),
    ("a member is missing", Wrong::Store, |h| drop(held(h).members.remove("person1"))),
    ("a member is there who has gone", Wrong::Store, gone_member),
    ("a receipt is old", Wrong::Store, |h| held(h).receipts.get_mut("person1").unwrap().last_read_seq -= 1),
    ("a room's name is stale", Wrong::Store, |h| held(h).room.as_mut().unwrap().name = "before".into()),
    ("the newest message is stale", Wrong::Store, |h| held(h).last_message.as_mut().unwrap().seq -= 1),
    ("a room is missing", Wrong::Store, |h| drop(h.devices[0].store.rooms.remove("room0"))),
    ("the person's number is old", Wrong::Store, |h| h.devices[0].store.user_rev -= 1),
    ("the server tells an old name", Wrong::Store, server_name),
    ("the server hides a message", Wrong::Store, server_hides),
    ("an item from after a removal", Wrong::Leak, after_removal),
    ("an item from before one's time", Wrong::Leak, before_time),
    ("a room that one was never in", Wrong::Leak, never_in),
    ("items were shown out of order", Wrong::Reordered, |h| sights(h).swap(3, 4)),
    ("an item was shown twice", Wrong::Repeated, shown_twice),
    ("an item was not shown", Wrong::Lost, |h| drop(sights(h).remove(3))),
    ("a list had a hole", Wrong::Lost, |h| broken(h, &[1, 2, 4])),
    ("a list held a message and its echo", Wrong::Repeated, |h| broken(h, &[1, 2, 3, 0])),
    ("a change was told after a removal", Wrong::Leak, |h| tell(h, 3, "room0", |rev| change(rev, None))),
    ("a summary was told after a removal", Wrong::Leak, |h| tell(h, 3, "room0", |rev| verdict(rev, &[]))),
    ("a change of a room that one was never in", Wrong::Leak, |h| tell(h, 0, "nowhere", |rev| change(rev, None))),
    ("a change of an absence was told", Wrong::Leak, |h| tell(h, 1, "room2", |_| change(AWAY.2 + 2, None))),
    ("a summary of an absence was told", Wrong::Leak, |h| tell(h, 1, "room2", |_| verdict(AWAY.2 + 2, &[]))),
    ("an item from before one's time was told", Wrong::Leak, |h| tell(h, 2, "room1", |rev| change(rev, Some(1)))),
    ("a page from before one's time was told", Wrong::Leak, |h| tell(h, 2, "room1", |rev| verdict(rev, &[2, 5]))),
    ("changes were told out of order", Wrong::Reordered, |h| heard(h).swap(3, 4)),
    ("a change was told twice", Wrong::Reordered, told_twice),
    ("a change was not told, and those after it were", Wrong::Reordered, |h| drop(heard(h).remove(4))),
    ("the last change was not told", Wrong::Lost, not_told),
    ("a revoked device got something later", Wrong::Leak, after_revocation),
    ("a revoked device does not know it", Wrong::Leak, |h| h.ended[0].over = None),
    ("a list was out of order", Wrong::Reordered, |h| broken(h, &[1, 3, 2])),
];

/// What the first person's stream says; the first room comes first.
fn heard(history: &mut History) -> &mut Vec<Heard> {
    &mut history.streams[0].heard
}

/// Says something more on somebody's stream, by the revision behind the room's.
fn tell(history: &mut History, person: usize, room: &str, news: impl FnOnce(i64) -> News) {
    let rev = history.rooms.get(room).map_or(1, |room| room.rev) + 1;
    history.streams[person].heard.push(Heard { room: room.into(), news: news(rev) });
}

fn change(rev: i64, seq: Option<i64>) -> News {
    News::Event { prev_rev: rev - 1, rev, seq }
}

fn verdict(rev: i64, seqs: &[i64]) -> News {
    News::Verdict { rev, seqs: seqs.to_vec() }
}

fn told_twice(history: &mut History) {
    let again = heard(history)[3].clone();
    heard(history).insert(4, again);
}

fn not_told(history: &mut History) {
    let last = heard(history).iter().rposition(|heard| heard.room == "room0").unwrap();
    heard(history).remove(last);
}

fn after_revocation(history: &mut History) {
    let store = history.ended[0].store.as_mut().unwrap();
    store.rooms.get_mut("room0").unwrap().messages.get_mut(&2).unwrap().rev += 90;
}

fn room(history: &mut History) -> &mut RoomFacts {
    history.rooms.get_mut("room0").unwrap()
}

fn held(history: &mut History) -> &mut RoomSnapshot {
    history.devices[0].store.rooms.get_mut("room0").unwrap()
}

fn outbox(history: &mut History) -> &mut OutboxItem {
    &mut history.devices[0].store.outbox[0]
}

fn sights(history: &mut History) -> &mut Vec<Sighting> {
    &mut history.devices[0].sights
}

/// The place of the first acknowledged send.
fn place(history: &mut History) -> (&mut RoomFacts, usize) {
    let (id, acknowledged) = acknowledged(history);
    let room = history.rooms.get_mut(&acknowledged.room).unwrap();
    let at = room.messages.iter().position(|message| message.client_message_id == id).unwrap();
    (room, at)
}

fn dropped(history: &mut History) {
    let (room, at) = place(history);
    room.messages.remove(at);
}

fn repeated(history: &mut History) {
    let (room, at) = place(history);
    let again =
        MessageFacts { seq: room.seq + 1, rev: room.rev + 1, count: room.count + 1, ..room.messages[at].clone() };
    (room.seq, room.rev, room.count) = (again.seq, again.rev, again.count);
    room.messages.push(again);
}

fn two_ids(history: &mut History) {
    repeated(history);
    place(history).0.messages.last_mut().unwrap().client_message_id = "another".into();
}

fn swapped(history: &mut History) {
    let (room, at) = place(history);
    let other = (at + 1) % room.messages.len();
    let (a, b) = (room.messages[at].seq, room.messages[other].seq);
    (room.messages[at].seq, room.messages[other].seq) = (b, a);
    room.messages.swap(at, other);
}

fn elsewhere(history: &mut History) {
    history.journal.acknowledged.values_mut().next().unwrap().seq += 1;
}

fn typed_later(history: &mut History) {
    let outbox = &mut history.devices[0].store.outbox;
    let at = outbox.windows(2).position(|pair| pair[0].room_id == pair[1].room_id);
    match at {
        Some(at) => outbox.swap(at, at + 1),
        None => outbox.push(OutboxItem { seq: Some(0), ..outbox[0].clone() }),
    }
}

fn other_sender(history: &mut History) {
    let (room, at) = place(history);
    room.messages[at].sender = "somebody".into();
}

fn other_text(history: &mut History) {
    let (room, at) = place(history);
    room.messages[at].text = "never typed".into();
}

fn nowhere(history: &mut History) {
    let item = history.devices[0].store.outbox.remove(0);
    history.journal.acknowledged.remove(&item.client_message_id);
    history.journal.ever_acknowledged.remove(&item.client_message_id);
    for room in history.rooms.values_mut() {
        room.messages.retain(|message| message.client_message_id != item.client_message_id);
    }
}

fn refused_twice(history: &mut History) {
    let item = outbox(history);
    item.state = SendState::Failed { reason: ErrorReason::RoomNotFound, message: String::new() };
    let (id, room) = (item.client_message_id.clone(), item.room_id.clone());
    history.journal.acknowledged.remove(&id);
    let room = history.rooms.get_mut(&room).unwrap();
    let twice = room.messages.iter().find(|message| message.client_message_id == id).unwrap().clone();
    room.messages.push(twice);
}

fn older_text(history: &mut History) {
    held(history).messages.get_mut(&5).unwrap().body.as_mut().unwrap().text = "before the edit".into();
}

fn exchanged(history: &mut History) {
    let messages = &mut held(history).messages;
    let (two, three) = (messages[&2].clone(), messages[&3].clone());
    messages.extend([(2, three), (3, two)]);
}

fn foreign_item(history: &mut History) {
    let item = message("room1", &history.rooms["room1"].messages[3]);
    held(history).messages.insert(item.seq, item);
}

fn foreign_room(history: &mut History, id: &str) {
    let room = RoomSnapshot { joined: false, ..held(history).clone() };
    history.devices[0].store.rooms.insert(id.into(), room);
}

fn change_mentions(history: &mut History, more: bool) {
    let held = held(history);
    if more || held.mentions.is_empty() {
        held.mentions.push(99);
    } else {
        held.mentions.pop();
    }
}

fn gone_member(history: &mut History) {
    let gone = Member { user_id: "person3".into(), ..held(history).members["person1"].clone() };
    held(history).members.insert("person3".into(), gone);
}

fn server_name(history: &mut History) {
    let there = history.fresh.get_mut("person0").unwrap().rooms.get_mut("room0").unwrap();
    there.present.room.as_mut().unwrap().name = "before".into();
    held(history).room.as_mut().unwrap().name = "before".into();
}

fn server_hides(history: &mut History) {
    history.fresh.get_mut("person0").unwrap().rooms.get_mut("room0").unwrap().messages.remove(&4);
    held(history).messages.remove(&4);
}

/// The last person has left the first room.
fn after_removal(history: &mut History) {
    let room = room(history);
    let (seq, rev) = (room.seq + 1, room.rev + 1);
    let later = message("room0", &MessageFacts { seq, rev, ..room.messages[3].clone() });
    history.devices[3].store.rooms.get_mut("room0").unwrap().messages.insert(seq, later);
}

/// The third person may see the second room from its third item.
fn before_time(history: &mut History) {
    let early = message("room1", &history.rooms["room1"].messages[1]);
    history.devices[2].store.rooms.get_mut("room1").unwrap().messages.insert(2, early);
}

fn never_in(history: &mut History) {
    history.rooms.get_mut("room0").unwrap().members.remove("person3");
}

fn shown_twice(history: &mut History) {
    let sights = sights(history);
    sights.insert(3, sights[2].clone());
}

fn broken(history: &mut History, rows: &[i64]) {
    let sight = Sight::Broken { rows: rows.to_vec() };
    sights(history).push(Sighting { room: "room0".into(), opening: (1, 0), sight });
}
