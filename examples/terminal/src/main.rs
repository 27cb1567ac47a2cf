//! A messenger in a terminal, line by line: the smallest honest client on the core. A plain line is a message to the open
//! room; what begins with `/` is a command (`/help`).
//!
//! Always true: a message is printed once, as one line `HH:MM name: text`, in the order of the room; every line is flushed,
//! so that a program can drive it through pipes; a failure is a sentence, never a panic.

mod chat;
mod command;
mod options;
mod rooms;
mod screen;
mod signin;
mod words;

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context as _, Result};
use clap::Parser as _;
use madang_sdk_core::{Client, ClientConfig, StoreLocation};

use crate::{chat::Chat, options::Options, screen::line, words::Language};

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let language = options.language();
    match run(options, language).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            line(&format!("! {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options, language: Language) -> Result<()> {
    // Another part may have chosen already; both choices are ring.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let signed_in = signin::sign_in(&options, language).await?;
    let folder = options.store_folder()?;
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = folder.join(format!("{}-{}.db", file_name(&signed_in.server), file_name(&signed_in.login)));
    let config = ClientConfig {
        language: language.code().into(),
        ..ClientConfig::new(signed_in.server.clone(), StoreLocation::File(file.clone()))
    };
    let client = Client::open(config, Arc::clone(&signed_in.tokens)).await.with_context(|| {
        format!("cannot open {}; is another terminal of {} running?", file.display(), signed_in.login)
    })?;
    Chat::open(client, language).await?.run(&signed_in.login).await
}

/// A text as part of a file's name.
fn file_name(text: &str) -> String {
    let text = text.trim_start_matches("http://").trim_start_matches("https://").trim_end_matches('/');
    text.chars().map(|c| if c.is_alphanumeric() || c == '.' || c == '-' { c } else { '_' }).collect()
}
