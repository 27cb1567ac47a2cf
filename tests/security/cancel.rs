//! Callers who leave in the middle of their calls: what they began harms nobody else.
//!
//! Whatever this server acknowledges it has written between a `begin` and a `commit`, so a connection that was left inside a
//! transaction loses nothing here, as it does where statements stand alone; it refuses what others write (the transaction
//! may be read-only) and shows them the past. All three are looked for.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use madang_proto::{
    Refusal,
    v1::{self, ErrorReason},
};
use madang_server::app::{App, Running};
use madang_tests::{World, WorldConfig, person::send, world::eventually};
use sqlx::{Postgres, Transaction};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tonic::Status;

use crate::{people::Guest, slow_database::SlowDatabase};

/// Time that the beginning of a transaction takes: enough to leave in the middle of it.
const DELAY: Duration = Duration::from_millis(20);

/// Calls that are left, and rounds of the one who stays.
const LEFT: u64 = 100;
const ROUNDS: u64 = 40;

/// Longest time for both.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server whose database is a little away.
struct Away {
    server: Running,
    database: SlowDatabase,
}

impl Away {
    async fn start(world: &World, connections: u32) -> Self {
        let database = SlowDatabase::before(world.database_url(), DELAY).await;
        let mut config = world.server_config();
        config.database_url.clone_from(&database.url);
        config.database_connections = connections;
        config.database_waiters_per_person = 3;
        let server = App::start(config, Arc::clone(&world.clock) as _).await.expect("a server");
        Self { server, database }
    }

    fn address(&self) -> String {
        format!("http://{}", self.server.grpc)
    }
}

/// Makes calls and leaves them while their transaction begins, until told to stop.
async fn leave_again_and_again(
    bob: Guest,
    room: String,
    begun: watch::Receiver<u64>,
    left: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) {
    let mut count = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        count += 1;
        let mut begun = begun.clone();
        begun.mark_unchanged();
        tokio::select! {
            _ = one_call(&bob, &room, count % 6, count) => {}
            // Somebody's transaction begins, and mostly this one's.
            _ = begun.changed() => { left.fetch_add(1, Ordering::Relaxed); }
        }
    }
}

async fn one_call(bob: &Guest, room: &str, which: u64, count: u64) -> Result<(), Status> {
    let room_id = || room.to_owned();
    let body = || Some(v1::MessageBody { text: format!("changed {count}"), ..Default::default() });
    match which {
        0 => {
            let request = v1::EditMessageRequest { room_id: room_id(), seq: 2, body: body(), ..Default::default() };
            bob.calls.messages().edit_message(bob.calls.request(request)).await.map(|_| ())
        }
        1 => {
            bob.calls.rooms().join_room(bob.calls.request(v1::JoinRoomRequest { room_id: room_id() })).await.map(|_| ())
        }
        2 => {
            let request = v1::MarkReadRequest { room_id: room_id(), seq: 2, generation: 0 };
            bob.calls.reads().mark_read(bob.calls.request(request)).await.map(|_| ())
        }
        3 => {
            let status = i32::try_from(count % 4).unwrap_or_default();
            let request = v1::SetStatusRequest { status, custom_status: None };
            bob.calls.users().set_status(bob.calls.request(request)).await.map(|_| ())
        }
        4 => bob.calls.rooms().get_room(bob.calls.request(v1::GetRoomRequest { room_id: room_id() })).await.map(|_| ()),
        _ => bob.calls.reads().get_unread(bob.calls.request(v1::GetUnreadRequest {})).await.map(|_| ()),
    }
}

/// What somebody was told who leaves nothing.
#[derive(Debug, Default)]
struct Told {
    stored: BTreeSet<String>,
    name: String,
    wrong: Vec<String>,
}

