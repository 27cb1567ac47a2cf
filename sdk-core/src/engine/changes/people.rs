//! The person: profile and status. One after the other, beside all rooms.

use madang_proto::v1::{SetStatusRequest, UpdateProfileRequest, User};

use super::{Change, Happened};
use crate::{
    error::ClientError,
    store::{Write, outbox::ChangeKind, people},
};

impl Change for UpdateProfileRequest {
    const KIND: ChangeKind = ChangeKind::Profile;

    fn room_id(&self) -> &'static str {
        ""
    }

    fn happened(answer: Self::Answer) -> Result<Happened, ClientError> {
        Ok(profile(answer.user))
    }

    fn foresee(&self, w: &mut Write<'_>, _: i64) -> rusqlite::Result<()> {
        let Self { display_name, title, bio, phone } = self.clone();
        shown(w, |me| {
            set(&mut me.display_name, display_name);
            set(&mut me.title, title);
            set(&mut me.bio, bio);
            set(&mut me.phone, phone);
        })
    }

    fn take_back(&self, w: &mut Write<'_>) -> rusqlite::Result<()> {
        forget(w)
    }
}

fn set(field: &mut String, to: Option<String>) {
    if let Some(to) = to {
        *field = to;
    }
}

impl Change for SetStatusRequest {
    const KIND: ChangeKind = ChangeKind::Status;

    fn room_id(&self) -> &'static str {
        ""
    }

    fn happened(answer: Self::Answer) -> Result<Happened, ClientError> {
        Ok(profile(answer.user))
    }

    fn foresee(&self, w: &mut Write<'_>, _: i64) -> rusqlite::Result<()> {
        let Self { status, custom_status } = self.clone();
        shown(w, |me| (me.status, me.custom_status) = (status, custom_status))
    }

    fn take_back(&self, w: &mut Write<'_>) -> rusqlite::Result<()> {
        forget(w)
    }
}

fn profile(user: Option<User>) -> Happened {
    Happened::new(move |w, _, _| {
        w.changes.people = true;
        people::upsert(&w.tx, user.as_slice())
    })
}

/// Shows one's own profile as it is going to be, where it is held.
fn shown(w: &mut Write<'_>, change: impl FnOnce(&mut User)) -> rusqlite::Result<()> {
    let Some(mut me) = people::find(&w.tx, &w.me)? else { return Ok(()) };
    change(&mut me);
    w.changes.people = true;
    people::show(&w.tx, &me)
}

/// Forgets what was shown; whoever needs the name asks the server.
fn forget(w: &mut Write<'_>) -> rusqlite::Result<()> {
    w.changes.people = true;
    people::forget(&w.tx, &w.me)
}
