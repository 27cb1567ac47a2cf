//! A seed from its plan to its outcome: starts the parts, takes the steps, and looks at the quiet points.

mod faults;
mod flood;
mod lane;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use madang_devstack::{postgres::TestDatabase, server_process::Launch};
use tokio::sync::Mutex as AsyncMutex;

use self::{faults::Faults, flood::Flood, lane::Lane};
use crate::{
    device::{Command, Device},
    look::look,
    oracle::{self, Finding},
    plan::{Action, Fault, Plan},
    proxy::Mode,
    stage::{Ground, Nodes},
    world::{Tally, World},
};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(150);

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
    /// The client's rule that is taken out.
    pub without: Option<String>,
}

/// Runs a plan; logs and stores go into a folder.
pub async fn run(ground: &Arc<Ground>, plan: &Plan, folder: &Path, conditions: &Conditions) -> Outcome {
    let began = Instant::now();
    let mut outcome = Outcome::default();
    match Run::begin(ground, plan, folder, conditions).await {
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
    ground: Arc<Ground>,
    plan: &'a Plan,
    folder: PathBuf,
    conditions: &'a Conditions,
    database: TestDatabase,
    nodes: Arc<Nodes>,
    world: Arc<World>,
    lanes: Vec<Lane>,
    faults: Faults,
}

impl<'a> Run<'a> {
    async fn begin(ground: &Arc<Ground>, plan: &'a Plan, folder: &Path, conditions: &'a Conditions) -> Result<Self> {
        let database = ground.database().await?;
        let nodes = Arc::new(Nodes::start(ground, plan, &database.url, folder).await?);
        let server = nodes.addresses.any().context("a server is up")?;
        let world = Arc::new(World::begin(ground, &format!("http://{server}"), plan.people).await?);
        let faults = Faults::new(Arc::clone(ground), Arc::clone(&nodes), Arc::clone(&world), &database.url);
        let mut run = Self {
            ground: Arc::clone(ground),
            plan,
            folder: folder.to_owned(),
            conditions,
            database,
            nodes,
            world,
            lanes: Vec::new(),
            faults,
        };
        for device in &plan.devices {
            run.open(*device).await?;
        }
        Ok(run)
    }

    async fn open(&mut self, plan: crate::plan::DevicePlan) -> Result<()> {
        let token = self.ground.issuer.token(&self.world.people[plan.person].login)?;
        let addresses = self.nodes.addresses.clone();
        let without = self.conditions.without.clone();
        let device = Device::open(self.lanes.len(), plan, &self.folder, &token, addresses, without);
        self.lanes.push(Lane::start(Arc::new(device.await?), Arc::clone(&self.world)));
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
                Action::Backup => self.ground.copy_data(false).await?,
                Action::Restore => self.restore().await?,
                Action::NewDevice { plan, .. } => self.open(*plan).await?,
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

    /// As an administrator does it: no server runs meanwhile, and the new history is declared.
    async fn restore(&mut self) -> Result<()> {
        let ground = Arc::clone(&self.ground);
        let restore = async |launch: &Launch| {
            ground.copy_data(true).await?;
            launch.restore_done().await
        };
        self.nodes.down_while(restore).await?;
        self.world.journal().restored();
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
        self.nodes.all_up().await?;
        for lane in &self.lanes {
            lane.device.proxy.set(Mode::Open);
            lane.device.wake().await;
        }
        let until = Instant::now() + self.conditions.patience;
        let mut caught_up = false;
        loop {
            let findings = match self.look().await {
                Ok(findings) => findings,
                // No fault is on its way any more: whoever did that was not this program.
                Err(_) if self.ground.cluster.pid().is_none() => bail!("somebody has stopped the database server"),
                Err(error) if Instant::now() > until => bail!(error.context("looking")),
                Err(_) => {
                    tokio::time::sleep(LOOK).await;
                    continue;
                }
            };
            match (findings.is_empty(), caught_up) {
                (true, true) => return Ok(findings),
                // Rooms that nobody looked at are judged once more when they are complete.
                (true, false) => {
                    for lane in &self.lanes {
                        lane.device.tell(Command::CatchUp, FINISH).await;
                    }
                    caught_up = true;
                }
                (false, _) if Instant::now() > until => return Ok(findings),
                (false, _) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    async fn look(&self) -> Result<Vec<Finding>> {
        let server = self.nodes.addresses.any().context("a server is up")?;
        let devices: Vec<_> = self.lanes.iter().map(|lane| Arc::clone(&lane.device)).collect();
        let mut journal = self.world.journal().clone();
        let people = &self.world.people;
        let history = look(&self.database.url, &format!("http://{server}"), people, &devices, &mut journal).await?;
        *self.world.journal() = journal;
        Ok(oracle::judge(&history))
    }

    async fn end(self) {
        let nodes = Arc::clone(&self.nodes);
        for lane in self.lanes {
            lane.end().await;
        }
        self.faults.end().await;
        nodes.stop().await;
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

/// One at a time.
type Turn = Arc<AsyncMutex<()>>;
