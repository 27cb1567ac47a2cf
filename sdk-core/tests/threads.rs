//! Nothing is left of a client that has ended. Alone in its process, because it counts.

mod ground;

use std::time::Duration;

use self::ground::{ROOM, open};

fn count(what: &str) -> usize {
    std::fs::read_dir(format!("/proc/self/{what}")).expect("a system that tells").count()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_hundred_clients_leave_no_thread_and_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store.db");
    let mut before = None;
    for n in 0..100 {
        let client = open(&store).await.unwrap();
        client.send(ROOM, "hello").await.unwrap();
        let _rooms = client.rooms().await.unwrap();
        if n % 2 == 0 {
            client.suspend().await.unwrap();
            client.resume().await.unwrap();
        }
        client.shutdown(Duration::ZERO).await;
        drop(client);
        // The runtime's own threads and files come with the first.
        before.get_or_insert_with(|| (count("task"), count("fd")));
    }
    assert_eq!((count("task"), count("fd")), before.unwrap());
}
