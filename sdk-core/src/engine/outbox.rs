//! Empties the outbox: one message of a room at a time, rooms beside each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use madang_proto::v1::{
    ErrorReason, GetMessageRequest, Message, RoomEvent, SendMessageResponse,
    message_service_client::MessageServiceClient, room_event::Change,
};
use tokio::task::JoinSet;

use super::{
    Inner,
    frames::{self, Outcome, View},
};
use crate::{
    clock::millis,
    error::{ClientError, ClientErrorKind},
    sabotage::{self, Guard},
    store::{
        Durability, Write, meta,
        outbox::{self, Entry, EntryState},
    },
};

/// Rooms that are sent to at once; a quarter of the calls that a server lets a person have in flight.
const ROOMS_AT_ONCE: usize = 8;

/// What became of one attempt.
struct Attempt {
    room_id: String,
    /// The room waits so long before the next.
    retry_after: Option<Duration>,
}

pub(super) async fn run(inner: Arc<Inner>) {
    let mut sends: JoinSet<Attempt> = JoinSet::new();
    let mut rooms = Rooms::default();
    let mut online = inner.online.subscribe();
    loop {
        if sends.is_empty() {
            // The sender lives in `inner`, so waiting cannot fail.
            let _ = online.wait_for(|online| *online).await;
        }
        if *online.borrow_and_update() {
            let started = match start(&inner, &mut sends, &mut rooms).await {
                Ok(()) => reoffer(&inner).await,
                Err(error) => Err(error),
            };
            if let Err(error) = started {
                tracing::warn!(%error, "the outbox waits");
                inner.config.clock.sleep(inner.config.backoff.delay(1)).await;
                inner.wake.outbox.notify_one();
            }
        }
        tokio::select! {
            Some(Ok(attempt)) = sends.join_next() => rooms.note(attempt),
            () = inner.wake.outbox.notified() => {}
            _ = online.changed() => {}
        }
    }
}

/// What is going on in rooms.
#[derive(Default)]
struct Rooms {
    /// With an entry on its way, or in the wait before its next attempt.
    busy: BTreeSet<String>,
    /// Attempts in a row that failed.
    failures: BTreeMap<String, u32>,
}

impl Rooms {
    fn note(&mut self, attempt: Attempt) {
        self.busy.remove(&attempt.room_id);
        match attempt.retry_after {
            Some(_) => *self.failures.entry(attempt.room_id).or_default() += 1,
            None => drop(self.failures.remove(&attempt.room_id)),
        }
    }
}

async fn start(inner: &Arc<Inner>, sends: &mut JoinSet<Attempt>, rooms: &mut Rooms) -> Result<(), ClientError> {
    let free = ROOMS_AT_ONCE.saturating_sub(sends.len());
    let busy = if inner.guards.holds(Guard::OutboxOrder) { rooms.busy.clone() } else { BTreeSet::new() };
    let entries = inner.store.write(Durability::Outbox, move |w| take(w, &busy, free)).await?;
    for entry in entries {
        rooms.busy.insert(entry.request.room_id.clone());
        let failed = rooms.failures.get(&entry.request.room_id).copied().unwrap_or(0);
        sends.spawn(attempt(Arc::clone(inner), entry, failed));
    }
    Ok(())
}

/// Takes the entries that leave now, of rooms that are not busy.
pub(super) fn take(w: &mut Write<'_>, busy: &BTreeSet<String>, most: usize) -> rusqlite::Result<Vec<Entry>> {
    let mut entries = outbox::ready(&w.tx, w.guards)?;
    entries.retain(|entry| !busy.contains(&entry.request.room_id));
    entries.truncate(most);
    for entry in &entries {
        outbox::set_state(&w.tx, entry.id, EntryState::Sending)?;
        w.changes.room(&entry.request.room_id);
    }
    Ok(entries)
}

/// Sends an entry once. One that may be repeated goes back into the queue and the room waits: the entry keeps its place, and
/// the person sees that it is not on its way.
async fn attempt(inner: Arc<Inner>, entry: Entry, failed: u32) -> Attempt {
    let room_id = entry.request.room_id.clone();
    let mut retry_after = None;
    sabotage::phase("sending");
    match send(&inner, &entry).await {
        Ok(answer) => {
            sabotage::phase("answered");
            settle(&inner, &entry, answer).await;
        }
        Err(error) if error.may_repeat() || error.is_before_the_wire() => {
            let delay = error.retry_after.unwrap_or_default().max(inner.config.backoff.delay(failed + 1));
            retry_after = Some(delay);
            if error.reason == Some(ErrorReason::EpochChanged) {
                inner.wake.hurry.notify_one();
            }
            write(&inner, &room_id, move |w| outbox::set_state(&w.tx, entry.id, EntryState::Queued)).await;
            inner.config.clock.sleep(delay).await;
        }
        Err(error) => {
            let (reason, room) = (error.reason.unwrap_or_default(), room_id.clone());
            write(&inner, &room_id, move |w| refused(w, &room, entry.id, reason, &error.message)).await;
        }
    }
    Attempt { room_id, retry_after }
}

