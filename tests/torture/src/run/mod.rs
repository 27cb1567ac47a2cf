//! A seed from its plan to its outcome: starts the parts, takes the steps, and looks at the quiet points.

mod devices;
mod faults;
mod flood;
mod lane;
mod listen;
mod rogue;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use futures_util::future::join_all;
use madang_devstack::server_process::Launch;
use tokio::task::JoinSet;

use self::{faults::Faults, flood::Flood, lane::Lane, listen::Listeners};
use crate::{
    device::{Command, Device, Installation, Life, Place},
    history::{EndedFacts, History},
    look::{Eye, look},
    oracle::{self, Finding},
    plan::{Action, DevicePlan, Fault, Plan},
    proxy::Mode,
    stage::{Ground, Site},
    world::{Tally, World},
};

/// Time between two looks, which grows: a look reads everything, and delays what it waits for.
const LOOK: Duration = Duration::from_millis(150);
const LOOK_MOST: Duration = Duration::from_secs(1);

/// Seconds that a short token is good, and how often there is another.
const SHORT_S: i64 = 4;
const RENEW: Duration = Duration::from_millis(1_500);

/// How long the steps before a quiet point may take to end.
const FINISH: Duration = Duration::from_mins(3);

/// How a seed ended.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What went wrong with the run itself: a server that does not start, a step that does not end.
    pub broken: Option<String>,
    /// Acknowledged sends.
    pub acknowledged: usize,
    /// What was counted.
    pub tally: Tally,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// Whether anything is wrong.
    pub fn failed(&self) -> bool {
        self.broken.is_some() || !self.findings.is_empty()
    }
}

/// How a plan is run.
#[derive(Debug, Clone)]
pub struct Conditions {
    /// How long a world may take to settle.
    pub patience: Duration,
    /// The guard that is taken out, of the servers or of the client.
    pub without: Option<String>,
}

/// How the names of the client's rules begin.
const CLIENT: &str = "client_";

impl Conditions {
    fn of_client(&self) -> Option<&str> {
        self.without.as_deref().filter(|name| name.starts_with(CLIENT))
    }

    fn of_server(&self) -> Option<&str> {
        self.without.as_deref().filter(|name| !name.starts_with(CLIENT))
    }
}

/// Runs a plan; logs and stores go into a folder.
pub async fn run(ground: &Arc<Ground>, plan: &Plan, folder: &Path, conditions: &Conditions) -> Outcome {
    let mut outcomes = run_together(ground, &[(plan, folder)], conditions).await;
    outcomes.pop().unwrap_or_default()
}

/// Runs plans of neighbours beside each other; the servers' logs go into the first one's folder.
pub async fn run_together(ground: &Arc<Ground>, plans: &[(&Plan, &Path)], conditions: &Conditions) -> Vec<Outcome> {
    let Some((first, folder)) = plans.first() else { return Vec::new() };
    let site = match Site::start(ground, first, folder, conditions.of_server()).await {
        Ok(site) => Arc::new(site),
        Err(error) => {
            let broken = Outcome { broken: Some(format!("{error:#}")), ..Outcome::default() };
            return vec![broken; plans.len()];
        }
    };
    let outcomes = join_all(plans.iter().map(|(plan, folder)| run_on(&site, plan, folder, conditions))).await;
    site.nodes.stop().await;
    outcomes
}

async fn run_on(site: &Arc<Site>, plan: &Plan, folder: &Path, conditions: &Conditions) -> Outcome {
    let began = Instant::now();
    let mut outcome = Outcome::default();
    match Run::begin(site, plan, folder, conditions).await {
        Ok(mut run) => {
            if let Err(error) = run.steps(&mut outcome).await {
                outcome.broken = Some(format!("{error:#}"));
            }
            outcome.acknowledged = run.world.journal().acknowledged.len();
            outcome.tally = run.world.tally().clone();
            run.end().await;
        }
        Err(error) => outcome.broken = Some(format!("{error:#}")),
    }
    outcome.took = began.elapsed();
    outcome
}

/// A seed while it runs.
struct Run<'a> {
    site: Arc<Site>,
    plan: &'a Plan,
    folder: PathBuf,
    conditions: &'a Conditions,
    world: Arc<World>,
    lanes: Vec<Lane>,
    faults: Faults,
    listeners: Listeners,
    /// Renews tokens that are good for seconds.
    renewing: JoinSet<()>,
}

