//! A world: a scheduler of simulated time over the model of the database, the real hubs and sessions of the nodes, and the
//! real cores of the devices. Everything between two awaits of the real code is one step, and steps of all interleave.

mod call;
mod device;
mod node;
mod stream;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use madang_sdk_core::{sabotage::Guard as ClientGuard, simulation::Core};
use madang_server::sabotage::{Guard as ServerGuard, Guards};

use self::{call::Call, device::Device, node::Node, node::Tx, stream::Stream};
use crate::{
    check,
    dice::{Dice, mix},
    model::{self, Db, Lock, Task, Told},
    plan::{Action, Plan},
};

const MS: u64 = 1_000;
/// After the last action nodes go on to compare and to beat for so long, where they do at all.
const SETTLING: u64 = 3_000 * MS;
/// A world that needs more steps than this is in a loop.
const MOST_STEPS: u64 = 40_000;

/// The guard that is taken out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Without {
    pub(crate) server: Option<ServerGuard>,
    pub(crate) client: Option<ClientGuard>,
}

impl Without {
    fn guards(self) -> Guards {
        self.server.map_or_else(Guards::default, Guards::without)
    }
}

/// What a schedule came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// What differs, if anything does.
    pub(crate) problem: Option<String>,
    pub(crate) steps: u64,
    /// Of everything that happened, in its order.
    pub(crate) hash: u64,
}

/// A step that is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// An action of the plan.
    Act(usize),
    /// A transaction goes on.
    Transact(usize),
    /// A transaction has committed: the streams are told, then the caller.
    Publish(usize),
    /// A node hears what another one says.
    Hear { node: usize, life: u64, told: usize },
    /// A node has waited long enough for a missing revision.
    GiveUp { node: usize, life: u64, room: usize },
    /// A node compares the database with what its sessions were told.
    Poll { node: usize, life: u64 },
    /// A node tells its streams that it lives.
    Beat { node: usize, life: u64 },
    /// A Hello arrives.
    Open(usize),
    /// A stream's read goes on.
    Read(usize),
    /// A stream's frames leave.
    Pump(usize),
    /// A device takes what has arrived.
    Take(usize),
    /// A device notices that a stream has ended.
    EndSeen(usize),
    /// A node notices that a stream's peer has gone.
    Gone(usize),
    /// A call arrives at its node.
    Arrive(usize),
    /// A call's answer arrives at its device.
    Answer(usize),
    /// A device notices that a call gets no answer.
    Lost(usize),
    /// A device opens a stream.
    Connect { device: usize, life: u64 },
    /// A device sends what waits to be sent.
    Empty { device: usize, life: u64 },
    /// A message whose sending failed waits again.
    SendAgain { device: usize, life: u64, id: i64 },
    /// A question is asked again.
    AskAgain(usize),
    /// A device wakes up.
    Rise(usize),
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    at: u64,
    number: u64,
    event: Event,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// What a session rings when it has something for its stream.
#[derive(Debug, Default)]
struct Bell(AtomicBool);

impl std::task::Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A world on its way.
pub(crate) struct World<'a> {
    plan: &'a Plan,
    guards: Guards,
    without: Without,
    cores: &'a mut Vec<Core>,
    dice: Dice,
    now: u64,
    agenda: BinaryHeap<Reverse<Entry>>,
    entries: u64,
    db: Db,
    copy: Option<Db>,
    epochs: usize,
    txs: Vec<Tx>,
    locks: Vec<(Lock, usize)>,
    nodes: Vec<Node>,
    told: Vec<Told>,
    streams: Vec<Stream>,
    devices: Vec<Device>,
    calls: Vec<Call>,
    /// Until when nodes compare and beat; set when the last action is over.
    settled: Option<u64>,
    trace: bool,
    out: Outcome,
}

/// Plays a plan to its end and compares everything.
pub(crate) fn play(plan: &Plan, without: Without, cores: &mut Vec<Core>, trace: bool) -> Outcome {
    let mut world = World::new(plan, without, cores, trace);
    world.begin();
    world.run();
    world.rest();
    if world.out.problem.is_none() {
        world.look(false);
        world.open_everything();
        world.run();
        world.look(true);
    }
    world.out
}

