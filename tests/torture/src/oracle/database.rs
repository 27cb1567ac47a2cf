//! The database by itself, and what the server tells of it: positions dense, counts right, each change numbered.

use std::collections::BTreeSet;

use madang_proto::v1::{Message, MessageKind};
use madang_tests::fresh::FreshRoom;

use super::{Findings, Wrong};
use crate::history::{History, MessageFacts, RoomFacts};

pub(super) fn check(history: &History, found: &mut Findings) {
    for (id, room) in &history.rooms {
        positions(id, room, found);
        numbers(id, room, found);
        told_apart(id, room, found);
    }
    for (person, fresh) in &history.fresh {
        let mine = history.rooms.iter().filter(|(_, room)| is_in(room, person)).map(|(id, _)| id);
        let (mine, told): (Vec<_>, Vec<_>) = (mine.collect(), fresh.rooms.keys().collect());
        found.check(mine == told, Wrong::Store, || format!("{person} is in {mine:?}, and the server tells {told:?}"));
        for (id, there) in &fresh.rooms {
            if let Some(room) = history.rooms.get(id) {
                fresh_room(&format!("what the server tells {person} of room {id}"), person, room, there, found);
            }
        }
    }
}

/// Whether a person is in a room that has not ended.
pub(super) fn is_in(room: &RoomFacts, person: &str) -> bool {
    !room.ended && room.members.get(person).is_some_and(|member| member.joined)
}

/// Dense from the first, and as many as the room says.
fn positions(id: &str, room: &RoomFacts, found: &mut Findings) {
    let mut expected = room.first_seq;
    for message in &room.messages {
        if message.seq < expected {
            found.add(Wrong::Repeated, format!("room {id}: position {} is there again", message.seq));
        } else if message.seq > expected {
            found.add(Wrong::Lost, format!("room {id}: positions {expected} to {} are missing", message.seq - 1));
        }
        expected = expected.max(message.seq + 1);
    }
    found.check(expected == room.seq + 1, Wrong::Lost, || {
        format!("room {id}: items up to {}, and the room says {}", expected - 1, room.seq)
    });
}

/// Countable items are counted, and members.
fn numbers(id: &str, room: &RoomFacts, found: &mut Findings) {
    let mut count = room.first_count;
    for message in &room.messages {
        count += i64::from(!message.notice);
        found.check(message.count == count, Wrong::Badge, || {
            format!("room {id}: item {} has count {}, and is number {count}", message.seq, message.count)
        });
    }
    found.check(room.count == count, Wrong::Badge, || format!("room {id}: count {}, and {count} items", room.count));
    let joined = room.members.values().filter(|member| member.joined).count();
    found.check(usize::try_from(room.member_count) == Ok(joined), Wrong::Store, || {
        format!("room {id}: member_count {}, and {joined} members", room.member_count)
    });
    for (person, member) in &room.members {
        mark(&format!("room {id}: {person}"), room, member.last_read_seq, member.read_count, found);
    }
}

/// The count of a mark is that of the greatest item at or below it.
fn mark(whose: &str, room: &RoomFacts, seq: i64, count: i64, found: &mut Findings) {
    let below = room.messages.iter().take_while(|message| message.seq <= seq).last();
    let expected = below.map_or(room.first_count, |message| message.count);
    found.check(count == expected, Wrong::Badge, || {
        format!("{whose} has read up to {seq} with count {count}, and there are {expected}")
    });
}

/// Every change has a number of its own, and every message of a sender an id and a text of its own.
fn told_apart(id: &str, room: &RoomFacts, found: &mut Findings) {
    let (mut revs, mut ids, mut texts) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let changes = room.messages.iter().map(|message| message.rev).chain(room.members.values().map(|member| member.rev));
    for rev in changes {
        found.check(revs.insert(rev), Wrong::Store, || format!("room {id}: two changes have number {rev}"));
        found.check(rev <= room.rev, Wrong::Store, || format!("room {id}: a change {rev} above {}", room.rev));
    }
    for message in room.messages.iter().filter(|message| !message.notice) {
        found.check(ids.insert((&message.sender, &message.client_message_id)), Wrong::Repeated, || {
            format!("room {id}: {} has sent {} twice", message.sender, message.client_message_id)
        });
        // Every text of a plan is another.
        let again = !message.text.is_empty() && !message.deleted && !texts.insert(&message.text);
        found.check(!again, Wrong::Repeated, || format!("room {id}: the text {:?} is there twice", message.text));
    }
}

/// What the server tells is what the database has.
fn fresh_room(whose: &str, person: &str, room: &RoomFacts, there: &FreshRoom, found: &mut Findings) {
    let from = room.members.get(person).map_or(1, |member| member.history_from_seq);
    let visible: Vec<&MessageFacts> = room.messages.iter().filter(|message| message.seq >= from).collect();
    let told: Vec<MessageFacts> = there.messages.values().map(facts).collect();
    let same = visible.iter().copied().eq(told.iter());
    found.check(same, Wrong::Store, || {
        let first = visible.iter().zip(&told).find(|(one, other)| **one != *other);
        format!("{whose}: {} items for {}; the first that differs: {first:?}", told.len(), visible.len())
    });
    let told = there.present.room.clone().unwrap_or_default();
    let (numbers, numbers_told) = ((room.seq, room.count, room.rev), (told.seq, told.count, told.rev));
    found.check(numbers == numbers_told && room.name == told.name, Wrong::Store, || {
        format!("{whose}: seq, count, rev {numbers_told:?} {:?} for {numbers:?} {:?}", told.name, room.name)
    });
    if !told.large {
        let joined: Vec<_> =
            room.members.iter().filter(|(_, m)| m.joined).map(|(id, m)| (id.as_str(), m.rev)).collect();
        let told: Vec<_> = there.members.iter().map(|(id, member)| (id.as_str(), member.rev)).collect();
        found.check(joined == told, Wrong::Store, || format!("{whose}: members {told:?} for {joined:?}"));
    }
}

/// A message of the contract, as the database would have it.
pub(super) fn facts(message: &Message) -> MessageFacts {
    MessageFacts {
        seq: message.seq,
        rev: message.rev,
        count: message.count,
        sender: message.sender_id.clone(),
        client_message_id: message.client_message_id.clone(),
        notice: message.kind() == MessageKind::System,
        text: message.body.as_ref().map(|body| body.text.clone()).unwrap_or_default(),
        edited: message.edited_at.is_some(),
        deleted: message.tombstone.is_some(),
        mentioned: message.mentioned_user_ids.iter().cloned().collect(),
        mentions_all: message.mentions_all,
    }
}
