//! What nodes say to each other. Nodes of two releases talk during an upgrade, so this is protobuf: fields are added, never
//! changed or removed, and an unknown one is passed over.

use bytes::Bytes;
use prost::Message;
use uuid::Uuid;

use crate::{
    ids::{DeviceId, RoomId, SessionId, UserId},
    realtime::{Changes, ClosingReason, Membership, PersonEvent, ProfileChange, RoomEvent, SessionEnd, WhichSessions},
};

/// Everything that goes to one subject at once, in its order.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Parcel {
    #[prost(message, repeated, tag = "1")]
    pub(super) rooms: Vec<Room>,
    #[prost(message, repeated, tag = "2")]
    pub(super) people: Vec<Person>,
    #[prost(message, repeated, tag = "3")]
    pub(super) profiles: Vec<Profile>,
    #[prost(message, repeated, tag = "4")]
    pub(super) ended: Vec<Ended>,
    #[prost(message, repeated, tag = "5")]
    pub(super) news: Vec<News>,
    #[prost(message, repeated, tag = "6")]
    pub(super) here: Vec<Here>,
    #[prost(message, repeated, tag = "7")]
    pub(super) twins: Vec<Twin>,
    /// The sender listens to this subject from now on: who is here?
    #[prost(bool, tag = "8")]
    pub(super) asks: bool,
    /// Something was lost on the way: compare with the database now.
    #[prost(bool, tag = "9")]
    pub(super) look: bool,
    /// Who says this; only where it matters that somebody is there.
    #[prost(string, tag = "10")]
    pub(super) node: String,
    /// The node that says this stops.
    #[prost(bool, tag = "11")]
    pub(super) leaves: bool,
    #[prost(message, repeated, tag = "12")]
    pub(super) questions: Vec<Asked>,
    #[prost(message, repeated, tag = "13")]
    pub(super) answers: Vec<Asked>,
}

/// A question to all nodes, or the answer of one.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Asked {
    /// Chosen by the node that asks.
    #[prost(uint64, tag = "1")]
    pub(super) number: u64,
    /// Who asks, or answers.
    #[prost(string, tag = "2")]
    pub(super) node: String,
    /// What only the asker and the answerers understand.
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) body: Bytes,
}

/// See [`RoomEvent`].
#[derive(Clone, PartialEq, Message)]
#[expect(clippy::struct_field_names, reason = "the names of the event's fields")]
pub(super) struct Room {
    #[prost(bytes = "bytes", tag = "1")]
    room_id: Bytes,
    #[prost(int64, tag = "2")]
    prev_rev: i64,
    #[prost(int64, tag = "3")]
    rev: i64,
    #[prost(int64, optional, tag = "4")]
    item_seq: Option<i64>,
    #[prost(bytes = "bytes", optional, tag = "5")]
    removes: Option<Bytes>,
    #[prost(bytes = "bytes", tag = "6")]
    frame: Bytes,
    #[prost(bytes = "bytes", tag = "7")]
    span: Bytes,
}

/// See [`PersonEvent`].
#[derive(Clone, PartialEq, Message)]
pub(super) struct Person {
    #[prost(bytes = "bytes", tag = "1")]
    user_id: Bytes,
    #[prost(int64, tag = "2")]
    prev_user_rev: i64,
    #[prost(int64, tag = "3")]
    user_rev: i64,
    #[prost(message, optional, tag = "4")]
    membership: Option<Place>,
    #[prost(bytes = "bytes", tag = "5")]
    frame: Bytes,
}

/// See [`Membership`].
#[derive(Clone, PartialEq, Message)]
pub(super) struct Place {
    #[prost(bytes = "bytes", tag = "1")]
    room_id: Bytes,
    #[prost(bool, tag = "2")]
    joined: bool,
    #[prost(int64, tag = "3")]
    rev: i64,
    #[prost(int64, tag = "4")]
    history_from_seq: i64,
    #[prost(int64, tag = "5")]
    room_rev: i64,
    #[prost(int64, tag = "6")]
    room_seq: i64,
}

/// See [`ProfileChange`].
#[derive(Clone, PartialEq, Message)]
#[expect(clippy::struct_field_names, reason = "the names of the change's fields")]
pub(super) struct Profile {
    #[prost(bytes = "bytes", tag = "1")]
    user_id: Bytes,
    #[prost(int64, tag = "2")]
    profile_rev: i64,
    /// Ids of 16 bytes, one after the other.
    #[prost(bytes = "bytes", tag = "3")]
    rooms: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    frame: Bytes,
}

/// See [`SessionEnd`]; neither device nor session: all.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Ended {
    #[prost(bytes = "bytes", tag = "1")]
    user_id: Bytes,
    #[prost(bytes = "bytes", optional, tag = "2")]
    device_id: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    session_id: Option<Bytes>,
    /// Number of the contract.
    #[prost(int32, tag = "4")]
    reason: i32,
}

