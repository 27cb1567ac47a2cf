//! A store that cannot be read any more: what was typed is taken out of it as far as it can be, the file is set aside, and
//! the server fills a new one.
//!
//! Always true: nothing is overwritten and no more removed than the oldest of what was set aside; a process that is killed on
//! the way leaves either the old file or a new one with what was rescued.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use rusqlite::{
    Connection, Row, params_from_iter,
    types::{FromSql, Value},
};

use super::{lock::beside, open, open::Opening};
use crate::{config::StoreLocation, error::ClientError};

/// Files set aside that are kept, for whoever wants to look at them.
const KEPT: usize = 3;
/// Rows taken out of one table; far more than anybody has typed and not sent.
const ROWS: usize = 100_000;

/// What is taken out, by key: what was typed and read and is not at the server, and who the store belongs to.
const TABLES: [(&str, &str, &str); 4] = [
    ("outbox", "id", "true"),
    ("drafts", "room_id", "true"),
    ("marks", "room_id", "true"),
    ("meta", "key", "key in ('device_id', 'user_id')"),
];

/// What became of a store that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rescued {
    /// Where the file lies now.
    pub set_aside: PathBuf,
    /// Messages of the outbox that were taken over, those that the server has acknowledged among them.
    pub messages: usize,
    /// Drafts that were taken over.
    pub drafts: usize,
    /// Whether everything that was typed could be read.
    pub complete: bool,
}

/// A row, by column.
type Cells = Vec<(String, Value)>;

/// Takes out what can be read, sets the file aside, and puts a new one in its place. A file of another program is set aside
/// alone.
pub(super) fn set_aside(path: &Path, opening: &Opening, is_ours: bool) -> Result<Rescued, ClientError> {
    let mut rescued = Rescued { set_aside: free_name(path, opening.now_ms), messages: 0, drafts: 0, complete: true };
    let fresh = beside(path, NEW);
    remove_with_logs(&fresh)?;
    let new = open::file(&fresh, opening)?;
    if is_ours {
        take_over(opening, &new, &mut rescued)?;
    }
    new.close().map_err(|(_, error)| error)?;
    for suffix in ["-wal", "-shm", ""] {
        move_if_there(&beside(path, suffix), &beside(&rescued.set_aside, suffix))?;
    }
    move_if_there(&fresh, path)?;
    trust(path);
    forget_oldest(path);
    tracing::warn!(?rescued, "the store could not be read and was set aside");
    Ok(rescued)
}

/// Ends what a process that was killed had begun.
pub(super) fn finish(path: &Path) -> Result<(), ClientError> {
    let fresh = beside(path, NEW);
    if fresh.exists() && !path.exists() {
        return move_if_there(&fresh, path);
    }
    remove_with_logs(&fresh)
}

/// Notes that the file showed damage: the next opening looks at the whole of it.
pub(super) fn suspect(opening: &Opening) {
    if let StoreLocation::File(path) = &opening.location
        && let Err(error) = fs::write(beside(path, SUSPECT), [])
    {
        tracing::warn!(%error, "that the store is damaged could not be noted");
    }
}

/// Whether the file has shown damage.
pub(super) fn is_suspect(path: &Path) -> bool {
    beside(path, SUSPECT).exists()
}

/// The file was looked at, or is a new one.
pub(super) fn trust(path: &Path) {
    // One that stays costs another look.
    let _ = fs::remove_file(beside(path, SUSPECT));
}

/// Everything that lies beside the store because of this module.
pub(super) fn leavings(path: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = broken(path).into_values().flatten().collect();
    let fresh = beside(path, NEW);
    files.extend([beside(path, SUSPECT), beside(&fresh, "-wal"), beside(&fresh, "-shm"), fresh]);
    files
}

const NEW: &str = ".new";
const SUSPECT: &str = ".damaged";
const BROKEN: &str = ".broken-";