/// The server refused an entry. What waits behind it has never left, and would be refused one by one.
pub(super) fn refused(
    w: &mut Write<'_>,
    room_id: &str,
    id: i64,
    reason: ErrorReason,
    message: &str,
) -> rusqlite::Result<()> {
    if concerns_room(reason) {
        return outbox::fail_room(&w.tx, room_id, reason, message);
    }
    outbox::fail(&w.tx, id, reason, message)
}

/// Whether a refusal is about the person's place in the room, and not about the message.
fn concerns_room(reason: ErrorReason) -> bool {
    matches!(reason, ErrorReason::RoomNotFound | ErrorReason::RoomEnded | ErrorReason::RoomPermissionMissing)
}

async fn send(inner: &Inner, entry: &Entry) -> Result<SendMessageResponse, ClientError> {
    let rpc = |channel, request| async { MessageServiceClient::new(channel).send_message(request).await };
    sabotage::phase_soon("sent");
    inner.connection.call_once(entry.request.clone(), rpc).await
}

/// The server has it: the row is taken, and the echo becomes it.
async fn settle(inner: &Inner, entry: &Entry, answer: SendMessageResponse) {
    let (id, now) = (entry.id, millis(inner.config.clock.now()));
    let Some(message) = answer.message else {
        let missing = "the answer names no message";
        let room_id = entry.request.room_id.clone();
        write(inner, &room_id, move |w| outbox::fail(&w.tx, id, ErrorReason::Internal, missing)).await;
        return;
    };
    let numbers = (answer.prev_rev, answer.rev);
    until_written(inner, || {
        let message = message.clone();
        inner.apply(move |w, view, out| acknowledged(w, view, id, message, numbers, now, out))
    })
    .await;
}

/// The server has an entry, as this message, which moved its room's revision from one number to another.
pub(super) fn acknowledged(
    w: &mut Write<'_>,
    view: &View,
    id: i64,
    message: Message,
    (prev_rev, rev): (i64, i64),
    now: i64,
    out: &mut Outcome,
) -> rusqlite::Result<()> {
    if w.guards.holds(Guard::EchoMerge) {
        outbox::acknowledge(&w.tx, id, message.seq, now)?;
    } else {
        outbox::fail(&w.tx, id, ErrorReason::Unspecified, "sent")?;
    }
    w.changes.room(&message.room_id);
    frames::answer(w, view, change_of(message, (prev_rev, rev)), out)
}

/// The event that a message's change is, as a command's answer tells it.
pub(crate) fn change_of(message: Message, (prev_rev, rev): (i64, i64)) -> RoomEvent {
    let (room_id, actor_id) = (message.room_id.clone(), message.sender_id.clone());
    RoomEvent { room_id, prev_rev, rev, actor_id, change: Some(Change::Message(message)) }
}

