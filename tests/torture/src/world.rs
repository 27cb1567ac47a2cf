//! What the steps of a plan share: who the people are, which room an index means, what was noted, what was counted.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, Result};
use madang_proto::v1::GetMeRequest;
use madang_tests::person::Calls;
use uuid::Uuid;

use crate::{
    device::Answer,
    history::{EndedFacts, Journal, Typed},
    plan::{Fault, NEIGHBOURS, Plan},
    stage::{Ground, login},
};

/// A person of a plan.
#[derive(Debug, Clone)]
pub struct Someone {
    /// Name at sign-in.
    pub login: String,
    /// Our id.
    pub id: String,
    /// A token.
    pub token: String,
    /// The device of calls that a test makes beside the person's devices.
    pub device_id: String,
}

impl Someone {
    async fn sign_in(ground: &Ground, server: &str, login: &str) -> Result<Self> {
        let (login, device_id) = (login.to_owned(), Uuid::now_v7().to_string());
        let token = ground.issuer.token(&login)?;
        let calls = Calls::new(server, token.clone(), device_id.clone())?;
        let me = calls.identity().get_me(calls.request(GetMeRequest {})).await?.into_inner();
        Ok(Self { login, id: me.user.context("a profile")?.id, token, device_id })
    }
}

/// What the steps share.
#[derive(Debug, Default)]
pub struct World {
    /// The people, by index.
    pub people: Vec<Someone>,
    rooms: Mutex<BTreeMap<usize, String>>,
    journal: Mutex<Journal>,
    tally: Mutex<Tally>,
    /// Devices whose sessions were revoked.
    ended: Mutex<BTreeMap<usize, EndedFacts>>,
    /// Somebody who is in no room, and whom nobody misses.
    pub rogue: Option<Someone>,
}

/// What was counted.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Commands that were carried out.
    pub done: usize,
    /// Steps that did not apply.
    pub skipped: usize,
    /// Commands that came to no end.
    pub given_up: usize,
    /// Refusals, by reason.
    pub refused: BTreeMap<String, usize>,
    /// Failures of the client itself.
    pub failed: BTreeMap<String, usize>,
    /// Faults that happened.
    pub faults: BTreeMap<Fault, usize>,
    /// Places at which a client's process died, and kinds of bad behaviour.
    pub kinds: BTreeMap<String, usize>,
}

impl World {
    /// Signs everybody of a plan in on a server.
    pub async fn begin(ground: &Ground, server: &str, plan: &Plan) -> Result<Self> {
        let mut world = Self::default();
        // Neighbours have people of their own.
        let first = usize::try_from(plan.seed % NEIGHBOURS)? * (plan.people + 1);
        for person in 0..plan.people {
            world.people.push(Someone::sign_in(ground, server, &login(first + person)).await?);
        }
        world.rogue = Some(Someone::sign_in(ground, server, &login(first + plan.people)).await?);
        Ok(world)
    }

    /// The id of a person.
    pub fn person(&self, person: usize) -> String {
        self.people[person].id.clone()
    }

    /// The id of a room, once it is there.
    pub fn room(&self, room: usize) -> Option<String> {
        lock(&self.rooms).get(&room).cloned()
    }

    /// A room is there.
    pub fn made(&self, room: usize, id: String) {
        lock(&self.rooms).insert(room, id);
    }

    /// What is noted.
    pub fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.journal)
    }

    /// The devices that were revoked, by index.
    pub fn ended(&self) -> MutexGuard<'_, BTreeMap<usize, EndedFacts>> {
        lock(&self.ended)
    }

    /// The database was restored: nobody knows of a revocation any more.
    pub fn restored(&self) {
        self.journal().restored();
        self.ended().clear();
    }

    /// What is counted.
    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }

    /// Counts how a command ended.
    pub fn count(&self, answer: &Answer) {
        let mut tally = self.tally();
        match answer {
            Answer::Skipped => tally.skipped += 1,
            Answer::GivenUp => tally.given_up += 1,
            Answer::Refused { reason } => *tally.refused.entry(reason.clone()).or_default() += 1,
            Answer::Failed { kind, message } => *tally.failed.entry(format!("{kind}: {message}")).or_default() += 1,
            Answer::Done | Answer::Sent { .. } | Answer::Room { .. } | Answer::Over { .. } | Answer::Snapshot(_) => {
                tally.done += 1;
            }
        }
    }

    /// A device has taken a plain text.
    pub fn typed(&self, device: usize, id: String, room: &str, text: String) {
        let room = room.to_owned();
        self.journal().typed.push(Typed { device, id, room, text, mentions: Vec::new(), mention_all: false });
    }

    /// Counts in which way a fault happened.
    pub fn in_way(&self, kind: &str) {
        *self.tally().kinds.entry(kind.to_owned()).or_default() += 1;
    }

    /// Counts a fault.
    pub fn broke(&self, fault: Fault) {
        *self.tally().faults.entry(fault).or_default() += 1;
    }
}

/// What is behind each lock is whole after every statement, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
