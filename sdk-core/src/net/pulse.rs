//! The pulse of a connection: a PING when nothing was heard for a while, and an end when it is not answered.
//!
//! Always true: a dead connection ends within 20 s while the app is in front and within 45 s otherwise; one that hears the
//! server's heartbeats sets no timer off, so that a device at rest is woken by them alone; whoever cuts a connection ends
//! everything on it at once.

use std::{
    io,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use futures_util::StreamExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_stream::wrappers::WatchStream;

use super::{
    Failure,
    failure::Trouble,
    http2::{Frames, PING_FRAME},
    line::Reins,
};
use crate::{
    clock::{Clock, Sleep},
    diagnostics::Recorder,
    error::LocalReason,
};

/// When to ask, and how long to wait for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace {
    quiet: Duration,
    answer: Duration,
}

/// The app is in front: a person waits. 18 s in all.
const IN_FRONT: Pace = Pace { quiet: Duration::from_secs(10), answer: Duration::from_secs(8) };
/// Nobody waits: later than the server's heartbeats, which come every 20 s. 42 s in all.
const BEHIND: Pace = Pace { quiet: Duration::from_secs(22), answer: Duration::from_secs(20) };
/// The timer is set anew no more often than this: a busy connection is not slowed down by it.
const SLACK: Duration = Duration::from_secs(2);

/// A stream that knows whether the other side lives.
pub(super) struct Pulse<S> {
    stream: S,
    clock: Arc<dyn Clock>,
    record: Arc<Recorder>,
    trouble: Trouble,
    cut: WatchStream<bool>,
    in_front: WatchStream<bool>,
    pace: Pace,
    timer: Sleep,
    /// When the timer was set.
    set_at: SystemTime,
    heard_at: SystemTime,
    /// When the PING was said that has no answer.
    asked_at: Option<SystemTime>,
    /// Bytes of it that are still to be written.
    to_say: &'static [u8],
    written: Frames,
    read: Frames,
}

impl<S> Pulse<S> {
    pub(super) fn new(
        stream: S,
        clock: Arc<dyn Clock>,
        record: Arc<Recorder>,
        trouble: Trouble,
        reins: &Reins,
    ) -> Self {
        let pace = pace(*reins.in_front.borrow());
        let now = clock.now();
        Self {
            stream,
            record,
            trouble,
            cut: WatchStream::new(reins.cut.clone()),
            in_front: WatchStream::from_changes(reins.in_front.clone()),
            pace,
            timer: clock.sleep(pace.quiet),
            set_at: now,
            heard_at: now,
            asked_at: None,
            to_say: &[],
            written: Frames::of_client(),
            read: Frames::of_server(),
            clock,
        }
    }

    fn set(&mut self, after: Duration) {
        self.timer = self.clock.sleep(after);
        self.set_at = self.clock.now();
    }

    /// Something was heard; tells where in it the answer to our PING is, of which nobody else knows.
    fn heard(&mut self, bytes: &[u8]) -> Range<usize> {
        let now = self.clock.now();
        self.record.received(bytes.len());
        let pong = self.read.pass(bytes);
        if let (Some(_), Some(asked_at)) = (&pong, self.asked_at) {
            self.record.pong(now.duration_since(asked_at).unwrap_or_default());
        }
        self.heard_at = now;
        let stale = now.duration_since(self.set_at).unwrap_or_default() >= SLACK;
        if self.asked_at.take().is_some() || stale {
            self.set(self.pace.quiet);
        }
        pong.unwrap_or_default()
    }

    fn ask(&mut self) {
        self.record.ping();
        self.asked_at = Some(self.clock.now());
        self.to_say = &PING_FRAME;
        self.set(self.pace.answer);
    }

    fn broken(&self, message: &str) -> io::Error {
        self.trouble.with(Failure::new(LocalReason::Unreachable, message))
    }

    /// What the client wants of its connections.
    fn obey(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while let Poll::Ready(Some(cut)) = self.cut.poll_next_unpin(cx) {
            if cut {
                return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
            }
        }
        while let Poll::Ready(Some(in_front)) = self.in_front.poll_next_unpin(cx) {
            self.pace = pace(in_front);
            // Whoever brings the app to the front sees at once whether the connection outlived the time behind.
            match self.asked_at {
                None if in_front => self.ask(),
                None => self.set(self.pace.quiet),
                Some(_) => self.set(self.pace.answer),
            }
        }
        Ok(())
    }
}

/// Takes bytes out of those that were read.
fn take_out(buf: &mut ReadBuf<'_>, bytes: Range<usize>) {
    let length = buf.filled().len() - bytes.len();
    buf.filled_mut().copy_within(bytes.end.., bytes.start);
    buf.set_filled(length);
}

fn pace(in_front: bool) -> Pace {
    if in_front { IN_FRONT } else { BEHIND }
}

impl<S: AsyncWrite + Unpin> Pulse<S> {
    /// Ends when the other side is dead.
    fn beat(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.to_say.is_empty() {
                // A socket that takes nothing must not keep the timer from being looked at.
                let _ = self.say(cx)?;
                let _ = Pin::new(&mut self.stream).poll_flush(cx)?;
            }
            ready!(self.timer.as_mut().poll(cx));
            let quiet = self.clock.now().duration_since(self.heard_at).unwrap_or_default();
            match self.asked_at {
                Some(_) => return Poll::Ready(Err(self.broken("the connection has gone silent"))),
                None if quiet < self.pace.quiet => self.set(self.pace.quiet.saturating_sub(quiet)),
                None => self.ask(),
            }
        }
    }

    /// Writes the PING, between two frames. Ready when there is none to write.
    fn say(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let begun = self.to_say.len() < PING_FRAME.len();
        while !self.to_say.is_empty() && (begun || self.written.between()) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, self.to_say))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.to_say = &self.to_say[written..];
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Pulse<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.obey(cx)?;
        let before = buf.filled().len();
        loop {
            match Pin::new(&mut this.stream).poll_read(cx, buf) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return this.beat(cx),
            }
            let ended = buf.filled().len() == before;
            let pong = this.heard(&buf.filled()[before..]);
            take_out(buf, before + pong.start..before + pong.end);
            // Nothing would mean that the other side has closed.
            if ended || buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Pulse<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.say(cx))?;
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, buf))?;
        this.written.pass(&buf[..written]);
        this.record.sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.say(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
