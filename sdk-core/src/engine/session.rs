//! The stream: opened, kept alive, ended and opened again. What it brings goes to the store in its order; what is missing
//! is asked for beside it.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{FutureExt as _, future::OptionFuture};
use madang_proto::v1::{
    Ack, ClientFrame, Closing, ClosingReason, DeliveredSeq, ErrorReason, Focus, Pong, Reauthenticate, ServerFrame,
    client_frame, room_event::Change, server_frame::Frame, sync_service_client::SyncServiceClient,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::{Ask, ConnectionState, Inner, View, frames, repair, welcome};
use crate::{
    clock::Sleep,
    error::{ClientError, ClientErrorKind, LocalReason},
    observe::lock,
    sabotage::{Guard, Guards},
    store::{Durability, rooms},
};

/// A stream that says nothing for so long is dead: more than two heartbeats of the server.
const SILENCE: Duration = Duration::from_secs(45);
/// An ack so soon after something arrived; a server takes two a second.
const ACK_SOON: Duration = Duration::from_secs(1);
/// Frames that wait to be said; a client says little, and what does not fit may be lost.
const OUTGOING: usize = 64;
/// Frames applied in one transaction.
const BATCH: usize = 64;
/// Rooms in a Focus and in an Ack; the server takes no more.
const FOCUS_ROOMS: usize = 16;
const ACK_ROOMS: usize = 200;

/// How a stream ended.
enum End {
    /// Open another, not before a time.
    Resume(Duration, Option<ClientError>),
    /// Open another at once, on a new connection.
    Again,
    /// The person must sign in.
    SignIn,
    /// Do not come back by yourself.
    Over(ClientError),
}

impl From<ClientError> for End {
    fn from(error: ClientError) -> Self {
        match error.kind {
            // A host that hangs or panics is asked again; one that says that nobody is signed in is not.
            _ if error.local == Some(LocalReason::TokenInvalid) => Self::Resume(Duration::ZERO, Some(error)),
            _ if error.may_repeat() => Self::Resume(error.retry_after.unwrap_or_default(), Some(error)),
            ClientErrorKind::Unauthenticated => Self::SignIn,
            ClientErrorKind::Storage | ClientErrorKind::Cancelled => Self::Resume(Duration::ZERO, Some(error)),
            _ => Self::Over(error),
        }
    }
}

/// Keeps a stream open for as long as the host wants one.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut failures = 0;
    let mut offline = inner.offline.subscribe();
    loop {
        if *offline.borrow_and_update() {
            inner.tell_state(ConnectionState::Suspended);
            // The sender lives in `inner`, so waiting cannot fail.
            let _ = offline.wait_for(|offline| !offline).await;
        }
        inner.tell_state(ConnectionState::Connecting);
        let end = stream(&inner, &mut failures).await.unwrap_or_else(|end| end);
        inner.lost();
        rest(&inner, end, &mut failures, &mut offline).await;
    }
}

/// Waits for as long as the end demands.
async fn rest(inner: &Inner, end: End, failures: &mut u32, offline: &mut watch::Receiver<bool>) {
    let state = match end {
        End::Resume(..) if *offline.borrow() => return,
        End::Again => return inner.connection.reset(),
        End::Resume(after, reason) => {
            *failures += 1;
            let retry_in = inner.config.backoff.delay(*failures).max(after);
            inner.tell_state(ConnectionState::Offline { retry_in, reason });
            tokio::select! {
                () = inner.config.clock.sleep(retry_in) => {}
                () = inner.wake.hurry.notified() => {}
                _ = offline.changed() => {}
            }
            return;
        }
        End::SignIn => ConnectionState::SignedOut,
        End::Over(reason) => ConnectionState::Ended { reason },
    };
    inner.tell_state(state);
    tokio::select! {
        () = inner.wake.hurry.notified() => {}
        _ = offline.changed() => {}
    }
}

