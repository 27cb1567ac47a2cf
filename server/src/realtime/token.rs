//! How long the token of a stream lasts, and when its peer is asked for a fresh one.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use chrono::{DateTime, Utc};

/// The end of a stream's token; moved by a fresh one. All in seconds.
#[derive(Debug)]
pub struct TokenEnd {
    /// Unix time.
    at: AtomicI64,
    /// How long it lived or had left when it came.
    life: AtomicI64,
    /// The end of the token of which the peer was told.
    told: AtomicI64,
}

impl TokenEnd {
    pub fn new(from: DateTime<Utc>, to: DateTime<Utc>) -> Self {
        let token = Self { at: 0.into(), life: 0.into(), told: 0.into() };
        token.renew(from, to);
        token
    }

    /// Unix time.
    pub fn at(&self) -> i64 {
        self.at.load(Relaxed)
    }

    /// A fresh token came. One that ends no later than the last changes nothing.
    pub fn renew(&self, from: DateTime<Utc>, to: DateTime<Utc>) {
        if self.at.fetch_max(to.timestamp(), Relaxed) < to.timestamp() {
            self.life.store((to - from).num_seconds().max(0), Relaxed);
        }
    }

    /// Whether the peer is to be asked for a fresh token now: once for each token, `grace` before its end. Of a token that
    /// lives shortly, when half of its life is over: a fresh one that comes at once would end hardly later.
    pub fn asks(&self, now: i64, grace: i64) -> bool {
        let ends = self.at();
        let early = grace.min(self.life.load(Relaxed) / 2);
        ends - early <= now && self.told.swap(ends, Relaxed) != ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The setting's default.
    const GRACE: i64 = 30;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a time")
    }

    /// The moments at which a peer is asked that answers at once with tokens of this life, looked at twice a second.
    fn asked(life: i64, until: i64) -> Vec<i64> {
        let token = TokenEnd::new(at(0), at(life));
        let asks = |now: &i64| token.asks(*now, GRACE).then(|| token.renew(at(*now), at(now + life))).is_some();
        (0..2 * until).map(|half| half / 2).filter(asks).collect()
    }

    #[test]
    fn a_peer_is_asked_one_grace_before_the_end_and_of_short_tokens_at_half_of_their_life() {
        assert_eq!(asked(300, 1_000), [270, 540, 810]);
        assert_eq!(asked(8, 25), [4, 8, 12, 16, 20, 24]);
        assert_eq!(asked(1, 4), [1, 2, 3]);
    }

    #[test]
    fn a_peer_that_has_no_fresh_token_is_asked_once() {
        let token = TokenEnd::new(at(0), at(300));
        assert_eq!((0..330).filter(|now| token.asks(*now, GRACE)).count(), 1);
        token.renew(at(330), at(300));
        assert!(!token.asks(330, GRACE), "the same token again is no fresh one");
        token.renew(at(300), at(600));
        assert!(!token.asks(400, GRACE) && token.asks(570, GRACE));
    }
}
