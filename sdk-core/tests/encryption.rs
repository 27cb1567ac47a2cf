//! A store with a key: `cargo test -p madang-sdk-core --features encryption`.
#![cfg(feature = "encryption")]

mod ground;

use std::{
    fs,
    io::{Seek as _, SeekFrom, Write as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use madang_sdk_core::{Client, ClientConfig, ClientError, LocalReason, StoreKey, StoreLocation};

use self::ground::{AnyToken, ROOM, config, open, store};

async fn with_key(store: &Path, byte: u8) -> Result<Client, ClientError> {
    let key = Some(StoreKey::new([byte; 32]));
    Client::open(ClientConfig { key, ..config(StoreLocation::File(store.to_owned())) }, Arc::new(AnyToken)).await
}

async fn fill(store: &Path, count: usize) {
    let client = with_key(store, 7).await.expect("it opens");
    for n in 0..count {
        client.send(ROOM, format!("{n} secret words {}", "x".repeat(500))).await.expect("it is kept");
    }
    client.shutdown(Duration::ZERO).await;
}

fn refusal(opened: Result<Client, ClientError>) -> Option<LocalReason> {
    opened.expect_err("the key does not fit").local
}

#[tokio::test]
async fn what_was_typed_can_be_read_with_the_key_alone() {
    let (folder, store) = store();
    fill(&store, 3).await;
    for file in fs::read_dir(folder.path()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"secret" || part == b"SQLite"));
    }
    let client = with_key(&store, 7).await.unwrap();
    assert_eq!(client.snapshot().await.unwrap().outbox.len(), 3);
    client.suspend().await.unwrap();
    client.resume().await.unwrap();
    assert_eq!(client.snapshot().await.unwrap().outbox.len(), 3);
}

#[tokio::test]
async fn a_wrong_key_is_told_and_the_file_is_not_touched() {
    let (folder, store) = store();
    fill(&store, 3).await;
    let before = fs::read(&store).unwrap();
    assert_eq!(refusal(with_key(&store, 8).await), Some(LocalReason::StoreKeyWrong));
    assert_eq!(refusal(open(&store).await), Some(LocalReason::StoreKeyMissing));
    assert_eq!(fs::read(&store).unwrap(), before);
    let names = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    assert!(!names.into_iter().any(|name| name.contains("broken")));
    assert_eq!(with_key(&store, 7).await.unwrap().snapshot().await.unwrap().outbox.len(), 3);
}

#[tokio::test]
async fn a_store_without_a_key_is_not_opened_with_one() {
    let (_folder, store) = store();
    open(&store).await.unwrap().shutdown(Duration::ZERO).await;
    assert_eq!(refusal(with_key(&store, 7).await), Some(LocalReason::StoreNotEncrypted));
    open(&store).await.unwrap();
}

#[tokio::test]
async fn a_damaged_store_with_a_key_is_rescued_into_one_with_the_same() {
    let (_folder, store) = store();
    fill(&store, 200).await;
    let middle = fs::metadata(&store).unwrap().len() / 4096 / 2 * 4096;
    let mut file = fs::File::options().write(true).open(&store).unwrap();
    file.seek(SeekFrom::Start(middle)).unwrap();
    file.write_all(&[0xff; 64]).unwrap();
    drop(file);
    let client = with_key(&store, 7).await.unwrap();
    let rescued = client.rescued().unwrap();
    assert!(rescued.messages > 150 && !rescued.complete, "{rescued:?}");
    client.shutdown(Duration::ZERO).await;
    assert_eq!(refusal(with_key(&store, 8).await), Some(LocalReason::StoreKeyWrong));
}

#[test]
fn a_key_is_never_shown() {
    let config = ClientConfig { key: Some(StoreKey::new([7; 32])), ..config(StoreLocation::Memory) };
    assert!(format!("{config:?}").contains("StoreKey(..)") && !format!("{config:?}").contains("7, 7"));
}
