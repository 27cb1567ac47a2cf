//! What the person asks for.

use std::time::Duration;

use madang_sdk_core::{Anchor, ClientError, ClientErrorKind, Draft, NewRoom, SendState, WaitingChange};

use super::{
    Chat,
    open::{OpenRoom, print_item},
};
use crate::{
    command::{Command, Place},
    screen::{beginning, line},
    words::{Language, Particle, particle},
};

/// Wait for the server before a change is left to the outbox.
const ANSWER: Duration = Duration::from_secs(2);

/// The commands, as `/help` lists them.
const HELP: &[(&str, &str, &str)] = &[
    ("/new NAME LOGIN...", "make a room with people and open it", "사람들과 방을 만들고 엽니다"),
    ("/dm LOGIN", "open the room with one person", "한 사람과의 방을 엽니다"),
    ("/rooms [TEXT]", "list rooms with unread, or find them", "방과 안 읽은 수를 보여 주거나 찾습니다"),
    ("/open NUMBER|NAME", "open a room", "방을 엽니다"),
    ("/invite LOGIN...", "bring people in", "사람들을 초대합니다"),
    ("/remove LOGIN", "take a person out", "사람을 내보냅니다"),
    ("/leave", "leave the open room", "열린 방에서 나갑니다"),
    ("/join NUMBER|NAME|ROOM_ID", "enter a room, or come back", "방에 들어가거나 돌아옵니다"),
    ("/edit [#SEQ] TEXT", "change a message, else your last", "메시지를 고칩니다"),
    ("/delete [#SEQ]", "delete a message, else your last", "메시지를 삭제합니다"),
    ("/older [COUNT]", "show older messages", "이전 메시지를 보여 줍니다"),
    ("/jump #SEQ|DATE|unread", "show the messages around a place", "그 자리의 메시지를 보여 줍니다"),
    ("/who", "list members", "구성원을 보여 줍니다"),
    ("/unread [#SEQ]", "unread total; mark as unread from there", "안 읽은 수, 또는 거기부터 안 읽음으로"),
    ("/typing", "say that you are writing", "입력 중임을 알립니다"),
    ("/failed", "list what has failed", "처리하지 못한 것을 보여 줍니다"),
    ("/retry, /discard [NUMBER]", "try it again, or throw it away", "다시 하거나 버립니다"),
    ("/quit", "end", "끝냅니다"),
];

/// Something the person cannot do, as a sentence.
enum Trouble {
    /// The client's.
    Client(ClientError),
    /// No room is open.
    NoRoom,
    /// Nothing to change.
    NoMessage,
    /// Nobody is called so.
    Nobody(String),
    /// No room is called so.
    Nowhere(String),
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        let internal = |error| ClientError::new(ClientErrorKind::Internal, format!("{error:#}"));
        Self::Client(error.downcast::<ClientError>().unwrap_or_else(internal))
    }
}

impl Trouble {
    fn words(&self, language: Language) -> String {
        match self {
            Self::Client(error) => language.error(error),
            Self::NoRoom => language.say("open a room first: /rooms, /open", "먼저 방을 여세요: /rooms, /open").into(),
            Self::NoMessage => language.say("no message of yours here", "여기에는 내 메시지가 없습니다").into(),
            Self::Nobody(name) => match language {
                Language::English => format!("nobody is called {name}"),
                Language::Korean => format!("{name}{} 찾을 수 없습니다", particle(name, Particle::Object)),
            },
            Self::Nowhere(name) => match language {
                Language::English => format!("no room is called {name}"),
                Language::Korean => format!("{name}{} 없습니다", particle(name, Particle::Subject)),
            },
        }
    }
}

impl Chat {
    /// Does it, and words what went wrong.
    pub(super) async fn act(&mut self, command: Command) {
        if let Err(trouble) = self.perform(command).await {
            line(&format!("! {}", trouble.words(self.language)));
        }
    }

