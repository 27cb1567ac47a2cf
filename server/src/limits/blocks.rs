//! Who is blocked for a time, because they were refused too often.
//!
//! Always true: it is bounded; a block has an end and is logged once, at its beginning, without the address. Kept in memory, on
//! each node for itself.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};

use super::{Class, Who};

/// Blocks that are held at most: some 10 MB. Whoever comes when there are so many is still held to the rate.
const MOST_BLOCKS: usize = 100_000;

/// Who is blocked, and until when.
#[derive(Debug)]
pub struct Blocks {
    time: Duration,
    ends: Mutex<HashMap<(Class, Who), DateTime<Utc>>>,
}

impl Blocks {
    /// Nobody is blocked.
    pub(super) fn new(time: Duration) -> Self {
        Self { time, ends: Mutex::default() }
    }

    /// Blocks somebody from now on.
    pub(super) fn begin(&self, class: Class, who: Who, now: DateTime<Utc>) {
        let mut ends = self.ends();
        if ends.get(&(class, who)).is_some_and(|end| *end > now) {
            return; // by another call of the same moment
        }
        if ends.len() >= MOST_BLOCKS {
            ends.retain(|_, end| *end > now);
        }
        if ends.len() < MOST_BLOCKS {
            ends.insert((class, who), now + self.time);
        }
        drop(ends);
        let (class, seconds) = (class.name(), self.time.as_secs());
        metrics::counter!("madang_blocks_total", "class" => class).increment(1);
        let caller = if let Who::Person(caller) = who { Some(tracing::field::display(caller)) } else { None };
        tracing::warn!(class, caller, seconds, "blocked after too many refusals");
    }

    /// Time until somebody is blocked no more; `None`: they are not.
    pub(super) fn left(&self, class: Class, who: Who, now: DateTime<Utc>) -> Option<Duration> {
        let end = *self.ends().get(&(class, who))?;
        let left = (end - now).to_std().ok().filter(|left| !left.is_zero())?;
        metrics::counter!("madang_blocked_total", "class" => class.name()).increment(1);
        Some(left)
    }

    fn ends(&self) -> MutexGuard<'_, HashMap<(Class, Who), DateTime<Utc>>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;
    use crate::{
        config::{Config, Rate},
        error::Reason,
        ids::UserId,
        limits::Limits,
    };

    fn person(n: u128) -> Who {
        Who::Person(UserId(Uuid::from_u128(n)))
    }

    #[test]
    fn a_burst_of_refusals_blocks_until_its_time_is_over_whatever_the_rate_would_allow() {
        let config = Config { rate_refusal: Rate::per_second(1_000, 3), ..Config::default() };
        let (limits, now) = (Limits::new(&config), DateTime::<Utc>::UNIX_EPOCH);
        let refused = |who, now| limits.refused(Class::Refusal, who, now);
        while refused(person(1), now).is_ok() {}
        // By now the rate would allow another one.
        std::thread::sleep(Duration::from_millis(5));
        let almost = now + config.block_time - TimeDelta::seconds(1);
        let refusal = refused(person(1), almost).expect_err("blocked").into_refusal();
        assert_eq!((refusal.reason, refusal.retry_after), (Reason::RateLimited, Some(Duration::from_secs(1))));
        assert!(limits.check_block(Class::Refusal, person(1), almost).is_err());
        refused(person(2), almost).expect("somebody else");
        limits.check_block(Class::BadToken, person(1), almost).expect("for something else");
        refused(person(1), now + config.block_time).expect("the time is over");
    }

    #[test]
    fn blocks_are_bounded_and_those_that_are_over_make_room() {
        let (blocks, now) = (Blocks::new(Duration::from_mins(1)), DateTime::<Utc>::UNIX_EPOCH);
        blocks
            .ends()
            .extend((0..MOST_BLOCKS as u128).map(|n| ((Class::Refusal, person(n)), now + TimeDelta::minutes(1))));
        let one_more = person(u128::MAX);
        blocks.begin(Class::Refusal, one_more, now);
        assert_eq!(blocks.left(Class::Refusal, one_more, now), None);
        let later = now + TimeDelta::minutes(1);
        blocks.begin(Class::Refusal, one_more, later);
        assert_eq!(blocks.left(Class::Refusal, one_more, later), Some(Duration::from_mins(1)));
        assert_eq!(blocks.ends().len(), 1);
    }
}