/// Writes, and looks at what was written; everything that is acknowledged is remembered.
async fn one_round(ann: &Guest, room: &str, round: u64, told: &mut Told) {
    let text = format!("ann {round}");
    match ann.calls.messages().send_message(ann.calls.request(send(room, &text))).await {
        Ok(_) => _ = told.stored.insert(text),
        Err(status) => told.wrong.push(format!("send {round}: {status:?}")),
    }
    let name = format!("Ann {round}");
    let request = v1::UpdateProfileRequest { display_name: Some(name.clone()), ..Default::default() };
    match ann.calls.users().update_profile(ann.calls.request(request)).await {
        Ok(_) => told.name = name,
        Err(status) => told.wrong.push(format!("rename {round}: {status:?}")),
    }
    match ann.me().await {
        Ok(me) => {
            let shown = me.user.map(|user| user.display_name).unwrap_or_default();
            if shown != told.name {
                told.wrong.push(format!("round {round}: told {}, shown {shown}", told.name));
            }
        }
        Err(status) => told.wrong.push(format!("look {round}: {status:?}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_call_loses_nobodys_writes() {
    let world = World::new().await;
    let away = Away::start(&world, 5).await;
    let (ann, bob) = (Guest::at(&world, "ann", &away.address()).await, Guest::at(&world, "bob", &away.address()).await);
    let (own, others) = (ann.room(&[]).await, bob.room(&[]).await);
    bob.calls.send(&others, "to be changed").await.expect("sent");
    let (left, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    let mut leaving = JoinSet::new();
    for _ in 0..2 {
        let begun = away.database.begun();
        leaving.spawn(leave_again_and_again(bob.clone(), others.clone(), begun, Arc::clone(&left), Arc::clone(&stop)));
    }
    let (mut told, begun, mut round) = (Told::default(), Instant::now(), 0);
    while (round < ROUNDS || left.load(Ordering::Relaxed) < LEFT) && begun.elapsed() < PATIENCE {
        one_round(&ann, &own, round, &mut told).await;
        round += 1;
    }
    stop.store(true, Ordering::Relaxed);
    while leaving.join_next().await.is_some() {}
    crash(&world).await;
    let sql = world.sql().await;
    let texts = sqlx::query_scalar::<_, String>("select text from messages where room_id = $1::uuid").bind(&own);
    let stored: BTreeSet<String> = texts.fetch_all(&sql).await.expect("texts").into_iter().collect();
    let name = sqlx::query_scalar::<_, String>("select display_name from users where id = $1::uuid").bind(&ann.id);
    let name = name.fetch_one(&sql).await.expect("a name");
    let lost: Vec<_> = told.stored.difference(&stored).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged messages are gone", lost.len(), told.stored.len());
    assert_eq!(name, told.name, "an acknowledged name is gone");
    assert!(
        told.wrong.is_empty(),
        "{} times in {round} rounds something went wrong: {:#?}",
        told.wrong.len(),
        told.wrong.first()
    );
    let left = left.load(Ordering::Relaxed);
    assert!(round >= ROUNDS && left >= LEFT, "rounds: {round}, calls left: {left}");
    world.end().await;
}

/// Cuts every connection to the database, as the death of all servers does: what was not committed is gone.
async fn crash(world: &World) {
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity
               where datname = current_database() and application_name = 'madang'";
    let cut = sqlx::query_scalar::<_, i64>(cut).fetch_one(&world.sql().await).await.expect("cut");
    assert!(cut > 0, "there were no servers");
}

/// Holds a room's row, so that whoever changes the room waits.
async fn hold(world: &World, room: &str) -> Transaction<'static, Postgres> {
    let mut tx = world.sql().await.begin().await.expect("a transaction");
    let lock = sqlx::query("select from rooms where id = $1::uuid for update").bind(room);
    lock.execute(&mut *tx).await.expect("locked");
    tx
}

/// Connections of the servers that wait for a row.
async fn waiting(world: &World) -> i64 {
    let count = "select count(*) from pg_stat_activity
                 where datname = current_database() and application_name = 'madang' and wait_event_type = 'Lock'";
    sqlx::query_scalar(count).fetch_one(&world.sql().await).await.expect("a count")
}

fn edit(bob: &Guest, room: &str, count: usize) -> JoinHandle<Result<(), Status>> {
    let (bob, room) = (bob.clone(), room.to_owned());
    tokio::spawn(async move { one_call(&bob, &room, 0, count as u64).await })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_has_only_so_many_calls_in_flight_and_others_do_not_wait_for_them() {
    let world =
        World::with(WorldConfig { settings: Some(|config| config.database_connections = 16), ..Default::default() })
            .await;
    let (ann, bob) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
    let room = bob.room(&[]).await;
    bob.calls.send(&room, "to be changed").await.expect("sent");
    let (calls, database) =
        (world.server_config().calls_in_flight_per_person, world.server_config().database_waiters_per_person);
    let held = hold(&world, &room).await;
    let mut all = JoinSet::new();
    for n in 0..calls + 5 {
        let (bob, room) = (bob.clone(), room.clone());
        all.spawn(async move { one_call(&bob, &room, 0, n as u64).await });
    }
    for _ in 0..5 {
        let above = all.join_next().await.expect("calls").expect("no panic").expect_err("nobody else is answered yet");
        let above = Refusal::of(&above).expect("a reason");
        assert_eq!((above.reason, &above.metadata["limit"]), (ErrorReason::TooManyCalls, &calls.to_string()));
        assert!(above.retry_after.is_some(), "{above:?}");
    }
    let most = i64::try_from(database).expect("a small number");
    eventually("as many wait as may", async || (waiting(&world).await == most).then_some(())).await;
    for n in 0..20 {
        ann.me().await.expect("somebody else is answered");
        ann.calls.send(&ann.room(&[]).await, &format!("{n}")).await.expect("and writes");
    }
    assert_eq!(waiting(&world).await, most, "connections that one person has");
    held.rollback().await.expect("released");
    while let Some(call) = all.join_next().await {
        call.expect("no panic").expect("done in the end");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaving_ones_calls_makes_no_room_for_more_while_what_they_began_goes_on() {
    let world =
        World::with(WorldConfig { settings: Some(|config| config.database_connections = 16), ..Default::default() })
            .await;
    let (ann, bob) = (Guest::of(&world, "ann").await, Guest::of(&world, "bob").await);
    let room = bob.room(&[]).await;
    bob.calls.send(&room, "to be changed").await.expect("sent");
    let most = world.server_config().database_waiters_per_person;
    let held = hold(&world, &room).await;
    for round in 0..4 {
        let calls: Vec<_> = (0..most).map(|n| edit(&bob, &room, round * most + n)).collect();
        eventually("transactions wait", async || (waiting(&world).await == i64::try_from(most).ok()?).then_some(()))
            .await;
        for call in calls {
            call.abort();
        }
        let begun = Instant::now();
        ann.calls.send(&ann.room(&[]).await, "meanwhile").await.expect("somebody else writes");
        assert!(begun.elapsed() < Duration::from_secs(3), "round {round}: somebody else waited {:?}", begun.elapsed());
    }
    held.rollback().await.expect("released");
    world.end().await;
}
