//! What a person changes: how each kind of change is said to the server, and what the answer, or a refusal, does to the
//! rows.
//!
//! Always true: a change is in the outbox, on the disk, before the call that makes it returns; it is said as often as it
//! must be and happens once. Another kind is added by implementing [`Change`], and by its line in [`read`].

mod messages;
mod people;
mod rooms;

use std::sync::Arc;

use madang_proto::{
    Call, Check, Path, Refusal,
    v1::{
        CreateRoomRequest, DeleteMessageRequest, EditMessageRequest, ErrorReason, InviteMembersRequest,
        JoinRoomRequest, LeaveRoomRequest, Message, RemoveMemberRequest, SendMessageRequest, SetStatusRequest,
        UpdateProfileRequest,
    },
};
use prost::bytes::Bytes;

#[cfg(any(test, feature = "simulation"))]
pub(crate) use self::messages::sent;
use self::messages::{Aim, aim};
pub(crate) use self::messages::{delete, edit};
use super::frames::{Outcome, View};
use crate::{
    ask,
    connection::Connection,
    error::ClientError,
    store::{
        Write, meta,
        outbox::{self, ChangeKind, Entry, EntryState, NewEntry},
    },
};

/// What an answer does to the rows. Written until the disk takes it, so it may run more than once.
type TakeIn = Arc<dyn Fn(&mut Write<'_>, &View, &mut Outcome) -> rusqlite::Result<()> + Send + Sync>;

/// The server has done it.
#[derive(Clone)]
pub(crate) struct Happened {
    /// Position that a message has got, and the revision of its state; else 0.
    pub(crate) seq: i64,
    pub(crate) rev: i64,
    pub(crate) take_in: TakeIn,
}

impl Happened {
    fn new(
        take_in: impl Fn(&mut Write<'_>, &View, &mut Outcome) -> rusqlite::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { seq: 0, rev: 0, take_in: Arc::new(take_in) }
    }
}

/// A change that a person makes, as the request of the contract that says it. It may be said again without harm.
pub(crate) trait Change: Call + Check + Default + Clone + 'static {
    /// Its number in the table.
    const KIND: ChangeKind;

    /// The room whose order it keeps; empty: the person's own changes.
    fn room_id(&self) -> &str;

    /// The server has answered.
    fn happened(answer: Self::Answer) -> Result<Happened, ClientError>;

    /// Shows at once what can be known before the server answers; `now_ms`: when it was made.
    fn foresee(&self, _: &mut Write<'_>, _now_ms: i64) -> rusqlite::Result<()> {
        Ok(())
    }

    /// Takes back what was foreseen.
    fn take_back(&self, _: &mut Write<'_>) -> rusqlite::Result<()> {
        Ok(())
    }

    /// Whether everything that waits behind it in its room falls with it for this reason.
    fn ends_room(&self, reason: ErrorReason) -> bool {
        matches!(reason, ErrorReason::RoomNotFound | ErrorReason::RoomEnded)
    }

    /// The position by which it names the message that it changes, 0 while that is not known; `None`: it changes none.
    fn aim(&mut self) -> Option<&mut i64> {
        None
    }

    /// What it says under another epoch, where positions mean other items; `None`: it cannot be said there.
    fn translate(mut self, entry: &Entry) -> Option<Self> {
        if let Some(position) = self.aim() {
            *position = 0;
            return (!entry.target.is_empty()).then_some(self);
        }
        Some(self)
    }
}

/// A [`Change`] whose kind is not known where it is used.
pub(crate) trait AnyChange: Send + Sync {
    /// The method that it is said with.
    fn path(&self) -> &'static str;
    /// See [`Change::happened`]; encoded.
    fn happened(&self, answer: Bytes) -> Result<Happened, ClientError>;
    /// See [`Change::foresee`].
    fn foresee(&self, w: &mut Write<'_>, now_ms: i64) -> rusqlite::Result<()>;
    /// See [`Change::take_back`].
    fn take_back(&self, w: &mut Write<'_>) -> rusqlite::Result<()>;
    /// See [`Change::ends_room`].
    fn ends_room(&self, reason: ErrorReason) -> bool;
    /// Position of the message that it changes; 0: none, or not known.
    fn position(&self) -> i64;
    /// What it says of the message at this position, encoded.
    fn aimed(&self, seq: i64) -> Vec<u8>;
    /// See [`Change::translate`]; encoded.
    fn translated(&self, entry: &Entry) -> Option<Vec<u8>>;
}

impl<C: Change> AnyChange for C {
    fn path(&self) -> &'static str {
        C::PATH
    }

    fn happened(&self, answer: Bytes) -> Result<Happened, ClientError> {
        C::happened(ask::read::<C>(answer)?)
    }

    fn foresee(&self, w: &mut Write<'_>, now_ms: i64) -> rusqlite::Result<()> {
        Change::foresee(self, w, now_ms)
    }

    fn take_back(&self, w: &mut Write<'_>) -> rusqlite::Result<()> {
        Change::take_back(self, w)
    }

    fn ends_room(&self, reason: ErrorReason) -> bool {
        Change::ends_room(self, reason)
    }

    fn position(&self) -> i64 {
        self.clone().aim().copied().unwrap_or_default()
    }

    fn aimed(&self, seq: i64) -> Vec<u8> {
        let mut change = self.clone();
        if let Some(position) = change.aim() {
            *position = seq;
        }
        change.encode_to_vec()
    }

    fn translated(&self, entry: &Entry) -> Option<Vec<u8>> {
        self.clone().translate(entry).map(|change| change.encode_to_vec())
    }
}

/// Says an entry, once.
pub(crate) async fn say(entry: &Entry, connection: &Connection) -> Result<Happened, ClientError> {
    let change = read(entry)?;
    change.happened(connection.ask_once(change.path(), entry.request.clone().into()).await?)
}

/// What an entry says.
pub(crate) fn read(entry: &Entry) -> rusqlite::Result<Box<dyn AnyChange>> {
    Ok(match entry.kind {
        ChangeKind::Send => Box::new(entry.decode::<SendMessageRequest>()?),
        ChangeKind::Edit => Box::new(entry.decode::<EditMessageRequest>()?),
        ChangeKind::Delete => Box::new(entry.decode::<DeleteMessageRequest>()?),
        ChangeKind::CreateRoom => Box::new(entry.decode::<CreateRoomRequest>()?),
        ChangeKind::Join => Box::new(entry.decode::<JoinRoomRequest>()?),
        ChangeKind::Leave => Box::new(entry.decode::<LeaveRoomRequest>()?),
        ChangeKind::Invite => Box::new(entry.decode::<InviteMembersRequest>()?),
        ChangeKind::Remove => Box::new(entry.decode::<RemoveMemberRequest>()?),
        ChangeKind::Profile => Box::new(entry.decode::<UpdateProfileRequest>()?),
        ChangeKind::Status => Box::new(entry.decode::<SetStatusRequest>()?),
    })
}

/// Refuses what the server would refuse for its fields, before it goes in. The limits are those of the contract.
pub(crate) fn check(change: &impl Change) -> Result<(), ClientError> {
    let mut violations = Vec::new();
    change.check(&Path::Root, &mut violations);
    if violations.is_empty() {
        Ok(())
    } else {
        let Refusal { reason, message, violations, .. } = Refusal::fields(violations);
        Err(ClientError { violations, ..ClientError::refused(reason, message) })
    }
}

/// Puts a change in, and shows what can be foreseen of it. `target`: the message of one's own that it changes.
pub(crate) fn put<C: Change>(
    w: &mut Write<'_>,
    change: &C,
    change_id: &str,
    target: &str,
    now: i64,
) -> rusqlite::Result<()> {
    let entry = NewEntry {
        kind: C::KIND,
        room_id: change.room_id().to_owned(),
        change_id: change_id.to_owned(),
        target: target.to_owned(),
        request: change.encode_to_vec(),
    };
    outbox::put(&w.tx, &entry, &meta::text(&w.tx, meta::EPOCH)?, now)?;
    w.changes.room(change.room_id());
    Change::foresee(change, w, now)
}

/// Takes an entry that leaves now; `None`: it does not leave, now or ever.
pub(crate) fn take(w: &mut Write<'_>, mut entry: Entry) -> rusqlite::Result<Option<Entry>> {
    if !entry.target.is_empty() {
        match aim(w, &entry)? {
            Aim::At(request) => {
                outbox::rewrite(&w.tx, entry.id, &request)?;
                entry.request = request;
            }
            Aim::Done => return Ok(None),
            Aim::Lost => {
                let missing = "the message that it changes is not known any more";
                outbox::fail(&w.tx, entry.id, ErrorReason::MessageNotFound, missing)?;
                w.changes.room(&entry.room_id);
                return Ok(None);
            }
        }
    }
    outbox::leave(&w.tx, entry.id)?;
    w.changes.room(&entry.room_id);
    Ok(Some(entry))
}

/// The server refused an entry. What waits behind it may have lost its ground.
pub(crate) fn refused(w: &mut Write<'_>, entry: &Entry, reason: ErrorReason, message: &str) -> rusqlite::Result<()> {
    let change = read(entry)?;
    change.take_back(w)?;
    w.changes.room(&entry.room_id);
    if change.ends_room(reason) {
        return outbox::fail_room(&w.tx, &entry.room_id, reason, message);
    }
    outbox::fail(&w.tx, entry.id, reason, message)
}

/// Puts an entry that has failed back into the queue; `false`: no such entry has failed.
pub(crate) fn retry(w: &mut Write<'_>, change_id: &str) -> rusqlite::Result<bool> {
    let Some(entry) = failed(w, change_id)? else { return Ok(false) };
    if entry.kind == ChangeKind::CreateRoom {
        outbox::retry_room(&w.tx, &entry.room_id)?;
    } else {
        outbox::retry(&w.tx, entry.id)?;
    }
    read(&entry)?.foresee(w, entry.created_ms)?;
    w.changes.room(&entry.room_id);
    Ok(true)
}

/// Throws an entry away that has failed, and what was said of it; `false`: no such entry has failed.
pub(crate) fn discard(w: &mut Write<'_>, change_id: &str) -> rusqlite::Result<bool> {
    let Some(entry) = failed(w, change_id)? else { return Ok(false) };
    if entry.kind == ChangeKind::CreateRoom {
        outbox::remove_room(&w.tx, &entry.room_id)?;
        rooms::forget(w, &entry.room_id)?;
    } else {
        outbox::remove(&w.tx, change_id)?;
    }
    w.changes.room(&entry.room_id);
    Ok(true)
}

fn failed(w: &Write<'_>, change_id: &str) -> rusqlite::Result<Option<Entry>> {
    Ok(outbox::find(&w.tx, change_id)?.filter(|entry| entry.state == EntryState::Failed))
}

/// The server has another history: what waits is put as it is to be said there, and what is foreseen is shown again.
pub(crate) fn change_epoch(w: &mut Write<'_>, epoch: &str) -> rusqlite::Result<()> {
    for entry in outbox::unsettled_of_other_epochs(&w.tx, epoch)? {
        let change = read(&entry)?;
        if let Some(request) = change.translated(&entry) {
            outbox::translate(&w.tx, entry.id, &request, epoch)?;
            change.foresee(w, entry.created_ms)?;
        } else {
            let message = "the item that it names belongs to a history that is gone";
            outbox::translate(&w.tx, entry.id, &entry.request, epoch)?;
            outbox::fail(&w.tx, entry.id, ErrorReason::EpochChanged, message)?;
        }
    }
    Ok(())
}

/// What became of an acknowledged change when the server's history changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is still there.
    Kept,
    /// The message is there as it was before the change.
    Undone,
    /// The message is not there, or nobody tells.
    Gone,
}

/// What became of a change, by the message that the server has where it was.
pub(crate) fn fate(entry: &Entry, message: Option<&Message>) -> Fate {
    match message.filter(|message| message.client_message_id == entry.message_id()) {
        None => Fate::Gone,
        // Whoever has changed it since has the last word.
        Some(message) if entry.kind != ChangeKind::Send && message.rev < entry.rev => Fate::Undone,
        Some(_) => Fate::Kept,
    }
}

/// Confirms a change that the server still has, and says one again that it no longer has. A message that is there vouches for
/// everything before it; a change of one does not, because another may have been made since.
pub(crate) fn settle_fate(w: &mut Write<'_>, entry: &Entry, fate: Fate, epoch: &str) -> rusqlite::Result<()> {
    w.changes.room(&entry.room_id);
    match fate {
        Fate::Kept if entry.kind == ChangeKind::Send => outbox::confirm_until(&w.tx, entry, epoch),
        Fate::Kept => outbox::confirm(&w.tx, entry, epoch),
        Fate::Undone => outbox::reoffer(&w.tx, entry.id, &entry.request, epoch),
        Fate::Gone => {
            let request = read(entry)?.translated(entry).unwrap_or_else(|| entry.request.clone());
            outbox::reoffer(&w.tx, entry.id, &request, epoch)
        }
    }
}
