//! What one stream sends: restated from `sync/stream.rs` and `sync/open.rs` around the real session. Each read of the
//! database is a step, and what follows from it another.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use madang_proto::v1::{self, room_event::Change, room_summary::Verdict, server_frame::Frame};
use madang_server::{
    ids::SessionId,
    realtime::{Membership, Opener, Session, Step, Work},
    rooms::{self, Member, Summary, store::Gone},
};
use prost::Message as _;
use uuid::Uuid;

use super::{Bell, Event, MS, World, node::encoded};
use crate::{
    dice::mix,
    model::{self, Cursor, room_id, room_named, room_of},
};

/// What a client said of itself.
#[derive(Debug, Clone)]
struct Stand {
    epoch: String,
    user_rev: i64,
    watermark: i64,
    cursors: Vec<Cursor>,
}

/// A room to give a verdict on.
#[derive(Debug, Clone, Copy)]
enum Owed {
    Delta(Cursor),
    Summary(usize),
}

/// The verdicts of one read.
type Verdicts = Vec<(usize, Option<Summary>, Option<Gone>)>;

/// What a stream is doing.
#[derive(Debug)]
enum Stage {
    /// Reads the rooms to listen to.
    Register,
    Listen(Vec<Membership>),
    Watermark,
    /// Reads what changed for the person: the number, the rows, their mentions.
    Number,
    Rows(i64),
    Mentions(i64, i64, Vec<Member>),
    Changed,
    Owed(Vec<usize>),
    Mine(Vec<usize>, Vec<Membership>),
    /// The beginning is there.
    Begun,
    /// Sends what is ready, then reads the next room that is owed.
    Paying,
    Delta(Cursor),
    DeltaRead(Option<Box<v1::RoomDelta>>, usize),
    Summaries(Vec<usize>),
    SummariesRead(Verdicts),
    Person,
    PersonRooms(i64),
    PersonListen(i64, Vec<Membership>),
    /// Sends what the session has.
    Live,
}

/// One stream.
#[expect(clippy::struct_excessive_bools, reason = "each says of another side how far it is")]
pub(super) struct Stream {
    pub(super) device: usize,
    person: usize,
    pub(super) node: usize,
    life: u64,
    pub(super) session: Arc<Session>,
    pub(super) bell: Arc<Bell>,
    stand: Stand,
    stage: Stage,
    after: i64,
    first: Vec<Bytes>,
    ready: VecDeque<Bytes>,
    owed: VecDeque<Owed>,
    watermark: i64,
    is_live: bool,
    /// On their way or arrived, with the time of their arrival.
    pub(super) pipe: VecDeque<(u64, v1::ServerFrame)>,
    /// Its last frame has left.
    is_done: bool,
    is_open: bool,
    is_cut: bool,
    pumps: bool,
    pub(super) takes: bool,
    /// Newest live revision of each room.
    told: BTreeMap<usize, i64>,
    /// Newest revision of each room that was told in whatever way.
    known: BTreeMap<usize, i64>,
}

impl Stream {
    /// What was being read is worth nothing any more.
    pub(super) fn stop_reading(&mut self) {
        self.stage = Stage::Live;
        self.ready.clear();
        self.owed.clear();
        self.first.clear();
    }
}

