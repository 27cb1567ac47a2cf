//! Empties the outbox: one change of a room at a time, rooms beside each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use madang_proto::v1::{ErrorReason, GetMessageRequest};
use tokio::task::JoinSet;

use super::{
    Inner,
    changes::{self, Fate, Happened},
    frames::{Outcome, View},
};
use crate::{
    clock::millis,
    error::{ClientError, ClientErrorKind},
    sabotage::{self, Guard},
    store::{
        Durability, Write, meta,
        outbox::{self, ChangeKind, Entry},
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
        rooms.busy.insert(entry.room_id.clone());
        let failed = rooms.failures.get(&entry.room_id).copied().unwrap_or(0);
        sends.spawn(attempt(Arc::clone(inner), entry, failed));
    }
    Ok(())
}

/// Takes the entries that leave now, of rooms that are not busy.
pub(super) fn take(w: &mut Write<'_>, busy: &BTreeSet<String>, most: usize) -> rusqlite::Result<Vec<Entry>> {
    let mut leaving = Vec::new();
    // What turns out not to leave makes way for the next of its room.
    loop {
        let mut ready = outbox::ready(&w.tx, w.guards)?;
        ready.retain(|entry| !busy.contains(&entry.room_id));
        ready.truncate(most - leaving.len());
        let found = ready.len();
        let before = leaving.len();
        for entry in ready {
            leaving.extend(changes::take(w, entry)?);
        }
        if leaving.len() - before == found {
            return Ok(leaving);
        }
    }
}

/// Says an entry once. One that may be repeated goes back into the queue and the room waits: the entry keeps its place, and
/// the person sees that it is not on its way.
async fn attempt(inner: Arc<Inner>, entry: Entry, failed: u32) -> Attempt {
    let room_id = entry.room_id.clone();
    let mut retry_after = None;
    sabotage::phase("sending");
    inner.connection.record.send(&entry.change_id);
    match say(&inner, &entry).await {
        Ok(happened) => {
            sabotage::phase("answered");
            settle(&inner, &entry, happened).await;
        }
        Err(error) if error.may_repeat() || error.is_before_the_wire() => {
            let delay = error.retry_after.unwrap_or_default().max(inner.config.backoff.delay(failed + 1));
            retry_after = Some(delay);
            if error.reason == Some(ErrorReason::EpochChanged) {
                inner.wake.hurry.notify_one();
            }
            write(&inner, &room_id, move |w| outbox::wait(&w.tx, entry.id)).await;
            inner.config.clock.sleep(delay).await;
        }
        Err(error) => {
            let (reason, me) = (error.reason.unwrap_or_default(), inner.me.borrow().clone());
            inner.connection.record.refused(&entry.change_id, reason);
            let profile = matches!(entry.kind, ChangeKind::Profile | ChangeKind::Status);
            write(&inner, &room_id, move |w| changes::refused(w, &entry, reason, &error.message)).await;
            inner.want_people(me.filter(|_| profile));
        }
    }
    Attempt { room_id, retry_after }
}

async fn say(inner: &Inner, entry: &Entry) -> Result<Happened, ClientError> {
    inner.may_say()?;
    if entry.kind == ChangeKind::Send {
        sabotage::phase_soon("sent");
    }
    changes::say(entry, &inner.connection).await
}

/// The server has done it: the rows are taken, and the echo becomes what is stored.
async fn settle(inner: &Inner, entry: &Entry, happened: Happened) {
    let (now, entry) = (millis(inner.config.clock.now()), entry.clone());
    until_written(inner, || {
        let (entry, happened) = (entry.clone(), happened.clone());
        inner.apply(move |w, view, out| acknowledged(w, view, &entry, &happened, now, out))
    })
    .await;
}

/// The server has done what an entry says.
pub(super) fn acknowledged(
    w: &mut Write<'_>,
    view: &View,
    entry: &Entry,
    happened: &Happened,
    now: i64,
    out: &mut Outcome,
) -> rusqlite::Result<()> {
    if w.guards.holds(Guard::EchoMerge) || entry.kind != ChangeKind::Send {
        outbox::acknowledge(&w.tx, entry.id, (happened.seq, happened.rev), now)?;
    } else {
        outbox::fail(&w.tx, entry.id, ErrorReason::Unspecified, "sent")?;
    }
    w.changes.room(&entry.room_id);
    (happened.take_in)(w, view, out)
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

/// After a change of the epoch: what the server had acknowledged and no longer has is said again. A backup is a beginning
/// of each room, so the newest message that is still there vouches for all before it.
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
        let room_id = entry.room_id.clone();
        if settled.contains(&room_id) {
            continue;
        }
        let fate = fate(inner, &entry).await?;
        if fate == Fate::Kept && entry.kind == ChangeKind::Send {
            settled.push(room_id.clone());
        }
        let epoch = epoch.clone();
        write(inner, &room_id, move |w| changes::settle_fate(w, &entry, fate, &epoch)).await;
        inner.wake.outbox.notify_one();
    }
    Ok(())
}

async fn fate(inner: &Inner, entry: &Entry) -> Result<Fate, ClientError> {
    let request = GetMessageRequest { room_id: entry.room_id.clone(), seq: entry.seq };
    match inner.connection.call_once(&request).await {
        Ok(answer) => Ok(changes::fate(entry, answer.message.as_ref())),
        // Out of the room now: whether it is there is not told. It is offered again, because a server that has it says so
        // whoever asks, and else the person is to know that it is gone.
        Err(error) if !error.may_repeat() => Ok(Fate::Gone),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use madang_proto::v1::{Message, SendMessageRequest, SendMessageResponse};

    use super::*;
    use crate::{
        config::{Backoff, ClientConfig, StoreLocation},
        connection::Connection,
        observe::Observers,
        sabotage::Guards,
        store::{Store, outbox::EntryState},
        tokens::tests::NoTokens,
    };

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
            changes::put(w, &request, "m", "", 0)?;
            Ok(take(w, &BTreeSet::new(), 1)?.remove(0))
        };
        let entry = inner.store.write(Durability::Outbox, put).await.unwrap();
        run(inner, "create trigger disk before update on outbox begin select raise(abort, 'full'); end").await;
        entry
    }

    async fn state(inner: &Inner) -> EntryState {
        inner.store.read(|r| Ok(outbox::messages(r.conn)?.remove(0).state)).await.unwrap()
    }

    #[tokio::test]
    async fn an_answer_that_the_disk_does_not_take_is_written_when_there_is_room() {
        let inner = inner().await;
        let entry = on_a_full_disk(&inner).await;
        let message = Message { room_id: "r".into(), seq: 1, rev: 1, ..Message::default() };
        let answer = SendMessageResponse { message: Some(message), ..SendMessageResponse::default() };
        tokio::join!(settle(&inner, &entry, changes::sent(answer).unwrap()), run(&inner, "drop trigger disk"));
        assert_eq!(state(&inner).await, EntryState::Acknowledged);
    }

    #[tokio::test]
    async fn an_entry_goes_back_into_the_queue_when_there_is_room_for_that() {
        let inner = inner().await;
        let entry = on_a_full_disk(&inner).await;
        let back = write(&inner, "r", move |w| outbox::wait(&w.tx, entry.id));
        tokio::join!(back, run(&inner, "drop trigger disk"));
        assert_eq!(state(&inner).await, EntryState::Queued);
    }
}
