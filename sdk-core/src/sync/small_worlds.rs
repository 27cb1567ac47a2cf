//! Small worlds, tried whole: every history of a few changes, and of each every order in which events, verdicts, deltas
//! and pages of any age can reach the client. After each step what the rules promise is compared with the history, and
//! from each state reached one repair must lead to the truth.

use std::collections::{BTreeMap, HashSet};

use madang_proto::v1::{
    GoneReason, ListMessagesResponse, Member, MemberState, Membership, Message, Room, RoomCursor, RoomDelta, RoomEvent,
    RoomGone, RoomPresent, RoomSummary, Tombstone, room_event::Change, room_summary::Verdict,
};

use super::{Drop, Effects, Island, Place, Receiver, RoomState};
use crate::sabotage::Guards;

const ME: &str = "ann";
/// Rows in a page of a delta; small, so that deltas have pages.
const PAGE: usize = 1;
/// Rows that a delta brings before it is a reset instead, and rows of a reset.
const BEHIND: usize = 3;
const NEWEST: usize = 1;
/// Answers on their way at once.
const FLIGHTS: usize = 2;

/// What happens in the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// Another says something, which mentions the person.
    Says,
    /// The person does, on another device.
    Answers,
    /// The oldest message is edited; it mentions nobody then.
    Edits,
    /// The newest message is deleted.
    Deletes,
    /// Everything is read, on another device.
    Reads,
    /// Everything is unread again.
    Unreads,
    /// The person is taken out.
    Out,
    /// The person comes back, and sees nothing of before.
    In,
}

/// The truth at one time.
#[derive(Debug, Clone, Default)]
struct Truth {
    rows: BTreeMap<i64, Message>,
    rev: i64,
    user_rev: i64,
    /// Generation, position and count of the person's mark.
    mark: (i64, i64, i64),
    out: bool,
    from: i64,
    /// The room's change that led here; none when only the person's numbers moved.
    change: Option<Message>,
}

impl Truth {
    fn after(&self, deed: Deed) -> Option<Self> {
        let mut next = Self { change: None, ..self.clone() };
        match deed {
            Deed::Says | Deed::Answers => next.say(deed == Deed::Answers)?,
            Deed::Edits => {
                let edited = Message { mentioned_user_ids: Vec::new(), ..next.rows.first_entry()?.get().clone() };
                next.put(edited);
            }
            Deed::Deletes => {
                let newest = next.rows.last_entry()?.get().clone();
                next.put(Message { tombstone: Some(Tombstone::default()), ..newest });
            }
            Deed::Reads | Deed::Unreads if self.out => return None,
            Deed::Reads => {
                next.user_rev += 1;
                next.mark = (self.mark.0, self.seq(), self.seq());
            }
            Deed::Unreads => {
                next.user_rev += 1;
                next.mark = (self.mark.0 + 1, 0, 0);
            }
            Deed::Out => {
                next.user_rev += 1;
                next.out = true;
            }
            Deed::In => {
                next.user_rev += 1;
                (next.out, next.from) = (false, self.seq() + 1);
            }
        }
        // Nobody is taken out twice, or comes back who is in.
        (!matches!(deed, Deed::Out | Deed::In) || next.out != self.out).then_some(next)
    }

    fn say(&mut self, own: bool) -> Option<()> {
        let seq = self.seq() + 1;
        let mut said = Message { seq, count: seq, sender_id: "bob".into(), ..Message::default() };
        if own {
            if self.out {
                return None;
            }
            self.mark = (self.mark.0, seq, seq);
            (said.sender_id, said.mark_generation) = (ME.into(), Some(self.mark.0));
        } else {
            said.mentioned_user_ids.push(ME.into());
        }
        self.put(said);
        Some(())
    }

    fn put(&mut self, message: Message) {
        self.rev += 1;
        let message = Message { rev: self.rev, ..message };
        self.rows.insert(message.seq, message.clone());
        self.change = Some(message);
    }

