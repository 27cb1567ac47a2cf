//! Listeners: a bare stream for each person, which notes in which order the server tells what of which room. A client
//! would mend what it is told wrongly; these do not.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use madang_proto::v1::{
    self, GoneReason, MemberState, client_frame, room_event::Change, room_summary::Verdict, server_frame::Frame,
};
use madang_tests::person::Calls;
use tokio::{sync::mpsc, task::JoinSet};
use uuid::Uuid;

use crate::{
    history::{Heard, News, StreamFacts},
    stage::Addresses,
    world::Someone,
};

/// A server wants a word at least every 20 s.
const WORD: Duration = Duration::from_secs(8);

/// Before another stream is tried.
const AGAIN: Duration = Duration::from_millis(150);

/// A stream that says nothing for so long is dead.
const SILENCE: Duration = Duration::from_secs(45);

/// Rooms in a Hello.
const NAMED: usize = 200;

/// What all streams brought.
#[derive(Debug, Default)]
struct Notes {
    /// Raised by a restore: what is older is of another history.
    history: u64,
    streams: Vec<StreamFacts>,
}

/// The listeners.
#[derive(Debug)]
pub(super) struct Listeners {
    notes: Arc<Mutex<Notes>>,
    tasks: JoinSet<()>,
}

impl Listeners {
    /// Starts one for each person.
    pub(super) fn start(people: &[Someone], addresses: &Addresses, servers: usize) -> Self {
        let (notes, mut tasks) = (Arc::<Mutex<Notes>>::default(), JoinSet::new());
        for (number, person) in people.iter().enumerate() {
            let listener = Listener {
                person: Someone { device_id: Uuid::now_v7().to_string(), ..person.clone() },
                addresses: addresses.clone(),
                servers,
                notes: Arc::clone(&notes),
                held: BTreeMap::new(),
                watermark: 0,
                epoch: String::new(),
            };
            tasks.spawn(listener.run(number));
        }
        Self { notes, tasks }
    }

    /// What has been heard so far.
    pub(super) fn facts(&self) -> Vec<StreamFacts> {
        lock(&self.notes).streams.clone()
    }

    /// The database has another history.
    pub(super) fn restored(&self) {
        let mut notes = lock(&self.notes);
        notes.history += 1;
        notes.streams.clear();
    }

    pub(super) async fn end(&mut self) {
        self.tasks.shutdown().await;
    }
}

/// One who listens for a person.
struct Listener {
    person: Someone,
    addresses: Addresses,
    servers: usize,
    notes: Arc<Mutex<Notes>>,
    /// Revision and position up to which each room is known.
    held: BTreeMap<String, (i64, i64)>,
    watermark: i64,
    epoch: String,
}

/// Where the notes of a stream go.
#[derive(Debug, Clone, Copy)]
struct Sheet {
    history: u64,
    stream: usize,
}

