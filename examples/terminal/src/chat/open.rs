//! The open room on the screen: each message once, in the order of the room.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use madang_sdk_core::{
    Client, ConnectionState, MessageItem, NoticeItem, SendState, Timeline, TimelineItem, Typers, UnsupportedItem,
};
use tokio::time::Instant;

use super::{Chat, News};
use crate::{
    screen::{clock, line},
    words::Language,
};

/// A line waits so long for the name of its sender.
const NAMES: Duration = Duration::from_secs(2);

/// The open room.
pub(super) struct OpenRoom {
    pub(super) timeline: Timeline,
    typers: Typers,
    /// Since when a line waits for a name.
    waiting: Option<Instant>,
}

/// What was printed, of all rooms: a room that is opened again goes on where it was.
#[derive(Default)]
pub(super) struct Printed {
    rooms: HashMap<String, PrintedRoom>,
}

#[derive(Default)]
struct PrintedRoom {
    lines: BTreeMap<i64, Line>,
    echoes: HashMap<String, Told>,
}

/// What was said of a message of one's own that is not in the room yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Nothing,
    Queued,
    Sending,
    Failed,
}

/// A message as it was printed.
#[derive(Clone, PartialEq)]
struct Line {
    text: String,
    deleted: bool,
}

impl OpenRoom {
    pub(super) async fn open(client: &Client, room_id: &str) -> Result<Self, madang_sdk_core::ClientError> {
        let timeline = client.timeline(room_id).await?;
        Ok(Self { timeline, typers: client.typers(room_id), waiting: None })
    }

    pub(super) fn id(&self) -> &str {
        self.timeline.room_id()
    }

    /// The next thing that happens in the room.
    pub(super) async fn next(&mut self) -> News {
        let patience = self.waiting.map(|since| since + NAMES);
        let impatient = async {
            match patience {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            change = self.timeline.next() => change.map_or(News::Ended, |_| News::Timeline),
            people = self.typers.next() => people.map_or(News::Ended, News::Typing),
            () = impatient => News::Timeline,
        }
    }

    /// The last message of one's own that can be changed.
    pub(super) fn last_own(&self) -> Option<i64> {
        self.timeline.items().iter().rev().find_map(|item| match item {
            TimelineItem::Message(message) if message.mine && !message.deleted && message.rev > 0 => message.seq,
            _ => None,
        })
    }
}

impl Chat {
    /// Prints what is new in the open room, and marks it as read.
    pub(super) async fn show(&mut self) {
        let Some(open) = &mut self.open else { return };
        let online = self.client.state() == ConnectionState::Live;
        let page =
            Page { language: self.language, online, patient: open.waiting.is_none_or(|since| since.elapsed() < NAMES) };
        let printed = self.printed.rooms.entry(open.id().to_owned()).or_default();
        let before = printed.newest();
        let waits = printed.print(open.timeline.items(), page);
        open.waiting = waits.then(|| open.waiting.unwrap_or_else(Instant::now));
        let newest = printed.newest();
        if newest > before
            && let Err(error) = self.client.mark_read(open.id(), newest).await
        {
            line(&format!("! {}", self.language.error(&error)));
        }
    }

    pub(super) async fn tell_typing(&mut self, people: Vec<String>) {
        let me = self.client.me().unwrap_or_default();
        for id in people.into_iter().filter(|id| *id != me) {
            let user = self.client.user(&id).await.ok().flatten().unwrap_or_default();
            let name = if user.display_name.is_empty() { user.login } else { user.display_name };
            line(&match self.language {
                Language::English => format!("· {name} is typing"),
                Language::Korean => format!("· {name}님이 입력 중"),
            });
        }
    }
}

/// Prints an item of a page that somebody jumped to.
pub(super) fn print_item(item: &TimelineItem, language: Language) {
    let text = match item {
        TimelineItem::Message(message) => {
            let deleted = language.say("(deleted)", "(삭제된 메시지)");
            let text = if message.deleted { deleted } else { &message.text };
            let seq = message.seq.unwrap_or_default();
            format!("{} #{seq} {}: {text}", clock(message.created_at), language.person(&message.sender))
        }
        TimelineItem::Notice(notice) => format!("{} — {}", clock(notice.created_at), language.notice(notice)),
        TimelineItem::Unsupported(item) => format!("{} #{}: {}", clock(item.created_at), item.seq, item.text),
        TimelineItem::DayLine { date } => format!("— {:04}-{:02}-{:02} —", date.year, date.month, date.day),
        TimelineItem::NewLine => format!("— {} —", language.say("new", "새 메시지")),
    };
    line(&text);
}

/// How a page is printed.
#[derive(Clone, Copy)]
struct Page {
    language: Language,
    online: bool,
    /// A line without its sender's name waits.
    patient: bool,
}

impl PrintedRoom {
    fn newest(&self) -> i64 {
        self.lines.last_key_value().map_or(0, |(seq, _)| *seq)
    }

