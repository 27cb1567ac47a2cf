//! `madang-dev` as its user sees it, with a server that only says that it is ready.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const SERVER: &str = r#"#!/bin/sh
if [ "$1" = migrate ]; then exit 0; fi
trap 'echo drained; exit 0' TERM
echo "hears the others at $MADANG_NATS_URL"
echo "{\"message\":\"ready\",\"grpc\":\"$MADANG_LISTEN\",\"admin\":\"$MADANG_ADMIN_LISTEN\"}"
while [ ! -e "$0.fail" ]; do sleep 0.05; done
echo '{"message":"the disk is on fire"}'
exit 7
"#;

/// Longest wait for anything here: a first start fetches PostgreSQL.
const WAIT: Duration = Duration::from_mins(2);

struct Place {
    folder: PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        // Not below the target folder: it may lie where PostgreSQL's account cannot go.
        let folder = std::env::temp_dir().join(format!("madang-dev-test-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        // Written by another process, which cannot leave it open in a child of ours ("text file busy").
        let mut write = Command::new("sh");
        write.args(["-c", "printf '%s' \"$1\" > \"$0\" && chmod 755 \"$0\""]).arg(folder.join("madang")).arg(SERVER);
        assert!(write.status().unwrap().success());
        Self { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_madang-dev"));
        command.current_dir(&self.folder).args(["--server-binary", "madang", "--ready-file", "ready.json"]).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn start(&self, more: &[&str]) -> (Child, Value) {
        fs::remove_file(self.at("ready.json")).ok();
        let mut child = self.command(more).spawn().unwrap();
        let began = Instant::now();
        while !self.at("ready.json").exists() {
            if child.try_wait().unwrap().is_some() || began.elapsed() > WAIT {
                child.kill().ok();
                panic!("it is not ready: {}", finish(child).1);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let ready = serde_json::from_slice(&fs::read(self.at("ready.json")).unwrap()).unwrap();
        (child, ready)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

fn finish(child: Child) -> (Option<i32>, String) {
    let Output { status, stdout, .. } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap())
}

/// Whether a process runs. One that has ended and was not waited for has no command line.
fn is_there(pid: &Value) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// Whether any process has this folder on its command line.
fn has_processes(folder: &Path) -> bool {
    let name = folder.to_str().unwrap();
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(name)
    })
}

#[test]
fn it_starts_keeps_its_data_and_leaves_nothing_behind() {
    let place = Place::new("whole");
    let (child, ready) = place.start(&[]);
    assert_eq!(ready["people"][0]["login"], "ann");
    assert_eq!(ready["grpc"], ready["web"]);
    let current: Value = serde_json::from_slice(&fs::read(place.at("target/devstack/current.json")).unwrap()).unwrap();
    assert_eq!(current, ready);

    let (code, said) = finish(place.command(&[]).spawn().unwrap());
    assert_eq!(code, Some(1));
    assert!(said.contains(&format!("in use by process {}", child.id())), "{said}");

    signal(child.id(), "-INT");
    let (code, said) = finish(child);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("--as ann"), "{said}");
    assert!(fs::read_to_string(place.at("target/devstack/server.log")).unwrap().contains("drained"));
    assert!(!place.at("target/devstack/current.json").exists());
    assert!(!is_there(&ready["server_pid"]) && !has_processes(&place.folder));

    let (child, again) = place.start(&[]);
    // The same cluster, by its password; its port may have gone to another test meanwhile.
    let password = |ready: &Value| ready["database_url"].as_str().unwrap().split('@').next().unwrap().to_owned();
    assert_eq!(password(&again), password(&ready));
    // Killed, it can stop nothing; the next one cleans up after it.
    signal(child.id(), "-KILL");
    finish(child);
    let (child, _) = place.start(&["--fresh"]);
    assert!(!is_there(&again["server_pid"]));
    signal(child.id(), "-TERM");
    assert_eq!(finish(child).0, Some(0));
    assert!(!has_processes(&place.folder));
}

#[test]
fn a_server_that_ends_by_itself_is_told_with_its_last_words() {
    let place = Place::new("fails");
    let (child, _) = place.start(&[]);
    fs::write(place.at("madang.fail"), "").unwrap();
    let (code, said) = finish(child);
    assert_eq!(code, Some(1));
    assert!(said.contains("ended by itself (exit status: 7)") && said.contains("the disk is on fire"), "{said}");
    assert!(!has_processes(&place.folder));
}

#[test]
fn a_port_that_was_asked_for_and_is_taken_is_an_error() {
    let place = Place::new("port");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, said) = finish(place.command(&["--grpc-port", &port]).spawn().unwrap());
    assert_eq!(code, Some(1));
    assert!(said.contains("--grpc-port") && said.contains(&port), "{said}");
    assert!(!has_processes(&place.folder));
}

#[test]
fn several_servers_share_the_database_and_hear_each_other() {
    let place = Place::new("nodes");
    let (child, ready) = place.start(&["--nodes", "3"]);
    let nodes = ready["nodes"].as_array().unwrap();
    assert_eq!((nodes.len(), &nodes[0]), (3, &ready["grpc"]));
    signal(child.id(), "-INT");
    let (code, said) = finish(child);
    assert_eq!(code, Some(0), "{said}");
    for log in ["server.log", "server2.log", "server3.log"] {
        let text = fs::read_to_string(place.at("target/devstack").join(log)).unwrap();
        assert!(text.contains("at nats://127.0.0.1:") && text.contains("drained"), "{log}: {text}");
    }
    assert!(!has_processes(&place.folder));
}
