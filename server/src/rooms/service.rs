//! The calls of `RoomService`.

use madang_proto::{servers::room_service_server::RoomService, v1};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgConnection;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{
    Summary, making,
    people::{self, Told},
    store, wire,
};
use crate::{
    access::{self, ADMIN, Call, DM, Entrance, JOINED, LEFT, RoomAccess, RoomRow},
    error::{Error, Reason, Refusal, Result},
    ids::{RoomId, UserId},
    limits::{Class, Who},
    page,
    realtime::{Changes, Node},
    timeline::wire::NoticeKind,
};

/// Pages of rooms and of members (contract).
const PAGE: (i64, i64) = (100, 500);

/// `members.state` of somebody who was removed.
const REMOVED: i16 = 3;

/// Rooms and their members.
#[derive(Debug, Clone)]
pub struct Rooms {
    node: Node,
}

impl Rooms {
    /// The service of a node.
    pub fn new(node: Node) -> Self {
        Self { node }
    }
}

fn room_id(text: &str) -> Result<RoomId> {
    RoomId::parse(text).ok_or_else(Error::room_not_found)
}

/// Ids of a request, each once and in the order of ids, without one.
fn distinct(ids: &[String], without: UserId) -> Vec<UserId> {
    let mut people: Vec<UserId> = ids.iter().filter_map(|id| UserId::parse(id)).filter(|id| *id != without).collect();
    people.sort_unstable();
    people.dedup();
    people
}

/// What a request asks for, or why it may not.
fn requested_row(node: &Node, by: UserId, request: &v1::CreateRoomRequest) -> Result<RoomRow> {
    let id = room_id(&request.room_id)?;
    let kind: i16 = match request.kind() {
        v1::RoomKind::Unspecified | v1::RoomKind::Group => 2,
        v1::RoomKind::Open => 3,
        v1::RoomKind::Dm | v1::RoomKind::Anonymous => {
            return Err(Refusal::field("kind", "must be GROUP or OPEN").into());
        }
    };
    let settings = request.settings.unwrap_or_default();
    if settings.retention_days < 0 || settings.member_limit < 0 || settings.pin_limit < 0 {
        return Err(Refusal::field("settings", "numbers must be at least 0").into());
    }
    let who = |asked: i32, default: i16| if asked == 0 { default } else { i16::try_from(asked).unwrap_or(default) };
    let hash = Sha256::digest(request.encode_to_vec()).to_vec();
    Ok(RoomRow {
        name: request.name.clone(),
        topic: request.topic.clone(),
        who_may_post: who(settings.who_may_post, 1),
        who_may_invite: who(settings.who_may_invite, 1),
        who_may_pin: who(settings.who_may_pin, 2),
        history_hidden: settings.history_hidden_from_newcomers,
        retention_days: settings.retention_days,
        member_limit: settings.member_limit,
        consent: settings.invitation_needs_consent,
        pin_limit: settings.pin_limit,
        stores_read_times: settings.stores_read_times,
        ..making::new_row(node, id, kind, by, hash)
    })
}

impl Rooms {
    async fn create(&self, call: Call, request: v1::CreateRoomRequest) -> Result<Summary> {
        let by = call.user_id()?;
        let row = requested_row(&self.node, by, &request)?;
        let mut people = vec![(by, ADMIN)];
        people.extend(distinct(&request.invited_user_ids, by).into_iter().map(|id| (id, 1)));
        people.sort_unstable();
        self.node.limits.take_many(Class::Invite, Who::Person(by), people.len() - 1)?;
        let node = self.node.clone();
        self.node
            .change(move |tx| {
                let (node, row, people) = (node.clone(), row.clone(), people.clone());
                Box::pin(async move { making::create(tx, &node, row, by, people).await })
            })
            .await
    }

    async fn direct(&self, call: Call, other: UserId) -> Result<(Summary, bool)> {
        let by = call.user_id()?;
        if other == by {
            return Err(Refusal::field("user_id", "must not be oneself").into());
        }
        let node = self.node.clone();
        self.node
            .change(move |tx| {
                let node = node.clone();
                Box::pin(async move { making::open_direct(tx, &node, by, other).await })
            })
            .await
    }

