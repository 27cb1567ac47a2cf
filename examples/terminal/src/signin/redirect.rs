//! The end of a sign-in in a browser: a port of this machine to which the issuer sends the browser back.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use openidconnect::{AuthorizationCode, CsrfToken, url::Url};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::words::Language;

/// Time to sign in.
const PATIENCE: Duration = Duration::from_mins(5);
/// Time for a browser to say what it wants, and bytes of that.
const REQUEST: Duration = Duration::from_secs(5);
const REQUEST_BYTES: usize = 16 * 1024;

/// A port that waits for the browser.
pub(super) struct Redirect {
    listener: TcpListener,
}

impl Redirect {
    /// Listens on a free port of the loopback alone.
    pub(super) async fn listen() -> Result<Self> {
        Ok(Self { listener: TcpListener::bind("127.0.0.1:0").await.context("no free port")? })
    }

    /// Where the browser is to come back to.
    pub(super) fn address(&self) -> String {
        let port = self.listener.local_addr().map_or(0, |address| address.port());
        format!("http://127.0.0.1:{port}/")
    }

    /// Waits for the browser that brings the state of this sign-in; others are turned away.
    pub(super) async fn code(self, state: &CsrfToken, language: Language) -> Result<AuthorizationCode> {
        let wait = async {
            loop {
                let (stream, _) = self.listener.accept().await?;
                let asked = tokio::time::timeout(REQUEST, answer(stream, state, language)).await;
                if let Ok(Ok(Some(code))) = asked {
                    return code;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.context("nobody signed in")?
    }
}

/// Serves one request. `None`: it was not the browser that is waited for.
async fn answer(
    mut stream: TcpStream,
    state: &CsrfToken,
    language: Language,
) -> Result<Option<Result<AuthorizationCode>>> {
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < REQUEST_BYTES {
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            break;
        }
        request.extend_from_slice(&chunk[..read]);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let code = code_of(&request, state);
    let (status, words) = match &code {
        Some(Ok(_)) => {
            ("200 OK", language.say("Signed in. Go back to your terminal.", "로그인되었습니다. 터미널로 돌아가세요."))
        }
        Some(Err(_)) => ("200 OK", language.say("Not signed in.", "로그인되지 않았습니다.")),
        None => ("404 Not Found", ""),
    };
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}", words.len());
    stream.write_all(format!("{head}\r\nconnection: close\r\n\r\n{words}").as_bytes()).await?;
    stream.shutdown().await?;
    Ok(code)
}

fn code_of(request: &str, state: &CsrfToken) -> Option<Result<AuthorizationCode>> {
    let path = request.strip_prefix("GET ")?.split_whitespace().next()?;
    let url = Url::parse("http://127.0.0.1").ok()?.join(path).ok()?;
    let value = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    if value("state")? != *state.secret() {
        return None;
    }
    Some(match value("code") {
        Some(code) => Ok(AuthorizationCode::new(code)),
        None => refused(&value("error").unwrap_or_default()),
    })
}

fn refused(error: &str) -> Result<AuthorizationCode> {
    bail!("the issuer refused: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_browser_of_this_sign_in_is_listened_to() {
        let state = CsrfToken::new("mine".into());
        let code = |path: &str| code_of(&format!("GET {path} HTTP/1.1\r\n\r\n"), &state);
        assert_eq!(code("/?state=mine&code=abc").unwrap().unwrap().secret(), "abc");
        assert!(code("/?state=other&code=abc").is_none());
        assert!(code("/favicon.ico").is_none());
        assert!(code("/?state=mine&error=access_denied").unwrap().is_err());
    }
}
