//! A plan: everything that a seed decides, as plain data. It is saved with a failure, replayed, and made smaller.
//!
//! Always true: a plan depends on its seed and settings alone. People, devices, rooms and nodes are small indexes; what
//! an index means, and whether a step applies, is found out when it runs.

mod generate;
mod shrink;
mod stories;

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

pub use self::{generate::generate, shrink::Shrink};

/// How large a world is, and what may happen to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Servers on the database.
    pub nodes: usize,
    /// Devices at the beginning.
    pub clients: usize,
    /// Rooms at the beginning.
    pub rooms: usize,
    /// Steps after that.
    pub steps: usize,
    /// Faults that may happen.
    pub faults: Vec<Fault>,
    /// Servers and devices share this process, and neighbours share servers.
    #[serde(default)]
    pub in_process: bool,
}

/// Seeds that share servers and their database within one process: most of what a small world costs is their beginning.
/// Each has people and rooms of its own, and the faults of all of them.
pub const NEIGHBOURS: u64 = 8;

/// Everything that a seed decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Where it came from.
    pub seed: u64,
    /// What was asked for.
    pub settings: Settings,
    /// Number of people.
    pub people: usize,
    /// How the servers are set.
    pub servers: Servers,
    /// Devices at the beginning.
    pub devices: Vec<DevicePlan>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// How the servers of a plan are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Servers {
    /// Members above which a room is large.
    pub large_room_members: i64,
    /// Connections to the database that a server keeps.
    pub database_connections: u32,
    /// Nobody polls, and heartbeats are rare: nothing but the streams' own rules keeps clients right.
    pub alone: bool,
    /// Servers hear each other over NATS, instead of by the poll alone.
    pub nats: bool,
    /// Tokens of devices are good for seconds.
    #[serde(default)]
    pub short_tokens: bool,
    /// The servers' clocks can be made wrong.
    #[serde(default)]
    pub false_clocks: bool,
}

/// A device to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicePlan {
    /// Whose.
    pub person: usize,
    /// In a process of its own, so that it can be killed.
    pub process: bool,
    /// The server it begins at.
    pub node: usize,
}

/// What happens, and how long to wait before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Milliseconds before it.
    pub pause_ms: u64,
    /// What happens.
    pub action: Action,
}

/// What happens. `pick` chooses among what there is when it happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Action {
    /// A device sends a text.
    Send { device: usize, room: usize, text: String, mention: Option<usize>, mention_all: bool },
    /// A device edits one of its person's messages.
    Edit { device: usize, room: usize, pick: u64, text: String, within_ms: u64 },
    /// A device deletes one of its person's messages.
    Delete { device: usize, room: usize, pick: u64, within_ms: u64 },
    /// A device marks as read, up to so many items before the newest it knows.
    MarkRead { device: usize, room: usize, back: i64 },
    /// A device marks as unread.
    MarkUnread { device: usize, room: usize, back: i64 },
    /// A device enters a room.
    Join { device: usize, room: usize, within_ms: u64 },
    /// A device leaves a room.
    Leave { device: usize, room: usize, within_ms: u64 },
    /// A device brings somebody in.
    Invite { device: usize, room: usize, person: usize, within_ms: u64 },
    /// A device takes somebody out.
    Remove { device: usize, room: usize, person: usize, within_ms: u64 },
    /// A device makes a room, which gets this index.
    CreateRoom { device: usize, room: usize, open: bool, hidden: bool, people: Vec<usize> },
    /// A device opens the room with somebody, which gets this index.
    OpenDirect { device: usize, room: usize, person: usize },
    /// A device shows these rooms; others are behind.
    Look { device: usize, rooms: Vec<usize> },
    /// A device scrolls up in a room that it shows.
    Scroll { device: usize, room: usize, count: u16 },
    /// A person sends much by plain calls, so that others are far behind.
    Flood { person: usize, room: usize, count: usize, text: String },
    /// A person has one more device, which gets this index.
    NewDevice { device: usize, plan: DevicePlan },
    /// An installation is signed in anew, with its store: it gets this index, and the old one is no more.
    SignIn { device: usize, of: usize, plan: DevicePlan },
    /// A device is put to rest for a while.
    Sleep { device: usize },
    /// A device that was put to rest is used again.
    Wake { device: usize },
    /// A device is led to another server.
    Switch { device: usize, node: usize },
    /// Something breaks, and is whole again after a while. A clock goes wrong by a day for each 66 ms, less three.
    Break { fault: Fault, target: usize, for_ms: u64 },
    /// The database is copied.
    Backup,
    /// The database becomes the copy again; what came after it is gone, but for what clients offer again.
    Restore,
    /// Everything is given time to settle, and the oracle looks.
    Quiet,
}

