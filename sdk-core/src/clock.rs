//! Time, as the client sees it. The only place that asks the system; tests bring a clock of their own and move it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use uuid::{NoContext, Timestamp, Uuid};

/// A sleep.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where time comes from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now.
    fn now(&self) -> SystemTime;
    /// Ends after a while.
    fn sleep(&self, duration: Duration) -> Sleep;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the system's clock is read")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Milliseconds since 1970; what lies before counts as 0.
pub(crate) fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A time of the wire, of milliseconds since 1970.
pub(crate) fn timestamp(ms: i64) -> prost_types::Timestamp {
    let nanos = i32::try_from(ms.rem_euclid(1_000) * 1_000_000).unwrap_or_default();
    prost_types::Timestamp { seconds: ms.div_euclid(1_000), nanos }
}

/// A fresh version 7 id.
pub(crate) fn new_id(clock: &dyn Clock) -> String {
    let since = clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, since.as_secs(), since.subsec_nanos())).to_string()
}

/// A time of the wire; what cannot be told apart from nothing is 1970.
pub(crate) fn system_time(time: Option<&prost_types::Timestamp>) -> SystemTime {
    time.and_then(|time| SystemTime::try_from(*time).ok()).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
pub(crate) mod tests {
    use tokio::sync::watch;

    use super::*;

    /// A clock that a test moves.
    #[derive(Debug)]
    pub(crate) struct MovedClock(watch::Sender<Duration>);

    impl Default for MovedClock {
        fn default() -> Self {
            // Some day of the years in which tokens are made.
            Self(watch::Sender::new(Duration::from_hours(500_000)))
        }
    }

    impl MovedClock {
        pub(crate) fn move_by(&self, duration: Duration) {
            self.0.send_modify(|now| *now += duration);
        }

        /// How many sleep.
        pub(crate) fn sleepers(&self) -> usize {
            self.0.receiver_count()
        }

        /// Waits until so many sleep.
        pub(crate) async fn until_sleeping(&self, sleepers: usize) {
            while self.sleepers() < sleepers {
                tokio::task::yield_now().await;
            }
        }
    }

    impl Clock for MovedClock {
        fn now(&self) -> SystemTime {
            UNIX_EPOCH + *self.0.borrow()
        }

        fn sleep(&self, duration: Duration) -> Sleep {
            let until = *self.0.borrow() + duration;
            let mut now = self.0.subscribe();
            Box::pin(async move { drop(now.wait_for(|now| *now >= until).await) })
        }
    }
}
