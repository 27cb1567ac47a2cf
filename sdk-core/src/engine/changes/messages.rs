//! Messages: sent, edited, deleted.

use madang_proto::v1::{
    DeleteMessageRequest, EditMessageRequest, ErrorReason, Message, SendMessageRequest, SendMessageResponse,
};
use prost::Message as _;

use super::{Change, Happened, put};
use crate::{
    engine::frames::{self, change_of},
    error::{ClientError, ClientErrorKind},
    store::{
        MessageKey, Write, messages,
        outbox::{self, ChangeKind, Entry, EntryState},
    },
};

impl Change for SendMessageRequest {
    const KIND: ChangeKind = ChangeKind::Send;

    fn room_id(&self) -> &str {
        &self.room_id
    }

    fn happened(answer: Self::Answer) -> Result<Happened, ClientError> {
        sent(answer)
    }

    fn ends_room(&self, reason: ErrorReason) -> bool {
        // About the person's place in the room, and not about the message: what waits behind would be refused one by one.
        matches!(reason, ErrorReason::RoomNotFound | ErrorReason::RoomEnded | ErrorReason::RoomPermissionMissing)
    }

    fn translate(self, _: &Entry) -> Option<Self> {
        Some(outbox::without_positions(self))
    }
}

/// The server has the message.
pub(crate) fn sent(answer: SendMessageResponse) -> Result<Happened, ClientError> {
    let SendMessageResponse { message, prev_rev, rev, .. } = answer;
    changed(message, (prev_rev, rev))
}

impl Change for EditMessageRequest {
    const KIND: ChangeKind = ChangeKind::Edit;

    fn room_id(&self) -> &str {
        &self.room_id
    }

    fn happened(answer: Self::Answer) -> Result<Happened, ClientError> {
        changed(answer.message, (answer.prev_rev, answer.rev))
    }

    fn aim(&mut self) -> Option<&mut i64> {
        Some(&mut self.seq)
    }
}

impl Change for DeleteMessageRequest {
    const KIND: ChangeKind = ChangeKind::Delete;

    fn room_id(&self) -> &str {
        &self.room_id
    }

    fn happened(answer: Self::Answer) -> Result<Happened, ClientError> {
        changed(answer.message, (answer.prev_rev, answer.rev))
    }

    fn aim(&mut self) -> Option<&mut i64> {
        Some(&mut self.seq)
    }
}

fn changed(message: Option<Message>, numbers: (i64, i64)) -> Result<Happened, ClientError> {
    let missing = || ClientError::new(ClientErrorKind::Internal, "the answer names no message");
    let message = message.ok_or_else(missing)?;
    let (seq, rev) = (message.seq, message.rev);
    let event = change_of(message, numbers);
    Ok(Happened { seq, rev, ..Happened::new(move |w, view, out| frames::answer(w, view, event.clone(), out)) })
}

/// What is to be changed, as far as it is known here.
struct Target {
    /// The entry that sends it, if it is one's own and still in the outbox.
    entry: Option<Entry>,
    /// The client's id of it, if it is one's own.
    own_id: String,
    /// Its position; 0 until the server has it.
    seq: i64,
}

fn target(w: &Write<'_>, room_id: &str, key: &MessageKey) -> rusqlite::Result<Option<Target>> {
    let row = match key {
        MessageKey::Seq(seq) => messages::find(&w.tx, room_id, *seq)?,
        MessageKey::Own(id) => messages::find_own(&w.tx, room_id, &w.me, id)?,
    };
    let own_id = match (key, row.as_ref().filter(|row| row.sender_id == w.me)) {
        (MessageKey::Own(id), _) => id.clone(),
        (MessageKey::Seq(_), own) => own.map(|row| row.client_message_id.clone()).unwrap_or_default(),
    };
    let entry = if own_id.is_empty() { None } else { outbox::find(&w.tx, &own_id)? };
    let entry = entry.filter(|entry| entry.kind == ChangeKind::Send && entry.room_id == room_id);
    let seq = match (key, &row, &entry) {
        (MessageKey::Seq(seq), ..) => *seq,
        (_, Some(row), _) => row.seq,
        (_, _, Some(entry)) => entry.seq,
        _ => return Ok(None),
    };
    Ok(Some(Target { entry, own_id, seq }))
}

