//! An explanation: what is asked, the facts, and what follows from them.

use madang_proto::v1::{self, explain_request};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::{findings, nodes, store, wire};
use crate::{
    error::{Error, Reason, Refusal, Result},
    ids::{RoomId, SessionId, UserId},
    realtime::Node,
    users,
};

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// An item by its place.
    Item(RoomId, i64),
    /// A message by its id in the sender's client.
    Sent(RoomId, UserId, Uuid),
    /// A room.
    Room(RoomId),
    /// A stream.
    Stream(SessionId),
}

/// Who is asked for.
#[derive(Debug, Clone)]
struct Whom {
    user_id: Option<UserId>,
    login: String,
}

fn id<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
    parse(text).ok_or_else(|| Error::Internal("an unchecked id".into()))
}

impl Subject {
    fn of(request: &v1::ExplainRequest) -> Result<Self> {
        use explain_request::Subject as Asked;
        Ok(match &request.subject {
            Some(Asked::Item(place)) => Self::Item(id(&place.room_id, RoomId::parse)?, place.seq),
            Some(Asked::Sent(sent)) => Self::Sent(
                id(&sent.room_id, RoomId::parse)?,
                id(&sent.sender_id, UserId::parse)?,
                id(&sent.client_message_id, |text| Uuid::try_parse(text).ok())?,
            ),
            Some(Asked::RoomId(room_id)) => Self::Room(id(room_id, RoomId::parse)?),
            Some(Asked::SessionId(session_id)) => Self::Stream(id(session_id, SessionId::parse)?),
            None => return Err(Refusal::field("subject", "must be present").into()),
        })
    }

    fn room_id(self) -> Option<RoomId> {
        match self {
            Self::Item(room_id, _) | Self::Sent(room_id, ..) | Self::Room(room_id) => Some(room_id),
            Self::Stream(_) => None,
        }
    }
}

impl Whom {
    fn of(request: &v1::ExplainRequest, subject: Subject) -> Result<Self> {
        let (user_id, login) = match &request.person {
            Some(explain_request::Person::UserId(text)) => (Some(id(text, UserId::parse)?), String::new()),
            Some(explain_request::Person::Login(login)) => (None, login.clone()),
            None if matches!(subject, Subject::Stream(_)) => (None, String::new()),
            None => return Err(Refusal::field("person", "must be present").into()),
        };
        Ok(Self { user_id, login })
    }

    fn is_named(&self) -> bool {
        self.user_id.is_some() || !self.login.is_empty()
    }
}

/// Explains.
pub(super) async fn explain(node: &Node, request: &v1::ExplainRequest) -> Result<v1::ExplainResponse> {
    let subject = Subject::of(request)?;
    let whom = Whom::of(request, subject)?;
    let (mut facts, asked) = match subject {
        Subject::Stream(session_id) => stream_facts(node, session_id).await?,
        _ => item_facts(node, subject, whom).await?,
    };
    facts.findings = findings::of(subject, &facts, asked);
    Ok(facts)
}

/// A stream, and whose it is as far as a node knows.
async fn stream_facts(node: &Node, session_id: SessionId) -> Result<(v1::ExplainResponse, bool)> {
    let wanted = nodes::Wanted { session_id: session_id.to_string(), ..nodes::Wanted::default() };
    let (reports, asked) = nodes::ask(node, &wanted).await;
    let open = reports.iter().flat_map(|report| &report.streams).map(|stream| &stream.user_id);
    let known = reports.iter().flat_map(|report| &report.entries).map(|entry| &entry.user_id);
    let user_id = open.chain(known).find_map(|id| UserId::parse(id));
    let mut facts = v1::ExplainResponse { nodes: reports, ..v1::ExplainResponse::default() };
    if user_id.is_some() {
        let whom = Whom { user_id, login: String::new() };
        facts.person = stored(node, Subject::Stream(session_id), whom).await?.person;
    }
    Ok((facts, asked))
}

/// What is stored first, then what the nodes know: whatever they were told by then is committed.
async fn item_facts(node: &Node, subject: Subject, whom: Whom) -> Result<(v1::ExplainResponse, bool)> {
    let mut facts = stored(node, subject, whom).await?;
    let user_id = facts.person.as_ref().map(|person| person.user_id.clone()).unwrap_or_default();
    let room_id = subject.room_id().map(|id| id.to_string()).unwrap_or_default();
    let wanted = nodes::Wanted { user_id, room_id, session_id: String::new() };
    let (reports, asked) = nodes::ask(node, &wanted).await;
    facts.nodes = reports;
    Ok((facts, asked))
}

async fn stored(node: &Node, subject: Subject, whom: Whom) -> Result<v1::ExplainResponse> {
    let now = node.clock.now();
    let read = node.database.snapshot(move |tx| {
        let whom = whom.clone();
        Box::pin(async move { read(tx, subject, &whom, now).await })
    });
    read.await
}

async fn read(
    tx: &mut PgConnection,
    subject: Subject,
    whom: &Whom,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<v1::ExplainResponse> {
    let mut facts = v1::ExplainResponse::default();
    let person = if whom.is_named() { store::find_person(tx, whom.user_id, &whom.login).await? } else { None };
    let Some(person) = person else { return Err(Error::refused(Reason::UserNotFound, "user not found")) };
    let devices = store::find_devices(tx, person.user_id).await?.into_iter();
    let mut stand = wire::person(&person, now);
    stand.devices = devices.map(|device| users::identity::device_session(device, false)).collect();
    if let Some(room_id) = subject.room_id() {
        let room = store::find_room(tx, room_id).await?.ok_or_else(Error::room_not_found)?;
        let member = store::find_member(tx, room_id, person.user_id).await?;
        stand.member = member.map(|member| wire::member(&member, &room));
        facts.room = Some(wire::room(&room));
        let item = match subject {
            Subject::Item(_, seq) => store::find_item(tx, room_id, seq).await?,
            Subject::Sent(_, sender_id, sent_id) => store::find_sent(tx, room_id, sender_id, sent_id).await?,
            Subject::Room(_) | Subject::Stream(_) => None,
        };
        facts.item = item.as_ref().map(wire::item);
    }
    facts.person = Some(stand);
    Ok(facts)
}
