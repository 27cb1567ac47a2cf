//! A store of every version that was ever released opens in the newest core. Their fixtures are dumps in `fixtures/`; one is
//! written with `cargo test -p madang-sdk-core -- --ignored writes_the_fixture` before a migration is added.

use std::{fmt::Write as _, fs, path::PathBuf, sync::Arc};

use madang_proto::v1::{
    Member, MemberState, Membership, Message, MessageBody, Receipt, Room, SendMessageRequest, User,
};
use rusqlite::{Connection, types::ValueRef};

use super::*;
use crate::{
    config::StoreLocation,
    sabotage::Guards,
    store::{
        Read, Store, drafts, marks,
        outbox::{
            self,
            EntryState::{self, Acknowledged, Failed, Queued},
        },
        people, snapshot,
    },
};

const ROOM: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn fixture(version: usize) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/store-{version}.sql"))
}

fn hex(message: &impl prost::Message) -> String {
    message.encode_to_vec().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// What lies in each fixture, in the columns of the first version.
fn rows() -> String {
    let mut sql = String::new();
    let member = |user: &str| {
        let mut member = Member { room_id: ROOM.into(), user_id: user.into(), rev: 1, ..Member::default() };
        member.set_state(MemberState::Joined);
        member
    };
    let message = |seq: i64| Message {
        room_id: ROOM.into(),
        seq,
        rev: seq + 1,
        count: seq,
        sender_id: "bob".into(),
        body: Some(MessageBody { text: format!("message {seq}"), ..MessageBody::default() }),
        ..Message::default()
    };
    let room = Room { id: ROOM.into(), name: "plans".into(), rev: 4, seq: 3, count: 3, ..Room::default() };
    let place = Membership { member: Some(member("ann")), last_read_seq: 1, read_count: 1, ..Membership::default() };
    writeln!(
        sql,
        "insert into meta (key, value) values ('device_id', 'device'), ('user_id', 'ann'), ('epoch', 'e1'), ('user_rev', 7), \
         ('watermark', 9);
insert into rooms (room_id, rev, head_rev, seq, low_seq, reset_rev, ended, joined, last_active_ms, count, first_count,
    mark_generation, mark_seq, mark_count, room, membership, last)
  values ('{ROOM}', 4, 4, 3, 1, 0, 0, 1, 0, 3, 0, 0, 1, 1, x'{}', x'{}', x'{}');",
        hex(&room),
        hex(&place),
        hex(&message(3))
    )
    .unwrap();
    for seq in 1..=3 {
        let one = hex(&message(seq));
        writeln!(sql, "insert into messages values ('{ROOM}', {seq}, {}, 'bob', '', x'{one}');", seq + 1).unwrap();
    }
    for user in ["ann", "bob"] {
        let (one, profile) = (hex(&member(user)), User { id: user.into(), login: user.into(), ..User::default() });
        writeln!(sql, "insert into members values ('{ROOM}', '{user}', 1, x'{one}');").unwrap();
        writeln!(sql, "insert into users values ('{user}', 0, x'{}');", hex(&profile)).unwrap();
    }
    let receipt = Receipt { user_id: "bob".into(), last_read_seq: 3, rev: 4, ..Receipt::default() };
    writeln!(
        sql,
        "insert into receipts (room_id, user_id, rev, sent_seq, receipt) values ('{ROOM}', 'bob', 4, 0, x'{}');",
        hex(&receipt)
    )
    .unwrap();
    for (state, text) in ["queued", "sending", "failed", "acknowledged"].into_iter().enumerate() {
        let request = SendMessageRequest {
            room_id: ROOM.into(),
            client_message_id: text.into(),
            body: Some(MessageBody { text: text.into(), ..MessageBody::default() }),
            ..SendMessageRequest::default()
        };
        let (reason, seq) = (i32::from(state == 2), 3 * i32::from(state == 3));
        writeln!(
            sql,
            "insert into outbox (room_id, client_message_id, request, epoch, state, reason, seq, created_ms)
  values ('{ROOM}', '{text}', x'{}', 'e1', {state}, {reason}, {seq}, 1);",
            hex(&request)
        )
        .unwrap();
    }
    writeln!(sql, "insert into marks values ('{ROOM}', 1, 0, 2, 0, 0, 2, 2);").unwrap();
    writeln!(sql, "insert into drafts values ('{ROOM}', 'half a sen');").unwrap();
    sql
}

/// A store as statements, readable in a review.
fn dump(conn: &Connection) -> String {
    let mut sql = String::new();
    let mut objects =
        conn.prepare("select name, type, sql from sqlite_schema where sql is not null order by rowid").unwrap();
    let objects: Vec<(String, String, String)> = objects
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap();
    for (name, kind, made) in objects.iter().filter(|(name, ..)| !name.starts_with("sqlite_")) {
        writeln!(sql, "{made};").unwrap();
        if kind != "table" {
            continue;
        }
        let mut statement = conn.prepare(&format!("select * from {name}")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let cells: Vec<String> = (0..columns).map(|n| cell(row.get_ref(n).unwrap())).collect();
            writeln!(sql, "insert into {name} values ({});", cells.join(", ")).unwrap();
        }
    }
    for name in ["user_version", "application_id"] {
        let value: i64 = conn.pragma_query_value(None, name, |row| row.get(0)).unwrap();
        writeln!(sql, "pragma {name} = {value};").unwrap();
    }
    sql
}

fn cell(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "null".into(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => format!("'{}'", String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => bytes.iter().fold(String::from("x'"), |hex, byte| format!("{hex}{byte:02x}")) + "'",
    }
}

#[test]
#[ignore = "writes a file: for whoever adds a migration"]
fn writes_the_fixture_of_each_version_that_has_none() {
    for version in 1..=MIGRATIONS.len() {
        if !fixture(version).exists() {
            let mut conn = Connection::open_in_memory().unwrap();
            migrate_to(&mut conn, version).unwrap();
            conn.execute_batch(&rows()).unwrap();
            fs::write(fixture(version), dump(&conn)).unwrap();
        }
    }
}

#[test]
fn every_version_before_the_newest_has_a_fixture() {
    for version in 1..MIGRATIONS.len() {
        assert!(fixture(version).exists(), "write it before the migration is added: see the top of this file");
    }
}

#[tokio::test]
async fn a_store_of_every_version_opens_and_everything_is_there() {
    for version in (1..=MIGRATIONS.len()).filter(|version| fixture(*version).exists()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let sql = fs::read_to_string(fixture(version)).unwrap();
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(&sql).unwrap();
        assert_eq!(super::version(&conn).unwrap(), version);
        drop(conn);
        let store = Store::open(StoreLocation::File(path), Arc::default(), Guards::default()).await.unwrap();
        assert_eq!(store.rescued(), None);
        store.read(everything_is_there).await.unwrap();
    }
}

fn everything_is_there(r: &Read<'_>) -> rusqlite::Result<()> {
    let held = snapshot(r).unwrap();
    assert_eq!((held.user_id.as_str(), held.epoch.as_str(), held.user_rev, held.watermark), ("ann", "e1", 7, 9));
    let room = &held.rooms[ROOM];
    assert_eq!((room.joined, room.rev, room.seq, room.low_seq, room.unread), (true, 4, 3, 1, 2));
    let texts: Vec<&str> = room.messages.values().map(|one| one.body.as_ref().unwrap().text.as_str()).collect();
    assert_eq!(texts, ["message 1", "message 2", "message 3"]);
    assert_eq!((room.members.len(), room.receipts["bob"].last_read_seq), (2, 3));
    assert_eq!(room.room.as_ref().unwrap().name, "plans");
    // What was on its way waits again.
    let states: Vec<EntryState> = outbox::messages(r.conn).unwrap().iter().map(|entry| entry.state).collect();
    assert_eq!(states, [Queued, Queued, Failed, Acknowledged]);
    assert_eq!(marks::find(r.conn, ROOM).unwrap().unwrap().shown.seq, 2);
    assert_eq!(drafts::find(r.conn, ROOM).unwrap(), "half a sen");
    assert_eq!(people::find(r.conn, "bob").unwrap().unwrap().login, "bob");
    assert_eq!(kind(r.conn)?, Kind::Ours);
    Ok(())
}
