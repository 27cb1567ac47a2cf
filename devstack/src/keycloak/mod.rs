//! A real Keycloak of one's own, with the realm of `deploy/keycloak`, for as long as the value lives.
//!
//! It is as companies run it, so it takes its time: 20 s to start, half a gigabyte of memory.

mod admin;

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::StatusCode;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

pub use self::admin::Admin;

/// Longest wait for it to answer: 20 s on two free cores, twice that on busy ones.
const READY: Duration = Duration::from_mins(3);

/// Time between two questions whether it answers.
const LOOK: Duration = Duration::from_millis(250);

/// Longest wait for one answer; its first answers compile templates.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who may do everything, until it ends: it listens on loopback and its data is removed.
const ADMIN: (&str, &str) = ("admin", "admin");

/// The realm of the file.
const REALM: &str = "madang";

/// Memory that Java may use.
const HEAP: &str = "-Xms128m -Xmx512m";

/// What to start.
#[derive(Debug, Clone)]
pub struct KeycloakConfig {
    /// Folder of the distribution, which holds its data too: nobody else may run from it.
    pub folder: PathBuf,
    /// Whether it goes on with what is there from the last time; the realm's file counts only when there is nothing.
    pub keep: bool,
    /// Where it listens; a free port otherwise.
    pub port: Option<u16>,
    /// The realm's file.
    pub realm: PathBuf,
    /// Where browsers find the web app.
    pub web: String,
    /// Where Keycloak finds a node.
    pub node: String,
}

/// A Keycloak on a port of 127.0.0.1. One that was started here is killed when the value goes.
#[derive(Debug)]
pub struct Keycloak {
    url: String,
    http: reqwest::Client,
    child: Option<Child>,
}

impl Keycloak {
    /// Starts one and waits until its realm answers. Fails when there is no Java, or the realm is not taken.
    pub async fn start(config: &KeycloakConfig) -> Result<Self> {
        let (port, management) = (config.port.map_or_else(free_port, Ok)?, free_port()?);
        import(config)?;
        let script = config.folder.join("bin").join("kc.sh");
        let mut command = Command::new(&script);
        command.args(["start-dev", "--import-realm", "--http-host=127.0.0.1", "--health-enabled=false"]);
        command.arg(format!("--http-port={port}")).arg(format!("--http-management-port={management}"));
        command.env("KC_BOOTSTRAP_ADMIN_USERNAME", ADMIN.0).env("KC_BOOTSTRAP_ADMIN_PASSWORD", ADMIN.1);
        command.env("JAVA_OPTS_KC_HEAP", HEAP).env("MADANG_URL", &config.web).env("MADANG_NODE_URL", &config.node);
        let log = std::fs::File::create(config.folder.join("keycloak.log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("run {}", script.display()))?;
        let started = Self::at(format!("http://127.0.0.1:{port}"))?;
        let until = tokio::time::Instant::now() + READY;
        let realm = format!("{}/.well-known/openid-configuration", started.issuer());
        while !started.http.get(&realm).send().await.is_ok_and(|answer| answer.status() == StatusCode::OK) {
            if let Some(status) = child.try_wait()? {
                bail!("Keycloak ended: {status}; it says why in {}/keycloak.log", config.folder.display());
            }
            ensure!(tokio::time::Instant::now() < until, "Keycloak does not answer after {READY:?}");
            tokio::time::sleep(LOOK).await;
        }
        Ok(Self { child: Some(child), ..started })
    }

    /// One that somebody else has started.
    pub fn at(url: String) -> Result<Self> {
        // The client of HTTP wants one, also for what is not encrypted; another may be there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self { url, http: reqwest::Client::builder().timeout(PATIENCE).build()?, child: None })
    }

    /// Ends it in order, so that its data is whole; one that somebody else has started goes on.
    pub async fn stop(mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        if let Some(pid) = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            kill_process(pid, Signal::TERM)?;
        }
        if tokio::time::timeout(PATIENCE, child.wait()).await.is_err() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The `iss` of its tokens.
    pub fn issuer(&self) -> String {
        format!("{}/realms/{REALM}", self.url)
    }

    /// What an administrator does. The token lives for a minute: ask for another one rather than keep it.
    pub async fn admin(&self) -> Result<Admin> {
        Admin::sign_in(&self.http, &self.url, REALM, ADMIN).await
    }
}

/// Puts the realm where the start finds it, and removes what an earlier start has left, which would win, unless it is to.
fn import(config: &KeycloakConfig) -> Result<()> {
    let data = config.folder.join("data");
    match if config.keep { Ok(()) } else { std::fs::remove_dir_all(data.join("h2")) } {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let import = data.join("import");
    std::fs::create_dir_all(&import)?;
    let copied = std::fs::copy(&config.realm, import.join(Path::new("madang-realm.json")));
    copied.with_context(|| format!("read {}", config.realm.display()))?;
    Ok(())
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