/// Whether the server cannot have the message: it never left, or was refused.
fn is_here_alone(entry: &Entry) -> bool {
    entry.state == EntryState::Failed || entry.state == EntryState::Queued && !entry.tried
}

/// Puts an edit in; the answer is the entry that makes it, which is that of the message itself where only this device has
/// it. `None`: no such message is known.
pub(crate) fn edit(
    w: &mut Write<'_>,
    key: &MessageKey,
    request: EditMessageRequest,
    change_id: &str,
    now: i64,
) -> rusqlite::Result<Option<String>> {
    let Some(target) = target(w, &request.room_id, key)? else { return Ok(None) };
    if let Some(entry) = target.entry.filter(is_here_alone) {
        rewrite(w, &entry, &request)?;
        return Ok(Some(entry.change_id));
    }
    put(w, &EditMessageRequest { seq: target.seq, ..request }, change_id, &target.own_id, now)?;
    Ok(Some(change_id.to_owned()))
}

/// Puts a deletion in; the answer is its entry. What only this device has is gone at once, and the entry is done. `None`: no
/// such message is known.
pub(crate) fn delete(
    w: &mut Write<'_>,
    key: &MessageKey,
    request: DeleteMessageRequest,
    change_id: &str,
    now: i64,
) -> rusqlite::Result<Option<String>> {
    let Some(target) = target(w, &request.room_id, key)? else { return Ok(None) };
    let request = DeleteMessageRequest { seq: target.seq, ..request };
    if let Some(entry) = target.entry.filter(is_here_alone) {
        outbox::remove(&w.tx, &entry.change_id)?;
        put(w, &request, change_id, "", now)?;
        outbox::done(&w.tx, change_id, now)?;
    } else {
        put(w, &request, change_id, &target.own_id, now)?;
    }
    Ok(Some(change_id.to_owned()))
}

/// Lets a message that only this device has say something else.
fn rewrite(w: &mut Write<'_>, entry: &Entry, edit: &EditMessageRequest) -> rusqlite::Result<()> {
    let EditMessageRequest { body, mentioned_user_ids, mention_all, .. } = edit.clone();
    let sent = SendMessageRequest { body, mentioned_user_ids, mention_all, ..entry.decode()? };
    w.changes.room(&entry.room_id);
    outbox::rewrite(&w.tx, entry.id, &sent.encode_to_vec())
}

/// How a change of a message whose position is not known is to be said.
pub(super) enum Aim {
    /// With this request.
    At(Vec<u8>),
    /// Not at all any more: the message waits with the change in it, or was thrown away with it.
    Done,
    /// Nobody knows the message.
    Lost,
}

/// Finds the position of the message of one's own that an entry changes, which stood before it in the outbox or was there
/// already.
pub(super) fn aim(w: &mut Write<'_>, entry: &Entry) -> rusqlite::Result<Aim> {
    let change = super::read(entry)?;
    let Some(sent) = outbox::find(&w.tx, &entry.target)? else {
        if let Some(row) = messages::find_own(&w.tx, &entry.room_id, &w.me, &entry.target)? {
            return Ok(Aim::At(change.aimed(row.seq)));
        }
        return Ok(if change.position() > 0 { Aim::At(entry.request.clone()) } else { Aim::Lost });
    };
    if sent.state == EntryState::Acknowledged {
        return Ok(Aim::At(change.aimed(sent.seq)));
    }
    // It was refused, else it would have left before.
    if entry.kind == ChangeKind::Edit {
        rewrite(w, &sent, &entry.decode()?)?;
        outbox::remove(&w.tx, &entry.change_id)?;
    } else {
        outbox::remove(&w.tx, &sent.change_id)?;
    }
    w.changes.room(&entry.room_id);
    Ok(Aim::Done)
}
