//! A whole Madang on this machine: PostgreSQL, sign-in and the server, until Ctrl-C.
//!
//! Always true: what was started is stopped, in the reverse order, however it ends; two on one folder are refused; data
//! is kept until `--fresh`. `cargo xtask dev` builds the server and calls this.
#![expect(clippy::print_stdout, reason = "it talks to the person who started it")]

mod banner;
mod folder;
mod ports;
mod ready;
mod sign_in;
mod stack;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};

use stack::Stack;

/// Runs a whole Madang on this machine, until Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask dev")]
struct Arguments {
    /// Write addresses and people to this file, as JSON, when all is up.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Forget the data of the last time.
    #[arg(long)]
    fresh: bool,
    /// Port of the server; 7080 or the next free one when not given.
    #[arg(long, value_name = "PORT")]
    grpc_port: Option<u16>,
    /// Port of the sign-in; 7081 or the next free one when not given.
    #[arg(long, value_name = "PORT")]
    issuer_port: Option<u16>,
    /// Port of the server's metrics; 7082 or the next free one when not given.
    #[arg(long, value_name = "PORT")]
    admin_port: Option<u16>,
    /// Port of the database; 7083 or the next free one when not given.
    #[arg(long, value_name = "PORT")]
    postgres_port: Option<u16>,
    /// Servers on the one database; more than one hear each other over NATS.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=9))]
    nodes: u16,
    /// Where data, logs and keys are kept.
    #[arg(long, value_name = "FOLDER", default_value = "target/devstack")]
    dir: PathBuf,
    /// The built web app, which the servers then serve.
    #[arg(long, value_name = "FOLDER")]
    web_root: Option<PathBuf>,
    /// Sign in by a Keycloak, from the folder of its distribution, instead of the small issuer.
    #[arg(long, value_name = "FOLDER")]
    keycloak: Option<PathBuf>,
    /// The server's binary.
    #[arg(long, value_name = "FILE", default_value = "target/debug/madang")]
    server_binary: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(code) => code,
        Err(e) => {
            println!("\nmadang-dev: {e:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode> {
    let mut interrupt = Interrupt::listen()?;
    let mut stack = Stack::new(arguments)?;
    let done = match stack.start(&mut interrupt).await {
        Ok(true) => stack.watch(&mut interrupt).await,
        Ok(false) => Ok(ExitCode::SUCCESS),
        Err(e) => Err(e),
    };
    let stopped = stack.stop(&mut interrupt).await;
    let code = done?;
    stopped?;
    Ok(code)
}

/// The signals that end it: Ctrl-C, SIGTERM, and the terminal's end.
struct Interrupt {
    signals: [Signal; 3],
    seen: bool,
}

impl Interrupt {
    fn listen() -> Result<Self> {
        let signals =
            [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
        Ok(Self { signals, seen: false })
    }

    /// Waits for the next signal.
    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        self.seen = true;
    }

    /// Whether one has come, without waiting.
    async fn came(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.next() => {}
            () = std::future::ready(()) => {}
        }
        self.seen
    }
}
