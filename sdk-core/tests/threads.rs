//! Nothing is left of a client that has ended. Alone in its process, because it counts.

mod ground;

use std::{fs, path::PathBuf, time::Duration};

use self::ground::{ROOM, open};

/// What the system tells of this process.
fn list(what: &str) -> impl Iterator<Item = PathBuf> {
    let found = fs::read_dir(format!("/proc/self/{what}")).expect("a system that tells");
    found.map(|one| one.expect("it is there").path())
}

/// Threads of clients; those of the runtime come and go.
fn threads() -> usize {
    // One that is just ending has no name any more.
    let named = |task: &PathBuf| fs::read_to_string(task.join("comm")).unwrap_or_default().starts_with("madang");
    list("task").filter(named).count()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_hundred_clients_leave_no_thread_and_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store.db");
    let mut before = None;
    for n in 0..100 {
        let client = open(&store).await.unwrap();
        assert!(threads() > 0, "they are known by their names");
        client.send(ROOM, "hello").await.unwrap();
        let _rooms = client.rooms().await.unwrap();
        if n % 2 == 0 {
            client.suspend().await.unwrap();
            client.resume().await.unwrap();
        }
        client.shutdown(Duration::ZERO).await;
        drop(client);
        // The runtime's own files come with the first.
        before.get_or_insert_with(|| list("fd").count());
    }
    assert_eq!((threads(), list("fd").count()), (0, before.unwrap()));
}
