//! A scenario that is played: what each step does, and what it has seen.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use madang_sdk_core::{
    Anchor, Backoff, Client, ClientConfig, ClientError, ConnectionState, Draft, ListChange, MessageItem, MessageKey,
    NewRoom, RoomItem, StoreLocation, Timeline, TimelineItem,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, timeout, timeout_at};

use crate::{Ground, host::Host, text};

/// Longest wait of a step: a machine that does much else is slow, not wrong.
const PATIENCE: Duration = Duration::from_mins(1);

/// A scenario that is played.
pub(crate) struct Scene {
    ground: Arc<Ground>,
    folder: TempDir,
    clients: BTreeMap<String, Client>,
    hosts: BTreeMap<String, Arc<Host>>,
    lists: BTreeMap<String, Timeline>,
    rooms: BTreeMap<String, String>,
    messages: BTreeMap<String, String>,
}

impl Scene {
    pub(crate) fn new(ground: &Arc<Ground>) -> Result<Self> {
        Ok(Self {
            ground: Arc::clone(ground),
            folder: tempfile::tempdir()?,
            clients: BTreeMap::new(),
            hosts: BTreeMap::new(),
            lists: BTreeMap::new(),
            rooms: BTreeMap::new(),
            messages: BTreeMap::new(),
        })
    }

