//! What follows from the facts. Pure: the same facts give the same findings.

use madang_proto::v1::{
    Cause, ClosingReason, ExplainResponse, Finding, MemberStand, MemberState, NodeReport, PersonStand, RoomStand,
    RoomState, StoredItem, StreamEntry, StreamEntryKind, StreamReport,
};
use prost_types::Timestamp;

use super::explain::Subject;

/// A reader that took nothing for so long is worth a word.
const SLOW_SECONDS: i64 = 2;

/// All findings, the one that decides first. `asked`: other nodes could be asked.
pub(super) fn of(subject: Subject, facts: &ExplainResponse, asked: bool) -> Vec<Finding> {
    let mut findings = match subject {
        Subject::Stream(id) => stream(&id.to_string(), facts),
        Subject::Room(_) => room(facts),
        Subject::Item(_, seq) => item(Some(seq), facts),
        Subject::Sent(..) => item(None, facts),
    };
    for node in facts.nodes.iter().filter(|node| !node.answered) {
        findings.push(found(Cause::NodeSilent, format!("node {} did not answer: what it knows is missing", node.node)));
    }
    if !asked {
        findings.push(found(Cause::NoBus, "no bus: other nodes, if there are any, were not asked"));
    }
    findings
}

fn found(cause: Cause, text: impl Into<String>) -> Finding {
    Finding { cause: cause.into(), text: text.into(), ..Finding::default() }
}

trait At {
    fn at(self, at: Option<Timestamp>) -> Self;
    fn of(self, stream: &StreamReport) -> Self;
}

impl At for Finding {
    fn at(self, at: Option<Timestamp>) -> Self {
        Self { at, ..self }
    }

    fn of(self, stream: &StreamReport) -> Self {
        Self { session_id: stream.session_id.clone(), ..self }
    }
}

/// Why an item stands as it does for a person: what forbids it to be told decides, then what each stream was told.
fn item(seq: Option<i64>, facts: &ExplainResponse) -> Vec<Finding> {
    let (Some(room), Some(person)) = (&facts.room, &facts.person) else { return Vec::new() };
    let Some(item) = &facts.item else {
        return vec![not_stored(seq, room)];
    };
    let mut findings = barriers(Some(item), room, person);
    let barred = !findings.is_empty();
    if !barred {
        findings = streams(facts, person, item.rev, item.created_at);
        findings.extend(fetched(facts, item.rev));
    }
    findings.extend(deleted(item));
    findings.push(found(Cause::Stored, format!("it is item {}, revision {}", item.seq, item.rev)).at(item.created_at));
    if let (Some(member), false) = (&person.member, barred) {
        findings.extend(marks(item, member, person));
    }
    findings
}

fn not_stored(seq: Option<i64>, room: &RoomStand) -> Finding {
    let why = match seq {
        Some(seq) => format!("there is no item {seq}: the newest of the room is {}", room.seq),
        None => "it is not stored: it never arrived, was refused, or is still with its sender".to_owned(),
    };
    found(Cause::NotStored, why)
}

fn deleted(item: &StoredItem) -> Option<Finding> {
    item.deleted_at?;
    let text = format!("it was deleted by {}: everybody gets its tombstone", item.deleted_by);
    Some(found(Cause::Deleted, text).at(item.deleted_at))
}

/// What forbids that the person is told.
fn barriers(item: Option<&StoredItem>, room: &RoomStand, person: &PersonStand) -> Vec<Finding> {
    let mut findings = Vec::new();
    let who = &person.login;
    if room.state() == RoomState::Deleted {
        findings.push(found(Cause::RoomEnded, "the room was deleted: clients drop what they hold of it"));
    }
    if !person.shut.is_empty() {
        findings.push(found(Cause::AccountShut, format!("{who} cannot be told anything: {}", person.shut)));
    }
    let Some(member) = &person.member else {
        findings.push(found(Cause::NeverMember, format!("{who} was never in the room")));
        return findings;
    };
    if member.state() != MemberState::Joined {
        findings.push(out_of_room(item, member, who));
    } else if let Some(item) = item.filter(|item| item.seq < member.history_from_seq) {
        let from = member.history_from_seq;
        let text = format!("{who} may see the room from item {from} on, and this is item {}", item.seq);
        findings.push(found(Cause::BeforeHistory, text).at(member.joined_at));
    }
    findings
}

