//! The beginning of what a server says: whether it is HTTP/2 at all, and if not, what it is.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Failure, failure::Trouble, http2};
use crate::{
    clock::{Clock, Sleep},
    error::LocalReason,
};

/// A server that says nothing for so long after it was connected to says nothing at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest head of an answer that is looked at.
const HEAD: usize = 4 << 10;

/// A stream whose first bytes are looked at before they are passed on.
#[derive(Debug)]
pub(super) struct FirstWords<S> {
    stream: S,
    trouble: Trouble,
    state: State,
}

enum State {
    Listening { head: Vec<u8>, patience: Sleep },
    PassingOn { head: Vec<u8>, passed: usize },
    Done,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("State")
    }
}

impl<S> FirstWords<S> {
    pub(super) fn new(stream: S, trouble: Trouble, clock: &dyn Clock) -> Self {
        Self { stream, trouble, state: State::Listening { head: Vec::new(), patience: clock.sleep(PATIENCE) } }
    }
}

impl<S> FirstWords<S> {
    fn broken(&self, error: &io::Error) -> io::Error {
        let message = format!("before the server's first word: {error}");
        self.trouble.with(Failure::new(LocalReason::Unreachable, message))
    }
}

/// What begins so; `None`: that is not known yet.
fn judge(head: &[u8], ended: bool) -> Option<Result<(), Failure>> {
    let other = |what: &str| Some(Err(Failure::new(LocalReason::NotMadang, format!("the server {what}"))));
    let is_http1 = head.starts_with(b"HTTP/") || !head.is_empty() && b"HTTP/".starts_with(head);
    if head.is_empty() && ended {
        return Some(Err(Failure::new(LocalReason::Unreachable, "the server closed without a word")));
    }
    if is_http1 {
        let whole = ended || head.len() >= HEAD || head.windows(4).any(|end| end == b"\r\n\r\n");
        let status = http2::status_of(head).filter(|_| whole);
        return match status {
            Some(status) => Some(Err(Failure::of_http(status, http2::is_html(head)))),
            None if whole => other("speaks something like HTTP"),
            None => None,
        };
    }
    match http2::begins_with_settings(head) {
        Some(true) => Some(Ok(())),
        // An alert: it expects TLS.
        _ if head.first() == Some(&0x15) => other("expects TLS: try https"),
        Some(false) => other("does not speak HTTP"),
        None if ended => other("does not speak HTTP"),
        None => None,
    }
}

impl<S: AsyncRead + Unpin> FirstWords<S> {
    fn listen(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let State::Listening { head, patience } = &mut self.state else { return Poll::Ready(Ok(())) };
        loop {
            let mut bytes = [0; 1024];
            let mut read = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(self.broken(&error)));
                }
                Poll::Pending => {
                    ready!(patience.as_mut().poll(cx));
                    let silent = Failure::new(LocalReason::Unreachable, "the server accepts and says nothing");
                    return Poll::Ready(Err(self.trouble.with(silent)));
                }
            }
            head.extend_from_slice(read.filled());
            match judge(head, read.filled().is_empty()) {
                None => {}
                Some(Err(failure)) => return Poll::Ready(Err(self.trouble.with(failure))),
                Some(Ok(())) => {
                    self.trouble.is_over();
                    self.state = State::PassingOn { head: std::mem::take(head), passed: 0 };
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstWords<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.listen(cx))?;
        if let State::PassingOn { head, passed } = &mut this.state {
            let part = &head[*passed..];
            let part = &part[..part.len().min(buf.remaining())];
            buf.put_slice(part);
            *passed += part.len();
            if *passed == head.len() {
                this.state = State::Done;
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for FirstWords<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, buf));
        let Err(error) = written else { return Poll::Ready(written) };
        // Who has closed has perhaps said why.
        let said = match this.listen(cx) {
            Poll::Ready(Err(said)) => said,
            _ if matches!(this.state, State::Listening { .. }) => this.broken(&error),
            _ => error,
        };
        Poll::Ready(Err(said))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(head: &[u8], ended: bool) -> Option<LocalReason> {
        judge(head, ended).map(|judged| judged.unwrap_err().reason)
    }

    #[test]
    fn what_is_not_http2_is_known_by_how_it_begins() {
        let not_madang = Some(LocalReason::NotMadang);
        assert_eq!(reason(b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/html\r\n\r\n<html>", false), not_madang);
        assert_eq!(reason(b"SSH-2.0-OpenSSH_9.2\r\n", false), not_madang);
        assert_eq!(reason(&[0x15, 3, 1, 0, 2, 2, 70], false), not_madang);
        assert_eq!(reason(b"220 ", true), not_madang);
        assert_eq!(
            reason(b"HTTP/1.1 307 Go\r\nlocation: http://portal/\r\n\r\n", false),
            Some(LocalReason::CaptivePortal)
        );
        assert_eq!(
            reason(b"HTTP/1.0 200 OK\r\nContent-Type: Text/HTML\r\n\r\n", false),
            Some(LocalReason::CaptivePortal)
        );
        assert_eq!(reason(b"HTTP/1.1 502 Bad Gateway\r\n\r\n", false), Some(LocalReason::Unreachable));
        assert_eq!(reason(b"", true), Some(LocalReason::Unreachable));
        for unknown in [&b"HTT"[..], b"HTTP/1.1 302 Fo", b"HTTP/1.1 302 Found\r\nlocation: ", &[0, 0, 0, 4]] {
            assert!(judge(unknown, false).is_none(), "{unknown:?}");
        }
        assert_eq!(judge(&[0, 0, 0, 4, 0, 0, 0, 0, 0], false), Some(Ok(())));
    }
}
