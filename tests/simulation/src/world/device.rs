//! Devices: the real core, and what the engine's tasks do between its functions, in simulated time. Restated from
//! `engine/session.rs`, `engine/outbox.rs` and `engine/marks.rs`.

use std::collections::BTreeMap;

use madang_proto::v1::{ServerFrame, server_frame::Frame};
use madang_sdk_core::simulation::{self, Ask, Told};

use super::{Event, MS, World, call::What};
use crate::{
    dice::Dice,
    model::{Task, person_of, room_id, user_id},
    plan::Action,
};

/// Frames applied in one transaction at most.
const BATCH: usize = 64;

/// A device, beside its core.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says of another task what it does")]
pub(super) struct Device {
    pub(super) person: usize,
    /// Which process it is.
    pub(super) life: u64,
    /// The stream that it has.
    pub(super) stream: Option<usize>,
    /// Streams that nodes hold open for it.
    pub(super) open: Vec<usize>,
    /// The Welcome has come: calls make sense, and name the right epoch.
    pub(super) epoch: Option<String>,
    asleep: bool,
    pub(super) slow_until: u64,
    failures: u32,
    pub(super) call_failures: u32,
    pub(super) room_failures: BTreeMap<String, u32>,
    pub(super) marking: bool,
    pub(super) doubting: bool,
    /// It looks soon what waits to be sent.
    looks: bool,
    focus: usize,
    typed: usize,
    /// How many frames it takes at once.
    batch: usize,
}

impl Device {
    pub(super) fn new(person: usize, dice: &mut Dice) -> Self {
        Self {
            person,
            life: 0,
            stream: None,
            open: Vec::new(),
            epoch: None,
            asleep: false,
            slow_until: 0,
            failures: 0,
            call_failures: 0,
            room_failures: BTreeMap::new(),
            marking: false,
            doubting: false,
            looks: false,
            focus: 0,
            typed: 0,
            batch: dice.pick(&[1, 3, BATCH]),
        }
    }

    /// Rooms on its screen.
    pub(super) fn focus_rooms(&self, rooms: usize) -> impl Iterator<Item = usize> {
        let focus = self.focus;
        (0..rooms).filter(move |room| focus & (1 << room) != 0)
    }
}

