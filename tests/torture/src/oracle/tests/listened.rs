//! What a good server says on a stream: a verdict on each room, then its changes one by one.

use std::collections::BTreeMap;

use super::{AWAY, PEOPLE, name};
use crate::history::{Heard, News, RoomFacts, StreamFacts};

/// The stream of a person.
pub fn stream(rooms: &BTreeMap<String, RoomFacts>, person: &str) -> StreamFacts {
    let heard = rooms.iter().flat_map(|(id, room)| {
        let away = id == &format!("room{}", AWAY.0) && person == name(AWAY.1);
        let news = if away { with_absence(room, person) } else { without_absence(room, person) };
        news.into_iter().map(|news| Heard { room: id.clone(), news })
    });
    StreamFacts { person: person.to_owned(), open: true, heard: heard.collect() }
}

fn first() -> i64 {
    i64::try_from(PEOPLE).unwrap() + 1
}

/// A change, with its item where the person may see it.
fn event(room: &RoomFacts, person: &str, rev: i64) -> News {
    let from = room.members[person].history_from_seq;
    let item = room.messages.iter().find(|message| message.rev == rev && message.seq >= from);
    News::Event { prev_rev: rev - 1, rev, seq: item.map(|item| item.seq) }
}

fn without_absence(room: &RoomFacts, person: &str) -> Vec<News> {
    let member = &room.members[person];
    let last = if member.joined { room.rev } else { member.rev - 1 };
    let mut news = vec![News::Verdict { rev: first(), seqs: Vec::new() }];
    news.extend((first() + 1..=last).map(|rev| event(room, person, rev)));
    if !member.joined {
        news.push(News::Removed { prev_rev: last, rev: member.rev });
    }
    news
}

fn with_absence(room: &RoomFacts, person: &str) -> Vec<News> {
    let (_, _, went, came) = AWAY;
    let mut news = vec![News::Verdict { rev: first(), seqs: Vec::new() }];
    news.extend((first() + 1..went).map(|rev| event(room, person, rev)));
    news.extend([News::Removed { prev_rev: went - 1, rev: went }, News::Joined { rev: came, user_rev: 5 }]);
    news.push(News::Verdict { rev: came, seqs: vec![3] });
    news.extend((came + 1..=room.rev).map(|rev| event(room, person, rev)));
    news
}
