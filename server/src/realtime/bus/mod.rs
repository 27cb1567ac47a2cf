//! How nodes tell each other what was committed: NATS, which may lose. PostgreSQL is the truth, and the poll finds what was
//! lost; the bus only makes it quick.
//!
//! Always true: nothing here makes a commit wait; a node listens only to subjects of which it has rooms or people; a node
//! that missed something compares itself with the database at once. Without a bus everything here does nothing.

mod line;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

pub(super) use self::wire::Streams;
use self::{
    line::Line,
    wire::{Asked, Ended, Here, News, Parcel, Person, Profile, Room, Twin},
};
use crate::{
    config::Config,
    error::Result,
    ids::{RoomId, SessionId, UserId},
    realtime::{Changes, Hub},
};

/// Subjects of rooms and of people (sync page). A node with a few thousand sessions listens to most of those of people; a
/// room's neighbours on its subject are a thousandth of all.
const ROOM_SUBJECTS: u16 = 1024;
const PERSON_SUBJECTS: u16 = 256;

/// A parcel is closed at this size; NATS takes 1 MiB, and the largest event is 128 KiB.
const PARCEL_BYTES: usize = 512 * 1024;

/// Frames said by calls on this node's behalf that wait to be heard; more than this at once are an attack.
const TWINS: usize = 1024;

/// Questions that wait for an answer. Whoever runs the installation asks them; more at once are not heard.
const QUESTIONS: usize = 16;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is talked about, by subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Topic {
    /// Rooms of one partition.
    Rooms(u16),
    /// People of one partition.
    People(u16),
    /// What concerns every node.
    All,
    /// What concerns one node.
    Node(String),
}

impl Topic {
    fn of_room(room_id: RoomId) -> Self {
        let [.., high, low] = *room_id.0.as_bytes();
        Self::Rooms(u16::from_be_bytes([high, low]) % ROOM_SUBJECTS)
    }

    fn of_person(user_id: UserId) -> Self {
        let [.., low] = *user_id.0.as_bytes();
        Self::People(u16::from(low) % PERSON_SUBJECTS)
    }
}

/// A frame that a person said by a call to another node, for a stream here.
#[derive(Debug)]
pub struct TwinFrame {
    /// Who said it; the stream must be theirs.
    pub user_id: UserId,
    /// The stream.
    pub session_id: SessionId,
    /// An encoded `ClientFrame`.
    pub frame: Bytes,
}

/// What other nodes want of this one.
#[derive(Debug)]
pub struct Inbox {
    /// Frames for streams here.
    pub twins: mpsc::Receiver<TwinFrame>,
    /// Questions.
    pub questions: mpsc::Receiver<Question>,
}

/// A question of another node.
#[derive(Debug)]
pub struct Question {
    node: String,
    number: u64,
    /// What is asked.
    pub body: Bytes,
}

/// What one node answers.
#[derive(Debug)]
pub struct Answer {
    /// Its name.
    pub node: String,
    /// `None`: it did not answer in time.
    pub body: Option<Bytes>,
}

/// A node's line to the others.
#[derive(Debug, Clone)]
pub struct Bus {
    line: Option<Arc<Line>>,
    look: Arc<Notify>,
}

impl Bus {
    /// A line by the settings, which need not name one. Does not wait for the bus to be there.
    pub async fn start(config: &Config, node: Arc<str>, hub: Arc<Hub>) -> Result<(Self, Inbox)> {
        let (twins, heard) = mpsc::channel(TWINS);
        let (questions, asked) = mpsc::channel(QUESTIONS);
        let wanted = Wanted { twins, questions };
        let look = Arc::new(Notify::new());
        let line = match &config.nats_url {
            None => None,
            Some(url) => Some(Line::open(url, config, node, hub, wanted, Arc::clone(&look)).await?),
        };
        Ok((Self { line, look }, Inbox { twins: heard, questions: asked }))
    }

