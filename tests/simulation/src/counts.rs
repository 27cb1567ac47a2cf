//! A piece of work so many times over, for who counts its instructions: they do not depend on what else a machine does.
//! `cargo xtask instructions`.

use anyhow::Result;
use chrono::DateTime;
use clap::{Parser, ValueEnum};
use madang_proto::v1::{
    Drained, Member, MemberState, Membership, Room, RoomPresent, RoomSummary, ServerFrame, Welcome,
    room_summary::Verdict, server_frame::Frame,
};
use madang_sdk_core::simulation::Core;
use madang_server::{
    ids::{RoomId, UserId},
    timeline::{self, Item, Kind},
};
use prost::Message as _;
use uuid::Uuid;

/// A message of chat.
const TEXT: &str = "오늘 회의는 세 시에 시작합니다. 자료는 방에 올려 두었으니 먼저 읽어 주세요. See you there!";

const ROOM: RoomId = RoomId(Uuid::from_u128(0x0b00));
const ANN: UserId = UserId(Uuid::from_u128(0x0a00));
const BOB: UserId = UserId(Uuid::from_u128(0x0a01));

/// Does a piece of work many times.
#[derive(Parser)]
struct Options {
    /// Which.
    work: Work,
    /// How many times.
    times: i64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Work {
    /// The server encodes a message for all streams.
    Encode,
    /// A client reads a message from its stream and takes it into its store.
    Apply,
}

fn main() -> Result<()> {
    let Options { work, times } = Options::parse();
    let mut client = client();
    for seq in 1..=times {
        let event = timeline::wire::publish_item(ROOM, BOB, &item(seq));
        if matches!(work, Work::Apply) {
            client.apply(vec![ServerFrame::decode(event.frame)?]);
        }
    }
    Ok(())
}

/// A client that is live and looks at the room.
fn client() -> Core {
    let mut client = Core::new(None);
    client.set_focus([ROOM.to_string()]);
    client.hello();
    client.welcome(&Welcome { user_id: ANN.to_string(), epoch: "first".into(), ..Welcome::default() });
    let mut member = Member { room_id: ROOM.to_string(), user_id: ANN.to_string(), rev: 1, ..Member::default() };
    member.set_state(MemberState::Joined);
    let present = RoomPresent {
        room: Some(Room { id: ROOM.to_string(), ..Room::default() }),
        membership: Some(Membership { member: Some(member), user_rev: 1, ..Membership::default() }),
        last_message: None,
    };
    let summary = RoomSummary { room_id: ROOM.to_string(), verdict: Some(Verdict::Present(present)) };
    let frames = [Frame::RoomSummary(summary), Frame::Drained(Drained { watermark: 1 })];
    client.apply(frames.into_iter().map(|frame| ServerFrame { frame: Some(frame) }).collect());
    client
}

fn item(seq: i64) -> Item {
    Item {
        room_id: ROOM,
        seq,
        rev: seq,
        count: seq,
        sender_id: BOB,
        client_message_id: Some(Uuid::from_u128(0x0e00)),
        payload_hash: None,
        mark_generation: Some(0),
        created_at: DateTime::from_timestamp_nanos(1_700_000_000_000_000_000),
        edited_at: None,
        kind: Kind::Text as i16,
        text: TEXT.to_owned(),
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
