//! Deadlines, calls in flight and rates, as the door applies them.

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use madang_proto::{MethodPolicy, v1::RateClass};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Code;

use super::{Head, Parts, Response, authenticate};
use crate::{
    access::Caller,
    error::{Error, Reason, Result},
    ids::UserId,
    limits::{CallInFlight, Class, Held, Who},
};

/// Longest time that a call may take, whatever its caller says; the opening of a stream too.
const LONGEST: Duration = Duration::from_secs(30);

/// When the caller stops waiting.
pub(super) fn deadline(head: &Head, policy: &MethodPolicy, now: Instant) -> Instant {
    let said = head.headers.get("grpc-timeout").and_then(|value| read_timeout(value.to_str().ok()?));
    // The deadline of a stream is about its life, which its client ends.
    let said = said.filter(|_| !policy.streams);
    now + said.unwrap_or(LONGEST).min(LONGEST)
}

/// gRPC over HTTP/2: at most 8 digits and a unit.
fn read_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// Answers `DEADLINE_PASSED` when the time is over; transactions that have begun go on.
pub(super) async fn within<T>(deadline: Instant, work: impl Future<Output = Result<T>>) -> Result<T> {
    let passed = |_| Error::refused(Reason::DeadlinePassed, "the deadline has passed; the command may have been done");
    tokio::time::timeout_at(deadline.into(), work).await.map_err(passed)?
}

/// What a call holds while it runs.
#[derive(Debug)]
pub(super) struct Admitted {
    /// Who calls; filled in when it is known.
    pub(super) caller: Option<Arc<Caller>>,
    in_flight: Option<Arc<CallInFlight>>,
    database: Option<Arc<OwnedSemaphorePermit>>,
}

impl Admitted {
    pub(super) fn anonymous() -> Self {
        Self { caller: None, in_flight: None, database: None }
    }

    /// Its shares, to be kept by whatever the call begins.
    pub(super) fn held(&self) -> Held {
        Arc::new((self.in_flight.clone(), self.database.clone()))
    }

    /// Calls that wait for the writer, or for the hub, wait for no connection; holding the permit would only make the
    /// person's other calls wait.
    pub(super) fn release_database_unless_needed(&mut self, policy: &MethodPolicy) {
        let waits_elsewhere = matches!(
            policy.rate_class,
            RateClass::Send | RateClass::Mark | RateClass::Ack | RateClass::Typing | RateClass::Stream
        );
        if waits_elsewhere || policy.streams {
            self.database = None;
        }
    }
}

/// Counts a call in flight, by the subject of its token, before anything touches the database.
pub(super) async fn admit(parts: &Parts, policy: &MethodPolicy, subject: &str) -> Result<Admitted> {
    let in_flight = parts.node.limits.calls.begin(subject)?;
    let database = Some(Arc::new(in_flight.database().await));
    // A stream lives long; how many there may be is counted by the hub.
    let in_flight = if policy.streams { None } else { Some(Arc::new(in_flight)) };
    Ok(Admitted { caller: None, in_flight, database })
}

/// Counts a call of a person with its class.
pub(super) fn take(parts: &Parts, policy: &MethodPolicy, user_id: UserId) -> Result<()> {
    match class(policy.rate_class) {
        // Counted by the room and by the people invited, which only the handler knows.
        None | Some(Class::Typing | Class::Invite) => Ok(()),
        Some(class) => parts.node.limits.take(class, Who::Person(user_id)),
    }
}

/// Counts a call without a token by its address.
pub(super) fn take_anonymous(parts: &Parts, policy: &MethodPolicy, head: &Head) -> Result<()> {
    class(policy.rate_class).map_or(Ok(()), |class| parts.node.limits.take(class, whence(parts, head)))
}

/// Counts whom the door refuses by where they call from; of a place that is blocked all of them are told the same. Whoever comes
/// from there with a good token never gets here. An expired token is an honest client's: it was good.
pub(super) fn refuse(parts: &Parts, head: &Head, error: Error) -> Error {
    let is_bad = [Reason::TokenMissing, Reason::TokenInvalid, Reason::RoleMissing].iter().any(|bad| error.is(*bad));
    let (limits, now) = (&parts.node.limits, parts.node.clock.now());
    let counted = if is_bad { limits.refused(Class::BadToken, whence(parts, head), now) } else { Ok(()) };
    counted.err().unwrap_or(error)
}

/// Refuses a person who was refused too often.
pub(super) fn check_block(parts: &Parts, user_id: UserId) -> Result<()> {
    parts.node.limits.check_block(Class::Refusal, Who::Person(user_id), parts.node.clock.now())
}

/// Counts what a person was refused by a service: what is not there, and what is not for them.
pub(super) fn count_refusal(parts: &Parts, user_id: UserId, response: &Response) {
    let code = response.headers().get("grpc-status").map(|status| Code::from_bytes(status.as_bytes()));
    if matches!(code, Some(Code::NotFound | Code::PermissionDenied)) {
        // The answer stays what it is; those that follow are refused.
        let _ = parts.node.limits.refused(Class::Refusal, Who::Person(user_id), parts.node.clock.now());
    }
}

/// Where a call comes from. Of IPv6 the network, of which every home has one to itself.
fn whence(parts: &Parts, head: &Head) -> Who {
    let address = authenticate::address(head, &parts.node.config).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    Who::Address(network(address))
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

fn class(class: RateClass) -> Option<Class> {
    match class {
        RateClass::Unspecified => None,
        RateClass::Read => Some(Class::Read),
        RateClass::Write => Some(Class::Write),
        RateClass::Send => Some(Class::Send),
        RateClass::Mark => Some(Class::Mark),
        RateClass::Ack => Some(Class::Ack),
        RateClass::Typing => Some(Class::Typing),
        RateClass::Join => Some(Class::Join),
        RateClass::Search => Some(Class::Search),
        RateClass::Invite => Some(Class::Invite),
        RateClass::Stream => Some(Class::Stream),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_a_network_has_all_its_addresses() {
        let of = |address: &str| network(address.parse().expect("an address")).to_string();
        assert_eq!(of("203.0.113.7"), "203.0.113.7");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        assert_eq!(read_timeout("1H"), Some(Duration::from_hours(1)));
        assert_eq!(read_timeout("99999999n"), Some(Duration::from_nanos(99_999_999)));
        assert_eq!(read_timeout("250m"), Some(Duration::from_millis(250)));
        for wrong in ["", "S", "999999999S", "-1S", "1.5S", "1s", "1", "é"] {
            assert_eq!(read_timeout(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_deadline_is_capped_and_a_stream_has_none_of_its_own() {
        let mut request = http::Request::new(()).into_parts().0;
        request.headers.insert("grpc-timeout", http::HeaderValue::from_static("1H"));
        let policy = |path| crate::access::policy(path).expect("a method");
        let now = Instant::now();
        assert_eq!(deadline(&request, policy("/madang.v1.IdentityService/GetMe"), now), now + LONGEST);
        request.headers.insert("grpc-timeout", http::HeaderValue::from_static("2S"));
        assert_eq!(deadline(&request, policy("/madang.v1.IdentityService/GetMe"), now), now + Duration::from_secs(2));
        assert_eq!(deadline(&request, policy("/madang.v1.SyncService/Connect"), now), now + LONGEST);
    }

    #[tokio::test]
    async fn work_past_its_deadline_is_answered_for() {
        let late = within(Instant::now(), std::future::pending::<Result<()>>()).await;
        assert!(late.is_err_and(|e| e.is(Reason::DeadlinePassed)));
    }
}
