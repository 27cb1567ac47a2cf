//! What a list shows of a room and of one's own place in it, decoded alone: of a thousand rooms the rest, which is most of it,
//! would cost more than the list.
//!
//! Always true: the numbers of fields are those of the contract, which are never given to others; what is not named is passed
//! over.

use madang_proto::v1::{Room, RoomKind};
use prost::Message;
use prost_types::Timestamp;

/// Of a [`Room`].
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RoomFace {
    #[prost(enumeration = "RoomKind", tag = "2")]
    pub(crate) kind: i32,
    #[prost(string, tag = "4")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "9")]
    pub(crate) last_active_at: Option<Timestamp>,
    #[prost(int32, tag = "12")]
    pub(crate) member_count: i32,
    #[prost(string, repeated, tag = "19")]
    pub(crate) direct_user_ids: Vec<String>,
}

impl From<&Room> for RoomFace {
    fn from(room: &Room) -> Self {
        Self {
            kind: room.kind,
            name: room.name.clone(),
            last_active_at: room.last_active_at,
            member_count: room.member_count,
            direct_user_ids: room.direct_user_ids.clone(),
        }
    }
}

/// Of a [`Membership`](madang_proto::v1::Membership).
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PlaceFace {
    #[prost(int64, repeated, tag = "5")]
    pub(crate) unread_mention_seqs: Vec<i64>,
    #[prost(message, optional, tag = "6")]
    pub(crate) mute_until: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use madang_proto::v1::{Member, Membership};

    use super::*;

    #[test]
    fn a_face_is_what_the_whole_says() {
        let at = |seconds| Some(Timestamp { seconds, nanos: 5 });
        let room = Room {
            id: "r".into(),
            kind: RoomKind::Dm.into(),
            name: "plans".into(),
            topic: "what to do".into(),
            last_active_at: at(7),
            created_at: at(3),
            member_count: 12,
            seq: 99,
            direct_user_ids: vec!["ann".into(), "bob".into()],
            ..Room::default()
        };
        let face = RoomFace::decode(room.encode_to_vec().as_slice()).unwrap();
        assert_eq!((face.name.as_str(), face.member_count, face.kind()), ("plans", 12, RoomKind::Dm));
        assert_eq!(face, RoomFace::from(&room));
        let place = Membership {
            member: Some(Member { user_id: "ann".into(), ..Member::default() }),
            last_read_seq: 4,
            unread_mention_seqs: vec![5, 1 << 40],
            mute_until: at(9),
            folder: "work".into(),
            ..Membership::default()
        };
        let Membership { unread_mention_seqs, mute_until, .. } = place.clone();
        let face = PlaceFace { unread_mention_seqs, mute_until };
        assert_eq!(PlaceFace::decode(place.encode_to_vec().as_slice()).unwrap(), face);
    }
}
