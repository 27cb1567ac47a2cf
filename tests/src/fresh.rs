//! A fresh fetch: everything a person may know, asked by calls, and compared with what their device holds.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use madang_proto::v1::{self, list_messages_request::Position, room_summary::Verdict};
use madang_sdk_core::RoomSnapshot;

use crate::Person;

/// Fails with the first difference between a device and the server.
pub async fn compare(person: &Person) -> Result<()> {
    let rooms = my_rooms(person).await?;
    let held = person.client.snapshot().await?;
    let joined: Vec<&String> = held.rooms.iter().filter(|(_, room)| room.joined).map(|(id, _)| id).collect();
    let there: Vec<&String> = rooms.keys().collect();
    ensure!(joined == there, "rooms: held {joined:?}, there {there:?}");
    for (id, present) in &rooms {
        let room = &held.rooms[id];
        summary(present, room).with_context(|| format!("room {id}"))?;
        if room.rev == room.head_rev && room.rev > 0 {
            rows(person, id, room).await.with_context(|| format!("rows of room {id}"))?;
        }
    }
    let unread = person.calls.reads().get_unread(person.calls.request(v1::GetUnreadRequest {})).await?.into_inner();
    ensure!(held.unread_total == unread.unread, "unread total: held {}, there {}", held.unread_total, unread.unread);
    let mentions: usize = held.rooms.values().filter(|room| room.joined).map(|room| room.mentions.len()).sum();
    ensure!(i64::try_from(mentions)? == unread.mentions, "mentions: held {mentions}, there {}", unread.mentions);
    let me = person.calls.identity().get_me(person.calls.request(v1::GetMeRequest {})).await?.into_inner();
    ensure!(held.user_rev == me.user_rev, "user_rev: held {}, there {}", held.user_rev, me.user_rev);
    Ok(())
}

async fn my_rooms(person: &Person) -> Result<BTreeMap<String, v1::RoomPresent>> {
    let (mut rooms, mut page_token) = (BTreeMap::new(), String::new());
    loop {
        let request = v1::ListMyRoomsRequest { page_size: 0, page_token };
        let page = person.calls.rooms().list_my_rooms(person.calls.request(request)).await?.into_inner();
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

fn summary(there: &v1::RoomPresent, held: &RoomSnapshot) -> Result<()> {
    let (room, membership) = (there.room.as_ref().context("a room")?, there.membership.as_ref().context("a place")?);
    ensure!(held.head_rev == room.rev, "head_rev: held {}, there {}", held.head_rev, room.rev);
    ensure!(held.room.as_ref() == Some(room), "the room: held {:?}, there {room:?}", held.room);
    ensure!(
        held.last_message == there.last_message,
        "newest: held {:?}, there {:?}",
        held.last_message,
        there.last_message
    );
    let mine = held.membership.as_ref().context("a place")?;
    ensure!(mine == membership, "one's place: held {mine:?}, there {membership:?}");
    let unread = (room.count - membership.read_count.max(room.first_count)).max(0);
    ensure!(held.unread == unread, "unread: held {}, by the formula {unread}", held.unread);
    Ok(())
}

/// Messages of the range that is held, members and receipts.
async fn rows(person: &Person, id: &str, held: &RoomSnapshot) -> Result<()> {
    let mut there = BTreeMap::new();
    let mut after = held.low_seq - 1;
    loop {
        let request = v1::ListMessagesRequest {
            room_id: id.to_owned(),
            position: Some(Position::AfterSeq(after.max(0))),
            page_size: 200,
        };
        let page = person.calls.messages().list_messages(person.calls.request(request)).await?.into_inner();
        after = page.messages.last().map_or(after, |last| last.seq);
        there.extend(page.messages.into_iter().map(|message| (message.seq, message)));
        if !page.has_after {
            break;
        }
    }
    let (seqs, here): (Vec<_>, Vec<_>) = (there.keys().collect(), held.messages.keys().collect());
    ensure!(seqs == here, "positions: held {here:?}, there {seqs:?}");
    for (seq, message) in &there {
        ensure!(held.messages[seq] == *message, "message {seq}: held {:?}, there {message:?}", held.messages[seq]);
    }
    if held.room.as_ref().is_some_and(|room| !room.large) {
        members(person, id, held).await?;
    }
    Ok(())
}

async fn members(person: &Person, id: &str, held: &RoomSnapshot) -> Result<()> {
    let request = v1::ListMembersRequest { room_id: id.to_owned(), page_size: 500, ..Default::default() };
    let there = person.calls.rooms().list_members(person.calls.request(request)).await?.into_inner().members;
    let there: BTreeMap<String, v1::Member> =
        there.into_iter().map(|member| (member.user_id.clone(), member)).collect();
    let joined = held.members.iter().filter(|(_, member)| member.state() == v1::MemberState::Joined);
    let joined: BTreeMap<String, v1::Member> = joined.map(|(id, member)| (id.clone(), member.clone())).collect();
    ensure!(joined == there, "members: held {joined:?}, there {there:?}");
    let request = v1::ListReceiptsRequest { room_id: id.to_owned(), page_size: 500, ..Default::default() };
    let there = person.calls.reads().list_receipts(person.calls.request(request)).await?.into_inner().receipts;
    for receipt in there {
        let held = held.receipts.get(&receipt.user_id);
        ensure!(held == Some(&receipt), "receipt: held {held:?}, there {receipt:?}");
    }
    Ok(())
}
