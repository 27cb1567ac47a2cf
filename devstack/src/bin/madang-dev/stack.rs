//! The parts of a dev stack, started in order and stopped in the reverse order.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use madang_devstack::issuer::{Issuer, IssuerConfig};
use madang_devstack::keycloak::{Keycloak, KeycloakConfig};
use madang_devstack::nats::Nats;
use madang_devstack::postgres::{self, Cluster, ClusterOptions, Stop};
use madang_devstack::server_process::{Launch, ServerProcess};

use crate::folder::Folder;
use crate::ports::{Ports, Wishes};
use crate::ready::Ready;
use crate::sign_in::SignIn;
use crate::{Arguments, Interrupt, banner, ports};

/// Longest drain of the server before it is killed; a second Ctrl-C does not wait.
const DRAIN: Duration = Duration::from_secs(20);

/// Time between two looks whether the database is still there.
const LOOK: Duration = Duration::from_secs(1);

/// How long somebody stays signed in without using it: a month, so that nobody signs in every morning.
const SESSION_IDLE: Duration = Duration::from_hours(30 * 24);

/// Where the terminal client looks for a dev stack, whatever folder that stack has.
const CURRENT: &str = "target/devstack/current.json";

/// The realm, as companies get it.
const REALM: &str = "deploy/keycloak/madang-realm.json";

/// A dev stack, from nothing to all of it.
pub(crate) struct Stack {
    arguments: Arguments,
    folder: Folder,
    current: PathBuf,
    cluster: Option<Cluster>,
    issuer: Option<Issuer>,
    keycloak: Option<Keycloak>,
    nats: Option<Nats>,
    server: Option<ServerProcess>,
    /// Servers beside the first.
    others: Vec<ServerProcess>,
    ready: Option<Ready>,
}

impl Stack {
    /// Takes the folder; nothing is started yet.
    pub(crate) fn new(arguments: Arguments) -> Result<Self> {
        let binary = &arguments.server_binary;
        ensure!(binary.is_file(), "{} is not there: build it, or call `cargo xtask dev`", binary.display());
        let folder = Folder::take(&arguments.dir)?;
        let current = std::env::current_dir().context("find the current folder")?.join(CURRENT);
        Ok(Self {
            arguments,
            folder,
            current,
            cluster: None,
            issuer: None,
            keycloak: None,
            nats: None,
            server: None,
            others: Vec::new(),
            ready: None,
        })
    }

    /// Starts everything; false when a signal came meanwhile.
    pub(crate) async fn start(&mut self, interrupt: &mut Interrupt) -> Result<bool> {
        self.folder.stop_left_over_server().await?;
        if self.arguments.fresh {
            self.forget().await?;
        }
        step("PostgreSQL");
        let wishes = Wishes {
            grpc: self.arguments.grpc_port,
            issuer: self.arguments.issuer_port,
            admin: self.arguments.admin_port,
            postgres: self.arguments.postgres_port,
        };
        tokio::select! {
            fetched = Cluster::fetch() => drop(fetched?),
            () = interrupt.next() => return Ok(false),
        }
        let turn = tokio::select! {
            turn = ports::turn() => turn?,
            () = interrupt.next() => return Ok(false),
        };
        let place = postgres::place_for(&self.folder.at("postgres"))?;
        // A server that was left up holds the port we want: `at` stops it, so look for ports when that is done.
        postgres::stop_left_over(&place).await?;
        let ports = ports::choose(wishes, &self.folder.at("ports.json"))?;
        let options = ClusterOptions { port: Some(ports.postgres), ..ClusterOptions::default() };
        let cluster = self.cluster.insert(Cluster::at(&place, options).await?);
        let database = cluster.ensure_database("madang").await?;
        if interrupt.came().await {
            return Ok(false);
        }
        let sign_in = tokio::select! {
            sign_in = self.sign_in(&ports) => sign_in?,
            () = interrupt.next() => return Ok(false),
        };
        if self.arguments.nodes > 1 {
            step("NATS");
            self.nats = Some(Nats::start().await?);
        }
        step("server");
        tokio::select! {
            started = self.serve(&ports, &database, sign_in) => started?,
            () = interrupt.next() => return Ok(false),
        }
        drop(turn);
        Ok(true)
    }

    /// Starts whoever signs people in.
    async fn sign_in(&mut self, ports: &Ports) -> Result<SignIn> {
        let Some(folder) = self.arguments.keycloak.clone() else {
            step("sign-in");
            let config = IssuerConfig {
                port: Some(ports.issuer),
                session_idle: SESSION_IDLE,
                state_file: Some(self.folder.at("issuer.json")),
                ..IssuerConfig::default()
            };
            let issuer = self.issuer.insert(Issuer::start(config).await?);
            return Ok(SignIn::by_the_issuer(issuer.url()));
        };
        step("Keycloak, which takes half a minute");
        let here = format!("http://127.0.0.1:{}", ports.grpc);
        let config = KeycloakConfig {
            folder,
            keep: !self.arguments.fresh,
            port: Some(ports.issuer),
            realm: REALM.into(),
            web: here.clone(),
            node: here,
        };
        let keycloak = self.keycloak.insert(Keycloak::start(&config).await?);
        let sign_in = SignIn::by_keycloak(&keycloak.issuer());
        let admin = keycloak.admin().await?;
        for person in &sign_in.people {
            if !admin.knows(&person.login).await? {
                admin.add_person(person).await?;
            }
        }
        Ok(sign_in)
    }

