//! A device of a plan: its proxy, its files, and its client core, here or in a process of its own. What it is told waits
//! in a queue, so that a device that hangs does not hold the others up.
//!
//! Always true: the store stays when the process goes; what was typed is noted before and after it was taken.

mod child;
mod command;
mod seat;
mod watch;
mod wire;

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use madang_sdk_core::StoreSnapshot;
use tokio::sync::RwLock;

use self::{child::ChildSeat, seat::Seat};
pub use self::{
    child::be_a_child,
    command::{Answer, Call, Command, Opening},
    watch::Seen,
};
use crate::{
    history::{Sight, Sighting},
    plan::DevicePlan,
    proxy::Proxy,
    stage::Addresses,
};

/// How long a store may take to tell everything.
const SNAPSHOT: Duration = Duration::from_secs(20);

/// Where the client core is.
#[derive(Debug)]
enum Link {
    Here(Seat),
    Child(Box<ChildSeat>),
}

/// A device.
#[derive(Debug)]
pub struct Device {
    /// Its index.
    pub index: usize,
    /// What was planned.
    pub plan: DevicePlan,
    /// The way to its server.
    pub proxy: Proxy,
    opening: Opening,
    sights: Arc<Sights>,
    link: RwLock<Option<Link>>,
    calls: AtomicU64,
}

/// What a device's timelines have shown.
#[derive(Debug, Default)]
struct Sights {
    life: AtomicU64,
    all: Mutex<Vec<Sighting>>,
}

impl Seen for Sights {
    fn saw(&self, room: &str, opening: u64, sight: Sight) {
        let life = self.life.load(Ordering::Relaxed);
        let sighting = Sighting { room: room.to_owned(), opening: (life, opening), sight };
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(sighting);
    }
}

impl Device {
    /// Opens a device whose files lie in a folder.
    pub async fn open(
        index: usize,
        plan: DevicePlan,
        folder: &Path,
        token: &str,
        addresses: Addresses,
        without: Option<String>,
    ) -> Result<Self> {
        let proxy = Proxy::start(addresses, plan.node).await?;
        let token_file = folder.join(format!("device{index}.token"));
        std::fs::write(&token_file, token).with_context(|| format!("write {}", token_file.display()))?;
        let store = folder.join(format!("device{index}.db"));
        let opening = Opening { server: proxy.url(), store, token: token_file, without };
        let device = Self {
            index,
            plan,
            proxy,
            opening,
            sights: Arc::default(),
            link: RwLock::default(),
            calls: AtomicU64::default(),
        };
        device.start().await?;
        Ok(device)
    }

    async fn start(&self) -> Result<()> {
        let mut link = self.link.write().await;
        self.sights.life.fetch_add(1, Ordering::Relaxed);
        let seen = Arc::clone(&self.sights) as Arc<dyn Seen>;
        *link = Some(if self.plan.process {
            Link::Child(Box::new(ChildSeat::open(&self.opening, seen).await?))
        } else {
            Link::Here(Seat::open(&self.opening, seen).await?)
        });
        Ok(())
    }

    /// Tells the device something and waits for its answer.
    pub async fn tell(&self, command: Command, within: Duration) -> Answer {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let call = Call { number, within_ms, command };
        match &*self.link.read().await {
            Some(Link::Here(seat)) => seat.perform(call).await,
            Some(Link::Child(child)) => child.perform(call).await,
            None => Answer::GivenUp,
        }
    }

    /// Kills the device's process with SIGKILL and opens it again on its store. One without a process ends without a
    /// word, as far as that is possible here.
    pub async fn kill(&self, down: Duration) -> Result<()> {
        if let Some(Link::Child(child)) = &*self.link.read().await {
            child.kill().await?;
        }
        // In this process the drop of the last client ends its tasks where they stand.
        *self.link.write().await = None;
        tokio::time::sleep(down).await;
        self.start().await?;
        Ok(())
    }

    /// Puts it to rest.
    pub async fn sleep(&self) {
        self.tell(Command::Suspend, SNAPSHOT).await;
    }

    /// Uses it again.
    pub async fn wake(&self) {
        self.tell(Command::Resume, SNAPSHOT).await;
    }

    /// Its whole store.
    pub async fn snapshot(&self) -> Result<StoreSnapshot> {
        match self.tell(Command::Snapshot, SNAPSHOT).await {
            Answer::Snapshot(encoded) => Ok((*encoded).into()),
            answer => bail!("device {} tells no snapshot: {answer:?}", self.index),
        }
    }

    /// What its timelines have shown so far.
    pub fn sights(&self) -> Vec<Sighting> {
        self.sights.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it.
    pub async fn end(&self) {
        self.tell(Command::End, Duration::from_secs(3)).await;
        *self.link.write().await = None;
    }
}
