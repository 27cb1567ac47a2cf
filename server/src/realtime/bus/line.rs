//! The connection to NATS: what is said leaves through a bounded queue, what is heard goes to the hub.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
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
    Answer, Question, Topic, TwinFrame, Wanted,
    wire::{Asked, Here, Parcel},
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

/// Answers to one question that wait to be read: more than any installation has nodes.
const ANSWERS: usize = 256;

/// How long a new subscription is waited for; a bus that is away says nothing that could be missed.
const LISTEN: Duration = Duration::from_millis(500);

/// How often who is here is said again, and subjects of which nothing is here any more are left (sync page: 10 s).
const AGAIN: Duration = Duration::from_secs(10);

/// A node that says nothing for so long is gone, as its streams are (sync page: a lease of 30 s).
const GONE: Duration = Duration::from_secs(30);

/// How long a node that stops waits for its last words to leave.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The line of a node.
#[derive(Debug)]
pub(super) struct Line {
    node: Arc<str>,
    prefix: String,
    client: Client,
    hub: Arc<Hub>,
    outgoing: mpsc::Sender<(String, Bytes)>,
    wanted: Wanted,
    state: Arc<State>,
    others: std::sync::Mutex<Others>,
    topics: Mutex<HashMap<Topic, AbortHandle>>,
    tasks: std::sync::Mutex<JoinSet<()>>,
}

/// The other nodes.
#[derive(Debug, Default)]
struct Others {
    /// When each was last heard of.
    heard: HashMap<String, Instant>,
    /// Who waits for answers, by the number of the question.
    asking: HashMap<u64, mpsc::Sender<Asked>>,
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
        wanted: Wanted,
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
            wanted,
            state,
            others: std::sync::Mutex::default(),
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
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
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
            let _ = self.wanted.twins.try_send(TwinFrame { user_id, session_id, frame: twin.frame });
        }
        for Asked { number, node, body } in parcel.questions {
            let _ = self.wanted.questions.try_send(Question { node, number, body });
        }
        for answer in parcel.answers {
            if let Some(asking) = self.others().asking.get(&answer.number) {
                let _ = asking.try_send(answer);
            }
        }
        if !parcel.node.is_empty() {
            self.hear_of(parcel.node, parcel.leaves);
        }
        if parcel.asks {
            self.tell_all(Some(topic));
        }
        if parcel.look {
            self.state.look.notify_one();
        }
    }

    fn others(&self) -> MutexGuard<'_, Others> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear_of(&self, node: String, leaves: bool) {
        if leaves {
            self.hub.forget_node(&node);
            self.others().heard.remove(&node);
        } else {
            self.others().heard.insert(node, Instant::now());
        }
    }

    /// Asks all others; those that were heard of lately and do not answer in time are named.
    pub(super) async fn ask(&self, body: Bytes, patience: Duration) -> Vec<Answer> {
        let number = rand::random();
        let (asking, mut answered) = mpsc::channel(ANSWERS);
        let mut silent: BTreeSet<String> = {
            let mut others = self.others();
            // Whoever gave up waiting takes no answers any more.
            others.asking.retain(|_, asking| !asking.is_closed());
            others.asking.insert(number, asking);
            others.heard.retain(|_, heard| heard.elapsed() < GONE);
            others.heard.keys().cloned().collect()
        };
        let question = Asked { number, node: self.node.to_string(), body };
        self.say(&Topic::All, &Parcel { questions: vec![question], ..Parcel::default() });
        let mut answers = Vec::new();
        let gather = async {
            while !silent.is_empty()
                && let Some(Asked { node, body, .. }) = answered.recv().await
            {
                silent.remove(&node);
                answers.push(Answer { node, body: Some(body) });
            }
        };
        let _ = tokio::time::timeout(patience, gather).await;
        self.others().asking.remove(&number);
        answers.extend(silent.into_iter().map(|node| Answer { node, body: None }));
        answers.sort_by(|a, b| a.node.cmp(&b.node));
        answers
    }

    /// Says that this node stops, and waits for a moment until everything said has left.
    pub(super) async fn leave(&self) {
        self.say(&Topic::All, &Parcel { leaves: true, ..self.present() });
        let left = async {
            // All places of the queue are free when everything was taken out of it.
            let _ = self.outgoing.reserve_many(OUTGOING).await;
            let _ = self.client.flush().await;
        };
        let _ = tokio::time::timeout(LAST_WORDS, left).await;
    }

    /// That this node is there.
    fn present(&self) -> Parcel {
        Parcel { node: self.node.to_string(), ..Parcel::default() }
    }

    /// Says who is here, of one subject or of all.
    fn tell_all(&self, of: Option<&Topic>) {
        if of.is_none_or(|of| *of == Topic::All) {
            self.say(&Topic::All, &self.present());
        }
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
            for topic in heard.iter().filter(|topic| matches!(topic, Topic::People(_) | Topic::All)) {
                line.say(topic, &Parcel { asks: true, ..Parcel::default() });
            }
        } else {
            let _ = tokio::time::timeout(LISTEN, line.leave_idle()).await;
        }
        line.listen(line.needed()).await;
        line.tell_all(None);
    }
}
