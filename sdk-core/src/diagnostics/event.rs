//! What happened to a client, without anything that is private.

use std::time::Duration;

use madang_proto::v1::{ErrorReason, ServerFrame, room_event::Change, server_frame::Frame};
use serde_json::{Value, json};

use crate::{
    engine::ConnectionState,
    error::{ClientError, LocalReason},
};

/// Something that happened.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// The client stands otherwise to its server.
    State { name: &'static str, retry_in: Option<Duration>, reason: Option<Why> },
    /// A connection was opened.
    Connected,
    /// None could be opened.
    NotConnected(LocalReason),
    /// A quiet connection has answered.
    Pong(Duration),
    /// A call has ended; `None`: without an answer.
    Call { method: String, status: Option<i32>, took: Duration },
    /// A frame came.
    Frame { kind: &'static str, room_id: Option<String>, numbers: Vec<i64> },
    /// An entry of the outbox was said, or refused.
    Send { change_id: String, attempt: u32 },
    /// An entry was refused for good.
    Refused { change_id: String, reason: ErrorReason },
}

/// A failure without its words.
#[derive(Debug, Clone)]
pub(super) struct Why {
    kind: String,
    reason: Option<&'static str>,
    local: Option<LocalReason>,
    request_id: Option<String>,
}

impl From<&ClientError> for Why {
    fn from(error: &ClientError) -> Self {
        Self {
            kind: format!("{:?}", error.kind),
            reason: error.reason.map(|reason| reason.rule().name),
            local: error.local,
            request_id: error.request_id.as_deref().and_then(plain),
        }
    }
}

/// An id, if it looks like one: what others made up is not passed on.
pub(super) fn plain(id: &str) -> Option<String> {
    let fits = id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    fits.then(|| id.to_owned())
}

impl Why {
    fn to_json(&self) -> Value {
        let local = self.local.map(|local| format!("{local:?}"));
        json!({ "kind": self.kind, "reason": self.reason, "local": local, "request_id": self.request_id })
    }
}

impl Event {
    pub(super) fn of_state(state: &ConnectionState) -> Self {
        let (name, retry_in, reason) = match state {
            ConnectionState::Connecting => ("connecting", None, None),
            ConnectionState::Live => ("live", None, None),
            ConnectionState::Offline { retry_in, reason } => ("offline", Some(*retry_in), reason.as_ref()),
            ConnectionState::Suspended => ("suspended", None, None),
            ConnectionState::SignedOut => ("signed_out", None, None),
            ConnectionState::Ended { reason } => ("ended", None, Some(reason)),
        };
        Self::State { name, retry_in, reason: reason.map(Why::from) }
    }

    pub(super) fn of_frame(frame: &ServerFrame) -> Self {
        let (kind, room_id, numbers) = match &frame.frame {
            None => ("unknown", None, vec![]),
            Some(Frame::Welcome(_)) => ("welcome", None, vec![]),
            Some(Frame::RoomSummary(summary)) => ("room_summary", Some(&summary.room_id), vec![]),
            Some(Frame::RoomDelta(delta)) => {
                let rev = |cursor: &Option<madang_proto::v1::RoomCursor>| cursor.as_ref().map_or(0, |at| at.rev);
                let room_id = delta.summary.as_ref().map(|summary| &summary.room_id);
                let kind = if delta.reset { "room_reset" } else { "room_delta" };
                (kind, room_id, vec![rev(&delta.from), rev(&delta.to)])
            }
            Some(Frame::RoomEvent(event)) => {
                let kind = match &event.change {
                    Some(Change::Message(_)) => "message",
                    Some(Change::Member(_)) => "member",
                    Some(Change::Room(_)) => "room",
                    Some(Change::Receipts(_)) => "receipts",
                    Some(Change::None(_)) => "none",
                    Some(Change::Fetch(_)) => "fetch",
                    None => "unknown_event",
                };
                (kind, Some(&event.room_id), vec![event.prev_rev, event.rev])
            }
            Some(Frame::UserDelta(delta)) => ("user_delta", None, vec![delta.from_user_rev, delta.to_user_rev]),
            Some(Frame::UserBehind(behind)) => ("user_behind", None, vec![behind.user_rev]),
            Some(Frame::PeopleChanged(_)) => ("people_changed", None, vec![]),
            Some(Frame::Drained(drained)) => ("drained", None, vec![drained.watermark]),
            Some(Frame::Ephemeral(_)) => ("ephemeral", None, vec![]),
            Some(Frame::Heartbeat(beat)) => ("heartbeat", None, vec![beat.user_rev]),
            Some(Frame::TokenExpiring(_)) => ("token_expiring", None, vec![]),
            Some(Frame::Refused(refused)) => ("refused", None, vec![i64::from(refused.reason)]),
            Some(Frame::Closing(closing)) => {
                ("closing", None, vec![i64::from(closing.reason), i64::from(closing.error)])
            }
        };
        Self::Frame { kind, room_id: room_id.and_then(|id| plain(id)), numbers }
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::State { name, retry_in, reason } => {
                let retry_in_ms = retry_in.map(millis);
                json!({ "state": name, "retry_in_ms": retry_in_ms, "reason": reason.as_ref().map(Why::to_json) })
            }
            Self::Connected => json!({ "connection": "opened" }),
            Self::NotConnected(reason) => json!({ "connection": "failed", "local": format!("{reason:?}") }),
            Self::Pong(took) => json!({ "ping_ms": millis(*took) }),
            Self::Call { method, status, took } => json!({ "call": method, "status": status, "ms": millis(*took) }),
            Self::Frame { kind, room_id, numbers } => json!({ "frame": kind, "room_id": room_id, "numbers": numbers }),
            Self::Send { change_id, attempt } => json!({ "send": plain(change_id), "attempt": attempt }),
            Self::Refused { change_id, reason } => {
                json!({ "refused": plain(change_id), "reason": reason.rule().name })
            }
        }
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