impl<'a> World<'a> {
    fn new(plan: &'a Plan, without: Without, cores: &'a mut Vec<Core>, trace: bool) -> Self {
        let guards = without.guards();
        let shape = &plan.shape;
        while cores.len() < shape.devices.len() {
            cores.push(Core::new(without.client));
        }
        let mut dice = Dice::new(plan.seed, 2);
        let devices = (0..shape.devices.len()).map(|device| Device::new(shape.devices[device], &mut dice)).collect();
        Self {
            plan,
            guards,
            without,
            cores,
            now: 0,
            agenda: BinaryHeap::new(),
            entries: 0,
            db: Db::new(shape.people, &shape.rooms, guards.idempotency()),
            copy: None,
            epochs: 0,
            txs: Vec::new(),
            locks: Vec::new(),
            nodes: (0..shape.nodes).map(|_| Node::new(guards)).collect(),
            told: Vec::new(),
            streams: Vec::new(),
            devices,
            calls: Vec::new(),
            settled: None,
            trace,
            out: Outcome { problem: None, steps: 0, hash: plan.seed },
            dice,
        }
    }

    fn begin(&mut self) {
        for device in 0..self.devices.len() {
            self.cores[device].renew(self.without.client);
            let focus = self.dice.below(1 << self.plan.shape.rooms.len());
            self.set_focus(device, focus);
            let at = self.dice.from(0, 5) * MS;
            self.at(at, Event::Connect { device, life: 0 });
        }
        if self.plan.shape.lossy {
            for node in 0..self.nodes.len() {
                self.start_node(node);
            }
        }
        for (number, (at, _)) in self.plan.actions.iter().enumerate() {
            self.at(30 * MS + at, Event::Act(number));
        }
    }

    /// Puts a step on the agenda, so long from now.
    fn at(&mut self, after: u64, event: Event) {
        self.entries += 1;
        self.agenda.push(Reverse(Entry { at: self.now + after, number: self.entries, event }));
    }

    /// A way over the network.
    fn hop(&mut self) -> u64 {
        let spread = self.plan.shape.spread;
        match self.dice.below(10) {
            0..6 => self.dice.from(100, 2 * MS),
            6..9 => self.dice.from(0, 8 * MS * spread),
            _ => self.dice.from(0, 30 * MS * spread),
        }
    }

    /// A statement of the database, or the turn of a task.
    fn turn(&mut self) -> u64 {
        if self.dice.percent(70) { self.dice.from(10, MS) } else { self.dice.from(0, 8 * MS * self.plan.shape.spread) }
    }

    fn fail(&mut self, problem: impl FnOnce() -> String) {
        if self.out.problem.is_none() {
            let problem = problem();
            self.note(|_| format!("WRONG: {problem}"));
            self.out.problem = Some(problem);
        }
    }

    #[expect(clippy::print_stdout, reason = "the trace is what was asked for")]
    fn note(&self, what: impl FnOnce(&Self) -> String) {
        if self.trace {
            let (ms, micros) = (self.now / MS, self.now % MS);
            println!("{ms:>6}.{micros:03}  {}", what(self));
        }
    }

    fn run(&mut self) {
        while self.out.problem.is_none() {
            let Some(Reverse(entry)) = self.agenda.pop() else { return };
            self.now = entry.at;
            self.out.steps += 1;
            self.out.hash = mix(self.out.hash, entry.at ^ entry.number << 40);
            self.step(entry.event);
            self.hear_bells();
            if self.out.steps > MOST_STEPS {
                self.fail(|| "it does not come to rest".into());
            }
        }
    }

