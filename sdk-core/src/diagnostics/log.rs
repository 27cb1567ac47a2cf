//! The log, handed to the host line by line. One for the process, because the libraries beneath have one for it.

use std::{
    cell::Cell,
    fmt::{self, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, OnceLock},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};

use crate::observe::lock;

/// Longest line.
const LONGEST: usize = 4 << 10;

/// How much a line matters. Those of a level come with all that matter more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Something is broken.
    Error,
    /// Something went wrong, and the client goes on.
    Warn,
    /// What a reader of the log wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// The part of the client that says it.
    pub target: String,
    /// What it says, with its details behind it; cut after 4 KiB.
    pub message: String,
}

/// Where the log goes. Called on any thread, also at once; what it does must not take long. What it logs itself is dropped,
/// and a panic of it is kept from the client.
pub trait LogSink: Send + Sync {
    /// Takes a line.
    fn log(&self, line: LogLine);
}

/// Where the log of all clients of this process goes, and from which level on; in place of the sink before. Tells whether it
/// goes there: a host in Rust that has a `tracing` subscriber of its own keeps that.
pub fn set_log_sink(level: LogLevel, sink: Arc<dyn LogSink>) -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *lock(&HELD) = Some((level, sink));
    let ours = *INSTALLED.get_or_init(|| tracing::subscriber::set_global_default(ToSink).is_ok());
    tracing::callsite::rebuild_interest_cache();
    ours
}

/// The sink.
static HELD: Mutex<Option<(LogLevel, Arc<dyn LogSink>)>> = Mutex::new(None);

thread_local! {
    /// The sink is called on this thread.
    static SPEAKING: Cell<bool> = const { Cell::new(false) };
}

/// Hands the log to the sink.
struct ToSink;

fn level() -> LogLevel {
    lock(&HELD).as_ref().map_or(LogLevel::Off, |(level, _)| *level)
}

fn level_of(level: tracing::Level) -> LogLevel {
    match level {
        tracing::Level::ERROR => LogLevel::Error,
        tracing::Level::WARN => LogLevel::Warn,
        tracing::Level::INFO => LogLevel::Info,
        tracing::Level::DEBUG => LogLevel::Debug,
        tracing::Level::TRACE => LogLevel::Trace,
    }
}

/// Lines of the client itself: what libraries say may hold what is private.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && metadata.target().starts_with("madang_sdk_core") && level_of(*metadata.level()) <= level()
}

impl Subscriber for ToSink {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_ours(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_ours(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match level() {
            LogLevel::Off => LevelFilter::OFF,
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        })
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if SPEAKING.get() {
            return;
        }
        let Some(sink) = lock(&HELD).as_ref().map(|(_, sink)| Arc::clone(sink)) else { return };
        let mut words = Words::default();
        event.record(&mut words);
        let metadata = event.metadata();
        let level = level_of(*metadata.level());
        let line = LogLine { level, target: metadata.target().to_owned(), message: words.line() };
        SPEAKING.set(true);
        // There is nobody to tell of a host's panic but the host.
        let _ = catch_unwind(AssertUnwindSafe(|| sink.log(line)));
        SPEAKING.set(false);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The words of an event.
#[derive(Default)]
struct Words {
    message: String,
    details: String,
}

impl Words {
    fn line(mut self) -> String {
        self.message.push_str(&self.details);
        let mut end = self.message.len().min(LONGEST);
        while !self.message.is_char_boundary(end) {
            end -= 1;
        }
        self.message.truncate(end);
        self.message
    }
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing into a text does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.details, " {name}={value:?}"),
        };
    }
}
