//! What runs behind a client: the stream and its repairs, the outbox, marks, and profiles. Each is a task of its own; they
//! meet in the store, which alone says what is true.

pub(crate) mod changes;
mod frames;
mod marks;
mod outbox;
mod people;
mod repair;
mod session;
#[cfg(feature = "simulation")]
pub mod simulation;
#[cfg(test)]
mod tests;
mod typing;
mod upkeep;
mod watched;
mod welcome;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use madang_proto::v1::ClientFrame;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
};

#[cfg(test)]
pub(crate) use self::frames::apply as apply_frames;
pub use self::watched::ReadCount;
#[cfg(test)]
pub(crate) use self::welcome::take as take_history;
pub(crate) use self::{
    frames::{Outcome, View, page, summary},
    repair::{Ask, sync_now},
    watched::{Board, Item, WatchedThings},
};
use crate::{
    clock::millis,
    config::{ClientConfig, Mode},
    connection::Connection,
    error::{ClientError, ClientErrorKind},
    observe::{Observers, lock},
    sabotage::Guards,
    store::{Durability, Store, Write, notified, outbox as outbox_rows, visits},
};

/// How the client stands to its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionState {
    /// Opening a stream, or catching up on one.
    Connecting,
    /// Everything that happened is here, and what happens comes at once.
    Live,
    /// Not connected; tries again by itself.
    Offline {
        /// Time until then.
        retry_in: Duration,
        /// Why, where the last attempt told.
        reason: Option<ClientError>,
    },
    /// Put to rest by the host: `resume` ends it, or `reconnect` when it was only disconnected.
    Suspended,
    /// The person must sign in again; `reconnect` after that.
    SignedOut,
    /// The server will not have this client any more, and `reconnect` tries nevertheless; or it was ended by the host, for
    /// good, when the reason is of the kind `Cancelled`.
    Ended {
        /// Why.
        reason: ClientError,
    },
}

/// Panics of one task after which the client has ended: a fault that comes again and again helps nobody.
const PANICS: u32 = 16;

/// Runs a task, and again after a panic of it, of the host's clock or of its token provider: the host is told by the log, and
/// the others go on.
async fn kept(inner: Arc<Inner>, name: &'static str, task: fn(Arc<Inner>) -> BoxFuture<'static, ()>) {
    for panics in 1..=PANICS {
        let again = async {
            if panics > 1 {
                clean_up(&inner, name).await;
                inner.config.clock.sleep(inner.config.backoff.delay(panics)).await;
            }
            task(Arc::clone(&inner)).await;
        };
        if AssertUnwindSafe(again).catch_unwind().await.is_ok() {
            return;
        }
        tracing::error!(name, panics, "a task of the client panicked");
        inner.connection.record.panicked();
    }
    let reason = ClientError::new(ClientErrorKind::Internal, format!("the {name} task panics again and again"));
    inner.tell_state(ConnectionState::Ended { reason });
}

/// What a task that panicked has left behind.
async fn clean_up(inner: &Inner, name: &str) {
    match name {
        "session" => inner.lost(),
        // What was on its way is no longer: the id makes repeating harmless.
        "outbox" => {
            if let Err(error) = inner.store.write(Durability::Outbox, |w| outbox_rows::recover(&w.tx)).await {
                tracing::warn!(%error, "what was on its way waits for the next start");
            }
        }
        _ => {}
    }
}

