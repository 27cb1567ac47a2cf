//! Faults of a single device: its token, its session, its disk, and its process.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use madang_proto::{
    Refusal,
    v1::{ErrorReason, ListDeviceSessionsRequest, RevokeDeviceSessionRequest},
};
use madang_sdk_core::ClientErrorKind;
use rand::{Rng as _, seq::IndexedRandom as _};

use super::faults::{Parts, VERDICTS};
use crate::{
    device::{Answer, Command, Device, Life},
    history::EndedFacts,
    look,
};

/// Seconds that a token is still good which is about to end.
const LAST_SECONDS: i64 = 2;

/// Times that a fresh token cannot be had.
const NO_TOKEN: u32 = 2;

/// How long a revocation is tried, and how long its device may take to hear of it.
const REVOKE: Duration = Duration::from_secs(90);
const HEAR: Duration = Duration::from_secs(8);

/// How long after a revocation another node may let its device in: it remembers sessions for a second, and what it has let in
/// is answered a moment later.
const REMEMBERED: Duration = Duration::from_millis(1_500);

/// Between two looks at a device.
const LOOK: Duration = Duration::from_millis(100);

/// Bytes of a file on a disk that is full: a store is larger as soon as it is made.
const FULL: u64 = 4096;

/// How long a process may take to come to the place where it dies.
const DIES: Duration = Duration::from_secs(4);

/// Where a client's process dies. The last is passed most often, so often it passes it first.
const PLACES: [(&str, u32); 6] =
    [("typing", 2), ("typed", 2), ("sending", 2), ("sent", 2), ("answered", 2), ("applying", 12)];

impl Parts {
    /// Lets the device's token end, while its host cannot have another at once.
    pub(super) async fn token_expired(&self, device: &Device, lasting: Duration) -> Result<()> {
        let life = if rand::rng().random_ratio(1, 2) { Life::Call(LAST_SECONDS) } else { Life::Stream(LAST_SECONDS) };
        device.tokens.renew(life)?;
        let slow_ms = u64::try_from(lasting.as_millis())?;
        device.tell(Command::Tokens { fails: NO_TOKEN, slow_ms }, VERDICTS).await;
        tokio::time::sleep(Duration::from_secs(LAST_SECONDS.unsigned_abs() + 1)).await;
        device.tokens.renew(Life::Long)
    }

    /// Lets another device of the person revoke this one's session; tells whether it had one.
    pub(super) async fn revoked(&self, device: &Device) -> Result<bool> {
        if device.is_revoked() || device.is_closed() || !device.begin_revocation() {
            return Ok(false);
        }
        let done = self.revoke_and_look(device).await;
        device.revocation_ended();
        done
    }

