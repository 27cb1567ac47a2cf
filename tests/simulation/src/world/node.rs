//! Nodes: transactions, publication, the bus between them, the comparison with the database, heartbeats. The hub is the
//! real one.

use std::sync::Arc;

use madang_server::{
    clock::SystemClock,
    realtime::{Changes, ClosingReason, Hub, Membership, Record, wire},
    sabotage::Guards,
};

use super::{Event, MS, World, call::Reply};
use crate::model::{Done, Seen, Task, Told, person_of, room_id, room_of, user_id};

/// How long a hub awaits a missing revision (`realtime/hub`).
const GAP_PATIENCE: u64 = 50 * MS;
/// How long a publication may be on its way before the comparison takes it for lost (`realtime/poll`).
const GRACE: u64 = 50 * MS;
/// Streams of a person; more than there are.
const STREAMS: usize = 50;

/// One server process.
pub(super) struct Node {
    pub(super) hub: Arc<Hub>,
    /// Which process it is.
    pub(super) life: u64,
    seen: Option<Seen>,
    polling: Polling,
    beats: bool,
}

/// How far a comparison is.
#[derive(Debug, Default)]
enum Polling {
    #[default]
    Rests,
    Looked {
        seen: Seen,
        rooms: Vec<(usize, i64)>,
    },
    Waits {
        seen: Seen,
        rooms: Vec<(usize, i64)>,
        people: Vec<(usize, i64)>,
    },
    Repairs {
        seen: Seen,
        people: Vec<(usize, i64, Vec<Membership>)>,
    },
}

/// A transaction.
#[derive(Debug)]
pub(super) struct Tx {
    node: usize,
    /// The process that runs it.
    life: u64,
    me: usize,
    task: Task,
    /// How many of its locks it holds.
    held: usize,
    pub(super) xid: Option<i64>,
    /// The membership as it was read before the locks, where the guard is out.
    early: Option<bool>,
    call: Option<usize>,
    done: Option<(Done, Told)>,
    pub(super) is_over: bool,
}

impl Tx {
    pub(super) fn new(node: usize, life: u64, me: usize, task: Task, call: Option<usize>) -> Self {
        Self { node, life, me, task, held: 0, xid: None, early: None, call, done: None, is_over: false }
    }
}

impl Node {
    pub(super) fn new(guards: Guards) -> Self {
        let hub = Arc::new(Hub::new(STREAMS, Record::new(Arc::new(SystemClock)), guards));
        Self { hub, life: 0, seen: None, polling: Polling::Rests, beats: false }
    }
}