    async fn join(&self, call: Call, id: RoomId) -> Result<Summary> {
        let by = call.user_id()?;
        let node = self.node.clone();
        self.node
            .change(move |tx| {
                let (node, call) = (node.clone(), call.clone());
                Box::pin(async move {
                    let Entrance::Open(mut access) = access::entrance(tx, &call, id).await? else {
                        return Ok((store::summary(tx, by, id).await?, Changes::default()));
                    };
                    let at = node.clock.now();
                    let mut told = people::bring_in(tx, &mut access, &[(by, 1)], at, &node.config).await?;
                    people::notice(tx, &mut access, NoticeKind::Joined, vec![by], at, &mut told).await?;
                    store::save(tx, &access).await?;
                    Ok((store::summary(tx, by, id).await?, told.changes))
                })
            })
            .await
    }

    async fn leave(&self, call: Call, id: RoomId) -> Result<v1::Membership> {
        let node = self.node.clone();
        self.node
            .change(move |tx| {
                let (node, call) = (node.clone(), call.clone());
                Box::pin(async move {
                    let mut access = access::lock_room(tx, &call, id, node.database.guards()).await?;
                    let (by, at) = (access.user_id(), node.clock.now());
                    if access.room().kind == DM {
                        let refusal = Refusal::new(Reason::RoomKindRefuses, "a direct room keeps its two people");
                        return Err(refusal.with("kind", "DM").into());
                    }
                    let mut told = hand_over(tx, &mut access, &node).await?;
                    let (member, left) = people::take_out(tx, &mut access, by, LEFT, at, &node.config).await?;
                    told.changes.rooms.extend(left.changes.rooms);
                    told.changes.people.extend(left.changes.people);
                    people::notice(tx, &mut access, NoticeKind::Left, vec![by], at, &mut told).await?;
                    store::save(tx, &access).await?;
                    Ok((wire::membership(&member, Vec::new()), told.changes))
                })
            })
            .await
    }

    async fn invite(&self, call: Call, id: RoomId, people: Vec<UserId>) -> Result<Vec<v1::RoomEvent>> {
        let node = self.node.clone();
        self.node
            .change(move |tx| {
                let (node, call, people) = (node.clone(), call.clone(), people.clone());
                Box::pin(async move {
                    let mut access = access::lock_room(tx, &call, id, node.database.guards()).await?;
                    let known = store::find_members(tx, &access, &people).await?;
                    if let Some(banned) = known.iter().find(|m| m.state == access::BANNED) {
                        let refusal = Refusal::new(Reason::MemberBanned, "banned from this room");
                        return Err(refusal.with("user_id", banned.user_id).into());
                    }
                    let inside = |id: &UserId| known.iter().any(|m| m.user_id == *id && m.state == JOINED);
                    let new: Vec<UserId> = people.into_iter().filter(|id| !inside(id)).collect();
                    if new.is_empty() {
                        return Ok((Vec::new(), Changes::default()));
                    }
                    let at = node.clock.now();
                    let joining: Vec<_> = new.iter().map(|id| (*id, 1)).collect();
                    let mut told = people::bring_in(tx, &mut access, &joining, at, &node.config).await?;
                    people::notice(tx, &mut access, NoticeKind::Invited, new, at, &mut told).await?;
                    store::save(tx, &access).await?;
                    Ok((told.events, told.changes))
                })
            })
            .await
    }

