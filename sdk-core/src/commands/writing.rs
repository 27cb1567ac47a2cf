//! Messages: written, changed, deleted.

use madang_proto::v1::{
    ClientFrame, DeleteMessageRequest, EditMessageRequest, ErrorReason, MessageBody, SendMessageRequest, Typing,
    client_frame::Frame,
};

use crate::{
    client::Client,
    clock::millis,
    engine::changes,
    error::{ClientError, ClientErrorKind},
    sabotage,
    store::{Durability, MessageKey, Write, drafts, marks, rooms},
};

/// A message to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// What it says.
    pub text: String,
    /// People mentioned, by id.
    pub mentions: Vec<String>,
    /// Mentions everybody in the room.
    pub mention_all: bool,
    /// The item it answers; 0: none.
    pub reply_to: i64,
}

impl From<&str> for Draft {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }
}

impl From<String> for Draft {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

impl Client {
    /// Sends a message. It is on the disk when this returns, and leaves in the order of the calls; the answer is its id,
    /// by which the timeline shows how far it is.
    pub async fn send(&self, room_id: &str, draft: impl Into<Draft>) -> Result<String, ClientError> {
        let draft = draft.into();
        let request = SendMessageRequest {
            room_id: room_id.to_owned(),
            client_message_id: self.change_id(),
            body: Some(MessageBody { text: draft.text, ..MessageBody::default() }),
            mentioned_user_ids: draft.mentions,
            mention_all: draft.mention_all,
            reply_to_seq: draft.reply_to,
            ..SendMessageRequest::default()
        };
        written(request.body.as_ref())?;
        changes::check(&request)?;
        let id = request.client_message_id.clone();
        let seen_seq = self.inner.seen(room_id);
        let now = millis(self.inner.config.clock.now());
        sabotage::phase("typing");
        self.inner.store.write(Durability::Outbox, move |w| put(w, request, seen_seq, now)).await?;
        sabotage::phase("typed");
        self.inner.wake.outbox.notify_one();
        Ok(id)
    }

    /// Replaces the text of one's own message, also of one that is not there yet. The answer is the id of the change; of a
    /// message that has never left it is that of the message, which says the new text when it leaves.
    pub async fn edit(
        &self,
        room_id: &str,
        message: impl Into<MessageKey>,
        draft: impl Into<Draft>,
    ) -> Result<String, ClientError> {
        let draft = draft.into();
        let request = EditMessageRequest {
            room_id: room_id.to_owned(),
            seq: 1,
            body: Some(MessageBody { text: draft.text, ..MessageBody::default() }),
            mentioned_user_ids: draft.mentions,
            mention_all: draft.mention_all,
        };
        written(request.body.as_ref())?;
        changes::check(&request)?;
        let key = message.into();
        self.change_message(move |w, id, now| changes::edit(w, &key, request, id, now)).await
    }

    /// Deletes a message for everybody; one that has never left is thrown away. The answer is the id of the change.
    pub async fn delete(&self, room_id: &str, message: impl Into<MessageKey>) -> Result<String, ClientError> {
        let request = DeleteMessageRequest { room_id: room_id.to_owned(), seq: 1 };
        changes::check(&request)?;
        let key = message.into();
        self.change_message(move |w, id, now| changes::delete(w, &key, request, id, now)).await
    }

    async fn change_message(
        &self,
        put: impl FnOnce(&mut Write<'_>, &str, i64) -> rusqlite::Result<Option<String>> + Send + 'static,
    ) -> Result<String, ClientError> {
        let (id, now) = (self.change_id(), millis(self.inner.config.clock.now()));
        let put = self.inner.store.write(Durability::Outbox, move |w| put(w, &id, now)).await?;
        let unknown = || ClientError::refused(ErrorReason::MessageNotFound, "no such message is known here");
        let id = put.ok_or_else(unknown)?;
        self.inner.wake.outbox.notify_one();
        Ok(id)
    }

    /// Says that the person is writing. Lossy, and cheap to call at every key: the host need not count.
    pub fn typing(&self, room_id: &str) {
        if self.inner.typing.may_say(room_id, self.inner.config.clock.now()) {
            self.inner.say(ClientFrame { frame: Some(Frame::Typing(Typing { room_id: room_id.to_owned() })) });
        }
    }

    /// What the person began to write in a room; empty: nothing.
    pub async fn draft(&self, room_id: &str) -> Result<String, ClientError> {
        let room_id = room_id.to_owned();
        self.inner.store.read(move |r| drafts::find(r.conn, &room_id)).await
    }

    /// Keeps what the person began to write; empty: nothing.
    pub async fn set_draft(&self, room_id: &str, text: &str) -> Result<(), ClientError> {
        let (room_id, text) = (room_id.to_owned(), text.to_owned());
        let put = move |w: &mut Write<'_>| {
            w.changes.room(&room_id);
            drafts::put(&w.tx, &room_id, &text)
        };
        self.inner.store.write(Durability::Outbox, put).await
    }
}

/// Refuses a message that says nothing.
fn written(body: Option<&MessageBody>) -> Result<(), ClientError> {
    if body.is_none_or(|body| body.text.is_empty()) {
        return Err(ClientError::new(ClientErrorKind::Invalid, "an empty message"));
    }
    Ok(())
}

/// Puts a message in. Only what was in front of the person, in a room held complete, may move their mark.
pub(crate) fn put(w: &mut Write<'_>, mut request: SendMessageRequest, seen_seq: i64, now: i64) -> rusqlite::Result<()> {
    let state = rooms::load(&w.tx, &request.room_id)?;
    if seen_seq > 0 && state.rev == state.head_rev {
        let waiting = marks::find(&w.tx, &request.room_id)?.map(|mark| mark.shown);
        request.seen_seq = seen_seq;
        request.seen_generation = marks::shown(state.mark(), waiting, w.guards).generation;
    }
    drafts::put(&w.tx, &request.room_id, "")?;
    changes::put(w, &request, &request.client_message_id, "", now)
}
