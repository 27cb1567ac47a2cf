//! Requests into drafts; all violations come at once.

use chrono::{DateTime, Utc};
use madang_proto::v1;
use prost::Message as _;
use prost_types::Timestamp;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Draft, store::Edit};
use crate::{
    clock::Clock,
    error::{Error, Reason, Refusal, Result},
    ids::{RoomId, UserId},
};

/// How far ahead of the server's clock the time in an id may lie.
const MOST_AHEAD_SECONDS: u64 = 24 * 3600;

/// What a send asks for.
pub fn draft(sender_id: UserId, request: v1::SendMessageRequest, clock: &dyn Clock) -> Result<Draft> {
    let room_id = RoomId::parse(&request.room_id).ok_or_else(Error::room_not_found)?;
    let client_message_id = Uuid::try_parse(&request.client_message_id)
        .map_err(|_| Refusal::field("client_message_id", "must be a version 7 UUID in lower case"))?;
    check_time(client_message_id, clock)?;
    let payload_hash = content_hash(&request);
    let body = request.body.unwrap_or_default();
    check_body(&body)?;
    Ok(Draft {
        room_id,
        sender_id,
        client_message_id,
        payload_hash,
        format: format(&body),
        extra: extra(&body, request.metadata),
        text: body.text,
        mentioned: people(&request.mentioned_user_ids),
        mention_all: request.mention_all,
        reply_to_seq: request.reply_to_seq,
        seen_seq: request.seen_seq,
        seen_generation: request.seen_generation,
    })
}

/// What an edit asks for.
pub fn edit(
    request: v1::EditMessageRequest,
    metadata: std::collections::HashMap<String, String>,
    clock: &dyn Clock,
) -> Result<Edit> {
    let body = request.body.unwrap_or_default();
    check_body(&body)?;
    Ok(Edit {
        format: format(&body),
        extra: extra(&body, metadata),
        text: body.text,
        mentioned: people(&request.mentioned_user_ids),
        mention_all: request.mention_all,
        at: clock.now(),
    })
}

/// A time of the contract; what lies beyond the calendar is its end or its beginning.
pub fn time(time: &Timestamp) -> DateTime<Utc> {
    let beyond = if time.seconds < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    let nanos = u32::try_from(time.nanos.clamp(0, 999_999_999)).unwrap_or_default();
    DateTime::from_timestamp(time.seconds, nanos).unwrap_or(beyond)
}

/// The content as it was first sent; what the person had seen is no part of it. Maps are hashed in the order of their keys,
/// because their encoding has none.
fn content_hash(request: &v1::SendMessageRequest) -> Vec<u8> {
    let mut metadata: Vec<_> = request.metadata.iter().collect();
    metadata.sort_unstable();
    let content = v1::SendMessageRequest {
        seen_seq: 0,
        seen_generation: 0,
        metadata: std::collections::HashMap::new(),
        ..request.clone()
    };
    let mut hash = Sha256::new_with_prefix(content.encode_to_vec());
    for (key, value) in metadata {
        for part in [key, value] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hash.finalize().to_vec()
}

fn check_body(body: &v1::MessageBody) -> Result<()> {
    if body.text.trim().is_empty() && body.card.is_empty() {
        return Err(Refusal::field("body.text", "must not be empty").into());
    }
    Ok(())
}

fn check_time(id: Uuid, clock: &dyn Clock) -> Result<()> {
    let seconds = id.get_timestamp().map_or(0, |time| time.to_unix().0);
    let now = u64::try_from(clock.now().timestamp()).unwrap_or_default();
    if seconds > now + MOST_AHEAD_SECONDS {
        let refusal =
            Refusal::new(Reason::IdFromFuture, "client_message_id: its time lies ahead of the server's clock");
        return Err(refusal.with("field", "client_message_id").into());
    }
    Ok(())
}

fn format(body: &v1::MessageBody) -> i16 {
    i16::try_from(body.format).unwrap_or(1).max(1)
}

/// The rarer fields; `None` for plain text, which is most.
fn extra(body: &v1::MessageBody, metadata: std::collections::HashMap<String, String>) -> Option<Vec<u8>> {
    if body.entities.is_empty() && body.card.is_empty() && metadata.is_empty() {
        return None;
    }
    let body = v1::MessageBody { entities: body.entities.clone(), card: body.card.clone(), ..Default::default() };
    Some(v1::Message { body: Some(body), metadata, ..Default::default() }.encode_to_vec())
}

fn people(ids: &[String]) -> Vec<UserId> {
    let mut people: Vec<UserId> = ids.iter().filter_map(|id| UserId::parse(id)).collect();
    people.sort_unstable();
    people.dedup();
    people
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn request() -> v1::SendMessageRequest {
        v1::SendMessageRequest {
            room_id: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
            client_message_id: "01890a5d-ac96-774b-bcce-b302099a8058".into(),
            body: Some(v1::MessageBody { text: "hello".into(), ..Default::default() }),
            ..Default::default()
        }
    }

    fn hash(request: v1::SendMessageRequest) -> Vec<u8> {
        let sender = UserId(Uuid::nil());
        draft(sender, request, &SystemClock).expect("a good draft").payload_hash
    }

    #[test]
    fn the_hash_is_of_the_content_and_not_of_what_was_seen() {
        let base = hash(request());
        assert_eq!(hash(v1::SendMessageRequest { seen_seq: 7, seen_generation: 1, ..request() }), base);
        assert_ne!(hash(v1::SendMessageRequest { mention_all: true, ..request() }), base);
        assert_ne!(hash(v1::SendMessageRequest { reply_to_seq: 1, ..request() }), base);
        let with = |pairs: [(&str, &str); 2]| v1::SendMessageRequest {
            metadata: pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            ..request()
        };
        assert_eq!(hash(with([("a", "1"), ("b", "2")])), hash(with([("b", "2"), ("a", "1")])));
        assert_ne!(hash(with([("a", "1"), ("b", "2")])), hash(with([("a", "12"), ("b", "")])));
    }

    #[test]
    fn an_empty_text_and_an_id_from_the_future_are_refused() {
        let blank = v1::SendMessageRequest {
            body: Some(v1::MessageBody { text: " \n".into(), ..Default::default() }),
            ..request()
        };
        assert!(draft(UserId(Uuid::nil()), blank, &SystemClock).is_err_and(|e| e.is(Reason::InvalidField)));
        let late =
            v1::SendMessageRequest { client_message_id: "ffffffff-ffff-774b-bcce-b302099a8058".into(), ..request() };
        assert!(draft(UserId(Uuid::nil()), late, &SystemClock).is_err_and(|e| e.is(Reason::IdFromFuture)));
    }
}
