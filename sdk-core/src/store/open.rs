//! The store's file: what it must be to be opened, and how its connections are set.
//!
//! Always true: a file of a later version, or one whose key is another, is not touched. One that is damaged, or is none of
//! ours, is set aside (`rescue.rs`) and never overwritten.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{
    Look, Read, Rescued,
    lock::{Lock, beside},
    meta, outbox, rescue, schema,
};
#[cfg(feature = "encryption")]
use crate::config::StoreKey;
use crate::{
    clock::millis,
    config::{ClientConfig, Mode, StoreLocation},
    error::{ClientError, ClientErrorKind, LocalReason},
    sabotage::Guards,
};

/// Connections that read. Two, so that a long read does not hold up a list; a process that is there for one call has one.
const READERS: usize = 2;
/// How long to wait for a lock of `SQLite`'s own. The threads of one store hold none for long, so only a program that does
/// not know our lock is waited for.
const BUSY: Duration = Duration::from_secs(1);
/// Bytes of the write-ahead log that stay on the disk between bursts.
const LOG: i64 = 8 << 20;
/// Statements kept ready by a connection: more than there are.
const STATEMENTS: usize = 64;
/// Memory that a connection that reads keeps pages in. Each commit empties it, and a list is read once from its beginning to
/// its end: more than what one screen is looked up in would only be held.
const READ_CACHE_KIB: i64 = 512;
/// How a file of `SQLite` begins that is not encrypted.
const PLAIN: &[u8; 16] = b"SQLite format 3\0";

/// What is needed to open a store.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    pub(super) location: StoreLocation,
    mode: Mode,
    /// Now: names what is set aside.
    pub(super) now_ms: i64,
    #[cfg(feature = "encryption")]
    key: Option<StoreKey>,
}

impl From<&ClientConfig> for Opening {
    fn from(config: &ClientConfig) -> Self {
        Self {
            mode: config.mode,
            now_ms: millis(config.clock.now()),
            #[cfg(feature = "encryption")]
            key: config.key.clone(),
            ..config.store.clone().into()
        }
    }
}

impl From<StoreLocation> for Opening {
    fn from(location: StoreLocation) -> Self {
        Self {
            location,
            mode: Mode::Foreground,
            now_ms: 0,
            #[cfg(feature = "encryption")]
            key: None,
        }
    }
}

impl Opening {
    /// Connections that read beside the writer's.
    pub(super) fn readers(&self) -> usize {
        match (&self.location, self.mode) {
            (StoreLocation::Memory, _) => 0,
            (StoreLocation::File(_), Mode::Background) => 1,
            (StoreLocation::File(_), Mode::Foreground) => READERS,
        }
    }

    #[cfg(feature = "encryption")]
    fn has_key(&self) -> bool {
        self.key.is_some()
    }

    #[cfg(not(feature = "encryption"))]
    #[expect(clippy::unused_self, reason = "the same call as with the feature")]
    const fn has_key(&self) -> bool {
        false
    }
}

/// An open store.
pub(super) struct Opened {
    pub(super) conn: Connection,
    pub(super) lock: Option<Lock>,
    pub(super) rescued: Option<Rescued>,
}

/// Opens the writer's connection, after whatever that takes.
pub(super) fn open(opening: &Opening) -> Result<Opened, ClientError> {
    let StoreLocation::File(path) = &opening.location else {
        return Ok(Opened { conn: in_memory()?, lock: None, rescued: None });
    };
    check_place(path)?;
    let mut lock = Lock::take(path)?;
    rescue::finish(path)?;
    check_key(path, opening, &mut lock)?;
    let rescued = match examine(path, opening)? {
        Found::Usable => None,
        Found::Foreign => Some(rescue::set_aside(path, opening, false)?),
        Found::Damaged => Some(rescue::set_aside(path, opening, true)?),
    };
    let opened = match file(path, opening) {
        Err(error) if error.local == Some(LocalReason::StoreDamaged) && rescued.is_none() => {
            let rescued = rescue::set_aside(path, opening, true)?;
            (file(path, opening)?, Some(rescued))
        }
        opened => (opened?, rescued),
    };
    lock.note_encrypted(opening.has_key()).map_err(|error| ClientError::of_file(path, &error))?;
    Ok(Opened { conn: opened.0, lock: Some(lock), rescued: opened.1 })
}

/// A store that is gone with the process.
pub(super) fn in_memory() -> rusqlite::Result<Connection> {
    let mut conn = Connection::open_in_memory()?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    schema::migrate(&mut conn)?;
    Ok(conn)
}

/// A connection that only reads, to a store that was opened in order.
pub(super) fn reader(opening: &Opening) -> rusqlite::Result<Connection> {
    let conn = read_only(opening)?;
    // A number below zero counts kibibytes.
    conn.pragma_update(None, "cache_size", -READ_CACHE_KIB)?;
    Ok(conn)
}

/// A connection that only reads, to whatever file is there.
fn read_only(opening: &Opening) -> rusqlite::Result<Connection> {
    let StoreLocation::File(path) = &opening.location else { return in_memory() };
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    unlock(&conn, opening)?;
    conn.busy_timeout(BUSY)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}

/// Looks at one committed state.
pub(super) fn read(conn: &Connection, guards: Guards, look: Look) {
    let begun = conn.unchecked_transaction().and_then(|tx| Ok((meta::text(&tx, meta::USER_ID)?, tx)));
    match begun {
        Ok((me, tx)) => look(Ok(&Read { conn: &tx, me: &me, guards })),
        Err(error) => look(Err(error)),
    }
}

