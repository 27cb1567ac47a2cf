//! The log, handed to the host.

use std::sync::Arc;

use madang_sdk_core::diagnostics::{self, LogLevel, LogLine};

use crate::{error::ClientError, live::Counted};

/// Where the log goes. Called on any thread, also at once; what it does must not take long. What it logs itself is dropped,
/// and what it throws is kept from the client.
#[uniffi::export(with_foreign)]
pub trait LogSink: Send + Sync {
    /// Takes a line; one that it fails to take is lost.
    fn log(&self, line: LogLine) -> Result<(), ClientError>;
}

/// Where the log of all clients of this process goes, and from which level on; in place of the sink before. Tells whether it
/// goes there: a host in Rust that has a log of its own keeps that.
#[uniffi::export]
pub fn set_log_sink(level: LogLevel, sink: Arc<dyn LogSink>) -> bool {
    diagnostics::set_log_sink(level, Arc::new(HostSink { host: sink, _live: Counted::callback() }))
}

struct HostSink {
    host: Arc<dyn LogSink>,
    _live: Counted,
}

impl diagnostics::LogSink for HostSink {
    fn log(&self, line: LogLine) {
        // There is nobody to tell of a host's failure but the host.
        let _ = self.host.log(line);
    }
}
