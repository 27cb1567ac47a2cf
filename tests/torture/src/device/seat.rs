//! A device where it really is: the client core on its store, what it shows, and the commands it is given.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use anyhow::Result;
use madang_proto::v1::RoomSettings;
use madang_sdk_core::{
    Backoff, Client, ClientConfig, ClientError, Clock, ConnectionState, Draft, NewRoom, RoomSnapshot, SendState, Sleep,
    StoreLocation, SystemClock,
};
use tokio::{
    sync::Mutex,
    task::{AbortHandle, JoinSet},
};

use super::{
    command::{Answer, Call, Command, Opening},
    tokens::FileTokens,
    watch::{Scroll, Seen, scrolling, watch},
};

/// Longest wait for the outbox at an end in order.
const DRAIN: Duration = Duration::from_secs(1);

/// A device.
#[derive(Debug)]
pub struct Seat {
    client: Client,
    clock: Arc<WrongClock>,
    tokens: Arc<FileTokens>,
    seen: Arc<dyn Seen>,
    openings: AtomicU64,
    watched: Mutex<Watched>,
}

/// Timelines that are open.
#[derive(Debug, Default)]
struct Watched {
    tasks: JoinSet<()>,
    rooms: BTreeMap<String, (AbortHandle, Scroll)>,
}

/// A clock that is so many seconds ahead. Sleeping takes as long as ever.
#[derive(Debug, Default)]
struct WrongClock(AtomicI64);

impl Clock for WrongClock {
    fn now(&self) -> SystemTime {
        let (now, ahead) = (SystemClock.now(), self.0.load(Ordering::Relaxed));
        let by = Duration::from_secs(ahead.unsigned_abs());
        if ahead < 0 { now - by } else { now + by }
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        SystemClock.sleep(duration)
    }
}

impl Seat {
    /// Opens a device; `seen` hears what its timelines show.
    pub async fn open(opening: &Opening, seen: Arc<dyn Seen>) -> Result<Self> {
        let clock = Arc::<WrongClock>::default();
        let config = ClientConfig {
            clock: Arc::clone(&clock) as _,
            backoff: Backoff { base: Duration::from_millis(50), cap: Duration::from_secs(1) },
            device_id: Some(opening.device_id.clone()),
            #[cfg(feature = "sabotage")]
            without: guard(opening.without.as_deref())?,
            ..ClientConfig::new(&opening.server, StoreLocation::File(opening.store.clone()))
        };
        let tokens = Arc::new(FileTokens::of(opening.token.clone()));
        let client = Client::open(config, Arc::clone(&tokens) as _).await?;
        Ok(Self { client, clock, tokens, seen, openings: AtomicU64::default(), watched: Mutex::default() })
    }

    /// Does what it is told, or gives it up when it takes too long.
    pub async fn perform(&self, call: Call) -> Answer {
        match tokio::time::timeout(call.within(), self.obey(call.command)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Answer::of(&error),
            Err(_) => Answer::GivenUp,
        }
    }

    async fn obey(&self, command: Command) -> Result<Answer, ClientError> {
        match command {
            Command::Send { room, text, mentions, mention_all } => {
                let draft = Draft { text, mentions, mention_all, reply_to: 0 };
                return Ok(Answer::Sent { id: self.client.send(&room, draft).await? });
            }
            Command::Edit { room, pick, text } => {
                let Some(seq) = self.own(&room, pick).await? else { return Ok(Answer::Skipped) };
                self.done(self.client.edit(&room, seq, text).await?).await?;
            }
            Command::Delete { room, pick } => {
                let Some(seq) = self.own(&room, pick).await? else { return Ok(Answer::Skipped) };
                self.done(self.client.delete(&room, seq).await?).await?;
            }
            Command::MarkRead { room, back } => {
                let Some(seq) = self.before_newest(&room, back).await? else { return Ok(Answer::Skipped) };
                self.client.mark_read(&room, seq).await?;
            }
            Command::MarkUnread { room, back } => {
                let Some(seq) = self.before_newest(&room, back).await? else { return Ok(Answer::Skipped) };
                self.client.mark_unread(&room, seq).await?;
            }
            Command::Join { room } => self.done(self.client.join(&room).await?).await?,
            Command::Leave { room } => self.done(self.client.leave(&room).await?).await?,
            Command::Invite { room, person } => self.done(self.client.invite(&room, [person]).await?).await?,
            Command::Remove { room, person } => self.done(self.client.remove(&room, &person).await?).await?,
            Command::CreateRoom { name, open, hidden, people } => {
                let settings = RoomSettings { history_hidden_from_newcomers: hidden, ..RoomSettings::default() };
                let room = NewRoom { name, open, members: people, settings: Some(settings), ..NewRoom::default() };
                let id = self.client.create_room(room).await?;
                self.done(id.clone()).await?;
                return Ok(Answer::Room { id });
            }
            Command::OpenDirect { person } => return Ok(Answer::Room { id: self.client.open_direct(&person).await? }),
            Command::Look { rooms } => self.look(rooms).await?,
            Command::Scroll { room, count } => {
                let watched = self.watched.lock().await;
                let told = watched.rooms.get(&room).is_some_and(|(_, scroll)| scroll.try_send(count).is_ok());
                return Ok(if told { Answer::Done } else { Answer::Skipped });
            }
            Command::Suspend => self.client.disconnect(),
            Command::Resume => self.client.reconnect(),
            Command::CatchUp => self.catch_up().await?,
            Command::Clock { ahead_s } => self.clock.0.store(ahead_s, Ordering::Relaxed),
            Command::Tokens { fails, slow_ms } => self.tokens.trouble(fails, Duration::from_millis(slow_ms)).await,
            #[cfg(feature = "sabotage")]
            Command::DieAt { phase, times } => madang_sdk_core::sabotage::die_at(&phase, times),
            #[cfg(not(feature = "sabotage"))]
            Command::DieAt { .. } => return Ok(Answer::Skipped),
            Command::IsOver => return self.over().await,
            Command::Snapshot => return Ok(Answer::Snapshot(Box::new((&self.client.snapshot().await?).into()))),
            Command::End => self.client.shutdown(DRAIN).await,
        }
        Ok(Answer::Done)
    }

