//! People as a screen names them.

use std::collections::{BTreeSet, HashMap};

use madang_proto::v1::RoomKind;
use rusqlite::Connection;

use crate::store::{face::RoomFace, people};

/// A person as a screen names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The person.
    pub id: String,
    /// Shown name, else the login; empty while it is not known.
    pub name: String,
}

/// Looks people up, and notes whom it did not find.
pub(crate) struct Names<'a> {
    conn: &'a Connection,
    /// Names that were looked up: few people write most of what a screen shows.
    known: HashMap<String, String>,
    pub(crate) missing: BTreeSet<String>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(conn: &'a Connection) -> Self {
        Self { conn, known: HashMap::new(), missing: BTreeSet::new() }
    }

    pub(crate) fn person(&mut self, id: &str) -> rusqlite::Result<Person> {
        if let Some(name) = self.known.get(id) {
            return Ok(Person { id: id.to_owned(), name: name.clone() });
        }
        let name = match people::find(self.conn, id)? {
            Some(user) if user.display_name.is_empty() => user.login,
            Some(user) => user.display_name,
            None => {
                if !id.is_empty() {
                    self.missing.insert(id.to_owned());
                }
                String::new()
            }
        };
        self.known.insert(id.to_owned(), name.clone());
        Ok(Person { id: id.to_owned(), name })
    }

    /// The shown name of a room: in a direct room that of the other person.
    pub(crate) fn room(&mut self, room: &RoomFace, me: &str) -> rusqlite::Result<String> {
        match room.direct_user_ids.iter().find(|id| *id != me) {
            Some(other) if room.kind() == RoomKind::Dm => Ok(self.person(other)?.name),
            _ => Ok(room.name.clone()),
        }
    }

    pub(crate) fn people<'b>(&mut self, ids: impl IntoIterator<Item = &'b String>) -> rusqlite::Result<Vec<Person>> {
        ids.into_iter().map(|id| self.person(id)).collect()
    }
}
