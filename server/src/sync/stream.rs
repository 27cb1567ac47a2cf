//! What one stream sends: first the verdicts that its Hello asks for, then what the queue holds, and what its dirt asks for.
//! One state machine without a task of its own, because an idle stream should cost little.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use madang_proto::{EncodedFrame, v1};
use tonic::{Status, Streaming};

use super::{
    frames::{self, Heard},
    open::{self, Beginning, Crowd, Opening, Owed, SUMMARIES},
};
use crate::{
    access::Call,
    error::{Error, Reason, Result},
    realtime::{ClosingReason, Node, Session, Step, Work},
};

/// How often a read that the database did not answer is tried again, and how long after.
const TRIES: u32 = 60;
const TRY_AFTER: Duration = Duration::from_millis(500);

/// Bytes that are sent between two looks at the peer: half of a full write, so there is one in each.
const LOOK_AFTER: usize = 16 * 1024;

/// Frames of the peer that are heard before the stream sends again.
const HEARD_AT_ONCE: usize = 16;

type Reading = Pin<Box<dyn Future<Output = Result<Told>> + Send>>;

/// What a read brought.
enum Told {
    Beginning(Beginning),
    Frames(Vec<Bytes>),
}

/// What one stream sends.
pub struct Outgoing {
    node: Node,
    crowd: Crowd,
    call: Call,
    session: Arc<Session>,
    incoming: Option<(Streaming<v1::ClientFrame>, frames::Ears)>,
    reading: Option<Reading>,
    ready: VecDeque<Bytes>,
    owed: VecDeque<Owed>,
    /// Told when nothing is owed any more; `None` once the stream is live.
    watermark: Option<i64>,
    /// Bytes sent since the last look at the peer.
    unlooked: usize,
    done: bool,
}

impl Outgoing {
    /// A stream that begins with what its Hello asks for.
    pub fn new(
        node: Node,
        crowd: Crowd,
        call: Call,
        session: Arc<Session>,
        stand: open::Stand,
        incoming: Option<(Streaming<v1::ClientFrame>, frames::Ears)>,
    ) -> Self {
        let (first, opening) = (crowd.clone(), Opening::new(&session, stand));
        let reading = read(move || {
            let (crowd, opening) = (first.clone(), opening.clone());
            async move { crowd.begin(opening).await.map(Told::Beginning) }.boxed()
        });
        Self {
            node,
            crowd,
            call,
            session,
            incoming,
            reading: Some(reading),
            ready: VecDeque::new(),
            owed: VecDeque::new(),
            watermark: Some(0),
            unlooked: 0,
            done: false,
        }
    }