    /// Waits until the server has done a change; what it refuses is thrown away.
    async fn done(&self, change: String) -> Result<(), ClientError> {
        let Err(refusal) = self.client.settled(&change).await else { return Ok(()) };
        // It may have been settled meanwhile by the end of its room.
        let _ = self.client.discard_failed(&change).await;
        Err(refusal)
    }

    /// Whether the server will not have it any more. A call that was let in before is answered nevertheless, so not until nothing
    /// is on its way.
    async fn over(&self) -> Result<Answer, ClientError> {
        let why = match self.client.state() {
            ConnectionState::Ended { reason } => reason.to_string(),
            ConnectionState::SignedOut => "signed out".to_owned(),
            _ => return Ok(Answer::Done),
        };
        let outbox = self.client.outbox().await?;
        let on_its_way = outbox.items().iter().any(|change| change.state == SendState::Sending);
        Ok(if on_its_way { Answer::Done } else { Answer::Over { why } })
    }

    async fn room(&self, id: &str) -> Result<Option<RoomSnapshot>, ClientError> {
        Ok(self.client.snapshot().await?.rooms.remove(id))
    }

    /// One of the person's messages that is held and not deleted.
    async fn own(&self, room: &str, pick: u64) -> Result<Option<i64>, ClientError> {
        let (Some(held), Some(me)) = (self.room(room).await?, self.client.me()) else { return Ok(None) };
        let own = held.messages.into_values().filter(|m| m.sender_id == me && m.body.is_some()).map(|m| m.seq);
        let own: Vec<i64> = own.collect();
        let count = u64::try_from(own.len()).unwrap_or(0).max(1);
        Ok(own.get(usize::try_from(pick % count).unwrap_or(0)).copied())
    }

    async fn before_newest(&self, room: &str, back: i64) -> Result<Option<i64>, ClientError> {
        let newest = self.room(room).await?.and_then(|held| held.room).map_or(0, |room| room.seq);
        Ok(Some(newest - back).filter(|seq| *seq > 0))
    }

    /// Opens timelines of these rooms and closes the others.
    async fn look(&self, rooms: Vec<String>) -> Result<(), ClientError> {
        let mut watched = self.watched.lock().await;
        watched.rooms.retain(|id, (task, _)| {
            let stays = rooms.contains(id) && !task.is_finished();
            if !stays {
                task.abort();
            }
            stays
        });
        for room in rooms {
            if !watched.rooms.contains_key(&room) {
                let opening = self.openings.fetch_add(1, Ordering::Relaxed);
                let timeline = self.client.timeline(&room).await?;
                let (scroll, scrolls) = scrolling();
                let task = watched.tasks.spawn(watch(timeline, opening, scrolls, Arc::clone(&self.seen)));
                watched.rooms.insert(room, (task, scroll));
            }
        }
        while watched.tasks.try_join_next().is_some() {}
        Ok(())
    }

    async fn catch_up(&self) -> Result<(), ClientError> {
        for (id, room) in self.client.snapshot().await?.rooms {
            if room.joined && (room.rev < room.head_rev || room.rev == 0) {
                self.client.sync_room_now(&id).await?;
            }
        }
        Ok(())
    }
}

#[cfg(feature = "sabotage")]
fn guard(name: Option<&str>) -> Result<Option<madang_sdk_core::sabotage::Guard>> {
    use anyhow::Context as _;
    let Some(name) = name else { return Ok(None) };
    let found = madang_sdk_core::sabotage::Guard::ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, guard)| Some(*guard)).with_context(|| format!("no rule of the client is called {name}"))
}
