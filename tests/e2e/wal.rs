//! How much a message adds to the database's log: what a disk and a replica pay for each.

use madang_devstack::postgres::{Cluster, ClusterOptions, Stop, place_for};
use madang_tests::World;
use sqlx::{Connection as _, PgConnection};

/// Messages that are counted, each in a transaction of its own, which is the dearest.
const MESSAGES: i64 = 200;

/// Bytes a message with a text of [`TEXT`] bytes and its sender's mark at most; it was 1,224 when it was counted first.
const MOST: i64 = 1_350;
const TEXT: usize = 200;

/// A database server of the story's own: no other writes into its log. Whole pages, which are logged once after each checkpoint,
/// are left out: how many there are is a matter of time.
async fn cluster(folder: &std::path::Path) -> Cluster {
    let place = place_for(&folder.join("postgres")).expect("a place");
    Cluster::at(&place, ClusterOptions { durable: false, ..ClusterOptions::default() }).await.expect("PostgreSQL")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_adds_little_to_the_log_of_the_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = cluster(folder.path()).await;
    let url = cluster.ensure_database("wal").await.expect("a database");
    madang_server::app::migrate(&url).await.expect("migrated");
    let mut database = PgConnection::connect(&url).await.expect("connected");
    let mut world = World::new().await;
    let address = world.stop_server(0).await;
    world.start_server_with(address, |config| config.database_url = url).await.expect("a server");
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let mut rooms = Vec::new();
    for name in ["plans", "lunch", "news", "help"] {
        rooms.push(ann.room(name, &[&bob]).await);
    }
    let mut written = async || {
        let sql = "select (pg_current_wal_insert_lsn() - '0/0')::int8";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut database).await.expect("the place in the log")
    };
    let text = "가나다라마바사 abcdefg ".repeat(20);
    let text: String = text.char_indices().take_while(|(at, c)| at + c.len_utf8() <= TEXT).map(|(_, c)| c).collect();
    // The first of a connection looks at much that is not there yet.
    for room in &rooms {
        bob.calls.send(room, &text).await.expect("sent");
    }
    world.settle().await;
    let before = written().await;
    for room in rooms.iter().cycle().take(usize::try_from(MESSAGES).expect("few")) {
        bob.calls.send(room, &text).await.expect("sent");
    }
    let each = (written().await - before) / MESSAGES;
    assert!(each <= MOST, "{each} bytes a message");
    assert!(each > i64::try_from(TEXT).expect("few"), "{each} bytes a message: the log does not have it");
    world.end().await;
    cluster.stop(Stop::Immediate).await.expect("stopped");
}
