//! The client woken for a moment, by a push or by the system: it catches up, sends what waits, and says what to notify of.
//!
//! Always true: a message is notified of once on this device, and not when the person has seen or read it. Of a room whose
//! rows could not be fetched in time the newest message is told, and stands for those before it.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use madang_proto::v1::{Message, MessageKind};
use tokio::sync::watch;

use crate::{
    client::Client,
    clock::{Sleep, system_time},
    engine::{ConnectionState, Inner, sync_now},
    error::{ClientError, ClientErrorKind},
    people::{Names, Person},
    store::{Durability, Read, Write, marks, messages, notified, outbox, rooms},
    sync::RoomState,
};

/// Notifications of one call; a system shows fewer.
const MOST: usize = 50;
/// Newest rows of a room that are looked at.
const ROWS: i64 = 100;
/// Rooms whose rows are fetched for their texts; of others the newest message is told.
const ROOMS: usize = 20;
/// Characters of a text; a system shows fewer.
const CHARACTERS: usize = 200;
/// How long names may be awaited that a notification needs; without them it shows none.
const NAMES: Duration = Duration::from_secs(3);

/// A message to notify of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The room.
    pub room_id: String,
    /// Its name; in a direct room that of the other person.
    pub room_name: String,
    /// Position in the room.
    pub seq: i64,
    /// Who sent it.
    pub sender: Person,
    /// What it says, cut after 200 characters.
    pub text: String,
    /// It mentions the person.
    pub mentions_me: bool,
}

/// What one [`sync_once`](Client::sync_once) has done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncOutcome {
    /// Messages of others that are unread, and that no earlier call and no open timeline has shown; of muted rooms only those
    /// that mention the person. Oldest first; the newest 50.
    pub notifications: Vec<Notification>,
    /// How many there are, with those beyond 50; at most 100 of a room are counted.
    pub total: usize,
    /// Everything is here and everything was sent; else another call is worth it.
    pub finished: bool,
}

impl Client {
    /// Connects, catches up, sends what waits, and says what to notify of: for a push or a background fetch. Takes no longer
    /// than `deadline` and a moment, and does not fail for being offline: then it is not `finished`. Works on a client that
    /// is at rest, which is at rest again afterwards, and on one that runs. Fails when the person must sign in, when the
    /// server will not have this client, with `STORE_BUSY` when another process has the store meanwhile, and with
    /// `SUSPENDED` when the host puts the client to rest during it.
    pub async fn sync_once(&self, deadline: Duration) -> Result<SyncOutcome, ClientError> {
        let client = self.clone();
        // Whoever stops waiting leaves it to end by itself, so that a client that was at rest is so again.
        let synced = tokio::spawn(async move { client.woken(deadline).await });
        synced.await.map_err(|_| ClientError::new(ClientErrorKind::Internal, "a synchronisation failed"))?
    }

    async fn woken(&self, deadline: Duration) -> Result<SyncOutcome, ClientError> {
        let mut over = self.inner.config.clock.sleep(deadline);
        let mut broken_off = self.inner.broken_off.subscribe();
        let _one = tokio::select! {
            one = self.life.syncing.lock() => one,
            () = &mut over => return Ok(SyncOutcome::default()),
        };
        let mut progress = self.progress();
        self.life.borrow().await?;
        let outcome = tokio::select! {
            outcome = self.work(&mut progress, over) => outcome,
            _ = broken_off.changed() => Err(ClientError::suspended()),
        };
        self.life.give_back().await;
        if self.inner.store.has_ended() { Err(ClientError::ended()) } else { outcome }
    }

    fn progress(&self) -> Progress {
        Progress { states: self.inner.state.subscribe(), caught_up: self.inner.caught_up.subscribe() }
    }

    async fn work(&self, progress: &mut Progress, mut over: Sleep) -> Result<SyncOutcome, ClientError> {
        let inner = &*self.inner;
        let sync = async {
            catch_up(inner, progress).await?;
            if !inner.metered.load(Ordering::Relaxed) {
                fetch_rows(inner).await;
            }
            drained(self).await;
            Ok::<_, ClientError>(())
        };
        let finished = tokio::select! {
            synced = sync => synced.map(|()| true)?,
            () = &mut over => false,
        };
        name_senders(inner).await?;
        let seen = inner.seen_rooms();
        let now = inner.config.clock.now();
        let told = inner.store.write(Durability::Frames, move |w| {
            for (room_id, seq) in seen {
                notified::put(&w.tx, &room_id, seq)?;
            }
            let read = Read { conn: &w.tx, me: &w.me, guards: w.guards };
            let gathered = gather(&read, now)?;
            note(w, &gathered.rooms)?;
            Ok(gathered)
        });
        let Gathered { mut messages, .. } = told.await?;
        let total = messages.len();
        messages.sort_by_key(|(at, _)| *at);
        let newest = messages.split_off(total.saturating_sub(MOST));
        Ok(SyncOutcome { notifications: newest.into_iter().map(|(_, one)| one).collect(), total, finished })
    }
}