impl<'a> Run<'a> {
    async fn begin(site: &Arc<Site>, plan: &'a Plan, folder: &Path, conditions: &'a Conditions) -> Result<Self> {
        let nodes = &site.nodes;
        let server = nodes.addresses.any().context("a server is up")?;
        let world = Arc::new(World::begin(&site.ground, &format!("http://{server}"), plan).await?);
        let faults = Faults::new(Arc::clone(site), Arc::clone(&world));
        let listeners = Listeners::start(&world.people, &nodes.addresses, nodes.count());
        let mut run = Self {
            site: Arc::clone(site),
            plan,
            folder: folder.to_owned(),
            conditions,
            world,
            lanes: Vec::new(),
            faults,
            listeners,
            renewing: JoinSet::new(),
        };
        for device in &plan.devices {
            run.open(*device, None).await?;
        }
        Ok(run)
    }

    async fn open(&mut self, plan: DevicePlan, installation: Option<Installation>) -> Result<()> {
        let place = Place {
            folder: &self.folder,
            ground: &self.site.ground,
            addresses: self.site.nodes.addresses.clone(),
            without: self.conditions.of_client().map(str::to_owned),
        };
        let login = &self.world.people[plan.person].login;
        let device = Arc::new(Device::open(self.lanes.len(), plan, login, place, installation).await?);
        if self.plan.servers.short_tokens {
            self.renewing.spawn(renew(Arc::clone(&device)));
        }
        self.lanes.push(Lane::start(device, Arc::clone(&self.world)));
        Ok(())
    }

    async fn steps(&mut self, outcome: &mut Outcome) -> Result<()> {
        for (number, step) in self.plan.steps.iter().enumerate() {
            tokio::time::sleep(step.pause()).await;
            match &step.action {
                Action::Quiet => {
                    outcome.findings = self.quiet().await.with_context(|| format!("step {number}"))?;
                    if !outcome.findings.is_empty() {
                        return Ok(());
                    }
                }
                Action::Backup => self.site.ground.copy_data(false).await?,
                Action::Restore => self.restore().await?,
                Action::NewDevice { plan, .. } => self.open(*plan, None).await?,
                Action::SignIn { of, plan, .. } => self.sign_in(*of, *plan).await?,
                Action::Switch { device, node } => {
                    let lane = self.lane(*device)?;
                    lane.device.proxy.lead_to(*node % self.plan.settings.nodes);
                }
                Action::Break { fault, target, for_ms } => {
                    let devices = self.lanes.iter().map(|lane| Arc::clone(&lane.device)).collect();
                    self.faults.happen(*fault, *target, Duration::from_millis(*for_ms), devices);
                }
                Action::Flood { person, room, count, text } => {
                    self.faults.flood(Flood { person: *person, room: *room, count: *count, text: text.clone() });
                }
                action => self.lane(device_of(action)?)?.push(action.clone()).await?,
            }
        }
        Ok(())
    }

    /// Signs an installation in anew. Its old index tells what it held last, and nothing after that.
    async fn sign_in(&mut self, of: usize, plan: DevicePlan) -> Result<()> {
        let lane = self.lane(of)?;
        lane.finish().await?;
        let old = Arc::clone(&lane.device);
        // A revocation that is on its way ends first.
        while old.is_being_revoked() {
            tokio::time::sleep(LOOK).await;
        }
        if let Some(facts) = self.ended(&old).await {
            self.world.ended().insert(of, EndedFacts { closed: true, ..facts });
        }
        let installation = old.close().await;
        self.world.journal().inherit(of, self.lanes.len());
        self.open(plan, Some(installation)).await
    }

    /// What is known of a device that was revoked, with its store as it is now.
    async fn ended(&self, device: &Device) -> Option<EndedFacts> {
        let known = self.world.ended().get(&device.index).cloned()?;
        if known.closed {
            return Some(known);
        }
        Some(EndedFacts { store: device.snapshot().await.ok(), over: device.over().await, ..known })
    }

    /// As an administrator does it: no server runs meanwhile, and the new history is declared.
    async fn restore(&mut self) -> Result<()> {
        let ground = Arc::clone(&self.site.ground);
        let restore = async |launch: &Launch| {
            ground.copy_data(true).await?;
            launch.restore_done().await
        };
        self.site.nodes.down_while(restore).await?;
        self.world.restored();
        self.listeners.restored();
        self.world.broke(Fault::Restored);
        Ok(())
    }

    fn lane(&self, device: usize) -> Result<&Lane> {
        self.lanes.get(device).with_context(|| format!("no device {device}"))
    }

