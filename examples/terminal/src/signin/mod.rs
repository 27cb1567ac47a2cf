//! Signing in: by a password at the development stack, or for real at a server's issuer.

mod dev;
mod http;
mod kept;
mod oidc;
mod redirect;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use madang_sdk_core::{TokenProvider, server_info};

use self::kept::{Account, KeptTokens};
use crate::{options::Options, screen::line, words::Language};

/// Where, who, and where their tokens come from.
pub(crate) struct SignedIn {
    /// The server's address.
    pub(crate) server: String,
    /// Names the store.
    pub(crate) login: String,
    /// Where tokens come from.
    pub(crate) tokens: Arc<dyn TokenProvider>,
}

/// Signs in as the command line says.
pub(crate) async fn sign_in(options: &Options, language: Language) -> Result<SignedIn> {
    if let Some(login) = &options.login {
        return dev::sign_in(&options.dev_file, options.node, login);
    }
    let server = options.server.clone().context("say --as LOGIN or --server URL")?;
    let folder = options.store_folder()?;
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let name = format!("{}-{}.tokens.json", crate::file_name(&server), crate::file_name(&options.account));
    let file = folder.join(name);
    let account = if let Some(account) = Account::read(&file)? {
        account
    } else {
        let info = server_info(&server).await.with_context(|| format!("{server} does not answer"))?;
        let account = if options.browser {
            oidc::by_browser(&info, language).await?
        } else {
            oidc::by_code(&info, language).await?
        };
        account.write(&file)?;
        let kept = language.say("tokens are kept in", "토큰을 보관하는 곳:");
        line(&format!("# {kept} {}", file.display()));
        account
    };
    let login = account.login.clone();
    let tokens = Arc::new(KeptTokens::new(file, account)?);
    Ok(SignedIn { server, login, tokens })
}
