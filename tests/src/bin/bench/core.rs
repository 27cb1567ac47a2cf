//! What the client core costs its host: its lists, its store, its way back, and what it takes while nothing happens. One
//! person with many rooms, on a file; the server and the database are real and on the same machine.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use madang_devstack::server_process::ServerProcess;
use madang_proto::v1::message_service_client::MessageServiceClient;
use madang_sdk_core::{Client, ClientConfig, ConnectionState, RoomQuery, StoreLocation, TimelineItem};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;

use crate::Plan;
use crate::crowd::{self, Crowd, Somebody, room_id};
use crate::figure::{Figure, Goal, float, median};
use crate::ground::Ground;
use crate::process::{memory, processor_time, this_program};
use crate::recovery::{Token, milliseconds};
use crate::streams;

/// Rooms of the person, and messages in each.
const ROOMS: usize = 1_000;
const MESSAGES_EACH: usize = 100;

/// Rooms that a screen shows.
const SCREEN: usize = 20;

/// Repetitions of what takes less than a few milliseconds, in a round.
const TIMES: usize = 50;

/// Messages that come to a client in a round, to the rooms on its screen, and calls that send them.
const ARRIVING: usize = 10_000;
const SHOWN: usize = 16;
const CALLS: usize = 64;

/// Messages that one core is to take in a second.
const APPLIED: f64 = 10_000.0;

/// Time in which a client that has nothing to do is looked at.
const IDLE: Duration = Duration::from_secs(10);

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_mins(2);

/// A client as a process of its own: it keeps its store, shows some rooms, and says when it is ready.
#[derive(Args, Clone)]
pub struct Resident {
    /// The store of a client that stays. For this program itself.
    #[arg(long = "resident", hide = true)]
    pub store: Option<PathBuf>,
    #[arg(long, hide = true, default_value = "")]
    at: String,
    #[arg(long, hide = true, default_value = "")]
    token: String,
}

impl Resident {
    /// Stays until its input ends.
    pub async fn stay(&self, store: &Path) -> Result<()> {
        let client = open(&self.at, store, &self.token).await?;
        live(&client).await?;
        client.set_focus((0..SHOWN).map(|room| room_id(room).to_string()));
        for room in 0..SHOWN {
            client.sync_room_now(&room_id(room).to_string()).await?;
        }
        let rooms = client.rooms().await?;
        println!("ready");
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Some(line) = lines.next_line().await? {
            // Each line names a position that is to be there in every room that is shown.
            let wanted: i64 = line.parse()?;
            arrived(&client, wanted).await?;
            println!("there");
        }
        drop(rooms);
        client.shutdown(Duration::from_secs(1)).await;
        Ok(())
    }
}

