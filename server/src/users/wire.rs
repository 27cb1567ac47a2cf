//! People between the contract and the store.

use chrono::{DateTime, Utc};
use madang_proto::v1::{CustomStatus, User, UserState};

use super::store::{Profile, StatusUpdate};
use crate::{
    error::{Refusal, Result},
    ids::UserId,
};

/// Who looks at a profile, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Viewer {
    pub(super) user_id: UserId,
    pub(super) sees_contact: bool,
    pub(super) now: DateTime<Utc>,
}

/// A profile as the viewer may see it.
pub(super) fn user(profile: Profile, viewer: &Viewer) -> User {
    let contact = |text: String| {
        let seen = viewer.sees_contact || viewer.user_id.0 == profile.id;
        if seen { text } else { String::new() }
    };
    let custom = profile.custom_until.is_none_or(|until| until > viewer.now)
        && !(profile.custom_emoji.is_empty() && profile.custom_text.is_empty());
    User {
        id: profile.id.to_string(),
        login: profile.login,
        display_name: profile.display_name,
        title: profile.title,
        status: profile.status.into(),
        custom_status: custom.then(|| CustomStatus {
            emoji: profile.custom_emoji,
            text: profile.custom_text,
            until: profile.custom_until.map(crate::realtime::wire::timestamp),
        }),
        phone: contact(profile.phone),
        email: contact(profile.email),
        bio: profile.bio,
        employee_no: contact(profile.employee_no),
        state: UserState::try_from(i32::from(profile.state)).unwrap_or(UserState::Disabled).into(),
        profile_rev: profile.profile_rev,
        ..User::default()
    }
}

/// A status as a person sets it.
pub(super) fn status(status: i32, custom: Option<CustomStatus>) -> Result<StatusUpdate> {
    let custom = custom.unwrap_or_default();
    let until = custom.until.map(|until| {
        let nanos = u32::try_from(until.nanos).ok()?;
        // PostgreSQL keeps microseconds: what is stored must be what a repetition compares with.
        DateTime::from_timestamp(until.seconds, nanos / 1_000 * 1_000)
            .filter(|at| (DateTime::UNIX_EPOCH..latest()).contains(at))
    });
    let until = match until {
        Some(None) => return Err(Refusal::field("custom_status.until", "must be a time before the year 9000").into()),
        Some(until) => until,
        None => None,
    };
    let status = i16::try_from(status).unwrap_or_default();
    Ok(StatusUpdate { status, emoji: custom.emoji, text: custom.text, until })
}

/// The end of times that every database and language can hold.
fn latest() -> DateTime<Utc> {
    DateTime::from_timestamp(221_845_392_000, 0).expect("the year 9000")
}