/// What the tasks of one client share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: ClientConfig,
    pub(crate) connection: Connection,
    pub(crate) store: Store,
    pub(crate) observers: Arc<Observers>,
    pub(crate) guards: Guards,
    pub(crate) state: watch::Sender<ConnectionState>,
    /// A stream is open and its Welcome has come: calls make sense, and name the right epoch.
    pub(crate) online: watch::Sender<bool>,
    /// The network is paid for by what goes over it.
    pub(crate) metered: AtomicBool,
    /// No connection is wanted now.
    pub(crate) offline: watch::Sender<bool>,
    /// How often the host has put the client to rest or ended it: what runs for a moment only is broken off by that.
    pub(crate) broken_off: watch::Sender<u64>,
    /// How often a stream has caught up.
    pub(crate) caught_up: watch::Sender<u64>,
    /// The person, once known.
    pub(crate) me: watch::Sender<Option<String>>,
    pub(crate) wake: Wakes,
    pub(crate) typing: typing::TypingBoard,
    pub(crate) watched: WatchedThings,
    people: Mutex<people::Wanted>,
    focus: Mutex<Focus>,
    asks: Mutex<Vec<Ask>>,
    outgoing: Mutex<Option<mpsc::Sender<ClientFrame>>>,
}

/// One bell a task.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    pub(crate) session: Notify,
    pub(crate) outbox: Notify,
    pub(crate) marks: Notify,
    pub(crate) people: Notify,
    /// Do not wait for the next attempt.
    pub(crate) hurry: Notify,
    /// Open another stream in place of the one that is live: it may be dead without knowing.
    pub(crate) again: Notify,
}

/// What is on the screen: what the host says, and the timelines that are open.
#[derive(Debug, Default)]
struct Focus {
    set: BTreeSet<String>,
    open: BTreeMap<String, Open>,
}

/// A room with open timelines.
#[derive(Debug, Default)]
struct Open {
    timelines: usize,
    /// Newest item that a timeline has given out.
    seen_seq: i64,
}

impl Inner {
    pub(crate) fn new(
        config: ClientConfig,
        connection: Connection,
        store: Store,
        observers: Arc<Observers>,
        guards: Guards,
    ) -> Self {
        Self {
            config,
            connection,
            store,
            observers,
            guards,
            state: watch::Sender::new(ConnectionState::Connecting),
            online: watch::Sender::new(false),
            metered: AtomicBool::new(false),
            offline: watch::Sender::new(false),
            broken_off: watch::Sender::new(0),
            caught_up: watch::Sender::new(0),
            me: watch::Sender::new(None),
            wake: Wakes::default(),
            typing: typing::TypingBoard::default(),
            watched: WatchedThings::default(),
            people: Mutex::default(),
            focus: Mutex::default(),
            asks: Mutex::default(),
            outgoing: Mutex::default(),
        }
    }

    /// Starts the tasks; they end with the set.
    pub(crate) fn start(self: &Arc<Self>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(kept(Arc::clone(self), "session", |inner| session::run(inner).boxed()));
        tasks.spawn(kept(Arc::clone(self), "outbox", |inner| outbox::run(inner).boxed()));
        tasks.spawn(kept(Arc::clone(self), "marks", |inner| marks::run(inner).boxed()));
        tasks.spawn(kept(Arc::clone(self), "people", |inner| people::run(inner).boxed()));
        if self.config.mode == Mode::Foreground {
            tasks.spawn(kept(Arc::clone(self), "upkeep", |inner| upkeep::run(inner).boxed()));
        }
        tasks
    }

    /// The stream is gone.
    pub(crate) fn lost(&self) {
        self.online.send_replace(false);
        self.watched.forget();
        *lock(&self.outgoing) = None;
    }

    /// Rooms on the screen. There is none in the background.
    pub(crate) fn focused(&self) -> BTreeSet<String> {
        if self.config.mode == Mode::Background {
            return BTreeSet::new();
        }
        let focus = lock(&self.focus);
        focus.set.iter().chain(focus.open.keys()).cloned().collect()
    }

    /// The host says what is on the screen, beside the open timelines.
    pub(crate) fn set_focus(&self, rooms: impl IntoIterator<Item = String>) {
        lock(&self.focus).set = rooms.into_iter().collect();
        self.wake.session.notify_one();
    }

