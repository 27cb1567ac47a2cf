//! Rooms: made, entered, left; people brought in and taken out.

use madang_proto::v1::{
    CreateRoomRequest, ErrorReason, InviteMembersRequest, JoinRoomRequest, LeaveRoomRequest, Member, MemberRole,
    MemberState, Membership, RemoveMemberRequest, Room, RoomEvent, RoomState as RoomUse, RoomSummary,
};

use super::{Change, Happened};
use crate::{
    clock::timestamp,
    engine::frames,
    error::ClientError,
    store::{Write, outbox::ChangeKind, rooms},
    sync::RoomState,
};

impl Change for CreateRoomRequest {
    const KIND: ChangeKind = ChangeKind::CreateRoom;

    fn room_id(&self) -> &str {
        &self.room_id
    }

    fn happened(answer: Self::Answer) -> Result<Happened, ClientError> {
        Ok(entered(answer.summary))
    }

    fn foresee(&self, w: &mut Write<'_>, now_ms: i64) -> rusqlite::Result<()> {
        let state = rooms::load(&w.tx, &self.room_id)?;
        if state.room.is_some() || state.ended {
            return Ok(());
        }
        rooms::save(&w.tx, &foreseen(self, &w.me, now_ms, state))
    }

    fn ends_room(&self, _: ErrorReason) -> bool {
        true
    }
}

/// A room that waits to be made, as its maker sees it meanwhile: without a number of the server, so that whatever comes
/// from there is newer.
fn foreseen(request: &CreateRoomRequest, me: &str, now_ms: i64, state: RoomState) -> RoomState {
    let invited = i32::try_from(request.invited_user_ids.len()).unwrap_or(i32::MAX);
    let mut room = Room {
        id: request.room_id.clone(),
        kind: request.kind,
        name: request.name.clone(),
        topic: request.topic.clone(),
        settings: request.settings,
        created_by: me.to_owned(),
        created_at: Some(timestamp(now_ms)),
        last_active_at: Some(timestamp(now_ms)),
        member_count: invited.saturating_add(1),
        ..Room::default()
    };
    room.set_state(RoomUse::Active);
    let mut member = Member { room_id: request.room_id.clone(), user_id: me.to_owned(), ..Member::default() };
    member.set_state(MemberState::Joined);
    member.set_role(MemberRole::Admin);
    RoomState {
        room: Some(room),
        membership: Some(Membership { member: Some(member), ..Membership::default() }),
        ..state
    }
}

/// Takes a room out of the list that was never made.
pub(super) fn forget(w: &mut Write<'_>, room_id: &str) -> rusqlite::Result<()> {
    let state = rooms::load(&w.tx, room_id)?;
    if state.is_foreseen() {
        rooms::delete(&w.tx, room_id)?;
    }
    Ok(())
}

impl Change for JoinRoomRequest {
    const KIND: ChangeKind = ChangeKind::Join;

    fn room_id(&self) -> &str {
        &self.room_id
    }

    fn happened(answer: Self::Answer) -> Result<Happened, ClientError> {
        Ok(entered(answer.summary))
    }
}

fn entered(summary: Option<RoomSummary>) -> Happened {
    let summary = summary.unwrap_or_default();
    Happened::new(move |w, view, out| frames::summary(w, view, summary.clone(), out))
}

impl Change for LeaveRoomRequest {
    const KIND: ChangeKind = ChangeKind::Leave;

    fn room_id(&self) -> &str {
        &self.room_id
    }

    fn happened(answer: Self::Answer) -> Result<Happened, ClientError> {
        let place = answer.membership.unwrap_or_default();
        Ok(Happened::new(move |w, view, out| frames::membership(w, view, place.clone(), out)))
    }
}

impl Change for InviteMembersRequest {
    const KIND: ChangeKind = ChangeKind::Invite;

    fn room_id(&self) -> &str {
        &self.room_id
    }

    fn happened(answer: Self::Answer) -> Result<Happened, ClientError> {
        Ok(events(answer.events))
    }
}

impl Change for RemoveMemberRequest {
    const KIND: ChangeKind = ChangeKind::Remove;

    fn room_id(&self) -> &str {
        &self.room_id
    }

    fn happened(answer: Self::Answer) -> Result<Happened, ClientError> {
        Ok(events(answer.events))
    }
}

fn events(events: Vec<RoomEvent>) -> Happened {
    Happened::new(move |w, view, out| events.iter().try_for_each(|event| frames::answer(w, view, event.clone(), out)))
}
