//! Whether an account may be used.

use chrono::{DateTime, Utc};

use crate::error::{Error, Reason, Refusal, Result};

/// An account as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// ACTIVE 1, DISABLED 2, LOCKED 3, EXPIRED 4, DELETED 5.
    pub state: i16,
    /// LOCKED: until then.
    pub locked_until: Option<DateTime<Utc>>,
    /// Last day of the account.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Account {
    /// Refuses an account that may not be used now.
    pub fn check(&self, now: DateTime<Utc>) -> Result<()> {
        match self.state {
            2 | 5 => Err(Error::refused(Reason::AccountDisabled, "the account is disabled")),
            3 if self.locked_until.is_none_or(|until| until > now) => Err(locked(self.locked_until)),
            4 => Err(expired()),
            _ if self.expires_at.is_some_and(|at| at <= now) => Err(expired()),
            _ => Ok(()),
        }
    }
}

fn locked(until: Option<DateTime<Utc>>) -> Error {
    let refusal = Refusal::new(Reason::AccountLocked, "the account is locked");
    let until = until.map(|until| until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    until.map_or(refusal.clone(), |until| refusal.with("until", until)).into()
}

fn expired() -> Error {
    Error::refused(Reason::AccountExpired, "the account has expired")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a time")
    }

    #[test]
    fn an_account_is_refused_by_its_state_and_its_times() {
        let active = Account { state: 1, locked_until: None, expires_at: None };
        let reason = |account: Account| account.check(at(100)).err().map(|error| error.into_refusal().reason);
        assert_eq!(reason(active), None);
        assert_eq!(reason(Account { state: 2, ..active }), Some(Reason::AccountDisabled));
        assert_eq!(reason(Account { state: 5, ..active }), Some(Reason::AccountDisabled));
        assert_eq!(reason(Account { state: 3, ..active }), Some(Reason::AccountLocked));
        assert_eq!(reason(Account { state: 3, locked_until: Some(at(101)), ..active }), Some(Reason::AccountLocked));
        assert_eq!(reason(Account { state: 3, locked_until: Some(at(100)), ..active }), None);
        assert_eq!(reason(Account { state: 4, ..active }), Some(Reason::AccountExpired));
        assert_eq!(reason(Account { expires_at: Some(at(100)), ..active }), Some(Reason::AccountExpired));
        assert_eq!(reason(Account { expires_at: Some(at(101)), ..active }), None);
    }
}
