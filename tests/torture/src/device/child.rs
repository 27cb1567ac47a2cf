//! A device in a process of its own, so that it can be killed: one line of JSON a command on its standard input, one an
//! answer on its standard output.

use std::{
    collections::HashMap,
    io::Write as _,
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines, Stdin},
    process::{Child, ChildStdin, ChildStdout, Command as Process},
    signal::unix::{SignalKind, signal},
    sync::{Mutex as AsyncMutex, oneshot},
    task::JoinSet,
};

use super::{
    command::{Answer, Call, Line, Opening},
    seat::Seat,
    watch::Seen,
};
use crate::history::Sight;

/// SIGXFSZ.
const FILE_TOO_LARGE: i32 = 25;

/// Calls whose answers are awaited; `None` once the child says nothing more.
type Waiting = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>>;

/// A child, as its parent sees it.
#[derive(Debug)]
pub struct ChildSeat {
    process: AsyncMutex<Child>,
    input: AsyncMutex<ChildStdin>,
    waiting: Waiting,
    _reading: JoinSet<()>,
}

impl ChildSeat {
    /// Starts a child.
    pub async fn open(opening: &Opening, seen: Arc<dyn Seen>) -> Result<Self> {
        let program = std::env::current_exe().context("find this program")?;
        let mut process = Process::new(program)
            .arg("client")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .context("start a client's process")?;
        let mut input = process.stdin.take().context("a pipe to the client")?;
        let output = process.stdout.take().context("a pipe from the client")?;
        input.write_all(&line(opening)?).await.context("tell the client how to open")?;
        let waiting = Waiting::new(Mutex::new(Some(HashMap::new())));
        let mut reading = JoinSet::new();
        reading.spawn(read(BufReader::new(output).lines(), Arc::clone(&waiting), seen));
        Ok(Self { process: process.into(), input: input.into(), waiting, _reading: reading })
    }

    /// Lets it do something. It answers nothing when it is killed meanwhile.
    pub async fn perform(&self, call: Call) -> Answer {
        let (answer, answered) = oneshot::channel();
        let within = call.within() * 2;
        match lock(&self.waiting).as_mut() {
            Some(waiting) => drop(waiting.insert(call.number, answer)),
            None => return Answer::GivenUp,
        }
        let told = async {
            self.input.lock().await.write_all(&line(&call).ok()?).await.ok()?;
            answered.await.ok()
        };
        // The child gives up by itself; twice that time is for one that hangs.
        tokio::time::timeout(within, told).await.ok().flatten().unwrap_or(Answer::GivenUp)
    }

    /// Whether it has ended by itself, and nobody has taken note of that yet.
    pub fn is_gone(&self) -> bool {
        lock(&self.waiting).is_none()
    }

    /// Lets no file of it grow beyond so many bytes; `None`: as large as it likes.
    pub async fn limit_files(&self, bytes: Option<u64>) -> Result<()> {
        let Some(pid) = self.process.lock().await.id() else { return Ok(()) };
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Pid::from_raw(pid.try_into()?), Resource::Fsize, limit).context("limit a client's files")?;
        Ok(())
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub async fn kill(&self) -> Result<()> {
        self.process.lock().await.kill().await.context("kill a client's process")?;
        *lock(&self.waiting) = None;
        Ok(())
    }
}

fn line<T: serde::Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

async fn read(mut lines: Lines<BufReader<ChildStdout>>, waiting: Waiting, seen: Arc<dyn Seen>) {
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(Line::Answer { number, answer }) => {
                let asked = lock(&waiting).as_mut().and_then(|waiting| waiting.remove(&number));
                if let Some(asked) = asked {
                    asked.send(answer).ok();
                }
            }
            Ok(Line::Saw { room, opening, sight }) => seen.saw(&room, opening, sight),
            // The last line of one that was killed may be half a line.
            Err(_) => break,
        }
    }
    *lock(&waiting) = None;
}

/// What is behind the lock is whole after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The child's own side.
#[derive(Debug)]
struct Printed;

impl Seen for Printed {
    fn saw(&self, room: &str, opening: u64, sight: Sight) {
        say(&Line::Saw { room: room.to_owned(), opening, sight });
    }
}

fn say(said: &Line) {
    let Ok(line) = line(said) else { return };
    let mut output = std::io::stdout().lock();
    // A parent that is gone ends this process by closing its input.
    output.write_all(&line).and_then(|()| output.flush()).ok();
}

/// Is a child until its input ends.
pub async fn be_a_child() -> Result<()> {
    // A file that may not grow is to fail, as on a full disk, and not to end the process.
    let _too_large = signal(SignalKind::from_raw(FILE_TOO_LARGE)).context("hear of files that are too large")?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let opening: Opening = serde_json::from_str(&next(&mut lines).await?.context("how to open")?)?;
    let seat = Arc::new(Seat::open(&opening, Arc::new(Printed)).await?);
    let mut calls = JoinSet::new();
    while let Some(line) = next(&mut lines).await? {
        let call: Call = serde_json::from_str(&line)?;
        let seat = Arc::clone(&seat);
        calls.spawn(async move {
            let number = call.number;
            say(&Line::Answer { number, answer: seat.perform(call).await });
        });
        while calls.try_join_next().is_some() {}
    }
    Ok(())
}

async fn next(lines: &mut Lines<BufReader<Stdin>>) -> Result<Option<String>> {
    lines.next_line().await.context("read a command")
}
