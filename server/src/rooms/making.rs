//! How rooms are made: one for an id, one for a pair of people, however often it is asked for.

use sqlx::postgres::PgConnection;

use super::{Summary, people, store};
use crate::{
    access::{self, DM, RoomRow},
    error::{Error, Reason, Refusal, Result},
    ids::{self, RoomId, UserId},
    realtime::{Changes, Node},
    timeline::wire::NoticeKind,
};

/// The row of a room that is to be made.
pub fn new_row(node: &Node, id: RoomId, kind: i16, by: UserId, payload_hash: Vec<u8>) -> RoomRow {
    let now = node.clock.now();
    RoomRow {
        id,
        kind,
        state: 1,
        name: String::new(),
        topic: String::new(),
        notice_text: String::new(),
        notice_by: None,
        notice_at: None,
        who_may_post: 1,
        who_may_invite: 1,
        who_may_pin: 2,
        history_hidden: false,
        retention_days: 0,
        member_limit: 0,
        consent: false,
        pin_limit: 0,
        stores_read_times: false,
        direct_a: None,
        direct_b: None,
        created_by: by.0,
        created_at: now,
        payload_hash,
        member_count: 0,
        large: false,
        seq: 0,
        count: 0,
        last_countable_seq: 0,
        last_active_at: now,
        first_seq: 1,
        first_count: 0,
        rev: 0,
        changed_xid: 0,
    }
}

/// Makes a room for an id; the same request of the same person again gives the room as it is now.
pub async fn create(
    connection: &mut PgConnection,
    node: &Node,
    row: RoomRow,
    by: UserId,
    people: Vec<(UserId, i16)>,
) -> Result<(Summary, Changes)> {
    let (id, hash) = (row.id, row.payload_hash.clone());
    if let Some(made) = make(connection, node, row, by, people).await? {
        return Ok(made);
    }
    match store::find_made(connection, id).await? {
        Some((maker, known)) if maker == by && known == hash => {
            Ok((store::summary(connection, by, id).await?, Changes::default()))
        }
        _ => Err(Refusal::new(Reason::IdReused, "room_id names another room").with("field", "room_id").into()),
    }
}

/// The room of two people, and whether it was made just now.
pub async fn open_direct(
    connection: &mut PgConnection,
    node: &Node,
    by: UserId,
    other: UserId,
) -> Result<((Summary, bool), Changes)> {
    let pair = (by.0.min(other.0), by.0.max(other.0));
    if let Some(id) = store::find_direct(connection, pair).await? {
        return Ok(((store::summary(connection, by, id).await?, false), Changes::default()));
    }
    let id = RoomId(ids::new(&*node.clock));
    let row = RoomRow { direct_a: Some(pair.0), direct_b: Some(pair.1), ..new_row(node, id, DM, by, Vec::new()) };
    let mut people = vec![(by, 1), (other, 1)];
    people.sort_unstable();
    if let Some((summary, changes)) = make(connection, node, row, by, people).await? {
        return Ok(((summary, true), changes));
    }
    // Somebody made it in the same moment; the insert has waited for their commit.
    let id = store::find_direct(connection, pair).await?.ok_or_else(Error::room_not_found)?;
    Ok(((store::summary(connection, by, id).await?, false), Changes::default()))
}

/// Makes a room with its people and first notice; `None` when the id or the pair is taken.
async fn make(
    connection: &mut PgConnection,
    node: &Node,
    row: RoomRow,
    by: UserId,
    people: Vec<(UserId, i16)>,
) -> Result<Option<(Summary, Changes)>> {
    let (at, id) = (row.created_at, row.id);
    let Some(mut access) = access::create_room(connection, row, by).await? else { return Ok(None) };
    let mut told = people::bring_in(connection, &mut access, &people, at, &node.config).await?;
    if access.room().kind != DM {
        let others = people.iter().map(|(id, _)| *id).filter(|id| *id != by).collect();
        people::notice(connection, &mut access, NoticeKind::Created, others, at, &mut told).await?;
    }
    store::save(connection, &access).await?;
    let summary = store::summary(connection, by, id).await?;
    Ok(Some((summary, told.changes)))
}
