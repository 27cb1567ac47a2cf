//! What was typed: an acknowledged send is there once and where the server said, nothing that was typed has vanished, and
//! the order of typing is the order of the room.

use std::collections::BTreeMap;

use madang_sdk_core::{OutboxItem, SendState};

use super::{Findings, Wrong, database::is_in};
use crate::history::{DeviceFacts, History, MessageFacts, RoomFacts};

pub(super) fn check(history: &History, found: &mut Findings) {
    let places = places(&history.rooms);
    acknowledged(history, &places, found);
    for device in &history.devices {
        outbox(device, &places, found);
        order(device, found);
    }
    typed(history, &places, found);
}

/// Items by room and the client's id.
type Places<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a MessageFacts>>;

fn places(rooms: &BTreeMap<String, RoomFacts>) -> Places<'_> {
    let mut places = Places::new();
    for (id, room) in rooms {
        for message in room.messages.iter().filter(|message| !message.notice) {
            places.entry((id, &message.client_message_id)).or_default().push(message);
        }
    }
    places
}

fn acknowledged(history: &History, places: &Places<'_>, found: &mut Findings) {
    for (id, acknowledged) in &history.journal.acknowledged {
        let room = history.rooms.get(&acknowledged.room);
        if history.journal.restored && !room.is_some_and(|room| is_in(room, &acknowledged.sender)) {
            continue;
        }
        let whose = || {
            format!("room {}: {id} ({:.20}) of device {:?}", acknowledged.room, acknowledged.text, acknowledged.device)
        };
        let there = places.get(&(acknowledged.room.as_str(), id.as_str())).map_or(&[][..], Vec::as_slice);
        if history.journal.restored && there.is_empty() && was_told(history, id) {
            continue;
        }
        let [message] = there else {
            let wrong = if there.is_empty() { Wrong::Lost } else { Wrong::Repeated };
            found.add(wrong, format!("{} was acknowledged and is there {} times", whose(), there.len()));
            continue;
        };
        found.check(message.seq == acknowledged.seq, Wrong::Reordered, || {
            format!("{} was acknowledged at {} and is at {}", whose(), acknowledged.seq, message.seq)
        });
        found.check(message.sender == acknowledged.sender, Wrong::Store, || {
            format!("{} was sent by {} and is by {}", whose(), acknowledged.sender, message.sender)
        });
        let same = message.deleted || message.edited || message.text == acknowledged.text;
        found.check(same, Wrong::Store, || format!("{} says {:?}", whose(), message.text));
    }
}

/// Whether a device shows its person that the server does not have a message any more.
fn was_told(history: &History, id: &str) -> bool {
    let mut typed = history.devices.iter().flat_map(|device| &device.store.outbox);
    typed.any(|item| item.client_message_id == *id && matches!(item.state, SendState::Failed { .. }))
}

/// At a quiet point nothing waits, and what was refused or given up is there at most once.
fn outbox(device: &DeviceFacts, places: &Places<'_>, found: &mut Findings) {
    for item in &device.store.outbox {
        let whose = || {
            format!("room {}: {} ({:.20}) of device {}", item.room_id, item.client_message_id, item.text, device.device)
        };
        let there = places.get(&(item.room_id.as_str(), item.client_message_id.as_str())).map_or(0, Vec::len);
        match item.state {
            SendState::Queued | SendState::Sending => {
                found.add(Wrong::Lost, format!("{} still waits", whose()));
            }
            SendState::Failed { .. } => {
                found.check(there <= 1, Wrong::Repeated, || {
                    format!("{} was refused and is there {there} times", whose())
                });
            }
            SendState::Sent => {}
        }
    }
}

/// One after the other within a room, in the order of typing.
fn order(device: &DeviceFacts, found: &mut Findings) {
    let mut last: BTreeMap<&str, &OutboxItem> = BTreeMap::new();
    for item in device.store.outbox.iter().filter(|item| item.seq.is_some()) {
        if let Some(before) = last.insert(&item.room_id, item) {
            found.check(before.seq < item.seq, Wrong::Reordered, || {
                format!(
                    "room {}: device {} typed {:.20} before {:.20}, and they are at {:?} and {:?}",
                    item.room_id, device.device, before.text, item.text, before.seq, item.seq
                )
            });
        }
    }
}

/// What a device has taken is in its outbox, or in the room; what was acknowledged need not stay in the outbox.
fn typed(history: &History, places: &Places<'_>, found: &mut Findings) {
    let ever = &history.journal.ever_acknowledged;
    for typed in history.journal.typed.iter().filter(|typed| !ever.contains(&typed.id)) {
        let outbox =
            history.devices.iter().find(|device| device.device == typed.device).map(|device| &device.store.outbox);
        let ended =
            history.ended.iter().filter(|ended| ended.device == typed.device).filter_map(|it| it.store.as_ref());
        let mut outboxes = outbox.into_iter().chain(ended.map(|store| &store.outbox));
        let held = outboxes.any(|outbox| outbox.iter().any(|item| item.client_message_id == typed.id));
        let there = places.contains_key(&(typed.room.as_str(), typed.id.as_str()));
        found.check(held || there, Wrong::Lost, || {
            format!("room {}: {:.20} was typed on device {} and is nowhere", typed.room, typed.text, typed.device)
        });
    }
}
