//! What a client tells of itself when something is not as it should be: numbers, its last events, a bundle for support, why
//! a message is as it is, and its log.
//!
//! Always true: bounded, whatever happens; nothing that a person wrote, no name, no token and no address is in a bundle or
//! among the events: only ids, numbers, kinds, reasons and versions.

mod bundle;
mod counters;
mod event;
mod explain;
mod log;
mod recorder;
#[cfg(test)]
mod tests;

pub(crate) use self::recorder::Recorder;
pub use self::{
    counters::Counters,
    explain::{Cause, Explanation},
    log::{LogLevel, LogLine, LogSink, set_log_sink},
};
