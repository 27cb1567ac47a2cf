//! What a client says on its stream, or by the unary twins of the frames.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use madang_proto::v1::{self, client_frame::Frame};
use prost::Message as _;
use tokio::sync::mpsc;

use super::wire;
use crate::{
    error::{Reason, Refusal, Result},
    ids::{RoomId, SessionId, UserId},
    limits::{Class, Who},
    reads::{self, Receipts},
    realtime::{self, ClosingReason, Focus, Node, Opener, Session, TwinFrame},
};

/// One badge of so many is compared with the formula (sync page: 1 %).
const BADGES_CHECKED: u32 = 100;

/// Typing is shown this long (contract).
const TYPING_LASTS: TimeDelta = TimeDelta::seconds(5);

/// Checks a fresh token against who opened a stream; answers when it ends.
pub type Renew = Arc<dyn Fn(String, Opener) -> BoxFuture<'static, Result<DateTime<Utc>>> + Send + Sync>;

/// What came of a frame.
#[derive(Debug)]
pub enum Heard {
    /// Taken.
    Fine,
    /// Not taken; the peer is told why.
    Refused(Bytes),
    /// Breaks the protocol.
    Invalid,
}

/// What hearing needs besides the node.
#[derive(Clone)]
pub struct Ears {
    /// Gathers deliveries.
    pub receipts: Receipts,
    /// Checks fresh tokens.
    pub renew: Renew,
}

impl Ears {
    /// Hears one frame; Hello has been heard before.
    pub fn hear(&self, node: &Node, session: &Arc<Session>, frame: v1::ClientFrame) -> Heard {
        let answer = match frame.frame {
            None | Some(Frame::Hello(_)) => return Heard::Invalid,
            Some(Frame::Pong(_)) => Ok(()),
            Some(Frame::Ack(ack)) => counted(node, session, || {
                limited(node, session)?;
                self::ack(node, &self.receipts, session, &ack)
            })
            .map_err(|e| ("ack", e)),
            Some(Frame::Focus(focus)) => {
                changes(node, session).map(|()| set_focus(node, session, &focus)).map_err(|e| ("focus", e))
            }
            Some(Frame::Typing(typing)) => {
                counted(node, session, || type_in(node, session, &typing)).map_err(|e| ("typing", e))
            }
            Some(Frame::Reauthenticate(fresh)) => changes(node, session)
                .map(|()| self.reauthenticate(node.clone(), Arc::clone(session), fresh.token))
                .map_err(|e| ("reauthenticate", e)),
        };
        match answer {
            Ok(()) => Heard::Fine,
            Err((frame, error)) => Heard::Refused(wire::refused(frame, &error.into_refusal())),
        }
    }

    /// Checks the token beside the stream; one that is refused leaves the old one to run out, and counts when it is bad.
    fn reauthenticate(&self, node: Node, session: Arc<Session>, token: String) {
        let renewed: Pin<Box<_>> = (self.renew)(token, session.opener().clone());
        tokio::spawn(async move {
            match renewed.await {
                Ok(expires_at) => session.token().renew(node.clock.now(), expires_at),
                Err(error) if error.is(Reason::SessionRevoked) => session.close(ClosingReason::Revoked, Duration::ZERO),
                Err(error) => {
                    if error.is(Reason::TokenInvalid) {
                        let _ = node.limits.refused(Class::Refusal, Who::Person(session.user_id()), node.clock.now());
                    }
                    session.offer_ephemeral(wire::refused("reauthenticate", &error.into_refusal()));
                }
            }
        });
    }
}

/// Moves deliveries; an ack of what does not exist yet is refused.
pub fn ack(node: &Node, receipts: &Receipts, session: &Session, ack: &v1::Ack) -> Result<()> {
    if let Some(total) = ack.unread_total.filter(|_| session.is_idle() && rand::random_ratio(1, BADGES_CHECKED)) {
        tokio::spawn(check_badge(node.clone(), session.user_id(), total));
    }
    for delivered in &ack.delivered {
        let room_id = listened(node, session, &delivered.room_id, "delivered.room_id")?;
        match node.hub.newest(room_id) {
            Some(newest) if delivered.seq > newest => {
                return Err(Refusal::field("delivered.seq", format!("at most {newest}, the newest item")).into());
            }
            _ => receipts.delivered(room_id, session.user_id(), delivered.seq),
        }
    }
    Ok(())
}

