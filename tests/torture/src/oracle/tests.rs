//! The checker is checked: histories that are good are found good, and each kind of damage is found in every one of them.

use std::collections::{BTreeMap, BTreeSet};

use madang_proto::v1::{
    Member, MemberState, Membership, Message, MessageBody, MessageKind, Receipt, Room, RoomPresent, SystemNotice,
    Tombstone,
};
use madang_sdk_core::{OutboxItem, RoomSnapshot, SendState, StoreSnapshot};
use madang_tests::fresh::{Fresh, FreshRoom};
use prost_types::Timestamp;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{Finding, Wrong, judge};
use crate::history::{
    Acknowledged, DeviceFacts, EndedFacts, History, MemberFacts, MessageFacts, Move, RoomFacts, Sight, Sighting, Typed,
};

/// People, each with one device; the last has left the first room.
const PEOPLE: usize = 4;
const ROOMS: usize = 3;

/// In this room this person was away between these revisions.
const AWAY: (usize, usize, i64, i64) = (2, 1, 7, 12);

/// A good history: few people in few rooms, everything as it should be.
pub fn good(seed: u64) -> History {
    let mut rng = StdRng::seed_from_u64(seed);
    let rooms: BTreeMap<String, RoomFacts> = (0..ROOMS).map(|n| (format!("room{n}"), room(n, &mut rng))).collect();
    let mut history = History { rooms, ..History::default() };
    for person in 0..PEOPLE {
        let name = name(person);
        let fresh = fresh(&history.rooms, &name);
        let store = store(&history.rooms, &name, &fresh);
        history.journal.note(person, &store);
        history.journal.typed.extend(store.outbox.iter().map(|item| typed(person, item)));
        let sights = store.rooms.iter().flat_map(|(id, room)| arrivals(id, room)).collect();
        history.fresh.insert(name, fresh);
        history.devices.push(DeviceFacts { device: person, store, sights });
    }
    let limits = history.rooms.iter().map(|(id, room)| (id.clone(), room.rev)).collect();
    let (store, over) = (Some(history.devices[1].store.clone()), Some("revoked".to_owned()));
    history.ended.push(EndedFacts { device: PEOPLE, store, limits, over, closed: false });
    history.streams = (0..PEOPLE).map(|person| listened::stream(&history.rooms, &name(person))).collect();
    history
}

fn name(person: usize) -> String {
    format!("person{person}")
}

fn room(number: usize, rng: &mut StdRng) -> RoomFacts {
    let mut room = RoomFacts { name: format!("plans {number}"), first_seq: 1, ..RoomFacts::default() };
    for person in 0..PEOPLE {
        room.rev += 1;
        let hidden = number == 1 && person == 2;
        let member = MemberFacts { joined: true, rev: room.rev, history_from_seq: 1, ..MemberFacts::default() };
        room.members.insert(name(person), MemberFacts { history_from_seq: if hidden { 3 } else { 1 }, ..member });
    }
    room.messages.push(notice(&mut room.rev));
    for n in 0..rng.random_range(10..16) {
        let sender = if n < PEOPLE { n } else { rng.random_range(0..PEOPLE) };
        let mentioned = if n % 2 == 1 { BTreeSet::from([name((sender + 1) % PEOPLE)]) } else { BTreeSet::new() };
        room.rev += 1;
        room.count += 1;
        room.messages.push(MessageFacts {
            seq: i64::try_from(room.messages.len()).unwrap() + 1,
            rev: room.rev,
            count: room.count,
            sender: name(sender),
            client_message_id: format!("id{number}.{n}"),
            text: format!("text {number}.{n}"),
            mentioned,
            ..MessageFacts::default()
        });
    }
    room.seq = i64::try_from(room.messages.len()).unwrap();
    change(&mut room, 4, |message| (message.text, message.edited) = (format!("{} edited", message.text), true));
    change(&mut room, 5, |message| (message.text, message.deleted) = (String::new(), true));
    for person in 0..PEOPLE {
        let read = usize::try_from(rng.random_range(3..6)).unwrap();
        let member = room.members.get_mut(&name(person)).unwrap();
        (member.last_read_seq, member.read_count) = (i64::try_from(read).unwrap(), room.messages[read - 1].count);
    }
    if number == 0 {
        room.rev += 1;
        let member = room.members.get_mut(&name(PEOPLE - 1)).unwrap();
        (member.joined, member.rev) = (false, room.rev);
    }
    if number == AWAY.0 {
        let step = |rev, came| Move { rev, person: name(AWAY.1), came };
        room.moves = vec![step(1, true), step(AWAY.2, false), step(AWAY.3, true)];
    }
    room.member_count = i64::try_from(room.members.values().filter(|member| member.joined).count()).unwrap();
    room
}

