//! What must hold when a world has come to rest: each device holds what the database says, field by field, and each
//! acknowledged message is there once.

use std::collections::{BTreeMap, BTreeSet};

use madang_proto::v1::{self, room_summary::Verdict};
use madang_sdk_core::{OutboxItem, SendState, StoreSnapshot};
use madang_server::{
    access::JOINED,
    rooms::{self, Member},
    timeline,
};
use madang_tests::fresh::{Fresh, FreshRoom, differences};
use uuid::Uuid;

use crate::model::{Db, Room, room_id, room_named, time};

/// The id of what a device typed as its so many-th.
pub(crate) fn message_id(device: usize, typed: usize) -> Uuid {
    Uuid::from_u128(((device as u128) << 32) + typed as u128)
}

/// In what a device differs from the database.
pub(crate) fn device(db: &Db, person: usize, held: &StoreSnapshot, all_rows: bool, restored: bool) -> Option<String> {
    let fresh = fresh(db, person);
    if let Some(first) = differences(held, &fresh).first() {
        return Some(first.what.clone());
    }
    let behind = |id: &&String| held.rooms.get(*id).is_some_and(|room| room.rev != room.head_rev);
    if let Some(id) = fresh.rooms.keys().find(|id| all_rows && behind(id)) {
        return Some(format!("room {id} is shown, and its rows stay behind"));
    }
    outbox(db, person, &held.outbox, restored)
}

/// What the server would tell if it were asked for everything.
fn fresh(db: &Db, person: usize) -> Fresh {
    let mut fresh = Fresh { user_rev: db.user_revs[person], ..Fresh::default() };
    for (room, table) in db.rooms.iter().enumerate() {
        let Some(summary) = db.summary((room, person), false) else { continue };
        fresh.unread += rooms::unread(&summary.room, &summary.member);
        fresh.mentions += i64::try_from(summary.mentions.len()).unwrap_or(i64::MAX);
        let from = summary.member.history_from_seq;
        let Some(Verdict::Present(present)) = rooms::wire::summary(&summary).verdict else { continue };
        fresh.rooms.insert(room_id(room).to_string(), fresh_room(table, present, from));
    }
    fresh
}

fn fresh_room(table: &Room, present: v1::RoomPresent, from: i64) -> FreshRoom {
    let seen = table.items.iter().filter(|item| item.seq >= from);
    let members = || table.members.iter().flatten().filter(|member| member.state == JOINED);
    FreshRoom {
        present,
        messages: seen.map(|item| (item.seq, timeline::wire::message(item))).collect(),
        members: members().map(|member| (member.user_id.to_string(), rooms::wire::member(member))).collect(),
        receipts: members().map(rooms::wire::receipt).collect(),
    }
}

/// What was typed has left, is where the device says, and stands in the order in which it was typed.
fn outbox(db: &Db, person: usize, typed: &[OutboxItem], restored: bool) -> Option<String> {
    let mut newest: BTreeMap<&str, i64> = BTreeMap::new();
    for item in typed {
        let room = room_named(&item.room_id);
        let table = &db.rooms[room];
        let there = table
            .items
            .iter()
            .filter(|there| there.client_message_id.is_some_and(|id| id.to_string() == item.client_message_id));
        let seqs: Vec<i64> = there.map(|there| there.seq).collect();
        // Out of the room nothing can be sent, nor be offered again after a restore.
        let always = |member: &Member| member.joined_at == time(0) && member.state == JOINED;
        let went = !db.member((room, person)).is_some_and(always);
        let right = match &item.state {
            SendState::Sent => seqs.len() == 1 && item.seq == seqs.first().copied() || restored && went,
            SendState::Failed { .. } => went || restored,
            SendState::Queued | SendState::Sending => false,
        };
        if !right {
            return Some(format!("{} is {:?}, and there at {seqs:?}", item.text, item.state));
        }
        // What was refused while they were out may have been on its way all the time, and arrive when they are in again.
        let Some(seq) = seqs.first().filter(|_| !went) else { continue };
        if newest.insert(&item.room_id, *seq).is_some_and(|before| before > *seq) {
            return Some(format!("{} stands before what was typed earlier", item.text));
        }
    }
    None
}

/// In what the database differs from itself.
pub(crate) fn database(db: &Db) -> Option<String> {
    for (room, table) in db.rooms.iter().enumerate() {
        let mut ids = BTreeSet::new();
        if table.items.iter().filter_map(|item| item.client_message_id).any(|id| !ids.insert(id)) {
            return Some(format!("room {room}: a message is there twice"));
        }
        let outsiders = table.items.iter().filter(|item| !item.is_system()).find(|item| {
            let stays = &table.stays[crate::model::person_of(item.sender_id)];
            !item.changed && !stays.iter().any(|stay| stay.from < item.rev && item.rev <= stay.to)
        });
        if let Some(item) = outsiders {
            return Some(format!("room {room}: item {} is of somebody who was not in", item.seq));
        }
    }
    None
}