impl World<'_> {
    pub(super) fn connect(&mut self, device: usize, life: u64) {
        let state = &self.devices[device];
        if state.life != life || state.asleep || state.stream.is_some() {
            return;
        }
        let hello = self.cores[device].hello();
        self.note(|_| format!("  device {device}: {hello:?}"));
        let node = self.dice.below(self.nodes.len());
        let stream = self.dial(device, node, hello);
        self.devices[device].stream = Some(stream);
    }

    /// Takes what has arrived, as far as it takes at once.
    pub(super) fn take(&mut self, number: usize) {
        self.streams[number].takes = false;
        let device = self.streams[number].device;
        if self.now < self.devices[device].slow_until {
            return self.take_soon(number);
        }
        let mut frames = Vec::new();
        while frames.len() < self.devices[device].batch {
            let pipe = &mut self.streams[number].pipe;
            let Some((_, frame)) = pipe.pop_front_if(|(at, _)| *at <= self.now) else { break };
            frames.push(frame);
        }
        if self.devices[device].stream == Some(number) {
            self.take_frames(device, frames);
        }
        self.pump_soon(number);
        self.take_soon(number);
    }

    fn take_frames(&mut self, device: usize, frames: Vec<ServerFrame>) {
        let mut durable = Vec::new();
        let mut ends = false;
        for frame in frames {
            match &frame.frame {
                Some(Frame::Welcome(welcome)) => {
                    if !self.cores[device].welcome(welcome) {
                        return self.fail(|| "the store belongs to another person".into());
                    }
                    self.devices[device].epoch = Some(welcome.epoch.clone());
                    self.empty_soon(device);
                }
                Some(Frame::Closing(_)) => ends = true,
                _ => durable.push(frame),
            }
        }
        let told = self.cores[device].apply(durable);
        let drained = told.drained;
        self.ask(device, told);
        if drained {
            self.devices[device].failures = 0;
            self.empty_soon(device);
            if !self.is_settling() && self.dice.percent(self.plan.shape.eager_cuts) {
                let action = if self.dice.percent(50) { Action::Cut { device } } else { Action::Kill { device } };
                return self.person_acts(action);
            }
        }
        if let Some(stream) = self.devices[device].stream.filter(|_| ends) {
            self.end_stream(stream);
        }
    }

    /// Asks what is to be asked.
    pub(super) fn ask(&mut self, device: usize, told: Told) {
        for ask in told.asks {
            let what = match ask {
                Ask::Room(cursor) => What::Room(cursor),
                Ask::User(user_rev) => What::User(user_rev),
            };
            self.call(device, what);
        }
    }

    pub(super) fn end_seen(&mut self, number: usize) {
        if self.devices[self.streams[number].device].stream == Some(number) {
            self.end_stream(number);
        }
    }

    /// A stream is over for its device, which opens another after a while.
    fn end_stream(&mut self, number: usize) {
        let device = self.streams[number].device;
        self.drop_stream(device);
        self.devices[device].failures += 1;
        let wait = simulation::wait(self.devices[device].failures, self.dice.part());
        let life = self.devices[device].life;
        let after = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        self.at(after, Event::Connect { device, life });
    }

    /// The device has no stream any more; its node notices in its time.
    fn drop_stream(&mut self, device: usize) {
        self.cores[device].end();
        self.devices[device].epoch = None;
        if let Some(stream) = self.devices[device].stream.take() {
            let after = self.hop() * 2;
            self.at(after, Event::Gone(stream));
        }
    }

    pub(super) fn rise(&mut self, device: usize) {
        if std::mem::replace(&mut self.devices[device].asleep, false) {
            let life = self.devices[device].life;
            self.at(0, Event::Connect { device, life });
        }
    }

    pub(super) fn set_focus(&mut self, device: usize, focus: usize) {
        self.devices[device].focus = focus;
        let rooms = self.devices[device].focus_rooms(self.plan.shape.rooms.len());
        let told = self.cores[device].set_focus(rooms.map(|room| room_id(room).to_string()));
        self.ask(device, told);
    }

    pub(super) fn empty_soon(&mut self, device: usize) {
        let life = self.devices[device].life;
        if !std::mem::replace(&mut self.devices[device].looks, true) {
            let after = self.dice.from(0, 300);
            self.at(after, Event::Empty { device, life });
        }
    }

    /// Sends what waits to be sent.
    pub(super) fn empty(&mut self, device: usize, life: u64) {
        let state = &mut self.devices[device];
        if state.life != life {
            return;
        }
        state.looks = false;
        if state.epoch.is_none() {
            return;
        }
        for leaving in self.cores[device].leaving() {
            self.call(device, What::Send(Box::new(leaving)));
        }
        if !self.devices[device].marking
            && let Some(mark) = self.cores[device].leaving_mark()
        {
            self.devices[device].marking = true;
            self.call(device, What::Mark(mark));
        }
        if self.epochs > 0
            && !self.devices[device].doubting
            && let Some(doubtful) = self.cores[device].doubtful()
        {
            self.devices[device].doubting = true;
            self.call(device, What::Doubt(Box::new(doubtful)));
        }
    }

    pub(super) fn send_again(&mut self, device: usize, life: u64, id: i64) {
        if self.devices[device].life == life {
            self.cores[device].send_again(id);
            self.empty(device, life);
        }
    }

    /// What a person does with a device, or what happens to it.
    pub(super) fn person_acts(&mut self, action: Action) {
        match action {
            Action::Cut { device } => {
                self.lose_calls(device);
                if let Some(stream) = self.devices[device].stream {
                    self.break_off(stream);
                }
            }
            Action::Sleep { device, ms } => {
                self.drop_stream(device);
                self.devices[device].asleep = true;
                self.at(ms * MS, Event::Rise(device));
            }
            Action::Kill { device } => self.kill(device),
            Action::Stall { device, ms } => self.devices[device].slow_until = self.now + ms * MS,
            Action::Focus { device, rooms } => self.set_focus(device, rooms),
            action => self.types(action),
        }
    }

    fn kill(&mut self, device: usize) {
        self.drop_stream(device);
        self.cores[device].restart();
        let state = &mut self.devices[device];
        state.life += 1;
        (state.failures, state.marking, state.doubting, state.looks) = (0, false, false, false);
        state.room_failures.clear();
        let (life, after) = (state.life, self.dice.from(0, 100) * MS);
        self.at(after, Event::Connect { device, life });
    }

    /// What a person types or taps.
    fn types(&mut self, action: Action) {
        match action {
            Action::Send { device, room, seen, mention } => self.send(device, room, seen, mention),
            Action::Read { device, room, back } => {
                let newest = self.newest(device, room);
                let seq = newest - i64::try_from(back).unwrap_or_default();
                self.cores[device].mark_read(&room_id(room).to_string(), seq);
                self.empty_soon(device);
            }
            Action::Unread { device, room, back } => {
                let seq = self.newest(device, room) + 1 - i64::try_from(back).unwrap_or_default();
                self.cores[device].mark_unread(&room_id(room).to_string(), seq.max(1));
                self.empty_soon(device);
            }
            Action::Edit { device, room, back, mention } => {
                if let Some(seq) = self.own_text(device, room, back) {
                    let text = format!("edited at {}", self.now);
                    self.command(device, Task::Edit { room, seq, text, mention });
                }
            }
            Action::Delete { device, room, back } => {
                if let Some(seq) = self.own_text(device, room, back) {
                    self.command(device, Task::Delete { room, seq });
                }
            }
            Action::Older { device, room } => {
                if let Some(before) = self.cores[device].begins(&room_id(room).to_string()) {
                    self.call(device, What::Older(room, before));
                }
            }
            Action::Join { device, room } => self.command(device, Task::Join { room }),
            Action::Leave { device, room } => self.command(device, Task::Leave { room }),
            Action::Invite { device, room, person } => self.command(device, Task::Invite { room, person }),
            Action::Remove { device, room, person } => self.command(device, Task::Remove { room, person }),
            _ => {}
        }
    }

    /// Commands need a connection.
    fn command(&mut self, device: usize, task: Task) {
        if self.devices[device].epoch.is_some() {
            self.call(device, What::Command(Box::new(task)));
        }
    }

    fn newest(&self, device: usize, room: usize) -> i64 {
        self.cores[device].newest(&room_id(room).to_string())
    }

    fn send(&mut self, device: usize, room: usize, seen: bool, mention: Option<usize>) {
        self.devices[device].typed += 1;
        let typed = self.devices[device].typed;
        let id = crate::check::message_id(device, typed).to_string();
        let seen = if seen { self.newest(device, room) } else { 0 };
        let mentions = mention.filter(|person| *person < self.plan.shape.people);
        let mentions = mentions.map(|person| user_id(person).to_string()).into_iter().collect();
        self.cores[device].send(&room_id(room).to_string(), &id, &format!("message {typed}"), mentions, seen);
        self.empty_soon(device);
    }

    /// One of the person's messages, counted from the newest.
    fn own_text(&self, device: usize, room: usize, back: usize) -> Option<i64> {
        let person = self.devices[device].person;
        let own = self.db.rooms[room].items.iter().rev().filter(|item| !item.is_system());
        own.filter(|item| person_of(item.sender_id) == person).nth(back).map(|item| item.seq)
    }
}
