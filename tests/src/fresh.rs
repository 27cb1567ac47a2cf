//! A fresh fetch: everything a person may know, asked by calls, and compared with what their device holds.

use std::{
    collections::BTreeMap,
    fmt::{self, Debug},
};

use anyhow::{Context as _, Result, bail};
use madang_proto::v1::{self, list_messages_request::Position, room_summary::Verdict};
use madang_sdk_core::{RoomSnapshot, StoreSnapshot};

use crate::{Person, person::Calls};

/// What the server says when asked anew.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fresh {
    /// Rooms that the person is in, by id.
    pub rooms: BTreeMap<String, FreshRoom>,
    /// Unread items of all rooms.
    pub unread: i64,
    /// Unread mentions of all rooms.
    pub mentions: i64,
    /// Number of the person's changes.
    pub user_rev: i64,
}

/// A room as the server tells it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FreshRoom {
    /// The summary.
    pub present: v1::RoomPresent,
    /// Items that the person may see, by position.
    pub messages: BTreeMap<i64, v1::Message>,
    /// Who is in, by id; nobody in a large room.
    pub members: BTreeMap<String, v1::Member>,
    /// How far they have read; nobody in a large room.
    pub receipts: Vec<v1::Receipt>,
}

/// What a difference is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// Something held.
    Store,
    /// A number that a screen shows: unread items or mentions.
    Badge,
}

/// A difference between a device and the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is about.
    pub about: About,
    /// What is held and what is there.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Fails with the first difference between a device and the server.
pub async fn compare(person: &Person) -> Result<()> {
    let there = fetch(&person.calls).await?;
    match differences(&person.client.snapshot().await?, &there).first() {
        Some(first) => bail!("{first}"),
        None => Ok(()),
    }
}

/// Asks for everything.
pub async fn fetch(calls: &Calls) -> Result<Fresh> {
    let mut rooms = BTreeMap::new();
    for (id, present) in my_rooms(calls).await? {
        let room = room(calls, &id, present).await.with_context(|| format!("room {id}"))?;
        rooms.insert(id, room);
    }
    let unread = calls.reads().get_unread(calls.request(v1::GetUnreadRequest {})).await?.into_inner();
    let me = calls.identity().get_me(calls.request(v1::GetMeRequest {})).await?.into_inner();
    Ok(Fresh { rooms, unread: unread.unread, mentions: unread.mentions, user_rev: me.user_rev })
}

