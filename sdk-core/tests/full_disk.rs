//! A store on a disk that is really full: a small file system of its own. Whoever may not mount one is told that nothing was tried.
#![cfg(target_os = "linux")]

mod ground;

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use madang_sdk_core::{Client, ClientErrorKind, LocalReason, TimelineItem};

use self::ground::{ROOM, open};

/// A small disk, in memory.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    /// `None`: it may not be mounted here.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(folder.path()).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then_some(Self { folder })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut file = File::create(self.at("filler")).expect("a file can be made");
        let full = loop {
            if let Err(error) = file.write_all(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull);
    }

    fn empty(&self) {
        fs::remove_file(self.at("filler")).expect("it is there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: what a failed test has open keeps nobody.
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

async fn texts(client: &Client) -> Vec<String> {
    let timeline = client.timeline(ROOM).await.expect("reading needs no room");
    let text = |item: &TimelineItem| match item {
        TimelineItem::Message(message) => Some(message.text.clone()),
        _ => None,
    };
    timeline.items().iter().filter_map(text).collect()
}

/// Types until the disk is full, and tells how much was taken.
async fn type_until_full(client: &Client) -> usize {
    for typed in 0.. {
        let Err(error) = client.send(ROOM, format!("{typed} {}", "x".repeat(2_000))).await else { continue };
        assert_eq!((error.kind, error.local), (ClientErrorKind::Storage, Some(LocalReason::DiskFull)), "{error}");
        return typed;
    }
    unreachable!("a megabyte is not without end")
}

#[tokio::test]
async fn on_a_full_disk_what_is_typed_is_refused_and_nothing_else_is_lost_until_there_is_room_again() {
    let Some(disk) = Disk::mount() else {
        eprintln!("nothing was tried: a file system may not be mounted here");
        return;
    };
    let store = disk.at("store.db");
    let client = open(&store).await.unwrap();
    client.send(ROOM, "before").await.unwrap();
    disk.fill();
    let typed = type_until_full(&client).await;
    // What was refused is nowhere; what was taken is there, in order.
    let held = texts(&client).await;
    assert_eq!(held.len(), typed + 1);
    assert_eq!(client.outbox().await.unwrap().items().len(), typed + 1);
    assert_eq!(client.set_draft(ROOM, &"d".repeat(9_000)).await.unwrap_err().local, Some(LocalReason::DiskFull));
    disk.empty();
    client.send(ROOM, "after").await.unwrap();
    assert_eq!(texts(&client).await, [held, vec!["after".to_owned()]].concat());
    // Nothing of it was only in memory.
    let held = texts(&client).await;
    client.shutdown(Duration::ZERO).await;
    assert_eq!(texts(&open(&store).await.unwrap()).await, held);
}

#[tokio::test]
async fn a_store_that_is_opened_on_a_full_disk_says_so_and_opens_when_there_is_room() {
    let Some(disk) = Disk::mount() else {
        eprintln!("nothing was tried: a file system may not be mounted here");
        return;
    };
    let store = disk.at("store.db");
    open(&store).await.unwrap().shutdown(Duration::ZERO).await;
    let held = opened(&store).await;
    disk.fill();
    let error = open(&store).await.unwrap_err();
    assert_eq!((error.kind, error.local), (ClientErrorKind::Storage, Some(LocalReason::DiskFull)), "{error}");
    disk.empty();
    assert_eq!(opened(&store).await, held, "it is the same store, and not one that was made anew");
}

/// The device that a store says it is.
async fn opened(store: &Path) -> String {
    let client = open(store).await.expect("there is room");
    assert_eq!(client.rescued(), None);
    let device = client.device_id().to_owned();
    client.shutdown(Duration::ZERO).await;
    device
}
