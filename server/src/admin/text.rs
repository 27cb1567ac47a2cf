//! An explanation as a text for a terminal: what follows, then the facts.

use std::fmt::{self, Display, Formatter, Write as _};

use chrono::{DateTime, SecondsFormat};
use madang_proto::v1::{
    Cause, ClosingReason, ExplainResponse, Finding, MemberState, NodeReport, PersonStand, RoomState, StreamEntry,
    StreamEntryKind, StreamReport,
};
use prost_types::{Duration, Timestamp};

/// The whole text.
pub fn text(explanation: &ExplainResponse) -> String {
    let mut out = String::new();
    write(&mut out, explanation).expect("a text takes all");
    out
}

fn write(out: &mut String, explanation: &ExplainResponse) -> fmt::Result {
    for finding in &explanation.findings {
        writeln!(out, "{:<27} {:<16} {}", Time(finding.at), cause(finding), finding.text)?;
    }
    writeln!(out)?;
    if let Some(item) = &explanation.item {
        writeln!(out, "item    {} of room {}, revision {}, count {}", item.seq, item.room_id, item.rev, item.count)?;
        let client = if item.client_message_id.is_empty() { "no message" } else { &item.client_message_id };
        writeln!(out, "        by {} as {client}, stored {}", item.sender_id, Time(item.created_at))?;
    }
    if let Some(room) = &explanation.room {
        let state = if room.state() == RoomState::Deleted { ", deleted" } else { "" };
        let large = if room.large { ", large" } else { "" };
        writeln!(
            out,
            "room    {}, revision {}, newest item {}, {} count, {} members{large}{state}",
            room.room_id, room.rev, room.seq, room.count, room.member_count
        )?;
    }
    if let Some(person) = &explanation.person {
        self::person(out, person)?;
    }
    explanation.nodes.iter().try_for_each(|node| self::node(out, node))
}

fn person(out: &mut String, person: &PersonStand) -> fmt::Result {
    let shut = if person.shut.is_empty() { String::new() } else { format!(", {}", person.shut) };
    writeln!(out, "person  {} {}, number {}{shut}", person.login, person.user_id, person.user_rev)?;
    if let Some(member) = &person.member {
        let how = match member.state() {
            MemberState::Joined => "in the room",
            MemberState::Removed => "removed",
            MemberState::Banned => "banned",
            MemberState::Invited => "invited",
            MemberState::Left | MemberState::Unspecified => "left",
        };
        writeln!(
            out,
            "        {how} since revision {}, sees from item {}, read up to item {} ({} unread), delivered up to item {}",
            member.rev, member.history_from_seq, member.last_read_seq, member.unread, member.delivered_seq
        )?;
    }
    for device in &person.devices {
        let revoked = device.revoked_at.map(|at| format!(", revoked {}", Time(Some(at)))).unwrap_or_default();
        writeln!(out, "        device {}, last seen {}{revoked}", device.device_id, Time(device.last_seen_at))?;
    }
    Ok(())
}

fn node(out: &mut String, node: &NodeReport) -> fmt::Result {
    if !node.answered {
        return writeln!(out, "node    {} did not answer", node.node);
    }
    let room =
        if node.room_tail > 0 { format!("told the room up to revision {}, ", node.room_tail) } else { String::new() };
    writeln!(out, "node    {}, {room}remembers since {}", node.node, Time(node.remembers_since))?;
    node.streams.iter().try_for_each(|stream| self::stream(out, stream))?;
    node.entries.iter().try_for_each(|entry| self::entry(out, entry))
}

fn stream(out: &mut String, stream: &StreamReport) -> fmt::Result {
    let mut how = vec![if stream.live { "live" } else { "catching up" }.to_owned()];
    if stream.closing() != ClosingReason::Unspecified {
        how.push(format!("closing for {}", stream.closing().as_str_name().trim_start_matches("CLOSING_REASON_")));
    }
    if stream.listening {
        how.push("listens to the room".to_owned());
    }
    if stream.focused {
        how.push("shows the room".to_owned());
    }
    if stream.waiting_frames > 0 {
        let (frames, bytes) = (stream.waiting_frames, stream.waiting_bytes);
        how.push(format!("{frames} frames of {bytes} bytes wait for {}", Seconds(stream.stuck_for)));
    }
    if stream.dirty_rooms > 0 {
        how.push(format!("{} rooms to be read", stream.dirty_rooms));
    }
    how.push(format!("heard {} ago", Seconds(stream.silent_for)));
    writeln!(
        out,
        "        stream {} of device {}, opened {}: {}",
        stream.session_id,
        stream.device_id,
        Time(stream.opened_at),
        how.join(", ")
    )
}

fn entry(out: &mut String, entry: &StreamEntry) -> fmt::Result {
    let what = match entry.kind() {
        StreamEntryKind::Unspecified => "did something that is not known here".to_owned(),
        StreamEntryKind::Opened => "opened".to_owned(),
        StreamEntryKind::Live => "live".to_owned(),
        StreamEntryKind::Overflowed => "queue full, room to be read".to_owned(),
        StreamEntryKind::Dirtied => "room to be read".to_owned(),
        StreamEntryKind::Told => format!("told the room up to revision {}", entry.rev),
        StreamEntryKind::Fetched => {
            format!("asked for the room from revision {}, got up to {}", entry.from_rev, entry.rev)
        }
        StreamEntryKind::Closing => {
            format!("closing for {}", entry.reason().as_str_name().trim_start_matches("CLOSING_REASON_"))
        }
        StreamEntryKind::Closed => "closed".to_owned(),
    };
    let whose = if entry.session_id.is_empty() {
        format!("device {}", entry.device_id)
    } else {
        format!("stream {}", entry.session_id)
    };
    writeln!(out, "        {} {whose} {what}", Time(entry.at))
}

fn cause(finding: &Finding) -> String {
    let name = Cause::try_from(finding.cause).unwrap_or_default().as_str_name();
    name.trim_start_matches("CAUSE_").to_lowercase().replace('_', " ")
}

/// A time in UTC, or nothing.
struct Time(Option<Timestamp>);

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let nanos = |at: Timestamp| u32::try_from(at.nanos).unwrap_or_default();
        let at = self.0.and_then(|at| DateTime::from_timestamp(at.seconds, nanos(at)));
        let text = at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)).unwrap_or_default();
        f.pad(&text)
    }
}

/// A length of time, in seconds with one decimal.
struct Seconds(Option<Duration>);

impl Display for Seconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let length = self.0.unwrap_or_default();
        write!(f, "{}.{} s", length.seconds, length.nanos / 100_000_000)
    }
}
