//! The proof that the caller may do in a room what their method declares. Store functions that touch a room take it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use madang_proto::v1::RoomPermission;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::Call;
use crate::{
    error::{Error, Reason, Refusal, Result},
    ids::{RoomId, UserId},
    sabotage::Guards,
};

/// `rooms.kind`.
pub const DM: i16 = 1;
/// `rooms.kind`.
pub const OPEN: i16 = 3;
/// `rooms.state`.
const ACTIVE: i16 = 1;
const DELETED: i16 = 3;
/// `rooms.who_may_*`.
const ADMINS: i16 = 2;
/// `members.state`.
pub const JOINED: i16 = 1;
/// `members.state`.
pub const LEFT: i16 = 2;
/// `members.state`.
pub const BANNED: i16 = 4;
/// `members.role`.
pub const ADMIN: i16 = 2;

/// A row of `rooms`.
#[derive(Debug, Clone)]
#[expect(missing_docs, clippy::struct_excessive_bools, reason = "a row; the migration explains the columns")]
pub struct RoomRow {
    pub id: RoomId,
    pub kind: i16,
    pub state: i16,
    pub name: String,
    pub topic: String,
    pub notice_text: String,
    pub notice_by: Option<Uuid>,
    pub notice_at: Option<DateTime<Utc>>,
    pub who_may_post: i16,
    pub who_may_invite: i16,
    pub who_may_pin: i16,
    pub history_hidden: bool,
    pub retention_days: i32,
    pub member_limit: i32,
    pub consent: bool,
    pub pin_limit: i32,
    pub stores_read_times: bool,
    pub direct_a: Option<Uuid>,
    pub direct_b: Option<Uuid>,
    pub created_by: Uuid,
    pub created_at: DateTime<Utc>,
    pub payload_hash: Vec<u8>,
    pub member_count: i32,
    pub large: bool,
    pub seq: i64,
    pub count: i64,
    pub last_countable_seq: i64,
    pub last_active_at: DateTime<Utc>,
    pub first_seq: i64,
    pub first_count: i64,
    pub rev: i64,
    pub changed_xid: i64,
}

/// What the proof knows of a membership.
#[derive(Debug, Clone)]
pub struct Place {
    /// `members.state`.
    pub state: i16,
    /// `members.role`.
    pub role: i16,
    /// First item that the person may see.
    pub history_from_seq: i64,
}

/// Proof that the caller holds, in this room, the right which the method declares. It carries the room's numbers: whoever
/// has locked the room takes the next ones from it.
#[derive(Debug)]
pub struct RoomAccess {
    room: RoomRow,
    user_id: UserId,
    place: Place,
    started_at_rev: i64,
}

impl RoomAccess {
    /// The room, with the numbers as this transaction has moved them.
    pub fn room(&self) -> &RoomRow {
        &self.room
    }

    /// The room's id.
    pub fn room_id(&self) -> RoomId {
        self.room.id
    }

    /// The caller.
    pub fn user_id(&self) -> UserId {
        self.user_id
    }

    /// Whether the caller administers the room.
    pub fn is_admin(&self) -> bool {
        self.place.role == ADMIN
    }

    /// First item that the caller may see.
    pub fn history_from_seq(&self) -> i64 {
        self.place.history_from_seq.max(self.room.first_seq)
    }

    /// The room's row, to be changed under its lock.
    pub fn room_mut(&mut self) -> &mut RoomRow {
        &mut self.room
    }

    /// The next revision; every changed row takes one.
    pub fn next_rev(&mut self) -> i64 {
        self.room.rev += 1;
        self.room.rev
    }

    /// The next position of the timeline.
    pub fn next_seq(&mut self) -> i64 {
        self.room.seq += 1;
        self.room.seq
    }

    /// Whether anything took a revision.
    pub fn has_changed(&self) -> bool {
        self.room.rev != self.started_at_rev
    }
}

/// What somebody outside finds at a room's door.
#[derive(Debug)]
pub enum Entrance {
    /// They are in already.
    Inside(RoomAccess),
    /// They may come in; holds the proof for it.
    Open(RoomAccess),
}