impl Listener {
    /// Goes from server to server, so that both sides of a resume are heard.
    async fn run(mut self, number: usize) {
        for node in (0..self.servers).cycle().skip(number) {
            if let Some(server) = self.addresses.of(node) {
                self.listen(&format!("http://{server}")).await;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// A stream from its beginning to its end.
    async fn listen(&mut self, server: &str) -> Option<()> {
        let calls = Calls::new(server, self.person.token.clone(), self.person.device_id.clone()).ok()?;
        let sheet = self.sheet();
        let (say, said) = mpsc::channel(8);
        say.send(frame(client_frame::Frame::Hello(self.hello()))).await.ok()?;
        let said = futures_util::stream::unfold(said, async |mut said| Some((said.recv().await?, said)));
        let opened = tokio::time::timeout(SILENCE, calls.sync().connect(calls.request(said))).await;
        let mut hear = opened.ok()?.ok()?.into_inner();
        let mut word = tokio::time::interval(WORD);
        loop {
            tokio::select! {
                heard = tokio::time::timeout(SILENCE, hear.message()) => match heard {
                    Ok(Ok(Some(heard))) => self.take(sheet, heard),
                    _ => break,
                },
                _ = word.tick() => drop(say.try_send(frame(client_frame::Frame::Ack(v1::Ack::default())))),
            }
        }
        self.on(sheet, |stream| stream.open = false);
        Some(())
    }

    /// Half of what is known is named: what is not is told by summaries.
    fn hello(&self) -> v1::Hello {
        let cursor =
            |(room, (rev, seq)): (&String, &(i64, i64))| v1::RoomCursor { room_id: room.clone(), rev: *rev, seq: *seq };
        v1::Hello {
            epoch: self.epoch.clone(),
            watermark: self.watermark,
            rooms: self.held.iter().step_by(2).take(NAMED).map(cursor).collect(),
            ..v1::Hello::default()
        }
    }

    /// Begins the notes of a stream, with what its Hello says.
    fn sheet(&mut self) -> Sheet {
        let held =
            |(room, (rev, _)): (&String, &(i64, i64))| Heard { room: room.clone(), news: News::Held { rev: *rev } };
        let heard = self.held.iter().map(held).collect();
        let mut notes = lock(&self.notes);
        notes.streams.push(StreamFacts { person: self.person.id.clone(), open: false, heard });
        Sheet { history: notes.history, stream: notes.streams.len() - 1 }
    }

    fn on(&self, sheet: Sheet, change: impl FnOnce(&mut StreamFacts)) {
        let mut notes = lock(&self.notes);
        if notes.history == sheet.history
            && let Some(stream) = notes.streams.get_mut(sheet.stream)
        {
            change(stream);
        }
    }

    fn note(&self, sheet: Sheet, room: &str, news: News) {
        self.on(sheet, |stream| stream.heard.push(Heard { room: room.to_owned(), news }));
    }

    fn take(&mut self, sheet: Sheet, heard: v1::ServerFrame) {
        match heard.frame {
            Some(Frame::Welcome(welcome)) => self.welcome(sheet, welcome),
            Some(Frame::RoomSummary(summary)) => self.verdict(sheet, summary, &[]),
            Some(Frame::RoomDelta(delta)) => {
                let seqs: Vec<i64> = delta.messages.iter().map(|message| message.seq).collect();
                self.verdict(sheet, delta.summary.unwrap_or_default(), &seqs);
            }
            Some(Frame::RoomEvent(event)) => self.event(sheet, &event),
            Some(Frame::UserDelta(delta)) => {
                // That one is out may be told before the room's last changes, which are in no order with one's own.
                for membership in delta.memberships {
                    self.joined(sheet, &membership);
                }
            }
            Some(Frame::Drained(drained)) => {
                self.watermark = drained.watermark;
                self.on(sheet, |stream| stream.open = true);
            }
            _ => {}
        }
    }

    /// Another history forgets everything; what the Hello said was not taken.
    fn welcome(&mut self, sheet: Sheet, welcome: v1::Welcome) {
        if self.epoch != welcome.epoch {
            self.held.clear();
            self.watermark = 0;
            self.epoch = welcome.epoch;
            self.on(sheet, |stream| stream.heard.clear());
        }
    }

    fn joined(&self, sheet: Sheet, membership: &v1::Membership) {
        let member = membership.member.as_ref().filter(|member| member.state() == MemberState::Joined);
        if let Some(member) = member {
            let news = News::Joined { rev: member.rev, user_rev: membership.user_rev };
            self.note(sheet, &member.room_id, news);
        }
    }

    fn verdict(&mut self, sheet: Sheet, summary: v1::RoomSummary, seqs: &[i64]) {
        match summary.verdict {
            Some(Verdict::Present(present)) => {
                let last = present.last_message.map(|last| last.seq);
                let room = present.room.unwrap_or_default();
                let seqs = seqs.iter().copied().chain(last).collect();
                self.held.insert(summary.room_id.clone(), (room.rev, room.seq));
                self.joined(sheet, &present.membership.unwrap_or_default());
                self.note(sheet, &summary.room_id, News::Verdict { rev: room.rev, seqs });
            }
            Some(Verdict::Gone(gone)) => {
                self.held.remove(&summary.room_id);
                let ended = gone.reason() == GoneReason::Ended;
                let user_rev = if ended { i64::MAX } else { gone.membership_user_rev };
                self.note(sheet, &summary.room_id, News::Gone { user_rev });
            }
            None => {}
        }
    }

    fn event(&mut self, sheet: Sheet, event: &v1::RoomEvent) {
        let (prev_rev, rev) = (event.prev_rev, event.rev);
        let mut seq = None;
        let mut news = News::Event { prev_rev, rev, seq };
        match &event.change {
            Some(Change::Message(message)) => {
                seq = Some(message.seq);
                news = News::Event { prev_rev, rev, seq };
            }
            Some(Change::Member(change)) => {
                let own = change.member.as_ref().filter(|member| member.user_id == self.person.id);
                if own.is_some_and(|member| member.state() != MemberState::Joined) {
                    news = News::Removed { prev_rev, rev };
                }
            }
            _ => {}
        }
        if matches!(news, News::Removed { .. }) {
            self.held.remove(&event.room_id);
        } else if let Some(held) = self.held.get_mut(&event.room_id) {
            *held = (held.0.max(rev), held.1.max(seq.unwrap_or_default()));
        }
        self.note(sheet, &event.room_id, news);
    }
}

fn frame(frame: client_frame::Frame) -> v1::ClientFrame {
    v1::ClientFrame { frame: Some(frame) }
}

/// What is behind the lock is whole after every statement.
fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}