fn notice(rev: &mut i64) -> MessageFacts {
    *rev += 1;
    MessageFacts { seq: 1, rev: *rev, sender: name(0), notice: true, ..MessageFacts::default() }
}

fn change(room: &mut RoomFacts, index: usize, change: impl FnOnce(&mut MessageFacts)) {
    room.rev += 1;
    room.messages[index].rev = room.rev;
    change(&mut room.messages[index]);
}

fn message(room_id: &str, facts: &MessageFacts) -> Message {
    let body =
        (!facts.notice && !facts.deleted).then(|| MessageBody { text: facts.text.clone(), ..MessageBody::default() });
    Message {
        room_id: room_id.to_owned(),
        seq: facts.seq,
        rev: facts.rev,
        count: facts.count,
        sender_id: facts.sender.clone(),
        client_message_id: facts.client_message_id.clone(),
        kind: if facts.notice { MessageKind::System } else { MessageKind::Text }.into(),
        system: facts.notice.then(SystemNotice::default),
        edited_at: facts.edited.then(Timestamp::default),
        tombstone: facts.deleted.then(Tombstone::default),
        mentioned_user_ids: facts.mentioned.iter().cloned().collect(),
        mentions_all: facts.mentions_all,
        body,
        ..Message::default()
    }
}

fn fresh(rooms: &BTreeMap<String, RoomFacts>, me: &str) -> Fresh {
    let mut fresh = Fresh { user_rev: 5, ..Fresh::default() };
    for (id, room) in rooms.iter().filter(|(_, room)| room.members[me].joined) {
        let there = fresh_room(id, room, me);
        let membership = there.present.membership.as_ref().unwrap();
        fresh.unread += room.count - membership.read_count;
        fresh.mentions += i64::try_from(membership.unread_mention_seqs.len()).unwrap();
        fresh.rooms.insert(id.clone(), there);
    }
    fresh
}

fn fresh_room(id: &str, room: &RoomFacts, me: &str) -> FreshRoom {
    let mine = &room.members[me];
    let messages: BTreeMap<i64, Message> =
        room.messages.iter().filter(|m| m.seq >= mine.history_from_seq).map(|m| (m.seq, message(id, m))).collect();
    let mentions = room.messages.iter().filter(|m| {
        m.mentioned.contains(me) && m.seq > mine.last_read_seq && m.seq >= mine.history_from_seq && !m.deleted
    });
    let members: BTreeMap<String, Member> =
        room.members.iter().filter(|(_, m)| m.joined).map(|(name, m)| (name.clone(), member(id, name, m))).collect();
    let receipts = members.keys().map(|name| Receipt {
        user_id: name.clone(),
        last_read_seq: room.members[name].last_read_seq,
        rev: room.rev,
        ..Receipt::default()
    });
    let membership = Membership {
        member: Some(member(id, me, mine)),
        last_read_seq: mine.last_read_seq,
        read_count: mine.read_count,
        unread_mention_seqs: mentions.map(|m| m.seq).collect(),
        user_rev: 5,
        ..Membership::default()
    };
    let told = Room {
        id: id.to_owned(),
        name: room.name.clone(),
        seq: room.seq,
        count: room.count,
        rev: room.rev,
        first_seq: 1,
        member_count: i32::try_from(room.member_count).unwrap(),
        ..Room::default()
    };
    let last_message = room.messages.last().map(|last| message(id, last));
    let present = RoomPresent { room: Some(told), membership: Some(membership), last_message };
    FreshRoom { present, messages, receipts: receipts.collect(), members }
}