    async fn perform(&mut self, command: Command) -> Result<(), Trouble> {
        match command {
            Command::Nothing | Command::Quit => {}
            Command::Say(text) => self.say(text).await?,
            Command::New(name, logins) => {
                let members = self.people(&logins).await?;
                let room_id =
                    self.client.create_room(NewRoom { name: name.clone(), members, ..NewRoom::default() }).await?;
                self.done(room_id.clone()).await?;
                self.enter(&room_id, &name).await?;
            }
            Command::Direct(login) => {
                let user_id = self.person(&login).await?;
                let room_id = self.client.open_direct(&user_id).await?;
                self.enter(&room_id, &login).await?;
            }
            Command::Rooms(text) if text.is_empty() => self.rooms.print(&self.client, self.language).await?,
            Command::Rooms(text) => self.rooms.search(&self.client, self.language, text).await?,
            Command::Open(text) => {
                let found = self.rooms.find(&self.client, &text, false).await?;
                let (room_id, name) = found.ok_or(Trouble::Nowhere(text))?;
                self.enter(&room_id, &name).await?;
            }
            Command::Join(text) => {
                let found = self.rooms.find(&self.client, &text, true).await?;
                let (room_id, name) = found.unwrap_or((text.clone(), text));
                self.done(self.client.join(&room_id).await?).await?;
                self.enter(&room_id, &name).await?;
            }
            Command::Usage(usage) => line(&format!("! {usage}")),
            Command::Help => self.help(),
            Command::Failed => self.list_failed().await?,
            Command::Retry(number) => self.settle_failed(number, true).await?,
            Command::Discard(number) => self.settle_failed(number, false).await?,
            Command::Unread => {
                let total = self.client.unread_total().await?;
                line(&format!("# {} {total}", self.language.say("unread", "안 읽음")));
            }
            command => self.in_room(command).await?,
        }
        Ok(())
    }

