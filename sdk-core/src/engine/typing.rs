//! Who writes where. Lost with the process and with the connection: nothing durable depends on it.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, SystemTime},
};

use madang_proto::v1::{Ephemeral, ephemeral::News};
use tokio::sync::watch;

use crate::observe::lock;

/// How long somebody is shown as writing after the news; counted here, because the server's clock may be another.
const SHOWN: Duration = Duration::from_secs(5);
/// Telling it again sooner is wasted: a server takes one a second, and others are shown it for longer.
const SAY: Duration = Duration::from_secs(2);
/// Rooms that are remembered; more are not on a screen.
const ROOMS: usize = 1000;

type Board = BTreeMap<String, BTreeMap<String, SystemTime>>;

/// Who writes where, and until when that is shown.
#[derive(Debug)]
pub(crate) struct TypingBoard {
    board: Mutex<Board>,
    /// When the person's own writing was last told, by room.
    said: Mutex<BTreeMap<String, SystemTime>>,
    changed: watch::Sender<()>,
}

impl Default for TypingBoard {
    fn default() -> Self {
        Self { board: Mutex::default(), said: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

impl TypingBoard {
    /// Takes in what the stream says.
    pub(crate) fn hear(&self, news: &Ephemeral, now: SystemTime) {
        let Some(News::Typing(typing)) = &news.news else { return };
        let mut board = lock(&self.board);
        board.retain(|_, people| people.values().any(|until| *until > now));
        if board.len() < ROOMS {
            board.entry(typing.room_id.clone()).or_default().insert(typing.user_id.clone(), now + SHOWN);
        }
        drop(board);
        self.changed.send_replace(());
    }

    /// A message of somebody has come: they are not writing it any more.
    pub(crate) fn sent(&self, room_id: &str, user_id: &str) {
        let removed = lock(&self.board).get_mut(room_id).and_then(|people| people.remove(user_id));
        if removed.is_some() {
            self.changed.send_replace(());
        }
    }

    /// Whether the person's own writing may be told again: once in a while for each room.
    pub(crate) fn may_say(&self, room_id: &str, now: SystemTime) -> bool {
        let mut said = lock(&self.said);
        said.retain(|_, at| now.duration_since(*at).is_ok_and(|since| since < SAY));
        let may = !said.contains_key(room_id);
        if may {
            said.insert(room_id.to_owned(), now);
        }
        may
    }

    /// Told when somebody begins or has sent; that a time has run out is for the reader to notice.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Who is writing in a room, and when the first of them is not shown any more.
    pub(crate) fn now(&self, room_id: &str, now: SystemTime) -> (Vec<String>, Option<Duration>) {
        let board = lock(&self.board);
        let people = board.get(room_id).into_iter().flatten().filter(|(_, until)| **until > now);
        let next = people.clone().filter_map(|(_, until)| until.duration_since(now).ok()).min();
        (people.map(|(user_id, _)| user_id.clone()).collect(), next)
    }
}