async fn my_rooms(calls: &Calls) -> Result<BTreeMap<String, v1::RoomPresent>> {
    let (mut rooms, mut page_token) = (BTreeMap::new(), String::new());
    loop {
        let request = v1::ListMyRoomsRequest { page_size: 0, page_token };
        let page = calls.rooms().list_my_rooms(calls.request(request)).await?.into_inner();
        for summary in page.rooms {
            if let Some(Verdict::Present(present)) = summary.verdict {
                rooms.insert(summary.room_id, present);
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(rooms);
        }
    }
}

async fn room(calls: &Calls, id: &str, present: v1::RoomPresent) -> Result<FreshRoom> {
    let messages = messages(calls, id).await?;
    if present.room.as_ref().is_some_and(|room| room.large) {
        return Ok(FreshRoom { present, messages, ..FreshRoom::default() });
    }
    let request = v1::ListMembersRequest { room_id: id.to_owned(), page_size: 500, ..Default::default() };
    let members = calls.rooms().list_members(calls.request(request)).await?.into_inner().members;
    let members = members.into_iter().map(|member| (member.user_id.clone(), member)).collect();
    let request = v1::ListReceiptsRequest { room_id: id.to_owned(), page_size: 500, ..Default::default() };
    let receipts = calls.reads().list_receipts(calls.request(request)).await?.into_inner().receipts;
    Ok(FreshRoom { present, messages, members, receipts })
}

async fn messages(calls: &Calls, id: &str) -> Result<BTreeMap<i64, v1::Message>> {
    let (mut there, mut after) = (BTreeMap::new(), 0);
    loop {
        let position = Some(Position::AfterSeq(after));
        let request = v1::ListMessagesRequest { room_id: id.to_owned(), position, page_size: 200 };
        let page = calls.messages().list_messages(calls.request(request)).await?.into_inner();
        after = page.messages.last().map_or(after, |last| last.seq);
        there.extend(page.messages.into_iter().map(|message| (message.seq, message)));
        if !page.has_after {
            return Ok(there);
        }
    }
}

/// Everything in which a device differs from the server.
pub fn differences(held: &StoreSnapshot, there: &Fresh) -> Vec<Difference> {
    let mut found = Found::default();
    let joined: Vec<&String> = held.rooms.iter().filter(|(_, room)| room.joined).map(|(id, _)| id).collect();
    found.store("rooms", &joined, &there.rooms.keys().collect());
    for (id, room) in &there.rooms {
        let Some(held) = held.rooms.get(id) else { continue };
        found.place = format!("room {id}: ");
        summary(&mut found, held, &room.present);
        if held.rev == held.head_rev && held.rev > 0 {
            rows(&mut found, held, room);
        }
    }
    found.place.clear();
    found.badge("unread total", &held.unread_total, &there.unread);
    let mentions = held.rooms.values().filter(|room| room.joined).map(|room| room.mentions.len()).sum::<usize>();
    found.badge("mentions", &i64::try_from(mentions).unwrap_or(i64::MAX), &there.mentions);
    found.store("user_rev", &held.user_rev, &there.user_rev);
    found.all
}

/// Differences as they are found.
#[derive(Debug, Default)]
struct Found {
    place: String,
    all: Vec<Difference>,
}

impl Found {
    fn store<T: PartialEq + Debug>(&mut self, name: &str, held: &T, there: &T) {
        self.differ(About::Store, name, held, there);
    }

    fn badge<T: PartialEq + Debug>(&mut self, name: &str, held: &T, there: &T) {
        self.differ(About::Badge, name, held, there);
    }

    fn differ<T: PartialEq + Debug>(&mut self, about: About, name: &str, held: &T, there: &T) {
        if held != there {
            let what = format!("{}{name}: held {held:?}, there {there:?}", self.place);
            self.all.push(Difference { about, what });
        }
    }
}

fn summary(found: &mut Found, held: &RoomSnapshot, there: &v1::RoomPresent) {
    let (room, membership) = (there.room.clone().unwrap_or_default(), there.membership.clone().unwrap_or_default());
    found.store("head_rev", &held.head_rev, &room.rev);
    found.store("the room", &held.room, &there.room);
    found.store("newest", &held.last_message, &there.last_message);
    found.store("one's place", &held.membership, &there.membership);
    let unread = (room.count - membership.read_count.max(room.first_count)).max(0);
    found.badge("unread, by the formula", &held.unread, &unread);
}

/// Messages of the range that is held, members and receipts.
fn rows(found: &mut Found, held: &RoomSnapshot, there: &FreshRoom) {
    let range: BTreeMap<&i64, &v1::Message> = there.messages.range(held.low_seq.max(0)..).collect();
    let (held_seqs, seqs): (Vec<_>, Vec<_>) = (held.messages.keys().collect(), range.keys().copied().collect());
    found.store("positions", &held_seqs, &seqs);
    for (seq, message) in range {
        if let Some(held) = held.messages.get(seq) {
            found.store(&format!("message {seq}"), held, message);
        }
    }
    if held.room.as_ref().is_some_and(|room| !room.large) {
        let joined = held.members.iter().filter(|(_, member)| member.state() == v1::MemberState::Joined);
        let joined = joined.map(|(id, member)| (id.clone(), member.clone())).collect();
        found.store("members", &joined, &there.members);
        for receipt in &there.receipts {
            found.store("receipt", &held.receipts.get(&receipt.user_id), &Some(receipt));
        }
    }
}
