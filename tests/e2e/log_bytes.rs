//! How many bytes a change adds to the database's log. It does not depend on the machine, and it is what archives, replicas
//! and disks are paid by.

use std::path::Path;

use madang_devstack::postgres::{Cluster, ClusterOptions, place_for};
use madang_proto::v1;
use madang_tests::World;
use sqlx::{Connection as _, PgConnection};

/// Sends that are counted; the first ones touch new pages.
const TIMES: u32 = 200;
const WARM: u32 = 50;

/// Most bytes of a send that is alone in its commit: 1,224 were counted with its rows and its sender's mark, the rest is what the
/// server does beside it.
const SEND: i64 = 1_400;

/// The same of a mark: 514 for its rows, its commit, and the receipts of all marks of half a second.
const MARK: i64 = 1_100;

/// A database server of the story's own, so that nobody else writes. Whole pages, which the log has after each checkpoint,
/// would only tell when that was.
async fn world(folder: &Path) -> (World, Cluster, PgConnection) {
    let place = place_for(&folder.join("postgres")).expect("a place");
    let settings = vec![("full_page_writes".to_owned(), "off".to_owned())];
    let cluster =
        Cluster::at(&place, ClusterOptions { settings, ..ClusterOptions::default() }).await.expect("PostgreSQL");
    let url = cluster.ensure_database("log_bytes").await.expect("a database");
    madang_server::app::migrate(&url).await.expect("migrated");
    let watch = PgConnection::connect(&url).await.expect("connected");
    let mut world = World::new().await;
    let address = world.stop_server(0).await;
    world.start_server_with(address, |config| config.database_url = url).await.expect("a server");
    (world, cluster, watch)
}

async fn written(watch: &mut PgConnection) -> i64 {
    let query = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";
    sqlx::query_scalar(query).fetch_one(watch).await.expect("a place in the log")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_and_a_mark_write_no_more_than_their_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let (world, cluster, mut watch) = world(folder.path()).await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let room = ann.room("plans", &[&bob]).await;
    bob.sees(&room).await;
    world.settle().await;
    for number in 0..WARM {
        ann.calls.send(&room, &format!("warm {number}")).await.expect("sent");
    }
    let before = written(&mut watch).await;
    let mut last = 0;
    for number in 0..TIMES {
        let text = format!("{number:<200}.");
        last = ann.calls.send(&room, &text).await.expect("sent").message.expect("a message").seq;
    }
    let a_send = (written(&mut watch).await - before) / i64::from(TIMES);
    let before = written(&mut watch).await;
    for seq in last - i64::from(TIMES)..last {
        let request = v1::MarkReadRequest { room_id: room.clone(), seq, generation: 0 };
        bob.calls.reads().mark_read(bob.calls.request(request)).await.expect("marked");
    }
    let a_mark = (written(&mut watch).await - before) / i64::from(TIMES);
    assert!((400..=SEND).contains(&a_send), "a send writes {a_send} bytes of log");
    assert!((200..=MARK).contains(&a_mark), "a mark writes {a_mark} bytes of log");
    world.end().await;
    drop(watch);
    cluster.stop(madang_devstack::postgres::Stop::Fast).await.expect("stopped");
}