    fn seq(&self) -> i64 {
        self.rows.last_key_value().map_or(0, |(seq, _)| *seq)
    }

    fn seen(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.rows.range(self.from..).map(|(_, message)| message)
    }

    fn mentions(&self) -> Vec<i64> {
        let mentions = |row: &&Message| !row.mentioned_user_ids.is_empty() && row.tombstone.is_none();
        self.seen().filter(mentions).map(|row| row.seq).filter(|seq| *seq > self.mark.1).collect()
    }

    fn membership(&self) -> Membership {
        let mut member = Member { user_id: ME.into(), history_from_seq: self.from, ..Member::default() };
        member.set_state(if self.out { MemberState::Removed } else { MemberState::Joined });
        Membership {
            member: Some(member),
            read_generation: self.mark.0,
            last_read_seq: self.mark.1,
            read_count: self.mark.2,
            unread_mention_seqs: self.mentions(),
            user_rev: self.user_rev,
            ..Membership::default()
        }
    }

    fn summary(&self) -> RoomSummary {
        let verdict = if self.out {
            let mut gone = RoomGone { membership_user_rev: self.user_rev, ..RoomGone::default() };
            gone.set_reason(GoneReason::Removed);
            Verdict::Gone(gone)
        } else {
            let room = Room { rev: self.rev, seq: self.seq(), count: self.seq(), ..Room::default() };
            let (room, membership) = (Some(room), Some(self.membership()));
            let last_message = self.seen().next_back().cloned();
            Verdict::Present(RoomPresent { room, membership, last_message })
        };
        RoomSummary { room_id: "r".into(), verdict: Some(verdict) }
    }

    /// What `SyncRoom` answers: new rows by position, then changed ones by revision, a page at a time.
    fn delta(&self, from: RoomCursor) -> RoomDelta {
        let mut delta = RoomDelta {
            summary: Some(self.summary()),
            from: Some(from.clone()),
            snapshot_rev: self.rev,
            last: true,
            ..RoomDelta::default()
        };
        if self.out {
            return delta;
        }
        let mut rows: Vec<&Message> = self.seen().filter(|row| row.seq > from.seq).collect();
        let fresh = rows.len();
        let mut changed: Vec<&Message> = self.seen().filter(|row| row.seq <= from.seq && row.rev > from.rev).collect();
        changed.sort_by_key(|row| row.rev);
        rows.extend(changed);
        let end = RoomCursor { rev: self.rev, seq: self.seq(), ..from.clone() };
        if from.rev == 0 || rows.len() > BEHIND || from.rev > self.rev {
            let newest: Vec<Message> = self.seen().cloned().collect();
            delta.messages = newest[newest.len().saturating_sub(NEWEST)..].to_vec();
            (delta.reset, delta.to) = (true, Some(end));
            return delta;
        }
        delta.messages = rows.iter().take(PAGE).map(|row| (*row).clone()).collect();
        delta.last = rows.len() <= PAGE;
        delta.to = Some(match delta.messages.last() {
            _ if delta.last => end,
            Some(row) if fresh > 0 => RoomCursor { seq: row.seq, ..from },
            Some(row) => RoomCursor { rev: row.rev, ..from },
            None => end,
        });
        delta
    }

    fn page(&self, before: i64) -> ListMessagesResponse {
        let messages = self.seen().rfind(|row| row.seq < before).cloned().into_iter().collect();
        ListMessagesResponse { messages, snapshot_rev: self.rev, ..ListMessagesResponse::default() }
    }
}

/// An answer on its way.
#[derive(Debug, Clone)]
enum Flight {
    /// With the person's number in it.
    Delta(i64, Box<RoomDelta>),
    Page(i64, ListMessagesResponse),
}

/// What reaches the client.
#[derive(Debug, Clone)]
enum Step {
    Event(usize),
    Summary(usize),
    Membership(usize),
    AskDelta,
    AskPage(i64),
    Land(usize),
}

