//! The scenarios of `bindings/scenario.json`, played by the core itself: what it writes is what every language must write.
//!
//! `scenarios GROUND scenario.json TRANSCRIPT`

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use async_trait::async_trait;
use madang_sdk_core::{
    Anchor, Backoff, Client, ClientConfig, ClientError, ClientErrorKind, ConnectionState, MessageItem, MessageKey,
    NewRoom, StoreLocation, TimelineItem, TokenProvider,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::Mutex,
    time::{Instant, timeout, timeout_at},
};

/// Longest wait of a step: a machine that does much else is slow, not wrong.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [ground, scenarios, transcript] = arguments.as_slice() else { bail!("GROUND scenario.json TRANSCRIPT") };
    let scenarios: Value = serde_json::from_str(&std::fs::read_to_string(scenarios)?)?;
    let ground = Arc::new(Ground::start(ground).await?);
    let mut lines = String::new();
    for scenario in scenarios["scenarios"].as_array().context("scenarios")? {
        let name = text(scenario, "name")?;
        writeln!(lines, "# {name}")?;
        let mut scene = Scene::new(&ground)?;
        for (at, step) in scenario["steps"].as_array().context("steps")?.iter().enumerate() {
            let seen = scene.play(step).await.with_context(|| format!("{name}, step {}: {step}\n{lines}", at + 1))?;
            writeln!(lines, "{} {seen}", at + 1)?;
        }
        scene.end().await;
    }
    Ok(std::fs::write(transcript, lines)?)
}

fn text<'a>(step: &'a Value, key: &str) -> Result<&'a str> {
    step[key].as_str().with_context(|| format!("{key} is missing"))
}

/// The program with the server.
#[derive(Debug)]
struct Ground {
    server: String,
    pipes: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    _child: Child,
}

impl Ground {
    async fn start(program: &str) -> Result<Self> {
        let mut child =
            Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let input = child.stdin.take().context("a pipe")?;
        let mut lines = BufReader::new(child.stdout.take().context("a pipe")?).lines();
        let first: Value = serde_json::from_str(&lines.next_line().await?.context("the ground ended")?)?;
        Ok(Self { server: text(&first, "server")?.to_owned(), pipes: Mutex::new((input, lines)), _child: child })
    }

    async fn say(&self, line: &str) -> Result<Value> {
        let mut pipes = self.pipes.lock().await;
        pipes.0.write_all(format!("{line}\n").as_bytes()).await?;
        let answer: Value = serde_json::from_str(&pipes.1.next_line().await?.context("the ground ended")?)?;
        ensure!(answer["error"].is_null(), "{answer}");
        Ok(answer)
    }
}

#[derive(Debug)]
struct Tokens {
    ground: Arc<Ground>,
    login: String,
}

#[async_trait]
impl TokenProvider for Tokens {
    async fn token(&self, _: bool) -> Result<String, ClientError> {
        let offline = |error: anyhow::Error| ClientError::new(ClientErrorKind::Offline, format!("{error:#}"));
        let (ground, line) = (Arc::clone(&self.ground), format!("token {}", self.login));
        // A question that is given up halfway would leave its answer to the next one.
        let asked = tokio::spawn(async move { ground.say(&line).await });
        let answer = asked.await.map_err(|error| offline(error.into()))?.map_err(offline)?;
        Ok(answer["token"].as_str().unwrap_or_default().to_owned())
    }
}

/// A scenario that is played.
struct Scene {
    ground: Arc<Ground>,
    folder: TempDir,
    clients: BTreeMap<String, Client>,
    rooms: BTreeMap<String, String>,
    messages: BTreeMap<String, String>,
}

impl Scene {
    fn new(ground: &Arc<Ground>) -> Result<Self> {
        Ok(Self {
            ground: Arc::clone(ground),
            folder: tempfile::tempdir()?,
            clients: BTreeMap::new(),
            rooms: BTreeMap::new(),
            messages: BTreeMap::new(),
        })
    }

    async fn end(self) {
        for client in self.clients.into_values() {
            client.shutdown(Duration::ZERO).await;
        }
    }

    fn client(&self, step: &Value) -> Result<&Client> {
        self.clients.get(text(step, "client")?).context("no such client")
    }

    fn room(&self, step: &Value) -> Result<&str> {
        self.rooms.get(text(step, "room")?).map(String::as_str).context("no such room")
    }

    fn message(&self, step: &Value) -> Result<String> {
        let name = text(step, "message")?;
        Ok(self.messages.get(name).cloned().unwrap_or_else(|| name.to_owned()))
    }

