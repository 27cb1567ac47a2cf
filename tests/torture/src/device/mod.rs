//! A device of a plan: its proxy, its files, and its client core, here or in a process of its own. What it is told waits
//! in a queue, so that a device that hangs does not hold the others up.
//!
//! Always true: the store stays when the process goes; what was typed is noted before and after it was taken.

mod child;
mod command;
mod seat;
mod tokens;
mod watch;
mod wire;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use madang_sdk_core::StoreSnapshot;
use tokio::sync::RwLock;
use uuid::Uuid;

use self::{child::ChildSeat, seat::Seat, tokens::Tokens};
pub use self::{
    child::be_a_child,
    command::{Answer, Call, Command, Opening},
    tokens::Life,
    watch::Seen,
};
use crate::{
    history::{Sight, Sighting},
    plan::DevicePlan,
    proxy::Proxy,
    stage::{Addresses, Ground},
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
pub struct Device {
    /// Its index.
    pub index: usize,
    /// What was planned.
    pub plan: DevicePlan,
    /// The way to its server.
    pub proxy: Proxy,
    /// Its tokens, as its host keeps them.
    pub tokens: Tokens,
    opening: Opening,
    sights: Arc<Sights>,
    link: RwLock<Option<Link>>,
    calls: AtomicU64,
    revoked: AtomicBool,
    /// A revocation is on its way.
    revoking: AtomicBool,
    closed: AtomicBool,
}

/// Where the parts of a device are.
pub struct Place<'a> {
    /// The folder of its files.
    pub folder: &'a Path,
    /// What the seeds share.
    pub ground: &'a Arc<Ground>,
    /// The servers.
    pub addresses: Addresses,
    /// The client's rule that is taken out.
    pub without: Option<String>,
}

/// What an installation keeps when it is signed in anew.
#[derive(Debug, Clone)]
pub struct Installation {
    store: PathBuf,
    device_id: String,
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
    /// Opens a device, on an installation that is there or on a new one.
    pub async fn open(
        index: usize,
        plan: DevicePlan,
        login: &str,
        place: Place<'_>,
        installation: Option<Installation>,
    ) -> Result<Self> {
        let proxy = Proxy::start(place.addresses, plan.node).await?;
        let token = place.folder.join(format!("device{index}.token"));
        let tokens = Tokens::begin(place.ground, login, token.clone())?;
        let new = || Installation {
            store: place.folder.join(format!("device{index}.db")),
            device_id: Uuid::now_v7().to_string(),
        };
        let Installation { store, device_id } = installation.unwrap_or_else(new);
        let opening = Opening { server: proxy.url(), store, token, device_id, without: place.without };
        let device = Self {
            index,
            plan,
            proxy,
            tokens,
            opening,
            sights: Arc::default(),
            link: RwLock::default(),
            calls: AtomicU64::default(),
            revoked: AtomicBool::default(),
            revoking: AtomicBool::default(),
            closed: AtomicBool::default(),
        };
        device.start().await?;
        Ok(device)
    }

    /// Id of its installation.
    pub fn device_id(&self) -> &str {
        &self.opening.device_id
    }

    /// A revocation begins; `false`: there is one on its way.
    pub fn begin_revocation(&self) -> bool {
        !self.revoking.swap(true, Ordering::Relaxed)
    }

    /// Its session is going to be revoked: it is compared with nothing any more.
    pub fn revoke(&self) {
        self.revoked.store(true, Ordering::Relaxed);
    }

    /// Whether a revocation is on its way.
    pub fn is_being_revoked(&self) -> bool {
        self.revoking.load(Ordering::Relaxed)
    }

    /// The revocation has ended, one way or the other.
    pub fn revocation_ended(&self) {
        self.revoking.store(false, Ordering::Relaxed);
    }

    /// Whether its session was revoked, or is about to be.
    pub fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Relaxed)
    }

    /// Whether another index has its installation now.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Ends it for good, and gives its installation away.
    pub async fn close(&self) -> Installation {
        self.closed.store(true, Ordering::Relaxed);
        self.end().await;
        Installation { store: self.opening.store.clone(), device_id: self.opening.device_id.clone() }
    }

    async fn start(&self) -> Result<()> {
        let mut link = self.link.write().await;
        if self.is_closed() {
            return Ok(());
        }
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

    /// Whether its process has ended by itself.
    pub async fn is_gone(&self) -> bool {
        matches!(&*self.link.read().await, Some(Link::Child(child)) if child.is_gone())
    }

    /// Lets no file of its process grow beyond so many bytes.
    pub async fn limit_files(&self, bytes: Option<u64>) -> Result<()> {
        match &*self.link.read().await {
            Some(Link::Child(child)) => child.limit_files(bytes).await,
            _ => Ok(()),
        }
    }

    /// Why the server will not have it any more, if that is so.
    pub async fn over(&self) -> Option<String> {
        match self.tell(Command::IsOver, SNAPSHOT).await {
            Answer::Over { why } => Some(why),
            _ => None,
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
        self.start().await
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
        let mut link = self.link.write().await;
        if let Some(Link::Child(child)) = &*link {
            child.kill().await.ok();
        }
        *link = None;
    }
}
