//! The cases of `tests/vectors/merge.json`, which every implementation of the rules plays.

use std::fs;

use madang_proto::v1::{
    FetchChange, GoneReason, ListMessagesResponse, Member, MemberChange, MemberState, Membership, Message, NoChange,
    Room, RoomCursor, RoomDelta, RoomEvent, RoomGone, RoomPresent, RoomSummary, Tombstone, room_event::Change,
    room_summary,
};
use serde_json::{Value, json};

use super::{Drop, Effects, Island, Mark, Place, Receiver, RoomState, Verdict};
use crate::sabotage::Guards;

const ROOM: &str = "r";
const ME: &str = "ann";

fn cases() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/merge.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn number(value: &Value, name: &str) -> i64 {
    value[name].as_i64().unwrap_or_default()
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn mark(value: &Value) -> Mark {
    let at = |place: usize| value[place].as_i64().unwrap_or_default();
    Mark { generation: at(0), seq: at(1), count: at(2) }
}

fn given<T>(value: &Value, read: impl FnOnce(&Value) -> T) -> Option<T> {
    (!value.is_null()).then(|| read(value))
}

fn message(value: &Value) -> Message {
    Message {
        room_id: ROOM.into(),
        seq: number(value, "seq"),
        rev: number(value, "rev"),
        count: number(value, "count"),
        sender_id: text(value, "sender"),
        mentioned_user_ids: list(value, "mentions").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        mentions_all: value["all"] == true,
        mark_generation: value["mark"].as_i64(),
        tombstone: (value["deleted"] == true).then(Tombstone::default),
        ..Message::default()
    }
}

fn messages(value: &Value) -> Vec<Message> {
    list(value, "messages").iter().map(message).collect()
}

fn room(value: &Value) -> Room {
    Room {
        id: ROOM.into(),
        rev: number(value, "rev"),
        seq: number(value, "seq"),
        count: number(value, "count"),
        first_count: number(value, "first_count"),
        member_count: i32::try_from(number(value, "members")).unwrap(),
        large: value["large"] == true,
        ..Room::default()
    }
}

fn membership(value: &Value) -> Membership {
    let history_from_seq = number(value, "history_from");
    let mut member = Member { room_id: ROOM.into(), user_id: ME.into(), history_from_seq, ..Member::default() };
    member.set_state(MemberState::Joined);
    let mut membership = Membership {
        member: Some(member),
        user_rev: number(value, "user_rev"),
        unread_mention_seqs: list(value, "mentions").iter().filter_map(Value::as_i64).collect(),
        ..Membership::default()
    };
    mark(&value["mark"]).write(&mut membership);
    membership
}

fn summary(value: &Value) -> RoomSummary {
    let last = given(&value["last"], |seq| Message { seq: seq.as_i64().unwrap(), ..Message::default() });
    let present = RoomPresent {
        room: Some(room(value)),
        last_message: last,
        membership: given(&value["membership"], membership),
    };
    RoomSummary { room_id: ROOM.into(), verdict: Some(room_summary::Verdict::Present(present)) }
}

fn gone(value: &Value) -> RoomSummary {
    let reason = match value["reason"].as_str().unwrap() {
        "removed" => GoneReason::Removed,
        "ended" => GoneReason::Ended,
        _ => GoneReason::Left,
    };
    let mut gone = RoomGone { membership_user_rev: number(value, "user_rev"), ..RoomGone::default() };
    gone.set_reason(reason);
    RoomSummary { room_id: ROOM.into(), verdict: Some(room_summary::Verdict::Gone(gone)) }
}

fn cursor(value: &Value) -> RoomCursor {
    let at = |place: usize| value[place].as_i64().unwrap_or_default();
    RoomCursor { room_id: ROOM.into(), rev: at(0), seq: at(1) }
}

fn delta(value: &Value) -> RoomDelta {
    RoomDelta {
        summary: given(&value["summary"], summary),
        from: Some(cursor(&value["from"])),
        to: Some(cursor(&value["to"])),
        last: value["last"] == true,
        reset: value["reset"] == true,
        messages: messages(value),
        snapshot_rev: number(value, "snapshot"),
        ..RoomDelta::default()
    }
}

fn member_change(value: &Value) -> MemberChange {
    let state = if value["state"] == "joined" { MemberState::Joined } else { MemberState::Removed };
    let mut member = Member { user_id: text(value, "user"), rev: number(value, "rev"), ..Member::default() };
    member.set_state(state);
    let member_count = i32::try_from(number(value, "count")).unwrap();
    MemberChange { member: Some(member), member_count, receipt: None }
}

fn event(value: &Value) -> RoomEvent {
    let changes = [
        given(&value["message"], |told| Change::Message(message(told))),
        given(&value["member"], |told| Change::Member(member_change(told))),
        given(&value["room"], |told| Change::Room(room(told))),
        given(&value["none"], |_| Change::None(NoChange {})),
        given(&value["fetch"], |_| Change::Fetch(FetchChange {})),
    ];
    let change = changes.into_iter().flatten().next();
    let (prev_rev, rev) = (number(value, "prev"), number(value, "rev"));
    RoomEvent { room_id: ROOM.into(), prev_rev, rev, change, ..RoomEvent::default() }
}

fn page(value: &Value) -> ListMessagesResponse {
    let snapshot_rev = number(value, "snapshot");
    ListMessagesResponse { messages: messages(value), snapshot_rev, ..ListMessagesResponse::default() }
}

fn drop_words(drop: &Drop) -> String {
    match drop {
        Drop::UpToRev(rev) => format!("up_to_rev {rev}"),
        Drop::BelowSeq(seq) => format!("below_seq {seq}"),
        Drop::Islands => "islands".into(),
        Drop::All => "all".into(),
    }
}

/// Everything that a case may name.
fn seen(state: &RoomState, out: &Effects, islands: &[Island]) -> Value {
    let mark = state.mark();
    let (count, first_count) = state.room.as_ref().map_or((0, 0), |room| (room.count, room.first_count));
    json!({
        "joined": state.is_joined(),
        "ended": state.ended,
        "rev": state.rev,
        "head": state.head_rev,
        "seq": state.seq,
        "low": state.low_seq,
        "reset": state.reset_rev,
        "last": state.last.as_ref().map_or(0, |last| last.seq),
        "members": state.room.as_ref().map_or(0, |room| room.member_count),
        "unread": mark.unread(count, first_count),
        "mark": [mark.generation, mark.seq, mark.count],
        "mentions": state.membership.as_ref().map(|place| place.unread_mention_seqs.clone()).unwrap_or_default(),
        "messages": out.messages.iter().map(|message| message.seq).collect::<Vec<_>>(),
        "drop": out.drop.iter().map(drop_words).collect::<Vec<_>>(),
        "hole": out.hole,
        "failed": out.ended,
        "islands": islands.iter().map(|island| [island.low, island.high]).collect::<Vec<_>>(),
    })
}

fn play(step: &Value, state: &mut RoomState, islands: &mut Vec<Island>) -> Effects {
    let to = Receiver { me: ME, guards: Guards::default() };
    let mut out = Effects::default();
    if let Some(told) = given(&step["summary"], summary).or_else(|| given(&step["gone"], gone)) {
        state.summary(told, to, &mut out);
    } else if let Some(told) = given(&step["delta"], delta) {
        state.delta(told, to, &mut out);
    } else if let Some(told) = given(&step["event"], event) {
        state.event(told, to, &mut out);
    } else if let Some(told) = given(&step["membership"], membership) {
        state.member(told, Place::Person, to, &mut out);
    } else if let Some(told) = given(&step["page"], page) {
        state.page(told, islands, to, &mut out);
    } else {
        panic!("no such step: {step}");
    }
    out
}

#[test]
fn every_case_ends_as_it_says() {
    let cases = cases();
    for case in list(&cases, "cases") {
        let (mut state, mut islands) = (RoomState::new(ROOM), Vec::new());
        for (at, step) in list(case, "steps").iter().enumerate() {
            let out = play(step, &mut state, &mut islands);
            let seen = seen(&state, &out, &islands);
            for (name, wanted) in step["then"].as_object().unwrap() {
                assert_eq!(&seen[name], wanted, "{name} after step {} of {}", at + 1, case["name"]);
            }
        }
    }
    assert!(list(&cases, "cases").len() > 10);
}

#[test]
fn spans_marks_and_badges_are_as_the_cases_say() {
    let cases = cases();
    for span in list(&cases, "spans") {
        let verdict = Verdict::of(number(span, "from"), number(span, "to"), number(span, "held"));
        assert_eq!(format!("{verdict:?}"), text(span, "is"), "{span}");
    }
    for case in list(&cases, "marks") {
        let merged = mark(&case["one"]).merge(mark(&case["other"]), Guards::default());
        assert_eq!(merged, mark(&case["is"]), "{case}");
    }
    for case in list(&cases, "unread") {
        let unread = mark(&case["mark"]).unread(number(case, "count"), number(case, "first_count"));
        assert_eq!(unread, number(case, "is"), "{case}");
    }
}