fn member(room_id: &str, name: &str, facts: &MemberFacts) -> Member {
    Member {
        room_id: room_id.to_owned(),
        user_id: name.to_owned(),
        state: MemberState::Joined.into(),
        history_from_seq: facts.history_from_seq,
        rev: facts.rev,
        ..Member::default()
    }
}

fn store(rooms: &BTreeMap<String, RoomFacts>, me: &str, fresh: &Fresh) -> StoreSnapshot {
    let mut store = StoreSnapshot {
        user_id: me.to_owned(),
        epoch: "e".into(),
        user_rev: fresh.user_rev,
        unread_total: fresh.unread,
        ..StoreSnapshot::default()
    };
    for (id, room) in rooms {
        let snapshot = match fresh.rooms.get(id) {
            Some(there) => held(room, there),
            // Out of the room: what was seen before is still there, and the room as it was.
            None => left(id, room, me),
        };
        store.rooms.insert(id.clone(), snapshot);
        for message in room.messages.iter().filter(|message| message.sender == me && !message.notice) {
            store.outbox.push(OutboxItem {
                room_id: id.clone(),
                client_message_id: message.client_message_id.clone(),
                text: if message.edited || message.deleted { "as first typed".into() } else { message.text.clone() },
                state: SendState::Sent,
                seq: Some(message.seq),
            });
        }
    }
    store
}

fn held(room: &RoomFacts, there: &FreshRoom) -> RoomSnapshot {
    let membership = there.present.membership.clone().unwrap();
    RoomSnapshot {
        joined: true,
        room: there.present.room.clone(),
        unread: room.count - membership.read_count,
        mentions: membership.unread_mention_seqs.clone(),
        membership: Some(membership),
        last_message: there.present.last_message.clone(),
        rev: room.rev,
        head_rev: room.rev,
        seq: room.seq,
        low_seq: *there.messages.keys().next().unwrap(),
        messages: there.messages.clone(),
        members: there.members.clone(),
        receipts: there.receipts.iter().map(|receipt| (receipt.user_id.clone(), receipt.clone())).collect(),
        ..RoomSnapshot::default()
    }
}

fn left(id: &str, room: &RoomFacts, me: &str) -> RoomSnapshot {
    let until = room.members[me].rev;
    let seen = room.messages.iter().filter(|message| message.rev <= until).map(|m| (m.seq, message(id, m)));
    RoomSnapshot {
        rev: until,
        head_rev: until,
        seq: room.seq,
        low_seq: 1,
        messages: seen.collect(),
        ..Default::default()
    }
}

fn typed(device: usize, item: &OutboxItem) -> Typed {
    Typed {
        device,
        id: item.client_message_id.clone(),
        room: item.room_id.clone(),
        text: item.text.clone(),
        mentions: Vec::new(),
        mention_all: false,
    }
}

fn arrivals(id: &str, room: &RoomSnapshot) -> Vec<Sighting> {
    let arrived = |seq: &i64| Sighting {
        room: id.to_owned(),
        opening: (1, 0),
        sight: Sight::Arrived { seq: *seq, low: room.low_seq },
    };
    room.messages.keys().map(arrived).collect()
}

mod damage;
mod listened;

fn find(history: &History, wrong: Wrong) -> Vec<Finding> {
    judge(history).into_iter().filter(|finding| finding.wrong == wrong).collect()
}

#[test]
fn a_good_history_is_found_good() {
    for seed in 0..50 {
        assert_eq!(judge(&good(seed)), [], "seed {seed}");
    }
}

#[test]
fn every_kind_of_damage_is_found_in_every_history() {
    assert!(damage::ALL.len() >= 20);
    let good: Vec<History> = (0..50).map(good).collect();
    for (name, wrong, damage) in damage::ALL {
        for (seed, history) in good.iter().enumerate() {
            let mut history = history.clone();
            damage(&mut history);
            assert!(!find(&history, *wrong).is_empty(), "{name}, seed {seed}: found {:?}", judge(&history));
        }
    }
}

/// The first acknowledged send, to be spoiled.
fn acknowledged(history: &mut History) -> (String, Acknowledged) {
    let (id, acknowledged) = history.journal.acknowledged.iter().next().unwrap();
    (id.clone(), acknowledged.clone())
}
