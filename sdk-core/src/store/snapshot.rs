//! The whole store as plain data, to be compared with what the server says.

use std::collections::BTreeMap;

use madang_proto::v1::{Member, Membership, Message, Receipt, Room};

use super::{
    Read, messages, meta,
    outbox::{self, Entry, SendState},
    rooms,
};
use crate::sync::RoomState;

/// What is held of everything.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StoreSnapshot {
    /// The person; empty before the first Welcome.
    pub user_id: String,
    /// Identity of the server's history.
    pub epoch: String,
    /// Number of the person's changes.
    pub user_rev: i64,
    /// The last watermark kept.
    pub watermark: i64,
    /// Unread items of all rooms.
    pub unread_total: i64,
    /// Rooms that were ever heard of, by id.
    pub rooms: BTreeMap<String, RoomSnapshot>,
    /// What was typed, oldest first; what the server has acknowledged stays for a while.
    pub outbox: Vec<OutboxItem>,
}

/// Something that was typed.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxItem {
    /// The room.
    pub room_id: String,
    /// The client's id of it.
    pub client_message_id: String,
    /// What it says.
    pub text: String,
    /// How far it is.
    pub state: SendState,
    /// Position in the room, once acknowledged.
    pub seq: Option<i64>,
}

/// What is held of a room.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RoomSnapshot {
    /// The person is in it.
    pub joined: bool,
    /// It was deleted.
    pub ended: bool,
    /// The room as of `head_rev`.
    pub room: Option<Room>,
    /// One's own place, marks and mentions merged into it.
    pub membership: Option<Membership>,
    /// The newest item, cut as in a summary.
    pub last_message: Option<Message>,
    /// Rows are complete up to this revision.
    pub rev: i64,
    /// The summary is complete up to this revision.
    pub head_rev: i64,
    /// Items up to here are known to exist.
    pub seq: i64,
    /// The oldest item of the unbroken range that is held.
    pub low_seq: i64,
    /// Messages of that range, by position.
    pub messages: BTreeMap<i64, Message>,
    /// Member rows by person; empty in large rooms.
    pub members: BTreeMap<String, Member>,
    /// Others' marks by person.
    pub receipts: BTreeMap<String, Receipt>,
    /// Unread items, by the formula.
    pub unread: i64,
    /// Unread mentions.
    pub mentions: Vec<i64>,
}

pub(crate) fn take(read: &Read<'_>) -> rusqlite::Result<StoreSnapshot> {
    let mut snapshot = StoreSnapshot {
        user_id: read.me.to_owned(),
        epoch: meta::text(read.conn, meta::EPOCH)?,
        user_rev: meta::number(read.conn, meta::USER_REV)?,
        watermark: meta::number(read.conn, meta::WATERMARK)?,
        unread_total: rooms::unread_total(read.conn, read.guards)?,
        rooms: BTreeMap::new(),
        outbox: outbox::all(read.conn)?.into_iter().map(OutboxItem::from).collect(),
    };
    for state in rooms::all(read.conn)? {
        snapshot.rooms.insert(state.room_id.clone(), room(read, state)?);
    }
    Ok(snapshot)
}

impl From<Entry> for OutboxItem {
    fn from(entry: Entry) -> Self {
        Self {
            state: entry.send_state(),
            seq: entry.acknowledged_seq(),
            room_id: entry.request.room_id,
            client_message_id: entry.request.client_message_id,
            text: entry.request.body.map(|body| body.text).unwrap_or_default(),
        }
    }
}

fn room(read: &Read<'_>, state: RoomState) -> rusqlite::Result<RoomSnapshot> {
    let id = &state.room_id;
    let held = messages::range(read.conn, id, state.low_seq, state.seq)?;
    let members = messages::members(read.conn, id)?;
    let receipts = messages::receipts(read.conn, id)?;
    let (count, first_count) = state.room.as_ref().map_or((0, 0), |room| (room.count, room.first_count));
    Ok(RoomSnapshot {
        joined: state.is_joined(),
        ended: state.ended,
        unread: state.mark().unread(count, first_count),
        mentions: state.membership.as_ref().map(|m| m.unread_mention_seqs.clone()).unwrap_or_default(),
        messages: held.into_iter().map(|message| (message.seq, message)).collect(),
        members: members.into_iter().map(|member| (member.user_id.clone(), member)).collect(),
        receipts: receipts.into_iter().map(|receipt| (receipt.user_id.clone(), receipt)).collect(),
        rev: state.rev,
        head_rev: state.head_rev,
        seq: state.seq,
        low_seq: state.low_seq,
        room: state.room,
        membership: state.membership,
        last_message: state.last,
    })
}
