//! A store's snapshot on its way through a pipe: the contract's messages as their bytes.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use madang_proto::v1::{self, ErrorReason};
use madang_sdk_core::{OutboxItem, RoomSnapshot, SendState, StoreSnapshot};
use prost::Message;
use serde::{Deserialize, Serialize};

/// A snapshot.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Encoded {
    user_id: String,
    epoch: String,
    numbers: [i64; 3],
    rooms: BTreeMap<String, EncodedRoom>,
    outbox: Vec<EncodedItem>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct EncodedRoom {
    flags: [bool; 2],
    room: Option<String>,
    membership: Option<String>,
    last_message: Option<String>,
    numbers: [i64; 5],
    messages: Vec<String>,
    members: Vec<String>,
    receipts: Vec<String>,
    mentions: Vec<i64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct EncodedItem {
    room_id: String,
    client_message_id: String,
    text: String,
    /// 0 waits, 1 on its way, 2 committed, 3 refused.
    state: u8,
    reason: i32,
    message: String,
    seq: Option<i64>,
}

fn bytes<M: Message>(message: &M) -> String {
    STANDARD.encode(message.encode_to_vec())
}

fn message<M: Message + Default>(text: &str) -> M {
    // What this program wrote itself can be read.
    STANDARD.decode(text).ok().and_then(|bytes| M::decode(bytes.as_slice()).ok()).unwrap_or_default()
}

fn all_bytes<K, M: Message>(all: &BTreeMap<K, M>) -> Vec<String> {
    all.values().map(bytes).collect()
}

/// Each under the key that it names itself.
fn all_messages<K: Ord, M: Message + Default>(all: &[String], key: impl Fn(&M) -> K) -> BTreeMap<K, M> {
    all.iter().map(|text| message(text)).map(|one| (key(&one), one)).collect()
}

impl From<&StoreSnapshot> for Encoded {
    fn from(store: &StoreSnapshot) -> Self {
        Self {
            user_id: store.user_id.clone(),
            epoch: store.epoch.clone(),
            numbers: [store.user_rev, store.watermark, store.unread_total],
            rooms: store.rooms.iter().map(|(id, room)| (id.clone(), room.into())).collect(),
            outbox: store.outbox.iter().map(EncodedItem::from).collect(),
        }
    }
}

impl From<Encoded> for StoreSnapshot {
    fn from(encoded: Encoded) -> Self {
        let [user_rev, watermark, unread_total] = encoded.numbers;
        Self {
            user_id: encoded.user_id,
            epoch: encoded.epoch,
            user_rev,
            watermark,
            unread_total,
            rooms: encoded.rooms.into_iter().map(|(id, room)| (id, room.into())).collect(),
            outbox: encoded.outbox.into_iter().map(OutboxItem::from).collect(),
        }
    }
}

impl From<&RoomSnapshot> for EncodedRoom {
    fn from(room: &RoomSnapshot) -> Self {
        Self {
            flags: [room.joined, room.ended],
            room: room.room.as_ref().map(bytes),
            membership: room.membership.as_ref().map(bytes),
            last_message: room.last_message.as_ref().map(bytes),
            numbers: [room.rev, room.head_rev, room.seq, room.low_seq, room.unread],
            messages: all_bytes(&room.messages),
            members: all_bytes(&room.members),
            receipts: all_bytes(&room.receipts),
            mentions: room.mentions.clone(),
        }
    }
}

impl From<EncodedRoom> for RoomSnapshot {
    fn from(encoded: EncodedRoom) -> Self {
        let [rev, head_rev, seq, low_seq, unread] = encoded.numbers;
        let [joined, ended] = encoded.flags;
        Self {
            joined,
            ended,
            room: encoded.room.as_deref().map(message),
            membership: encoded.membership.as_deref().map(message),
            last_message: encoded.last_message.as_deref().map(message),
            rev,
            head_rev,
            seq,
            low_seq,
            messages: all_messages(&encoded.messages, |message: &v1::Message| message.seq),
            members: all_messages(&encoded.members, |member: &v1::Member| member.user_id.clone()),
            receipts: all_messages(&encoded.receipts, |receipt: &v1::Receipt| receipt.user_id.clone()),
            unread,
            mentions: encoded.mentions,
        }
    }
}

impl From<&OutboxItem> for EncodedItem {
    fn from(item: &OutboxItem) -> Self {
        let (state, reason, message) = match &item.state {
            SendState::Queued => (0, 0, String::new()),
            SendState::Sending => (1, 0, String::new()),
            SendState::Sent => (2, 0, String::new()),
            SendState::Failed { reason, message } => (3, i32::from(*reason), message.clone()),
        };
        let OutboxItem { room_id, client_message_id, text, seq, .. } = item.clone();
        Self { room_id, client_message_id, text, state, reason, message, seq }
    }
}

impl From<EncodedItem> for OutboxItem {
    fn from(encoded: EncodedItem) -> Self {
        let reason = ErrorReason::try_from(encoded.reason).unwrap_or_default();
        let state = match encoded.state {
            0 => SendState::Queued,
            1 => SendState::Sending,
            2 => SendState::Sent,
            _ => SendState::Failed { reason, message: encoded.message },
        };
        let EncodedItem { room_id, client_message_id, text, seq, .. } = encoded;
        Self { room_id, client_message_id, text, state, seq }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::tests::good;

    #[test]
    fn a_snapshot_is_the_same_after_the_pipe() {
        for seed in 0..10 {
            for device in good(seed).devices {
                let line = serde_json::to_string(&Encoded::from(&device.store)).unwrap();
                assert_eq!(StoreSnapshot::from(serde_json::from_str::<Encoded>(&line).unwrap()), device.store);
            }
        }
    }
}