    async fn revoke_and_look(&self, device: &Device) -> Result<bool> {
        if !self.is_signed_in(device).await {
            return Ok(false);
        }
        device.revoke();
        tokio::time::timeout(REVOKE, self.revoke(device)).await.context("nobody revokes a session")?;
        let forgotten = tokio::time::Instant::now() + REMEMBERED;
        let heard = async {
            while device.over().await.is_none() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(HEAR, heard).await.ok();
        tokio::time::sleep_until(forgotten).await;
        let limits = loop {
            match look::revisions(self.site.database_url()).await {
                Ok(limits) => break limits,
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        };
        let facts = EndedFacts { device: device.index, limits, ..EndedFacts::default() };
        self.world.ended().insert(device.index, facts);
        Ok(true)
    }

    /// Whether the device has a session now: one that was signed in anew may not have come to the server yet.
    async fn is_signed_in(&self, device: &Device) -> bool {
        let person = &self.world.people[device.plan.person];
        for node in 0..self.site.nodes.count() {
            let Some(calls) = self.calls(node, person) else { continue };
            let mut identity = calls.identity();
            let listed = identity.list_device_sessions(calls.request(ListDeviceSessionsRequest {}));
            if let Ok(Ok(listed)) = tokio::time::timeout(VERDICTS, listed).await {
                return listed.into_inner().sessions.iter().any(|session| session.device_id == device.device_id());
            }
        }
        false
    }

    async fn revoke(&self, device: &Device) {
        let person = &self.world.people[device.plan.person];
        for node in (0..self.site.nodes.count()).cycle() {
            let Some(calls) = self.calls(node, person) else {
                tokio::time::sleep(LOOK).await;
                continue;
            };
            let request = RevokeDeviceSessionRequest { device_id: device.device_id().to_owned() };
            match calls.identity().revoke_device_session(calls.request(request)).await {
                Ok(_) => return,
                // An earlier try may have been heard.
                Err(status)
                    if Refusal::of(&status).is_some_and(|it| it.reason == ErrorReason::DeviceSessionNotFound) =>
                {
                    return;
                }
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Lets a process's files not grow for a while. What it is told meanwhile it takes, or says that its store failed.
    pub(super) async fn disk_full(&self, device: &Device, lasting: Duration) -> Result<bool> {
        let Some(room) = self.world.room(0) else { return Ok(false) };
        device.limit_files(Some(FULL)).await?;
        let mut refused = false;
        let until = tokio::time::Instant::now() + lasting;
        while tokio::time::Instant::now() < until {
            let text = format!("on a full disk {}", uuid::Uuid::now_v7());
            let answer = device.tell(send(&room, text.clone()), VERDICTS).await;
            match answer {
                Answer::Failed { kind, .. } if kind == format!("{:?}", ClientErrorKind::Storage) => refused = true,
                Answer::Sent { id } => self.world.typed(device.index, id, &room, text),
                Answer::GivenUp => {}
                // Its installation was signed in anew meanwhile.
                _ if device.is_closed() => return Ok(refused),
                answer => bail!("on a full disk, device {} answers {answer:?}", device.index),
            }
            tokio::time::sleep(LOOK).await;
        }
        device.limit_files(None).await?;
        if device.is_gone().await {
            // It was just being opened, which its host tries again.
            device.kill(Duration::ZERO).await?;
        }
        Ok(refused)
    }

    /// Lets a process die at a place of its work; tells whether it came there.
    pub(super) async fn client_dies(&self, device: &Device, lasting: Duration) -> Result<bool> {
        let (phase, most) = *PLACES.choose(&mut rand::rng()).context("a place")?;
        let times = rand::rng().random_range(1..=most);
        let armed = device.tell(Command::DieAt { phase: phase.to_owned(), times }, VERDICTS).await;
        let (Answer::Done, Some(room)) = (armed, self.world.room(0)) else { return Ok(false) };
        let until = tokio::time::Instant::now() + DIES;
        let mut gone = false;
        while !gone && tokio::time::Instant::now() < until {
            let text = format!("before the end {}", uuid::Uuid::now_v7());
            if let Answer::Sent { id } = device.tell(send(&room, text.clone()), LOOK).await {
                self.world.typed(device.index, id, &room, text);
            }
            tokio::time::sleep(LOOK).await;
            gone = device.is_gone().await;
        }
        if !gone {
            // It may come there before it hears that it need not.
            device.tell(Command::DieAt { phase: String::new(), times: 0 }, VERDICTS).await;
            gone = device.is_gone().await;
        }
        if gone {
            self.world.in_way(&format!("died {phase}"));
            device.kill(lasting).await?;
        }
        Ok(gone)
    }
}

fn send(room: &str, text: String) -> Command {
    Command::Send { room: room.to_owned(), text, mentions: Vec::new(), mention_all: false }
}

/// Of these devices, from the wanted one on, the first with a process.
pub(super) fn with_process(devices: &[Arc<Device>], from: usize) -> Option<&Arc<Device>> {
    let all = devices.iter().cycle().skip(from).take(devices.len());
    all.into_iter().find(|device| device.plan.process && !device.is_closed())
}
