//! Rooms: what is held of each beside its rows.

use madang_proto::v1::{Membership, Message, Room, RoomCursor};
use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{
    face::{PlaceFace, RoomFace},
    islands, marks,
};
use crate::{
    clock::{millis, system_time},
    sabotage::Guards,
    sync::{Drop, Effects, Mark, RoomState},
};

const COLUMNS: &str = "room_id, rev, head_rev, seq, low_seq, reset_rev, ended, room, membership, last";

/// Decodes what this program encoded; a shape that cannot be read counts as absent and comes again.
fn decode<M: prost::Message + Default>(bytes: Option<Vec<u8>>) -> Option<M> {
    bytes.and_then(|bytes| M::decode(bytes.as_slice()).ok())
}

fn state(row: &Row<'_>) -> rusqlite::Result<RoomState> {
    Ok(RoomState {
        room_id: row.get(0)?,
        rev: row.get(1)?,
        head_rev: row.get(2)?,
        seq: row.get(3)?,
        low_seq: row.get(4)?,
        reset_rev: row.get(5)?,
        ended: row.get(6)?,
        room: decode::<Room>(row.get(7)?),
        membership: decode::<Membership>(row.get(8)?),
        last: decode::<Message>(row.get(9)?),
    })
}

/// What is held of a room.
pub(crate) fn find(conn: &Connection, room_id: &str) -> rusqlite::Result<Option<RoomState>> {
    let sql = format!("select {COLUMNS} from rooms where room_id = ?1");
    conn.prepare_cached(&sql)?.query_row([room_id], state).optional()
}

/// What is held of a room, or a beginning.
pub(crate) fn load(conn: &Connection, room_id: &str) -> rusqlite::Result<RoomState> {
    Ok(find(conn, room_id)?.unwrap_or_else(|| RoomState::new(room_id)))
}

/// All rooms, whatever their state.
pub(crate) fn all(conn: &Connection) -> rusqlite::Result<Vec<RoomState>> {
    conn.prepare_cached(&format!("select {COLUMNS} from rooms order by room_id"))?.query_map([], state)?.collect()
}

/// Rooms that the person is in and that are known, the most recently active first.
pub(crate) fn joined(conn: &Connection) -> rusqlite::Result<Vec<RoomState>> {
    let sql = format!("select {COLUMNS} from rooms where joined = 1 order by last_active_ms desc, room_id");
    conn.prepare_cached(&sql)?.query_map([], state)?.collect()
}

/// Rooms that the person is in and of which no verdict has come.
pub(crate) fn unknown(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = format!("select {COLUMNS} from rooms where joined = 1 and (room is null or head_rev = 0)");
    let states: Vec<RoomState> = conn.prepare_cached(&sql)?.query_map([], state)?.collect::<rusqlite::Result<_>>()?;
    Ok(states.into_iter().filter(RoomState::is_unheard_of).map(|state| state.room_id).collect())
}

/// Forgets a room.
pub(crate) fn delete(conn: &Connection, room_id: &str) -> rusqlite::Result<()> {
    conn.execute("delete from rooms where room_id = ?1", [room_id])?;
    Ok(())
}

/// Cursors for a Hello: these rooms first, then the most recently active ones that have rows. Before the person's first
/// number a server tells only which rooms there are, so then all are named: one that a command brought may be gone.
pub(crate) fn cursors(conn: &Connection, first: &[String], most: usize) -> rusqlite::Result<Vec<RoomCursor>> {
    // One that waits to be made is nobody's yet.
    let sql = "select room_id, rev, seq from rooms where joined = 1 and not (head_rev = 0 and room is not null)
        and (rev > 0 or not exists (select 1 from meta where key = 'user_rev' and value > 0)) order by last_active_ms desc";
    let cursor = |row: &Row<'_>| Ok(RoomCursor { room_id: row.get(0)?, rev: row.get(1)?, seq: row.get(2)? });
    let mut cursors: Vec<RoomCursor> =
        conn.prepare_cached(sql)?.query_map([], cursor)?.collect::<rusqlite::Result<_>>()?;
    cursors.sort_by_key(|cursor| !first.contains(&cursor.room_id));
    cursors.truncate(most);
    Ok(cursors)
}

/// Writes what is held of a room.
pub(crate) fn save(conn: &Connection, state: &RoomState) -> rusqlite::Result<()> {
    let sql = "insert or replace into rooms (room_id, rev, head_rev, seq, low_seq, reset_rev, ended, room, membership,
        last, joined, last_active_ms, count, first_count, mark_generation, mark_seq, mark_count)
        values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
    let room = state.room.as_ref();
    let mark = state.mark();
    conn.prepare_cached(sql)?.execute(rusqlite::params![
        state.room_id,
        state.rev,
        state.head_rev,
        state.seq,
        state.low_seq,
        state.reset_rev,
        state.ended,
        room.map(Room::encode_to_vec),
        state.membership.as_ref().map(Membership::encode_to_vec),
        state.last.as_ref().map(Message::encode_to_vec),
        state.is_joined(),
        room.map_or(0, |room| millis(system_time(room.last_active_at.as_ref()))),
        room.map_or(0, |room| room.count),
        room.map_or(0, |room| room.first_count),
        mark.generation,
        mark.seq,
        mark.count,
    ])?;
    Ok(())
}

