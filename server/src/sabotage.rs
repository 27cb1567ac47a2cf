//! The server's guards, and how a test takes one out to see that something breaks. Without the feature `sabotage` every
//! guard is a constant `true` and nothing of this is in the binary.

/// Which guards hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Guards {
    #[cfg(feature = "sabotage")]
    without: Option<Guard>,
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
                Self { without: Some(guard) }
            }

            $(
                $(#[$doc])*
                #[cfg_attr(not(feature = "sabotage"), expect(clippy::unused_self, reason = "constant without the feature"))]
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
    /// Transactions run in tasks of their own.
    DetachedTransactions detached_transactions,
    /// Connections are rolled back before they are handed out.
    RollbackBeforeAcquire rollback_before_acquire,
    /// A draft that fails alone does not fail its batch.
    Bisection bisection,
    /// A room that is locked elsewhere waits in a lane of its own.
    SecondLane second_lane,
}