/// What the stream does from now on.
struct Progress {
    states: watch::Receiver<ConnectionState>,
    caught_up: watch::Receiver<u64>,
}

/// Waits until a stream has caught up with what was there when this began. One that is live may be dead without knowing, so
/// it is opened anew.
async fn catch_up(inner: &Inner, progress: &mut Progress) -> Result<(), ClientError> {
    match *progress.states.borrow_and_update() {
        ConnectionState::Live => inner.wake.again.notify_one(),
        ConnectionState::Connecting | ConnectionState::Suspended => {}
        _ => inner.wake.hurry.notify_one(),
    }
    loop {
        tokio::select! {
            // The senders live in `inner`, so waiting cannot fail.
            _ = progress.caught_up.changed() => return Ok(()),
            _ = progress.states.changed() => match &*progress.states.borrow_and_update() {
                ConnectionState::SignedOut => {
                    return Err(ClientError::new(ClientErrorKind::Unauthenticated, "nobody is signed in"));
                }
                ConnectionState::Ended { reason } => return Err(reason.clone()),
                _ => {}
            },
        }
    }
}

/// Fetches the rows of rooms with something to tell, the most recently active first.
async fn fetch_rows(inner: &Inner) {
    let now = inner.config.clock.now();
    let behind = inner.store.read(move |r| {
        let told = gather(r, now)?;
        let behind =
            |state: &RoomState| state.rev < state.head_rev && told.rooms.iter().any(|(id, _)| *id == state.room_id);
        Ok(rooms::joined(r.conn)?.into_iter().filter(behind).map(|state| state.room_id).collect::<Vec<_>>())
    });
    for room_id in behind.await.unwrap_or_default().into_iter().take(ROOMS) {
        if let Err(error) = sync_now(inner, &room_id).await {
            tracing::info!(%error, "a room's rows could not be fetched");
        }
    }
}