/// News without a number, for everybody in a room but one person.
#[derive(Clone, PartialEq, Message)]
pub(super) struct News {
    #[prost(bytes = "bytes", tag = "1")]
    room_id: Bytes,
    #[prost(bytes = "bytes", optional, tag = "2")]
    except: Option<Bytes>,
    #[prost(bytes = "bytes", tag = "3")]
    frame: Bytes,
}

/// The streams of a person on a node, all of them; holds for the time of a lease.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Here {
    #[prost(string, tag = "1")]
    pub(super) node: String,
    #[prost(bytes = "bytes", tag = "2")]
    user_id: Bytes,
    /// Session and installation, 32 bytes each pair, one after the other.
    #[prost(bytes = "bytes", tag = "3")]
    sessions: Bytes,
    /// The one among them that has just been opened.
    #[prost(bytes = "bytes", optional, tag = "4")]
    opened: Option<Bytes>,
}

/// A frame that a person says by a call, for a stream on another node.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Twin {
    #[prost(bytes = "bytes", tag = "1")]
    user_id: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    session_id: Bytes,
    /// A `ClientFrame`.
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) frame: Bytes,
}

/// A person's streams on one node.
pub(in crate::realtime) type Streams = Vec<(SessionId, DeviceId)>;

fn put(id: Uuid) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

fn id(bytes: &[u8]) -> Option<Uuid> {
    Uuid::from_slice(bytes).ok()
}

impl Room {
    pub(super) fn of(event: &RoomEvent) -> Self {
        Self {
            room_id: put(event.room_id.0),
            prev_rev: event.prev_rev,
            rev: event.rev,
            item_seq: event.item_seq,
            removes: event.removes.map(|user_id| put(user_id.0)),
            frame: event.frame.clone(),
            span: event.span.clone(),
        }
    }

    fn read(self) -> Option<RoomEvent> {
        let removes = match self.removes {
            Some(user_id) => Some(UserId(id(&user_id)?)),
            None => None,
        };
        let (room_id, prev_rev, rev, item_seq) = (RoomId(id(&self.room_id)?), self.prev_rev, self.rev, self.item_seq);
        Some(RoomEvent { room_id, prev_rev, rev, item_seq, removes, frame: self.frame, span: self.span })
    }
}

impl Person {
    pub(super) fn of(event: &PersonEvent) -> Self {
        let PersonEvent { user_id, prev_user_rev, user_rev, membership, frame } = event.clone();
        Self { user_id: put(user_id.0), prev_user_rev, user_rev, membership: membership.map(Place::of), frame }
    }

    fn read(self) -> Option<PersonEvent> {
        let membership = match self.membership {
            Some(place) => Some(place.read()?),
            None => None,
        };
        let Self { prev_user_rev, user_rev, frame, .. } = self;
        Some(PersonEvent { user_id: UserId(id(&self.user_id)?), prev_user_rev, user_rev, membership, frame })
    }
}

impl Place {
    fn of(place: Membership) -> Self {
        let Membership { room_id, joined, rev, history_from_seq, room_rev, room_seq } = place;
        Self { room_id: put(room_id.0), joined, rev, history_from_seq, room_rev, room_seq }
    }

    fn read(self) -> Option<Membership> {
        let Self { room_id, joined, rev, history_from_seq, room_rev, room_seq } = self;
        Some(Membership { room_id: RoomId(id(&room_id)?), joined, rev, history_from_seq, room_rev, room_seq })
    }
}

impl Profile {
    pub(super) fn of(change: &ProfileChange) -> Self {
        let rooms = change.rooms.iter().flat_map(|room_id| *room_id.0.as_bytes()).collect::<Vec<_>>().into();
        Self { user_id: put(change.user_id.0), profile_rev: change.profile_rev, rooms, frame: change.frame.clone() }
    }

    fn read(self) -> Option<ProfileChange> {
        let rooms = self.rooms.chunks(16).filter_map(id).map(RoomId).collect();
        let user_id = UserId(id(&self.user_id)?);
        Some(ProfileChange { user_id, profile_rev: self.profile_rev, rooms, frame: self.frame })
    }
}

impl Ended {
    pub(super) fn of(end: &SessionEnd) -> Self {
        let (device_id, session_id) = match end.which {
            WhichSessions::All => (None, None),
            WhichSessions::Device(device_id) => (Some(put(device_id.0)), None),
            WhichSessions::One(session_id) => (None, Some(put(session_id.0))),
        };
        let reason = crate::realtime::wire::number(end.reason).into();
        Self { user_id: put(end.user_id.0), device_id, session_id, reason }
    }

    fn read(self) -> Option<SessionEnd> {
        let which = match (&self.device_id, &self.session_id) {
            (Some(device_id), _) => WhichSessions::Device(DeviceId(id(device_id)?)),
            (None, Some(session_id)) => WhichSessions::One(SessionId(id(session_id)?)),
            (None, None) => WhichSessions::All,
        };
        let reason = crate::realtime::wire::reason(self.reason).unwrap_or(ClosingReason::Revoked);
        Some(SessionEnd { user_id: UserId(id(&self.user_id)?), which, reason })
    }
}