impl World<'_> {
    /// A transaction takes its next step.
    pub(super) fn transact(&mut self, number: usize) {
        let tx = &self.txs[number];
        if tx.is_over {
            return;
        }
        if matches!(tx.task, Task::Nothing) {
            let xid = tx.xid.unwrap_or_default();
            self.db.end(xid);
            return;
        }
        if tx.early.is_none() && !self.guards.lock_then_read() {
            let room = tx.task.room().unwrap_or_default();
            self.txs[number].early = Some(self.db.is_in((room, tx.me)));
        } else if let Some(lock) = tx.task.locks(tx.me, &self.db).get(tx.held).copied() {
            if self.locks.iter().any(|(held, _)| *held == lock) {
                let after = self.dice.from(200, 3 * MS);
                self.at(after, Event::Transact(number));
                return;
            }
            self.locks.push((lock, number));
            let tx = &mut self.txs[number];
            tx.held += 1;
            if tx.xid.is_none() {
                tx.xid = Some(self.db.begin());
            }
        } else {
            self.commit(number);
            return;
        }
        let after = self.turn();
        self.at(after, Event::Transact(number));
    }

    fn commit(&mut self, number: usize) {
        let (at, tx) = (self.time(), &self.txs[number]);
        let (me, xid) = (tx.me, tx.xid.unwrap_or_default());
        let is_in = tx.early.unwrap_or_else(|| tx.task.room().is_some_and(|room| self.db.is_in((room, me))));
        let done = self.db.commit(xid, (me, is_in), &tx.task, at);
        self.note(|_| format!("commit {xid}: {:?} by {me} -> {}", tx.task, brief(&done)));
        self.locks.retain(|(_, holder)| *holder != number);
        self.txs[number].done = Some(done);
        let after = self.turn();
        self.at(after, Event::Publish(number));
    }

    /// The streams are told of a commit, then its caller.
    pub(super) fn publish(&mut self, number: usize) {
        let tx = &mut self.txs[number];
        let (node, life, call) = (tx.node, tx.life, tx.call);
        let Some((done, told)) = tx.done.take().filter(|_| !tx.is_over) else { return };
        tx.is_over = true;
        let shape = &self.plan.shape;
        if life != self.nodes[node].life || !self.is_settling() && self.dice.percent(shape.commit_loss) {
            self.note(|_| "the node dies before it tells".into());
            if let Some(call) = call {
                self.lose(call);
            }
            return;
        }
        if !told.is_empty() {
            for other in (0..self.nodes.len()).filter(|other| *other != node) {
                if self.is_settling() || !self.dice.percent(shape.bus_loss) {
                    let life = self.nodes[other].life;
                    let after = self.hop();
                    let event = Event::Hear { node: other, life, told: self.told.len() };
                    self.at(after, event);
                }
            }
            self.told.push(told);
            self.offer(node, self.told.len() - 1);
        }
        if let Some(call) = call {
            self.reply(call, Reply::Done(Box::new(done)));
        }
    }

    pub(super) fn hear(&mut self, node: usize, life: u64, told: usize) {
        if self.nodes[node].life == life {
            self.offer(node, told);
        }
    }

    fn offer(&mut self, node: usize, told: usize) {
        let hub = Arc::clone(&self.nodes[node].hub);
        let life = self.nodes[node].life;
        let told = self.told[told].clone();
        let ends: Vec<(usize, i64)> = told.rooms().zip(told.rooms.iter().map(|event| event.rev)).collect();
        hub.publish(Changes { rooms: told.rooms, people: told.people, ..Changes::default() });
        for (room, rev) in ends {
            // The hub's own timer sleeps in real time; this is the same in simulated time.
            if hub.tail(room_id(room)).is_some_and(|tail| tail < rev) {
                self.at(GAP_PATIENCE, Event::GiveUp { node, life, room });
            }
        }
    }

    pub(super) fn give_up(&mut self, node: usize, life: u64, room: usize) {
        if self.nodes[node].life == life {
            self.nodes[node].hub.give_up_to(room_id(room), 0);
        }
    }

    /// A node begins to compare and to beat, or goes on with it.
    pub(super) fn start_node(&mut self, node: usize) {
        let life = self.nodes[node].life;
        if self.guards.poll() && matches!(self.nodes[node].polling, Polling::Rests) {
            let after = self.dice.from(0, 300) * MS;
            self.at(after, Event::Poll { node, life });
        }
        if !std::mem::replace(&mut self.nodes[node].beats, true) {
            self.at(400 * MS, Event::Beat { node, life });
        }
    }

    /// Whether what recurs goes on: while there is something to come but it.
    fn goes_on(&self) -> bool {
        let recurs = |event: &Event| matches!(event, Event::Poll { .. } | Event::Beat { .. });
        match self.settled {
            Some(until) => self.now < until,
            None => self.agenda.iter().any(|entry| !recurs(&entry.0.event)),
        }
    }

    pub(super) fn beat(&mut self, node: usize, life: u64) {
        if self.nodes[node].life != life {
            return;
        }
        let (hub, time) = (Arc::clone(&self.nodes[node].hub), self.time());
        for device in &self.devices {
            for stream in device.open.iter().map(|number| &self.streams[*number]).filter(|stream| stream.node == node) {
                let rooms = device.focus_rooms(self.plan.shape.rooms.len());
                let listened = rooms.map(room_id).filter(|id| hub.is_listening(stream.session.id(), *id));
                let revs = listened.filter_map(|id| Some((id, hub.tail(id)?)));
                stream.session.beat(time, revs.collect(), hub.covered());
            }
        }
        self.nodes[node].beats = self.goes_on();
        if self.nodes[node].beats {
            self.at(400 * MS, Event::Beat { node, life });
        }
    }

    /// A comparison takes its next step.
    pub(super) fn poll(&mut self, node: usize, life: u64) {
        if self.nodes[node].life != life {
            return;
        }
        let polling = std::mem::take(&mut self.nodes[node].polling);
        let after = match polling {
            Polling::Rests => {
                self.poll_rooms(node);
                self.turn()
            }
            Polling::Looked { seen, rooms } => self.poll_people(node, seen, rooms),
            Polling::Waits { seen, rooms, people } => {
                for (room, rev) in rooms {
                    self.nodes[node].hub.give_up_to(room_id(room), rev);
                }
                let read = |(person, rev): (usize, i64)| (person, rev, self.db.memberships(person));
                let people = people.into_iter().map(read).collect();
                self.nodes[node].polling = Polling::Repairs { seen, people };
                self.turn()
            }
            Polling::Repairs { seen, people } => {
                self.repair_people(node, &people);
                let covered = if self.guards.xmin() { seen.xmin } else { seen.xmax };
                self.nodes[node].hub.cover(covered);
                self.nodes[node].seen = Some(seen);
                if !self.goes_on() {
                    return;
                }
                self.dice.from(150, 600) * MS
            }
        };
        self.at(after, Event::Poll { node, life });
    }

    fn poll_rooms(&mut self, node: usize) {
        let rooms = self.nodes[node].hub.rooms();
        let seen = self.db.seen();
        let rooms = match &self.nodes[node].seen {
            Some(before) => self.db.changed_since(before),
            None => rooms.into_iter().map(room_of).map(|room| (room, self.db.rooms[room].row.rev)).collect(),
        };
        self.nodes[node].polling = Polling::Looked { seen, rooms };
    }

    fn poll_people(&mut self, node: usize, seen: Seen, mut rooms: Vec<(usize, i64)>) -> u64 {
        let hub = &self.nodes[node].hub;
        rooms.retain(|(room, rev)| hub.tail(room_id(*room)).is_some_and(|tail| tail < *rev));
        rooms.sort_unstable();
        let mut people: Vec<usize> = hub.people().into_iter().map(person_of).collect();
        people.sort_unstable();
        let behind = |person: &usize| {
            hub.sessions_of(user_id(*person)).iter().any(|session| session.is_behind(self.db.user_revs[*person]))
        };
        let people: Vec<_> = people.into_iter().filter(behind).map(|p| (p, self.db.user_revs[p])).collect();
        let waits = !rooms.is_empty() || !people.is_empty();
        self.nodes[node].polling = Polling::Waits { seen, rooms, people };
        if waits { GRACE } else { 0 }
    }

    fn repair_people(&mut self, node: usize, people: &[(usize, i64, Vec<Membership>)]) {
        let hub = &self.nodes[node].hub;
        for (person, user_rev, joined) in people {
            for session in hub.sessions_of(user_id(*person)).iter().filter(|session| session.is_behind(*user_rev)) {
                if self.guards.index_repair() {
                    for membership in joined.iter().filter(|m| !hub.listens_since(session.id(), m.room_id, m.rev)) {
                        hub.listen_later(session, membership);
                    }
                }
                session.reached(*user_rev);
                session.soil_person();
            }
        }
    }

    /// A node is killed, and another process takes its place.
    pub(super) fn kill_node(&mut self, node: usize) {
        let life = self.nodes[node].life + 1;
        self.nodes[node] = Node { life, ..Node::new(self.guards) };
        for number in 0..self.txs.len() {
            let tx = &mut self.txs[number];
            if tx.node == node
                && !tx.is_over
                && tx.life < life
                && tx.done.is_none()
                && !matches!(tx.task, Task::Nothing)
            {
                tx.is_over = true;
                if let Some(xid) = tx.xid {
                    self.db.end(xid);
                }
                self.locks.retain(|(_, holder)| *holder != number);
            }
        }
        for call in 0..self.calls.len() {
            if self.calls[call].node == node {
                self.lose(call);
            }
        }
        for stream in 0..self.streams.len() {
            if self.streams[stream].node == node {
                self.break_off(stream);
                self.close(stream);
            }
        }
        if self.plan.shape.lossy {
            self.start_node(node);
        }
    }

    /// The database has another history: what streams were told says nothing.
    pub(super) fn forget_history(&mut self, node: usize) {
        self.nodes[node].seen = None;
        // A comparison that was on its way breaks off; its next step begins anew.
        self.nodes[node].polling = Polling::Rests;
        self.nodes[node].hub.forget_all(ClosingReason::EpochChanged);
        for stream in 0..self.streams.len() {
            if self.streams[stream].node == node {
                self.streams[stream].stop_reading();
            }
        }
    }
}

fn brief((done, told): &(Done, Told)) -> String {
    let done = match done {
        Done::Refused(reason) => format!("{reason:?}"),
        Done::Sent(answer) => format!("sent {}", answer.message.as_ref().map_or(0, |message| message.seq)),
        _ => "done".to_owned(),
    };
    let rooms: Vec<_> = told.rooms.iter().map(|event| (room_of(event.room_id), event.rev)).collect();
    let people: Vec<_> = told.people.iter().map(|event| (person_of(event.user_id), event.user_rev)).collect();
    format!("{done}; rooms {rooms:?} people {people:?}")
}

/// A frame of the contract, encoded as streams have it.
pub(super) fn encoded(frame: madang_proto::v1::server_frame::Frame) -> bytes::Bytes {
    wire::frame(frame)
}
