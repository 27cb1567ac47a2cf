//! The connection to NATS: what is said leaves through a bounded queue, what is heard goes to the hub.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::{Client, ConnectOptions, Event};
use bytes::Bytes;
use futures_util::StreamExt as _;
use prost::Message as _;
use tokio::{
    sync::{Mutex, Notify, mpsc},
    task::{AbortHandle, JoinSet},
};

use super::{
    Topic, TwinFrame,
    wire::{Here, Parcel},
};
use crate::{
    config::Config,
    error::{Error, Result},
    realtime::Hub,
};

/// Parcels that wait to leave. A bus that does not take them loses them: a commit waits for nobody.
const OUTGOING: usize = 4_096;

/// Parcels of one subject that wait to be heard; beyond that NATS drops them and says so.
const INCOMING: usize = 4_096;

/// How long a new subscription is waited for; a bus that is away says nothing that could be missed.
const LISTEN: Duration = Duration::from_millis(500);

/// How often who is here is said again, and subjects of which nothing is here any more are left (sync page: 10 s).
const AGAIN: Duration = Duration::from_secs(10);

/// The line of a node.
#[derive(Debug)]
pub(super) struct Line {
    node: Arc<str>,
    prefix: String,
    client: Client,
    hub: Arc<Hub>,
    outgoing: mpsc::Sender<(String, Bytes)>,
    twins: mpsc::Sender<TwinFrame>,
    state: Arc<State>,
    topics: Mutex<HashMap<Topic, AbortHandle>>,
    tasks: std::sync::Mutex<JoinSet<()>>,
}

/// How the line stands.
#[derive(Debug)]
struct State {
    up: AtomicBool,
    /// Something that was said here got lost: the others should look.
    lost: AtomicBool,
    look: Arc<Notify>,
    /// The line has come up.
    risen: Notify,
}

impl State {
    fn hear(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.up.store(true, Ordering::Relaxed);
                self.risen.notify_one();
            }
            Event::Disconnected | Event::Closed => self.up.store(false, Ordering::Relaxed),
            Event::SlowConsumer(_) => metrics::counter!("madang_bus_slow_total").increment(1),
            _ => {}
        }
        metrics::gauge!("madang_bus_up").set(if self.up.load(Ordering::Relaxed) { 1.0 } else { 0.0 });
        tracing::info!(%event, "bus");
        // Whatever it was, something may have been missed.
        self.look.notify_one();
    }
}

impl Line {
    pub(super) async fn open(
        url: &str,
        config: &Config,
        node: Arc<str>,
        hub: Arc<Hub>,
        twins: mpsc::Sender<TwinFrame>,
        look: Arc<Notify>,
    ) -> Result<Arc<Self>> {
        let state =
            Arc::new(State { up: AtomicBool::new(false), lost: AtomicBool::new(false), look, risen: Notify::new() });
        let heard = Arc::clone(&state);
        let options = ConnectOptions::new()
            .name(format!("madang {node}"))
            .no_echo()
            .retry_on_initial_connect()
            .subscription_capacity(INCOMING)
            .client_capacity(OUTGOING)
            .ping_interval(Duration::from_secs(5))
            .reconnect_delay_callback(|tries| Duration::from_millis(if tries < 10 { 100 } else { 1_000 }))
            .event_callback(move |event| {
                let heard = Arc::clone(&heard);
                async move { heard.hear(&event) }
            });
        let client = options.connect(url).await.map_err(|error| Error::Internal(format!("nats_url: {error}")))?;
        let (outgoing, leaving) = mpsc::channel(OUTGOING);
        let line = Arc::new(Self {
            node,
            prefix: config.nats_prefix.clone(),
            client,
            hub,
            outgoing,
            twins,
            state,
            topics: Mutex::default(),
            tasks: std::sync::Mutex::default(),
        });
        line.spawn(speak(line.client.clone(), leaving));
        line.spawn(keep(Arc::downgrade(&line)));
        line.listen(line.needed()).await;
        Ok(line)
    }