impl News {
    pub(super) fn of(room_id: RoomId, frame: &Bytes, except: Option<UserId>) -> Self {
        Self { room_id: put(room_id.0), except: except.map(|user_id| put(user_id.0)), frame: frame.clone() }
    }

    pub(super) fn read(self) -> Option<(RoomId, Bytes, Option<UserId>)> {
        Some((RoomId(id(&self.room_id)?), self.frame, self.except.as_deref().and_then(id).map(UserId)))
    }
}

impl Here {
    pub(super) fn of(node: &str, user_id: UserId, streams: &Streams, opened: Option<SessionId>) -> Self {
        let pair = |(session, device): &(SessionId, DeviceId)| [*session.0.as_bytes(), *device.0.as_bytes()].concat();
        let sessions = streams.iter().flat_map(pair).collect::<Vec<_>>().into();
        Self { node: node.to_owned(), user_id: put(user_id.0), sessions, opened: opened.map(|id| put(id.0)) }
    }

    pub(super) fn read(&self) -> Option<(UserId, Streams, Option<SessionId>)> {
        let pair = |pair: &[u8]| Some((SessionId(id(pair.get(..16)?)?), DeviceId(id(pair.get(16..)?)?)));
        let opened = self.opened.as_deref().and_then(id).map(SessionId);
        Some((UserId(id(&self.user_id)?), self.sessions.chunks(32).filter_map(pair).collect(), opened))
    }
}

impl Twin {
    pub(super) fn of(user_id: UserId, session_id: SessionId, frame: Bytes) -> Self {
        Self { user_id: put(user_id.0), session_id: put(session_id.0), frame }
    }

    pub(super) fn read(&self) -> Option<(UserId, SessionId)> {
        Some((UserId(id(&self.user_id)?), SessionId(id(&self.session_id)?)))
    }
}

impl Parcel {
    /// What of it changes a hub. What cannot be read is passed over: the comparison with the database finds what it said.
    pub(super) fn take_changes(&mut self) -> Changes {
        Changes {
            rooms: std::mem::take(&mut self.rooms).into_iter().filter_map(Room::read).collect(),
            people: std::mem::take(&mut self.people).into_iter().filter_map(Person::read).collect(),
            profiles: std::mem::take(&mut self.profiles).into_iter().filter_map(Profile::read).collect(),
            ended: std::mem::take(&mut self.ended).into_iter().filter_map(Ended::read).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uuid(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    #[test]
    fn what_one_node_says_another_reads() {
        let frame = Bytes::from_static(b"frame");
        let membership = Membership {
            room_id: RoomId(uuid(1)),
            joined: true,
            rev: 2,
            history_from_seq: 3,
            room_rev: 4,
            room_seq: 5,
        };
        let changes = Changes {
            rooms: vec![RoomEvent {
                room_id: RoomId(uuid(1)),
                prev_rev: 1,
                rev: 2,
                item_seq: Some(3),
                removes: Some(UserId(uuid(4))),
                frame: frame.clone(),
                span: frame.clone(),
            }],
            people: vec![PersonEvent {
                user_id: UserId(uuid(5)),
                prev_user_rev: 6,
                user_rev: 7,
                membership: Some(membership),
                frame: frame.clone(),
            }],
            profiles: vec![ProfileChange {
                user_id: UserId(uuid(8)),
                profile_rev: 9,
                rooms: vec![RoomId(uuid(10)), RoomId(uuid(11))],
                frame: frame.clone(),
            }],
            ended: vec![
                SessionEnd { user_id: UserId(uuid(12)), which: WhichSessions::All, reason: ClosingReason::Revoked },
                SessionEnd {
                    user_id: UserId(uuid(12)),
                    which: WhichSessions::Device(DeviceId(uuid(13))),
                    reason: ClosingReason::MaxAge,
                },
            ],
        };
        let said = Parcel {
            rooms: changes.rooms.iter().map(Room::of).collect(),
            people: changes.people.iter().map(Person::of).collect(),
            profiles: changes.profiles.iter().map(Profile::of).collect(),
            ended: changes.ended.iter().map(Ended::of).collect(),
            ..Parcel::default()
        };
        let mut heard = Parcel::decode(said.encode_to_vec().as_slice()).expect("it can be read");
        assert_eq!(format!("{:?}", heard.take_changes()), format!("{changes:?}"));
        let streams = vec![(SessionId(uuid(1)), DeviceId(uuid(2))), (SessionId(uuid(3)), DeviceId(uuid(4)))];
        let (ann, opened) = (UserId(uuid(9)), Some(SessionId(uuid(3))));
        assert_eq!(Here::of("a", ann, &streams, opened).read(), Some((ann, streams, opened)));
    }

    #[test]
    fn what_cannot_be_read_is_passed_over() {
        let room = Room { room_id: Bytes::from_static(b"short"), ..Room::default() };
        let mut parcel = Parcel { rooms: vec![room], ..Parcel::default() };
        assert!(parcel.take_changes().rooms.is_empty());
    }
}