    /// Whether the other nodes hear this one now.
    pub fn is_up(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.is_up())
    }

    /// Waits until the database should be looked at before its time, because something was lost or may have been.
    pub async fn look(&self) {
        self.look.notified().await;
    }

    /// Says what a transaction changed.
    pub fn publish(&self, changes: &Changes) {
        let Some(line) = &self.line else { return };
        let mut parcels = Parcels::default();
        for event in &changes.rooms {
            let size = event.frame.len() + event.span.len();
            parcels.add(&Topic::of_room(event.room_id), size, line, |parcel| parcel.rooms.push(Room::of(event)));
        }
        for event in &changes.people {
            let topic = Topic::of_person(event.user_id);
            parcels.add(&topic, event.frame.len(), line, |parcel| parcel.people.push(Person::of(event)));
        }
        for change in &changes.profiles {
            let size = change.frame.len() + 16 * change.rooms.len();
            parcels.add(&Topic::All, size, line, |parcel| parcel.profiles.push(Profile::of(change)));
        }
        for end in &changes.ended {
            parcels.add(&Topic::of_person(end.user_id), 64, line, |parcel| parcel.ended.push(Ended::of(end)));
        }
        parcels.send(line);
    }

    /// News without a number, to everybody in a room but one person.
    pub fn tell_room(&self, room_id: RoomId, frame: &Bytes, except: Option<UserId>) {
        let Some(line) = &self.line else { return };
        let news = vec![News::of(room_id, frame, except)];
        line.say(&Topic::of_room(room_id), &Parcel { news, ..Parcel::default() });
    }

    /// Says where a person is on this node, and which of the streams has just been opened.
    pub fn tell_here(&self, hub: &Hub, user_id: UserId, opened: Option<SessionId>) {
        let Some(line) = &self.line else { return };
        let here = vec![Here::of(line.node(), user_id, &hub.streams_of(user_id), opened)];
        line.say(&Topic::of_person(user_id), &Parcel { here, ..Parcel::default() });
    }

    /// Says a frame to a stream on another node.
    pub fn tell_stream(&self, node: &str, user_id: UserId, session_id: SessionId, frame: Bytes) {
        let Some(line) = &self.line else { return };
        let twins = vec![Twin::of(user_id, session_id, frame)];
        line.say(&Topic::Node(node.to_owned()), &Parcel { twins, ..Parcel::default() });
    }

    /// Asks all other nodes, and waits until those that were heard of lately have answered, or for a second. `None`
    /// without a bus: then nobody can be asked.
    pub async fn ask(&self, body: Bytes) -> Option<Vec<Answer>> {
        let line = self.line.as_ref().filter(|line| line.is_up())?;
        Some(line.ask(body, PATIENCE).await)
    }

    /// Answers a question.
    pub fn answer(&self, question: &Question, body: Bytes) {
        let Some(line) = &self.line else { return };
        let answers = vec![Asked { number: question.number, node: line.node().to_owned(), body }];
        line.say(&Topic::Node(question.node.clone()), &Parcel { answers, ..Parcel::default() });
    }

    /// Says good-bye, and waits for a moment until what was said has left.
    pub async fn leave(&self) {
        if let Some(line) = &self.line {
            line.leave().await;
        }
    }

    /// Listens to what is said of these rooms and people. `true` when it did not before: what was said until now was missed.
    pub async fn listen(
        &self,
        rooms: impl IntoIterator<Item = RoomId> + Send,
        people: impl IntoIterator<Item = UserId> + Send,
    ) -> bool {
        let Some(line) = &self.line else { return false };
        let rooms = rooms.into_iter().map(Topic::of_room);
        let topics: BTreeSet<Topic> = rooms.chain(people.into_iter().map(Topic::of_person)).collect();
        line.listen(topics).await
    }
}

/// Where the line puts what is wanted of this node.
#[derive(Debug)]
struct Wanted {
    twins: mpsc::Sender<TwinFrame>,
    questions: mpsc::Sender<Question>,
}

/// Parcels that are being filled, one a subject.
#[derive(Default)]
struct Parcels(BTreeMap<Topic, (usize, Parcel)>);

impl Parcels {
    fn add(&mut self, topic: &Topic, size: usize, line: &Line, put: impl FnOnce(&mut Parcel)) {
        let (bytes, parcel) = self.0.entry(topic.clone()).or_default();
        if *bytes > 0 && *bytes + size > PARCEL_BYTES {
            line.say(topic, &std::mem::take(parcel));
            *bytes = 0;
        }
        *bytes += size;
        put(parcel);
    }

    fn send(self, line: &Line) {
        for (topic, (_, parcel)) in self.0 {
            line.say(&topic, &parcel);
        }
    }
}