    async fn play(&mut self, step: &Value) -> Result<String> {
        let name = text(step, "do")?.to_owned();
        let done = timeout(PATIENCE, self.act(&name, step)).await.map_err(|_| anyhow!("took longer than 60 s"));
        let Some(wanted) = step["fails"].as_str() else {
            let seen = done??;
            return Ok(if seen.is_empty() { name } else { format!("{name}: {seen}") });
        };
        let failure = done?.err().context("did not fail")?;
        let failure: ClientError = failure.downcast()?;
        let reason = failure.reason.map_or("-".to_owned(), |reason| format!("{reason:?}"));
        let local = failure.local.map_or("-".to_owned(), |local| format!("{local:?}"));
        let seen = format!("{:?} reason {reason} local {local}", failure.kind);
        ensure!(seen == wanted, "failed with {seen}: {failure}");
        Ok(format!("{name}: {seen}"))
    }

    async fn act(&mut self, name: &str, step: &Value) -> Result<String> {
        match name {
            "open" => return self.open(step).await,
            "close" => self.leave(step)?.shutdown(Duration::ZERO).await,
            "drop" => drop(self.leave(step)?),
            "disconnect" => self.client(step)?.disconnect(),
            "reconnect" => self.client(step)?.reconnect(),
            "ground" => {
                let word = text(step, "say")?;
                self.ground.say(word).await?;
                return Ok(word.to_owned());
            }
            "state" => return self.state(step).await,
            "create_room" => return self.create_room(step).await,
            "room" => return self.shown_room(step).await,
            "no_room" => self.no_room(step).await?,
            "send" | "edit" | "delete" => self.write(name, step).await?,
            "send_many" => return self.send_many(step).await,
            "shows" => return self.shows(step).await,
            "mark_read" | "mark_unread" => self.mark(name, step).await?,
            "remove" => {
                let person = self.clients[text(step, "member")?].me().context("not signed in")?;
                let id = self.client(step)?.remove(self.room(step)?, &person).await?;
                self.client(step)?.settled(&id).await?;
            }
            "give_up" => return self.give_up(step).await,
            "page" => return self.page(step).await,
            _ => bail!("no such step"),
        }
        Ok(String::new())
    }

    fn leave(&mut self, step: &Value) -> Result<Client> {
        self.clients.remove(text(step, "client")?).context("no such client")
    }

    async fn open(&mut self, step: &Value) -> Result<String> {
        let (name, person) = (text(step, "client")?, text(step, "person")?);
        let store: PathBuf = self.folder.path().join(step["store"].as_str().unwrap_or(name));
        let server = step["server"].as_str().unwrap_or(&self.ground.server);
        let backoff = Backoff { base: Duration::from_millis(20), cap: Duration::from_millis(200) };
        let config = ClientConfig { backoff, ..ClientConfig::new(server, StoreLocation::File(store)) };
        let tokens = Tokens { ground: Arc::clone(&self.ground), login: person.to_owned() };
        let client = Client::open(config, Arc::new(tokens)).await?;
        if step["offline"] != true {
            client.states().wait_for(|state| *state == ConnectionState::Live).await?;
        }
        self.clients.insert(name.to_owned(), client);
        Ok(person.to_owned())
    }

    async fn state(&self, step: &Value) -> Result<String> {
        let wanted = text(step, "is")?;
        let named = |state: &ConnectionState| format!("{state:?}").starts_with(wanted);
        self.client(step)?.states().wait_for(named).await?;
        Ok(wanted.to_owned())
    }

    async fn create_room(&mut self, step: &Value) -> Result<String> {
        let name = text(step, "name")?;
        let members = step["members"].as_array().context("members")?.iter();
        let person = |member: &Value| self.clients[member.as_str().unwrap_or_default()].me();
        let members = members.filter_map(person).collect();
        let client = self.client(step)?;
        let id = client.create_room(NewRoom { name: name.to_owned(), members, ..NewRoom::default() }).await?;
        client.settled(&id).await?;
        self.rooms.insert(text(step, "room")?.to_owned(), id);
        Ok(name.to_owned())
    }

    async fn shown_room(&self, step: &Value) -> Result<String> {
        let wanted = &step["is"];
        let wanted = format!(
            "{} {} members {} unread {}",
            text(wanted, "name")?,
            text(wanted, "kind")?,
            wanted["members"],
            wanted["unread"]
        );
        self.room_list(step, |room| room.as_deref() == Some(wanted.as_str())).await?;
        Ok(wanted)
    }

    async fn no_room(&self, step: &Value) -> Result<()> {
        self.room_list(step, |room| room.is_none()).await
    }

