//! What each node knows: this one looks, the others are asked over the bus.

use bytes::Bytes;
use madang_proto::v1;
use prost::Message as _;
use tokio::sync::mpsc;

use super::wire;
use crate::{
    ids::{RoomId, SessionId, UserId},
    realtime::{Entry, Node, Question, Session, wire::timestamp},
};

/// What a node is asked for. Nodes of two releases ask each other during an upgrade: fields are added, never changed.
#[derive(Clone, PartialEq, prost::Message)]
#[expect(clippy::struct_field_names, reason = "called as in the contract")]
pub(super) struct Wanted {
    /// Streams of this person; empty: of nobody.
    #[prost(string, tag = "1")]
    pub(super) user_id: String,
    /// Seen from this room; empty: from none.
    #[prost(string, tag = "2")]
    pub(super) room_id: String,
    /// This stream; empty: none.
    #[prost(string, tag = "3")]
    pub(super) session_id: String,
}

/// What is known of it here.
fn report(node: &Node, wanted: &Wanted) -> v1::NodeReport {
    let (user_id, room_id) = (UserId::parse(&wanted.user_id), RoomId::parse(&wanted.room_id));
    let session_id = SessionId::parse(&wanted.session_id);
    let mut sessions = user_id.map(|id| node.hub.sessions_of(id)).unwrap_or_default();
    sessions.extend(session_id.and_then(|id| node.hub.session(id)));
    let stream = |session: &std::sync::Arc<Session>| {
        let listening = room_id.is_some_and(|room_id| node.hub.is_listening(session.id(), room_id));
        wire::stream(session, &session.report(room_id), listening)
    };
    let is_wanted = |entry: &Entry| {
        let about = entry.happened.room_id().is_none() || entry.happened.room_id() == room_id || session_id.is_some();
        about && (Some(entry.user_id) == user_id || session_id.is_some() && entry.session_id == session_id)
    };
    let record = node.hub.record();
    v1::NodeReport {
        node: node.name.to_string(),
        answered: true,
        room_tail: room_id.and_then(|room_id| node.hub.tail(room_id)).unwrap_or_default(),
        remembers_since: Some(timestamp(record.since())),
        streams: sessions.iter().map(stream).collect(),
        entries: record.find(is_wanted).iter().map(wire::entry).collect(),
    }
}

/// What all nodes know, this one first; `false` when others could not be asked.
pub(super) async fn ask(node: &Node, wanted: &Wanted) -> (Vec<v1::NodeReport>, bool) {
    let mut reports = vec![report(node, wanted)];
    let answers = node.bus.ask(wanted.encode_to_vec().into()).await;
    let asked = answers.is_some();
    for answer in answers.into_iter().flatten() {
        let read = answer.body.and_then(|body| v1::NodeReport::decode(body).ok());
        let silent = || v1::NodeReport { node: answer.node, ..v1::NodeReport::default() };
        reports.push(read.unwrap_or_else(silent));
    }
    (reports, asked)
}

/// Answers what other nodes ask, until the node ends.
pub async fn answer_questions(node: Node, mut questions: mpsc::Receiver<Question>) {
    while let Some(question) = questions.recv().await {
        if let Ok(wanted) = Wanted::decode(question.body.clone()) {
            let answer: Bytes = report(&node, &wanted).encode_to_vec().into();
            node.bus.answer(&question, answer);
        }
    }
}