fn out_of_room(item: Option<&StoredItem>, member: &MemberStand, who: &str) -> Finding {
    let how = match member.state() {
        MemberState::Removed => "was removed from the room",
        MemberState::Banned => "was banned from the room",
        MemberState::Invited => "was invited and has not come",
        _ => "has left the room",
    };
    let when = match (item, &member.left_at) {
        (Some(item), Some(left)) if before(item.created_at.as_ref(), Some(left)) => ", after this was said",
        (Some(_), Some(_)) => ", before this was said",
        _ => "",
    };
    found(Cause::OutOfRoom, format!("{who} {how}{when}")).at(member.left_at)
}

fn before(a: Option<&Timestamp>, b: Option<&Timestamp>) -> bool {
    let key = |at: &Timestamp| (at.seconds, at.nanos);
    a.map(key) < b.map(key)
}

/// What each open stream was told of a revision of the room; or why there is none.
fn streams(facts: &ExplainResponse, person: &PersonStand, rev: i64, since: Option<Timestamp>) -> Vec<Finding> {
    let open: Vec<_> = facts.nodes.iter().flat_map(|node| node.streams.iter().map(move |s| (node, s))).collect();
    if open.is_empty() {
        return vec![no_stream(facts, person)];
    }
    open.into_iter().map(|(node, stream)| told(node, stream, rev, since.as_ref()).of(stream)).collect()
}

fn no_stream(facts: &ExplainResponse, person: &PersonStand) -> Finding {
    let who = &person.login;
    let newest = person.devices.iter().filter_map(|device| device.revoked_at).max_by_key(|at| (at.seconds, at.nanos));
    if !person.devices.is_empty() && person.devices.iter().all(|device| device.revoked_at.is_some()) {
        return found(Cause::SignedOut, format!("{who} is signed out on all devices")).at(newest);
    }
    let entries = facts.nodes.iter().flat_map(|node| &node.entries);
    let last = entries.filter(|entry| entry.kind() == StreamEntryKind::Closed).max_by_key(|entry| key(entry));
    let Some(last) = last else {
        return found(Cause::NoStream, format!("{who} has no open stream: the next one is told at its opening"));
    };
    let why = match closing_of(facts, &last.session_id) {
        ClosingReason::Unspecified => "its connection ended".to_owned(),
        reason => reason_text(reason).to_owned(),
    };
    let text = format!("{who} has no open stream; the last one is over because {why}; the next is told at its opening");
    Finding { session_id: last.session_id.clone(), ..found(Cause::NoStream, text).at(last.at) }
}

fn key(entry: &StreamEntry) -> Option<(i64, i32)> {
    entry.at.map(|at| (at.seconds, at.nanos))
}

/// Why the server ended a stream.
fn closing_of(facts: &ExplainResponse, session_id: &str) -> ClosingReason {
    let entries = facts.nodes.iter().flat_map(|node| &node.entries);
    let mut closing = entries.filter(|e| e.kind() == StreamEntryKind::Closing && e.session_id == session_id);
    closing.next().map(StreamEntry::reason).unwrap_or_default()
}

fn reason_text(reason: ClosingReason) -> &'static str {
    match reason {
        ClosingReason::Unspecified => "of no reason that is known",
        ClosingReason::SlowConsumer => "its reader took nothing for too long",
        ClosingReason::Revoked => "the device session was revoked or the account shut",
        ClosingReason::TokenExpired => "no fresh token came in time",
        ClosingReason::Draining => "its node was stopping",
        ClosingReason::Replaced => "the same device opened another",
        ClosingReason::TooManyStreams => "the person opened more streams than allowed",
        ClosingReason::EpochChanged => "the database has another history",
        ClosingReason::InvalidFrame => "the client broke the protocol",
        ClosingReason::HelloTimeout => "the client said nothing",
        ClosingReason::MaxAge => "its connection had reached its age",
    }
}

