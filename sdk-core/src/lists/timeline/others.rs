//! How far the others of a room are: told in rooms that are not large.

use std::{
    collections::{BTreeMap, HashMap},
    time::SystemTime,
};

use madang_proto::v1::MemberState;

use super::item::{MessageItem, Reach};
use crate::{
    clock::system_time,
    people::Names,
    store::{Read, messages},
    sync::RoomState,
};

/// People that an item names as its readers; a screen has no place for more.
const READERS_HERE: usize = 20;

/// One of the others.
struct Other {
    joined_at: SystemTime,
    read: i64,
    delivered: i64,
}

/// Marks of the others.
#[derive(Default)]
pub(super) struct Others {
    others: Vec<Other>,
    /// Who has read up to an item and no further.
    at: BTreeMap<i64, Vec<String>>,
}

impl Others {
    pub(super) fn read(r: &Read<'_>, state: &RoomState) -> rusqlite::Result<Self> {
        if state.room.as_ref().is_none_or(|room| room.large) {
            return Ok(Self::default());
        }
        let mut found = Self::default();
        let members = messages::members(r.conn, &state.room_id)?;
        let joined =
            members.into_iter().filter(|member| member.state() == MemberState::Joined && member.user_id != r.me);
        let joined: HashMap<String, SystemTime> =
            joined.map(|member| (member.user_id, system_time(member.joined_at.as_ref()))).collect();
        for receipt in messages::receipts(r.conn, &state.room_id)? {
            let Some(joined_at) = joined.get(&receipt.user_id) else { continue };
            let (read, delivered) = (receipt.last_read_seq, receipt.delivered_seq);
            found.others.push(Other { joined_at: *joined_at, read, delivered });
            let here = found.at.entry(read).or_default();
            if here.len() < READERS_HERE {
                here.push(receipt.user_id);
            }
        }
        Ok(found)
    }

    /// Puts on a message what the others' marks say of it. Whoever came later begins with everything read, which says nothing.
    pub(super) fn mark(&self, message: &mut MessageItem, names: &mut Names<'_>) -> rusqlite::Result<()> {
        let Some(seq) = message.seq else { return Ok(()) };
        if message.mine {
            let there = self.others.iter().filter(|other| other.joined_at <= message.created_at);
            message.reach = there.map(|other| other.reach(seq)).max().unwrap_or_default();
        }
        if let Some(here) = self.at.get(&seq) {
            message.readers_here = names.people(here)?;
        }
        Ok(())
    }
}

impl Other {
    fn reach(&self, seq: i64) -> Reach {
        if self.read >= seq {
            Reach::Read
        } else if self.delivered >= seq {
            Reach::Delivered
        } else {
            Reach::Nobody
        }
    }
}