    /// Prints what is new; tells whether something waits for a name.
    fn print(&mut self, items: &[TimelineItem], page: Page) -> bool {
        let mut waits = false;
        for item in items {
            // What comes after a line that waits, waits too: the order is the room's.
            match item {
                TimelineItem::Message(message) if message.rev == 0 => self.echo(message, page),
                _ if waits => {}
                TimelineItem::Message(message) => waits = !self.message(message, page),
                TimelineItem::Notice(notice) => waits = !self.notice(notice, page),
                TimelineItem::Unsupported(item) => self.unsupported(item, page),
                TimelineItem::DayLine { .. } | TimelineItem::NewLine => {}
            }
        }
        waits
    }

    fn message(&mut self, message: &MessageItem, page: Page) -> bool {
        let seq = message.seq.unwrap_or_default();
        let now = Line { text: message.text.clone(), deleted: message.deleted };
        let name = page.language.person(&message.sender);
        match self.lines.get(&seq) {
            Some(held) if *held == now => return true,
            Some(_) if message.deleted => {
                let words = page.language.say("deleted", "삭제됨");
                line(&format!("✗ #{seq} {name}: {words}"));
            }
            Some(_) => line(&format!("✎ #{seq} {name}: {}", message.text)),
            None if message.sender.name.is_empty() && page.patient => return false,
            None => self.new_message(message, &name, page),
        }
        self.lines.insert(seq, now);
        true
    }

    fn new_message(&mut self, message: &MessageItem, name: &str, page: Page) {
        let deleted = page.language.say("(deleted)", "(삭제된 메시지)");
        let text = if message.deleted { deleted } else { &message.text };
        line(&format!("{} {name}: {text}", clock(message.created_at)));
        if message.mine && self.echoes.remove(&message.client_message_id).is_some() {
            line(&format!("  ✓ #{}", message.seq.unwrap_or_default()));
        }
    }

    fn notice(&mut self, notice: &NoticeItem, page: Page) -> bool {
        if self.lines.contains_key(&notice.seq) {
            return true;
        }
        let nameless = notice.people.iter().chain([&notice.actor]).any(|person| person.name.is_empty());
        if nameless && page.patient {
            return false;
        }
        line(&format!("{} — {}", clock(notice.created_at), page.language.notice(notice)));
        self.lines.insert(notice.seq, Line { text: String::new(), deleted: false });
        true
    }

    fn unsupported(&mut self, item: &UnsupportedItem, page: Page) {
        let now = Line { text: item.text.clone(), deleted: false };
        if self.lines.insert(item.seq, now).is_none() {
            let words = page.language.say("something this version cannot show", "이 버전이 보여 줄 수 없는 것");
            line(&format!(
                "{} {}: ({words}) {}",
                clock(item.created_at),
                page.language.person(&item.sender),
                item.text
            ));
        }
    }

    /// A message of one's own that is not in the room yet: how far it is.
    fn echo(&mut self, message: &MessageItem, page: Page) {
        let language = page.language;
        let before = self.echoes.get(&message.client_message_id).copied().unwrap_or(Told::Nothing);
        let now = match &message.state {
            // It leaves at once.
            SendState::Queued if page.online => Told::Nothing,
            SendState::Queued => Told::Queued,
            SendState::Sending | SendState::Sent => Told::Sending,
            SendState::Failed { .. } => Told::Failed,
        };
        // Waiting again after an attempt is no news; an attempt after a failure is.
        let again = before == Told::Failed && now != Told::Failed;
        if now <= before && !again {
            self.echoes.insert(message.client_message_id.clone(), before);
            return;
        }
        self.echoes.insert(message.client_message_id.clone(), now);
        let text = &message.text;
        match &message.state {
            SendState::Queued if page.online => {}
            SendState::Queued => line(&format!("… {}: {text}", language.say("queued", "대기 중"))),
            SendState::Sending => line(&format!("… {}: {text}", language.say("sending", "보내는 중"))),
            SendState::Sent => {}
            SendState::Failed { reason, .. } => {
                let words = language.reason(*reason);
                let failed = language.say("not sent", "보내지 못함");
                line(&format!("✗ {failed}: {text} — {words} (/retry, /discard)"));
            }
        }
    }
}
