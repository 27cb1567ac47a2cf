//! The rooms as the terminal knows them: numbered for the person, and watched for what is new in those that are not open.

use std::collections::BTreeMap;

use anyhow::Result;
use madang_sdk_core::{Client, ClientError, RoomFilter, RoomItem, RoomList, RoomQuery};

use crate::{screen::line, words::Language};

/// The list, and what was said of it.
pub(crate) struct Rooms {
    pub(crate) list: RoomList,
    told: BTreeMap<String, Told>,
    numbered: Vec<String>,
}

/// What the person was last told of a room.
struct Told {
    name: String,
    unread: i64,
}

impl Rooms {
    /// Rooms of the store count as known.
    pub(crate) async fn open(client: &Client) -> Result<Self> {
        let list = client.rooms().await?;
        let named = list.items().iter().filter(|room| !room.name.is_empty());
        let told = named.map(|room| (room.id.clone(), Told { name: room.name.clone(), unread: room.unread })).collect();
        Ok(Self { list, told, numbered: Vec::new() })
    }

    /// Tells what is new; tells which rooms are gone.
    pub(crate) fn tell(&mut self, language: Language, open: Option<&str>) -> Vec<String> {
        for room in self.list.items() {
            if room.name.is_empty() {
                continue;
            }
            let told = self.told.entry(room.id.clone()).or_insert_with(|| {
                line(&format!("+ {} {}", language.say("room", "방"), room.name));
                Told { name: room.name.clone(), unread: 0 }
            });
            if room.unread > told.unread && open != Some(&room.id) {
                line(&format!("* {}", badge(room, language)));
            }
            *told = Told { name: room.name.clone(), unread: room.unread };
        }
        let here: Vec<&str> = self.list.items().iter().map(|room| room.id.as_str()).collect();
        let gone: Vec<String> = self.told.keys().filter(|id| !here.contains(&id.as_str())).cloned().collect();
        for id in &gone {
            if let Some(told) = self.told.remove(id) {
                line(&format!("- {} {}", language.say("room", "방"), told.name));
            }
        }
        gone
    }

    /// Prints the rooms with numbers: first those one is in, then those one has left.
    pub(crate) async fn print(&mut self, client: &Client, language: Language) -> Result<()> {
        let left = client.former_rooms().await?;
        self.numbered = self.list.items().iter().chain(&left).map(|room| room.id.clone()).collect();
        if self.numbered.is_empty() {
            line(language.say("no rooms yet: /new NAME LOGIN...", "아직 방이 없습니다: /new 이름 로그인..."));
        }
        let mut number = 0;
        for room in self.list.items() {
            number += 1;
            line(&format!("{number:>3}. {}", badge(room, language)));
        }
        for room in &left {
            number += 1;
            let left = language.say("left", "나간 방");
            line(&format!("{number:>3}. {} ({left})", room.name));
        }
        Ok(())
    }

    /// Prints the rooms that have a text in their name.
    pub(crate) async fn search(
        &mut self,
        client: &Client,
        language: Language,
        text: String,
    ) -> Result<(), ClientError> {
        let filter = RoomFilter { text, ..RoomFilter::default() };
        let found = client.rooms_where(RoomQuery { filter, ..RoomQuery::default() }).await?;
        self.numbered = found.items().iter().map(|room| room.id.clone()).collect();
        for (number, room) in (1..).zip(found.items()) {
            line(&format!("{number:>3}. {}", badge(room, language)));
        }
        if found.items().is_empty() {
            line(language.say("no such room", "그런 방이 없습니다"));
        }
        Ok(())
    }

    /// The room that a number, a name or an id means; those one has left only if asked for.
    pub(crate) async fn find(&self, client: &Client, text: &str, left: bool) -> Result<Option<(String, String)>> {
        let mut all: Vec<RoomItem> = self.list.items().to_vec();
        if left {
            all.splice(0..0, client.former_rooms().await?);
        }
        let numbered: Vec<String> = if self.numbered.is_empty() {
            self.list.items().iter().map(|room| room.id.clone()).collect()
        } else {
            self.numbered.clone()
        };
        let by_number = text.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).and_then(|n| numbered.get(n));
        let found = by_number.and_then(|id| all.iter().find(|room| room.id == *id));
        let lower = text.to_lowercase();
        let found = found
            .or_else(|| all.iter().find(|room| room.id == text))
            .or_else(|| all.iter().find(|room| room.name == text))
            .or_else(|| all.iter().find(|room| room.name.to_lowercase() == lower));
        Ok(found.map(|room| (room.id.clone(), room.name.clone())))
    }

    /// A room's name.
    pub(crate) fn name(&self, room_id: &str) -> String {
        self.told.get(room_id).map_or_else(String::new, |told| told.name.clone())
    }
}

fn badge(room: &RoomItem, language: Language) -> String {
    let mentions = match room.mentions {
        0 => String::new(),
        100.. => format!(", {} 99+", language.say("mentions", "멘션")),
        count => format!(", {} {count}", language.say("mentions", "멘션")),
    };
    match room.unread {
        0 => room.name.clone(),
        unread => format!("{}: {} {unread}{mentions}", room.name, language.say("unread", "안 읽음")),
    }
}