/// Drops rows, as the rules say.
pub(crate) fn drop_rows(conn: &Connection, room_id: &str, effects: &Effects) -> rusqlite::Result<()> {
    for drop in &effects.drop {
        match drop {
            Drop::BelowSeq(seq) => {
                conn.execute("delete from messages where room_id = ?1 and seq < ?2", (room_id, seq))?;
                islands::cut_below(conn, room_id, *seq)?;
            }
            Drop::UpToRev(rev) => {
                for table in ["messages", "members", "receipts"] {
                    conn.execute(&format!("delete from {table} where room_id = ?1 and rev <= ?2"), (room_id, rev))?;
                }
                islands::forget(conn, room_id)?;
            }
            Drop::Islands => islands::forget(conn, room_id)?,
            Drop::All => {
                for table in ["messages", "members", "receipts", "marks", "drafts", "visits", "notified", "islands"] {
                    conn.execute(&format!("delete from {table} where room_id = ?1"), [room_id])?;
                }
            }
        }
    }
    Ok(())
}

/// What of a room is looked at, beside its id and when it was last active.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Depth {
    /// The numbers that say what is unread; without them nothing but the index is read.
    pub(crate) numbers: bool,
    /// The room itself.
    pub(crate) room: bool,
    /// One's own place.
    pub(crate) membership: bool,
}

/// What decides on a room's place in a list.
#[derive(Debug, Default)]
pub(crate) struct Glance {
    pub(crate) room_id: String,
    pub(crate) active_ms: i64,
    /// Unread items, with the mark that is still on its way, as all that follows.
    pub(crate) unread: i64,
    mark_seq: i64,
    pub(crate) room: Option<RoomFace>,
    pub(crate) membership: Option<PlaceFace>,
}

impl Glance {
    /// Unread mentions; none where one's own place was not read.
    pub(crate) fn mentions(&self) -> usize {
        let seqs = self.membership.iter().flat_map(|membership| &membership.unread_mention_seqs);
        seqs.filter(|seq| **seq > self.mark_seq).count()
    }
}

/// A room as a list shows it.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) glance: Glance,
    /// The newest item, cut.
    pub(crate) last: Option<Message>,
    /// What the person began to write.
    pub(crate) draft: String,
}

const NUMBERS: &str =
    "r.room_id, r.last_active_ms, r.count, r.first_count, r.mark_generation, r.mark_seq, r.mark_count,
    m.mark_generation, m.mark_seq, m.mark_count";
const LISTED: &str = "r.room_id, r.last_active_ms, r.count, r.first_count, r.mark_generation, r.mark_seq, r.mark_count,
    m.mark_generation, m.mark_seq, m.mark_count, r.room, r.membership, r.last, d.body";
/// One of which no verdict has come has no time and is not shown, and neither is one that the person is about to leave. What
/// is not read here is in the indexes: that entries wait is said in the words of theirs.
const JOINED: &str = "r.joined = 1
    and r.room_id not in (select room_id from rooms where joined = 1 and last_active_ms = 0 and room is null)
    and r.room_id not in (select room_id from outbox where kind = 5 and state < 3 and state < 2)";
/// All of them are read in the order in which they lie there, which is less work than to look each up by its time.
const JOINED_ALL: &str = "+r.joined = 1 and r.room is not null
    and r.room_id not in (select room_id from outbox where kind = 5 and state < 3 and state < 2)";

/// Rooms and what belongs to them, in one statement.
fn listing(columns: &str, condition: &str) -> String {
    format!(
        "select {columns} from rooms r left join marks m on m.room_id = r.room_id
         left join drafts d on d.room_id = r.room_id where {condition}"
    )
}

fn glance_of(row: &Row<'_>, guards: Guards, depth: Depth) -> rusqlite::Result<Glance> {
    let held = Mark { generation: row.get(4)?, seq: row.get(5)?, count: row.get(6)? };
    let mark = marks::shown(held, marks::of_row(row, 7)?, guards);
    Ok(Glance {
        room_id: row.get(0)?,
        active_ms: row.get(1)?,
        unread: mark.unread(row.get(2)?, row.get(3)?),
        mark_seq: mark.seq,
        room: if depth.room { decode_ref(row, 10)? } else { None },
        membership: if depth.membership { decode_ref(row, 11)? } else { None },
    })
}

fn listed_of(row: &Row<'_>, guards: Guards) -> rusqlite::Result<Listed> {
    let glance = glance_of(row, guards, Depth { numbers: true, room: true, membership: true })?;
    Ok(Listed { glance, last: decode_ref(row, 12)?, draft: row.get::<_, Option<String>>(13)?.unwrap_or_default() })
}