fn take_over(opening: &Opening, new: &Connection, rescued: &mut Rescued) -> rusqlite::Result<()> {
    for (table, key, which) in TABLES {
        let select = format!("select * from {table} where {which} order by {key}");
        let (rows, complete) = rows(opening, &select);
        rescued.complete &= complete;
        let count = insert(new, table, rows)?;
        match table {
            "outbox" => rescued.messages = count,
            "drafts" => rescued.drafts = count,
            _ => {}
        }
    }
    Ok(())
}

/// Rows from the beginning to where it cannot be read, and from the end to there; and whether those are all.
fn rows(opening: &Opening, select: &str) -> (Vec<Cells>, bool) {
    let (mut rows, mut from_the_end) = (Vec::new(), Vec::new());
    if read(opening, select, &mut rows).is_ok() {
        return (rows, true);
    }
    // What cannot be read has ended the first.
    let _ = read(opening, &format!("{select} desc"), &mut from_the_end);
    from_the_end.reverse();
    rows.extend(from_the_end);
    (rows, false)
}

/// Reads on a connection of its own: one that has met damage may be good for nothing.
fn read(opening: &Opening, select: &str, rows: &mut Vec<Cells>) -> rusqlite::Result<()> {
    let conn = open::reader(opening)?;
    let mut statement = conn.prepare(&format!("{select} limit {ROWS}"))?;
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        rows.push(cells(row, &names)?);
    }
    Ok(())
}

fn cells(row: &Row<'_>, names: &[String]) -> rusqlite::Result<Cells> {
    let cell = |(n, name): (usize, &String)| Ok((name.clone(), Value::column_result(row.get_ref(n)?)?));
    names.iter().enumerate().map(cell).collect()
}

/// Puts rows in, with the columns that the table still has; one that is there already stays.
fn insert(conn: &Connection, table: &str, rows: Vec<Cells>) -> rusqlite::Result<usize> {
    let mut columns = conn.prepare(&format!("select name from pragma_table_info('{table}')"))?;
    let columns: Vec<String> = columns.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let tx = conn.unchecked_transaction()?;
    let mut count = 0;
    for row in rows {
        let (names, values): (Vec<String>, Vec<Value>) =
            row.into_iter().filter(|(name, _)| columns.contains(name)).unzip();
        let places = vec!["?"; names.len()].join(", ");
        let sql = format!("insert or ignore into {table} ({}) values ({places})", names.join(", "));
        count += tx.prepare_cached(&sql)?.execute(params_from_iter(values))?;
    }
    tx.commit()?;
    Ok(count)
}

fn free_name(path: &Path, now_ms: i64) -> PathBuf {
    let names = (now_ms..).map(|ms| beside(path, &format!("{BROKEN}{ms}")));
    names.into_iter().find(|name| !name.exists()).expect("not every name is taken")
}

fn move_if_there(from: &Path, to: &Path) -> Result<(), ClientError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ClientError::of_file(from, &error)),
        _ => Ok(()),
    }
}

fn remove_with_logs(path: &Path) -> Result<(), ClientError> {
    for file in ["", "-wal", "-shm"].map(|suffix| beside(path, suffix)) {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(ClientError::of_file(&file, &error)),
            _ => {}
        }
    }
    Ok(())
}

/// Files that were set aside, by time.
fn broken(path: &Path) -> BTreeMap<i64, Vec<PathBuf>> {
    let mut broken: BTreeMap<i64, Vec<PathBuf>> = BTreeMap::new();
    let begin = beside(path, BROKEN);
    let (Some(folder), Some(begin)) = (path.parent(), begin.file_name().and_then(|name| name.to_str())) else {
        return broken;
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    for file in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = file.file_name();
        let time = name.to_str().and_then(|name| name.strip_prefix(begin)).and_then(|rest| {
            let digits = rest.split('-').next()?;
            digits.parse().ok()
        });
        if let Some(time) = time {
            broken.entry(time).or_default().push(file.path());
        }
    }
    broken
}

fn forget_oldest(path: &Path) {
    let broken = broken(path);
    let old = broken.len().saturating_sub(KEPT);
    for file in broken.into_values().take(old).flatten() {
        // One that stays goes with the next.
        let _ = fs::remove_file(file);
    }
}
