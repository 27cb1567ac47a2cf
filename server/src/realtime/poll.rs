//! The node compares the database with what its sessions were told, always: publications may be lost, other nodes may have
//! died between commit and publication, and without a bus this is how nodes learn of each other's commits at all.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use sqlx::postgres::PgConnection;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    config::Config,
    error::Result,
    ids::{RoomId, UserId},
    realtime::{ClosingReason, Membership, Node, ProfileChange, Session, wire},
    sessions::{self, Verdict, Visit},
};

/// How long a publication that is on its way may take before the poll takes it for lost.
const GRACE: Duration = Duration::from_millis(50);

/// After a pause this long the list of changes may have been pruned, so all rooms are compared.
const LONG_PAUSE: Duration = Duration::from_mins(5);

/// How long changed rooms stay listed: much longer than a node's pause, much shorter than a table grows.
const LIST_KEPT: Duration = Duration::from_mins(10);

/// People that one statement asks for.
const PEOPLE_AT_ONCE: usize = 1_000;

/// Changed profiles that are told one by one, with a statement each; above it every stream hears that any may have changed.
const MOST_PROFILES: usize = 500;

/// Compares the database with the hub of one node.
#[derive(Debug)]
pub struct Poller {
    node: Node,
    epoch: watch::Receiver<String>,
    seen: Option<Seen>,
    kept: Option<(Instant, i64)>,
}

/// A snapshot of the database: which transactions it saw.
#[derive(Debug, Clone)]
struct Seen {
    xmin: i64,
    xmax: i64,
    /// Running then, so not seen.
    xip: Vec<i64>,
    at: Instant,
}

#[derive(Debug)]
struct Found {
    rooms: Vec<(RoomId, i64)>,
    /// Nothing where any may have changed.
    profiles: Option<Vec<(UserId, i64)>>,
}

impl Poller {
    /// A poller that has seen nothing.
    pub fn new(node: Node) -> Self {
        let mut epoch = node.database.epoch();
        epoch.mark_unchanged();
        Self { node, epoch, seen: None, kept: None }
    }

    /// Compares until the node ends.
    pub async fn run(mut self) {
        if !self.node.database.guards().poll() {
            return;
        }
        loop {
            if let Err(error) = self.compare().await {
                tracing::warn!(%error, "the poll failed");
            }
            let Config { poll_interval, poll_interval_with_nats, .. } = *self.node.config;
            let pause = if self.node.bus.is_up() { poll_interval_with_nats } else { poll_interval };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // Not at once: what is lost is mostly lost together.
                () = self.node.bus.look() => tokio::time::sleep(GRACE).await,
            }
        }
    }

    /// Compares once.
    pub async fn compare(&mut self) -> Result<()> {
        self.node.database.current_epoch().await?;
        if self.epoch.has_changed().unwrap_or(false) {
            self.epoch.mark_unchanged();
            self.seen = None;
            self.node.hub.forget_all(ClosingReason::EpochChanged);
        }
        let before = self.seen.take().filter(|seen| seen.at.elapsed() < LONG_PAUSE);
        let rooms = self.node.hub.rooms();
        let (seen, found) =
            self.node.database.snapshot(move |tx| Box::pin(look(tx, before.clone(), rooms.clone()))).await?;
        let behind: Vec<_> = found
            .rooms
            .into_iter()
            .filter(|(id, rev)| self.node.hub.tail(*id).is_some_and(|tail| tail < *rev))
            .collect();
        let people = self.people_behind().await?;
        if !behind.is_empty() || !people.is_empty() {
            tokio::time::sleep(GRACE).await;
        }
        for (room_id, rev) in behind {
            self.node.hub.give_up_to(room_id, rev);
        }
        for (user_id, user_rev) in people {
            self.repair_person(user_id, user_rev).await?;
        }
        self.end_shut().await?;
        match found.profiles {
            Some(profiles) => {
                for (user_id, profile_rev) in profiles {
                    self.tell_profile(user_id, profile_rev).await?;
                }
            }
            None => self.node.hub.soil_profiles(),
        }
        self.node.hub.cover(if self.node.database.guards().xmin() { seen.xmin } else { seen.xmax });
        self.prune(&seen).await?;
        self.seen = Some(seen);
        Ok(())
    }

    /// People whose number in the database is greater than what one of their streams was told.
    async fn people_behind(&self) -> Result<Vec<(UserId, i64)>> {
        let mut behind = Vec::new();
        for chunk in self.node.hub.people().chunks(PEOPLE_AT_ONCE) {
            let ids: Vec<Uuid> = chunk.iter().map(|id| id.0).collect();
            let rows = sqlx::query!("select user_id, user_rev from user_cursors where user_id = any($1)", &ids);
            for row in rows.fetch_all(self.node.database.pool()).await? {
                if self.sessions_behind(row.user_id.into(), row.user_rev).next().is_some() {
                    behind.push((row.user_id.into(), row.user_rev));
                }
            }
        }
        Ok(behind)
    }

    fn sessions_behind(&self, user_id: UserId, user_rev: i64) -> impl Iterator<Item = std::sync::Arc<Session>> {
        self.node.hub.sessions_of(user_id).into_iter().filter(move |session| session.is_behind(user_rev))
    }

    async fn repair_person(&self, user_id: UserId, user_rev: i64) -> Result<()> {
        let late: Vec<_> = self.sessions_behind(user_id, user_rev).collect();
        if late.is_empty() {
            return Ok(());
        }
        let mut connection = self.node.database.pool().acquire().await?;
        let joined = memberships(&mut connection, &[user_id]).await?.remove(&user_id).unwrap_or_default();
        for session in late {
            let opener = session.opener();
            let visit = Visit::to_check(user_id, opener.device_id, &opener.sid, opener.issued_at);
            let ends = match sessions::look(&mut connection, &visit).await? {
                Verdict::Revoked => Some(ClosingReason::Revoked),
                Verdict::Stale => Some(ClosingReason::TokenExpired),
                Verdict::Good | Verdict::New => None,
            };
            if let Some(reason) = ends {
                session.close(reason, reason.come_back());
                continue;
            }
            if self.node.database.guards().index_repair() {
                for membership in joined.iter().filter(|m| !self.node.hub.listens_since(session.id(), m.room_id, m.rev))
                {
                    self.node.listen_later(&session, membership);
                }
            }
            session.reached(user_rev);
            session.soil_person();
        }
        Ok(())
    }

    /// Ends the streams of people whose accounts were shut, or have come to their time.
    async fn end_shut(&self) -> Result<()> {
        for chunk in self.node.hub.people().chunks(PEOPLE_AT_ONCE) {
            for (user_id, refusal) in sessions::shut(self.node.database.pool(), chunk, self.node.clock.now()).await? {
                for session in self.node.hub.sessions_of(user_id) {
                    session.close_refused(ClosingReason::Revoked, Some(&refusal));
                }
            }
        }
        Ok(())
    }

    async fn tell_profile(&self, user_id: UserId, profile_rev: i64) -> Result<()> {
        let rooms = sqlx::query_scalar!(
            r#"select m.room_id from members m join rooms r on r.id = m.room_id
               where m.user_id = $1 and m.state = 1 and not r.large limit 5000"#,
            user_id as _
        );
        let rooms = rooms.fetch_all(self.node.database.pool()).await?.into_iter().map(RoomId).collect();
        let frame = wire::people_changed(Some(vec![(user_id, profile_rev)]));
        self.node.hub.publish_profile(&ProfileChange { user_id, profile_rev, rooms, frame });
        Ok(())
    }

    /// Forgets listed changes that every node has had ample time to see.
    async fn prune(&mut self, seen: &Seen) -> Result<()> {
        match self.kept {
            Some((at, _)) if at.elapsed() < LIST_KEPT => return Ok(()),
            Some((_, xmin)) => {
                sqlx::query!("delete from room_changes where xid < $1", xmin)
                    .execute(self.node.database.pool())
                    .await?;
            }
            None => {}
        }
        self.kept = Some((Instant::now(), seen.xmin));
        Ok(())
    }
}