    /// Hears what the peer says.
    fn hear(&mut self, cx: &mut Context<'_>) {
        for _ in 0..HEARD_AT_ONCE {
            let Some((incoming, ears)) = &mut self.incoming else { return };
            match incoming.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.session.heard();
                    match ears.hear(&self.node, &self.session, frame) {
                        Heard::Fine => {}
                        Heard::Refused(frame) => self.session.offer_ephemeral(frame),
                        Heard::Invalid => self.session.close_refused(ClosingReason::InvalidFrame, None),
                    }
                }
                Poll::Ready(Some(Err(status))) => {
                    self.incoming = None;
                    match frames::broken(&status) {
                        Some(refusal) => self.session.close_refused(ClosingReason::InvalidFrame, Some(&refusal)),
                        None => self.session.end(),
                    }
                }
                // The peer has said all that it will say; it goes on listening until it falls silent for too long.
                Poll::Ready(None) => self.incoming = None,
                Poll::Pending => return,
            }
        }
        cx.waker().wake_by_ref();
    }

    /// Starts the next read that is owed before the stream is live; `false` when nothing is.
    fn read_owed(&mut self) -> bool {
        let (node, session, call) = (self.node.clone(), Arc::clone(&self.session), self.call.clone());
        let reading = match self.owed.pop_front() {
            None => return false,
            Some(Owed::Delta(cursor)) => {
                let crowd = self.crowd.clone();
                read(move || {
                    let (node, session, call) = (node.clone(), Arc::clone(&session), call.clone());
                    let crowd = crowd.clone();
                    async move { crowd.named_delta(&node, &session, &call, cursor).await.map(Told::Frames) }.boxed()
                })
            }
            Some(Owed::Summary(first)) => {
                let mut rooms = vec![first];
                while let Some(Owed::Summary(room_id)) = self.owed.front().copied().filter(|_| rooms.len() < SUMMARIES)
                {
                    self.owed.pop_front();
                    rooms.push(room_id);
                }
                return self.read_work(Work::Rooms(rooms));
            }
        };
        self.reading = Some(reading);
        true
    }

    fn read_work(&mut self, work: Work) -> bool {
        let (node, crowd, session) = (self.node.clone(), self.crowd.clone(), Arc::clone(&self.session));
        self.reading = Some(read(move || {
            let (node, crowd, session, work) = (node.clone(), crowd.clone(), Arc::clone(&session), work.clone());
            async move { crowd.dirt(&node, &session, work).await.map(Told::Frames) }.boxed()
        }));
        true
    }

    fn take(&mut self, told: Told) {
        match told {
            Told::Frames(frames) => self.ready.extend(frames),
            Told::Beginning(beginning) => {
                self.ready.extend(beginning.frames);
                self.owed.extend(beginning.rooms);
                self.watermark = Some(beginning.watermark);
            }
        }
    }

    /// The next frame, or `None` when the stream is over.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                match reading.poll_unpin(cx) {
                    Poll::Ready(Ok(told)) => {
                        self.reading = None;
                        self.take(told);
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                    Poll::Pending => return self.session.poll_beside(cx).map(|step| self.tell(step).map(Ok)),
                }
                continue;
            }
            if let Some(frame) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(frame)));
            }
            if let Some(watermark) = self.watermark {
                if self.read_owed() {
                    continue;
                }
                self.session.go_live(watermark);
                self.watermark = None;
                // The beginning may be large, and the rest is mostly nothing: its memory is given back. tonic would write
                // into the same buffer for ever; a frame that follows a chunk which has not left yet gets a new one.
                (self.ready, self.owed) = (VecDeque::new(), VecDeque::new());
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match self.session.poll_step(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Step::Read(work)) => _ = self.read_work(work),
                Poll::Ready(step) => return Poll::Ready(self.tell(step).map(Ok)),
            }
        }
    }

    fn tell(&mut self, step: Step) -> Option<Bytes> {
        match step {
            Step::Send(frame) => Some(frame),
            Step::Person(frame, membership) => {
                // Registered when its turn comes: a removal that is still on its way must not undo a rejoin.
                if let Some(membership) = membership.filter(|membership| membership.joined) {
                    open::listen_if_new(&self.node, &self.session, &membership);
                }
                Some(frame)
            }
            Step::Close(frame) => {
                self.done = true;
                Some(frame)
            }
            Step::Read(_) => None,
        }
    }
}

/// Reads until the database answers, whatever becomes of the reader; gives up after half a minute.
fn read(attempt: impl Fn() -> Pin<Box<dyn Future<Output = Result<Told>> + Send>> + Send + 'static) -> Reading {
    Box::pin(async move {
        for _ in 0..TRIES {
            match attempt().await {
                Err(Error::Database(error)) => {
                    tracing::warn!(%error, "a stream's read is tried again");
                    tokio::time::sleep(TRY_AFTER).await;
                }
                answer => return answer,
            }
        }
        Err(Error::refused(Reason::DatabaseUnavailable, "the database does not answer"))
    })
}

impl Stream for Outgoing {
    type Item = Result<EncodedFrame, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.done {
            return Poll::Ready(None);
        }
        let frame = self.poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => self.unlooked += frame.len(),
            Poll::Ready(Some(Err(_)) | None) => self.done = true,
            Poll::Pending => self.unlooked = LOOK_AFTER,
        }
        // Once a write, not for each frame. Whatever is said wakes this again.
        if self.unlooked >= LOOK_AFTER {
            self.unlooked = 0;
            self.session.takes();
            self.hear(cx);
        }
        frame.map(|frame| Some(frame?.map(EncodedFrame).map_err(Status::from)))
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.node.close(&self.session);
    }
}
