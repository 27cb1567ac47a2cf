//! The binary `madang`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use madang_server::{
    admin::{self, Subject},
    app::{self, App},
    clock::SystemClock,
    config::{self, Config},
    rpc, telemetry,
};
use tokio::signal::unix::{SignalKind, signal};

/// A team messenger's server.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Settings as TOML; the environment wins over them.
    #[arg(long, global = true, env = "MADANG_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves until it is told to stop.
    Serve,
    /// Brings the database up to this version.
    Migrate,
    /// Says what is wrong with the settings.
    CheckConfig,
    /// Says that the database was restored from a backup, so that clients forget what they hold.
    RestoreDone,
    /// Says why something stands as it does for a person, from what the database has and the nodes remember.
    Explain {
        /// Socket of the node; else the setting `control_socket`.
        #[arg(long, global = true)]
        socket: Option<PathBuf>,
        #[command(subcommand)]
        subject: Subject,
    },
    /// Prints a page of the documentation.
    Docs {
        /// Which one.
        page: Page,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Page {
    /// Settings.
    Configuration,
    /// Refusals.
    Errors,
    /// Who may call what.
    Access,
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "logging may not have started")]
async fn main() -> ExitCode {
    // Boxed: it holds the start of a whole node.
    match Box::pin(run()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("madang: {}", causes(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes; one that only repeats what was said is left out.
fn causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.is_empty() {
        true => cause,
        false if said.contains(&cause) => said,
        false => format!("{said}: {cause}"),
    })
}

async fn run() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Command::Docs { page } => return print(page),
        Command::Explain { socket: Some(socket), subject } => return explain(&socket, subject).await,
        _ => {}
    }
    let config = Config::load(arguments.config.as_deref(), std::env::vars())?;
    #[cfg(feature = "sabotage")]
    let config = Config { held: held()?, ..config };
    match arguments.command {
        Command::Serve => serve(config).await,
        Command::Migrate => app::migrate(&config.database_url).await.context("the database was not migrated"),
        Command::RestoreDone => app::restore_done(&config.database_url).await.context("nothing was changed"),
        Command::Explain { subject, .. } => {
            let socket = config.control_socket.context("control_socket is not set: the node cannot be asked")?;
            explain(&socket, subject).await
        }
        Command::CheckConfig | Command::Docs { .. } => Ok(()),
    }
}

/// The guards of this process: all but the one that a test names in `SABOTAGE_WITHOUT`.
#[cfg(feature = "sabotage")]
fn held() -> anyhow::Result<madang_server::sabotage::Guards> {
    use madang_server::sabotage::{Guard, Guards};
    let Ok(name) = std::env::var("SABOTAGE_WITHOUT") else { return Ok(Guards::default()) };
    let found = Guard::ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, guard)| Guards::without(*guard)).with_context(|| format!("no guard is called {name}"))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    telemetry::start_logging(&config.log)?;
    // Before the start, so that a signal during it is not lost.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let running = App::start(config, Arc::new(SystemClock)).await?;
    let admin = running.admin.map(tracing::field::display);
    tracing::info!(grpc = %running.grpc, admin, node = &*running.node.name, "ready");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    running.shutdown().await;
    tracing::info!("stopped");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the explanation is what was asked for")]
async fn explain(socket: &Path, subject: Subject) -> anyhow::Result<()> {
    let knocked = rpc::control::knock(socket).await;
    let mut node = knocked.with_context(|| format!("no node answers this user at {}", socket.display()))?;
    let answer = node.explain(subject.request()).await.map_err(|refused| anyhow::anyhow!("{}", refused.message()))?;
    print!("{}", admin::text::text(&answer.into_inner()));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the page is what was asked for")]
fn print(page: Page) -> anyhow::Result<()> {
    let text = match page {
        Page::Configuration => config::page(),
        Page::Errors => rpc::pages::errors()?,
        Page::Access => rpc::pages::access(),
    };
    print!("{text}");
    Ok(())
}