    /// Follows the room list by its changes until the room is as it is wanted.
    async fn room_list(&self, step: &Value, wanted: impl Fn(Option<String>) -> bool) -> Result<()> {
        let room_id = self.room(step)?;
        let mut list = self.client(step)?.rooms().await?;
        let mut shown = list.items().to_vec();
        loop {
            let room = shown.iter().find(|room| room.id == room_id);
            let words = room.map(|room| {
                format!("{} {:?} members {} unread {}", room.name, room.kind, room.member_count, room.unread)
            });
            if wanted(words) {
                return Ok(());
            }
            for change in list.next().await.context("the client ended")? {
                change.apply(&mut shown);
            }
        }
    }

    async fn write(&mut self, name: &str, step: &Value) -> Result<()> {
        let (client, room_id) = (self.client(step)?, self.room(step)?);
        let id = match name {
            "send" => client.send(room_id, text(step, "text")?).await?,
            "edit" => client.edit(room_id, MessageKey::Own(self.message(step)?), text(step, "text")?).await?,
            _ => client.delete(room_id, MessageKey::Own(self.message(step)?)).await?,
        };
        if let (Some(message), "send") = (step["message"].as_str(), name) {
            self.messages.insert(message.to_owned(), id);
        }
        Ok(())
    }

    async fn send_many(&self, step: &Value) -> Result<String> {
        let (client, room_id) = (self.client(step)?, self.room(step)?);
        let count = step["count"].as_u64().context("count")?;
        let mut last = String::new();
        for number in 1..=count {
            last = client.send(room_id, format!("number {number}")).await?;
        }
        client.settled(&last).await?;
        Ok(count.to_string())
    }

    async fn shows(&self, step: &Value) -> Result<String> {
        let wanted: Vec<&str> = step["items"].as_array().context("items")?.iter().filter_map(Value::as_str).collect();
        let messages = self.timeline(step, |messages| messages.iter().map(line).eq(wanted.iter().copied())).await?;
        let escaped = |message| {
            let line: String = line(message);
            line.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t")
        };
        Ok(messages.iter().map(escaped).collect::<Vec<_>>().join(" | "))
    }

    async fn mark(&self, name: &str, step: &Value) -> Result<()> {
        let said = text(step, "text")?;
        let found = |message: &&MessageItem| message.text == said && message.seq.is_some();
        let messages = self.timeline(step, |messages| messages.iter().any(|message| found(&message))).await?;
        let seq = messages.iter().find(found).and_then(|message| message.seq).context("no position")?;
        let (client, room_id) = (self.client(step)?, self.room(step)?);
        match name {
            "mark_read" => client.mark_read(room_id, seq).await?,
            _ => client.mark_unread(room_id, seq).await?,
        }
        Ok(())
    }

    /// Follows the timeline by its changes until its messages are as they are wanted.
    async fn timeline(&self, step: &Value, wanted: impl Fn(&[MessageItem]) -> bool) -> Result<Vec<MessageItem>> {
        let mut list = self.client(step)?.timeline(self.room(step)?).await?;
        let mut shown = list.items().to_vec();
        let until = Instant::now() + PATIENCE / 2;
        loop {
            let messages = messages(&shown);
            if wanted(&messages) {
                return Ok(messages);
            }
            let batch = timeout_at(until, list.next()).await;
            let batch = batch.map_err(|_| anyhow!("shows {:?}", messages.iter().map(line).collect::<Vec<_>>()))?;
            for change in batch.context("the client ended")? {
                change.apply(&mut shown);
            }
        }
    }

    async fn give_up(&self, step: &Value) -> Result<String> {
        let id = self.message(step)?;
        let wait = self.client(step)?.settled(&id);
        ensure!(timeout(Duration::from_millis(200), wait).await.is_err(), "the answer came");
        Ok("cancelled".into())
    }

    async fn page(&self, step: &Value) -> Result<String> {
        let mut list = self.client(step)?.timeline_at(self.room(step)?, Anchor::Newest).await?;
        let older = u16::try_from(step["older"].as_u64().context("older")?)?;
        for _ in 0..step["pages"].as_u64().context("pages")? {
            list.load_older(older).await?;
            // Changes are told by the next wait.
            let _ = timeout(Duration::from_secs(1), list.next()).await;
        }
        let messages = messages(list.items());
        let (oldest, newest) = messages.first().zip(messages.last()).context("nothing is shown")?;
        Ok(format!("{} from {} to {}", messages.len(), oldest.text, newest.text))
    }
}

fn messages(items: &[TimelineItem]) -> Vec<MessageItem> {
    let message = |item: &TimelineItem| match item {
        TimelineItem::Message(message) => Some(message.clone()),
        _ => None,
    };
    items.iter().filter_map(message).collect()
}

fn line(message: &MessageItem) -> String {
    let edit = if message.edited { " edited" } else { "" };
    let end = if message.deleted { " deleted" } else { "" };
    format!("{} {:?}{edit}{end}: {}", message.sender.name, message.state, message.text)
}