    async fn remove(&self, call: Call, id: RoomId, person: UserId) -> Result<Vec<v1::RoomEvent>> {
        if person == call.user_id()? {
            return Err(Refusal::field("user_id", "must not be oneself: leave instead").into());
        }
        let node = self.node.clone();
        self.node
            .change(move |tx| {
                let (node, call) = (node.clone(), call.clone());
                Box::pin(async move {
                    let mut access = access::lock_room(tx, &call, id, node.database.guards()).await?;
                    let known = store::find_members(tx, &access, &[person]).await?;
                    match known.first().map(|m| m.state) {
                        Some(JOINED) => {}
                        Some(REMOVED) => return Ok((Vec::new(), Changes::default())),
                        _ => {
                            let refusal = Refusal::new(Reason::MemberNotFound, "not a member of the room");
                            return Err(refusal.with("user_id", person).into());
                        }
                    }
                    let at = node.clock.now();
                    let (_, mut told) = people::take_out(tx, &mut access, person, REMOVED, at, &node.config).await?;
                    people::notice(tx, &mut access, NoticeKind::Removed, vec![person], at, &mut told).await?;
                    store::save(tx, &access).await?;
                    Ok((told.events, told.changes))
                })
            })
            .await
    }
}

/// Before an admin leaves: somebody else administers the room, or nobody is left, or the eldest member inherits.
async fn hand_over(connection: &mut PgConnection, access: &mut RoomAccess, node: &Node) -> Result<Told> {
    let alone = access.room().member_count <= 1;
    if !access.is_admin() || alone || store::find_heir(connection, access, true).await?.is_some() {
        return Ok(Told::default());
    }
    if !node.config.eldest_inherits {
        return Err(Error::refused(Reason::LastAdmin, "the last admin cannot leave without handing over"));
    }
    match store::find_heir(connection, access, false).await? {
        Some(heir) => people::set_role(connection, access, heir, ADMIN).await,
        None => Ok(Told::default()),
    }
}

#[tonic::async_trait]
impl RoomService for Rooms {
    async fn create_room(
        &self,
        request: Request<v1::CreateRoomRequest>,
    ) -> Result<Response<v1::CreateRoomResponse>, Status> {
        let call = Call::of(&request)?;
        let summary = self.create(call, request.into_inner()).await?;
        Ok(Response::new(v1::CreateRoomResponse { summary: Some(wire::summary(&summary)) }))
    }

    async fn open_direct_room(
        &self,
        request: Request<v1::OpenDirectRoomRequest>,
    ) -> Result<Response<v1::OpenDirectRoomResponse>, Status> {
        let call = Call::of(&request)?;
        let other =
            UserId::parse(&request.get_ref().user_id).ok_or_else(|| Refusal::field("user_id", "must be a UUID"))?;
        let (summary, created) = self.direct(call, other).await?;
        Ok(Response::new(v1::OpenDirectRoomResponse { summary: Some(wire::summary(&summary)), created }))
    }

    async fn get_room(&self, request: Request<v1::GetRoomRequest>) -> Result<Response<v1::GetRoomResponse>, Status> {
        let (call, id) = (Call::of(&request)?, room_id(&request.get_ref().room_id)?);
        let guards = self.node.database.guards();
        let read = self.node.database.snapshot(move |tx| {
            let call = call.clone();
            Box::pin(async move {
                let access = access::room(tx, &call, id, guards).await?;
                store::summary(tx, access.user_id(), id).await
            })
        });
        Ok(Response::new(v1::GetRoomResponse { summary: Some(wire::summary(&read.await?)) }))
    }

    async fn list_my_rooms(
        &self,
        request: Request<v1::ListMyRoomsRequest>,
    ) -> Result<Response<v1::ListMyRoomsResponse>, Status> {
        let user_id = Call::of(&request)?.user_id()?;
        let request = request.into_inner();
        let (size, after) = (page::size(request.page_size, PAGE.0, PAGE.1), page_after(&request.page_token)?);
        let read = self.node.database.snapshot(move |tx| {
            Box::pin(async move {
                let ids = store::list_mine(tx, user_id, after, size).await?;
                let mut rooms = store::summaries(tx, user_id, &ids).await?;
                rooms.sort_by_key(|summary| ids.iter().position(|id| *id == summary.room.id));
                Ok(rooms)
            })
        });
        let rooms = read.await?;
        let last = rooms.last().filter(|_| rooms.len() == usize::try_from(size).unwrap_or(0));
        Ok(Response::new(v1::ListMyRoomsResponse {
            next_page_token: last.map(|s| page_token(s.room.last_active_at, s.room.id.0)).unwrap_or_default(),
            rooms: rooms.iter().map(wire::summary).collect(),
        }))
    }

