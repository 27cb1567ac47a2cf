//! Who has a store: an advisory lock on `<store>.lock`, which vanishes with the process however that ends.
//!
//! Always true: whoever holds it is the only one, of all processes and of all clients of this one, that has the file open.
//! The lock's file stays when the store is erased: removing it could give the lock to two.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{File, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    sync::{Condvar, Mutex},
    time::{Duration, Instant},
};

use crate::{
    error::{ClientError, ClientErrorKind, LocalReason},
    observe::lock,
};

/// How long to wait for a client of this process that is just ending. Its last write ends sooner on any disk that works.
const ENDING: Duration = Duration::from_secs(5);

/// What the lock's file says of a store that is encrypted; without the key nothing else tells it from rubbish.
const ENCRYPTED: &[u8] = b"encrypted";

/// Stores that clients of this process have open; whether each is just ending.
static HELD: Mutex<BTreeMap<PathBuf, bool>> = Mutex::new(BTreeMap::new());
/// One of them is free.
static FREED: Condvar = Condvar::new();

/// The store is one's own.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    place: PathBuf,
}

impl Lock {
    /// Takes the store at once. Fails with `STORE_BUSY` if another has it; waits only for one of this process that is ending.
    pub(super) fn take(store: &Path) -> Result<Self, ClientError> {
        let at = beside(store, ".lock");
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&at);
        let file = file.map_err(|error| ClientError::of_file(&at, &error))?;
        let place = at.canonicalize().unwrap_or(at);
        // The system's clock and not the client's: a test that moves time does not mean this.
        let until = Instant::now() + ENDING;
        let mut held = lock(&HELD);
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(ClientError::of_file(&place, &error)),
                Err(TryLockError::WouldBlock) => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if held.get(&place) != Some(&true) || left.is_zero() {
                let message = "another process or client has the store open";
                return Err(ClientError::local(ClientErrorKind::Storage, LocalReason::StoreBusy, message));
            }
            held = FREED.wait_timeout(held, left).map_or_else(|poisoned| poisoned.into_inner().0, |(held, _)| held);
        }
        held.insert(place.clone(), false);
        drop(held);
        Ok(Self { file, place })
    }

    /// By what [`ending`] knows it.
    pub(super) fn place(&self) -> &Path {
        &self.place
    }

    /// Whether the store was made with a key.
    pub(super) fn is_encrypted(&mut self) -> bool {
        let mut said = Vec::new();
        let read = self.file.rewind().and_then(|()| (&self.file).take(64).read_to_end(&mut said));
        read.is_ok() && said == ENCRYPTED
    }

    /// Notes whether the store is made with a key.
    pub(super) fn note_encrypted(&mut self, encrypted: bool) -> std::io::Result<()> {
        if self.is_encrypted() == encrypted {
            return Ok(());
        }
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(if encrypted { ENCRYPTED } else { &[] })?;
        self.file.sync_all()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut held = lock(&HELD);
        // Not by closing alone: a process that is being started may hold a copy of the file for a moment.
        let _ = self.file.unlock();
        held.remove(&self.place);
        FREED.notify_all();
    }
}

/// Whoever holds this store is about to let go of it.
pub(super) fn ending(place: &Path) {
    if let Some(ending) = lock(&HELD).get_mut(place) {
        *ending = true;
    }
}

/// A file beside the store: its name and something after it.
pub(super) fn beside(store: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(store);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_at_once_and_waits_only_for_one_that_is_ending() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store.db");
        let first = Lock::take(&store).unwrap();
        assert_eq!(Lock::take(&store).unwrap_err().local, Some(LocalReason::StoreBusy));
        ending(first.place());
        let second = std::thread::spawn(move || Lock::take(&store).map(drop));
        drop(first);
        second.join().unwrap().unwrap();
    }

    #[test]
    fn what_the_file_says_of_a_key_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store.db");
        let mut first = Lock::take(&store).unwrap();
        assert!(!first.is_encrypted());
        first.note_encrypted(true).unwrap();
        drop(first);
        assert!(Lock::take(&store).unwrap().is_encrypted());
    }
}
