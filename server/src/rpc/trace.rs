//! One line a call: what was called, by whom, how it ended and how long it took. Never what it said.

use std::{sync::Arc, time::Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::Code;

use crate::ids::UserId;

/// Metadata by which a refusal names its call, so that whoever was refused can say where in the logs it is.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("madang-request-id");

/// A call on its way; written when it ends, however it ends.
#[derive(Debug)]
pub(super) struct Line {
    method: &'static str,
    request_id: Arc<str>,
    begun: Instant,
    caller: Option<UserId>,
    /// Code and reason; without them the caller left.
    outcome: Option<(Code, &'static str)>,
}

impl Line {
    pub(super) fn begin(headers: &HeaderMap, method: &'static str) -> Self {
        let said = headers.get("traceparent").and_then(|value| trace_id(value.to_str().ok()?));
        let request_id = said.map_or_else(|| format!("{:032x}", rand::random::<u128>()), str::to_owned);
        metrics::gauge!("madang_calls_open").increment(1);
        Self { method, request_id: request_id.into(), begun: Instant::now(), caller: None, outcome: None }
    }

    /// Names the call in logs and refusals.
    pub(super) fn request_id(&self) -> Arc<str> {
        Arc::clone(&self.request_id)
    }

    /// Names the call in metadata.
    pub(super) fn name_in(&self, headers: &mut HeaderMap) {
        let name = HeaderValue::from_str(&self.request_id).expect("hexadecimal digits");
        headers.insert(REQUEST_ID, name);
    }

    pub(super) fn is_called_by(&mut self, caller: UserId) {
        self.caller = Some(caller);
    }

    /// Who calls, once it is known.
    pub(super) fn caller(&self) -> Option<UserId> {
        self.caller
    }

    /// Says how it ended; the first word counts.
    pub(super) fn end(&mut self, code: Code, reason: &'static str) {
        self.outcome.get_or_insert((code, reason));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let (code, reason) = self.outcome.unwrap_or((Code::Cancelled, ""));
        let time = self.begun.elapsed();
        let (method, status) = (self.method, format!("{code:?}"));
        metrics::gauge!("madang_calls_open").decrement(1);
        metrics::counter!("madang_calls_total", "method" => method, "status" => status.clone(), "reason" => reason)
            .increment(1);
        metrics::histogram!("madang_call_seconds", "method" => method).record(time);
        let caller = self.caller.map(tracing::field::display);
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a call")]
        let ms = time.as_micros() as f64 / 1_000.0;
        if code == Code::Internal {
            tracing::warn!(target: "madang::call", method, caller, status, reason, ms, request_id = &*self.request_id, "call");
        } else {
            tracing::info!(target: "madang::call", method, caller, status, reason, ms, request_id = &*self.request_id, "call");
        }
    }
}

/// The trace id of a W3C traceparent.
fn trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex =
        |text: &str, length| text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let right = is_hex(version, 2) && version != "ff" && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
    let is_zero = |text: &str| text.bytes().all(|b| b == b'0');
    (right && !is_zero(trace) && !is_zero(span)).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_is_taken_only_from_a_valid_traceparent() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(trace_id(&format!("00-{id}-00f067aa0ba902b7-01")), Some(id));
        for wrong in [
            String::new(),
            id.to_owned(),
            format!("ff-{id}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()),
            format!("00-{id}-00f067aa0ba902b7"),
        ] {
            assert_eq!(trace_id(&wrong), None, "{wrong}");
        }
    }
}