/// Waits until everything was sent.
async fn drained(client: &Client) {
    let mut changed = client.changed();
    let waiting = |r: &Read<'_>| Ok(outbox::unsent(r.conn)? > 0 || !marks::waiting(r.conn)?.is_empty());
    while client.inner.store.read(waiting).await.unwrap_or(true) {
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// Waits a moment for the names that the notifications need.
async fn name_senders(inner: &Inner) -> Result<(), ClientError> {
    let mut changed = inner.observers.count();
    let known = async {
        loop {
            let now = inner.config.clock.now();
            let missing = inner.store.read(move |r| Ok(gather(r, now)?.missing)).await?;
            if missing.is_empty() || !*inner.online.borrow() {
                return Ok(());
            }
            inner.want_people(missing);
            // The sender lives in `inner`, so waiting cannot fail.
            let _ = changed.changed().await;
        }
    };
    tokio::select! {
        known = known => known,
        () = inner.config.clock.sleep(NAMES) => Ok(()),
    }
}

/// What there is to tell.
#[derive(Debug, Default)]
struct Gathered {
    /// By time.
    messages: Vec<(std::time::SystemTime, Notification)>,
    /// Rooms they are of, and up to where that tells everything.
    rooms: Vec<(String, i64)>,
    /// People whose names are not known.
    missing: BTreeSet<String>,
}

fn note(w: &Write<'_>, rooms: &[(String, i64)]) -> rusqlite::Result<()> {
    rooms.iter().try_for_each(|(room_id, seq)| notified::put(&w.tx, room_id, *seq))
}

fn gather(r: &Read<'_>, now: std::time::SystemTime) -> rusqlite::Result<Gathered> {
    let mut names = Names::new(r.conn);
    let mut gathered = Gathered::default();
    for state in rooms::joined(r.conn)? {
        let Some(room) = &state.room else { continue };
        let waiting = marks::find(r.conn, &state.room_id)?.map(|mark| mark.shown);
        let mark = marks::shown(state.mark(), waiting, r.guards);
        let from = mark.seq.max(notified::find(r.conn, &state.room_id)?);
        if room.seq <= from {
            continue;
        }
        let news = news(r, &state, from, now)?;
        if !news.is_empty() {
            let room_name = names.room(&room.into(), r.me)?;
            for message in &news {
                let one = notification(message, &state, &room_name, r.me, &mut names)?;
                gathered.messages.push((system_time(message.created_at.as_ref()), one));
            }
        }
        gathered.rooms.push((state.room_id.clone(), room.seq));
    }
    gathered.missing = names.missing;
    Ok(gathered)
}

/// Messages of a room above an item that are to be told: those that are held, else the newest.
fn news(r: &Read<'_>, state: &RoomState, from: i64, now: std::time::SystemTime) -> rusqlite::Result<Vec<Message>> {
    let mut rows = messages::range(r.conn, &state.room_id, (from + 1).max(state.seq - ROWS + 1), state.seq)?;
    rows.extend(state.last.clone().filter(|last| last.seq > from.max(state.seq)));
    let membership = state.membership.as_ref();
    let muted = membership.is_some_and(|m| m.mute_until.is_some_and(|until| system_time(Some(&until)) > now));
    rows.retain(|message| {
        let told = message.kind() != MessageKind::System && message.tombstone.is_none() && message.sender_id != r.me;
        told && (!muted || mentions(message, state, r.me))
    });
    Ok(rows)
}

fn mentions(message: &Message, state: &RoomState, me: &str) -> bool {
    let named = message.mentions_all || message.mentioned_user_ids.iter().any(|id| id == me);
    named || state.membership.as_ref().is_some_and(|m| m.unread_mention_seqs.contains(&message.seq))
}

fn notification(
    message: &Message,
    state: &RoomState,
    room_name: &str,
    me: &str,
    names: &mut Names<'_>,
) -> rusqlite::Result<Notification> {
    let text = message.body.as_ref().map_or("", |body| body.text.as_str());
    Ok(Notification {
        room_id: state.room_id.clone(),
        room_name: room_name.to_owned(),
        seq: message.seq,
        sender: names.person(&message.sender_id)?,
        text: text.chars().take(CHARACTERS).collect(),
        mentions_me: mentions(message, state, me),
    })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use madang_proto::v1::{Member, MemberState, Membership, MessageBody, Room, SystemNotice};

    use super::*;
    use crate::store::tests::memory;

    /// A room with so many messages of bob's, of which the person has read one.
    fn room(w: &mut Write<'_>, id: &str, count: i64, change: impl Fn(&mut Membership)) -> rusqlite::Result<()> {
        let message = |seq| Message {
            room_id: id.into(),
            seq,
            rev: seq,
            sender_id: "bob".into(),
            body: Some(MessageBody { text: format!("{id} {seq}"), ..MessageBody::default() }),
            created_at: Some(prost_types::Timestamp { seconds: seq, nanos: 0 }),
            ..Message::default()
        };
        let mut member = Member::default();
        member.set_state(MemberState::Joined);
        let mut membership =
            Membership { member: Some(member), last_read_seq: 1, read_count: 1, ..Membership::default() };
        change(&mut membership);
        let rows: Vec<Message> = (1..=count).map(message).collect();
        messages::upsert(&w.tx, &rows, w.guards)?;
        let state = RoomState {
            room: Some(Room { id: id.into(), name: id.into(), seq: count, count, ..Room::default() }),
            membership: Some(membership),
            last: rows.last().cloned(),
            seq: count,
            low_seq: 1,
            ..RoomState::new(id)
        };
        rooms::save(&w.tx, &state)
    }

    fn told(w: &Write<'_>) -> rusqlite::Result<Vec<String>> {
        let read = Read { conn: &w.tx, me: "ann", guards: w.guards };
        let gathered = gather(&read, SystemTime::UNIX_EPOCH)?;
        note(w, &gathered.rooms)?;
        Ok(gathered.messages.into_iter().map(|(_, one)| one.text).collect())
    }

    async fn with(job: impl FnOnce(&mut Write<'_>) -> rusqlite::Result<()> + Send + 'static) {
        memory().await.write(Durability::Frames, job).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_unread_is_told_once() {
        with(|w| {
            room(w, "r", 3, |_| ())?;
            assert_eq!(told(w)?, ["r 2", "r 3"]);
            assert!(told(w)?.is_empty());
            room(w, "r", 4, |_| ())?;
            assert_eq!(told(w)?, ["r 4"]);
            Ok(())
        })
        .await;
    }

    #[tokio::test]
    async fn a_muted_room_tells_only_what_mentions_the_person() {
        with(|w| {
            room(w, "r", 4, |place| {
                place.mute_until = Some(prost_types::Timestamp { seconds: 1 << 40, nanos: 0 });
                place.unread_mention_seqs = vec![3];
            })?;
            assert_eq!(told(w)?, ["r 3"]);
            Ok(())
        })
        .await;
    }

    #[tokio::test]
    async fn ones_own_messages_notices_and_what_was_deleted_are_no_news() {
        with(|w| {
            room(w, "r", 5, |_| ())?;
            let mut rows = messages::range(&w.tx, "r", 2, 4)?;
            for row in &mut rows {
                row.rev = 9;
            }
            rows[0].sender_id = "ann".into();
            rows[1].set_kind(MessageKind::System);
            rows[1].system = Some(SystemNotice::default());
            rows[2].tombstone = Some(madang_proto::v1::Tombstone::default());
            messages::upsert(&w.tx, &rows, w.guards)?;
            assert_eq!(told(w)?, ["r 5"]);
            Ok(())
        })
        .await;
    }

    #[tokio::test]
    async fn of_a_room_whose_rows_are_not_here_the_newest_is_told() {
        with(|w| {
            room(w, "r", 900, |_| ())?;
            crate::store::size::clear(w)?;
            assert_eq!(told(w)?, ["r 900"]);
            assert!(told(w)?.is_empty());
            Ok(())
        })
        .await;
    }
}
