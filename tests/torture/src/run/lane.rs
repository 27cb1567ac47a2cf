//! A device's lane: its steps one after the other, beside those of the other devices.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use crate::{
    device::{Answer, Command, Device},
    history::Typed,
    plan::{Action, Fault},
    world::World,
};

/// Steps that wait for a device; whoever brings one more waits.
const WAITING: usize = 32;

/// How long a call may take that nobody means to give up, and what makes what others need.
const PATIENT: Duration = Duration::from_secs(5);

/// Calls that are given up sooner are meant to be.
const CANCELLED: Duration = Duration::from_millis(100);

/// A step, or a question whether all before it are done.
enum Job {
    Take(Action),
    Tell(oneshot::Sender<()>),
}

/// A device and its steps.
pub(super) struct Lane {
    pub(super) device: Arc<Device>,
    jobs: mpsc::Sender<Job>,
    working: JoinSet<()>,
}

impl Lane {
    pub(super) fn start(device: Arc<Device>, world: Arc<World>) -> Self {
        let (jobs, waiting) = mpsc::channel(WAITING);
        let mut working = JoinSet::new();
        working.spawn(work(Arc::clone(&device), world, waiting));
        Self { device, jobs, working }
    }

    pub(super) async fn push(&self, action: Action) -> Result<()> {
        self.jobs.send(Job::Take(action)).await.ok().context("a lane has ended")
    }

    /// Waits until all steps are done.
    pub(super) async fn finish(&self) -> Result<()> {
        let (done, all) = oneshot::channel();
        self.jobs.send(Job::Tell(done)).await.ok().context("a lane has ended")?;
        all.await.context("a lane has ended")
    }

    pub(super) async fn end(mut self) {
        self.working.shutdown().await;
        self.device.end().await;
    }
}

async fn work(device: Arc<Device>, world: Arc<World>, mut jobs: mpsc::Receiver<Job>) {
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Take(action) => take(&device, &world, action).await,
            Job::Tell(done) => drop(done.send(())),
        }
    }
}

async fn take(device: &Device, world: &World, action: Action) {
    match action {
        Action::Sleep { .. } => return device.sleep().await,
        Action::Wake { .. } => return device.wake().await,
        _ => {}
    }
    let Some((command, within)) = command(world, &action) else { return world.count(&Answer::Skipped) };
    if within < CANCELLED {
        world.broke(Fault::Cancel);
    }
    let answer = device.tell(command.clone(), within).await;
    world.count(&answer);
    match (answer, command, action) {
        (Answer::Sent { id }, Command::Send { room, text, mentions, mention_all }, _) => {
            let typed = Typed { device: device.index, id, room, text, mentions, mention_all };
            world.journal().typed.push(typed);
        }
        (Answer::Room { id }, _, Action::CreateRoom { room, .. } | Action::OpenDirect { room, .. }) => {
            world.made(room, id);
        }
        _ => {}
    }
}

/// The command of a step, with the ids that its indexes mean now; `None`: there is no such room yet.
fn command(world: &World, action: &Action) -> Option<(Command, Duration)> {
    let ids = |people: &[usize]| people.iter().map(|person| world.person(*person)).collect::<Vec<_>>();
    let within = |within_ms: &u64| Duration::from_millis(*within_ms);
    Some(match action {
        Action::Send { room, text, mention, mention_all, .. } => {
            let mentions = ids(mention.as_slice());
            let (room, text) = (world.room(*room)?, text.clone());
            (Command::Send { room, text, mentions, mention_all: *mention_all }, PATIENT)
        }
        Action::Edit { room, pick, text, within_ms, .. } => {
            (Command::Edit { room: world.room(*room)?, pick: *pick, text: text.clone() }, within(within_ms))
        }
        Action::Delete { room, pick, within_ms, .. } => {
            (Command::Delete { room: world.room(*room)?, pick: *pick }, within(within_ms))
        }
        Action::MarkRead { room, back, .. } => (Command::MarkRead { room: world.room(*room)?, back: *back }, PATIENT),
        Action::MarkUnread { room, back, .. } => {
            (Command::MarkUnread { room: world.room(*room)?, back: *back }, PATIENT)
        }
        Action::Join { room, within_ms, .. } => (Command::Join { room: world.room(*room)? }, within(within_ms)),
        Action::Leave { room, within_ms, .. } => (Command::Leave { room: world.room(*room)? }, within(within_ms)),
        Action::Invite { room, person, within_ms, .. } => {
            (Command::Invite { room: world.room(*room)?, person: world.person(*person) }, within(within_ms))
        }
        Action::Remove { room, person, within_ms, .. } => {
            (Command::Remove { room: world.room(*room)?, person: world.person(*person) }, within(within_ms))
        }
        Action::CreateRoom { room, open, hidden, people, .. } => {
            let name = format!("room {room}");
            (Command::CreateRoom { name, open: *open, hidden: *hidden, people: ids(people) }, PATIENT)
        }
        Action::OpenDirect { person, .. } => (Command::OpenDirect { person: world.person(*person) }, PATIENT),
        Action::Look { rooms, .. } => {
            (Command::Look { rooms: rooms.iter().filter_map(|room| world.room(*room)).collect() }, PATIENT)
        }
        Action::Scroll { room, count, .. } => (Command::Scroll { room: world.room(*room)?, count: *count }, PATIENT),
        Action::NewDevice { .. }
        | Action::SignIn { .. }
        | Action::Flood { .. }
        | Action::Sleep { .. }
        | Action::Wake { .. }
        | Action::Switch { .. }
        | Action::Break { .. }
        | Action::Backup
        | Action::Restore
        | Action::Quiet => return None,
    })
}
