//! How often and how much at once: rates of calls by person, calls in flight by person, and who is blocked for a time.
//!
//! Always true: what is counted is bounded; a person who is limited costs nobody else anything. Counted on each node.

mod blocks;

use std::{
    any::Any,
    collections::HashMap,
    future::Future,
    hash::Hash,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::keyed::DashMapStateStore,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

pub use self::blocks::Blocks;
use crate::{
    config::{Config, Rate},
    error::{Error, Reason, Refusal, Result},
    ids::{RoomId, UserId},
};

/// Time between two sweeps of keys that are at rest.
pub const SWEEP: Duration = Duration::from_mins(1);

/// Keys of one class above which new ones are refused until the next sweep: some 50 MB.
const MOST_KEYS: usize = 500_000;

/// Buckets of calls; those that a method can have are the same as in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Reading.
    Read,
    /// Changes that are none of the others.
    Write,
    /// Messages.
    Send,
    /// Read marks.
    Mark,
    /// Acknowledgements.
    Ack,
    /// Typing in one room.
    Typing,
    /// Joins.
    Join,
    /// Searches.
    Search,
    /// People invited.
    Invite,
    /// Streams opened.
    Stream,
    /// Messages to one room, whoever sends them.
    RoomSend,
    /// Calls that the door refuses: without a token, with a bad one, or without the role.
    BadToken,
    /// Ids that are not there, or not for who asks, and rights that are missing.
    Refusal,
}

impl Class {
    /// Name in refusals and settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::Send => "SEND",
            Self::Mark => "MARK",
            Self::Ack => "ACK",
            Self::Typing => "TYPING",
            Self::Join => "JOIN",
            Self::Search => "SEARCH",
            Self::Invite => "INVITE",
            Self::Stream => "STREAM",
            Self::RoomSend => "ROOM_SEND",
            Self::BadToken => "BAD_TOKEN",
            Self::Refusal => "REFUSAL",
        }
    }

    fn rate(self, config: &Config) -> Rate {
        match self {
            Self::Read => config.rate_read,
            Self::Write => config.rate_write,
            Self::Send => config.rate_send,
            Self::Mark => config.rate_mark,
            Self::Ack => config.rate_ack,
            Self::Typing => config.rate_typing,
            Self::Join => config.rate_join,
            Self::Search => config.rate_search,
            Self::Invite => config.rate_invite,
            Self::Stream => config.rate_stream,
            Self::RoomSend => config.rate_room_send,
            Self::BadToken => config.rate_bad_token,
            Self::Refusal => config.rate_refusal,
        }
    }
}

/// Whose calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// A person.
    Person(UserId),
    /// A person in one room.
    PersonIn(UserId, RoomId),
    /// Everybody in one room.
    Room(RoomId),
    /// A caller without a token.
    Address(IpAddr),
}

type Limiter = RateLimiter<(Class, Who), DashMapStateStore<(Class, Who)>, DefaultClock>;

/// The counters of one node.
#[derive(Debug)]
pub struct Limits {
    rates: HashMap<Class, (Rate, Limiter)>,
    /// Calls in flight.
    pub calls: InFlight,
    /// Who is blocked.
    pub blocks: Blocks,
}

impl Limits {
    /// Counters at rest.
    pub fn new(config: &Config) -> Self {
        let classes = [
            Class::Read,
            Class::Write,
            Class::Send,
            Class::Mark,
            Class::Ack,
            Class::Typing,
            Class::Join,
            Class::Search,
            Class::Invite,
            Class::Stream,
            Class::RoomSend,
            Class::BadToken,
            Class::Refusal,
        ];
        Self {
            rates: classes
                .into_iter()
                .map(|class| (class, (class.rate(config), limiter(class.rate(config)))))
                .collect(),
            calls: InFlight::new(config.calls_in_flight_per_person, config.database_waiters_per_person),
            blocks: Blocks::new(config.block_time),
        }
    }