/// Opens or makes the file, with the newest schema.
pub(super) fn file(path: &Path, opening: &Opening) -> Result<Connection, ClientError> {
    let mut conn = Connection::open(path)?;
    unlock(&conn, opening)?;
    conn.busy_timeout(BUSY)?;
    // So that the file can become smaller; counts only before the first table is made.
    conn.pragma_update(None, "auto_vacuum", "incremental")?;
    conn.pragma_update(None, "journal_mode", "wal")?;
    conn.pragma_update(None, "journal_size_limit", LOG)?;
    conn.pragma_update(None, "synchronous", "normal")?;
    conn.pragma_update(None, "fullfsync", true)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    schema::migrate(&mut conn)?;
    // The first to read the rows that matter most, so that damage there shows while something can be done about it.
    outbox::recover(&conn)?;
    meta::text(&conn, meta::USER_ID)?;
    Ok(conn)
}

/// Removes everything that a store has on the disk, what was set aside among it. Fails if another has it open.
pub(super) fn erase(opening: &Opening) -> Result<(), ClientError> {
    let StoreLocation::File(path) = &opening.location else { return Ok(()) };
    let mut lock = Lock::take(path)?;
    let mut files: Vec<PathBuf> = ["", "-wal", "-shm"].iter().map(|suffix| beside(path, suffix)).collect();
    files.extend(rescue::leavings(path));
    for file in files {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(ClientError::of_file(&file, &error)),
            _ => {}
        }
    }
    lock.note_encrypted(false).map_err(|error| ClientError::of_file(path, &error))
}

fn check_place(path: &Path) -> Result<(), ClientError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let what = if path.is_dir() {
        "is a folder"
    } else if folder.is_some_and(|folder| !folder.is_dir()) {
        "lies in a folder that is not there"
    } else {
        return Ok(());
    };
    let message = format!("the store {} {what}", path.display());
    Err(ClientError::local(ClientErrorKind::Invalid, LocalReason::StorePathInvalid, message))
}

/// Whether the file is encrypted is known by its first bytes and by what the lock says, so that a missing key is not taken
/// for damage.
fn check_key(path: &Path, opening: &Opening, lock: &mut Lock) -> Result<(), ClientError> {
    let mut begin = Vec::new();
    if let Ok(file) = fs::File::open(path) {
        use io::Read as _;
        file.take(PLAIN.len() as u64).read_to_end(&mut begin).map_err(|error| ClientError::of_file(path, &error))?;
    }
    let (plain, empty) = (begin == PLAIN, begin.is_empty());
    let refused = |reason, message: &str| Err(ClientError::local(ClientErrorKind::Storage, reason, message));
    match opening.has_key() {
        true if plain => refused(LocalReason::StoreNotEncrypted, "the store is not encrypted, and a key was given"),
        false if !plain && !empty && lock.is_encrypted() => {
            refused(LocalReason::StoreKeyMissing, "the store is encrypted, and no key was given")
        }
        _ => Ok(()),
    }
}

/// What a file turns out to be.
enum Found {
    /// Ours, or nothing yet.
    Usable,
    /// Of another program.
    Foreign,
    /// Not readable as what it should be.
    Damaged,
}

/// Looks at a file without changing it. Fails if it is of a later version or if the key is not the right one.
fn examine(path: &Path, opening: &Opening) -> Result<Found, ClientError> {
    if fs::metadata(path).map_or(0, |file| file.len()) == 0 {
        return Ok(Found::Usable);
    }
    match look(path, opening) {
        Err(error) if error.local == Some(LocalReason::StoreDamaged) => Ok(Found::Damaged),
        found => found,
    }
}

fn look(path: &Path, opening: &Opening) -> Result<Found, ClientError> {
    let conn = read_only(opening)?;
    let kind = match schema::kind(&conn) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => return unreadable(opening),
        kind => kind?,
    };
    match kind {
        schema::Kind::Newer(version) => {
            let message = format!("the store is of a later version: {version}");
            return Err(ClientError::local(ClientErrorKind::Storage, LocalReason::StoreNewer, message));
        }
        schema::Kind::Foreign => return Ok(Found::Foreign),
        schema::Kind::Ours => {}
    }
    // A whole look takes as long as the file is large, so it is only taken when there was a sign.
    if !rescue::is_suspect(path) {
        return Ok(Found::Usable);
    }
    let verdict: String = conn.query_row("pragma quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Ok(Found::Damaged);
    }
    rescue::trust(path);
    Ok(Found::Usable)
}

/// With a key, a file that is none cannot be told from one with another key.
fn unreadable(opening: &Opening) -> Result<Found, ClientError> {
    if !opening.has_key() {
        return Ok(Found::Foreign);
    }
    let message = "the store cannot be read with this key";
    Err(ClientError::local(ClientErrorKind::Storage, LocalReason::StoreKeyWrong, message))
}

#[cfg(feature = "encryption")]
fn unlock(conn: &Connection, opening: &Opening) -> rusqlite::Result<()> {
    let Some(key) = &opening.key else { return Ok(()) };
    // It would write what it meets to the standard error.
    conn.pragma_update(None, "cipher_log_level", "none")?;
    conn.pragma_update(None, "key", key.literal())
}

#[cfg(not(feature = "encryption"))]
#[expect(clippy::unnecessary_wraps, reason = "the same call as with the feature")]
const fn unlock(_: &Connection, _: &Opening) -> rusqlite::Result<()> {
    Ok(())
}