    async fn join_room(&self, request: Request<v1::JoinRoomRequest>) -> Result<Response<v1::JoinRoomResponse>, Status> {
        let (call, id) = (Call::of(&request)?, room_id(&request.get_ref().room_id)?);
        Ok(Response::new(v1::JoinRoomResponse { summary: Some(wire::summary(&self.join(call, id).await?)) }))
    }

    async fn leave_room(
        &self,
        request: Request<v1::LeaveRoomRequest>,
    ) -> Result<Response<v1::LeaveRoomResponse>, Status> {
        let (call, id) = (Call::of(&request)?, room_id(&request.get_ref().room_id)?);
        Ok(Response::new(v1::LeaveRoomResponse { membership: Some(self.leave(call, id).await?) }))
    }

    async fn invite_members(
        &self,
        request: Request<v1::InviteMembersRequest>,
    ) -> Result<Response<v1::InviteMembersResponse>, Status> {
        let (call, id) = (Call::of(&request)?, room_id(&request.get_ref().room_id)?);
        let by = call.user_id()?;
        if request.get_ref().user_ids.contains(&by.to_string()) {
            return Err(Refusal::field("user_ids", "must not hold oneself").into());
        }
        let people = distinct(&request.get_ref().user_ids, by);
        self.node.limits.take_many(Class::Invite, Who::Person(by), people.len())?;
        Ok(Response::new(v1::InviteMembersResponse { events: self.invite(call, id, people).await? }))
    }

    async fn remove_member(
        &self,
        request: Request<v1::RemoveMemberRequest>,
    ) -> Result<Response<v1::RemoveMemberResponse>, Status> {
        let (call, id) = (Call::of(&request)?, room_id(&request.get_ref().room_id)?);
        let person =
            UserId::parse(&request.get_ref().user_id).ok_or_else(|| Refusal::field("user_id", "must be a UUID"))?;
        Ok(Response::new(v1::RemoveMemberResponse { events: self.remove(call, id, person).await? }))
    }

    async fn list_members(
        &self,
        request: Request<v1::ListMembersRequest>,
    ) -> Result<Response<v1::ListMembersResponse>, Status> {
        let (call, id) = (Call::of(&request)?, room_id(&request.get_ref().room_id)?);
        let size = page::size(request.get_ref().page_size, PAGE.0, PAGE.1);
        let after = page_after(&request.get_ref().page_token)?;
        let guards = self.node.database.guards();
        let read = self.node.database.snapshot(move |tx| {
            let call = call.clone();
            Box::pin(async move {
                let access = access::room(tx, &call, id, guards).await?;
                Ok((store::list_members(tx, &access, after, size).await?, access.room().rev))
            })
        });
        let (members, snapshot_rev) = read.await?;
        let last = members.last().filter(|_| members.len() == usize::try_from(size).unwrap_or(0));
        Ok(Response::new(v1::ListMembersResponse {
            next_page_token: last.map(|m| page_token(m.joined_at, m.user_id.0)).unwrap_or_default(),
            members: members.iter().map(wire::member).collect(),
            snapshot_rev,
        }))
    }
}

/// The year 9999, in microseconds since 1970.
const FAR_FUTURE: i64 = 253_402_300_799_000_000;

type TimeAndId = (chrono::DateTime<chrono::Utc>, Uuid);

fn page_token(at: chrono::DateTime<chrono::Utc>, id: Uuid) -> String {
    page::token(&[&at.timestamp_micros().to_string(), &id.to_string()])
}

fn page_after(token: &str) -> Result<Option<TimeAndId>> {
    let Some(key) = page::after(token, 2)? else { return Ok(None) };
    // Only times of this era: chrono knows earlier and later ones than PostgreSQL.
    let micros = key[0].parse().ok().filter(|micros| (0..FAR_FUTURE).contains(micros));
    let at = micros.and_then(chrono::DateTime::from_timestamp_micros);
    let id = Uuid::try_parse(&key[1]).ok();
    at.zip(id).map(Some).ok_or_else(page::invalid)
}