/// What an open stream was told of a revision, by the first reason that holds.
fn told(node: &NodeReport, stream: &StreamReport, rev: i64, since: Option<&Timestamp>) -> Finding {
    let entries = || node.entries.iter().filter(|entry| entry.session_id == stream.session_id);
    let last = |kind| entries().rfind(|entry: &&StreamEntry| entry.kind() == kind);
    let at = |entry: Option<&StreamEntry>| entry.and_then(|entry| entry.at);
    if stream.closing() != ClosingReason::Unspecified {
        let text = format!("the server ends the stream: {}", reason_text(stream.closing()));
        return found(Cause::Closing, text).at(at(last(StreamEntryKind::Closing)));
    }
    if !stream.live {
        return found(Cause::CatchingUp, "the stream's first read goes on: the room's turn comes").at(stream.opened_at);
    }
    if stream.room_dirty {
        let soiled = |e: &&StreamEntry| matches!(e.kind(), StreamEntryKind::Overflowed | StreamEntryKind::Dirtied);
        let entry = entries().rfind(soiled);
        let overflowed = entry.is_some_and(|entry| entry.kind() == StreamEntryKind::Overflowed);
        let why = if overflowed { "its queue was full" } else { "an event was missed, or the room is new to it" };
        let text = format!(
            "the stream is not told: {why}; the room is read for it when the {} frames that wait have left",
            stream.waiting_frames
        );
        return found(Cause::Dirty, text).at(at(entry));
    }
    if !stream.listening {
        let text =
            "the node does not know yet that the person is in the room; the next comparison with the database tells it";
        return found(Cause::NotListening, text);
    }
    if node.room_tail < rev {
        let text = format!(
            "the node has heard of revision {} of the room; the next comparison with the database finds {rev}",
            node.room_tail
        );
        return found(Cause::NodeBehind, text);
    }
    if stream.waiting_frames > 0 {
        let stuck = stream.stuck_for.map_or(0, |stuck| stuck.seconds);
        let slow =
            if stuck >= SLOW_SECONDS { format!("; the reader took nothing for {stuck} s") } else { String::new() };
        return found(
            Cause::Waiting,
            format!("it waits for the stream's reader: {} frames do{slow}", stream.waiting_frames),
        );
    }
    handed(&entries, stream, rev, since)
}

/// How a stream that waits for nothing came to know.
fn handed<'a, I: DoubleEndedIterator<Item = &'a StreamEntry>>(
    entries: &impl Fn() -> I,
    stream: &StreamReport,
    rev: i64,
    since: Option<&Timestamp>,
) -> Finding {
    let read = entries().find(|e| e.kind() == StreamEntryKind::Told && e.rev >= rev);
    if let Some(read) = read {
        let text = format!("the stream was told by a read of the room, up to revision {}", read.rev);
        return found(Cause::ToldByRead, text).at(read.at);
    }
    let live = entries().find(|e| e.kind() == StreamEntryKind::Live).and_then(|e| e.at).or(stream.opened_at);
    if before(since, live.as_ref()) {
        return found(Cause::ToldAtOpening, "the stream was opened after it: its first read covers it").at(live);
    }
    found(Cause::ToldLive, "the stream was told as it happened")
}

/// Devices that asked for the room's rows afterwards, whichever node they asked.
fn fetched(facts: &ExplainResponse, rev: i64) -> Vec<Finding> {
    let entries = facts.nodes.iter().flat_map(|node| &node.entries);
    let fetched =
        entries.filter(|entry| entry.kind() == StreamEntryKind::Fetched && entry.rev >= rev && entry.from_rev < rev);
    let finding = |entry: &StreamEntry| {
        let text = format!(
            "device {} asked for the room from revision {} and was told up to {}",
            entry.device_id, entry.from_rev, entry.rev
        );
        found(Cause::Fetched, text).at(entry.at)
    };
    fetched.map(finding).collect()
}

