//! Faults: each is a task that breaks something and makes it whole again, beside the steps that go on.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use madang_devstack::postgres::Stop;
use madang_proto::v1::{self, client_frame, server_frame::Frame};
use madang_tests::person::Calls;
use rand::Rng as _;
use sqlx::{Connection as _, PgConnection};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};
use uuid::Uuid;

use super::{Flood, devices::with_process};
use crate::{
    device::{Command, Device},
    plan::Fault,
    proxy::Mode,
    stage::Site,
    world::{Someone, World},
};

/// Bytes a second on a bad line.
const SLOW: u32 = 1024;

/// Longest wait of an old stream for its verdicts.
pub(super) const VERDICTS: Duration = Duration::from_secs(5);

/// Seconds that a server's clock may be ahead: tokens of a run are good for longer.
const AHEAD: i64 = 6 * 3600;

/// Times that an old Hello is repeated.
const HELLOS: usize = 5;

/// What breaks.
pub(super) struct Faults {
    parts: Arc<Parts>,
    tasks: JoinSet<Result<()>>,
}

pub(super) struct Parts {
    pub(super) site: Arc<Site>,
    pub(super) world: Arc<World>,
    /// A device's process breaks in one way at a time.
    processes: Mutex<()>,
}

impl Faults {
    pub(super) fn new(site: Arc<Site>, world: Arc<World>) -> Self {
        let parts = Parts { site, world, processes: Mutex::default() };
        Self { parts: Arc::new(parts), tasks: JoinSet::new() }
    }

    /// Lets something break.
    pub(super) fn happen(&mut self, fault: Fault, target: usize, lasting: Duration, devices: Vec<Arc<Device>>) {
        let parts = Arc::clone(&self.parts);
        self.tasks.spawn(async move {
            let happened = parts.happen(fault, target, lasting, &devices).await;
            if happened.with_context(|| format!("the fault {}", fault.name()))? {
                parts.world.broke(fault);
            }
            Ok(())
        });
    }

    /// Lets somebody send much.
    pub(super) fn flood(&mut self, flood: Flood) {
        let parts = Arc::clone(&self.parts);
        self.tasks.spawn(async move {
            flood.happen(&parts.site.nodes, &parts.world).await;
            Ok(())
        });
    }

    /// Waits until everything is whole again.
    pub(super) async fn finish(&mut self) -> Result<()> {
        while let Some(ended) = self.tasks.join_next().await {
            ended.context("a fault's task panicked")??;
        }
        Ok(())
    }

    /// Gives up what still happens.
    pub(super) async fn end(mut self) {
        self.tasks.shutdown().await;
        if self.parts.site.ground.cluster.pid().is_none() {
            self.parts.site.ground.cluster.restart().await.ok();
        }
    }
}