    /// Lets everything end and heal, and looks until nothing is wrong or patience ends.
    async fn quiet(&mut self) -> Result<Vec<Finding>> {
        let finish = async {
            for lane in &self.lanes {
                lane.finish().await?;
            }
            self.faults.finish().await
        };
        tokio::time::timeout(FINISH, finish).await.context("the steps before do not end")??;
        self.site.nodes.all_up().await?;
        for lane in &self.lanes {
            lane.device.proxy.set(Mode::Open);
            if lane.device.over().await.is_none() {
                lane.device.wake().await;
            }
        }
        let until = Instant::now() + self.conditions.patience;
        // Not for longer: a database that stops in order waits for it.
        let mut eye = Eye::on(self.site.database_url(), &self.world.people)?;
        let mut caught_up = false;
        let mut pause = LOOK;
        loop {
            let findings = match self.look(&mut eye).await {
                Ok(findings) => findings,
                // No fault is on its way any more: whoever did that was not this program.
                Err(_) if self.site.ground.cluster.pid().is_none() => bail!("somebody has stopped the database server"),
                Err(error) if Instant::now() > until => bail!(error.context("looking")),
                Err(_) => {
                    tokio::time::sleep(LOOK_MOST).await;
                    continue;
                }
            };
            match (findings.is_empty(), caught_up) {
                (true, true) => return Ok(findings),
                // Rooms that nobody looked at are judged once more when they are complete.
                (true, false) => {
                    for lane in self.lanes.iter().filter(|lane| !lane.device.is_revoked()) {
                        lane.device.tell(Command::CatchUp, FINISH).await;
                    }
                    caught_up = true;
                }
                (false, _) if Instant::now() > until || findings.iter().any(|finding| finding.lasting) => {
                    return Ok(findings);
                }
                (false, _) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 3 / 2).min(LOOK_MOST);
                }
            }
        }
    }

    async fn look(&self, eye: &mut Eye) -> Result<Vec<Finding>> {
        let server = self.site.nodes.addresses.any().context("a server is up")?;
        let (mut devices, mut ended) = (Vec::new(), Vec::new());
        for lane in &self.lanes {
            let device = &lane.device;
            match self.ended(device).await {
                Some(facts) => {
                    if let Some(store) = &facts.store {
                        self.world.journal().note(device.index, store);
                    }
                    ended.push(facts);
                }
                None if device.is_revoked() || device.is_closed() => {}
                None => devices.push(Arc::clone(device)),
            }
        }
        let mut journal = self.world.journal().clone();
        let people = &self.world.people;
        // What is heard later may be of what is changed later.
        let streams = self.listeners.facts();
        let mut history = look(eye, &format!("http://{server}"), people, &devices, &mut journal).await?;
        *self.world.journal() = journal;
        // Large rooms write no notices of who comes and goes.
        if usize::try_from(self.plan.servers.large_room_members)? < self.plan.people {
            history.rooms.values_mut().for_each(|room| room.moves.clear());
        }
        Ok(oracle::judge(&History { ended, streams, ..history }))
    }

    async fn end(mut self) {
        self.renewing.shutdown().await;
        self.listeners.end().await;
        for lane in self.lanes {
            lane.end().await;
        }
        self.faults.end().await;
    }
}

/// Whose step it is.
fn device_of(action: &Action) -> Result<usize> {
    let (Action::Send { device, .. }
    | Action::Edit { device, .. }
    | Action::Delete { device, .. }
    | Action::MarkRead { device, .. }
    | Action::MarkUnread { device, .. }
    | Action::Join { device, .. }
    | Action::Leave { device, .. }
    | Action::Invite { device, .. }
    | Action::Remove { device, .. }
    | Action::CreateRoom { device, .. }
    | Action::OpenDirect { device, .. }
    | Action::Look { device, .. }
    | Action::Scroll { device, .. }
    | Action::Sleep { device }
    | Action::Wake { device }) = action
    else {
        bail!("not a device's step: {action:?}")
    };
    Ok(*device)
}

/// Puts a token that is good for seconds where a device finds it, again and again. Also where the device was revoked: the
/// issuer knows nothing of that, and only a token that has not ended lets a device learn it.
async fn renew(device: Arc<Device>) {
    while !device.is_closed() && device.tokens.renew(Life::Stream(SHORT_S)).is_ok() {
        tokio::time::sleep(RENEW).await;
    }
}