    /// Waits a moment for the server, so that a refusal is told where it arises; a change that was refused is thrown away.
    async fn done(&self, change: String) -> Result<(), Trouble> {
        match tokio::time::timeout(ANSWER, self.client.settled(&change)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(refusal)) => {
                self.client.discard_failed(&change).await?;
                Err(refusal.into())
            }
            Err(_) => {
                let later = self.language.say("waits for the connection", "연결되면 처리됩니다");
                line(&format!("… {later}"));
                Ok(())
            }
        }
    }

    /// What needs an open room.
    async fn in_room(&mut self, command: Command) -> Result<(), Trouble> {
        let room_id = self.open_id()?;
        match command {
            Command::Invite(logins) => {
                let people = self.people(&logins).await?;
                self.done(self.client.invite(&room_id, people).await?).await?;
            }
            Command::Remove(login) => {
                let user_id = self.person(&login).await?;
                self.done(self.client.remove(&room_id, &user_id).await?).await?;
            }
            Command::Leave => {
                self.done(self.client.leave(&room_id).await?).await?;
                self.open = None;
            }
            Command::Edit(seq, text) => {
                let seq = self.own(seq)?;
                self.done(self.client.edit(&room_id, seq, text).await?).await?;
            }
            Command::Delete(seq) => {
                let seq = self.own(seq)?;
                self.done(self.client.delete(&room_id, seq).await?).await?;
            }
            Command::Who => self.who(&room_id).await?,
            Command::MarkUnread(seq) => self.client.mark_unread(&room_id, seq).await?,
            Command::Older(count) => {
                if let Some(open) = &mut self.open {
                    open.timeline.load_older(count).await?;
                }
            }
            Command::Jump(place) => self.jump(&room_id, place).await?,
            Command::Typing => self.client.typing(&room_id),
            _ => {}
        }
        Ok(())
    }

    fn open_id(&self) -> Result<String, Trouble> {
        self.open.as_ref().map(|open| open.id().to_owned()).ok_or(Trouble::NoRoom)
    }

    fn own(&self, seq: Option<i64>) -> Result<i64, Trouble> {
        seq.or_else(|| self.open.as_ref()?.last_own()).ok_or(Trouble::NoMessage)
    }

    /// Opens a room: what is held of it first, then what comes.
    async fn enter(&mut self, room_id: &str, name: &str) -> Result<(), Trouble> {
        let known = self.rooms.name(room_id);
        let name = if known.is_empty() { name } else { &known };
        line(&format!("== {name}"));
        self.open = None;
        self.open = Some(OpenRoom::open(&self.client, room_id).await?);
        self.show().await;
        Ok(())
    }

    /// Sends a message. `@login` of a member mentions them, `@all` everybody.
    async fn say(&mut self, text: String) -> Result<(), Trouble> {
        let room_id = self.open_id()?;
        let mut draft = Draft { text, ..Draft::default() };
        let named: Vec<String> = draft
            .text
            .split_whitespace()
            .filter_map(|word| word.strip_prefix('@'))
            .map(|name| name.trim_end_matches(|c: char| !c.is_alphanumeric()).to_lowercase())
            .collect();
        if !named.is_empty() {
            draft.mention_all = named.iter().any(|name| name == "all");
            let members = self.client.members(&room_id).await.unwrap_or_default();
            let mentioned = members.into_iter().filter(|member| named.contains(&member.user.login.to_lowercase()));
            draft.mentions = mentioned.map(|member| member.user.id).collect();
        }
        self.client.send(&room_id, draft).await?;
        self.show().await;
        Ok(())
    }

    async fn person(&self, login: &str) -> Result<String, Trouble> {
        let found = self.client.search_users(login).await?;
        let user = found.into_iter().find(|user| user.login.eq_ignore_ascii_case(login));
        user.map(|user| user.id).ok_or_else(|| Trouble::Nobody(login.to_owned()))
    }

    async fn people(&self, logins: &[String]) -> Result<Vec<String>, Trouble> {
        let mut ids = Vec::with_capacity(logins.len());
        for login in logins {
            ids.push(self.person(login).await?);
        }
        Ok(ids)
    }

    async fn who(&self, room_id: &str) -> Result<(), Trouble> {
        for member in self.client.members(room_id).await? {
            let user = &member.user;
            let role = match member.member.role() {
                madang_sdk_core::v1::MemberRole::Admin => self.language.say(" (admin)", " (관리자)"),
                _ => "",
            };
            let name = if user.display_name.is_empty() { &user.login } else { &user.display_name };
            line(&format!("  {name} @{}{role}", user.login));
        }
        Ok(())
    }

    /// What the server refused, of all rooms, oldest first.
    async fn failed(&self) -> Result<Vec<WaitingChange>, Trouble> {
        let waiting = self.client.outbox().await?;
        let failed = waiting.items().iter().filter(|change| matches!(change.state, SendState::Failed { .. }));
        Ok(failed.cloned().collect())
    }

    async fn list_failed(&self) -> Result<(), Trouble> {
        let failed = self.failed().await?;
        if failed.is_empty() {
            line(self.language.say("nothing has failed", "실패한 것이 없습니다"));
        }
        for (number, change) in (1..).zip(&failed) {
            let what = self.language.change(change.kind);
            let place = self.rooms.name(&change.room_id);
            let why = match &change.state {
                SendState::Failed { reason, .. } => self.language.reason(*reason),
                _ => "",
            };
            line(&format!("{number:>3}. {what} [{place}] {}: {why}", change.text));
        }
        Ok(())
    }

    /// Tries what has failed again, or throws it away: one by its number in the list, or all.
    async fn settle_failed(&self, number: Option<usize>, again: bool) -> Result<(), Trouble> {
        let failed = self.failed().await?;
        let wanted = (1..).zip(failed).filter(|(at, _)| number.is_none_or(|number| number == *at));
        for (_, change) in wanted {
            let done = if again {
                self.client.retry_failed(&change.id).await
            } else {
                self.client.discard_failed(&change.id).await
            };
            match done {
                // It went with its room, which was earlier in the list.
                Err(error) if error.kind == ClientErrorKind::NotFound => {}
                done => done?,
            }
        }
        Ok(())
    }

    /// Shows a page around a place; the open room goes on below it.
    async fn jump(&self, room_id: &str, place: Place) -> Result<(), Trouble> {
        let anchor = match place {
            Place::Message(seq) => Anchor::Message(seq),
            Place::Unread => Anchor::FirstUnread,
            Place::Day(day) => Anchor::Date(beginning(day)),
        };
        let page = self.client.timeline_at(room_id, anchor).await?;
        page.items().iter().for_each(|item| print_item(item, self.language));
        Ok(())
    }

    fn help(&self) {
        for (usage, english, korean) in HELP {
            line(&format!("  {usage:<28}{}", self.language.say(english, korean)));
        }
    }
}
