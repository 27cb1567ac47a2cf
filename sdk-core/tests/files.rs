//! What may lie where the store should be: nothing is overwritten, and what was typed is rescued.

mod ground;

use std::{
    fs,
    io::{Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use madang_sdk_core::{Client, ClientErrorKind, LocalReason, Rescued};
use rusqlite::Connection;

use self::ground::{ROOM, open, store};

fn names(folder: &Path, part: &str) -> Vec<PathBuf> {
    let files =
        fs::read_dir(folder).expect("as the test made it").map(|file| file.expect("as the test made it").path());
    // A log that lay beside a file is set aside with it.
    let wanted = |name: &str| name.contains(part) && !name.ends_with("-wal") && !name.ends_with("-shm");
    let mut files: Vec<PathBuf> = files.filter(|file| wanted(file.to_str().expect("as the test made it"))).collect();
    files.sort();
    files
}

/// Opens it and ends it again.
async fn opened(store: &Path) -> (Vec<String>, Option<Rescued>) {
    let client = open(store).await.expect("as the test made it");
    let texts =
        client.snapshot().await.expect("as the test made it").outbox.into_iter().map(|item| item.text).collect();
    let rescued = client.rescued();
    client.shutdown(Duration::ZERO).await;
    (texts, rescued)
}

async fn typed(store: &Path, count: usize) -> Client {
    let client = open(store).await.expect("as the test made it");
    for n in 0..count {
        client.send(ROOM, format!("{n} {}", "x".repeat(900))).await.expect("as the test made it");
    }
    client.set_draft(ROOM, "half a sen").await.expect("as the test made it");
    client
}

/// Overwrites one page in the middle of the file: of what takes most of it.
fn spoil(store: &Path) {
    let conn = Connection::open(store).expect("as the test made it");
    let number = |name| {
        conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).expect("as the test made it").cast_unsigned()
    };
    let (size, pages) = (number("page_size"), number("page_count"));
    drop(conn);
    let mut file = fs::File::options().write(true).open(store).expect("as the test made it");
    file.seek(SeekFrom::Start(pages / 2 * size)).expect("as the test made it");
    file.write_all(&[0xff; 64]).expect("as the test made it");
}

#[tokio::test]
async fn a_path_that_cannot_be_a_store_is_refused() {
    let (folder, _) = store();
    for path in [folder.path().to_owned(), folder.path().join("nowhere").join("store.db")] {
        let error = open(&path).await.unwrap_err();
        assert_eq!((error.kind, error.local), (ClientErrorKind::Invalid, Some(LocalReason::StorePathInvalid)));
    }
}

#[tokio::test]
async fn a_file_of_another_program_is_set_aside_whole() {
    let (folder, store) = store();
    fs::write(&store, "a shopping list, and nothing else at all").unwrap();
    let (_, rescued) = opened(&store).await;
    let rescued = rescued.unwrap();
    assert_eq!((rescued.messages, rescued.drafts, rescued.complete), (0, 0, true));
    assert_eq!(fs::read_to_string(rescued.set_aside).unwrap(), "a shopping list, and nothing else at all");
    fs::remove_file(&store).unwrap();
    for sql in ["create table t (a)", "pragma application_id = 7; create table meta (a); create table outbox (a)"] {
        Connection::open(&store).unwrap().execute_batch(sql).unwrap();
        let (_, rescued) = opened(&store).await;
        let kept = Connection::open(rescued.unwrap().set_aside).unwrap();
        assert!(kept.query_row("select count(*) from sqlite_schema", [], |row| row.get::<_, i64>(0)).unwrap() > 0);
        assert_eq!(opened(&store).await.1, None);
        fs::remove_file(&store).unwrap();
    }
    assert_eq!(names(folder.path(), ".broken-").len(), 3);
}

#[tokio::test]
async fn no_more_than_three_are_kept() {
    let (folder, store) = store();
    for n in 0..5 {
        fs::write(&store, format!("not a store, the {n}th")).unwrap();
        opened(&store).await;
    }
    let kept: Vec<String> =
        names(folder.path(), ".broken-").iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    assert_eq!(kept, [2, 3, 4].map(|n| format!("not a store, the {n}th")));
}

#[tokio::test]
async fn a_store_of_a_later_version_is_not_touched() {
    let (folder, store) = store();
    typed(&store, 1).await.shutdown(Duration::ZERO).await;
    Connection::open(&store).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&store).unwrap();
    let error = open(&store).await.unwrap_err();
    assert_eq!((error.kind, error.local), (ClientErrorKind::Storage, Some(LocalReason::StoreNewer)));
    assert_eq!(fs::read(&store).unwrap(), before);
    assert!(names(folder.path(), ".broken-").is_empty());
}