fn marks(item: &StoredItem, member: &MemberStand, person: &PersonStand) -> Vec<Finding> {
    let who = &person.login;
    let mut findings = Vec::new();
    if member.delivered_seq >= item.seq {
        findings.push(found(
            Cause::Delivered,
            format!("a device of {who} has acknowledged items up to {}", member.delivered_seq),
        ));
    }
    findings.push(if member.last_read_seq >= item.seq {
        found(Cause::Read, format!("{who} has read up to item {}", member.last_read_seq))
    } else {
        found(Cause::Unread, format!("{who} has read up to item {}, which is before it", member.last_read_seq))
    });
    findings
}

/// Why a room stands as it does for a person.
fn room(facts: &ExplainResponse) -> Vec<Finding> {
    let (Some(room), Some(person)) = (&facts.room, &facts.person) else { return Vec::new() };
    let findings = barriers(None, room, person);
    let Some(member) = person.member.as_ref().filter(|_| findings.is_empty()) else { return findings };
    let mut findings = vec![badge(room, member, person)];
    findings.extend(streams(facts, person, room.rev, None));
    findings
}

/// The formula, with its numbers.
fn badge(room: &RoomStand, member: &MemberStand, person: &PersonStand) -> Finding {
    let RoomStand { count, first_count, .. } = room;
    let MemberStand { unread, read_count, last_read_seq, read_generation, .. } = member;
    let cause = if *unread > 0 { Cause::Unread } else { Cause::Read };
    let again =
        if *read_generation > 0 { format!("; marked as unread {read_generation} times") } else { String::new() };
    let text = format!(
        "{} has {unread} unread: {count} items count, {read_count} of them up to item {last_read_seq}, which is read, \
         {first_count} removed by retention{again}",
        person.login
    );
    found(cause, text)
}

/// Why a stream stands as it does.
fn stream(session_id: &str, facts: &ExplainResponse) -> Vec<Finding> {
    let open = facts.nodes.iter().flat_map(|node| &node.streams).find(|stream| stream.session_id == session_id);
    if let Some(stream) = open {
        return vec![open_stream(stream).of(stream)];
    }
    let mut entries = facts.nodes.iter().flat_map(|node| &node.entries);
    let Some(closed) = entries.rfind(|entry| entry.kind() == StreamEntryKind::Closed) else {
        let since = facts.nodes.iter().filter_map(|node| node.remembers_since).max_by_key(|at| (at.seconds, at.nanos));
        let text = "no node knows the stream, as far back as they remember: since the time beside this";
        return vec![found(Cause::UnknownStream, text).at(since)];
    };
    let why = match closing_of(facts, session_id) {
        ClosingReason::Unspecified => "its connection ended".to_owned(),
        reason => reason_text(reason).to_owned(),
    };
    vec![Finding {
        session_id: session_id.to_owned(),
        ..found(Cause::Closed, format!("the stream is over: {why}")).at(closed.at)
    }]
}

fn open_stream(stream: &StreamReport) -> Finding {
    let stuck = stream.stuck_for.map_or(0, |stuck| stuck.seconds);
    if stream.closing() != ClosingReason::Unspecified {
        return found(Cause::Closing, format!("the server ends the stream: {}", reason_text(stream.closing())));
    }
    if !stream.live {
        return found(Cause::CatchingUp, "the stream's first read goes on").at(stream.opened_at);
    }
    if stream.dirty_rooms > 0 {
        let text = format!(
            "{} rooms are read for it when the {} frames that wait have left",
            stream.dirty_rooms, stream.waiting_frames
        );
        return found(Cause::Dirty, text);
    }
    if stream.waiting_frames > 0 {
        let text = format!("{} frames wait; the reader took nothing for {stuck} s", stream.waiting_frames);
        return found(Cause::Waiting, text);
    }
    found(Cause::Live, "the stream is open and nothing waits for it").at(stream.opened_at)
}