/// What can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A server is killed, and started again.
    NodeKill,
    /// A server is asked to stop, and started again.
    NodeDrain,
    /// All servers are asked to stop and started again, one after the other.
    NodeRoll,
    /// A device's process is killed, and opened again on its store.
    ClientKill,
    /// A device's connections are cut.
    Cut,
    /// Bytes of a device's connections vanish in both directions; then the connections are cut.
    HalfOpen,
    /// The same, but nobody ever says so: only silence tells.
    Silent,
    /// Bytes take longer.
    Delay,
    /// 1 KB a second.
    Throttle,
    /// The database server ends at once and recovers from its log.
    DatabaseCrash,
    /// The database server is away for a while.
    DatabaseGone,
    /// One of the database's connections is ended.
    BackendEnd,
    /// A process of the database server is killed, which makes it restart them all.
    BackendKill,
    /// Calls are given up by their caller after a moment.
    Cancel,
    /// A device replays an old Hello and old cursors without the core, again and again.
    OldHello,
    /// An acknowledged message is sent again by a plain call to another server.
    SendAgain,
    /// A device's clock jumps, by days in either direction.
    Clock,
    /// The bus is killed, and started again.
    NatsKill,
    /// The bus says nothing for a while.
    NatsHold,
    /// The database is restored from a copy.
    Restored,
    /// A device's token ends, and its host is slow to get another, or fails a few times.
    TokenExpired,
    /// A device's session is revoked by another device of the person.
    Revoked,
    /// Somebody else locks the table of members, so that every connection of the servers waits.
    Locked,
    /// The database server takes nobody new while it waits for those who are there, and is then started again.
    DatabaseSmart,
    /// The database server is away for 30 s.
    DatabaseLong,
    /// The disk of a device's store is full for a while.
    DiskFull,
    /// The bus is slow.
    NatsSlow,
    /// The bus is away for 30 s.
    NatsLong,
    /// A server's clock goes wrong by hours, and right again.
    ServerClock,
    /// A device's process dies at a certain place of its work, and is opened again on its store.
    ClientDies,
    /// Somebody speaks the protocol as nobody should.
    Rogue,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 31] = [
        Self::NodeKill,
        Self::NodeDrain,
        Self::NodeRoll,
        Self::ClientKill,
        Self::Cut,
        Self::HalfOpen,
        Self::Silent,
        Self::Delay,
        Self::Throttle,
        Self::DatabaseCrash,
        Self::DatabaseGone,
        Self::BackendEnd,
        Self::BackendKill,
        Self::Cancel,
        Self::OldHello,
        Self::SendAgain,
        Self::Clock,
        Self::NatsKill,
        Self::NatsHold,
        Self::Restored,
        Self::TokenExpired,
        Self::Revoked,
        Self::Locked,
        Self::DatabaseSmart,
        Self::DatabaseLong,
        Self::DiskFull,
        Self::NatsSlow,
        Self::NatsLong,
        Self::ServerClock,
        Self::ClientDies,
        Self::Rogue,
    ];

    /// Its name, as in a plan.
    pub fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Whether it is the bus's.
    fn needs_nats(self) -> bool {
        matches!(self, Self::NatsKill | Self::NatsHold | Self::NatsSlow | Self::NatsLong)
    }

    /// Whether it needs a device in a process of its own.
    fn needs_process(self) -> bool {
        matches!(self, Self::ClientKill | Self::ClientDies | Self::DiskFull)
    }

    /// Whether it breaks what seeds within one process share, or takes a process of its own; being found out by silence
    /// alone takes longer than all else in such a seed.
    fn needs_processes(self) -> bool {
        self.needs_nats()
            || matches!(
                self,
                Self::DatabaseCrash
                    | Self::DatabaseGone
                    | Self::DatabaseSmart
                    | Self::DatabaseLong
                    | Self::BackendKill
                    | Self::Restored
                    | Self::DiskFull
                    | Self::ClientDies
                    | Self::ServerClock
                    | Self::Silent
            )
    }

    /// Whether it may make a commit whose outcome nobody learns: then only the poll finds what was committed.
    fn hides_commits(self) -> bool {
        matches!(
            self,
            Self::DatabaseCrash
                | Self::DatabaseGone
                | Self::DatabaseSmart
                | Self::DatabaseLong
                | Self::BackendEnd
                | Self::BackendKill
                | Self::Locked
        )
    }

    /// How often it happens beside the others. Those that cost a run much time are rarer.
    fn weight(self) -> u32 {
        match self {
            Self::Silent | Self::DatabaseLong | Self::NatsLong => 1,
            Self::NodeRoll | Self::DatabaseGone | Self::DatabaseSmart | Self::BackendKill => 2,
            Self::NodeKill | Self::ClientKill | Self::ClientDies | Self::Cut => 6,
            // These happen in ways of their own.
            Self::Cancel | Self::Restored => 0,
            _ => 4,
        }
    }

    /// Those that a list names: `all`, `none`, or names with commas.
    pub fn read_list(text: &str) -> Result<Vec<Self>> {
        match text {
            "all" => Ok(Self::ALL.to_vec()),
            "none" | "" => Ok(Vec::new()),
            names => names.split(',').map(Self::read).collect(),
        }
    }

    fn read(name: &str) -> Result<Self> {
        let known = || Self::ALL.map(Self::name).join(", ");
        serde_json::from_value(name.trim().into())
            .with_context(|| format!("no fault is called {name}; known: {}", known()))
    }
}

impl Step {
    /// The wait before it.
    pub fn pause(&self) -> Duration {
        Duration::from_millis(self.pause_ms)
    }
}

impl Plan {
    /// Reads a plan that was saved.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no plan", path.display()))
    }

    /// Saves it.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }
}
