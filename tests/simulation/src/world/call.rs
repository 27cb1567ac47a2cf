//! Calls of devices: on their way, answered, lost. What a node does for one is a transaction or a read of the model.

use madang_proto::v1::{self, ErrorReason};
use madang_sdk_core::simulation::{self, Doubtful, Leaving, LeavingMark};
use madang_server::{rooms, timeline};

use super::{Event, World, node::Tx, stream::brief_delta};
use crate::model::{Cursor, Done, Task, no_delta, room_id, room_named};

/// What is asked.
#[derive(Debug, Clone)]
pub(super) enum What {
    Send(Box<Leaving>),
    Mark(LeavingMark),
    Doubt(Box<Doubtful>),
    Command(Box<Task>),
    Room(v1::RoomCursor),
    User(i64),
    /// The page before an item of a room.
    Older(usize, i64),
}

/// What is answered.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Done(Box<Done>),
    Room(Box<Result<v1::RoomDelta, ErrorReason>>),
    User(v1::UserDelta),
    Page(v1::ListMessagesResponse),
    /// There is nothing to be told to the person.
    Gone,
    /// Whether a message is not there any more.
    Missing(bool),
    /// The call may be repeated.
    Again,
}

/// A call.
#[derive(Debug)]
pub(super) struct Call {
    device: usize,
    /// The process that asks.
    life: u64,
    /// The stream beside which it is asked: repairs end with it.
    stream: Option<usize>,
    pub(super) node: usize,
    node_life: u64,
    epoch: String,
    what: What,
    reply: Option<Reply>,
    is_over: bool,
}

