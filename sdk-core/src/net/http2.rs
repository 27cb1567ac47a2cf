//! As much of HTTP as is needed to see what a connection carries.

use std::ops::Range;

/// Bytes of a frame's header (RFC 9113, 4.1).
const HEADER: usize = 9;
/// What a client says before its first frame (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Kinds of frames.
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
/// Says that a PING is an answer.
const ACK: u8 = 1;
/// Says that nothing more of a block of headers follows.
const END_HEADERS: u8 = 4;

/// The PING of this client. Nobody else on the connection sends one, so its payload says nothing.
pub(super) const PING_FRAME: [u8; 17] = [0, 0, 8, PING, 0, 0, 0, 0, 0, b'm', b'a', b'd', b'a', b'n', b'g', 0, 0];

/// Where one is in a direction of a connection.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes of the preface to come.
    preface: usize,
    header: [u8; HEADER],
    /// Bytes of a header that have come.
    have: usize,
    /// Bytes of a payload to come.
    payload: usize,
    /// More of a block of headers must follow, and nothing else may (RFC 9113, 6.10).
    in_headers: bool,
}

impl Frames {
    /// What a server says.
    pub(super) fn of_server() -> Self {
        Self { preface: 0, header: [0; HEADER], have: 0, payload: 0, in_headers: false }
    }

    /// What a client says.
    pub(super) fn of_client() -> Self {
        Self { preface: PREFACE.len(), ..Self::of_server() }
    }

    /// Whether another frame may be put in here.
    pub(super) fn between(&self) -> bool {
        self.preface == 0 && self.have == 0 && self.payload == 0 && !self.in_headers
    }

    /// Goes on; tells where among the bytes the answer to a PING was. Of one that is cut apart it tells an empty place.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Option<Range<usize>> {
        let mut pong = None;
        let mut at = self.preface.min(bytes.len());
        self.preface -= at;
        let mut begin = None;
        while at < bytes.len() {
            let skipped = self.payload.min(bytes.len() - at);
            self.payload -= skipped;
            at += skipped;
            let taken = (HEADER - self.have).min(bytes.len() - at);
            if self.have == 0 {
                begin = Some(at);
            }
            self.header[self.have..self.have + taken].copy_from_slice(&bytes[at..at + taken]);
            self.have += taken;
            at += taken;
            if self.have == HEADER {
                let [a, b, c, kind, flags, ..] = self.header;
                self.payload = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                self.have = 0;
                if matches!(kind, HEADERS | CONTINUATION) {
                    self.in_headers = flags & END_HEADERS == 0;
                }
                if kind == PING && flags & ACK != 0 {
                    let end = at + self.payload;
                    pong = Some(begin.filter(|_| end <= bytes.len()).map_or(0..0, |begin| begin..end));
                }
            }
        }
        pong
    }
}

/// Whether bytes begin with a SETTINGS frame of a connection, as everything that a server of HTTP/2 says does; `None`: there
/// are too few.
pub(super) fn begins_with_settings(bytes: &[u8]) -> Option<bool> {
    let [a, b, _, kind, flags, stream @ ..] = bytes.first_chunk::<HEADER>()?;
    Some((*a, *b) == (0, 0) && *kind == SETTINGS && flags & ACK == 0 && stream.iter().all(|byte| *byte == 0))
}

/// Status of an answer of HTTP/1.
pub(super) fn status_of(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next()?.strip_prefix("HTTP/1.")?;
    words.next()?.parse().ok()
}

/// Whether an answer of HTTP/1 is a page.
pub(super) fn is_html(head: &[u8]) -> bool {
    String::from_utf8_lossy(head).to_ascii_lowercase().contains("text/html")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PONG: [u8; 17] = [0, 0, 8, PING, ACK, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

    #[test]
    fn frames_are_told_apart_however_the_bytes_are_cut() {
        let data = [&[0, 0, 3, 0, 0, 0, 0, 0, 1, 6, 1, 6][..], &PONG, &[0, 0, 0, 4, 1, 0, 0, 0, 0]].concat();
        for size in 1..data.len() {
            let mut frames = Frames::of_server();
            let pongs = data.chunks(size).filter_map(|chunk| frames.pass(chunk)).count();
            assert_eq!((pongs, frames.between()), (1, true), "{size}");
        }
        assert_eq!(Frames::of_server().pass(&data), Some(12..29));
        assert_eq!(Frames::of_server().pass(&data[..20]), None);
        assert_eq!(Frames::of_server().pass(&data[..25]), Some(0..0));
    }

    #[test]
    fn a_client_s_first_frame_comes_after_its_preface() {
        let mut frames = Frames::of_client();
        assert!(!frames.between());
        frames.pass(&PREFACE[..10]);
        frames.pass(&PREFACE[10..]);
        assert!(frames.between());
        frames.pass(&PING_FRAME[..9]);
        assert!(!frames.between());
        frames.pass(&PING_FRAME[9..]);
        assert!(frames.between());
    }

    #[test]
    fn nothing_is_put_into_a_block_of_headers() {
        let mut frames = Frames::of_server();
        frames.pass(&[0, 0, 1, HEADERS, 0, 0, 0, 0, 1, 7]);
        assert!(!frames.between());
        frames.pass(&[0, 0, 1, CONTINUATION, END_HEADERS, 0, 0, 0, 1, 7]);
        assert!(frames.between());
    }

    #[test]
    fn a_server_of_http2_begins_with_settings() {
        assert_eq!(begins_with_settings(&[0, 0, 0, 4, 0, 0, 0, 0]), None);
        assert_eq!(begins_with_settings(&[0, 0, 12, 4, 0, 0, 0, 0, 0, 1]), Some(true));
        assert_eq!(begins_with_settings(b"SSH-2.0-OpenSSH"), Some(false));
    }

    #[test]
    fn an_answer_of_http1_has_a_status() {
        assert_eq!(status_of(b"HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n"), Some(302));
        assert_eq!(status_of(b"HTTP/1.0 200\r\n\r\n"), Some(200));
        assert_eq!(status_of(b"220 mail.example.com ESMTP\r\n"), None);
    }
}