async fn look(tx: &mut PgConnection, before: Option<Seen>, rooms: Vec<RoomId>) -> Result<(Seen, Found)> {
    let row = sqlx::query!(
        r#"select pg_snapshot_xmin(s)::text::bigint as "xmin!", pg_snapshot_xmax(s)::text::bigint as "xmax!",
               array(select x::text::bigint from pg_snapshot_xip(s) x) as "xip!"
           from pg_current_snapshot() s"#
    )
    .fetch_one(&mut *tx)
    .await?;
    let seen = Seen { xmin: row.xmin, xmax: row.xmax, xip: row.xip, at: Instant::now() };
    let found = match before {
        Some(before) => changed_since(tx, &before).await?,
        None => Found { rooms: all(tx, &rooms).await?, profiles: Some(Vec::new()) },
    };
    Ok((seen, found))
}

async fn changed_since(tx: &mut PgConnection, before: &Seen) -> Result<Found> {
    let rooms = sqlx::query!(
        "select id, rev from rooms where id in (select room_id from room_changes where xid >= $1 or xid = any($2))",
        before.xmax,
        &before.xip
    );
    let rooms = rooms.fetch_all(&mut *tx).await?.into_iter().map(|row| (row.id.into(), row.rev)).collect();
    let profiles = sqlx::query!(
        "select id, profile_rev from users where profile_xid >= $1 or profile_xid = any($2) limit $3",
        before.xmax,
        &before.xip,
        i64::try_from(MOST_PROFILES + 1).unwrap_or(i64::MAX)
    );
    let profiles = profiles.fetch_all(tx).await?;
    let few = profiles.len() <= MOST_PROFILES;
    let profiles = few.then(|| profiles.into_iter().map(|row| (row.id.into(), row.profile_rev)).collect());
    Ok(Found { rooms, profiles })
}

async fn all(tx: &mut PgConnection, rooms: &[RoomId]) -> Result<Vec<(RoomId, i64)>> {
    let ids: Vec<Uuid> = rooms.iter().map(|id| id.0).collect();
    let rows = sqlx::query!("select id, rev from rooms where id = any($1)", &ids).fetch_all(tx).await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), row.rev)).collect())
}

/// The rooms that people are in, as their sessions must know them to listen; bounded by the rooms a person may be in.
pub async fn memberships(connection: &mut PgConnection, people: &[UserId]) -> Result<HashMap<UserId, Vec<Membership>>> {
    let ids: Vec<Uuid> = people.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select m.user_id, m.room_id, m.rev, m.history_from_seq, r.rev as room_rev, r.seq as room_seq
           from members m join rooms r on r.id = m.room_id
           where m.user_id = any($1) and m.state = 1 and r.state <> 3"#,
        &ids
    );
    let mut found: HashMap<UserId, Vec<Membership>> = HashMap::new();
    for row in rows.fetch_all(connection).await? {
        found.entry(row.user_id.into()).or_default().push(Membership {
            room_id: row.room_id.into(),
            joined: true,
            rev: row.rev,
            history_from_seq: row.history_from_seq,
            room_rev: row.room_rev,
            room_seq: row.room_seq,
        });
    }
    Ok(found)
}