impl World<'_> {
    /// A device asks its node.
    pub(super) fn call(&mut self, device: usize, what: What) {
        let state = &self.devices[device];
        let Some(stream) = state.stream else { return };
        let node = self.streams[stream].node;
        let call = Call {
            device,
            life: state.life,
            stream: Some(stream),
            node,
            node_life: self.nodes[node].life,
            epoch: state.epoch.clone().unwrap_or_default(),
            what,
            reply: None,
            is_over: false,
        };
        self.note(|_| format!("  device {device} asks {}: {:?}", self.calls.len(), call.what));
        self.calls.push(call);
        let after = self.hop();
        self.at(after, Event::Arrive(self.calls.len() - 1));
    }

    /// Calls fail for many reasons; whoever called learns only that they did.
    fn fails(&mut self) -> bool {
        !self.is_settling() && self.dice.percent(4)
    }

    pub(super) fn arrive(&mut self, number: usize) {
        let call = &self.calls[number];
        if call.is_over {
            return;
        }
        let (node, life) = (call.node, call.node_life);
        if self.nodes[node].life != life || self.fails() {
            return self.lose(number);
        }
        let call = &self.calls[number];
        if call.epoch != self.db.epoch {
            return self.reply(number, Reply::Again);
        }
        let person = self.devices[call.device].person;
        let task = match &call.what {
            What::Send(leaving) => Task::Send(leaving.request.clone()),
            What::Mark(mark) => Task::Mark {
                room: room_named(mark.room_id()),
                seq: mark.seq(),
                generation: mark.generation(),
                unread: mark.is_unread(),
            },
            What::Command(task) => (**task).clone(),
            What::Doubt(doubtful) => {
                let reply = Reply::Missing(self.is_missing(person, doubtful));
                return self.reply(number, reply);
            }
            What::Older(room, before) => {
                let page = self.db.page_before((*room, person), *before, self.plan.shape.page);
                return self.reply(number, page.map_or(Reply::Gone, Reply::Page));
            }
            What::Room(cursor) => {
                let cursor = Cursor { room: room_named(&cursor.room_id), rev: cursor.rev, seq: cursor.seq };
                return self.sync_room(number, person, cursor);
            }
            What::User(user_rev) => {
                let delta = self.db.user_delta(person, *user_rev, self.plan.shape.page);
                return self.reply(number, Reply::User(delta));
            }
        };
        let tx = self.txs.len();
        self.txs.push(Tx::new(node, life, person, task, Some(number)));
        let after = self.turn();
        self.at(after, Event::Transact(tx));
    }

    fn sync_room(&mut self, number: usize, person: usize, cursor: Cursor) {
        let room = cursor.room;
        let shape = &self.plan.shape;
        let delta = self.db.delta(person, cursor, shape.page, shape.most_behind, self.guards);
        let gone = || {
            let gone = self.db.gone((room, person)).ok_or(ErrorReason::RoomNotFound)?;
            Ok(v1::RoomDelta { summary: Some(rooms::wire::gone(room_id(room), Some(&gone))), ..no_delta() })
        };
        let delta = delta.map_or_else(gone, Ok);
        if let Some(what) = delta.as_ref().ok().and_then(|delta| self.leak_of_delta(person, delta)) {
            self.fail(|| format!("answered to person {person}: {what}"));
        }
        self.note(|_| format!("  call {number}: {}", delta.as_ref().map_or_else(|e| format!("{e:?}"), brief_delta)));
        self.reply(number, Reply::Room(Box::new(delta)));
    }

    /// `GetMessage` of a message that the server had acknowledged.
    fn is_missing(&self, person: usize, doubtful: &Doubtful) -> bool {
        let room = room_named(doubtful.room_id());
        if !self.db.is_in((room, person)) {
            return true;
        }
        let from = self.db.member((room, person)).map_or(1, |member| member.history_from_seq);
        let found = self.db.rooms[room].items.iter().find(|item| item.seq == doubtful.seq() && item.seq >= from);
        found.is_none_or(|item| timeline::wire::message(item).client_message_id != doubtful.client_message_id())
    }

    /// The answer goes on its way.
    pub(super) fn reply(&mut self, number: usize, reply: Reply) {
        if self.calls[number].is_over {
            return;
        }
        if self.fails() {
            return self.lose(number);
        }
        self.calls[number].reply = Some(reply);
        let after = self.hop();
        self.at(after, Event::Answer(number));
    }

    /// Nobody will learn what became of a call.
    pub(super) fn lose(&mut self, number: usize) {
        if !std::mem::replace(&mut self.calls[number].is_over, true) {
            let after = self.hop();
            self.at(after, Event::Lost(number));
        }
    }

    /// The connection of a device breaks.
    pub(super) fn lose_calls(&mut self, device: usize) {
        for number in 0..self.calls.len() {
            if self.calls[number].device == device {
                self.lose(number);
            }
        }
    }

    /// Whether whoever asked is still there; repairs end with their stream.
    fn is_awaited(&self, number: usize) -> bool {
        let call = &self.calls[number];
        let device = &self.devices[call.device];
        let repair = matches!(call.what, What::Room(_) | What::User(_));
        device.life == call.life && (!repair || device.stream == call.stream)
    }

    pub(super) fn answer(&mut self, number: usize) {
        if self.calls[number].is_over || !self.is_awaited(number) {
            return;
        }
        let call = &mut self.calls[number];
        call.is_over = true;
        let (device, what) = (call.device, call.what.clone());
        let Some(reply) = call.reply.take() else { return };
        if matches!(reply, Reply::Again) {
            return self.repeat(number);
        }
        self.devices[device].call_failures = 0;
        let core = &mut self.cores[device];
        let told = match (what, reply) {
            (What::Room(cursor), Reply::Room(answer)) => match *answer {
                Ok(delta) => core.room_answered(&cursor.room_id, delta),
                Err(reason) => core.room_refused(&cursor.room_id, reason),
            },
            (What::User(_), Reply::User(delta)) => core.user_answered(delta),
            (What::Older(room, _), Reply::Page(page)) => core.page(&room_id(room).to_string(), page),
            (What::Send(leaving), Reply::Done(done)) => {
                self.devices[device].room_failures.remove(&leaving.request.room_id);
                self.sent(device, &leaving, *done)
            }
            (What::Mark(mark), Reply::Done(done)) => {
                self.devices[device].marking = false;
                if let Done::Marked(place, prev_user_rev) = *done {
                    core.marked(&mark, *place, prev_user_rev)
                } else {
                    core.mark_refused(&mark);
                    simulation::Told::default()
                }
            }
            (What::Doubt(doubtful), Reply::Missing(missing)) => {
                self.devices[device].doubting = false;
                core.settle_doubt(&doubtful, missing);
                simulation::Told::default()
            }
            (What::Command(_), Reply::Done(done)) => self.commanded(device, *done),
            _ => simulation::Told::default(),
        };
        self.ask(device, told);
        self.empty_soon(device);
    }

    fn sent(&mut self, device: usize, leaving: &Leaving, done: Done) -> simulation::Told {
        match done {
            Done::Sent(answer) => self.cores[device].sent(leaving, *answer),
            Done::Refused(reason) => {
                self.cores[device].send_refused(leaving, reason);
                simulation::Told::default()
            }
            _ => simulation::Told::default(),
        }
    }

    fn commanded(&mut self, device: usize, done: Done) -> simulation::Told {
        let core = &mut self.cores[device];
        match done {
            Done::Changed(message, prev_rev, rev) => core.changed(*message, prev_rev, rev),
            Done::Entered(summary) => core.entered(*summary),
            Done::Left(place) => core.left(*place),
            Done::Happened(events) => core.happened(events),
            _ => simulation::Told::default(),
        }
    }

    pub(super) fn lost(&mut self, number: usize) {
        if self.is_awaited(number) {
            self.repeat(number);
        }
    }

    /// What may be repeated is, after a while; a command is the person's to repeat.
    fn repeat(&mut self, number: usize) {
        let call = &self.calls[number];
        let (device, life, what) = (call.device, call.life, call.what.clone());
        let state = &mut self.devices[device];
        state.call_failures += 1;
        let mut failures = state.call_failures;
        let event = match what {
            What::Send(leaving) => {
                let failed = state.room_failures.entry(leaving.request.room_id.clone()).or_default();
                *failed += 1;
                failures = *failed;
                Event::SendAgain { device, life, id: leaving.id() }
            }
            What::Mark(_) => {
                state.marking = false;
                Event::Empty { device, life }
            }
            What::Doubt(_) => {
                state.doubting = false;
                Event::Empty { device, life }
            }
            What::Room(_) | What::User(_) => Event::AskAgain(number),
            What::Command(_) | What::Older(..) => return,
        };
        let wait = simulation::wait(failures, self.dice.part());
        self.at(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX), event);
    }

    pub(super) fn ask_again(&mut self, number: usize) {
        if self.is_awaited(number) {
            let (device, what) = (self.calls[number].device, self.calls[number].what.clone());
            self.call(device, what);
        }
    }
}
