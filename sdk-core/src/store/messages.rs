//! Rows of rooms: messages, members, receipts. They merge by revision, whatever brings them and in whatever order.

use std::collections::BTreeSet;

use madang_proto::v1::{Member, MemberState, Message, Receipt};
use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::sabotage::{Guard, Guards};

/// What a message is named by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MessageKey {
    /// An item of the room, by position.
    Seq(i64),
    /// A message of one's own, by the client's id.
    Own(String),
}

impl From<i64> for MessageKey {
    fn from(seq: i64) -> Self {
        Self::Seq(seq)
    }
}

impl From<&str> for MessageKey {
    fn from(client_message_id: &str) -> Self {
        Self::Own(client_message_id.to_owned())
    }
}

/// Stores messages; of two states of one the greater revision stays.
pub(crate) fn upsert(conn: &Connection, messages: &[Message], guards: Guards) -> rusqlite::Result<()> {
    let newer = if guards.holds(Guard::RowsByRev) { "where excluded.rev > messages.rev" } else { "" };
    let sql = format!(
        "insert into messages (room_id, seq, rev, sender_id, client_message_id, message)
         values (?1, ?2, ?3, ?4, ?5, ?6)
         on conflict (room_id, seq) do update set rev = excluded.rev, sender_id = excluded.sender_id,
           client_message_id = excluded.client_message_id, message = excluded.message {newer}"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    for message in messages {
        let Message { room_id, seq, rev, sender_id, client_message_id, .. } = message;
        statement.execute((room_id, seq, rev, sender_id, client_message_id, message.encode_to_vec()))?;
        if message.mark_generation.is_some() {
            receipt_by_message(conn, message)?;
        }
    }
    Ok(())
}

/// A message that moved its sender's mark is a receipt too, as of the revision at which it was sent: the answer to a
/// repeated send may bring a later state of it before the event that brings the first.
fn receipt_by_message(conn: &Connection, message: &Message) -> rusqlite::Result<()> {
    let sql =
        "insert into receipts (room_id, user_id, rev, sent_seq, sent_rev, receipt) values (?1, ?2, 0, ?3, ?4, x'')
         on conflict (room_id, user_id) do update set sent_seq = excluded.sent_seq, sent_rev = excluded.sent_rev
         where excluded.sent_seq > receipts.sent_seq
           or excluded.sent_seq = receipts.sent_seq and excluded.sent_rev < receipts.sent_rev";
    let Message { room_id, sender_id, seq, rev, .. } = message;
    conn.prepare_cached(sql)?.execute((room_id, sender_id, seq, rev))?;
    Ok(())
}

/// Stores member rows by revision.
pub(crate) fn upsert_members(conn: &Connection, room_id: &str, members: &[Member]) -> rusqlite::Result<()> {
    let sql = "insert into members (room_id, user_id, rev, member) values (?1, ?2, ?3, ?4)
         on conflict (room_id, user_id) do update set rev = excluded.rev, member = excluded.member
         where excluded.rev > members.rev";
    let mut statement = conn.prepare_cached(sql)?;
    for member in members {
        statement.execute((room_id, &member.user_id, member.rev, member.encode_to_vec()))?;
    }
    Ok(())
}

/// Drops the rows of members as of a revision who are none of these people: large rooms do not tell who leaves. What says that
/// somebody has gone stays.
pub(crate) fn drop_members(conn: &Connection, room_id: &str, but: &BTreeSet<String>, rev: i64) -> rusqlite::Result<()> {
    for member in members(conn, room_id)? {
        if member.state() == MemberState::Joined && member.rev <= rev && !but.contains(&member.user_id) {
            conn.prepare_cached("delete from members where room_id = ?1 and user_id = ?2")?
                .execute((room_id, &member.user_id))?;
        }
    }
    Ok(())
}

