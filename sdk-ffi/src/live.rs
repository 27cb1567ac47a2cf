//! How much is alive, for tests that look for leaks.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// What hosts hold of this library, and what it holds of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct LiveObjects {
    /// Clients.
    pub clients: i64,
    /// Lists and everything else that is pulled.
    pub lists: i64,
    /// Calls that have not ended.
    pub calls: i64,
    /// Callbacks of the host: token providers and log sinks.
    pub callbacks: i64,
    /// Questions for a token that were not answered.
    pub token_requests: i64,
}

static CLIENTS: AtomicI64 = AtomicI64::new(0);
static LISTS: AtomicI64 = AtomicI64::new(0);
static CALLS: AtomicI64 = AtomicI64::new(0);
static CALLBACKS: AtomicI64 = AtomicI64::new(0);
static TOKEN_REQUESTS: AtomicI64 = AtomicI64::new(0);

/// What is alive in this process.
#[uniffi::export]
pub fn live_objects() -> LiveObjects {
    LiveObjects {
        clients: CLIENTS.load(Relaxed),
        lists: LISTS.load(Relaxed),
        calls: CALLS.load(Relaxed),
        callbacks: CALLBACKS.load(Relaxed),
        token_requests: TOKEN_REQUESTS.load(Relaxed),
    }
}

/// Counts as alive until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(&'static AtomicI64);

impl Counted {
    pub(crate) fn client() -> Self {
        Self::one(&CLIENTS)
    }

    pub(crate) fn list() -> Self {
        Self::one(&LISTS)
    }

    pub(crate) fn call() -> Self {
        Self::one(&CALLS)
    }

    pub(crate) fn callback() -> Self {
        Self::one(&CALLBACKS)
    }

    pub(crate) fn token_request() -> Self {
        Self::one(&TOKEN_REQUESTS)
    }

    fn one(counter: &'static AtomicI64) -> Self {
        counter.fetch_add(1, Relaxed);
        Self(counter)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