#[tokio::test]
async fn what_was_typed_is_rescued_from_a_damaged_file_as_far_as_it_can_be_read() {
    let (_folder, store) = store();
    typed(&store, 200).await.shutdown(Duration::ZERO).await;
    let device = device(&store);
    spoil(&store);
    let client = open(&store).await.unwrap();
    let rescued = client.rescued().unwrap();
    assert!(rescued.messages > 150 && rescued.messages < 200 && !rescued.complete, "{rescued:?}");
    assert_eq!((rescued.drafts, client.draft(ROOM).await.unwrap().as_str()), (1, "half a sen"));
    assert_eq!(client.device_id(), device);
    let texts: Vec<String> = client.snapshot().await.unwrap().outbox.into_iter().map(|item| item.text).collect();
    assert!(texts.first().unwrap().starts_with("0 ") && texts.last().unwrap().starts_with("199 "));
    assert_eq!(texts.len(), rescued.messages);
    client.shutdown(Duration::ZERO).await;
    assert_eq!(opened(&store).await.1, None);
}

fn device(store: &Path) -> String {
    let conn = Connection::open(store).expect("as the test made it");
    conn.query_row("select value from meta where key = 'device_id'", [], |row| row.get(0)).expect("as the test made it")
}

#[tokio::test]
async fn damage_that_shows_while_running_is_told_and_mended_by_the_next_opening() {
    let (folder, store) = store();
    typed(&store, 3).await.shutdown(Duration::ZERO).await;
    let mut conn = Connection::open(&store).unwrap();
    let tx = conn.transaction().unwrap();
    tx.execute("insert into rooms values (?1, 1, 1, 900, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, null, null, null)", [ROOM])
        .unwrap();
    for seq in 1..=900 {
        tx.execute("insert into messages values (?1, ?2, 1, hex(zeroblob(450)), '', x'')", (ROOM, seq)).unwrap();
    }
    tx.commit().unwrap();
    drop(conn);
    spoil(&store);
    let client = open(&store).await.unwrap();
    assert_eq!(client.rescued(), None);
    let error = client.snapshot().await.unwrap_err();
    assert_eq!((error.kind, error.local), (ClientErrorKind::Storage, Some(LocalReason::StoreDamaged)));
    // What is elsewhere in the file still works.
    client.send(ROOM, "typed in spite of it").await.unwrap();
    client.shutdown(Duration::ZERO).await;
    let (texts, rescued) = opened(&store).await;
    let rescued = rescued.unwrap();
    assert_eq!((texts.len(), rescued.messages, rescued.complete), (4, 4, true));
    assert_eq!(names(folder.path(), ".broken-").len(), 1);
    assert_eq!(opened(&store).await.1, None);
}

#[tokio::test]
async fn a_rescue_that_was_killed_on_the_way_is_ended_by_the_next_opening() {
    let (folder, store) = store();
    typed(&store, 3).await.shutdown(Duration::ZERO).await;
    // Killed between the two renamings.
    fs::rename(&store, folder.path().join("store.db.new")).unwrap();
    assert_eq!(opened(&store).await.0.len(), 3);
    // Killed before the first: what it had begun is worth nothing.
    fs::write(folder.path().join("store.db.new"), "half a store").unwrap();
    assert_eq!(opened(&store).await.0.len(), 3);
    assert!(names(folder.path(), ".new").is_empty());
}