/// Opens a stream and serves it to its end.
async fn stream(inner: &Arc<Inner>, failures: &mut u32) -> Result<End, End> {
    let focus: Vec<String> = inner.focused().into_iter().collect();
    let hello = welcome::hello(&inner.store, focus, inner.metered.load(Ordering::Relaxed)).await?;
    let (outgoing, said) = mpsc::channel(OUTGOING);
    say(&outgoing, client_frame::Frame::Hello(hello));
    let (incoming, token) = open(inner, said).await?;
    let mut session = Session {
        inner,
        token,
        outgoing,
        tasks: JoinSet::new(),
        delivered: BTreeMap::new(),
        ack: None.into(),
        acking_soon: false,
        live: false,
        late: Vec::new(),
    };
    session.serve(incoming, failures).await
}

/// Opens a stream; tells the token it was opened with.
async fn open(
    inner: &Inner,
    said: mpsc::Receiver<ClientFrame>,
) -> Result<(Streaming<ServerFrame>, String), ClientError> {
    let (request, token) = inner.connection.request(ReceiverStream::new(said), false).await?;
    let mut client = SyncServiceClient::new(inner.connection.channel());
    let answer = tokio::select! {
        answer = client.connect(request) => answer.map_err(ClientError::from),
        () = inner.config.clock.sleep(SILENCE) => {
            inner.connection.reset();
            let message = "the server does not open a stream";
            Err(ClientError::local(ClientErrorKind::Offline, LocalReason::Unreachable, message))
        }
    };
    match answer {
        Ok(response) => Ok((response.into_inner(), token)),
        Err(error) => {
            if error.reason == Some(ErrorReason::TokenExpired) {
                inner.connection.renew(&token).await?;
            }
            Err(error)
        }
    }
}

/// The connection may live, and the stream on it does not.
fn silent() -> End {
    let message = "the stream has gone silent";
    ClientError::local(ClientErrorKind::Offline, LocalReason::Unreachable, message).into()
}

fn say(outgoing: &mpsc::Sender<ClientFrame>, frame: client_frame::Frame) {
    // A full queue means that the stream does not move; its silence ends it.
    let _ = outgoing.try_send(ClientFrame { frame: Some(frame) });
}

/// An open stream.
struct Session<'a> {
    inner: &'a Arc<Inner>,
    /// The token it was opened with.
    token: String,
    outgoing: mpsc::Sender<ClientFrame>,
    /// Repairs; they end with the stream.
    tasks: JoinSet<Result<Vec<Ask>, ClientError>>,
    /// What has arrived and is not acknowledged.
    delivered: BTreeMap<String, i64>,
    /// The wait for the next ack, while there is something to say. Else the server's heartbeats are answered with one: a device
    /// at rest has no timer that wakes it in between.
    ack: OptionFuture<Sleep>,
    acking_soon: bool,
    live: bool,
    /// Frames put off while a guard is out.
    late: Vec<ServerFrame>,
}