fn decode_ref<M: prost::Message + Default>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<M>> {
    Ok(row.get_ref(column)?.as_blob_or_null()?.and_then(|bytes| M::decode(bytes).ok()))
}

/// Rooms that the person is in and that are known, in no order.
pub(crate) fn glances(
    conn: &Connection,
    guards: Guards,
    depth: Depth,
    mut take: impl FnMut(Glance) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    if depth == Depth::default() {
        let sql = format!("select r.room_id, r.last_active_ms from rooms r where {JOINED}");
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            take(Glance { room_id: row.get(0)?, active_ms: row.get(1)?, ..Glance::default() })?;
        }
        return Ok(());
    }
    let mut statement = conn.prepare_cached(&listing(&glance_columns(depth), JOINED_ALL))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(glance_of(row, guards, depth)?)?;
    }
    Ok(())
}

/// What is not wanted is not read either.
fn glance_columns(depth: Depth) -> String {
    let or_null = |wanted: bool, column: &'static str| if wanted { column } else { "null" };
    format!("{NUMBERS}, {}, {}", or_null(depth.room, "r.room"), or_null(depth.membership, "r.membership"))
}

/// One of them.
pub(crate) fn glance(
    conn: &Connection,
    guards: Guards,
    room_id: &str,
    depth: Depth,
) -> rusqlite::Result<Option<Glance>> {
    let mut statement =
        conn.prepare_cached(&listing(&glance_columns(depth), &format!("{JOINED_ALL} and r.room_id = ?1")))?;
    statement.query_row([room_id], |row| glance_of(row, guards, depth)).optional()
}

/// Rooms that the person is in and that are known, those of them that are wanted, one after the other.
pub(crate) fn listed(
    conn: &Connection,
    guards: Guards,
    wanted: impl Fn(&str) -> bool,
    mut take: impl FnMut(Listed) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached(&listing(LISTED, JOINED_ALL))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if wanted(row.get_ref(0)?.as_str()?) {
            take(listed_of(row, guards)?)?;
        }
    }
    Ok(())
}

/// One of them.
pub(crate) fn listed_one(conn: &Connection, guards: Guards, room_id: &str) -> rusqlite::Result<Option<Listed>> {
    let sql = listing(LISTED, &format!("{JOINED_ALL} and r.room_id = ?1"));
    conn.prepare_cached(&sql)?.query_row([room_id], |row| listed_of(row, guards)).optional()
}

/// Rooms that the person is not in any more and that are known, the most recently active first.
pub(crate) fn former(conn: &Connection, guards: Guards) -> rusqlite::Result<Vec<Listed>> {
    let condition = "r.joined = 0 and r.ended = 0 and r.room is not null order by r.last_active_ms desc, r.room_id";
    let mut statement = conn.prepare_cached(&listing(LISTED, condition))?;
    statement.query_map([], |row| listed_of(row, guards))?.collect()
}

/// What is unread in all rooms together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Unread items.
    pub unread: i64,
    /// Unread messages that mention the person; of a room at most 100 are counted.
    pub mentions: i64,
    /// Rooms with unread items.
    pub rooms: i64,
}

/// What is unread in all rooms, with the marks that are still on their way.
pub(crate) fn totals(conn: &Connection, guards: Guards) -> rusqlite::Result<Totals> {
    let mut totals = Totals::default();
    glances(conn, guards, Depth { numbers: true, membership: true, room: false }, |room| {
        totals.unread = totals.unread.saturating_add(room.unread);
        totals.rooms += i64::from(room.unread > 0);
        totals.mentions += i64::try_from(room.mentions()).unwrap_or_default();
        Ok(())
    })?;
    Ok(totals)
}

/// Unread items of all rooms, with the marks that are still on their way.
pub(crate) fn unread_total(conn: &Connection, guards: Guards) -> rusqlite::Result<i64> {
    let mut total = 0_i64;
    glances(conn, guards, Depth { numbers: true, ..Depth::default() }, |room| {
        total = total.saturating_add(room.unread);
        Ok(())
    })?;
    Ok(total)
}

#[cfg(test)]
mod tests {
    use madang_proto::v1::{Member, MemberState};

    use super::*;
    use crate::store::{Durability, Write, meta, tests::memory};

    #[tokio::test]
    async fn before_the_first_number_a_room_without_rows_is_named_too() {
        let named = |w: &mut Write<'_>| {
            let mut member = Member::default();
            member.set_state(MemberState::Joined);
            let membership = Some(Membership { member: Some(member), ..Membership::default() });
            save(&w.tx, &RoomState { membership, ..RoomState::new("r") })?;
            let before = cursors(&w.tx, &[], 9)?.len();
            meta::set(&w.tx, meta::USER_REV, 1)?;
            Ok((before, cursors(&w.tx, &[], 9)?.len()))
        };
        assert_eq!(memory().await.write(Durability::Frames, named).await.unwrap(), (1, 0));
    }
}
