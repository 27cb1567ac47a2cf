//! Whether a token may be used on a device.

use chrono::{DateTime, SubsecRound as _, Utc};

use super::Visit;

/// What is stored of a device session and of what was revoked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The issuer's session of the device session; `None`: there is none on this device.
    pub sid: Option<String>,
    /// Whether the device session is revoked.
    pub revoked: bool,
    /// The later of: when the device, and when the whole person was last revoked.
    pub tokens_from: Option<DateTime<Utc>>,
    /// From when on the issuer has settled that one of the person's sessions, be it another, has ended.
    pub fresh_from: Option<DateTime<Utc>>,
    /// Whether the visit's session at the issuer is revoked.
    pub sid_revoked: bool,
    /// Last call that was written.
    pub last_seen_at: Option<DateTime<Utc>>,
}

/// What becomes of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The device session is there.
    Good,
    /// A sign-in: the session is made, or given to it.
    New,
    /// The token must be renewed: only the issuer knows whether its session goes on.
    Stale,
    /// Refused.
    Revoked,
}

impl Known {
    /// What becomes of a visit.
    pub(super) fn verdict(&self, visit: &Visit) -> Verdict {
        if self.sid_revoked || self.tokens_from.is_some_and(|from| is_older(visit, from)) {
            return Verdict::Revoked;
        }
        // Both are whole seconds of the issuer's clock.
        if self.fresh_from.is_some_and(|from| visit.issued_at < from) {
            return Verdict::Stale;
        }
        match &self.sid {
            Some(sid) if !self.revoked && *sid == visit.sid => Verdict::Good,
            _ => Verdict::New,
        }
    }
}

/// Issuers write whole seconds. A token of the very second of a revocation is let in if its session at the issuer is known
/// and is another than the revoked ones: somebody signed in again at once. Without a session it is refused.
fn is_older(visit: &Visit, from: DateTime<Utc>) -> bool {
    if visit.sid.is_empty() { visit.issued_at <= from } else { visit.issued_at < from.trunc_subsecs(0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{DeviceId, UserId};

    fn at(milliseconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(milliseconds).expect("a time")
    }

    fn visit(sid: &str, issued_at: i64) -> Visit {
        let id = uuid::Uuid::nil();
        Visit::to_check(UserId(id), DeviceId(id), sid, at(issued_at))
    }

    fn known(sid: &str) -> Known {
        Known { sid: Some(sid.into()), ..Known::default() }
    }

    #[test]
    fn a_device_that_is_not_known_or_has_another_sign_in_is_new() {
        assert_eq!(Known::default().verdict(&visit("a", 0)), Verdict::New);
        assert_eq!(known("a").verdict(&visit("a", 0)), Verdict::Good);
        assert_eq!(known("a").verdict(&visit("b", 0)), Verdict::New);
    }

    #[test]
    fn tokens_issued_before_a_revocation_stay_refused_after_a_new_sign_in() {
        let signed_in_again = Known { tokens_from: Some(at(5_500)), ..known("b") };
        assert_eq!(signed_in_again.verdict(&visit("b", 6_000)), Verdict::Good);
        assert_eq!(signed_in_again.verdict(&visit("c", 4_000)), Verdict::Revoked);
        assert_eq!(Known { sid_revoked: true, ..signed_in_again }.verdict(&visit("a", 9_000)), Verdict::Revoked);
    }

    #[test]
    fn a_token_of_before_another_session_ended_is_renewed_and_one_of_an_ended_session_is_not() {
        let elsewhere = Known { fresh_from: Some(at(5_000)), ..known("a") };
        assert_eq!(elsewhere.verdict(&visit("a", 4_000)), Verdict::Stale);
        assert_eq!(elsewhere.verdict(&visit("new", 4_000)), Verdict::Stale);
        assert_eq!(elsewhere.verdict(&visit("a", 5_000)), Verdict::Good);
        assert_eq!(Known { sid_revoked: true, ..elsewhere }.verdict(&visit("a", 4_000)), Verdict::Revoked);
    }

    #[test]
    fn signing_in_again_in_the_second_of_the_revocation_is_let_in_only_with_a_session() {
        let revoked = Known { revoked: true, tokens_from: Some(at(5_500)), ..known("a") };
        assert_eq!(revoked.verdict(&visit("b", 5_000)), Verdict::New);
        assert_eq!(revoked.verdict(&visit("", 5_000)), Verdict::Revoked);
        assert_eq!(revoked.verdict(&visit("", 6_000)), Verdict::New);
    }
}
