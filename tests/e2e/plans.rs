//! What PostgreSQL makes of the server's statements where a company has written a million messages: each finds its rows by
//! an index.

use std::{collections::BTreeSet, fs, path::Path};

use madang_tests::World;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor as _, PgPool, Row as _};

/// 20,000 people in 40,000 rooms of 5, with 25 messages each. A statement that takes long holds the horizon of all databases
/// back, which other stories wait for, so that the longest goes in parts.
const COMPANY: &[&str] = &[
    "insert into users (id, issuer, subject, login, login_key, name_key, display_name, claimed_name)
     select gen_random_uuid(), 'i', n::text, 'p' || n, 'p' || n, 'p' || n, 'p' || n, 'p' || n
     from generate_series(1, 20000) n",
    "insert into user_cursors (user_id) select id from users on conflict do nothing",
    "insert into device_sessions (user_id, device_id, sid)
     select id, gen_random_uuid(), gen_random_uuid()::text from users",
    "insert into token_floors (user_id, tokens_from) select id, now() from users",
    "insert into revoked_sids (sid, user_id, revoked_at)
     select sid, user_id, now() - random() * interval '90 days' from device_sessions",
    "insert into rooms (id, kind, name, created_by, payload_hash, rev, changed_xid, seq, last_active_at)
     select gen_random_uuid(), 2, 'r' || n, (select id from users limit 1), '', 26, n, 25, now() - n * interval '1 s'
     from generate_series(1, 40000) n",
    "create temp table numbered_users as select id, row_number() over () as n from users",
    "create temp table numbered_rooms as select id, row_number() over () as n from rooms",
    "insert into members (room_id, user_id, state, joined_at, rev, user_rev, last_read_seq, told_read)
     select r.id, u.id, 1, now(), k, r.n, 25, 25
     from numbered_rooms r, generate_series(1, 5) k, numbered_users u where u.n = (r.n * 37 + k * 41) % 20000 + 1",
    "insert into stays (room_id, user_id, joined_at, left_at, ended_how)
     select room_id, user_id, now(), now(), 2 from members",
    "insert into messages (room_id, seq, rev, count, sender_id, client_message_id, created_at, kind, text, changed)
     select r.id, n, n, n, (select id from users limit 1), gen_random_uuid(), now(), 1, 'a line of an ordinary length', n = 25
     from (select id from numbered_rooms where n % 10 = $part) r, generate_series(1, 25) n",
    "insert into mentions (room_id, seq, user_id)
     select room_id, 10, user_id from members",
    "insert into room_changes (xid, room_id) select n, r.id from rooms r, generate_series(1, 2) n",
    "insert into audit_events (action) select 'x' from generate_series(1, 20000)",
    "analyze",
];

/// Of the longest statement.
const PARTS: u32 = 10;

/// Words of statements that read a table whole, or would without their numbers, and why that is right.
const WHOLE: [(&str, &str); 8] = [
    ("from users where profile_xid >= $1 or", "planned with its number, which is near the end"),
    ("from room_changes where xid >= $1 or", "planned with its number as well"),
    ("from users where (login_key like $1 or", "planned with its prefix"),
    ("m.last_read_seq > m.told_read and r.state = 1", "once a minute: what a node that died has not told"),
    ("update users set profile_xid = 0", "once, after a restore"),
    ("update rooms set changed_xid = 0", "once, after a restore"),
    ("delete from room_changes", "once, after a restore, or the old half of a list that is kept short"),
    ("delete from revoked_sids where revoked_at", "once a day"),
];

/// The tables that a plan reads from the first row to the last.
fn read_whole(plan: &Value, found: &mut Vec<String>) {
    if plan["Node Type"] == "Seq Scan" {
        found.push(plan["Relation Name"].as_str().unwrap_or_default().to_owned());
    }
    for part in plan["Plans"].as_array().into_iter().flatten() {
        read_whole(part, found);
    }
}

async fn plan(database: &PgPool, statement: &str) -> Value {
    // From the metadata of the program's own queries.
    let explain = AssertSqlSafe(format!("explain (generic_plan, format json) {statement}"));
    let explained = database.fetch_one(sqlx::raw_sql(explain)).await;
    let row = explained.unwrap_or_else(|error| panic!("{statement}: {error}"));
    row.get::<Value, _>(0)[0]["Plan"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_reads_a_table_whole() {
    let world = World::new().await;
    let database = world.sql().await;
    let mut company = database.acquire().await.expect("a connection");
    for statement in COMPANY {
        let parts = if statement.contains("$part") { PARTS } else { 1 };
        for part in 0..parts {
            let statement = statement.replace("$part", &part.to_string());
            let done = company.execute(AssertSqlSafe(statement.clone())).await;
            done.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }
    let metadata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.sqlx");
    let (mut looked_at, mut whole) = (0, BTreeSet::new());
    for file in fs::read_dir(metadata).expect("the queries' metadata") {
        let file = fs::read(file.expect("a file").path()).expect("readable");
        let query: Value = serde_json::from_slice(&file).expect("JSON");
        let statement = query["query"].as_str().expect("a statement");
        if statement.starts_with("set ") {
            continue;
        }
        let mut found = Vec::new();
        read_whole(&plan(&database, statement).await, &mut found);
        // One row, or of the system.
        found.retain(|table| !["history", "pg_database"].contains(&table.as_str()));
        if !found.is_empty() {
            let words = statement.split_whitespace().collect::<Vec<_>>().join(" ");
            let known = WHOLE.iter().find(|(some, _)| words.contains(some));
            whole.insert(known.unwrap_or_else(|| panic!("{found:?}: {words}")));
        }
        looked_at += 1;
    }
    assert!(looked_at > 100, "{looked_at}");
    let unneeded: Vec<_> = WHOLE.iter().filter(|known| !whole.contains(known)).collect();
    assert!(unneeded.is_empty(), "these read nothing whole any more: {unneeded:?}");
    world.end().await;
}
