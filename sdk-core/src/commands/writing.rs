//! Messages: written, changed, deleted.

use madang_proto::v1::{
    ClientFrame, DeleteMessageRequest, EditMessageRequest, Message, MessageBody, SendMessageRequest, Typing,
    client_frame::Frame, message_service_client::MessageServiceClient,
};

use crate::{
    client::Client,
    clock::{millis, new_id},
    engine,
    error::{ClientError, ClientErrorKind},
    sabotage,
    store::{Durability, Write, drafts, marks, meta, outbox, rooms},
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
        if draft.text.is_empty() {
            return Err(ClientError::new(ClientErrorKind::Invalid, "an empty message"));
        }
        let request = SendMessageRequest {
            room_id: room_id.to_owned(),
            client_message_id: new_id(&*self.inner.config.clock),
            body: Some(MessageBody { text: draft.text, ..MessageBody::default() }),
            mentioned_user_ids: draft.mentions,
            mention_all: draft.mention_all,
            reply_to_seq: draft.reply_to,
            ..SendMessageRequest::default()
        };
        let id = request.client_message_id.clone();
        let seen_seq = self.inner.seen(room_id);
        let now = millis(self.inner.config.clock.now());
        sabotage::phase("typing");
        self.inner.store.write(Durability::Outbox, move |w| put(w, request, seen_seq, now)).await?;
        sabotage::phase("typed");
        self.inner.wake.outbox.notify_one();
        Ok(id)
    }

    /// Puts a message that has failed back into the queue.
    pub async fn retry_failed(&self, client_message_id: &str) -> Result<(), ClientError> {
        self.failed(client_message_id, |w, id| outbox::retry(&w.tx, id)).await?;
        self.inner.wake.outbox.notify_one();
        Ok(())
    }

    /// Throws a message that has failed away.
    pub async fn discard_failed(&self, client_message_id: &str) -> Result<(), ClientError> {
        self.failed(client_message_id, |w, id| outbox::discard(&w.tx, id)).await
    }

    async fn failed(
        &self,
        client_message_id: &str,
        job: impl FnOnce(&mut Write<'_>, &str) -> rusqlite::Result<Option<String>> + Send + 'static,
    ) -> Result<(), ClientError> {
        let id = client_message_id.to_owned();
        let found = self.inner.store.write(Durability::Outbox, move |w| {
            let room_id = job(w, &id)?;
            if let Some(room_id) = &room_id {
                w.changes.room(room_id);
            }
            Ok(room_id)
        });
        let missing = || ClientError::new(ClientErrorKind::NotFound, "no such message has failed");
        found.await?.map(drop).ok_or_else(missing)
    }

    /// Replaces the text of one's own message.
    pub async fn edit(&self, room_id: &str, seq: i64, draft: impl Into<Draft>) -> Result<(), ClientError> {
        let draft = draft.into();
        let request = EditMessageRequest {
            room_id: room_id.to_owned(),
            seq,
            body: Some(MessageBody { text: draft.text, ..MessageBody::default() }),
            mentioned_user_ids: draft.mentions,
            mention_all: draft.mention_all,
        };
        let rpc = |channel, request| async { MessageServiceClient::new(channel).edit_message(request).await };
        let answer = self.inner.connection.call(request, rpc).await?;
        self.changed_message(answer.message, answer.prev_rev, answer.rev).await
    }

    /// Deletes a message for everybody.
    pub async fn delete(&self, room_id: &str, seq: i64) -> Result<(), ClientError> {
        let request = DeleteMessageRequest { room_id: room_id.to_owned(), seq };
        let rpc = |channel, request| async { MessageServiceClient::new(channel).delete_message(request).await };
        let answer = self.inner.connection.call(request, rpc).await?;
        self.changed_message(answer.message, answer.prev_rev, answer.rev).await
    }

    async fn changed_message(&self, message: Option<Message>, prev_rev: i64, rev: i64) -> Result<(), ClientError> {
        let Some(message) = message else { return Ok(()) };
        let event = engine::change_of(message, (prev_rev, rev));
        self.inner.apply(move |w, view, out| engine::answer(w, view, event, out)).await
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

/// Puts a message in. Only what was in front of the person, in a room held complete, may move their mark.
pub(crate) fn put(w: &mut Write<'_>, mut request: SendMessageRequest, seen_seq: i64, now: i64) -> rusqlite::Result<()> {
    let state = rooms::load(&w.tx, &request.room_id)?;
    if seen_seq > 0 && state.rev == state.head_rev {
        let waiting = marks::find(&w.tx, &request.room_id)?.map(|mark| mark.shown);
        request.seen_seq = seen_seq;
        request.seen_generation = marks::shown(state.mark(), waiting, w.guards).generation;
    }
    w.changes.room(&request.room_id);
    drafts::put(&w.tx, &request.room_id, "")?;
    outbox::put(&w.tx, &request, &meta::text(&w.tx, meta::EPOCH)?, now)
}
