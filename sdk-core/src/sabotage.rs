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

/// Places at which a test lets the process die.
#[cfg(feature = "sabotage")]
pub const PHASES: &[&str] = &["typing", "typed", "sending", "sent", "answered", "applying"];

/// Where this process dies, and how many times it still passes there first.
#[cfg(feature = "sabotage")]
static DEATH: std::sync::Mutex<Option<(String, u32)>> = std::sync::Mutex::new(None);

/// How long a request may be on its way before the process dies of having sent it.
#[cfg(feature = "sabotage")]
const ON_ITS_WAY: std::time::Duration = std::time::Duration::from_millis(3);

/// Lets this process end without a word when it has passed a place so many times.
#[cfg(feature = "sabotage")]
pub fn die_at(phase: &str, times: u32) {
    *crate::observe::lock(&DEATH) = Some((phase.to_owned(), times));
}

/// Whether the process dies here and now.
#[cfg(feature = "sabotage")]
fn is_time(name: &str) -> bool {
    match crate::observe::lock(&DEATH).as_mut() {
        Some((phase, times)) if phase == name => {
            *times = times.saturating_sub(1);
            *times == 0
        }
        _ => false,
    }
}

/// A place at which a test may let the process die.
#[cfg(feature = "sabotage")]
pub(crate) fn phase(name: &str) {
    if is_time(name) {
        std::process::abort();
    }
}

/// The same, a moment later and whatever happens meanwhile.
#[cfg(feature = "sabotage")]
pub(crate) fn phase_soon(name: &str) {
    if is_time(name) {
        std::thread::spawn(|| {
            std::thread::sleep(ON_ITS_WAY);
            std::process::abort();
        });
    }
}

/// A place at which a test may let the process die: nothing without the feature.
#[cfg(not(feature = "sabotage"))]
pub(crate) const fn phase(_: &str) {}

/// The same, a moment later: nothing without the feature.
#[cfg(not(feature = "sabotage"))]
pub(crate) const fn phase_soon(_: &str) {}
