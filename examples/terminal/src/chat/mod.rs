//! The conversation: one loop that waits for the person, the rooms, the open room and the connection.

mod actions;
mod open;

use std::{future::pending, time::Duration};

use anyhow::Result;
use madang_sdk_core::{Client, ConnectionState};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    sync::{mpsc, watch},
};

use self::open::{OpenRoom, Printed};
use crate::{command::Command, rooms::Rooms, screen::line, words::Language};

/// Time to catch up before the first command is taken; without a connection the person works on what is stored.
const GREETING: Duration = Duration::from_secs(5);
/// Time to send what is left when the input ends.
const FAREWELL: Duration = Duration::from_secs(5);
/// Time to show what a send brought, at the end.
const AFTERWORD: Duration = Duration::from_millis(300);
/// Lines that may wait: a program that writes faster waits itself.
const LINES: usize = 64;

/// Everything of the conversation.
pub(crate) struct Chat {
    client: Client,
    language: Language,
    rooms: Rooms,
    open: Option<OpenRoom>,
    printed: Printed,
    states: watch::Receiver<ConnectionState>,
    /// The connection as it was last told.
    told: ConnectionState,
}

/// What happens on its own.
enum News {
    Rooms,
    Timeline,
    Typing(Vec<String>),
    State,
    Ended,
}

impl Chat {
    pub(crate) async fn open(client: Client, language: Language) -> Result<Self> {
        let rooms = Rooms::open(&client).await?;
        let states = client.states();
        let told = ConnectionState::Connecting;
        Ok(Self { client, language, rooms, open: None, printed: Printed::default(), states, told })
    }

    /// Runs to the end of the input or `/quit`; then sends what is left, for a short time.
    pub(crate) async fn run(mut self, login: &str) -> Result<()> {
        let mut lines = lines();
        self.greet(login).await;
        loop {
            let news = tokio::select! {
                line = lines.recv() => match line.as_deref().map(Command::parse) {
                    None | Some(Command::Quit) => break,
                    Some(command) => {
                        self.act(command).await;
                        continue;
                    }
                },
                news = next(&mut self.rooms, self.open.as_mut(), &mut self.states) => news,
            };
            if matches!(news, News::Ended) {
                break;
            }
            self.tell(news).await;
        }
        self.farewell().await;
        Ok(())
    }

    /// Waits until everything is here that happened before, or for a short while.
    async fn greet(&mut self, login: &str) {
        let settled = |state: &ConnectionState| {
            matches!(state, ConnectionState::Live | ConnectionState::SignedOut | ConnectionState::Ended { .. })
        };
        let _ = tokio::time::timeout(GREETING, self.states.wait_for(settled)).await;
        let language = self.language;
        let state = self.client.state();
        let live = state == ConnectionState::Live;
        let how = if live { language.say("online", "연결됨") } else { language.say("offline", "연결 안 됨") };
        line(&format!("# {login} ({how}), /help"));
        self.told = if live { ConnectionState::Live } else { ConnectionState::Connecting };
        self.tell_state(state);
    }

    async fn tell(&mut self, news: News) {
        match news {
            News::Rooms => self.tell_rooms(),
            News::Timeline => self.show().await,
            News::Typing(people) => self.tell_typing(people).await,
            News::State => {
                let state = self.states.borrow_and_update().clone();
                self.tell_state(state);
            }
            News::Ended => {}
        }
    }

    fn tell_rooms(&mut self) {
        let open = self.open.as_ref().map(|open| open.id().to_owned());
        let gone = self.rooms.tell(self.language, open.as_deref());
        if open.is_some_and(|open| gone.contains(&open)) {
            self.open = None;
        }
    }

    fn tell_state(&mut self, state: ConnectionState) {
        let language = self.language;
        let words = match (&self.told, &state) {
            (_, ConnectionState::SignedOut) => language.say("! sign in again", "! 다시 로그인해 주세요").to_owned(),
            (_, ConnectionState::Ended { reason }) => format!("! {}", language.error(reason)),
            (ConnectionState::Live, ConnectionState::Offline { reason, .. }) => {
                let offline = language.say("# offline", "# 연결 끊김");
                reason.as_ref().map_or(offline.to_owned(), |reason| format!("{offline}: {}", language.error(reason)))
            }
            (ConnectionState::Offline { .. }, ConnectionState::Live) => language.say("# online", "# 연결됨").to_owned(),
            _ => String::new(),
        };
        if !words.is_empty() {
            line(&words);
        }
        // Trying again is no news.
        if state != ConnectionState::Connecting {
            self.told = state;
        }
    }

    /// Sends what is left and shows what that brings.
    async fn farewell(&mut self) {
        let client = self.client.clone();
        let mut drained = Box::pin(client.drain(FAREWELL));
        let empty = loop {
            let news = tokio::select! {
                empty = &mut drained => break empty,
                news = next(&mut self.rooms, self.open.as_mut(), &mut self.states) => news,
            };
            if matches!(news, News::Ended) {
                break true;
            }
            self.tell(news).await;
        };
        let after = async {
            loop {
                let news = next(&mut self.rooms, self.open.as_mut(), &mut self.states).await;
                if matches!(news, News::Ended) {
                    break;
                }
                self.tell(news).await;
            }
        };
        let _ = tokio::time::timeout(AFTERWORD, after).await;
        if !empty {
            let words = (
                "not everything was sent; it waits for the next start",
                "다 보내지 못했습니다. 다음에 시작하면 보냅니다",
            );
            line(&format!("! {}", self.language.say(words.0, words.1)));
        }
        self.open = None;
        self.client.shutdown(Duration::ZERO).await;
    }
}

/// The next thing that happens on its own.
async fn next(rooms: &mut Rooms, open: Option<&mut OpenRoom>, states: &mut watch::Receiver<ConnectionState>) -> News {
    let in_room = async {
        match open {
            Some(open) => open.next().await,
            None => pending().await,
        }
    };
    tokio::select! {
        change = rooms.list.next() => change.map_or(News::Ended, |_| News::Rooms),
        news = in_room => news,
        changed = states.changed() => changed.map_or(News::Ended, |()| News::State),
    }
}

/// Lines of the input, to its end.
fn lines() -> mpsc::Receiver<String> {
    let (found, lines) = mpsc::channel(LINES);
    tokio::spawn(async move {
        let mut input = BufReader::new(tokio::io::stdin());
        let mut bytes = Vec::new();
        while input.read_until(b'\n', &mut bytes).await.is_ok_and(|read| read > 0) {
            // A line that is no UTF-8 is shown as what it is; one bad byte must not end the conversation.
            let line = String::from_utf8_lossy(&bytes).into_owned();
            bytes.clear();
            if found.send(line).await.is_err() {
                break;
            }
        }
    });
    lines
}
