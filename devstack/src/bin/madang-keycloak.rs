//! A Keycloak with the realm of `deploy/keycloak`, for tests: says where it is in one line of JSON, and ends with its standard input.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use madang_devstack::keycloak::{Keycloak, KeycloakConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, stdin, stdout};

/// What to start.
#[derive(Debug, Parser)]
struct Options {
    /// Folder of the distribution.
    #[arg(long)]
    folder: PathBuf,
    /// The realm's file.
    #[arg(long)]
    realm: PathBuf,
    /// Where browsers find the web app.
    #[arg(long)]
    web: String,
    /// Where Keycloak finds a node.
    #[arg(long)]
    node: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Options { folder, realm, web, node } = Options::parse();
    let keycloak = Keycloak::start(&KeycloakConfig { folder, keep: false, port: None, realm, web, node }).await?;
    let said = serde_json::json!({ "url": keycloak.url(), "issuer": keycloak.issuer() });
    stdout().write_all(format!("{said}\n").as_bytes()).await?;
    stdout().flush().await?;
    stdin().read_to_end(&mut Vec::new()).await?;
    keycloak.stop().await
}