    /// Counts one of a class; refused with `RATE_LIMITED` when there were too many.
    pub fn take(&self, class: Class, who: Who) -> Result<()> {
        self.take_many(class, who, 1)
    }

    /// Counts several at once, or none of them.
    pub fn take_many(&self, class: Class, who: Who, count: usize) -> Result<()> {
        let Some(count) = u32::try_from(count).ok().and_then(NonZeroU32::new) else { return Ok(()) };
        let Some((rate, limiter)) = self.rates.get(&class) else { return Ok(()) };
        if limiter.len() > MOST_KEYS {
            return Err(limited(class, *rate, SWEEP));
        }
        match limiter.check_key_n(&(class, who), count) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(until)) => Err(limited(class, *rate, until.wait_time_from(DefaultClock::default().now()))),
            // More at once than the burst would ever allow.
            Err(_) => Err(limited(class, *rate, rate.per)),
        }
    }

    /// Counts somebody who was refused for what strangers and probers are refused for; refused with `RATE_LIMITED` when there
    /// were too many, and then until the block ends.
    pub fn refused(&self, class: Class, who: Who, now: DateTime<Utc>) -> Result<()> {
        self.check_block(class, who, now)?;
        if self.take(class, who).is_ok() {
            return Ok(());
        }
        self.blocks.begin(class, who, now);
        self.check_block(class, who, now)
    }

    /// Refuses who is blocked, with `RATE_LIMITED` and the time that is left.
    pub fn check_block(&self, class: Class, who: Who, now: DateTime<Utc>) -> Result<()> {
        match (self.blocks.left(class, who, now), self.rates.get(&class)) {
            (Some(left), Some((rate, _))) => Err(limited(class, *rate, left)),
            _ => Ok(()),
        }
    }

    /// Forgets keys that are at rest.
    pub fn sweep(&self) {
        for (_, limiter) in self.rates.values() {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

fn limiter(rate: Rate) -> Limiter {
    let count = NonZeroU32::new(rate.count).unwrap_or(NonZeroU32::MIN);
    let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(rate.per / count.get()).unwrap_or(Quota::per_second(count));
    RateLimiter::dashmap(quota.allow_burst(burst))
}

fn limited(class: Class, rate: Rate, wait: Duration) -> Error {
    let limit = crate::config::Value::show(&rate);
    let name = class.name();
    Refusal::new(Reason::RateLimited, format!("{name}: at most {limit}"))
        .with("class", name)
        .with("limit", limit)
        .retry_after(wait.max(Duration::from_millis(1)))
        .into()
}

/// Calls in flight by the subject of the token, so that a person is bounded before a connection of the pool is taken.
#[derive(Debug, Clone)]
pub struct InFlight {
    people: Arc<Mutex<HashMap<String, Person>>>,
    calls: usize,
    database: usize,
}

#[derive(Debug)]
struct Person {
    calls: usize,
    database: Arc<Semaphore>,
}

impl InFlight {
    fn new(calls: usize, database: usize) -> Self {
        Self { people: Arc::default(), calls, database }
    }

    /// Counts a call; refused with `TOO_MANY_CALLS` when the person has as many as allowed.
    pub fn begin(&self, subject: &str) -> Result<CallInFlight> {
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        if !people.contains_key(subject) {
            let person = Person { calls: 0, database: Arc::new(Semaphore::new(self.database)) };
            people.insert(subject.to_owned(), person);
        }
        let person = people.get_mut(subject).expect("inserted above");
        if person.calls >= self.calls {
            return Err(Refusal::new(Reason::TooManyCalls, format!("at most {} calls in flight", self.calls))
                .with("limit", self.calls)
                .retry_after(Duration::from_millis(100))
                .into());
        }
        person.calls += 1;
        Ok(CallInFlight {
            subject: subject.to_owned(),
            database: Arc::clone(&person.database),
            people: Arc::clone(&self.people),
        })
    }

    /// People with calls in flight.
    pub fn people(&self) -> usize {
        self.people.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// A call that is counted until this is dropped.
#[derive(Debug)]
pub struct CallInFlight {
    subject: String,
    database: Arc<Semaphore>,
    people: Arc<Mutex<HashMap<String, Person>>>,
}

impl CallInFlight {
    /// Waits until the person may use the database: the others of the person are waited for, other people are not.
    pub async fn database(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.database).acquire_owned().await.expect("never closed")
    }
}

impl Drop for CallInFlight {
    fn drop(&mut self) {
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(person) = people.get_mut(&self.subject) {
            person.calls -= 1;
            if person.calls == 0 {
                people.remove(&self.subject);
            }
        }
    }
}

/// Whether a connection has reached its age: its streams tell their clients and end, and some time later it is cut.
#[derive(Debug, Clone, Default)]
pub struct ConnectionAge(CancellationToken);

impl ConnectionAge {
    /// Says that it has been reached.
    pub fn end(&self) {
        self.0.cancel();
    }

    /// Whether it has been reached.
    pub fn is_over(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// What a call holds of its person's shares.
pub type Held = Arc<dyn Any + Send + Sync>;

tokio::task_local! {
    static HELD: Held;
}

/// Runs a part of a call that holds shares.
pub async fn holding<T>(held: Held, work: impl Future<Output = T>) -> T {
    HELD.scope(held, work).await
}

/// What the running call holds. Whatever it leaves behind in a task of its own keeps it: somebody who cancels their calls
/// would otherwise have as many transactions as they like, and everybody else no connection.
pub fn held() -> Option<Held> {
    HELD.try_with(Arc::clone).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> Who {
        Who::Person(UserId(uuid::Uuid::from_u128(1)))
    }

    fn bob() -> Who {
        Who::Person(UserId(uuid::Uuid::from_u128(2)))
    }

    #[test]
    fn a_burst_is_allowed_and_what_follows_is_told_when_to_come_back() {
        let limits = Limits::new(&Config { rate_send: Rate::per_minute(1, 3), ..Config::default() });
        for _ in 0..3 {
            limits.take(Class::Send, ann()).expect("within the burst");
        }
        let refusal = limits.take(Class::Send, ann()).expect_err("above it").into_refusal();
        assert_eq!(refusal.reason, Reason::RateLimited);
        assert_eq!(refusal.metadata["class"], "SEND");
        assert!(refusal.retry_after.is_some_and(|wait| wait > Duration::from_secs(50)));
        limits.take(Class::Send, bob()).expect("another person");
        limits.take(Class::Mark, ann()).expect("another class");
    }

    #[test]
    fn people_invited_count_one_by_one_and_none_of_too_many() {
        let limits = Limits::new(&Config { rate_invite: Rate::per_minute(10, 10), ..Config::default() });
        assert!(limits.take_many(Class::Invite, ann(), 11).is_err_and(|e| e.is(Reason::RateLimited)));
        limits.take_many(Class::Invite, ann(), 10).expect("all of the burst");
        limits.take_many(Class::Invite, ann(), 0).expect("nobody");
        assert!(limits.take_many(Class::Invite, ann(), 1).is_err());
    }

    #[test]
    fn keys_at_rest_are_forgotten() {
        let limits = Limits::new(&Config { rate_read: Rate::per_second(1_000_000, 1), ..Config::default() });
        limits.take(Class::Read, ann()).expect("the first");
        std::thread::sleep(Duration::from_millis(5));
        limits.sweep();
        assert_eq!(limits.rates[&Class::Read].1.len(), 0);
    }

    #[tokio::test]
    async fn calls_in_flight_are_counted_by_person_and_forgotten_when_they_end() {
        let calls = InFlight::new(2, 1);
        let (first, _second) = (calls.begin("ann").expect("1"), calls.begin("ann").expect("2"));
        assert!(calls.begin("ann").is_err_and(|e| e.is(Reason::TooManyCalls)));
        let other = calls.begin("bob").expect("another person");
        let held = first.database().await;
        drop(other.database().await);
        drop((held, other));
        assert_eq!(calls.people(), 1);
        drop(first);
        calls.begin("ann").expect("one has ended");
    }
}