    /// A timeline of a room is open; `visited_ms`: when one was before.
    pub(crate) fn open_timeline(&self, room_id: &str, visited_ms: Option<i64>) {
        lock(&self.focus).open.entry(room_id.to_owned()).or_default().timelines += 1;
        let (id, now) = (room_id.to_owned(), millis(self.config.clock.now()));
        if visits::is_news(visited_ms, now) {
            self.store.write_soon(move |w| visits::put(&w.tx, &id, now));
        }
        self.wake.session.notify_one();
    }

    pub(crate) fn close_timeline(&self, room_id: &str) {
        let mut focus = lock(&self.focus);
        if let Some(open) = focus.open.get_mut(room_id) {
            open.timelines -= 1;
            if open.timelines == 0 {
                let (id, seen_seq) = (room_id.to_owned(), open.seen_seq);
                focus.open.remove(room_id);
                self.store.write_soon(move |w| notified::put(&w.tx, &id, seen_seq));
            }
        }
        drop(focus);
        self.wake.session.notify_one();
    }

    /// A timeline has given out items up to here.
    pub(crate) fn saw(&self, room_id: &str, seq: i64) {
        if let Some(open) = lock(&self.focus).open.get_mut(room_id) {
            open.seen_seq = open.seen_seq.max(seq);
        }
    }

    /// The newest item in front of the person; 0 when the room is not open.
    pub(crate) fn seen(&self, room_id: &str) -> i64 {
        lock(&self.focus).open.get(room_id).map_or(0, |open| open.seen_seq)
    }

    /// Rooms with an open timeline.
    pub(crate) fn open_rooms(&self) -> BTreeSet<String> {
        lock(&self.focus).open.keys().cloned().collect()
    }

    /// The newest items in front of the person, by room.
    pub(crate) fn seen_rooms(&self) -> Vec<(String, i64)> {
        lock(&self.focus).open.iter().map(|(room_id, open)| (room_id.clone(), open.seen_seq)).collect()
    }

    pub(crate) fn view(&self) -> View {
        View { focus: self.focused(), live: *self.state.borrow() == ConnectionState::Live }
    }

    /// Applies what a command answered, and asks what follows from it.
    pub(crate) async fn apply(
        &self,
        change: impl FnOnce(&mut Write<'_>, &View, &mut Outcome) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), ClientError> {
        let view = self.view();
        let job = move |w: &mut Write<'_>| {
            let mut outcome = Outcome::default();
            change(w, &view, &mut outcome)?;
            Ok(outcome)
        };
        let outcome = self.store.write(Durability::Frames, job).await?;
        self.want_people(outcome.people);
        if !outcome.asks.is_empty() {
            lock(&self.asks).extend(outcome.asks);
            self.wake.session.notify_one();
        }
        Ok(())
    }

    /// Whether a list goes on after a read that failed, which it waits out; `false`: the client has ended.
    pub(crate) async fn goes_on(&self, error: &ClientError) -> bool {
        if self.store.outlasts(error).await {
            return true;
        }
        if error.kind != ClientErrorKind::Cancelled {
            tracing::warn!(%error, "a list could not be read");
            self.config.clock.sleep(self.config.backoff.delay(1)).await;
        }
        error.kind != ClientErrorKind::Cancelled
    }

    /// Says something on the stream, if there is one and it has room.
    pub(crate) fn say(&self, frame: ClientFrame) -> bool {
        lock(&self.outgoing).as_ref().is_some_and(|outgoing| outgoing.try_send(frame).is_ok())
    }

    /// Refuses while the host wants to be offline. Asked after something was taken to be said, so that nothing leaves which a
    /// person did after the host had gone offline.
    fn may_say(&self) -> Result<(), ClientError> {
        if *self.offline.borrow() {
            return Err(ClientError::new(ClientErrorKind::Offline, "the host wants to be offline"));
        }
        Ok(())
    }

    /// Waits until calls make sense.
    pub(crate) async fn until_online(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.online.subscribe().wait_for(|online| *online).await;
    }
}
