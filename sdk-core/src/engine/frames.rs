//! Frames into the store: where the rules meet the rows. Runs inside a transaction of the store's thread.

use std::collections::{BTreeMap, BTreeSet};

use madang_proto::v1::{
    ErrorReason, Heartbeat, ListMessagesResponse, MemberState, Membership, Message, PeopleChanged, RoomEvent,
    RoomSummary, ServerFrame, UserDelta, room_event::Change, server_frame::Frame,
};

use super::repair::{self, Ask};
use crate::{
    sabotage::{self, Guard},
    store::{Write, islands, messages, meta, outbox, people, rooms},
    sync::{Effects, Place, Receiver, RoomState, Verdict},
};

/// What is to be done after the commit.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Questions to the server.
    pub(crate) asks: Vec<Ask>,
    /// People who were seen and are not known, or whose profile changed.
    pub(crate) people: BTreeSet<String>,
    /// Newest item that has arrived, by room.
    pub(crate) delivered: BTreeMap<String, i64>,
    /// All verdicts are in.
    pub(crate) drained: bool,
}

/// What the application of frames must know beside the store.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// Rooms on the screen.
    pub(crate) focus: BTreeSet<String>,
    /// All verdicts of this stream are in.
    pub(crate) live: bool,
}

/// Applies frames in their order, in one transaction. Those that concern the stream alone are passed over.
pub(crate) fn apply(w: &mut Write<'_>, view: &View, frames: Vec<ServerFrame>) -> rusqlite::Result<Outcome> {
    let mut out = Outcome::default();
    let mut view = view.clone();
    for frame in frames {
        match frame.frame {
            Some(Frame::RoomSummary(summary)) => self::summary(w, &view, summary, &mut out)?,
            Some(Frame::RoomDelta(delta)) => {
                let room_id = delta.summary.as_ref().map(|summary| summary.room_id.clone()).unwrap_or_default();
                let more = !delta.last && delta.to.is_some();
                on_room(w, &view, &room_id, &mut out, |state, to, effects| state.delta(delta, to, effects))?;
                if more && w.guards.holds(Guard::Paging) {
                    repair::ask_room(w, &room_id, &mut out)?;
                }
            }
            Some(Frame::RoomEvent(event)) => self::event(w, &view, event, &mut out)?,
            Some(Frame::UserDelta(delta)) => user_delta(w, &view, delta, &mut out)?,
            Some(Frame::UserBehind(behind)) => repair::user_is_at(w, behind.user_rev, &mut out)?,
            Some(Frame::PeopleChanged(changed)) => people_changed(w, &changed, &mut out)?,
            Some(Frame::Drained(drained)) => {
                keep_watermark(w, drained.watermark)?;
                view.live = true;
                out.drained = true;
                repair::after_drained(w, &view, &mut out)?;
            }
            Some(Frame::Heartbeat(beat)) => heartbeat(w, &view, &beat, &mut out)?,
            _ => {}
        }
    }
    Ok(out)
}