impl Parts {
    /// Tells whether it happened.
    async fn happen(&self, fault: Fault, target: usize, lasting: Duration, devices: &[Arc<Device>]) -> Result<bool> {
        let device = devices.get(target % devices.len()).context("a device")?;
        let node = target % self.site.nodes.count();
        match fault {
            Fault::NodeKill => self.site.nodes.kill(node, lasting).await?,
            Fault::NodeDrain => self.site.nodes.drain(node, lasting).await?,
            Fault::NodeRoll => {
                for node in 0..self.site.nodes.count() {
                    self.site.nodes.drain(node, Duration::ZERO).await?;
                }
            }
            Fault::ClientKill | Fault::DiskFull | Fault::ClientDies => {
                let any = (fault == Fault::ClientKill).then_some(device);
                let Some(device) = with_process(devices, target).or(any) else { return Ok(false) };
                return self.to_process(fault, device, lasting).await;
            }
            Fault::Cut => device.proxy.cut(),
            Fault::HalfOpen => {
                self.mode(device, Mode::Swallow, lasting).await;
                device.proxy.cut();
            }
            Fault::Silent => self.mode(device, Mode::Swallow, lasting).await,
            Fault::Delay => self.mode(device, Mode::Delay(Duration::from_millis(150)), lasting * 3).await,
            Fault::Throttle => self.mode(device, Mode::Throttle(SLOW), lasting).await,
            Fault::DatabaseCrash => self.database_down(Stop::Immediate, Duration::ZERO).await?,
            Fault::DatabaseGone | Fault::DatabaseLong => self.database_down(Stop::Fast, lasting).await?,
            Fault::DatabaseSmart => self.database_smart(lasting).await?,
            Fault::Locked => return self.locked(lasting).await,
            Fault::BackendEnd => self.backend(false).await?,
            Fault::BackendKill => self.backend(true).await?,
            Fault::Clock => {
                let days = i64::try_from(lasting.as_millis() / 66)? - 3;
                device.tell(Command::Clock { ahead_s: days * 86_400 }, VERDICTS).await;
            }
            Fault::NatsKill | Fault::NatsLong => return self.site.nodes.break_nats(true, lasting).await,
            Fault::NatsHold => return self.site.nodes.break_nats(false, lasting).await,
            Fault::NatsSlow => return Ok(self.site.nodes.slow_nats(lasting).await),
            Fault::ServerClock => {
                let ahead_s = rand::rng().random_range(60..AHEAD);
                return self.site.nodes.wrong_clock(node, ahead_s, lasting).await;
            }
            Fault::TokenExpired => self.token_expired(device, lasting).await?,
            Fault::Revoked => return self.revoked(device).await,
            Fault::Rogue => return self.rogue(node, device.plan.person, lasting).await,
            Fault::Cancel | Fault::Restored => return Ok(false),
            Fault::OldHello => self.old_hello(device).await,
            Fault::SendAgain => return self.send_again(node).await,
        }
        Ok(true)
    }

    /// A fault that needs a process.
    async fn to_process(&self, fault: Fault, device: &Device, lasting: Duration) -> Result<bool> {
        // One after the other: a process that is gone cannot be limited.
        let _turn = self.processes.lock().await;
        match fault {
            Fault::DiskFull => self.disk_full(device, lasting).await,
            Fault::ClientDies => self.client_dies(device, lasting).await,
            _ => device.kill(lasting).await.map(|()| true),
        }
    }

    /// Nobody new is taken for a while, and whoever is there stays; then all are ended.
    async fn database_smart(&self, lasting: Duration) -> Result<()> {
        let _turn = self.site.turn.lock().await;
        // Servers keep their connections, so that it does not end by itself.
        tokio::time::timeout(lasting, self.site.ground.cluster.stop(Stop::Smart)).await.ok();
        self.site.ground.cluster.stop(Stop::Fast).await?;
        self.site.ground.cluster.restart().await
    }

    /// Locks the members, so that whatever reads or writes one waits and holds its connection.
    async fn locked(&self, lasting: Duration) -> Result<bool> {
        let _turn = self.site.turn.lock().await;
        let mut database = PgConnection::connect(self.site.database_url()).await.context("connect to the database")?;
        let mut tx = database.begin().await?;
        sqlx::query("lock table members in access exclusive mode").execute(&mut *tx).await?;
        tokio::time::sleep(lasting).await;
        tx.rollback().await?;
        database.close().await?;
        Ok(true)
    }

    async fn mode(&self, device: &Device, mode: Mode, lasting: Duration) {
        device.proxy.set(mode);
        tokio::time::sleep(lasting).await;
        device.proxy.set(Mode::Open);
    }

    async fn database_down(&self, stop: Stop, lasting: Duration) -> Result<()> {
        let _turn = self.site.turn.lock().await;
        self.site.ground.cluster.stop(stop).await?;
        tokio::time::sleep(lasting).await;
        self.site.ground.cluster.restart().await
    }

