//! Every device's store: equal to what the server says, badges by the formula, and nothing that its person may not see.

use madang_sdk_core::RoomSnapshot;
use madang_tests::fresh::{self, About};

use super::{
    Findings, Wrong,
    database::{facts, is_in},
};
use crate::history::{DeviceFacts, History, MemberFacts, RoomFacts};

/// Most mentions that are counted.
const MENTIONS: usize = 100;

pub(super) fn check(history: &History, found: &mut Findings) {
    for device in &history.devices {
        let whose = format!("device {}", device.device);
        match history.fresh.get(&device.store.user_id) {
            Some(there) => {
                for difference in fresh::differences(&device.store, there) {
                    let wrong = if difference.about == About::Badge { Wrong::Badge } else { Wrong::Store };
                    found.add(wrong, format!("{whose}: {difference}"));
                }
            }
            None => found.add(Wrong::Store, format!("{whose} belongs to nobody: {:?}", device.store.user_id)),
        }
        badges(&whose, history, device, found);
        for (id, held) in device.store.rooms.iter().filter(|(_, held)| !is_empty(held)) {
            let whose = format!("{whose}, room {id}");
            let person = &device.store.user_id;
            match history.rooms.get(id) {
                Some(room) => {
                    rows(&whose, held, room, found);
                    leaks(&whose, held, room.members.get(person), found);
                }
                None => found.add(Wrong::Leak, format!("{whose} is no room")),
            }
        }
    }
}

/// Only that the person is not in it is known: a device asked for a room, and the server said no.
fn is_empty(held: &RoomSnapshot) -> bool {
    !held.joined && held.room.is_none() && held.last_message.is_none() && held.messages.is_empty()
}

/// Unread and mentions, from the database alone.
fn badges(whose: &str, history: &History, device: &DeviceFacts, found: &mut Findings) {
    let person = &device.store.user_id;
    let mut total = 0;
    for (id, room) in history.rooms.iter().filter(|(_, room)| is_in(room, person)) {
        let Some(member) = room.members.get(person) else { continue };
        let unread = (room.count - member.read_count.max(room.first_count)).max(0);
        total += unread;
        let Some(held) = device.store.rooms.get(id) else { continue };
        found.check(held.unread == unread, Wrong::Badge, || {
            format!("{whose}, room {id}: {} unread, by the formula {unread}", held.unread)
        });
        let mentions = mentions(room, member, person);
        found.check(held.mentions == mentions, Wrong::Badge, || {
            format!("{whose}, room {id}: mentions {:?}, in the database {mentions:?}", held.mentions)
        });
    }
    found.check(device.store.unread_total == total, Wrong::Badge, || {
        format!("{whose}: {} unread in all, by the formula {total}", device.store.unread_total)
    });
}

fn mentions(room: &RoomFacts, member: &MemberFacts, person: &str) -> Vec<i64> {
    let named = room.messages.iter().filter(|m| m.mentions_all || m.mentioned.contains(person));
    let unread = named.filter(|m| m.seq > member.last_read_seq && m.seq >= member.history_from_seq);
    unread.filter(|m| !m.deleted && m.sender != person).map(|m| m.seq).take(MENTIONS).collect()
}

/// Rows that are held complete are the database's.
fn rows(whose: &str, held: &RoomSnapshot, room: &RoomFacts, found: &mut Findings) {
    if !held.joined || held.rev != room.rev {
        return;
    }
    for (seq, message) in &held.messages {
        let there = room.messages.iter().find(|message| message.seq == *seq);
        found.check(there == Some(&facts(message)), Wrong::Store, || {
            format!("{whose}: item {seq} is {:?}, in the database {there:?}", facts(message))
        });
    }
}

/// After a removal nothing more, and nothing from before one's time.
fn leaks(whose: &str, held: &RoomSnapshot, member: Option<&MemberFacts>, found: &mut Findings) {
    let Some(member) = member else {
        found.add(Wrong::Leak, format!("{whose}: its person was never in it"));
        return;
    };
    for (seq, message) in &held.messages {
        let after = !member.joined && message.rev > member.rev;
        found.check(!after, Wrong::Leak, || {
            format!("{whose}: item {seq} of change {}, and its person went at {}", message.rev, member.rev)
        });
        // What somebody who is out has seen before stays on their device; a new stay begins anew.
        let before = member.joined && *seq < member.history_from_seq;
        found.check(!before, Wrong::Leak, || {
            format!("{whose}: item {seq}, and its person may see from {}", member.history_from_seq)
        });
    }
}