impl World<'_> {
    /// A device says Hello to a node.
    pub(super) fn dial(&mut self, device: usize, node: usize, hello: v1::Hello) -> usize {
        let person = self.devices[device].person;
        let number = self.streams.len();
        let opener = Opener {
            user_id: model::user_id(person),
            device_id: model::device_id(device),
            sid: "s".into(),
            issued_at: model::time(0),
            expires_at: model::time(u64::MAX / 4),
            connection: madang_server::limits::ConnectionAge::default(),
        };
        let id = SessionId(Uuid::from_u128(0x0d00_0000 + number as u128));
        let record = Arc::clone(self.nodes[node].hub.record());
        let session = Session::new(id, opener, self.guards, record).with_queue(self.plan.shape.queue);
        let cursor =
            |cursor: &v1::RoomCursor| Cursor { room: room_named(&cursor.room_id), rev: cursor.rev, seq: cursor.seq };
        let cursors = hello.rooms.iter().map(cursor).collect();
        let v1::Hello { epoch, user_rev, watermark, .. } = hello;
        self.streams.push(Stream {
            device,
            person,
            node,
            life: self.nodes[node].life,
            session: Arc::new(session),
            bell: Arc::default(),
            stand: Stand { epoch, user_rev, watermark, cursors },
            stage: Stage::Live,
            after: 0,
            first: Vec::new(),
            ready: VecDeque::new(),
            owed: VecDeque::new(),
            watermark: 0,
            is_live: false,
            pipe: VecDeque::new(),
            is_done: false,
            is_open: false,
            is_cut: false,
            pumps: false,
            takes: false,
            told: BTreeMap::new(),
            known: BTreeMap::new(),
        });
        let after = self.hop();
        self.at(after, Event::Open(number));
        number
    }

    /// A Hello has arrived.
    pub(super) fn open(&mut self, number: usize) {
        let stream = &mut self.streams[number];
        let node = &self.nodes[stream.node];
        if stream.is_cut || stream.life != node.life {
            let after = self.hop();
            self.at(after, Event::EndSeen(number));
            return;
        }
        node.hub.open(&stream.session);
        stream.is_open = true;
        self.devices[stream.device].open.push(number);
        let epoch = self.db.epoch.clone();
        if stream.stand.epoch != epoch {
            (stream.stand.user_rev, stream.stand.watermark) = (0, 0);
            stream.stand.cursors.iter_mut().for_each(|cursor| (cursor.rev, cursor.seq) = (0, 0));
        }
        stream.after = stream.stand.user_rev;
        stream.first.push(encoded(Frame::Welcome(v1::Welcome {
            session_id: stream.session.id().to_string(),
            epoch,
            user_id: model::user_id(stream.person).to_string(),
            ..v1::Welcome::default()
        })));
        stream.stage = if self.guards.register_first() { Stage::Register } else { Stage::Watermark };
        let after = self.turn();
        self.at(after, Event::Read(number));
    }

    /// What was begun goes on with the next statement, or with what follows from the last.
    pub(super) fn read(&mut self, number: usize) {
        if !self.streams[number].is_open {
            return;
        }
        let stage = std::mem::replace(&mut self.streams[number].stage, Stage::Live);
        let next = self.advance(number, stage);
        let waits = matches!(next, Stage::Paying | Stage::Live);
        self.streams[number].stage = next;
        if waits {
            self.pump_soon(number);
        } else {
            let after = self.turn();
            self.at(after, Event::Read(number));
        }
    }

    fn advance(&mut self, number: usize, stage: Stage) -> Stage {
        let person = self.streams[number].person;
        let page = self.plan.shape.page;
        match stage {
            Stage::Register => Stage::Listen(self.db.memberships(person)),
            Stage::Listen(memberships) => {
                let stream = &self.streams[number];
                for membership in &memberships {
                    self.nodes[stream.node].hub.listen(&stream.session, membership);
                }
                if self.guards.register_first() { Stage::Watermark } else { self.pay(number) }
            }
            Stage::Watermark => {
                self.streams[number].watermark = self.db.watermark(self.guards.xmin());
                Stage::Number
            }
            Stage::Number => Stage::Rows(self.db.user_revs[person]),
            Stage::Rows(now) => {
                let (after, rows) = self.db.user_rows(person, self.streams[number].after, now, page);
                self.streams[number].after = after;
                Stage::Mentions(after, now, rows)
            }
            Stage::Mentions(after, now, rows) => {
                let delta = self.db.user_page(after, now, rows, page);
                let stream = &mut self.streams[number];
                stream.after = delta.to_user_rev;
                let last = delta.last;
                stream.first.push(encoded(Frame::UserDelta(delta)));
                if last { Stage::Changed } else { Stage::Number }
            }
            Stage::Changed => {
                let stream = &self.streams[number];
                stream.session.reached(stream.after);
                Stage::Owed(self.db.changed_rooms(person, stream.stand.watermark, stream.stand.user_rev))
            }
            Stage::Owed(changed) => Stage::Mine(changed, self.db.memberships(person)),
            Stage::Mine(changed, memberships) => {
                let node = self.streams[number].node;
                for membership in memberships.iter().filter(|_| self.guards.register_first()) {
                    self.listen_if_new(number, node, membership);
                }
                self.owe(number, &changed, &memberships);
                Stage::Begun
            }
            Stage::Begun => {
                if !self.guards.watermark_before_read() {
                    self.streams[number].watermark = self.db.watermark(self.guards.xmin());
                }
                if self.guards.register_first() { self.pay(number) } else { Stage::Register }
            }
            stage => self.advance_verdict(number, stage),
        }
    }

    fn pay(&mut self, number: usize) -> Stage {
        let stream = &mut self.streams[number];
        stream.ready.extend(std::mem::take(&mut stream.first));
        Stage::Paying
    }

    fn owe(&mut self, number: usize, changed: &[usize], memberships: &[Membership]) {
        let stream = &mut self.streams[number];
        let mine: Vec<usize> = memberships.iter().map(|m| room_of(m.room_id)).collect();
        let cursors = &stream.stand.cursors;
        let deltas = cursors.iter().filter(|cursor| changed.contains(&cursor.room)).map(|cursor| Owed::Delta(*cursor));
        let named: Vec<usize> = cursors.iter().map(|cursor| cursor.room).collect();
        let gone = named.iter().filter(|room| !mine.contains(room)).map(|room| Owed::Summary(*room));
        let rest = changed.iter().filter(|room| !named.contains(room)).map(|room| Owed::Summary(*room));
        let owed: Vec<Owed> = deltas.chain(gone).chain(rest).collect();
        stream.owed.extend(owed);
    }

    /// A verdict that is owed, or one that dirt asks for.
    fn advance_verdict(&mut self, number: usize, stage: Stage) -> Stage {
        let (person, node) = (self.streams[number].person, self.streams[number].node);
        let shape = &self.plan.shape;
        match stage {
            Stage::Delta(cursor) => {
                let delta = self.db.delta(person, cursor, shape.page, shape.most_behind, self.guards);
                Stage::DeltaRead(delta.map(Box::new), cursor.room)
            }
            Stage::DeltaRead(None, room) => Stage::Summaries(vec![room]),
            Stage::DeltaRead(Some(delta), _) => self.told(number, [encoded(Frame::RoomDelta(*delta))]),
            Stage::Summaries(rooms) => {
                let verdict = |room: usize| {
                    let present = self.db.summary((room, person), !self.guards.access_at_read());
                    let gone = if present.is_none() { self.db.gone((room, person)) } else { None };
                    (room, present, gone)
                };
                Stage::SummariesRead(rooms.into_iter().map(verdict).collect())
            }
            Stage::SummariesRead(verdicts) => {
                let frames: Vec<Bytes> = verdicts.into_iter().map(|verdict| self.verdict(number, verdict)).collect();
                self.told(number, frames)
            }
            Stage::Person => Stage::PersonRooms(self.db.user_revs[person]),
            Stage::PersonRooms(user_rev) if self.guards.index_repair() => {
                Stage::PersonListen(user_rev, self.db.memberships(person))
            }
            Stage::PersonRooms(user_rev) => {
                self.told(number, [encoded(Frame::UserBehind(v1::UserBehind { user_rev }))])
            }
            Stage::PersonListen(user_rev, memberships) => {
                for membership in &memberships {
                    self.listen_if_new(number, node, membership);
                }
                self.told(number, [encoded(Frame::UserBehind(v1::UserBehind { user_rev }))])
            }
            stage => stage,
        }
    }

    fn verdict(&self, number: usize, (room, present, gone): (usize, Option<Summary>, Option<Gone>)) -> Bytes {
        let stream = &self.streams[number];
        if let Some(summary) = present {
            let stay = summary.member.listen((summary.room.rev, summary.room.seq));
            self.listen_if_new(number, stream.node, &stay);
            return encoded(Frame::RoomSummary(rooms::wire::summary(&summary)));
        }
        let up_to = gone.as_ref().map_or(i64::MAX, |gone| gone.rev);
        self.nodes[stream.node].hub.leave(&stream.session, room_id(room), up_to);
        encoded(Frame::RoomSummary(rooms::wire::gone(room_id(room), gone.as_ref())))
    }

    fn told(&mut self, number: usize, frames: impl IntoIterator<Item = Bytes>) -> Stage {
        let stream = &mut self.streams[number];
        stream.ready.extend(frames);
        if stream.is_live { Stage::Live } else { Stage::Paying }
    }

    fn listen_if_new(&self, number: usize, node: usize, membership: &Membership) {
        let (hub, session) = (&self.nodes[node].hub, &self.streams[number].session);
        if !hub.listens_since(session.id(), membership.room_id, membership.rev) {
            hub.listen_later(session, membership);
        }
    }

    /// The stream is polled as soon as its connection comes to it.
    pub(super) fn pump_soon(&mut self, number: usize) {
        if !std::mem::replace(&mut self.streams[number].pumps, true) {
            let after = self.dice.from(0, 500);
            self.at(after, Event::Pump(number));
        }
    }

    /// Frames leave while the window is open.
    pub(super) fn pump(&mut self, number: usize) {
        self.streams[number].pumps = false;
        let waker = Waker::from(Arc::clone(&self.streams[number].bell));
        let cx = Context::from_waker(&waker);
        loop {
            let stream = &mut self.streams[number];
            if !stream.is_open || stream.is_done || stream.pipe.len() >= self.plan.shape.window {
                return;
            }
            let reads = !matches!(stream.stage, Stage::Paying | Stage::Live);
            if let Some(frame) = stream.ready.pop_front().filter(|_| !reads) {
                self.leave(number, &frame);
                continue;
            }
            let step = match stream.stage {
                Stage::Paying => return self.pay_next(number),
                Stage::Live => stream.session.poll_step(&cx),
                _ => stream.session.poll_beside(&cx),
            };
            match step {
                Poll::Pending => return,
                Poll::Ready(Step::Read(work)) => return self.begin_work(number, work),
                Poll::Ready(Step::Send(frame)) => self.leave(number, &frame),
                Poll::Ready(Step::Person(frame, membership)) => {
                    let node = self.streams[number].node;
                    if let Some(membership) = membership.filter(|membership| membership.joined) {
                        self.listen_if_new(number, node, &membership);
                    }
                    self.leave(number, &frame);
                }
                Poll::Ready(Step::Close(frame)) => {
                    self.leave(number, &frame);
                    self.streams[number].is_done = true;
                    let after = self.turn();
                    self.at(after, Event::Gone(number));
                }
            }
        }
    }

    /// Reads the next room that is owed, or goes live.
    fn pay_next(&mut self, number: usize) {
        let stream = &mut self.streams[number];
        stream.stage = match stream.owed.pop_front() {
            None => {
                stream.is_live = true;
                stream.session.go_live(stream.watermark);
                stream.stage = Stage::Live;
                return self.pump_soon(number);
            }
            Some(Owed::Delta(cursor)) => Stage::Delta(cursor),
            Some(Owed::Summary(first)) => {
                let mut rooms = vec![first];
                while let Some(Owed::Summary(room)) = stream.owed.front().copied() {
                    stream.owed.pop_front();
                    rooms.push(room);
                }
                Stage::Summaries(rooms)
            }
        };
        let after = self.turn();
        self.at(after, Event::Read(number));
    }

    fn begin_work(&mut self, number: usize, work: Work) {
        self.streams[number].stage = match work {
            Work::Rooms(rooms) => Stage::Summaries(rooms.into_iter().map(room_of).collect()),
            Work::Person => Stage::Person,
            // Nobody changes a profile here.
            Work::Profiles => Stage::Live,
        };
        let after = self.turn();
        self.at(after, Event::Read(number));
    }

    /// A frame leaves, and arrives after those before it.
    fn leave(&mut self, number: usize, frame: &Bytes) {
        let bytes = frame;
        let mut frame = v1::ServerFrame::decode(bytes.clone()).unwrap_or_default();
        if let Some(Frame::Closing(closing)) = &mut frame.frame {
            // The hub's own chance; when the device comes back is decided by its own.
            closing.retry_after = None;
        } else {
            self.hash_bytes(bytes);
        }
        self.note(|world| format!("  stream {number} of {}: {}", world.streams[number].device, brief(&frame)));
        self.check_frame(number, &frame);
        let after = self.now + self.hop();
        let stream = &mut self.streams[number];
        if stream.is_cut {
            return;
        }
        let at = stream.pipe.back().map_or(after, |(last, _)| after.max(*last));
        stream.pipe.push_back((at, frame));
        self.take_soon(number);
    }

    fn hash_bytes(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut eight = [0; 8];
            eight[..part.len()].copy_from_slice(part);
            self.out.hash = mix(self.out.hash, u64::from_le_bytes(eight));
        }
    }

    pub(super) fn take_soon(&mut self, number: usize) {
        let stream = &mut self.streams[number];
        let Some((at, _)) = stream.pipe.front() else { return };
        let at = (*at).max(self.devices[stream.device].slow_until).max(self.now);
        if !std::mem::replace(&mut stream.takes, true) {
            self.at(at - self.now, Event::Take(number));
        }
    }

    /// Nobody is told what they may not see, and live events keep their order.
    fn check_frame(&mut self, number: usize, frame: &v1::ServerFrame) {
        let stream = &mut self.streams[number];
        let person = stream.person;
        let what = match &frame.frame {
            Some(Frame::RoomEvent(event)) => {
                let room = room_named(&event.room_id);
                let before = stream.told.insert(room, event.rev);
                let disorder = before.filter(|before| *before >= event.rev);
                let item = match &event.change {
                    Some(Change::Message(message)) => message.seq,
                    _ => i64::MAX,
                };
                disorder
                    .map(|before| format!("room {room}: revision {} was told after {before}", event.rev))
                    .or_else(|| self.leak(room, person, event.rev, item))
            }
            Some(Frame::RoomSummary(summary)) => self.leak_of_summary(person, summary),
            Some(Frame::RoomDelta(delta)) => self.leak_of_delta(person, delta),
            Some(Frame::Drained(drained)) => self.early(number, drained.watermark),
            Some(Frame::Heartbeat(beat)) => self.early(number, beat.watermark),
            _ => None,
        };
        self.know(number, frame);
        if let Some(what) = what {
            self.fail(|| format!("told to person {person}: {what}"));
        }
    }

    fn know(&mut self, number: usize, frame: &v1::ServerFrame) {
        let (room, rev) = match &frame.frame {
            Some(Frame::RoomEvent(event)) => (&event.room_id, event.rev),
            Some(Frame::RoomSummary(summary)) => (&summary.room_id, rev_of(summary)),
            Some(Frame::RoomDelta(delta)) => match &delta.summary {
                Some(summary) => (&summary.room_id, rev_of(summary)),
                None => return,
            },
            _ => return,
        };
        let known = self.streams[number].known.entry(room_named(room)).or_default();
        *known = rev.max(*known);
    }

    /// What is wrong with a watermark: everything before it is committed and was told.
    fn early(&self, number: usize, watermark: i64) -> Option<String> {
        if self.db.watermark(true) < watermark {
            return Some(format!("watermark {watermark}, while something before it still runs"));
        }
        let stream = &self.streams[number];
        let told = |room: usize| stream.known.get(&room).copied().unwrap_or_default();
        let untold = self.db.memberships(stream.person).into_iter().find(|membership| {
            let room = room_of(membership.room_id);
            let changed = self.db.rooms[room].row.changed_xid;
            (stream.stand.watermark..watermark).contains(&changed) && told(room) < membership.room_rev
        })?;
        let room = room_of(untold.room_id);
        Some(format!("watermark {watermark}, and of room {room} revision {} of {}", told(room), untold.room_rev))
    }

    /// What is wrong when a person is told of a room as of a revision, with items from a position on.
    fn leak(&self, room: usize, person: usize, rev: i64, item: i64) -> Option<String> {
        let stays = &self.db.rooms[room].stays[person];
        match stays.iter().find(|stay| rev <= stay.to) {
            None => Some(format!("room {room}: revision {rev}, after they went")),
            Some(stay) if item < stay.history_from => {
                Some(format!("room {room}: item {item}, and they may see those from {} on", stay.history_from))
            }
            Some(_) => None,
        }
    }

    fn leak_of_summary(&self, person: usize, summary: &v1::RoomSummary) -> Option<String> {
        let Some(Verdict::Present(present)) = &summary.verdict else { return None };
        let rev = present.room.as_ref().map_or(0, |room| room.rev);
        let item = present.last_message.as_ref().map_or(i64::MAX, |last| last.seq);
        self.leak_of_state(room_named(&summary.room_id), person, rev, item)
    }

    /// The same of a delta, whether a stream or a call brings it.
    pub(super) fn leak_of_delta(&self, person: usize, delta: &v1::RoomDelta) -> Option<String> {
        let summary = delta.summary.as_ref()?;
        let item = delta.messages.iter().map(|message| message.seq).min().unwrap_or(i64::MAX);
        let room = room_named(&summary.room_id);
        let rows = !delta.messages.is_empty() || !delta.members.is_empty();
        let rows = rows.then(|| self.leak_of_state(room, person, delta.snapshot_rev, item));
        rows.flatten().or_else(|| self.leak_of_summary(person, summary))
    }

    /// A room's state as of the revision that ended a stay is told to nobody whom it ended for.
    fn leak_of_state(&self, room: usize, person: usize, rev: i64, item: i64) -> Option<String> {
        let ended = self.db.rooms[room].stays[person].iter().any(|stay| stay.to == rev);
        if ended { Some(format!("room {room}: its state as of their end")) } else { self.leak(room, person, rev, item) }
    }

    /// The connection of a stream breaks: what has not arrived is lost, and each side notices in its time.
    pub(super) fn break_off(&mut self, number: usize) {
        let now = self.now;
        let stream = &mut self.streams[number];
        if std::mem::replace(&mut stream.is_cut, true) {
            return;
        }
        stream.pipe.retain(|(at, _)| *at <= now);
        let (client, server) = (self.hop(), self.hop() * 4);
        self.at(client, Event::EndSeen(number));
        self.at(server.min(900 * MS), Event::Gone(number));
    }

    /// A node has noticed that a stream is over.
    pub(super) fn close(&mut self, number: usize) {
        let stream = &mut self.streams[number];
        if !std::mem::replace(&mut stream.is_open, false) {
            return;
        }
        if self.nodes[stream.node].life == stream.life {
            self.nodes[stream.node].hub.close(&stream.session);
        }
        self.devices[stream.device].open.retain(|open| *open != number);
    }
}