    /// Ends one of the connections of the servers, or kills its process.
    async fn backend(&self, kill: bool) -> Result<()> {
        let _turn = self.site.turn.lock().await;
        let mut database = PgConnection::connect(self.site.database_url()).await.context("connect to the database")?;
        let sql = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
                   order by query_start desc nulls last limit 1";
        let Some(pid) = sqlx::query_scalar::<_, i32>(sql).fetch_optional(&mut database).await? else { return Ok(()) };
        if !kill {
            sqlx::query("select pg_terminate_backend($1)").bind(pid).execute(&mut database).await?;
            return Ok(database.close().await?);
        }
        drop(database);
        tokio::process::Command::new("kill").args(["-9", &pid.to_string()]).status().await?;
        // It restarts by itself; the next fault waits for that.
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if let Ok(database) = PgConnection::connect(self.site.database_url()).await {
                database.close().await.ok();
                break;
            }
        }
        Ok(())
    }

    pub(super) fn calls(&self, node: usize, person: &Someone) -> Option<Calls> {
        let server = self.site.nodes.addresses.of(node)?;
        Calls::new(&format!("http://{server}"), person.token.clone(), person.device_id.clone()).ok()
    }

    /// A Hello with old and impossible cursors, again and again: it must harm nobody.
    async fn old_hello(&self, device: &Device) {
        let person = &self.world.people[device.plan.person];
        let Some(calls) = self.calls(device.plan.node, person) else { return };
        for _ in 0..HELLOS {
            let rooms = (0..4).filter_map(|room| self.world.room(room)).map(|room_id| v1::RoomCursor {
                room_id,
                rev: rand::rng().random_range(0..300),
                seq: rand::rng().random_range(0..300),
            });
            let hello = v1::Hello { rooms: rooms.collect(), user_rev: 1, watermark: 1, ..v1::Hello::default() };
            tokio::time::timeout(VERDICTS, until_drained(&calls, hello)).await.ok();
        }
    }

    /// Sends an acknowledged message again: it must be answered as the first time, or refused.
    async fn send_again(&self, node: usize) -> Result<bool> {
        let (typed, acknowledged) = {
            let journal = self.world.journal();
            let known: Vec<_> =
                journal.typed.iter().filter_map(|typed| Some((typed, journal.acknowledged.get(&typed.id)?))).collect();
            let Some((typed, acknowledged)) = known.get(rand::rng().random_range(0..known.len().max(1))) else {
                return Ok(false);
            };
            ((*typed).clone(), (*acknowledged).clone())
        };
        let person = self.world.people.iter().find(|person| person.id == acknowledged.sender).context("its sender")?;
        let Some(calls) = self.calls(node, person) else { return Ok(false) };
        let request = v1::SendMessageRequest {
            room_id: typed.room,
            client_message_id: typed.id,
            body: Some(v1::MessageBody { text: typed.text, ..v1::MessageBody::default() }),
            mentioned_user_ids: typed.mentions,
            mention_all: typed.mention_all,
            ..v1::SendMessageRequest::default()
        };
        let Ok(again) = calls.messages().send_message(calls.request(request)).await else { return Ok(true) };
        let seq = again.into_inner().message.map(|message| message.seq);
        anyhow::ensure!(
            seq == Some(acknowledged.seq),
            "sent again, it is at {seq:?}, and was acknowledged at {}",
            acknowledged.seq
        );
        Ok(true)
    }
}

/// Listens to a stream until all verdicts are in.
async fn until_drained(calls: &Calls, hello: v1::Hello) -> Option<()> {
    let calls = Calls { device_id: Uuid::now_v7().to_string(), ..calls.clone() };
    let (said, says) = mpsc::channel(1);
    said.send(v1::ClientFrame { frame: Some(client_frame::Frame::Hello(hello)) }).await.ok()?;
    let says = futures_util::stream::unfold(says, async |mut says| Some((says.recv().await?, says)));
    let mut heard = calls.sync().connect(calls.request(says)).await.ok()?.into_inner();
    while let Ok(Some(frame)) = heard.message().await {
        if matches!(frame.frame, Some(Frame::Drained(_))) {
            break;
        }
    }
    Some(())
}
