//! Who a token speaks for, among our people; made at first sight.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::PgConnection;

use super::store;
use crate::{
    database::DOOR_PATIENCE,
    error::{Error, Result},
    identity::Claims,
    ids::UserId,
    realtime::{Changes, Node, ProfileChange, wire},
    sessions::Account,
    together::Together,
};

/// How old a person may be at the door: an account that is shut is out this much later on every node.
const FRESH: TimeDelta = TimeDelta::seconds(1);

/// People that are remembered; stale ones go first.
const MOST_REMEMBERED: usize = 100_000;

/// A person at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// Our id.
    pub id: UserId,
    /// Whether the account may be used.
    pub account: Account,
}

/// The people of a node's callers.
#[derive(Debug)]
pub struct People {
    node: Node,
    remembered: Mutex<HashMap<String, Remembered>>,
    door: Together<Arc<Claims>, Option<Person>>,
}

#[derive(Debug)]
struct Remembered {
    claims: Arc<Claims>,
    person: Person,
    at: DateTime<Utc>,
}

impl People {
    /// Knows nobody yet.
    pub fn new(node: Node) -> Self {
        let pool = node.database.pool().clone();
        let door = Together::start(node.database.door_turns(), move |claims| {
            let pool = pool.clone();
            Box::pin(async move { Ok(store::find_settled(&pool, &claims).await?.into_iter().map(Ok).collect()) })
        });
        Self { node, remembered: Mutex::default(), door }
    }

    /// The person whom the claims name, at most a second old. The account may be shut: see [`Account::check`].
    pub async fn person(&self, claims: &Arc<Claims>) -> Result<Person> {
        let now = self.node.clock.now();
        if let Some(person) = self.remembered(claims, now) {
            return Ok(person);
        }
        let person = match self.door.ask_within(DOOR_PATIENCE, Arc::clone(claims)).await? {
            Some(person) => person,
            // Boxed: it is rare, and every call would carry its size.
            None => Box::pin(self.provision(claims)).await?,
        };
        self.remember(claims, person, now);
        Ok(person)
    }

    /// Makes the person, or takes over what the issuer says now.
    async fn provision(&self, claims: &Arc<Claims>) -> Result<Person> {
        let (claims, id) = (Arc::clone(claims), crate::ids::new(&*self.node.clock).into());
        self.node
            .change(move |tx| {
                let claims = Arc::clone(&claims);
                Box::pin(async move {
                    let before = store::lock(tx, &claims).await?;
                    let changed = store::upsert(tx, id, &claims).await?;
                    let person = store::find(tx, &claims).await?;
                    let person = person.ok_or_else(|| Error::Internal("a person was not made".into()))?;
                    let roles = store::role_bits(&claims);
                    match before {
                        None => store::insert_cursor(tx, person.id).await?,
                        Some(bits) if changed.is_some() && bits != roles => {
                            store::insert_role_change(tx, person.id, &claims).await?;
                        }
                        Some(_) => {}
                    }
                    let profiles = match changed {
                        Some(profile_rev) => vec![profile_change(tx, person.id, profile_rev).await?],
                        None => Vec::new(),
                    };
                    Ok((person, Changes { profiles, ..Changes::default() }))
                })
            })
            .await
    }

    fn remembered(&self, claims: &Claims, now: DateTime<Utc>) -> Option<Person> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let found = remembered.get(&claims.subject)?;
        let age = now - found.at;
        let fresh = (TimeDelta::zero()..FRESH).contains(&age);
        (fresh && *found.claims == *claims).then_some(found.person)
    }

    fn remember(&self, claims: &Arc<Claims>, person: Person, at: DateTime<Utc>) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MOST_REMEMBERED {
            remembered.retain(|_, one| at - one.at < FRESH);
        }
        if remembered.len() >= MOST_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(claims.subject.clone(), Remembered { claims: Arc::clone(claims), person, at });
    }
}

/// Who is told of a changed profile.
pub(super) async fn profile_change(tx: &mut PgConnection, user_id: UserId, profile_rev: i64) -> Result<ProfileChange> {
    let rooms = store::list_small_rooms(tx, user_id).await?;
    let frame = wire::people_changed(Some(vec![(user_id, profile_rev)]));
    Ok(ProfileChange { user_id, profile_rev, rooms, frame })
}