/// The client, and what is on its way to it.
#[derive(Debug, Clone)]
struct World {
    state: RoomState,
    rows: BTreeMap<i64, Message>,
    islands: Vec<Island>,
    now: usize,
    flights: Vec<Flight>,
    /// The person's newest number that has reached the client.
    told: Option<i64>,
    guards: Guards,
}

impl World {
    fn new(guards: Guards) -> Self {
        Self {
            state: RoomState::new("r"),
            rows: BTreeMap::new(),
            islands: Vec::new(),
            now: 0,
            flights: Vec::new(),
            told: None,
            guards,
        }
    }

    /// What tells one state from another.
    fn key(&self) -> String {
        let Self { state, rows, islands, now, flights, told, .. } = self;
        let rows: Vec<_> = rows.values().map(|row| (row.seq, row.rev)).collect();
        let membership = state.membership.as_ref().map(|m| (m.user_rev, &m.unread_mention_seqs));
        let room = state.room.as_ref().map(|room| (room.rev, room.seq, room.count));
        let last = state.last.as_ref().map(|last| (last.seq, last.rev));
        let flights: Vec<_> = flights.iter().map(Flight::key).collect();
        let RoomState { rev, head_rev, seq, low_seq, reset_rev, .. } = state;
        let numbers = (rev, head_rev, seq, low_seq, reset_rev, state.is_joined());
        format!(
            "{now}{told:?}{numbers:?}{:?}{membership:?}{room:?}{last:?}{rows:?}{islands:?}{flights:?}",
            state.mark()
        )
    }

