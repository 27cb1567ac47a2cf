//! Looking: the database by SQL, what the server says by calls, and every device's store, as one history.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use madang_proto::v1::{self, SystemKind};
use madang_tests::{fresh, person::Calls};
use prost::Message as _;
use sqlx::{Connection as _, PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{
    device::Device,
    history::{DeviceFacts, History, Journal, MemberFacts, MessageFacts, Move, RoomFacts},
    world::Someone,
};

/// The number of a joined member, of a notice and of a deleted room, as the tables have them.
const JOINED: i16 = 1;
const SYSTEM: i16 = 3;
const DELETED: i16 = 3;

/// A look at the database by a connection that stays for as long as it is good.
pub struct Eye {
    database_url: String,
    /// Whose rooms it sees.
    people: Vec<Uuid>,
    open: Option<PgConnection>,
}

impl Eye {
    /// Nothing is connected yet.
    pub fn on(database_url: &str, people: &[Someone]) -> Result<Self> {
        let people = people.iter().map(|person| Uuid::parse_str(&person.id)).collect::<Result<_, _>>()?;
        Ok(Self { database_url: database_url.to_owned(), people, open: None })
    }

    /// All rooms that any of them is or was in, with what is in them, of one moment.
    async fn rooms(&mut self) -> Result<BTreeMap<String, RoomFacts>> {
        let mut database = match self.open.take() {
            Some(open) => open,
            None => PgConnection::connect(&self.database_url).await.context("connect to the database")?,
        };
        let rooms = rooms(&mut database, &self.people).await?;
        self.open = Some(database);
        Ok(rooms)
    }
}

/// Looks at everything.
pub async fn look(
    eye: &mut Eye,
    server: &str,
    people: &[Someone],
    devices: &[std::sync::Arc<Device>],
    journal: &mut Journal,
) -> Result<History> {
    let rooms = eye.rooms().await?;
    let fresh = try_join_all(people.iter().map(async |person| {
        let calls = Calls::new(server, person.token.clone(), person.device_id.clone())?;
        let fresh = fresh::fetch(&calls).await.with_context(|| format!("ask as {}", person.login))?;
        anyhow::Ok((person.id.clone(), fresh))
    }));
    let fresh = fresh.await?.into_iter().collect();
    let stores = try_join_all(devices.iter().map(async |device| {
        let store = device.snapshot().await?;
        anyhow::Ok(DeviceFacts { device: device.index, store, sights: device.sights() })
    }));
    let devices = stores.await?;
    for device in &devices {
        journal.note(device.device, &device.store);
    }
    Ok(History { rooms, fresh, devices, journal: journal.clone(), ..History::default() })
}

/// The rooms' revisions, by id.
pub async fn revisions(database_url: &str) -> Result<BTreeMap<String, i64>> {
    let mut database = PgConnection::connect(database_url).await.context("connect to the database")?;
    let rows = sqlx::query("select id, rev from rooms").fetch_all(&mut database).await?;
    database.close().await?;
    rows.iter().map(|row| Ok((text(row, "id")?, row.try_get("rev")?))).collect()
}

async fn rooms(database: &mut PgConnection, people: &[Uuid]) -> Result<BTreeMap<String, RoomFacts>> {
    // One snapshot for all that is read.
    let mut tx = database.begin().await?;
    sqlx::query("set transaction isolation level repeatable read, read only").execute(&mut *tx).await?;
    let sql = "select id, name, state, seq, count, rev, first_seq, first_count, member_count from rooms
               where id in (select room_id from members where user_id = any($1)) order by id";
    let (mut rooms, mut ids) = (BTreeMap::new(), Vec::new());
    for row in sqlx::query(sql).bind(people).fetch_all(&mut *tx).await? {
        ids.push(row.try_get::<Uuid, _>("id")?);
        rooms.insert(text(&row, "id")?, room(&row)?);
    }
    let sql = "select room_id, user_id, state, rev, history_from_seq, last_read_seq, read_count, read_generation
               from members where room_id = any($1) order by room_id, user_id";
    for row in sqlx::query(sql).bind(&ids).fetch_all(&mut *tx).await? {
        let room = rooms.get_mut(&text(&row, "room_id")?).context("a member of no room")?;
        room.members.insert(text(&row, "user_id")?, member(&row)?);
    }
    let sql =
        "select room_id, seq, rev, count, sender_id, client_message_id, kind, text, edited_at is not null as edited,
               deleted_at is not null as deleted, mentioned, mentions_all, extra from messages
           where room_id = any($1) order by room_id, seq";
    for row in sqlx::query(sql).bind(&ids).fetch_all(&mut *tx).await? {
        let room = rooms.get_mut(&text(&row, "room_id")?).context("a message of no room")?;
        room.messages.push(message(&row)?);
        room.moves.extend(moves(&row)?);
    }
    tx.rollback().await?;
    Ok(rooms)
}

/// Who came and went by an item.
fn moves(row: &PgRow) -> Result<Vec<Move>> {
    let (rev, extra) = (row.try_get("rev")?, row.try_get::<Option<Vec<u8>>, _>("extra")?);
    let said = v1::Message::decode(extra.unwrap_or_default().as_slice()).unwrap_or_default();
    let Some(notice) = said.system else { return Ok(Vec::new()) };
    let came = match notice.kind() {
        SystemKind::Created | SystemKind::Invited | SystemKind::Joined => true,
        SystemKind::Left | SystemKind::Removed => false,
        _ => return Ok(Vec::new()),
    };
    let actor = notice.user_ids.is_empty() || notice.kind() == SystemKind::Created;
    let people = notice.user_ids.into_iter().chain(actor.then_some(notice.actor_id));
    Ok(people.map(|person| Move { rev, person, came }).collect())
}

fn text(row: &PgRow, column: &str) -> Result<String> {
    Ok(row.try_get::<Uuid, _>(column)?.to_string())
}

fn room(row: &PgRow) -> Result<RoomFacts> {
    Ok(RoomFacts {
        name: row.try_get("name")?,
        ended: row.try_get::<i16, _>("state")? == DELETED,
        seq: row.try_get("seq")?,
        count: row.try_get("count")?,
        rev: row.try_get("rev")?,
        first_seq: row.try_get("first_seq")?,
        first_count: row.try_get("first_count")?,
        member_count: row.try_get::<i32, _>("member_count")?.into(),
        messages: Vec::new(),
        members: BTreeMap::new(),
        moves: Vec::new(),
    })
}

fn member(row: &PgRow) -> Result<MemberFacts> {
    Ok(MemberFacts {
        joined: row.try_get::<i16, _>("state")? == JOINED,
        rev: row.try_get("rev")?,
        history_from_seq: row.try_get("history_from_seq")?,
        last_read_seq: row.try_get("last_read_seq")?,
        read_count: row.try_get("read_count")?,
        read_generation: row.try_get("read_generation")?,
    })
}

fn message(row: &PgRow) -> Result<MessageFacts> {
    let id: Option<Uuid> = row.try_get("client_message_id")?;
    let mentioned: Option<Vec<Uuid>> = row.try_get("mentioned")?;
    let deleted = row.try_get("deleted")?;
    Ok(MessageFacts {
        seq: row.try_get("seq")?,
        rev: row.try_get("rev")?,
        count: row.try_get("count")?,
        sender: text(row, "sender_id")?,
        client_message_id: id.map(|id| id.to_string()).unwrap_or_default(),
        notice: row.try_get::<i16, _>("kind")? == SYSTEM,
        text: row.try_get("text")?,
        edited: row.try_get("edited")?,
        deleted,
        mentioned: mentioned.unwrap_or_default().iter().map(Uuid::to_string).collect::<BTreeSet<_>>(),
        mentions_all: row.try_get("mentions_all")?,
    })
}
