//! Taking one rule of the protocol out, so that a test can show that the rule is needed. Without the feature `sabotage`
//! every guard holds and the question costs nothing.

/// A rule that a test can take out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The watermark is kept only when all verdicts before it are applied.
    KeepAfterDrained,
    /// An event is applied only where its span joins.
    Spans,
    /// The same for what belongs to the person.
    UserSpans,
    /// A room that is behind follows by its head, not by its rows.
    HeadRev,
    /// An old verdict does not undo a later membership.
    GoneNumbered,
    /// Marks merge within one generation only.
    Generation,
    /// Another epoch wipes rows and numbers.
    Epoch,
    /// A reset drops the rows it replaces.
    Reset,
    /// A delta is fetched until its last page.
    Paging,
    /// A rejoin drops what the newcomer may not see.
    History,
    /// Rows merge by revision.
    RowsByRev,
    /// A local echo becomes the stored message.
    EchoMerge,
    /// One message of a room at a time.
    OutboxOrder,
}

#[cfg(feature = "sabotage")]
impl Guard {
    /// All of them, by name.
    pub const ALL: &[(&str, Self)] = &[
        ("client_keep_after_drained", Self::KeepAfterDrained),
        ("client_spans", Self::Spans),
        ("client_user_spans", Self::UserSpans),
        ("client_head_rev", Self::HeadRev),
        ("client_gone_numbered", Self::GoneNumbered),
        ("client_generation", Self::Generation),
        ("client_epoch", Self::Epoch),
        ("client_reset", Self::Reset),
        ("client_paging", Self::Paging),
        ("client_history", Self::History),
        ("client_rows_by_rev", Self::RowsByRev),
        ("client_echo_merge", Self::EchoMerge),
        ("client_outbox_order", Self::OutboxOrder),
    ];
}

/// Which guards hold.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Guards {
    #[cfg(feature = "sabotage")]
    pub(crate) without: Option<Guard>,
}

impl Guards {
    /// Whether a rule is in force.
    #[cfg(feature = "sabotage")]
    pub(crate) fn holds(self, guard: Guard) -> bool {
        self.without != Some(guard)
    }

    /// Whether a rule is in force: always.
    #[cfg(not(feature = "sabotage"))]
    #[expect(clippy::unused_self, reason = "the same call as with the feature")]
    pub(crate) const fn holds(self, _: Guard) -> bool {
        true
    }
}
