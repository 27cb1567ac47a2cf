//! What a peer says on its connection, counted before HTTP/2 looks at it.
//!
//! Always true: a connection that floods its server with frames that are no call is cut. h2 answers PING and SETTINGS, and takes
//! `WINDOW_UPDATE`, PRIORITY and unknown frames for ever (seen with 0.4.20); HEADERS, CONTINUATION, DATA, be it empty, and resets
//! of open streams it bounds itself. HTTP/1.1 passes uncounted: it has no such frames.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// The first words of HTTP/2 (RFC 9113 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes in front of each frame (RFC 9113 4.1).
const HEAD: usize = 9;

/// Frames of calls (RFC 9113 6): DATA, HEADERS, CONTINUATION.
const OF_CALLS: [u8; 3] = [0, 1, 9];

/// Frames without a call in them that a peer may say in a second. Honest ones say a few: keep-alive every some seconds, settings
/// once, a reset for each call they give up, and for what is sent to them as in [`EARNS`].
const MOST: u64 = 1_000;

/// Bytes sent to a peer that allow it one frame more. Windows are renewed after 16 KiB or more, and grpc-go measures its bandwidth
/// by one PING in flight while it reads, so at most one for each answer; small answers have about 150 bytes. The answer to a PING
/// has 17, so that no flood feeds itself.
const EARNS: u64 = 128;

/// A connection whose peer is counted.
pub(super) struct Heard<S> {
    stream: S,
    bytes: Arc<AtomicUsize>,
    frames: Frames,
    second: Second,
}

/// What was said and heard since a moment, which is over after a second.
struct Second {
    begun: Instant,
    frames: u64,
    sent: u64,
}

impl<S> Heard<S> {
    /// Counts a connection's bytes where others see them.
    pub(super) fn new(stream: S, bytes: Arc<AtomicUsize>) -> Self {
        let second = Second { begun: Instant::now(), frames: 0, sent: 0 };
        Self { stream, bytes, frames: Frames::default(), second }
    }

    fn hear(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        let now = Instant::now();
        if now.duration_since(self.second.begun) >= Duration::from_secs(1) {
            self.second = Second { begun: now, frames: 0, sent: 0 };
        }
        self.second.frames += self.frames.hear(bytes);
        if self.second.frames <= MOST + self.second.sent / EARNS {
            return Ok(());
        }
        metrics::counter!("madang_connections_cut_total").increment(1);
        Err(io::Error::other("too many frames that are no call"))
    }

    fn say(&mut self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(sent)) = &polled {
            self.second.sent += u64::try_from(*sent).unwrap_or(u64::MAX);
        }
        polled
    }
}

/// Finds the frames in what a peer says, in whatever pieces it comes.
#[derive(Default)]
struct Frames {
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// So much of the preface was heard.
    Preface(usize),
    /// So much of a frame's head was heard.
    Head([u8; HEAD], usize),
    /// So much of a frame is still to come.
    Payload(usize),
    /// It is not HTTP/2.
    Other,
}

impl Default for State {
    fn default() -> Self {
        Self::Preface(0)
    }
}

impl Frames {
    /// How many frames without a call in them begin here.
    fn hear(&mut self, mut bytes: &[u8]) -> u64 {
        let mut found = 0;
        while !bytes.is_empty() {
            let taken = match &mut self.state {
                State::Other => return found,
                State::Preface(heard) => {
                    let taken = bytes.len().min(PREFACE.len() - *heard);
                    let is_right = bytes[..taken] == PREFACE[*heard..*heard + taken];
                    *heard += taken;
                    if !is_right {
                        self.state = State::Other;
                    } else if *heard == PREFACE.len() {
                        self.state = State::Head([0; HEAD], 0);
                    }
                    taken
                }
                State::Head(head, known) => {
                    let taken = bytes.len().min(HEAD - *known);
                    head[*known..*known + taken].copy_from_slice(&bytes[..taken]);
                    *known += taken;
                    if *known == HEAD {
                        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                        found += u64::from(!OF_CALLS.contains(&head[3]));
                        self.state = if length == 0 { State::Head([0; HEAD], 0) } else { State::Payload(length) };
                    }
                    taken
                }
                State::Payload(left) => {
                    let taken = bytes.len().min(*left);
                    *left -= taken;
                    if *left == 0 {
                        self.state = State::Head([0; HEAD], 0);
                    }
                    taken
                }
            };
            bytes = &bytes[taken..];
        }
        found
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        Poll::Ready(self.hear(&buf.filled()[before..]))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.say(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.say(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        [&[0, 0, length, kind, 0, 0, 0, 0, 1][..], &vec![7; usize::from(length)]].concat()
    }

    #[test]
    fn frames_are_found_in_whatever_pieces_they_come() {
        let said = [
            PREFACE.to_vec(),
            frame(4, 6),
            frame(1, 40),
            frame(0, 0),
            frame(0, 5),
            frame(6, 8),
            frame(9, 0),
            frame(99, 3),
        ];
        let said = said.concat();
        for piece in [1, 2, 7, 24, 1000] {
            let mut frames = Frames::default();
            let found: u64 = said.chunks(piece).map(|bytes| frames.hear(bytes)).sum();
            assert_eq!(found, 3, "SETTINGS, PING and an unknown one, in pieces of {piece}");
        }
    }

    #[test]
    fn http_1_has_no_frames() {
        let mut frames = Frames::default();
        assert_eq!(frames.hear(b"PRI * HTTP/1.1\r\n"), 0);
        assert_eq!(frames.hear(&frame(6, 8).repeat(100)), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_has_its_measure_and_what_is_sent_adds_to_it() {
        let ping = frame(6, 8);
        let mut heard = Heard::new(tokio::io::empty(), Arc::default());
        heard.hear(PREFACE).expect("the preface");
        for _ in 0..3 {
            heard.hear(&ping.repeat(1_000)).expect("as many as allowed");
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let _ = heard.say(Poll::Ready(Ok(1280)));
        heard.hear(&ping.repeat(1_000)).expect("a new second");
        let _ = heard.say(Poll::Ready(Ok(1280)));
        heard.hear(&ping.repeat(10)).expect("ten were earned");
        assert!(heard.hear(&ping).is_err());
    }
}