impl Session<'_> {
    async fn serve(&mut self, mut incoming: Streaming<ServerFrame>, failures: &mut u32) -> Result<End, End> {
        let mut offline = self.inner.offline.subscribe();
        let mut silence = self.inner.config.clock.sleep(SILENCE);
        loop {
            tokio::select! {
                first = incoming.message() => {
                    let Some(first) = first.map_err(ClientError::from)? else { return Ok(End::Resume(Duration::ZERO, None)) };
                    silence = self.inner.config.clock.sleep(SILENCE);
                    let (frames, ended) = batch(first, &mut incoming);
                    if let Some(end) = self.take(frames, failures).await?.or(ended) {
                        return Ok(end);
                    }
                }
                Some(asks) = self.tasks.join_next() => {
                    let asks = asks.map_err(|_| ClientError::new(ClientErrorKind::Offline, "a repair failed"))??;
                    self.ask(asks);
                }
                () = self.inner.wake.session.notified() => self.attend().await?,
                Some(()) = &mut self.ack => self.acknowledge().await?,
                () = &mut silence => return Ok(silent()),
                _ = offline.changed() => return Ok(End::Resume(Duration::ZERO, None)),
                () = self.inner.wake.again.notified(), if self.live => return Ok(End::Again),
            }
        }
    }

    /// Takes frames in: those of the stream itself at once, the others through the store.
    async fn take(&mut self, frames: Vec<ServerFrame>, failures: &mut u32) -> Result<Option<End>, End> {
        let mut durable = Vec::new();
        let mut end = None;
        for frame in frames {
            self.inner.connection.record.frame(&frame);
            match frame.frame {
                Some(Frame::Welcome(welcome)) => {
                    let knows_me = welcome::welcome(&self.inner.store, &welcome).await?;
                    // One's own name is wanted also where nobody else's is, as when the device is soon without a network.
                    self.inner.want_people((!knows_me).then(|| welcome.user_id.clone()));
                    self.inner.connection.is_mine(&self.token);
                    self.inner.connection.set_epoch(&welcome.epoch);
                    self.inner.me.send_replace(Some(welcome.user_id));
                    *lock(&self.inner.outgoing) = Some(self.outgoing.clone());
                    self.inner.online.send_replace(true);
                    self.inner.wake.session.notify_one();
                }
                Some(Frame::Ephemeral(news)) => {
                    self.inner.typing.hear(&news, self.inner.config.clock.now());
                    self.inner.watched.hear(&news);
                }
                Some(Frame::TokenExpiring(_)) => self.reauthenticate(),
                Some(Frame::Refused(refused)) => tracing::warn!(frame = refused.frame, "refused: {}", refused.message),
                Some(Frame::Closing(closing)) => end = Some(self.closing(&closing).await?),
                Some(Frame::Heartbeat(_)) => {
                    say(&self.outgoing, client_frame::Frame::Pong(Pong {}));
                    self.acknowledge().await?;
                    durable.push(frame);
                }
                _ => {
                    self.stop_typing(&frame);
                    durable.push(frame);
                }
            }
        }
        let durable = self.put_off(durable);
        if !durable.is_empty() && self.apply(durable).await? {
            *failures = 0;
        }
        Ok(end)
    }

    /// Whoever has sent is not writing that any more.
    fn stop_typing(&self, frame: &ServerFrame) {
        if let Some(Frame::RoomEvent(event)) = &frame.frame
            && matches!(event.change, Some(Change::Message(_)))
        {
            self.inner.typing.sent(&event.room_id, &event.actor_id);
        }
    }

    /// With the guard out, the watermark is kept before the verdicts that it stands for.
    fn put_off(&mut self, frames: Vec<ServerFrame>) -> Vec<ServerFrame> {
        put_off(frames, &mut self.late, self.live, self.inner.guards)
    }

    /// Applies durable frames; tells whether the client is live by that.
    async fn apply(&mut self, durable: Vec<ServerFrame>) -> Result<bool, ClientError> {
        let view = View { focus: self.inner.focused(), live: self.live };
        let outcome = self.inner.store.write(Durability::Frames, move |w| frames::apply(w, &view, durable)).await?;
        self.inner.want_people(outcome.people);
        self.ask(outcome.asks);
        self.delivered.extend(outcome.delivered);
        if !self.delivered.is_empty() && !self.acking_soon {
            self.acking_soon = true;
            self.ack = Some(self.inner.config.clock.sleep(ACK_SOON)).into();
        }
        if outcome.drained {
            self.live = true;
            self.inner.tell_state(ConnectionState::Live);
            self.inner.caught_up.send_modify(|times| *times += 1);
            self.inner.wake.outbox.notify_one();
        }
        Ok(outcome.drained)
    }

    fn ask(&mut self, asks: Vec<Ask>) {
        for ask in asks {
            self.tasks.spawn(repair::answer(Arc::clone(self.inner), ask));
        }
    }

    /// The focus changed, or a command left questions.
    async fn attend(&mut self) -> Result<(), ClientError> {
        let focus = self.inner.focused();
        let room_ids = focus.iter().take(FOCUS_ROOMS).cloned().collect();
        let (watched, user_ids) = (self.inner.watched.messages(), self.inner.watched.user_ids());
        say(&self.outgoing, client_frame::Frame::Focus(Focus { room_ids, watched, user_ids }));
        let asks = std::mem::take(&mut *lock(&self.inner.asks));
        self.ask(asks);
        if self.live {
            let view = View { focus, live: true };
            let heal = move |w: &mut crate::store::Write<'_>| {
                let mut outcome = frames::Outcome::default();
                repair::heal(w, &view, &mut outcome)?;
                Ok(outcome)
            };
            let outcome = self.inner.store.write(Durability::Frames, heal).await?;
            self.ask(outcome.asks);
        }
        Ok(())
    }

    async fn acknowledge(&mut self) -> Result<(), ClientError> {
        let guards = self.inner.guards;
        let unread = self.inner.store.read(move |r| rooms::unread_total(r.conn, guards)).await?;
        let delivered = std::mem::take(&mut self.delivered);
        let delivered = delivered.into_iter().take(ACK_ROOMS).map(|(room_id, seq)| DeliveredSeq { room_id, seq });
        // Before Drained the total is that of an earlier time.
        let unread_total = self.live.then_some(unread);
        say(&self.outgoing, client_frame::Frame::Ack(Ack { delivered: delivered.collect(), unread_total }));
        self.acking_soon = false;
        self.ack = None.into();
        Ok(())
    }

    /// Fetches a fresh token and says it, beside the stream. Without one the server closes, and the next stream asks again.
    fn reauthenticate(&mut self) {
        let (inner, outgoing) = (Arc::clone(self.inner), self.outgoing.clone());
        self.tasks.spawn(async move {
            match inner.connection.renew_now().await {
                Ok(token) => say(&outgoing, client_frame::Frame::Reauthenticate(Reauthenticate { token })),
                Err(error) => tracing::warn!(%error, "no fresh token"),
            }
            Ok(Vec::new())
        });
    }

    async fn closing(&mut self, closing: &Closing) -> Result<End, ClientError> {
        let after = closing.retry_after.and_then(|after| Duration::try_from(after).ok()).unwrap_or_default();
        let refused = |reason| Ok(End::Over(ClientError::refused(reason, closing.message.clone())));
        match closing.reason() {
            ClosingReason::Revoked if closing.error() != ErrorReason::Unspecified => refused(closing.error()),
            ClosingReason::Revoked => refused(ErrorReason::SessionRevoked),
            // To come back would push out another, which would come back in turn.
            ClosingReason::Replaced | ClosingReason::TooManyStreams => {
                Ok(End::Over(ClientError::new(ClientErrorKind::Conflict, closing.message.clone())))
            }
            // One that comes later is asked for when the stream is opened again: the issuer needs that long.
            ClosingReason::TokenExpired if after.is_zero() => {
                self.inner.connection.renew_now().await?;
                Ok(End::Resume(after, None))
            }
            _ => Ok(End::Resume(after, None)),
        }
    }
}

/// With the guard out: what is applied now; the rest waits until the stream is live.
pub(super) fn put_off(
    frames: Vec<ServerFrame>,
    late: &mut Vec<ServerFrame>,
    live: bool,
    guards: Guards,
) -> Vec<ServerFrame> {
    if guards.holds(Guard::KeepAfterDrained) {
        return frames;
    }
    let (mut now, later) = frames.into_iter().partition::<Vec<_>, _>(|f| matches!(f.frame, Some(Frame::Drained(_))));
    if live {
        now.append(late);
        now.extend(later);
    } else {
        late.extend(later);
    }
    now
}

/// Everything that is there already, so that one transaction takes it; and the end, if it has come.
fn batch(first: ServerFrame, incoming: &mut Streaming<ServerFrame>) -> (Vec<ServerFrame>, Option<End>) {
    let mut frames = vec![first];
    while frames.len() < BATCH {
        match incoming.message().now_or_never() {
            Some(Ok(Some(frame))) => frames.push(frame),
            Some(Ok(None)) => return (frames, Some(End::Resume(Duration::ZERO, None))),
            Some(Err(status)) => return (frames, Some(ClientError::from(status).into())),
            None => break,
        }
    }
    (frames, None)
}