/// Enters a room to read. The right comes from the method's row.
pub async fn room(connection: &mut PgConnection, call: &Call, room_id: RoomId, guards: Guards) -> Result<RoomAccess> {
    let mut entered = rooms(connection, &[(call, room_id)], guards).await?;
    entered.pop().unwrap_or_else(|| Err(Error::room_not_found()))
}

/// Enters rooms to read, for several calls at once: each is let in or refused by itself, in the place where it stood.
pub async fn rooms(
    connection: &mut PgConnection,
    calls: &[(&Call, RoomId)],
    guards: Guards,
) -> Result<Vec<Result<RoomAccess>>> {
    let callers = calls.iter().map(|(call, room_id)| Ok((*call, *room_id, call.user_id()?)));
    let callers = callers.collect::<Result<Vec<_>>>()?;
    let ids: Vec<Uuid> = callers.iter().map(|(_, room_id, _)| room_id.0).collect();
    let people: Vec<Uuid> = callers.iter().map(|(.., user_id)| user_id.0).collect();
    let found = sqlx::query_as!(RoomRow, "select * from rooms where id = any($1)", &ids);
    let found = found.fetch_all(&mut *connection).await?;
    let found: HashMap<RoomId, RoomRow> = found.into_iter().map(|room| (room.id, room)).collect();
    let places = sqlx::query!(
        r#"select m.room_id, m.user_id, m.state, m.role, m.history_from_seq
           from unnest($1::uuid[], $2::uuid[]) as w(room_id, user_id)
           join members m on m.room_id = w.room_id and m.user_id = w.user_id"#,
        &ids,
        &people
    );
    let places = places.fetch_all(connection).await?.into_iter().map(|row| {
        let place = Place { state: row.state, role: row.role, history_from_seq: row.history_from_seq };
        ((RoomId(row.room_id), UserId(row.user_id)), place)
    });
    let places: HashMap<(RoomId, UserId), Place> = places.collect();
    let enter = |(call, room_id, user_id)| {
        let place = places.get(&(room_id, user_id)).cloned();
        prove(call, found.get(&room_id).cloned(), place, user_id, guards)
    };
    Ok(callers.into_iter().map(enter).collect())
}

/// Enters a room to change it. The row is locked first and the membership read in the next statement, because a single
/// statement that waits for the lock would keep its old snapshot, and a member removed meanwhile could still act.
pub async fn lock_room(
    connection: &mut PgConnection,
    call: &Call,
    room_id: RoomId,
    guards: Guards,
) -> Result<RoomAccess> {
    let user_id = call.user_id()?;
    let early = if guards.lock_then_read() { None } else { Some(find_place(connection, room_id, user_id).await?) };
    let room = lock(connection, room_id).await?;
    let place = match early {
        Some(place) => place,
        None => find_place(connection, room_id, user_id).await?,
    };
    prove(call, room, place, user_id, guards)
}

/// Stands at the door of a room, which is locked. Whoever may not come in cannot tell it from one that is not there.
pub async fn entrance(connection: &mut PgConnection, call: &Call, room_id: RoomId) -> Result<Entrance> {
    let user_id = call.user_id()?;
    let room = lock(connection, room_id).await?;
    let place = find_place(connection, room_id, user_id).await?;
    let Some(room) = room else { return Err(Error::room_not_found()) };
    if room.state == DELETED {
        return Err(if place.is_some() { ended() } else { Error::room_not_found() });
    }
    let state = place.as_ref().map(|place| place.state);
    match (room.kind, state) {
        (_, Some(JOINED)) => Ok(Entrance::Inside(access(room, user_id, place))),
        (OPEN, Some(BANNED)) => {
            Err(Refusal::new(Reason::MemberBanned, "banned from this room").with("user_id", user_id).into())
        }
        (OPEN, _) | (_, Some(LEFT)) if room.state == ACTIVE => Ok(Entrance::Open(access(room, user_id, place))),
        _ => Err(Error::room_not_found()),
    }
}