    pub(crate) async fn end(self) {
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

    fn host(&self, step: &Value) -> Result<&Host> {
        self.hosts.get(text(step, "client")?).map(Arc::as_ref).context("no such client")
    }

    /// The people of these clients, by id.
    fn people(&self, clients: &Value) -> Result<Vec<String>> {
        let person = |name: &Value| self.clients.get(name.as_str()?)?.me();
        clients.as_array().into_iter().flatten().map(|name| person(name).context("not signed in")).collect()
    }

    fn message(&self, step: &Value) -> Result<String> {
        let name = text(step, "message")?;
        Ok(self.messages.get(name).cloned().unwrap_or_else(|| name.to_owned()))
    }

    pub(crate) async fn play(&mut self, step: &Value) -> Result<String> {
        let name = text(step, "do")?.to_owned();
        let done = timeout(PATIENCE, self.act(&name, step)).await.map_err(|_| anyhow!("took longer than 60 s"));
        let Some(wanted) = step["fails"].as_str() else {
            let seen = done??;
            return Ok(if seen.is_empty() { name } else { format!("{name}: {seen}") });
        };
        let failure = done?.err().context("did not fail")?;
        let failure: ClientError = failure.downcast()?;
        let seen = words(&failure);
        ensure!(seen == wanted, "failed with {seen}: {failure}");
        Ok(format!("{name}: {seen}"))
    }

    async fn act(&mut self, name: &str, step: &Value) -> Result<String> {
        match name {
            "open" => return self.open(step).await,
            "close" => self.let_go(step)?.shutdown(Duration::ZERO).await,
            "drop" => drop(self.let_go(step)?),
            "end" => self.client(step)?.shutdown(Duration::ZERO).await,
            "suspend" => self.client(step)?.suspend().await?,
            "resume" => self.client(step)?.resume().await?,
            "sign_out" => return Ok(if self.client(step)?.sign_out().await? { "told" } else { "not told" }.to_owned()),
            "disconnect" => self.client(step)?.disconnect(),
            "reconnect" => self.client(step)?.reconnect(),
            "ground" => {
                let word = text(step, "say")?;
                self.ground.say(word).await?;
                return Ok(word.to_owned());
            }
            "old_store" => self.old_store(step).await?,
            "revoke" => {
                let (host, device_id) = (self.host(step)?, self.client(step)?.device_id());
                self.ground.say(&format!("revoke {} {device_id}", host.login)).await?;
            }
            "tokens" => {
                self.host(step)?.answers(text(step, "are")?)?;
                return Ok(text(step, "are")?.to_owned());
            }
            "renewed" => self.host(step)?.renewed().await?,
            "state" => return self.state(step).await,
            "create_room" => return self.create_room(step).await,
            "open_direct" => self.open_direct(step).await?,
            "room" => return self.shown_room(step).await,
            "no_room" => self.no_room(step).await?,
            "send" | "edit" | "delete" => self.write(name, step).await?,
            "send_many" => return self.send_many(step).await,
            "shows" => return self.shows(step).await,
            "mark_read" | "mark_unread" => self.mark(name, step).await?,
            "remove" | "invite" | "join" | "leave" => self.membership(name, step).await?,
            "settled" => drop(self.client(step)?.settled(&self.message(step)?).await?),
            "watch" => {
                let list = self.client(step)?.timeline(self.room(step)?).await?;
                self.lists.insert(text(step, "client")?.to_owned(), list);
            }
            "told" => return self.told(step).await,
            "jump" => return self.jump(step).await,
            "give_up" => return self.give_up(step).await,
            "page" => return self.page(step).await,
            _ => bail!("no such step"),
        }
        Ok(String::new())
    }

    fn let_go(&mut self, step: &Value) -> Result<Client> {
        self.clients.remove(text(step, "client")?).context("no such client")
    }

    async fn open(&mut self, step: &Value) -> Result<String> {
        let (name, person) = (text(step, "client")?, text(step, "person")?);
        let store: PathBuf = self.folder.path().join(step["store"].as_str().unwrap_or(name));
        let server = step["server"].as_str().unwrap_or(&self.ground.server);
        let backoff = Backoff { base: Duration::from_millis(20), cap: Duration::from_millis(200) };
        let config = ClientConfig { backoff, ..ClientConfig::new(server, StoreLocation::File(store)) };
        let host = Host::new(&self.ground, person);
        self.hosts.insert(name.to_owned(), Arc::clone(&host));
        let client = Client::open(config, host).await?;
        if step["offline"] != true {
            client.states().wait_for(|state| *state == ConnectionState::Live).await?;
        }
        self.clients.insert(name.to_owned(), client);
        Ok(person.to_owned())
    }

    async fn state(&self, step: &Value) -> Result<String> {
        let wanted = text(step, "is")?;
        self.client(step)?.states().wait_for(|state| state_line(state) == wanted).await?;
        Ok(wanted.to_owned())
    }

    /// Lays the store of an earlier version down where a client will look for it.
    async fn old_store(&mut self, step: &Value) -> Result<()> {
        let path = self.folder.path().join(text(step, "store")?);
        let answer = self.ground.say(&format!("store {} {}", step["version"], path.display())).await?;
        self.rooms.insert(text(step, "room")?.to_owned(), text(&answer, "room")?.to_owned());
        Ok(())
    }

    async fn create_room(&mut self, step: &Value) -> Result<String> {
        let name = text(step, "name")?;
        let members = self.people(&step["members"])?;
        let client = self.client(step)?;
        let id = client.create_room(NewRoom { name: name.to_owned(), members, ..NewRoom::default() }).await?;
        client.settled(&id).await?;
        self.rooms.insert(text(step, "room")?.to_owned(), id);
        Ok(name.to_owned())
    }

    /// Whoever opens it first makes it; all find the same.
    async fn open_direct(&mut self, step: &Value) -> Result<()> {
        let with = self.people(&step["members"])?;
        let id = self.client(step)?.open_direct(with.first().context("with whom")?).await?;
        let known = self.rooms.insert(text(step, "room")?.to_owned(), id.clone());
        ensure!(known.is_none_or(|known| known == id), "another room");
        Ok(())
    }

    async fn membership(&self, name: &str, step: &Value) -> Result<()> {
        let (client, room_id) = (self.client(step)?, self.room(step)?);
        let people = self.people(&step["members"])?;
        let id = match name {
            "invite" => client.invite(room_id, people).await?,
            "remove" => client.remove(room_id, people.first().context("whom")?).await?,
            "join" => client.join(room_id).await?,
            _ => client.leave(room_id).await?,
        };
        client.settled(&id).await?;
        Ok(())
    }

    async fn shown_room(&self, step: &Value) -> Result<String> {
        let is = &step["is"];
        let (name, kind) = (text(is, "name")?, text(is, "kind")?);
        let mentions = is["mentions"].as_u64().unwrap_or_default();
        let wanted = format!("{name} {kind} members {} unread {} mentions {mentions}", is["members"], is["unread"]);
        self.room_list(step, |room| room == Some(wanted.as_str())).await?;
        Ok(wanted)
    }

    async fn no_room(&self, step: &Value) -> Result<()> {
        self.room_list(step, |room| room.is_none()).await
    }

    /// Follows the room list by its changes until the room is as it is wanted.
    async fn room_list(&self, step: &Value, wanted: impl Fn(Option<&str>) -> bool) -> Result<()> {
        let room_id = self.room(step)?;
        let mut list = self.client(step)?.rooms().await?;
        let mut shown = list.items().to_vec();
        let until = Instant::now() + PATIENCE / 2;
        loop {
            let room = shown.iter().find(|room| room.id == room_id).map(room_line);
            if wanted(room.as_deref()) {
                return Ok(());
            }
            let batch = timeout_at(until, list.next()).await.map_err(|_| anyhow!("shows {room:?}"))?;
            for change in batch.context("the client ended")? {
                change.apply(&mut shown);
            }
        }
    }

    async fn write(&mut self, name: &str, step: &Value) -> Result<()> {
        let (client, room_id) = (self.client(step)?, self.room(step)?);
        let id = match name {
            "send" => client.send(room_id, self.draft(step)?).await?,
            "edit" => client.edit(room_id, MessageKey::Own(self.message(step)?), self.draft(step)?).await?,
            _ => client.delete(room_id, MessageKey::Own(self.message(step)?)).await?,
        };
        if let (Some(message), "send") = (step["message"].as_str(), name) {
            self.messages.insert(message.to_owned(), id);
        }
        Ok(())
    }

    fn draft(&self, step: &Value) -> Result<Draft> {
        let times = step["times"].as_u64().unwrap_or(1);
        Ok(Draft {
            text: text(step, "text")?.repeat(usize::try_from(times)?),
            mentions: self.people(&step["mentions"])?,
            mention_all: step["mention_all"] == true,
            ..Draft::default()
        })
    }

    async fn send_many(&mut self, step: &Value) -> Result<String> {
        let (client, room_id) = (self.client(step)?, self.room(step)?);
        let count = step["count"].as_u64().context("count")?;
        let mut last = String::new();
        for number in 1..=count {
            last = client.send(room_id, format!("number {number}")).await?;
        }
        match step["message"].as_str() {
            Some(message) => drop(self.messages.insert(message.to_owned(), last)),
            None => drop(client.settled(&last).await?),
        }
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
        span(&messages(list.items()))
    }

    /// What a list that nobody has asked for a while tells at once.
    async fn told(&mut self, step: &Value) -> Result<String> {
        let list = self.lists.get_mut(text(step, "client")?).context("no such list")?;
        let batch = list.next().await.context("the client ended")?;
        ensure!(matches!(batch.as_slice(), [ListChange::Reset { .. }]), "told {} changes", batch.len());
        Ok(format!("Reset {}", span(&messages(list.items()))?))
    }

    async fn jump(&self, step: &Value) -> Result<String> {
        let mut list = self.client(step)?.timeline(self.room(step)?).await?;
        let to = match step["to"].as_u64() {
            Some(seconds) => Anchor::Date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
            None => Anchor::FirstUnread,
        };
        list.jump(to).await?;
        list.next().await.context("the client ended")?;
        let items = list.items();
        let line = items.iter().position(|item| *item == TimelineItem::NewLine && to == Anchor::FirstUnread);
        let first = messages(&items[line.unwrap_or_default()..]).into_iter().next().context("nothing is shown")?;
        ensure!(first.text == text(step, "is")?, "shows {}", first.text);
        Ok(first.text)
    }
}

/// How many there are, the first and the last.
fn span(messages: &[MessageItem]) -> Result<String> {
    let (oldest, newest) = messages.first().zip(messages.last()).context("nothing is shown")?;
    Ok(format!("{} from {} to {}", messages.len(), oldest.text, newest.text))
}

/// A failure as all languages say it.
fn words(failure: &ClientError) -> String {
    let reason = failure.reason.map_or("-".to_owned(), |reason| format!("{reason:?}"));
    let local = failure.local.map_or("-".to_owned(), |local| format!("{local:?}"));
    let limits = failure.violations.iter().map(|broken| format!(", {}: {}", broken.field, broken.limit));
    format!("{:?} reason {reason} local {local}{}", failure.kind, limits.collect::<String>())
}

fn state_line(state: &ConnectionState) -> String {
    match state {
        ConnectionState::Ended { reason } => format!("Ended {}", words(reason)),
        other => variant(other),
    }
}

fn room_line(room: &RoomItem) -> String {
    let RoomItem { name, kind, member_count, unread, mentions, .. } = room;
    format!("{name} {kind:?} members {member_count} unread {unread} mentions {mentions}")
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
    format!("{} {}{edit}{end}: {}", message.sender.name, variant(&message.state), message.text)
}

/// The name alone of one of several, as in a language whose kinds are classes.
fn variant(value: &impl fmt::Debug) -> String {
    format!("{value:?}").split(' ').next().unwrap_or_default().to_owned()
}