    fn step(&mut self, event: Event) {
        if self.trace && !matches!(event, Event::Pump(_) | Event::Read(_) | Event::Transact(_)) {
            self.note(|_| format!("{event:?}"));
        }
        match event {
            Event::Act(number) => self.act(number),
            Event::Transact(tx) => self.transact(tx),
            Event::Publish(tx) => self.publish(tx),
            Event::Hear { node, life, told } => self.hear(node, life, told),
            Event::GiveUp { node, life, room } => self.give_up(node, life, room),
            Event::Poll { node, life } => self.poll(node, life),
            Event::Beat { node, life } => self.beat(node, life),
            Event::Open(stream) => self.open(stream),
            Event::Read(stream) => self.read(stream),
            Event::Pump(stream) => self.pump(stream),
            Event::Take(stream) => self.take(stream),
            Event::EndSeen(stream) => self.end_seen(stream),
            Event::Gone(stream) => self.close(stream),
            Event::Arrive(call) => self.arrive(call),
            Event::Answer(call) => self.answer(call),
            Event::Lost(call) => self.lost(call),
            Event::Connect { device, life } => self.connect(device, life),
            Event::Empty { device, life } => self.empty(device, life),
            Event::SendAgain { device, life, id } => self.send_again(device, life, id),
            Event::AskAgain(call) => self.ask_again(call),
            Event::Rise(device) => self.rise(device),
        }
    }

    /// Streams whose session rang are polled.
    fn hear_bells(&mut self) {
        for device in 0..self.devices.len() {
            for at in 0..self.devices[device].open.len() {
                let stream = self.devices[device].open[at];
                if self.streams[stream].bell.0.swap(false, Ordering::Relaxed) {
                    self.pump_soon(stream);
                }
            }
        }
    }

    fn act(&mut self, number: usize) {
        let (_, action) = self.plan.actions[number];
        self.note(|_| format!("--- {action:?}"));
        match action {
            Action::NodeDies { node } => self.kill_node(node),
            Action::LongTransaction { ms } => self.run_beside(ms),
            Action::Copy => self.copy = Some(self.db.clone()),
            Action::Restore => self.restore(),
            action => self.person_acts(action),
        }
    }

    fn run_beside(&mut self, ms: u64) {
        let tx = self.txs.len();
        let mut beside = Tx::new(0, 0, 0, Task::Nothing, None);
        beside.xid = Some(self.db.begin());
        self.txs.push(beside);
        self.at(ms * MS, Event::Transact(tx));
    }

    fn restore(&mut self) {
        let Some(copy) = self.copy.clone() else { return };
        self.epochs += 1;
        self.db = copy.restored(format!("restored {}", self.epochs));
        self.txs.iter_mut().for_each(|tx| tx.is_over = true);
        self.locks.clear();
        // Restoring takes much longer than a word from node to node.
        self.told.iter_mut().for_each(|told| *told = Told::default());
        for call in 0..self.calls.len() {
            self.lose(call);
        }
        for node in 0..self.nodes.len() {
            self.forget_history(node);
        }
    }

    /// The last action is over: what waits is waited for, nothing breaks any more, everybody comes back.
    fn rest(&mut self) {
        self.settled = Some(self.now + SETTLING);
        for device in 0..self.devices.len() {
            self.devices[device].slow_until = 0;
            self.rise(device);
        }
        if self.plan.shape.lossy {
            for node in 0..self.nodes.len() {
                self.start_node(node);
            }
        }
        self.run();
    }

    /// Every room is shown on every device, so that all rows must be complete.
    fn open_everything(&mut self) {
        for device in 0..self.devices.len() {
            self.set_focus(device, usize::MAX);
        }
    }

    fn look(&mut self, all_rows: bool) {
        if self.out.problem.is_some() {
            return;
        }
        for device in 0..self.devices.len() {
            let person = self.devices[device].person;
            if !self.cores[device].is_live() {
                self.fail(|| format!("device {device} of person {person} is never told that it has everything"));
            }
            let held = self.cores[device].snapshot();
            let found = check::device(&self.db, person, &held, all_rows, self.epochs > 0);
            if let Some(what) = found {
                self.fail(|| format!("device {device} of person {person}: {what}"));
            }
        }
        if let Some(what) = check::database(&self.db) {
            self.fail(|| what);
        }
    }

    fn is_settling(&self) -> bool {
        self.settled.is_some()
    }

    fn time(&self) -> chrono::DateTime<chrono::Utc> {
        model::time(self.now)
    }
}