/// Locks a room for the server's own work, which acts for nobody; `None` when it is not in use.
pub async fn lock_for_server(connection: &mut PgConnection, room_id: RoomId) -> Result<Option<RoomAccess>> {
    let room = lock(connection, room_id).await?.filter(|room| room.state == ACTIVE);
    Ok(room.map(|room| access(room, UserId(Uuid::nil()), None)))
}

/// Makes a room's row; its maker has every right in it. `None` when the id or the pair of people is taken.
pub async fn create_room(connection: &mut PgConnection, room: RoomRow, user_id: UserId) -> Result<Option<RoomAccess>> {
    let made = sqlx::query_scalar!(
        r#"insert into rooms (id, kind, name, topic, who_may_post, who_may_invite, who_may_pin, history_hidden, retention_days,
               member_limit, consent, pin_limit, stores_read_times, direct_a, direct_b, created_by, created_at,
               payload_hash, last_active_at, changed_xid)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $17,
               pg_current_xact_id()::text::bigint)
           on conflict do nothing returning id"#,
        room.id as _,
        room.kind,
        room.name,
        room.topic,
        room.who_may_post,
        room.who_may_invite,
        room.who_may_pin,
        room.history_hidden,
        room.retention_days,
        room.member_limit,
        room.consent,
        room.pin_limit,
        room.stores_read_times,
        room.direct_a,
        room.direct_b,
        room.created_by,
        room.created_at,
        room.payload_hash,
    )
    .fetch_optional(connection)
    .await?;
    Ok(made.map(|_| access(room, user_id, Some(Place { state: JOINED, role: ADMIN, history_from_seq: 1 }))))
}

async fn lock(connection: &mut PgConnection, room_id: RoomId) -> Result<Option<RoomRow>> {
    let row = sqlx::query_as!(RoomRow, "select * from rooms where id = $1 for no key update", room_id as _);
    Ok(row.fetch_optional(connection).await?)
}

async fn find_place(connection: &mut PgConnection, room_id: RoomId, user_id: UserId) -> Result<Option<Place>> {
    let place = sqlx::query_as!(
        Place,
        "select state, role, history_from_seq from members where room_id = $1 and user_id = $2",
        room_id as _,
        user_id as _
    );
    Ok(place.fetch_optional(connection).await?)
}

fn access(room: RoomRow, user_id: UserId, place: Option<Place>) -> RoomAccess {
    let place = place.unwrap_or(Place { state: LEFT, role: 1, history_from_seq: i64::MAX });
    RoomAccess { started_at_rev: room.rev, room, user_id, place }
}

fn prove(
    call: &Call,
    room: Option<RoomRow>,
    place: Option<Place>,
    user_id: UserId,
    guards: Guards,
) -> Result<RoomAccess> {
    let (Some(room), Some(place)) = (room, place) else { return Err(Error::room_not_found()) };
    if room.state == DELETED {
        return Err(ended());
    }
    if place.state != JOINED && guards.access_at_read() {
        return Err(Error::room_not_found());
    }
    may(call.permission(), &room, &place)?;
    Ok(access(room, user_id, Some(place)))
}

/// Whether a member's place gives a right.
pub fn may(permission: RoomPermission, room: &RoomRow, place: &Place) -> Result<()> {
    let is_admin = place.role == ADMIN;
    let held = match permission {
        RoomPermission::Read | RoomPermission::Unspecified => true,
        RoomPermission::Post => room.state == ACTIVE && (is_admin || room.who_may_post != ADMINS),
        RoomPermission::Invite | RoomPermission::Manage if room.kind == DM => {
            return Err(Refusal::new(Reason::RoomKindRefuses, "a direct room keeps its two people")
                .with("kind", "DM")
                .into());
        }
        RoomPermission::Invite => room.state == ACTIVE && (is_admin || room.who_may_invite != ADMINS),
        RoomPermission::Manage => is_admin,
        // Decided at the entrance.
        RoomPermission::Join => false,
    };
    if held {
        return Ok(());
    }
    let refusal = Refusal::new(Reason::RoomPermissionMissing, "this right is missing in the room");
    Err(refusal.with("permission", permission.as_str_name().trim_start_matches("ROOM_PERMISSION_")).into())
}

fn ended() -> Error {
    Error::refused(Reason::RoomEnded, "the room has ended")
}
