//! Rooms: made, entered, left, and who is in them.

use std::collections::BTreeSet;

use madang_proto::v1::{
    CreateRoomRequest, InviteMembersRequest, JoinRoomRequest, LeaveRoomRequest, ListMembersRequest, Member,
    MemberState, OpenDirectRoomRequest, RemoveMemberRequest, RoomKind, RoomSettings, User,
};
use rusqlite::Connection;

use crate::{
    client::Client,
    clock::new_id,
    engine::{self, Inner},
    error::ClientError,
    store::{Durability, Write, messages, people, rooms},
};

/// Members in one page; the server gives no more.
const PAGE: i32 = 500;

/// A room to be made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewRoom {
    /// Its name.
    pub name: String,
    /// Anyone may join, instead of by invitation.
    pub open: bool,
    /// People besides the person, by id.
    pub members: Vec<String>,
    /// What it is about.
    pub topic: String,
    /// Rules; else the defaults.
    pub settings: Option<RoomSettings>,
}

/// A member as a screen lists them.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomMember {
    /// The profile; only the id is set while it is not known.
    pub user: User,
    /// The place in the room.
    pub member: Member,
}

impl Client {
    /// Makes a room with its members; it opens at once, offline too, and messages may be sent into it. The answer is its id,
    /// which is also the id of the change.
    pub async fn create_room(&self, room: NewRoom) -> Result<String, ClientError> {
        let request = CreateRoomRequest {
            room_id: new_id(&*self.inner.config.clock),
            kind: if room.open { RoomKind::Open } else { RoomKind::Group }.into(),
            name: room.name,
            topic: room.topic,
            invited_user_ids: room.members,
            settings: room.settings,
        };
        let id = request.room_id.clone();
        self.change(request, id).await
    }

    /// The one room with a person, made if there is none: only the server knows, so this needs a connection. The answer is
    /// its id.
    pub async fn open_direct(&self, user_id: &str) -> Result<String, ClientError> {
        let request = OpenDirectRoomRequest { user_id: user_id.to_owned() };
        let summary = self.inner.connection.call(&request).await?.summary.unwrap_or_default();
        let room_id = summary.room_id.clone();
        self.inner.apply(move |w, view, out| engine::summary(w, view, summary, out)).await?;
        Ok(room_id)
    }

    /// Enters an open room, or one that the person has left. The answer is the id of the change.
    pub async fn join(&self, room_id: &str) -> Result<String, ClientError> {
        self.change(JoinRoomRequest { room_id: room_id.to_owned() }, self.change_id()).await
    }

    /// Leaves a room; what is held of it stays on this device, and out of the list. The answer is the id of the change.
    pub async fn leave(&self, room_id: &str) -> Result<String, ClientError> {
        self.change(LeaveRoomRequest { room_id: room_id.to_owned() }, self.change_id()).await
    }

    /// Brings people in, by id. The answer is the id of the change.
    pub async fn invite(
        &self,
        room_id: &str,
        user_ids: impl IntoIterator<Item = String>,
    ) -> Result<String, ClientError> {
        let request = InviteMembersRequest { room_id: room_id.to_owned(), user_ids: user_ids.into_iter().collect() };
        self.change(request, self.change_id()).await
    }

    /// Takes a person out. The answer is the id of the change.
    pub async fn remove(&self, room_id: &str, user_id: &str) -> Result<String, ClientError> {
        let request = RemoveMemberRequest { room_id: room_id.to_owned(), user_id: user_id.to_owned() };
        self.change(request, self.change_id()).await
    }

    /// Who is in a room: from the store where it holds them all, else from the server.
    pub async fn members(&self, room_id: &str) -> Result<Vec<RoomMember>, ClientError> {
        let id = room_id.to_owned();
        let state = self.inner.store.read(move |r| rooms::load(r.conn, &id)).await?;
        let large = state.room.as_ref().is_some_and(|room| room.large);
        if large || state.rev == 0 {
            fetch_members(&self.inner, room_id).await?;
        }
        let id = room_id.to_owned();
        let (members, missing) = self.inner.store.read(move |r| held_members(r.conn, &id)).await?;
        self.inner.want_people(missing);
        Ok(members)
    }
}

/// Who is in a room as far as is held, and people among them who are not known.
pub(crate) fn held_members(conn: &Connection, room_id: &str) -> rusqlite::Result<(Vec<RoomMember>, BTreeSet<String>)> {
    let mut missing = BTreeSet::new();
    let mut members = Vec::new();
    for member in messages::members(conn, room_id)? {
        if member.state() == MemberState::Joined {
            let user = people::find(conn, &member.user_id)?;
            if user.is_none() {
                missing.insert(member.user_id.clone());
            }
            let unknown = || User { id: member.user_id.clone(), ..User::default() };
            members.push(RoomMember { user: user.unwrap_or_else(unknown), member });
        }
    }
    Ok((members, missing))
}

/// Fetches all members into the store. Whoever is held as one, and was not at the time of the pages, has left untold.
pub(crate) async fn fetch_members(inner: &Inner, room_id: &str) -> Result<(), ClientError> {
    let (mut found, mut as_of, mut page_token) = (BTreeSet::new(), None, String::new());
    loop {
        let request = ListMembersRequest { room_id: room_id.to_owned(), page_size: PAGE, page_token };
        let answer = inner.connection.call(&request).await?;
        found.extend(answer.members.iter().map(|member| member.user_id.clone()));
        let rev = *as_of.get_or_insert(answer.snapshot_rev);
        page_token = answer.next_page_token;
        let all = page_token.is_empty().then(|| std::mem::take(&mut found));
        let id = room_id.to_owned();
        let keep = move |w: &mut Write<'_>| {
            w.changes.room(&id);
            messages::upsert_members(&w.tx, &id, &answer.members)?;
            all.map_or(Ok(()), |all| messages::drop_members(&w.tx, &id, &all, rev))
        };
        inner.store.write(Durability::Frames, keep).await?;
        if page_token.is_empty() {
            return Ok(());
        }
    }
}