async fn write(
    inner: &Inner,
    room_id: &str,
    job: impl Fn(&mut Write<'_>) -> rusqlite::Result<()> + Clone + Send + 'static,
) {
    until_written(inner, || {
        let (room_id, job) = (room_id.to_owned(), job.clone());
        inner.store.write(Durability::Outbox, move |w| {
            w.changes.room(&room_id);
            job(w)
        })
    })
    .await;
}

/// Writes until the disk takes it: an entry that stayed on its way would hold its room up until the next start.
async fn until_written<F: Future<Output = Result<(), ClientError>>>(inner: &Inner, write: impl Fn() -> F) {
    let mut failures = 0;
    while let Err(error) = write().await {
        tracing::warn!(%error, "the outbox could not be written");
        if error.kind != ClientErrorKind::Storage {
            return;
        }
        failures += 1;
        inner.config.clock.sleep(inner.config.backoff.delay(failures)).await;
    }
}

/// After a change of the epoch: what the server had acknowledged and no longer has is sent again. A backup is a beginning
/// of each room, so the newest entry that is still there vouches for all before it.
async fn reoffer(inner: &Inner) -> Result<(), ClientError> {
    let (epoch, entries) = inner
        .store
        .read(|r| {
            let epoch = meta::text(r.conn, meta::EPOCH)?;
            let entries = outbox::of_other_epochs(r.conn, &epoch)?;
            Ok((epoch, entries))
        })
        .await?;
    let mut settled: Vec<String> = Vec::new();
    for entry in entries {
        let room_id = entry.request.room_id.clone();
        if settled.contains(&room_id) {
            continue;
        }
        let missing = is_missing(inner, &entry).await?;
        let epoch = epoch.clone();
        if missing {
            write(inner, &room_id, move |w| outbox::reoffer(&w.tx, &entry, &epoch, EntryState::Queued)).await;
        } else {
            write(inner, &room_id, move |w| outbox::confirm_until(&w.tx, &entry, &epoch)).await;
            settled.push(room_id);
        }
        inner.wake.outbox.notify_one();
    }
    Ok(())
}

async fn is_missing(inner: &Inner, entry: &Entry) -> Result<bool, ClientError> {
    let request = GetMessageRequest { room_id: entry.request.room_id.clone(), seq: entry.seq };
    let rpc = |channel, request| async { MessageServiceClient::new(channel).get_message(request).await };
    match inner.connection.call_once(request, rpc).await {
        Ok(answer) => {
            Ok(answer.message.is_none_or(|message| message.client_message_id != entry.request.client_message_id))
        }
        Err(error) if error.reason == Some(ErrorReason::MessageNotFound) => Ok(true),
        // Out of the room now: nothing can be sent there.
        Err(error) if !error.may_repeat() => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use madang_proto::v1::{Message, SendMessageRequest};

    use super::*;
    use crate::{
        config::{Backoff, ClientConfig, StoreLocation, TokenProvider},
        connection::Connection,
        observe::Observers,
        sabotage::Guards,
        store::Store,
    };

    #[derive(Debug)]
    struct NoTokens;

    #[async_trait::async_trait]
    impl TokenProvider for NoTokens {
        async fn token(&self, _fresh: bool) -> Result<String, ClientError> {
            Err(ClientError::ended())
        }
    }

    async fn inner() -> Inner {
        let backoff = Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(1) };
        let config = ClientConfig { backoff, ..ClientConfig::new("http://127.0.0.1:1", StoreLocation::Memory) };
        let connection = Connection::new(&config, "device", Arc::new(NoTokens)).unwrap();
        let observers = Arc::new(Observers::default());
        let store = Store::open(StoreLocation::Memory, Arc::clone(&observers), Guards::default()).await.unwrap();
        Inner::new(config, connection, store, observers, Guards::default())
    }

    async fn run(inner: &Inner, sql: &'static str) {
        inner.store.write(Durability::Outbox, move |w| w.tx.execute(sql, []).map(drop)).await.unwrap();
    }

    /// An entry that is on its way, in a store that takes no change of it.
    async fn on_a_full_disk(inner: &Inner) -> Entry {
        let put = |w: &mut Write<'_>| {
            let (room_id, client_message_id) = ("r".to_owned(), "m".to_owned());
            let request = SendMessageRequest { room_id, client_message_id, ..SendMessageRequest::default() };
            outbox::put(&w.tx, &request, "e", 0)?;
            let entry = outbox::ready(&w.tx, w.guards)?.remove(0);
            outbox::set_state(&w.tx, entry.id, EntryState::Sending)?;
            Ok(entry)
        };
        let entry = inner.store.write(Durability::Outbox, put).await.unwrap();
        run(inner, "create trigger disk before update on outbox begin select raise(abort, 'full'); end").await;
        entry
    }

    async fn state(inner: &Inner) -> EntryState {
        inner.store.read(|r| Ok(outbox::all(r.conn)?.remove(0).state)).await.unwrap()
    }

    #[tokio::test]
    async fn an_answer_that_the_disk_does_not_take_is_written_when_there_is_room() {
        let inner = inner().await;
        let entry = on_a_full_disk(&inner).await;
        let message = Message { room_id: "r".into(), seq: 1, rev: 1, ..Message::default() };
        let answer = SendMessageResponse { message: Some(message), ..SendMessageResponse::default() };
        tokio::join!(settle(&inner, &entry, answer), run(&inner, "drop trigger disk"));
        assert_eq!(state(&inner).await, EntryState::Acknowledged);
    }

    #[tokio::test]
    async fn an_entry_goes_back_into_the_queue_when_there_is_room_for_that() {
        let inner = inner().await;
        let entry = on_a_full_disk(&inner).await;
        let back = write(&inner, "r", move |w| outbox::set_state(&w.tx, entry.id, EntryState::Queued));
        tokio::join!(back, run(&inner, "drop trigger disk"));
        assert_eq!(state(&inner).await, EntryState::Queued);
    }
}
