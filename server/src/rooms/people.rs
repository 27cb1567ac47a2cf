//! How people come into a room and go: the one place that changes memberships, whoever asks for it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;

use super::{Member, store, wire};
use crate::{
    access::RoomAccess,
    config::Config,
    error::{Error, Reason, Refusal, Result},
    ids::UserId,
    realtime::{self, Changes},
    timeline::{self, Notice, wire::NoticeKind},
};

/// What a transaction in a room does, told to the caller and to the streams.
#[derive(Debug, Default)]
pub struct Told {
    /// Events in the order of revisions; the answer carries them.
    pub events: Vec<wire::Event>,
    /// The same for the streams, and what the people are told.
    pub changes: Changes,
}

impl Told {
    fn room(&mut self, access: &RoomAccess, event: wire::Event) {
        self.changes.rooms.push(realtime::wire::room_event(access.room_id(), event.clone()));
        self.events.push(event);
        // Whoever comes in begins to listen behind all that this transaction changes: a tail before its last revision would
        // make the next event wait for one that never comes.
        for event in &mut self.changes.people {
            if let Some(place) = event.membership.as_mut().filter(|place| place.room_id == access.room_id()) {
                (place.room_rev, place.room_seq) = (access.room().rev, access.room().seq);
            }
        }
    }
}

/// Lets people in who are not, with their roles. Refused when somebody does not exist, is banned, is in too many rooms, or
/// the room is full; then nobody comes in.
pub async fn bring_in(
    connection: &mut PgConnection,
    access: &mut RoomAccess,
    people: &[(UserId, i16)],
    at: DateTime<Utc>,
    config: &Config,
) -> Result<Told> {
    let ids: Vec<UserId> = people.iter().map(|(id, _)| *id).collect();
    check_people(connection, access, &ids, config).await?;
    let numbers: HashMap<UserId, i64> = store::next_user_revs(connection, &ids).await?.into_iter().collect();
    let joining: Vec<_> = people
        .iter()
        .filter_map(|(user_id, role)| {
            Some(store::Joining { user_id: *user_id, user_rev: *numbers.get(user_id)?, role: *role })
        })
        .collect();
    let before = access.room().member_count;
    let members = store::upsert_joined(connection, access, &joining, at).await?;
    let mut told = Told::default();
    for (member, count) in members.iter().zip(before + 1..) {
        tell_member(access, member, count, &mut told);
    }
    settle_size(access, config, &mut told);
    let numbers = (access.room().rev, access.room().seq);
    told.changes.people =
        members.iter().map(|member| wire::tell_person(member.user_id, member, Vec::new(), numbers)).collect();
    Ok(told)
}

async fn check_people(
    connection: &mut PgConnection,
    access: &RoomAccess,
    ids: &[UserId],
    config: &Config,
) -> Result<()> {
    let found = store::find_people(connection, ids).await?;
    if let Some(missing) = ids.iter().find(|id| !found.contains(id)) {
        return Err(Refusal::new(Reason::UserNotFound, "no such person").with("user_id", missing).into());
    }
    if let Some(full) = store::find_overbooked(connection, ids, config.rooms_per_person).await? {
        let refusal = Refusal::new(Reason::TooManyRooms, "in as many rooms as allowed");
        return Err(refusal.with("limit", config.rooms_per_person).with("user_id", full).into());
    }
    let limit = match access.room() {
        room if room.member_limit > 0 => i64::from(room.member_limit),
        room if room.kind == crate::access::OPEN => config.open_members,
        _ => config.group_members,
    };
    let after = i64::from(access.room().member_count) + i64::try_from(ids.len()).unwrap_or(i64::MAX);
    if after > limit {
        return Err(Refusal::new(Reason::RoomFull, "the room is full").with("limit", limit).into());
    }
    Ok(())
}

/// Ends somebody's stay.
pub async fn take_out(
    connection: &mut PgConnection,
    access: &mut RoomAccess,
    user_id: UserId,
    state: i16,
    at: DateTime<Utc>,
    config: &Config,
) -> Result<(Member, Told)> {
    let number = next_number(connection, user_id).await?;
    let member = store::end_stay(connection, access, (user_id, number), state, at).await?;
    let mut told = Told::default();
    let count = access.room().member_count;
    tell_member(access, &member, count, &mut told);
    settle_size(access, config, &mut told);
    told.changes.people.push(wire::tell_person(user_id, &member, Vec::new(), (access.room().rev, access.room().seq)));
    Ok((member, told))
}

/// Gives somebody another role.
pub async fn set_role(
    connection: &mut PgConnection,
    access: &mut RoomAccess,
    user_id: UserId,
    role: i16,
) -> Result<Told> {
    let number = next_number(connection, user_id).await?;
    let member = store::update_role(connection, access, (user_id, number), role).await?;
    let mut told = Told::default();
    let count = access.room().member_count;
    tell_member(access, &member, count, &mut told);
    let place = (access.room_id(), user_id);
    let mentions = store::unread_mentions(connection, &[place]).await?.remove(&place).unwrap_or_default();
    told.changes.people.push(wire::tell_person(user_id, &member, mentions, (access.room().rev, access.room().seq)));
    Ok(told)
}

async fn next_number(connection: &mut PgConnection, user_id: UserId) -> Result<i64> {
    let numbers = store::next_user_revs(connection, &[user_id]).await?;
    numbers.first().map(|(_, rev)| *rev).ok_or_else(|| Error::Internal("a member without a number".into()))
}

/// Tells a member's change. In a large room too: nobody holds its members, but everybody its number of them.
fn tell_member(access: &RoomAccess, member: &Member, count: i32, told: &mut Told) {
    told.room(access, wire::member_event(access, member, count));
}

/// A room becomes large above 200 members and small again below 150; either way its clients list members anew.
fn settle_size(access: &mut RoomAccess, config: &Config, told: &mut Told) {
    let room = access.room();
    let members = i64::from(room.member_count);
    let large = members > config.large_room_members || room.large && members >= config.small_again_members;
    if large != room.large {
        access.room_mut().large = large;
        access.next_rev();
        let event = wire::room_changed(access);
        told.room(access, event);
    }
}

/// Adds a notice of what happened; large rooms have none.
pub async fn notice(
    connection: &mut PgConnection,
    access: &mut RoomAccess,
    kind: NoticeKind,
    people: Vec<UserId>,
    at: DateTime<Utc>,
    told: &mut Told,
) -> Result<()> {
    if access.room().large && kind != NoticeKind::Created {
        return Ok(());
    }
    let item = timeline::insert_notice(connection, access, Notice { kind, people, at }).await?;
    let event = timeline::wire::item_event(access.room_id(), access.user_id(), &item);
    told.room(access, event);
    Ok(())
}
