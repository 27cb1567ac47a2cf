//! The server's guards, and how a test takes one out to see that something breaks. Without the feature `sabotage` every
//! guard is a constant `true` and nothing of this is in the binary.

/// What a server that has the feature says at its start. `cargo xtask tidy` looks for it in a release.
#[cfg(feature = "sabotage")]
pub const MARK: &str = "this server was built with sabotage: its guards can be taken out";

/// Which guards hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Guards {
    #[cfg(feature = "sabotage")]
    without: Option<Guard>,
    #[cfg(feature = "sabotage")]
    gates: Option<&'static Gates>,
}

impl Guards {
    /// A place where a test may hold the server, to make a race happen, or break it off, as a crash would: then it answers
    /// `false`. Nothing without the feature.
    #[cfg(not(feature = "sabotage"))]
    #[expect(clippy::unused_async, reason = "nothing without the feature")]
    pub async fn pass(self, _place: &'static str) -> bool {
        true
    }

    /// A place where a test may hold the server, to make a race happen, or break it off, as a crash would: then it answers
    /// `false`.
    #[cfg(feature = "sabotage")]
    pub async fn pass(self, place: &'static str) -> bool {
        match self.gates {
            Some(gates) => gates.pass(place).await,
            None => true,
        }
    }

    /// With gates that a test opens and closes.
    #[cfg(feature = "sabotage")]
    #[must_use]
    pub fn with_gates(self, gates: &'static Gates) -> Self {
        Self { gates: Some(gates), ..self }
    }
}

/// Places at which a test holds the server. Leaked by the test that makes them, so that guards stay a plain value.
#[cfg(feature = "sabotage")]
#[derive(Debug, Default)]
pub struct Gates {
    places: std::sync::Mutex<std::collections::HashMap<&'static str, usize>>,
    broken: std::sync::Mutex<std::collections::HashSet<&'static str>>,
    moved: tokio::sync::Notify,
}

#[cfg(feature = "sabotage")]
impl Gates {
    /// Gates that are all open.
    pub fn new() -> &'static Self {
        Box::leak(Box::default())
    }

    fn places(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<&'static str, usize>> {
        self.places.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whoever comes here from now on waits.
    pub fn close(&self, place: &'static str) {
        self.places().insert(place, 0);
    }

    /// Lets everybody through.
    pub fn open(&self, place: &'static str) {
        self.places().remove(place);
        self.moved.notify_waiters();
    }

    /// Whoever comes here from now on gets no further, as if the node had died there; until it is mended.
    pub fn break_off(&self, place: &'static str) {
        self.broken.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(place);
    }

    /// Whoever comes here gets further again.
    pub fn mend(&self, place: &'static str) {
        self.broken.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(place);
    }

    /// Waits until somebody waits here.
    pub async fn arrived(&self, place: &'static str) {
        self.until(|places| places.get(place).is_none_or(|waiting| *waiting > 0)).await;
    }

    async fn pass(&self, place: &'static str) -> bool {
        if let Some(waiting) = self.places().get_mut(place) {
            *waiting += 1;
        }
        self.moved.notify_waiters();
        self.until(|places| !places.contains_key(place)).await;
        !self.broken.lock().unwrap_or_else(std::sync::PoisonError::into_inner).contains(place)
    }

    async fn until(&self, holds: impl Fn(&std::collections::HashMap<&'static str, usize>) -> bool) {
        loop {
            let moved = self.moved.notified();
            if holds(&self.places()) {
                return;
            }
            moved.await;
        }
    }
}

macro_rules! guards {
    ($($(#[$doc:meta])* $variant:ident $method:ident,)*) => {
        /// A guard that a test may take out.
        #[cfg(feature = "sabotage")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Guard {
            $($(#[$doc])* $variant,)*
        }

        #[cfg(feature = "sabotage")]
        impl Guard {
            /// All of them, with the names of the rules.
            pub const ALL: &[(&str, Self)] = &[$((stringify!($method), Self::$variant),)*];
        }

        impl Guards {
            /// All but one.
            #[cfg(feature = "sabotage")]
            pub fn without(guard: Guard) -> Self {
                Self { without: Some(guard), gates: None }
            }

            $(
                $(#[$doc])*
                pub fn $method(self) -> bool {
                    #[cfg(feature = "sabotage")]
                    return self.without != Some(Guard::$variant);
                    #[cfg(not(feature = "sabotage"))]
                    true
                }
            )*
        }
    };
}

guards! {
    /// A session is registered before anything is read for it.
    RegisterFirst register_first,
    /// What comes between registration and the end of the first read waits and is sent after it.
    Buffer buffer,
    /// The watermark is taken before the rooms are read.
    WatermarkBeforeRead watermark_before_read,
    /// Drained follows what it covers, and is taken back when an overflow drops something before it.
    DrainedLast drained_last,
    /// What a full queue drops is remembered as dirt and read again.
    Dirty dirty,
    /// A room's events are forwarded in the order of revisions.
    HubOrder hub_order,
    /// One's own removal is the last event one is given.
    RemovalOrder removal_order,
    /// Membership is checked whenever a room is read.
    AccessAtRead access_at_read,
    /// The watermark is the oldest running transaction, not the next one.
    Xmin xmin,
    /// The database is compared with the tails all the time.
    Poll poll,
    /// The poll registers rooms whose joining was missed.
    IndexRepair index_repair,
    /// Only the last page of a delta moves the cursor's revision to the room's.
    Paging paging,
    /// What lies before a member's history is not sent to them.
    History history,
    /// A registration does not move a tail that is there.
    TailStays tail_stays,
    /// A repeated send is answered with the first result.
    Idempotency idempotency,
    /// Rights are read after the room's lock, in a statement of their own.
    LockThenRead lock_then_read,
    /// Transactions run in tasks of their own, and connections are rolled back before they are handed out. One guard,
    /// because behind either the other could not be seen to be missing.
    CancelSafe cancel_safe,
    /// A draft that fails alone does not fail its batch.
    Bisection bisection,
    /// A room that is locked elsewhere waits in a lane of its own.
    SecondLane second_lane,
}