/// Lets a rule change a room, does what follows from it, and saves the room.
pub(crate) fn on_room(
    w: &mut Write<'_>,
    view: &View,
    room_id: &str,
    out: &mut Outcome,
    rule: impl FnOnce(&mut RoomState, Receiver<'_>, &mut Effects),
) -> rusqlite::Result<()> {
    if room_id.is_empty() {
        return Ok(());
    }
    let mut state = rooms::load(&w.tx, room_id)?;
    let before = state.clone();
    let mut effects = Effects::default();
    rule(&mut state, w.receiver(), &mut effects);
    rooms::drop_rows(&w.tx, room_id, &effects)?;
    messages::upsert(&w.tx, &effects.messages, w.guards)?;
    if !effects.messages.is_empty() {
        sabotage::phase("applying");
    }
    messages::upsert_members(&w.tx, room_id, &effects.members)?;
    messages::upsert_receipts(&w.tx, room_id, &effects.receipts)?;
    if effects.ended {
        outbox::fail_room(&w.tx, room_id, ErrorReason::RoomEnded, "the room has ended")?;
    }
    let newest = |state: &RoomState| state.room.as_ref().map_or(0, |room| room.seq);
    if state.is_joined() && newest(&state) > newest(&before) {
        out.delivered.insert(room_id.to_owned(), newest(&state));
    }
    see_people(w, &state, &effects, out)?;
    if state != before {
        rooms::save(&w.tx, &state)?;
    }
    if state != before || effects != Effects::default() {
        w.changes.room(room_id);
    }
    let behind = state.rev < state.head_rev && view.focus.contains(room_id);
    if effects.hole || state.is_joined() && view.live && (behind || state.is_unheard_of()) {
        repair::ask_room(w, room_id, out)?;
    }
    Ok(())
}

/// A verdict on a room.
pub(crate) fn summary(w: &mut Write<'_>, view: &View, summary: RoomSummary, out: &mut Outcome) -> rusqlite::Result<()> {
    let room_id = summary.room_id.clone();
    on_room(w, view, &room_id, out, |state, to, effects| state.summary(summary, to, effects))
}

/// A live change. While the room is being repaired it waits: the answer may hold it already, or let it join.
pub(crate) fn event(w: &mut Write<'_>, view: &View, event: RoomEvent, out: &mut Outcome) -> rusqlite::Result<()> {
    let room_id = event.room_id.clone();
    let Some(event) = w.repairs.hold(event) else { return Ok(()) };
    on_room(w, view, &room_id, out, |state, to, effects| state.event(event, to, effects))
}

/// The event that a message's change is, as a command's answer tells it.
pub(crate) fn change_of(message: Message, (prev_rev, rev): (i64, i64)) -> RoomEvent {
    let (room_id, actor_id) = (message.room_id.clone(), message.sender_id.clone());
    RoomEvent { room_id, prev_rev, rev, actor_id, change: Some(Change::Message(message)) }
}

/// What a command has changed, told by its answer: the row is taken, the cursor moves only where the span joins.
pub(crate) fn answer(w: &mut Write<'_>, view: &View, event: RoomEvent, out: &mut Outcome) -> rusqlite::Result<()> {
    let room_id = event.room_id.clone();
    on_room(w, view, &room_id, out, |state, to, effects| {
        let rows = match &event.change {
            Some(Change::Message(message)) if !state.ended => vec![message.clone()],
            _ => Vec::new(),
        };
        if event.rev > 0 {
            state.event(event, to, effects);
        }
        effects.hole = false;
        if effects.messages.is_empty() {
            effects.messages = rows;
        }
    })
}

/// One's own place in a room, as a command or the stream tells it.
pub(crate) fn membership(
    w: &mut Write<'_>,
    view: &View,
    membership: Membership,
    out: &mut Outcome,
) -> rusqlite::Result<()> {
    let room_id = membership.member.as_ref().map(|member| member.room_id.clone()).unwrap_or_default();
    let before = rooms::load(&w.tx, &room_id)?;
    let generation = membership.read_generation;
    on_room(w, view, &room_id, out, |state, to, effects| state.member(membership, Place::Person, to, effects))?;
    // Older messages are unread again: which of them mention the person is not told by a membership for sure.
    if before.is_joined() && generation > before.mark().generation {
        repair::ask_anew(w, view, &room_id, out)?;
    }
    Ok(())
}

/// Moves the person's number where a span joins, and tells whether it does.
fn user_span(w: &mut Write<'_>, from: i64, to: i64) -> rusqlite::Result<Verdict> {
    let held = meta::number(&w.tx, meta::USER_REV)?;
    let verdict = match Verdict::of(from, to, held) {
        Verdict::Hole if !w.guards.holds(Guard::UserSpans) => Verdict::Apply,
        verdict => verdict,
    };
    if verdict == Verdict::Apply {
        meta::set(&w.tx, meta::USER_REV, to)?;
    }
    Ok(verdict)
}

/// The person's changes.
pub(crate) fn user_delta(w: &mut Write<'_>, view: &View, delta: UserDelta, out: &mut Outcome) -> rusqlite::Result<()> {
    match user_span(w, delta.from_user_rev, delta.to_user_rev)? {
        Verdict::Hole => return repair::user_is_at(w, delta.to_user_rev, out),
        // Whole states merge by their own numbers; a delta that is held already changes nothing.
        Verdict::Drop | Verdict::Apply => {}
    }
    for membership in delta.memberships {
        self::membership(w, view, membership, out)?;
    }
    if !delta.last && w.guards.holds(Guard::Paging) {
        repair::user_is_at(w, delta.to_user_rev.saturating_add(1), out)?;
    }
    Ok(())
}

/// A membership that a command answered with; `prev_user_rev` 0: nothing moved.
pub(crate) fn own_answer(
    w: &mut Write<'_>,
    view: &View,
    place: Membership,
    prev_user_rev: i64,
    out: &mut Outcome,
) -> rusqlite::Result<()> {
    let to = place.user_rev;
    if prev_user_rev > 0 && meta::number(&w.tx, meta::USER_REV)? == prev_user_rev {
        meta::set(&w.tx, meta::USER_REV, to)?;
    }
    membership(w, view, place, out)
}

/// A page of the timeline, from anywhere. One whose snapshot is older than a reset does not fit any more.
pub(crate) fn page(
    w: &mut Write<'_>,
    view: &View,
    room_id: &str,
    page: ListMessagesResponse,
    out: &mut Outcome,
) -> rusqlite::Result<()> {
    let mut held = islands::of_room(&w.tx, room_id)?;
    let before = held.clone();
    on_room(w, view, room_id, out, |state, to, effects| state.page(page, &mut held, to, effects))?;
    if held != before {
        islands::save(&w.tx, room_id, &held)?;
    }
    Ok(())
}

/// Everything up to here has been told; it is kept once it is held too.
fn keep_watermark(w: &mut Write<'_>, watermark: i64) -> rusqlite::Result<()> {
    w.repairs.watermark = w.repairs.watermark.max(watermark);
    repair::keep_watermark(w)
}

fn heartbeat(w: &mut Write<'_>, view: &View, beat: &Heartbeat, out: &mut Outcome) -> rusqlite::Result<()> {
    repair::user_is_at(w, beat.user_rev, out)?;
    for room in &beat.rooms {
        let state = rooms::load(&w.tx, &room.room_id)?;
        if state.is_joined() && room.rev > state.rev && view.focus.contains(&room.room_id) {
            repair::ask_room(w, &room.room_id, out)?;
        }
    }
    keep_watermark(w, beat.watermark)
}

fn people_changed(w: &mut Write<'_>, changed: &PeopleChanged, out: &mut Outcome) -> rusqlite::Result<()> {
    if changed.all {
        people::outdate_all(&w.tx)?;
        out.people.extend(people::outdated(&w.tx)?);
    }
    for profile in &changed.profiles {
        if people::outdate(&w.tx, &profile.user_id, profile.profile_rev)? {
            out.people.insert(profile.user_id.clone());
        }
    }
    Ok(())
}

/// Notes who is seen for the first time.
fn see_people(w: &mut Write<'_>, state: &RoomState, effects: &Effects, out: &mut Outcome) -> rusqlite::Result<()> {
    let mut seen: BTreeSet<&str> = effects.messages.iter().chain(&state.last).flat_map(people_of).collect();
    seen.extend(state.room.iter().flat_map(|room| room.direct_user_ids.iter().map(String::as_str)));
    let joined = effects.members.iter().filter(|member| member.state() == MemberState::Joined);
    seen.extend(joined.map(|member| member.user_id.as_str()));
    seen.retain(|id| !id.is_empty());
    for id in seen {
        if !people::knows(&w.tx, id)? {
            out.people.insert(id.to_owned());
        }
    }
    Ok(())
}

/// Whose names a message needs.
pub(crate) fn people_of(message: &Message) -> impl Iterator<Item = &str> {
    let notice = message.system.iter();
    let named = notice.flat_map(|notice| notice.user_ids.iter().chain([&notice.actor_id]).map(String::as_str));
    named.chain([message.sender_id.as_str()])
}
