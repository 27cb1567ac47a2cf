//! Where the database's time goes while the writer is busy: the time of each of its statements, for each message.

use anyhow::{Context, Result};

use super::door::{Door, Load};
use crate::Plan;
use crate::figure::{Figure, float};
use crate::ground::Ground;
use crate::statements::Statements;

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
    let mut statements = Statements::note(ground, database_url).await?;
    let sends = door.run(Load::of(IN_FLIGHT), plan.span).await;
    statements.end(ground).await?;
    let sends = sends?;
    let messages = statements.like("insert into messages (%").await?.rows;
    let messages = float(u64::try_from(messages).context("messages were sent")?);
    let whole = statements.like("%").await?.us;
    let mut figure = Figure::new("send, time of the database", whole / messages, "us/message")
        .note(format!("{IN_FLIGHT} in flight, {:.0} messages/s while it was counted", sends.per_second));
    for (name, like) in STATEMENTS {
        figure = figure.beside(name, statements.like(like).await?.us / messages);
    }
    Ok(figure)
}
