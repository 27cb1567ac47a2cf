//! Where the database's time goes while the writer is busy: the time of each of its statements, for each message.

use anyhow::{Context, Result};
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::door::{Door, Load};
use crate::Plan;
use crate::figure::{Figure, float};
use crate::ground::Ground;

/// What is under way meanwhile.
const IN_FLIGHT: usize = 1_024;

/// Statements of a batch, by what tells them from the others.
const STATEMENTS: [(&str, &str); 8] = [
    ("lock the rooms", "%from rooms %for no key update%"),
    ("lock the numbers of people", "%from user_cursors %for no key update%"),
    ("memberships of the senders", "%from members m join unnest%"),
    ("ids that were stored before", "%from messages i join unnest%"),
    ("counts at marks", "%left join lateral (select x.seq%"),
    ("insert the messages", "insert into messages (%"),
    ("update the rooms, list them as changed", "with listed as%"),
    ("commit", "commit%"),
];

/// Microseconds of the database for a message, and of which statement.
pub async fn measure(plan: &Plan, ground: &Ground, door: &Door, database_url: &str) -> Result<Figure> {
    plan.say("send: the time of each statement");
    let mut watch = PgConnection::connect(database_url).await?;
    sqlx::query("create extension if not exists pg_stat_statements").execute(&mut watch).await?;
    ground.note_statements(true).await?;
    sqlx::query("select pg_stat_statements_reset()").execute(&mut watch).await?;
    let sends = door.run(Load::of(IN_FLIGHT), plan.span).await;
    ground.note_statements(false).await?;
    let sends = sends?;
    let messages: i64 = sqlx::query_scalar(
        "select sum(rows)::bigint from pg_stat_statements(true) where query ilike 'insert into messages (%'",
    )
    .fetch_one(&mut watch)
    .await?;
    let messages = float(u64::try_from(messages).context("messages were sent")?);
    let whole = time(&mut watch, "%").await?;
    let mut figure = Figure::new("send, time of the database", whole / messages, "us/message")
        .note(format!("{IN_FLIGHT} in flight, {:.0} messages/s while it was counted", sends.per_second));
    for (name, like) in STATEMENTS {
        figure = figure.beside(name, time(&mut watch, like).await? / messages);
    }
    Ok(figure)
}

/// Microseconds that such statements took.
async fn time(watch: &mut PgConnection, like: &str) -> Result<f64> {
    let query = "select coalesce(sum(total_exec_time), 0) * 1000 from pg_stat_statements(true) s
        join pg_database d on d.oid = s.dbid and d.datname = current_database() where query ilike $1";
    Ok(sqlx::query_scalar(query).bind(like).fetch_one(watch).await?)
}