    fn apply(&mut self, rule: impl FnOnce(&mut RoomState, Receiver<'_>, &mut Effects)) {
        let mut effects = Effects::default();
        rule(&mut self.state, Receiver { me: ME, guards: self.guards }, &mut effects);
        for drop in effects.drop {
            match drop {
                Drop::UpToRev(rev) => self.rows.retain(|_, row| row.rev > rev),
                Drop::BelowSeq(seq) => self.rows.retain(|held, _| *held >= seq),
                Drop::Islands => self.islands.clear(),
                Drop::All => self.rows.clear(),
            }
        }
        for message in effects.messages {
            if self.rows.get(&message.seq).is_none_or(|held| held.rev < message.rev) {
                self.rows.insert(message.seq, message);
            }
        }
    }

    fn cursor(&self) -> RoomCursor {
        RoomCursor { room_id: "r".into(), rev: self.state.rev, seq: self.state.seq }
    }

    fn land(&mut self, flight: Flight) {
        match flight {
            Flight::Delta(user_rev, delta) => {
                self.told = self.told.max(Some(user_rev));
                self.apply(|state, to, out| state.delta(*delta, to, out));
            }
            Flight::Page(_, page) => {
                let mut islands = std::mem::take(&mut self.islands);
                self.apply(|state, to, out| state.page(page, &mut islands, to, out));
                self.islands = islands;
            }
        }
    }

    fn take(&mut self, step: &Step, history: &[Truth]) {
        match *step {
            Step::Event(at) => {
                let (truth, message) = (&history[at], history[at].change.clone().expect("a change of the room"));
                let event = RoomEvent {
                    room_id: "r".into(),
                    prev_rev: truth.rev - 1,
                    rev: truth.rev,
                    change: Some(Change::Message(message)),
                    ..RoomEvent::default()
                };
                self.apply(|state, to, out| state.event(event, to, out));
            }
            Step::Summary(at) => {
                self.told = self.told.max(Some(history[at].user_rev));
                self.apply(|state, to, out| state.summary(history[at].summary(), to, out));
            }
            Step::Membership(at) => {
                self.told = self.told.max(Some(history[at].user_rev));
                self.apply(|state, to, out| state.member(history[at].membership(), Place::Person, to, out));
            }
            Step::AskDelta => {
                let truth = &history[self.now];
                self.flights.push(Flight::Delta(truth.user_rev, Box::new(truth.delta(self.cursor()))));
            }
            Step::AskPage(before) => {
                self.flights.push(Flight::Page(before, history[self.now].page(before)));
            }
            Step::Land(at) => {
                let flight = self.flights.remove(at);
                self.land(flight);
            }
        }
    }

    /// Everything that can happen next, beside the next change.
    fn steps(&self, history: &[Truth]) -> Vec<Step> {
        let mut steps = Vec::new();
        for (at, truth) in history.iter().enumerate().take(self.now + 1) {
            if at > 0 && truth.change.is_some() && !truth.out && !history[at - 1].out {
                steps.push(Step::Event(at));
            }
            if at > 0 && truth.user_rev > history[at - 1].user_rev {
                steps.push(Step::Membership(at));
            }
            steps.push(Step::Summary(at));
        }
        steps.extend((0..self.flights.len()).map(Step::Land));
        let truth = &history[self.now];
        if self.flights.len() < FLIGHTS {
            steps.push(Step::AskDelta);
            // The page before what is held, and the first of all.
            let low = self.state.low_seq;
            if self.state.is_joined() && low > self.state.first_seq() && !truth.out {
                steps.extend([low, 2].map(Step::AskPage));
            }
        }
        steps
    }

    /// Compares what is held with the history.
    fn check(&self, history: &[Truth]) -> Result<(), String> {
        let state = &self.state;
        let place = self.told.and_then(|told| history.iter().rfind(|truth| truth.user_rev == told));
        if place.is_some_and(|place| place.out == state.is_joined()) {
            return Err("in or out?".into());
        }
        if !state.is_joined() {
            return Ok(());
        }
        let at = |rev: i64| history.iter().rfind(|truth| truth.rev == rev);
        // Before the first delta nothing is promised of rows.
        let Some(truth) = at(state.rev) else { return Ok(()) };
        let pieces = self.islands.iter().flat_map(|island| island.low..=island.high);
        for seq in pieces.chain(state.low_seq.max(1)..=state.seq) {
            let Some(row) = self.rows.get(&seq) else { return Err(format!("row {seq} is missing")) };
            let least = truth.rows.get(&seq).map_or(0, |row| row.rev);
            if row.rev < least {
                return Err(format!("row {seq} is of {}, and {least} is promised", row.rev));
            }
        }
        if state.head_rev < state.rev {
            return Err("the head is behind the rows".into());
        }
        let (Some(head), Some(room)) = (at(state.head_rev), &state.room) else { return Ok(()) };
        if (room.rev, room.seq, room.count) != (head.rev, head.seq(), head.seq()) {
            return Err(format!("the room is {:?} at {}", (room.rev, room.seq, room.count), head.rev));
        }
        let newest = head.rows.values().next_back().filter(|row| row.seq >= state.low_seq.max(1)).map(|row| row.rev);
        let last = state.last.as_ref().map(|last| last.rev);
        if last.is_some() && newest.is_some() && last != newest {
            return Err(format!("the newest item is of {last:?}, not {newest:?}"));
        }
        Ok(())
    }

    /// One repair from here leads to the truth.
    fn heals(mut self, history: &[Truth]) -> Result<(), String> {
        let truth = &history[self.now];
        self.take(&Step::Summary(self.now), history);
        for _ in 0..=2 * history.len() {
            let delta = truth.delta(self.cursor());
            let last = delta.last;
            self.land(Flight::Delta(truth.user_rev, Box::new(delta)));
            if last {
                break;
            }
        }
        self.check(history)?;
        if truth.out {
            return Ok(());
        }
        if (self.state.rev, self.state.seq, self.state.head_rev) != (truth.rev, truth.seq(), truth.rev) {
            return Err(format!("held {:?} of {:?}", (self.state.rev, self.state.seq), (truth.rev, truth.seq())));
        }
        let held: Vec<_> = self.rows.range(self.state.low_seq.max(1)..).map(|(_, row)| (row.seq, row.rev)).collect();
        let rows: Vec<_> = truth.rows.range(self.state.low_seq.max(1)..).map(|(_, row)| (row.seq, row.rev)).collect();
        if held != rows {
            return Err(format!("rows {held:?} of {rows:?}"));
        }
        let mark = self.state.mark();
        let mentions = self.state.membership.map(|m| m.unread_mention_seqs).unwrap_or_default();
        if ((mark.generation, mark.seq, mark.count), &mentions) != (truth.mark, &truth.mentions()) {
            return Err(format!("mark {mark:?} {mentions:?} of {:?} {:?}", truth.mark, truth.mentions()));
        }
        Ok(())
    }
}

impl Flight {
    fn key(&self) -> String {
        match self {
            Self::Delta(user_rev, delta) => {
                let cursor = |cursor: &Option<RoomCursor>| cursor.as_ref().map(|it| (it.rev, it.seq));
                format!("d{user_rev}{:?}{:?}{}", cursor(&delta.from), cursor(&delta.to), delta.snapshot_rev)
            }
            Self::Page(before, page) => format!("p{before}/{}", page.snapshot_rev),
        }
    }
}

/// Tries every order of one history; tells how many states there were.
fn explore(deeds: &[Deed], depth: usize, guards: Guards) -> Result<usize, String> {
    let mut history = vec![Truth { from: 1, ..Truth::default() }];
    // A room begins with its notice.
    history[0].put(Message { seq: 1, count: 1, sender_id: "bob".into(), ..Message::default() });
    for deed in deeds {
        let Some(next) = history[history.len() - 1].after(*deed) else { return Ok(0) };
        history.push(next);
    }
    let mut seen = HashSet::new();
    let mut ways = vec![(World::new(guards), Vec::new())];
    while let Some((world, way)) = ways.pop() {
        let told = |wrong: String| format!("{deeds:?}, {way:?}: {wrong}\n{:?}", world.state);
        world.check(&history).map_err(told)?;
        world.clone().heals(&history).map_err(told)?;
        if way.len() == depth {
            continue;
        }
        if world.now + 1 < history.len() {
            ways.push((World { now: world.now + 1, ..world.clone() }, way.clone()));
        }
        for step in world.steps(&history) {
            let mut next = world.clone();
            next.take(&step, &history);
            if seen.insert((next.key(), depth - way.len())) {
                let way = way.iter().cloned().chain([step]).collect();
                ways.push((next, way));
            }
        }
    }
    Ok(seen.len())
}

/// Every history of so many of these deeds, in every order; tells how many states there were.
fn all(deeds: &[Deed], length: usize, depth: usize, guards: Guards) -> Result<usize, String> {
    let mut states = 0;
    let mut histories: Vec<Vec<Deed>> = vec![Vec::new()];
    for _ in 0..length {
        let longer = histories.iter().flat_map(|history| deeds.iter().map(|deed| [&history[..], &[*deed]].concat()));
        histories = longer.collect();
        for history in &histories {
            states += explore(history, depth, guards)?;
        }
    }
    Ok(states)
}

/// Deeds that have to do with each other.
const FAMILIES: [[Deed; 4]; 3] = [
    [Deed::Says, Deed::Answers, Deed::Edits, Deed::Deletes],
    [Deed::Says, Deed::Answers, Deed::Reads, Deed::Unreads],
    [Deed::Says, Deed::Edits, Deed::Out, Deed::In],
];

#[test]
fn every_order_of_every_short_history_keeps_the_promise_and_heals() {
    for deeds in FAMILIES {
        let states = all(&deeds, 3, 4, Guards::default()).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(states > 10_000, "{states} states of {deeds:?}");
    }
}

#[cfg(feature = "sabotage")]
#[test]
fn a_rule_that_is_taken_out_is_missed() {
    use crate::sabotage::Guard;

    let rules = [Guard::Spans, Guard::HeadRev, Guard::GoneNumbered, Guard::Generation, Guard::Paging, Guard::History];
    for rule in rules {
        let guards = Guards { without: Some(rule) };
        let missed = FAMILIES.iter().any(|deeds| all(deeds, 3, 4, guards).is_err());
        assert!(missed, "{rule:?}");
    }
}