    /// Ends with the line.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let mut tasks = self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task)
    }

    pub(super) fn node(&self) -> &str {
        &self.node
    }

    pub(super) fn is_up(&self) -> bool {
        self.state.up.load(Ordering::Relaxed)
    }

    fn subject(&self, topic: &Topic) -> String {
        let prefix = &self.prefix;
        match topic {
            Topic::Rooms(partition) => format!("{prefix}.room.{partition}"),
            Topic::People(partition) => format!("{prefix}.person.{partition}"),
            Topic::All => format!("{prefix}.all"),
            Topic::Node(name) => format!("{prefix}.node.{name}"),
        }
    }

    /// Says a parcel, if there is room for it and a bus.
    pub(super) fn say(&self, topic: &Topic, parcel: &Parcel) {
        if !self.is_up() {
            self.state.lost.store(true, Ordering::Relaxed);
            return;
        }
        if self.outgoing.try_send((self.subject(topic), parcel.encode_to_vec().into())).is_err() {
            self.state.lost.store(true, Ordering::Relaxed);
            metrics::counter!("madang_bus_dropped_total").increment(1);
        }
    }

    /// Listens to subjects. `true` when one of them is new, or the bus takes too long: it is tried again later.
    pub(super) async fn listen(self: &Arc<Self>, topics: BTreeSet<Topic>) -> bool {
        tokio::time::timeout(LISTEN, self.subscribe(topics)).await.unwrap_or(true)
    }

    async fn subscribe(self: &Arc<Self>, topics: BTreeSet<Topic>) -> bool {
        let mut heard = self.topics.lock().await;
        let new: Vec<Topic> = topics.into_iter().filter(|topic| !heard.contains_key(topic)).collect();
        for topic in &new {
            let Ok(subscriber) = self.client.subscribe(self.subject(topic)).await else { continue };
            let task = self.spawn(hear(Arc::downgrade(self), topic.clone(), subscriber));
            heard.insert(topic.clone(), task);
        }
        drop(heard);
        for topic in new.iter().filter(|topic| matches!(topic, Topic::People(_))) {
            self.say(topic, &Parcel { asks: true, ..Parcel::default() });
        }
        if !new.is_empty() && self.is_up() {
            let _ = self.client.flush().await;
        }
        !new.is_empty()
    }

    /// Takes in what another node has said.
    fn take(&self, topic: &Topic, mut parcel: Parcel) {
        self.hub.publish(parcel.take_changes());
        for (room_id, frame, except) in parcel.news.into_iter().filter_map(super::News::read) {
            self.hub.tell_room(room_id, &frame, except);
        }
        for here in &parcel.here {
            if let Some((user_id, streams, opened)) = here.read() {
                self.hub.take_elsewhere(&here.node, user_id, streams, opened);
            }
        }
        for twin in parcel.twins {
            let Some((user_id, session_id)) = twin.read() else { continue };
            // Whoever says so much that it does not fit is not heard.
            let _ = self.twins.try_send(TwinFrame { user_id, session_id, frame: twin.frame });
        }
        if parcel.asks {
            self.tell_all(Some(topic));
        }
        if parcel.look {
            self.state.look.notify_one();
        }
    }

    /// Says who is here, of one subject or of all.
    fn tell_all(&self, of: Option<&Topic>) {
        let mut parcels: HashMap<Topic, Parcel> = HashMap::new();
        for user_id in self.hub.people() {
            let topic = Topic::of_person(user_id);
            if of.is_none_or(|of| *of == topic) {
                let here = Here::of(&self.node, user_id, &self.hub.streams_of(user_id), None);
                parcels.entry(topic).or_default().here.push(here);
            }
        }
        for (topic, parcel) in parcels {
            self.say(&topic, &parcel);
        }
    }

    /// Subjects of which something is here.
    fn needed(&self) -> BTreeSet<Topic> {
        let rooms = self.hub.rooms().into_iter().map(Topic::of_room);
        let people = self.hub.people_of_interest().into_iter().map(Topic::of_person);
        rooms.chain(people).chain([Topic::All, Topic::Node(self.node.to_string())]).collect()
    }

    /// Leaves subjects of which nothing is here any more. Whoever comes now listens anew, behind this.
    async fn leave_idle(&self) {
        let mut heard = self.topics.lock().await;
        let needed = self.needed();
        heard.retain(|topic, task| {
            let keep = needed.contains(topic);
            if !keep {
                task.abort();
            }
            keep
        });
    }
}

/// Sends what waits to leave, in its order.
async fn speak(client: Client, mut leaving: mpsc::Receiver<(String, Bytes)>) {
    while let Some((subject, parcel)) = leaving.recv().await {
        if let Err(error) = client.publish(subject, parcel).await {
            tracing::warn!(%error, "a parcel was not sent");
        }
    }
}

/// Hears one subject for as long as it is listened to.
async fn hear(line: Weak<Line>, topic: Topic, mut subscriber: async_nats::Subscriber) {
    while let Some(message) = subscriber.next().await {
        let Some(line) = line.upgrade() else { return };
        match Parcel::decode(message.payload) {
            Ok(parcel) => line.take(&topic, parcel),
            Err(error) => tracing::warn!(%error, "a parcel cannot be read"),
        }
    }
}

/// Says again who is here, asks the others to look when something was lost, and sees that the subjects are those that are
/// needed.
async fn keep(line: Weak<Line>) {
    let Some(state) = line.upgrade().map(|line| Arc::clone(&line.state)) else { return };
    loop {
        let risen = tokio::time::timeout(AGAIN, state.risen.notified()).await.is_ok();
        let Some(line) = line.upgrade() else { return };
        if !line.is_up() {
            continue;
        }
        if state.lost.swap(false, Ordering::Relaxed) {
            line.say(&Topic::All, &Parcel { look: true, ..Parcel::default() });
        }
        if risen {
            let heard: Vec<Topic> = line.topics.lock().await.keys().cloned().collect();
            for topic in heard.iter().filter(|topic| matches!(topic, Topic::People(_))) {
                line.say(topic, &Parcel { asks: true, ..Parcel::default() });
            }
        } else {
            let _ = tokio::time::timeout(LISTEN, line.leave_idle()).await;
        }
        line.listen(line.needed()).await;
        line.tell_all(None);
    }
}