/// Waits until the rooms on the screen are held up to a position.
async fn arrived(client: &Client, wanted: i64) -> Result<()> {
    let all = async {
        for room in 0..SHOWN {
            let id = room_id(room).to_string();
            let mut changed = client.changed();
            loop {
                changed.mark_unchanged();
                if client.timeline(&id).await?.items().last().and_then(TimelineItem::seq) >= Some(wanted) {
                    break;
                }
                changed.changed().await?;
            }
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, all).await.context("messages do not arrive")?
}

async fn open(server: &str, store: &Path, token: &str) -> Result<Client> {
    let config = ClientConfig::new(server, StoreLocation::File(store.to_owned()));
    Ok(Client::open(config, Arc::new(Token(token.to_owned()))).await?)
}

async fn live(client: &Client) -> Result<()> {
    let mut states = client.states();
    let live = states.wait_for(|state| *state == ConnectionState::Live);
    tokio::time::timeout(PATIENCE, live).await.context("the client is not live")??;
    Ok(())
}

/// What was measured: times in milliseconds.
#[derive(Default)]
struct Times {
    first: Vec<f64>,
    list: Vec<f64>,
    screen: Vec<f64>,
    page: Vec<f64>,
    typed: Vec<f64>,
    fsync: Vec<f64>,
    resume: Vec<f64>,
    trip: Vec<f64>,
    applied: Vec<f64>,
    held: Vec<f64>,
    idle: Vec<f64>,
}

pub async fn measure(plan: &Plan, ground: &Ground) -> Result<Vec<Figure>> {
    plan.say(&format!("\ncore: making {ROOMS} rooms of {MESSAGES_EACH} messages"));
    let url = ground.database("bench_core").await?;
    let crowd = Crowd::gather(ground, &url, 2).await?;
    crowd::insert_rooms(&url, ROOMS, |_| vec![0, 1]).await?;
    crowd::insert_messages(&url, MESSAGES_EACH).await?;
    let mut server = streams::launch(plan, &url, crowd.issuer_url()).serve().await?;
    let folder = plan.folder.join("core");
    let mut times = Times::default();
    let mut newest = i64::try_from(MESSAGES_EACH)?;
    for number in 1..=plan.rounds {
        plan.say(&format!("core: round {number} of {}", plan.rounds));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        times.round(&server, ground, &crowd.people, &folder.join("store.db"), &mut newest).await?;
    }
    server.stop(PATIENCE).await?;
    Ok(times.figures())
}

impl Times {
    async fn round(
        &mut self,
        server: &ServerProcess,
        ground: &Ground,
        people: &[Somebody],
        store: &Path,
        newest: &mut i64,
    ) -> Result<()> {
        let at = format!("http://{}", server.grpc());
        let began = Instant::now();
        let client = open(&at, store, &people[0].token).await?;
        live(&client).await?;
        self.first.push(milliseconds(began));
        fill(&client).await?;
        self.lists(&client).await?;
        self.typing(&client, ground).await?;
        self.coming_back(&client, server, &people[1]).await?;
        *newest += 1;
        client.shutdown(Duration::from_secs(5)).await;
        self.staying(server, people, store, newest).await
    }

    /// Each alone, so that what one leaves to be done falls into no other.
    async fn lists(&mut self, client: &Client) -> Result<()> {
        for _ in 0..TIMES {
            let began = Instant::now();
            let rooms = client.rooms().await?;
            self.list.push(milliseconds(began));
            ensure!(rooms.items().len() == ROOMS, "{} rooms are listed", rooms.items().len());
        }
        for _ in 0..TIMES {
            let began = Instant::now();
            let screen = first_screen(client).await?;
            self.screen.push(milliseconds(began));
            ensure!(screen == SCREEN, "a screen is empty");
        }
        for room in 0..TIMES {
            let began = Instant::now();
            let page = client.timeline(&room_id(room).to_string()).await?;
            self.page.push(milliseconds(began));
            ensure!(page.items().len() >= 50, "a page has {} items", page.items().len());
        }
        Ok(())
    }

    async fn typing(&mut self, client: &Client, ground: &Ground) -> Result<()> {
        client.disconnect();
        self.fsync.push(1_000.0 / ground.fdatasyncs().await?);
        for _ in 0..TIMES {
            let began = Instant::now();
            client.send(&room_id(ROOMS - 1).to_string(), "typed").await?;
            self.typed.push(milliseconds(began));
        }
        client.reconnect();
        ensure!(client.drain(PATIENCE).await, "the outbox does not empty");
        live(client).await
    }

    async fn coming_back(&mut self, client: &Client, server: &ServerProcess, other: &Somebody) -> Result<()> {
        client.disconnect();
        let mut states = client.states();
        states.wait_for(|state| *state == ConnectionState::Suspended).await?;
        say(server, other, (0..SHOWN).collect()).await?;
        let began = Instant::now();
        client.reconnect();
        live(client).await?;
        self.resume.push(milliseconds(began));
        let began = Instant::now();
        client.server_info().await?;
        self.trip.push(milliseconds(began));
        Ok(())
    }

    async fn staying(
        &mut self,
        server: &ServerProcess,
        people: &[Somebody],
        store: &Path,
        newest: &mut i64,
    ) -> Result<()> {
        let mut resident = Process::of(server, store, &people[0].token).await?;
        self.held.push(float(memory(resident.pid)?) / 1e6);
        let before = processor_time(resident.pid)?;
        tokio::time::sleep(IDLE).await;
        let worked = processor_time(resident.pid)?.saturating_sub(before);
        self.idle.push(worked.as_secs_f64() * 1_000.0 / IDLE.as_secs_f64());
        let each = ARRIVING / SHOWN;
        let before = processor_time(resident.pid)?;
        say(server, &people[1], (0..SHOWN * each).map(|n| n % SHOWN).collect()).await?;
        *newest += i64::try_from(each)?;
        resident.waits_for(*newest).await?;
        let took = processor_time(resident.pid)?.saturating_sub(before);
        self.applied.push(float(u64::try_from(SHOWN * each)?) / took.as_secs_f64());
        resident.end().await
    }

    fn figures(self) -> Vec<Figure> {
        let (typed, fsync) = (median(self.typed), median(self.fsync));
        let most =
            |name: &str, times: Vec<f64>, unit, most| Figure::new(name, median(times), unit).goal(Goal::AtMost(most));
        let (trip, applied) = (median(self.trip), median(self.applied));
        vec![
            most("core, list of 1,000 rooms", self.list, "ms", 5.0),
            most("core, first screen of it", self.screen, "ms", 2.0),
            most("core, page of 50", self.page, "ms", 0.3),
            most("core, first sync of 1,000 rooms", self.first, "ms", 300.0 + trip).beside("a call", trip),
            most("core, resume", self.resume, "ms", 30.0 + trip)
                .beside("a call", trip)
                .note("16 rooms of 1,000 have changed"),
            Figure::new("core, messages applied", applied, "messages/s of a core")
                .against("wanted", APPLIED, applied / APPLIED)
                .goal(Goal::Ratio("wanted", 1.0)),
            most("core, memory", self.held, "MB", 20.0)
                .note("the whole process: 1,000 rooms, 100,000 messages, 16 rooms on the screen"),
            most("core, idle", self.idle, "ms of a processor a second", 0.5),
            Figure::new("core, typed", typed, "ms")
                .against("fdatasync", fsync, fsync / typed)
                .goal(Goal::Ratio("fdatasync", 0.5)),
        ]
    }
}

/// A [`Resident`].
struct Process {
    child: Child,
    says: Lines<BufReader<ChildStdout>>,
    hears: ChildStdin,
    pid: u32,
}

impl Process {
    async fn of(server: &ServerProcess, store: &Path, token: &str) -> Result<Self> {
        let mut command = Command::new(this_program()?);
        command.args(["--at", &format!("http://{}", server.grpc()), "--token", token, "--resident"]).arg(store);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let says = BufReader::new(child.stdout.take().context("its output was asked for")?).lines();
        let hears = child.stdin.take().context("its input was asked for")?;
        let pid = child.id().context("it runs")?;
        let mut process = Self { child, says, hears, pid };
        process.hear("ready").await?;
        Ok(process)
    }

    async fn hear(&mut self, word: &str) -> Result<()> {
        let line = tokio::time::timeout(PATIENCE, self.says.next_line()).await.context("a client stands still")??;
        ensure!(line.as_deref() == Some(word), "a client says {line:?} instead of {word}");
        Ok(())
    }

    /// Waits until it holds the rooms that it shows up to a position.
    async fn waits_for(&mut self, newest: i64) -> Result<()> {
        self.hears.write_all(format!("{newest}\n").as_bytes()).await?;
        self.hear("there").await
    }

    async fn end(self) -> Result<()> {
        let Self { mut child, hears, .. } = self;
        drop(hears);
        ensure!(child.wait().await?.success(), "a client ends in failure");
        Ok(())
    }
}

/// Loads everything that there is.
async fn fill(client: &Client) -> Result<()> {
    for room in 0..ROOMS {
        let id = room_id(room).to_string();
        client.sync_room_now(&id).await?;
        let mut timeline = client.timeline(&id).await?;
        while timeline.load_older(200).await? {}
    }
    Ok(())
}

/// Items of the room list's first screen.
async fn first_screen(client: &Client) -> Result<usize> {
    let query = RoomQuery { range: Some(0..SCREEN), ..RoomQuery::default() };
    Ok(client.rooms_where(query).await?.items().len())
}

/// Somebody writes to these rooms, as fast as the server takes it.
async fn say(server: &ServerProcess, who: &Somebody, rooms: Vec<usize>) -> Result<()> {
    let mut calls = JoinSet::new();
    let rooms: Arc<[usize]> = rooms.into();
    for call in 0..CALLS.min(rooms.len()) {
        let (who, rooms) = (who.clone(), Arc::clone(&rooms));
        let mut messages = MessageServiceClient::new(streams::connect(server.grpc(), call % 4).await?);
        calls.spawn(async move {
            for room in rooms.iter().skip(call).step_by(CALLS) {
                messages.send_message(who.sign(streams::message(*room))?).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(call) = calls.join_next().await {
        call??;
    }
    Ok(())
}