/// The revision that a verdict speaks of; nothing is missing of a room that is gone.
fn rev_of(summary: &v1::RoomSummary) -> i64 {
    match &summary.verdict {
        Some(Verdict::Present(present)) => present.room.as_ref().map_or(0, |room| room.rev),
        _ => 0,
    }
}

/// A frame as the trace shows it.
fn brief(frame: &v1::ServerFrame) -> String {
    match &frame.frame {
        Some(Frame::RoomEvent(event)) => {
            let what = match &event.change {
                Some(Change::Message(message)) => format!("message {}", message.seq),
                Some(Change::Member(_)) => "member".into(),
                Some(Change::None(_)) => "nothing".into(),
                _ => "other".into(),
            };
            format!("event of room {} {}..{}: {what}", room_named(&event.room_id), event.prev_rev, event.rev)
        }
        Some(Frame::RoomSummary(summary)) => match &summary.verdict {
            Some(Verdict::Present(present)) => {
                let rev = present.room.as_ref().map_or(0, |room| room.rev);
                format!("summary of room {} as of {rev}", room_named(&summary.room_id))
            }
            _ => format!("room {} is gone", room_named(&summary.room_id)),
        },
        Some(Frame::RoomDelta(delta)) => brief_delta(delta),
        Some(Frame::UserDelta(delta)) => format!("person {}..{}", delta.from_user_rev, delta.to_user_rev),
        Some(frame) => format!("{frame:?}"),
        None => "nothing".into(),
    }
}

/// A delta as the trace shows it.
pub(super) fn brief_delta(delta: &v1::RoomDelta) -> String {
    let place = |cursor: &Option<v1::RoomCursor>| cursor.as_ref().map(|cursor| (cursor.rev, cursor.seq));
    let items: Vec<i64> = delta.messages.iter().map(|message| message.seq).collect();
    let v1::RoomDelta { from, to, last, reset, snapshot_rev, .. } = delta;
    let room = delta.summary.as_ref().map_or(0, |summary| room_named(&summary.room_id));
    format!(
        "delta of room {room} {:?}..{:?} as of {snapshot_rev}: items {items:?} last {last} reset {reset}",
        place(from),
        place(to)
    )
}