    /// Migrates, starts the server, and tells everybody.
    async fn serve(&mut self, ports: &Ports, database: &str, sign_in: SignIn) -> Result<()> {
        let log = self.folder.at("server.log");
        let origins = "http://127.0.0.1:*,http://localhost:*";
        let mut launch = Launch::new(&self.arguments.server_binary, database, &sign_in.issuer, &log);
        for (name, value) in sign_in.settings {
            launch = launch.with(name, *value);
        }
        if let Some(nats) = &self.nats {
            launch = launch.with("MADANG_NATS_URL", nats.url());
        }
        launch = launch.with("MADANG_PUBLIC_ORIGINS", origins);
        if let Some(folder) = &self.arguments.web_root {
            launch = launch.with("MADANG_WEB_ROOT", folder.to_string_lossy());
        }
        launch.migrate().await?;
        for number in 2..=self.arguments.nodes {
            let launch = Launch { log: self.folder.at(&format!("server{number}.log")), ..launch.clone() };
            self.others.push(launch.serve().await?);
        }
        // In the folder for temporary files, because the path of a socket may have 107 bytes only.
        let control = std::env::temp_dir().join(format!("madang-{}.sock", ports.grpc));
        let first = launch
            .with("MADANG_CONTROL_SOCKET", control.to_string_lossy())
            .with("MADANG_LISTEN", format!("127.0.0.1:{}", ports.grpc))
            .with("MADANG_ADMIN_LISTEN", format!("127.0.0.1:{}", ports.admin));
        let server = self.server.insert(first.serve().await?);
        std::fs::write(self.folder.at("server.pid"), server.pid().to_string())?;
        let nodes: Vec<_> = [server.grpc()].into_iter().chain(self.others.iter().map(ServerProcess::grpc)).collect();
        let ready = Ready::new(&nodes, sign_in, database, server.pid());
        if let Some(parent) = self.current.parent() {
            std::fs::create_dir_all(parent)?;
        }
        ready.write(&self.current)?;
        ready.write(&self.folder.at("current.json"))?;
        if let Some(file) = &self.arguments.ready_file {
            ready.write(file)?;
        }
        banner::print(&ready, self.arguments.web_root.is_some(), server.admin(), &log, &control);
        self.ready = Some(ready);
        Ok(())
    }

    /// Waits for a signal, or for a part that ends by itself.
    pub(crate) async fn watch(&mut self, interrupt: &mut Interrupt) -> Result<ExitCode> {
        let (Some(cluster), Some(server)) = (&self.cluster, &mut self.server) else { return Ok(ExitCode::FAILURE) };
        let database_gone = async {
            while cluster.pid().is_some() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = interrupt.next() => Ok(ExitCode::SUCCESS),
            status = server.wait() => {
                println!("\nThe server ended by itself ({}). Its last words:\n\n{}", status?, server.log_tail());
                self.server = None;
                std::fs::remove_file(self.folder.at("server.pid")).ok();
                Ok(ExitCode::FAILURE)
            }
            () = database_gone => {
                println!("\nThe database ended by itself. Its log is in {}.", self.folder.at("postgres").display());
                Ok(ExitCode::FAILURE)
            }
        }
    }

    /// Stops what is up: the server drains, then the issuer, then the database.
    pub(crate) async fn stop(&mut self, interrupt: &mut Interrupt) -> Result<()> {
        if let Some(ready) = self.ready.take() {
            ready.remove(&self.current);
            ready.remove(&self.folder.at("current.json"));
        }
        let others = std::mem::take(&mut self.others);
        if let Some(mut server) = self.server.take() {
            println!("\nStopping. Ctrl-C once more does not wait for calls under way.");
            let stopped = tokio::select! {
                status = server.stop(DRAIN) => Some(status),
                () = interrupt.next() => None,
            };
            match stopped {
                Some(status) => status,
                None => server.kill().await,
            }?;
            std::fs::remove_file(self.folder.at("server.pid")).ok();
        }
        for mut server in others {
            server.stop(DRAIN).await?;
        }
        self.nats = None;
        if let Some(issuer) = self.issuer.take() {
            issuer.stop().await?;
        }
        if let Some(keycloak) = self.keycloak.take() {
            keycloak.stop().await?;
        }
        if let Some(cluster) = self.cluster.take() {
            cluster.stop(Stop::Fast).await?;
        }
        Ok(())
    }

    /// Removes the data of earlier runs.
    async fn forget(&self) -> Result<()> {
        let place = postgres::place_for(&self.folder.at("postgres"))?;
        postgres::clear(&place).await?;
        for name in ["issuer.json", "server.log", "current.json"] {
            remove(&self.folder.at(name))?;
        }
        Ok(())
    }
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn step(what: &str) {
    println!("starting {what}");
}
