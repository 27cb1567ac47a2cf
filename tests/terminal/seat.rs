//! A house with a server, and seats with terminals.

use std::{path::PathBuf, process::Stdio, time::Duration};

use madang_devstack::{
    postgres::TestDatabase,
    server_process::{Launch, ServerProcess},
};
use madang_tests::stack;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// How long a line is awaited; a chat takes milliseconds, a machine that builds beside it may take seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server process on a database of its own.
pub struct House {
    folder: PathBuf,
    launch: Launch,
    server: ServerProcess,
    _database: TestDatabase,
}

/// A terminal.
pub struct Seat {
    login: String,
    child: Child,
    says: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    shown: Vec<String>,
}

/// What follows the time in a line `HH:MM name: text`.
pub fn at(line: &str) -> Option<&str> {
    let (time, said) = line.split_at_checked(6)?;
    let digits = time.bytes().enumerate().all(|(n, b)| if n == 2 { b == b':' } else { n == 5 || b.is_ascii_digit() });
    digits.then_some(said)
}

/// A binary beside the tests'.
fn program(name: &str) -> PathBuf {
    let tests = std::env::current_exe().expect("a program knows itself");
    let folder = tests.parent().and_then(std::path::Path::parent).expect("target/debug/deps");
    let program = folder.join(name);
    assert!(program.exists(), "{} is missing: cargo build -p madang-server -p madang-terminal", program.display());
    program
}

impl House {
    /// A house with a server.
    pub async fn open() -> Self {
        let stack = stack().await.expect("a stack");
        let database = stack.database().await.expect("a database");
        let folder = std::env::temp_dir().join(format!("madang-{}", database.name));
        std::fs::create_dir_all(&folder).expect("a folder");
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let launch = Launch::new(&program("madang"), &database.url, stack.issuer.url(), &folder.join("server.log"))
            .with("MADANG_LISTEN", format!("127.0.0.1:{port}"));
        let server = launch.serve().await.expect("a server");
        let people = ["ann", "bob", "cat"]
            .map(|login| serde_json::json!({"login": login, "password": login, "roles": ["USER"]}));
        let dev = serde_json::json!({
            "grpc": format!("http://{}", server.grpc()), "nodes": [format!("http://{}", server.grpc())], "web": format!("http://{}", server.grpc()),
            "issuer": stack.issuer.url(), "client_id": "madang-app", "database_url": database.url,
            "server_pid": server.pid(), "people": people,
        });
        std::fs::write(folder.join("dev.json"), dev.to_string()).expect("a file");
        Self { folder, launch, server, _database: database }
    }

    /// Somebody sits down at a terminal; the store of an earlier time is still there.
    pub async fn seat(&self, login: &str, language: &str) -> Seat {
        let mut child = Command::new(program("madang-terminal"))
            .args(["--as", login, "--lang", language, "--dev-file"])
            .arg(self.folder.join("dev.json"))
            .arg("--store")
            .arg(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a terminal");
        let says = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut seat = Seat { login: login.to_owned(), child, says, lines, shown: Vec::new() };
        seat.sees("#").await;
        seat
    }

    /// The server is killed.
    pub async fn server_dies(&mut self) {
        self.server.kill().await.expect("killed");
    }

    /// And started again.
    pub async fn server_returns(&mut self) {
        self.server = self.launch.serve().await.expect("a server");
    }

    /// Everybody has gone.
    pub async fn close(mut self) {
        self.server.stop(Duration::from_secs(15)).await.expect("stopped");
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Seat {
    /// Types a line.
    pub async fn types(&mut self, line: &str) {
        let says = self.says.as_mut().expect("it has not quit");
        says.write_all(format!("{line}\n").as_bytes()).await.expect("the terminal reads");
        says.flush().await.expect("the terminal reads");
    }

    /// Waits for a line that holds a text.
    pub async fn sees(&mut self, text: &str) -> String {
        loop {
            let line = match timeout(PATIENCE, self.lines.next_line()).await {
                Ok(Ok(Some(line))) => line,
                other => panic!("{} does not see {text:?} ({other:?}); saw {:#?}", self.login, self.shown),
            };
            self.shown.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Waits for a message, as one line.
    pub async fn sees_message(&mut self, name: &str, text: &str) {
        let line = self.sees(text).await;
        assert_eq!(at(&line), Some(format!("{name}: {text}").as_str()), "one line, HH:MM name: text");
    }

    /// `kill -9`; answers with what was shown.
    pub async fn kill(mut self) -> Vec<String> {
        self.child.kill().await.expect("killed");
        self.rest().await
    }

    /// Ends by the end of input; answers with what was shown.
    pub async fn quits(mut self) -> Vec<String> {
        self.says = None;
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("a status");
        assert!(status.success(), "{}: {status}", self.login);
        self.rest().await
    }

    async fn rest(mut self) -> Vec<String> {
        while let Ok(Ok(Some(line))) = timeout(PATIENCE, self.lines.next_line()).await {
            self.shown.push(line);
        }
        self.shown
    }
}