/// Hears what people say by calls to other nodes, for their streams here. The node that was called has counted the calls;
/// what is wrong with a frame is told to nobody.
pub async fn hear_twins(node: Node, receipts: Receipts, mut twins: mpsc::Receiver<TwinFrame>) {
    while let Some(twin) = twins.recv().await {
        let Some(session) = own_session(&node, twin.user_id, twin.session_id) else { continue };
        let frame = v1::ClientFrame::decode(twin.frame).ok().and_then(|frame| frame.frame);
        let heard = match frame {
            Some(Frame::Ack(said)) => ack(&node, &receipts, &session, &said),
            Some(Frame::Focus(focus)) => {
                set_focus(&node, &session, &focus);
                Ok(())
            }
            Some(Frame::Typing(typing)) => type_in(&node, &session, &typing),
            _ => Ok(()),
        };
        if let Err(error) = heard {
            tracing::debug!(%error, "a frame from another node was not taken");
        }
    }
}

/// Refused, and counted when it names a room that is not there, like the calls that stand for these frames.
fn counted(node: &Node, session: &Session, hear: impl FnOnce() -> Result<()>) -> Result<()> {
    let (person, now) = (Who::Person(session.user_id()), node.clock.now());
    node.limits.check_block(Class::Refusal, person, now)?;
    hear().or_else(|error| {
        if error.is(Reason::RoomNotFound) {
            node.limits.refused(Class::Refusal, person, now)?;
        }
        Err(error)
    })
}

/// Counted as the calls that stand for these frames.
fn changes(node: &Node, session: &Session) -> Result<()> {
    node.limits.take(Class::Write, Who::Person(session.user_id()))
}

/// Compares a badge with the formula. What is on its way may differ for a moment, so it is asked of idle streams only; the
/// metric must stay near 0.
async fn check_badge(node: Node, user_id: UserId, shown: i64) {
    let totals = node.database.snapshot(move |tx| Box::pin(reads::store::totals(tx, user_id))).await;
    metrics::counter!("madang_badges_checked_total").increment(1);
    if totals.is_ok_and(|(unread, ..)| unread != shown) {
        metrics::counter!("madang_badges_wrong_total").increment(1);
    }
}

fn limited(node: &Node, session: &Session) -> Result<()> {
    node.limits.take(Class::Ack, Who::Person(session.user_id()))
}

/// Why a frame could not be read; `None` when the connection ended.
pub fn broken(status: &tonic::Status) -> Option<Refusal> {
    let ended = matches!(status.code(), tonic::Code::Cancelled | tonic::Code::Unknown | tonic::Code::Unavailable);
    let unread = || Refusal::new(Reason::MalformedRequest, status.message());
    Refusal::of(status).or_else(|| (!ended).then(unread))
}

/// A room that the session listens to; any other is "not there".
fn listened(node: &Node, session: &Session, id: &str, field: &str) -> Result<RoomId> {
    let room_id = RoomId::parse(id).filter(|id| node.hub.is_listening(session.id(), *id));
    room_id.ok_or_else(|| {
        Refusal { message: format!("{field}: room not found"), ..Refusal::new(Reason::RoomNotFound, "") }.into()
    })
}

/// What is on the screen. A room is looked at again whenever something of it is told: the focus may name one that the person
/// joins in this moment, or is taken out of in the next.
pub fn set_focus(node: &Node, session: &Session, focus: &v1::Focus) {
    let rooms = focus.room_ids.iter().filter_map(|id| RoomId::parse(id)).collect();
    let reads = focus.watched.iter().filter_map(|item| Some((RoomId::parse(&item.room_id)?, item.seq))).collect();
    let people = focus.user_ids.iter().filter_map(|id| UserId::parse(id)).collect();
    node.set_focus(session, Focus::new(rooms, reads, people));
}

/// Tells a room that the person is writing.
pub fn type_in(node: &Node, session: &Session, typing: &v1::Typing) -> Result<()> {
    let room_id = listened(node, session, &typing.room_id, "room_id")?;
    let user_id = session.user_id();
    node.limits.take(Class::Typing, Who::PersonIn(user_id, room_id))?;
    let frame = realtime::wire::typing(room_id, user_id, node.clock.now() + TYPING_LASTS);
    node.tell_room(room_id, &frame, Some(user_id));
    Ok(())
}

/// A stream of the person's that lives on this node.
pub fn own_session(node: &Node, user_id: UserId, session_id: SessionId) -> Option<Arc<Session>> {
    node.hub.session(session_id).filter(|session| session.user_id() == user_id).inspect(|session| session.heard())
}
