//! Writes what the fuzzer begins with: one honest stream with a frame of each kind, and the same with each frame alone.

use std::{error::Error, fs, path::Path};

use madang_proto::v1::{
    Drained, Heartbeat, Member, MemberState, Membership, Message, MessageBody, NoChange, PeopleChanged, Receipt,
    ReceiptBatch, Room, RoomCursor, RoomDelta, RoomEvent, RoomGone, RoomPresent, RoomRev, RoomSummary, ServerFrame,
    UserBehind, UserDelta, room_event::Change, room_summary::Verdict, server_frame::Frame,
};
use prost::Message as _;

const ROOM: &str = "room";
const ME: &str = "me";

fn message(seq: i64) -> Message {
    let body = Some(MessageBody { text: "hello".to_owned(), ..MessageBody::default() });
    let mentioned_user_ids = vec![ME.to_owned()];
    let (room_id, sender_id) = (ROOM.to_owned(), "ann".to_owned());
    Message { room_id, seq, rev: seq, count: seq, sender_id, mentioned_user_ids, body, ..Message::default() }
}

fn membership() -> Membership {
    let state = MemberState::Joined.into();
    let member = Member { room_id: ROOM.to_owned(), user_id: ME.to_owned(), rev: 1, state, ..Member::default() };
    Membership { member: Some(member), user_rev: 1, unread_mention_seqs: vec![2], ..Membership::default() }
}

fn summary(seq: i64) -> RoomSummary {
    let room = Room { id: ROOM.to_owned(), rev: seq, seq, count: seq, ..Room::default() };
    let present = RoomPresent { room: Some(room), membership: Some(membership()), last_message: Some(message(seq)) };
    RoomSummary { room_id: ROOM.to_owned(), verdict: Some(Verdict::Present(present)) }
}

fn cursor(seq: i64) -> Option<RoomCursor> {
    Some(RoomCursor { room_id: ROOM.to_owned(), rev: seq, seq })
}

fn event(rev: i64, change: Change) -> Frame {
    let (room_id, actor_id) = (ROOM.to_owned(), "ann".to_owned());
    Frame::RoomEvent(RoomEvent { room_id, prev_rev: rev - 1, rev, actor_id, change: Some(change) })
}

fn stream() -> Vec<Frame> {
    let delta = RoomDelta {
        summary: Some(summary(3)),
        from: cursor(0),
        to: cursor(3),
        snapshot_rev: 3,
        last: true,
        messages: (1..=3).map(message).collect(),
        ..RoomDelta::default()
    };
    let receipt = Receipt { user_id: "ann".to_owned(), last_read_seq: 4, rev: 5, ..Receipt::default() };
    let rooms = vec![RoomRev { room_id: ROOM.to_owned(), rev: 6 }];
    let user = UserDelta { from_user_rev: 0, to_user_rev: 1, last: true, memberships: vec![membership()] };
    let gone = RoomGone { membership_user_rev: 2, reason: 1, ..RoomGone::default() };
    vec![
        Frame::RoomSummary(summary(3)),
        Frame::UserDelta(user),
        Frame::RoomDelta(delta),
        Frame::Drained(Drained { watermark: 7 }),
        event(4, Change::Message(message(4))),
        event(5, Change::Receipts(ReceiptBatch { receipts: vec![receipt] })),
        event(6, Change::None(NoChange::default())),
        Frame::Heartbeat(Heartbeat { watermark: 8, user_rev: 1, rooms, ..Heartbeat::default() }),
        Frame::PeopleChanged(PeopleChanged { all: true, ..PeopleChanged::default() }),
        Frame::UserBehind(UserBehind { user_rev: 3 }),
        Frame::RoomSummary(RoomSummary { room_id: ROOM.to_owned(), verdict: Some(Verdict::Gone(gone)) }),
    ]
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("where to?")?;
    let folder = Path::new(&folder);
    fs::create_dir_all(folder)?;
    let frames: Vec<_> = stream().into_iter().map(|frame| ServerFrame { frame: Some(frame) }).collect();
    let whole: Vec<u8> = frames.iter().flat_map(ServerFrame::encode_length_delimited_to_vec).collect();
    // A stream that ends and comes back, told the same once more.
    let twice = [whole.as_slice(), &ServerFrame::default().encode_length_delimited_to_vec(), whole.as_slice()].concat();
    fs::write(folder.join("whole"), whole)?;
    fs::write(folder.join("twice"), twice)?;
    for (number, frame) in frames.iter().enumerate() {
        fs::write(folder.join(format!("frame-{number}")), frame.encode_length_delimited_to_vec())?;
    }
    Ok(())
}