/// Stores receipts by revision.
pub(crate) fn upsert_receipts(conn: &Connection, room_id: &str, receipts: &[Receipt]) -> rusqlite::Result<()> {
    let sql = "insert into receipts (room_id, user_id, rev, sent_seq, receipt) values (?1, ?2, ?3, 0, ?4)
         on conflict (room_id, user_id) do update set rev = excluded.rev, receipt = excluded.receipt
         where excluded.rev > receipts.rev";
    let mut statement = conn.prepare_cached(sql)?;
    for receipt in receipts {
        statement.execute((room_id, &receipt.user_id, receipt.rev, receipt.encode_to_vec()))?;
    }
    Ok(())
}

fn decoded<M: prost::Message + Default>(row: &Row<'_>, column: usize) -> rusqlite::Result<M> {
    let bytes = row.get_ref(column)?.as_blob()?;
    M::decode(bytes).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, Box::new(error))
    })
}

/// Messages of a range, oldest first.
pub(crate) fn range(conn: &Connection, room_id: &str, from: i64, to: i64) -> rusqlite::Result<Vec<Message>> {
    conn.prepare_cached("select message from messages where room_id = ?1 and seq between ?2 and ?3 order by seq")?
        .query_map((room_id, from, to), |row| decoded(row, 0))?
        .collect()
}

/// The position at which the newest `most` messages up to `to` begin.
pub(crate) fn begin_of_newest(conn: &Connection, room_id: &str, to: i64, most: i64) -> rusqlite::Result<Option<i64>> {
    let sql =
        "select min(seq) from (select seq from messages where room_id = ?1 and seq <= ?2 order by seq desc limit ?3)";
    conn.prepare_cached(sql)?.query_row((room_id, to, most), |row| row.get(0))
}

/// One message.
pub(crate) fn find(conn: &Connection, room_id: &str, seq: i64) -> rusqlite::Result<Option<Message>> {
    conn.prepare_cached("select message from messages where room_id = ?1 and seq = ?2")?
        .query_row((room_id, seq), |row| decoded(row, 0))
        .optional()
}

/// A message of one's own, by the client's id.
pub(crate) fn find_own(conn: &Connection, room_id: &str, me: &str, id: &str) -> rusqlite::Result<Option<Message>> {
    let sql = "select message from messages where room_id = ?1 and client_message_id = ?3 and sender_id = ?2";
    conn.prepare_cached(sql)?.query_row((room_id, me, id), |row| decoded(row, 0)).optional()
}

/// Member rows, those who have gone among them.
pub(crate) fn members(conn: &Connection, room_id: &str) -> rusqlite::Result<Vec<Member>> {
    conn.prepare_cached("select member from members where room_id = ?1 order by user_id")?
        .query_map([room_id], |row| decoded(row, 0))?
        .collect()
}

/// Others' marks, with what their own messages say.
pub(crate) fn receipts(conn: &Connection, room_id: &str) -> rusqlite::Result<Vec<Receipt>> {
    conn.prepare_cached(
        "select user_id, sent_seq, sent_rev, receipt from receipts where room_id = ?1 order by user_id",
    )?
    .query_map([room_id], |row| {
        let mut receipt: Receipt = decoded(row, 3)?;
        receipt.user_id = row.get(0)?;
        let sent_seq = row.get(1)?;
        if receipt.last_read_seq < sent_seq {
            (receipt.last_read_seq, receipt.rev) = (sent_seq, row.get(2)?);
        }
        Ok(receipt)
    })?
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Durability, tests::memory};

    #[tokio::test]
    async fn a_message_is_a_receipt_as_of_its_first_state_whichever_state_comes_first() {
        let sent = Message { seq: 2, rev: 4, sender_id: "ann".into(), mark_generation: Some(0), ..Message::default() };
        let deleted = Message { rev: 7, ..sent.clone() };
        let both = move |w: &mut crate::store::Write<'_>| {
            upsert(&w.tx, &[deleted, sent], w.guards)?;
            receipts(&w.tx, "")
        };
        let receipts = memory().await.write(Durability::Frames, both).await.unwrap();
        assert_eq!(receipts.iter().map(|one| (one.last_read_seq, one.rev)).collect::<Vec<_>>(), [(2, 4)]);
    }
}
