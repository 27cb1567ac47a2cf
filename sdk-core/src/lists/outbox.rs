//! What was typed and the server does not have.

use std::{sync::Arc, time::SystemTime};

use madang_proto::v1::{DeleteMessageRequest, EditMessageRequest, SendMessageRequest};

use super::diff::{Followed, Keyed, ListChange};
use crate::{
    clock::{system_time, timestamp},
    engine::Inner,
    error::ClientError,
    observe::Listener,
    store::{
        ChangeKind, MessageKey, SendState,
        outbox::{self, Entry},
    },
};

/// A change that the person made and the server does not have.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingChange {
    /// Its id, as the call that made it answered.
    pub id: String,
    /// What it changes.
    pub kind: ChangeKind,
    /// The room; empty for the person's own profile.
    pub room_id: String,
    /// The message that it edits or deletes.
    pub message: Option<MessageKey>,
    /// What a message is to say; empty for everything else.
    pub text: String,
    /// How far it is.
    pub state: SendState,
    /// When it was made.
    pub created_at: SystemTime,
}

/// What waits, is on its way or has failed, of all rooms, oldest first; pulled.
#[derive(Debug)]
pub struct OutboxList {
    inner: Arc<Inner>,
    listener: Arc<Listener>,
    list: Followed<WaitingChange>,
    /// Something changed that is not read yet.
    stale: bool,
}

impl Keyed for WaitingChange {
    type Key<'a> = &'a str;

    fn key(&self) -> &str {
        &self.id
    }
}

impl OutboxList {
    pub(crate) async fn open(inner: Arc<Inner>) -> Result<Self, ClientError> {
        let listener = inner.observers.listen(None);
        let items = read(&inner).await?;
        Ok(Self { inner, listener, list: Followed::new(items), stale: false })
    }

    /// The entries after the changes that [`next`](Self::next) has told.
    pub fn items(&self) -> &[WaitingChange] {
        self.list.told()
    }

    /// Waits until something has changed, and tells all of it. Nothing is lost when the wait is given up. `None`: the client
    /// has ended.
    pub async fn next(&mut self) -> Option<Vec<ListChange<WaitingChange>>> {
        loop {
            if let Some(batch) = self.list.batch() {
                return Some(batch);
            }
            if !self.stale {
                self.listener.changed().await?;
            }
            self.stale = true;
            self.listener.take();
            let items = match read(&self.inner).await {
                Ok(read) => read,
                Err(error) if self.inner.goes_on(&error).await => continue,
                Err(_) => return None,
            };
            self.stale = false;
            self.list.turn_into(items);
        }
    }
}

async fn read(inner: &Inner) -> Result<Vec<WaitingChange>, ClientError> {
    inner.store.read(|r| outbox::waiting(r.conn)?.iter().map(change).collect()).await
}

fn change(entry: &Entry) -> rusqlite::Result<WaitingChange> {
    let (position, body) = match entry.kind {
        ChangeKind::Send => (0, entry.decode::<SendMessageRequest>()?.body),
        ChangeKind::Edit => {
            let edit: EditMessageRequest = entry.decode()?;
            (edit.seq, edit.body)
        }
        ChangeKind::Delete => (entry.decode::<DeleteMessageRequest>()?.seq, None),
        _ => (0, None),
    };
    let own = (!entry.target.is_empty()).then(|| MessageKey::Own(entry.target.clone()));
    Ok(WaitingChange {
        id: entry.change_id.clone(),
        kind: entry.kind,
        room_id: entry.room_id.clone(),
        message: own.or((position > 0).then_some(MessageKey::Seq(position))),
        text: body.map(|body| body.text).unwrap_or_default(),
        state: entry.send_state(),
        created_at: system_time(Some(&timestamp(entry.created_ms))),
    })
}
