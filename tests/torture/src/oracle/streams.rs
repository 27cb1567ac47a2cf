//! What the server says on bare streams, where no client mends it: each room's changes in the order of revisions and without
//! a hole, nothing after one's removal, nothing from before one's time, and everything at last.

use std::collections::BTreeMap;

use madang_sdk_core::StoreSnapshot;

use super::{Findings, Wrong, database::is_in};
use crate::history::{EndedFacts, History, Move, News, RoomFacts, StreamFacts};

/// News of a room that are told with what is wrong, the newest first.
const LAST: usize = 5;

pub(super) fn check(history: &History, found: &mut Findings) {
    for (number, stream) in history.streams.iter().enumerate() {
        let whose = format!("stream {number} of {}", stream.person);
        stream_of(&whose, history, stream, found);
    }
    for ended in &history.ended {
        revoked(history, ended, found);
    }
}

/// How far a room is known on a stream.
#[derive(Debug, Default)]
struct Known {
    rev: Option<i64>,
    /// The last live change since the last verdict.
    event: Option<i64>,
    /// A live change that did not join.
    hole: Option<i64>,
    gone: bool,
    /// A verdict says so: what waited for it in the queue, from before the removal, may still come.
    by_verdict: bool,
    /// Revision and the person's number of the newest stay that was told: what ends an earlier one does not end it.
    stay: (i64, i64),
}

fn stream_of(whose: &str, history: &History, stream: &StreamFacts, found: &mut Findings) {
    let mut rooms: BTreeMap<&str, Known> = BTreeMap::new();
    for (at, heard) in stream.heard.iter().enumerate() {
        let whose = || format!("{whose}, room {}, after {:?}", heard.room, before(stream, &heard.room, at));
        let known = rooms.entry(&heard.room).or_default();
        let room = history.rooms.get(&heard.room);
        order(&whose, known, &heard.news, removal(room, &stream.person), found);
        leak(&whose, room, &stream.person, &heard.news, found);
    }
    if stream.open {
        for (id, known) in rooms {
            let Some(room) = history.rooms.get(id) else { continue };
            let whose = || format!("{whose}, room {id}, after {:?}", before(stream, id, stream.heard.len()));
            told(&whose, room, &stream.person, &known, found);
        }
    }
}

/// The last news of a room before a place in a stream, the newest first.
fn before<'a>(stream: &'a StreamFacts, room: &str, at: usize) -> Vec<&'a News> {
    let earlier = stream.heard[..at].iter().rev();
    earlier.filter(|heard| heard.room == room).map(|heard| &heard.news).take(LAST).collect()
}

/// Revisions rise, and join.
///
/// `removal`: up to which revision the listener may have been told before going.
fn order(whose: &impl Fn() -> String, known: &mut Known, news: &News, removal: i64, found: &mut Findings) {
    match news {
        News::Held { rev } => *known = Known { rev: Some(*rev), ..Known::default() },
        News::Verdict { rev, .. } => {
            let hole = known.hole.filter(|hole| hole > rev);
            *known = Known { rev: known.rev.max(Some(*rev)), hole, stay: known.stay, ..Known::default() };
        }
        News::Event { prev_rev, rev, .. } | News::Removed { prev_rev, rev } => {
            let waited = known.by_verdict && *rev <= removal;
            found.check_for_good(!known.gone || waited, Wrong::Leak, || {
                format!("{}: change {rev} comes after its listener has gone", whose())
            });
            let rises = known.event.is_none_or(|event| event < *rev);
            found.check_for_good(rises, Wrong::Reordered, || {
                format!("{}: change {rev} comes after {:?}", whose(), known.event)
            });
            if known.rev.is_some_and(|known| known < *prev_rev) {
                known.hole = known.hole.max(Some(*rev));
            }
            (known.rev, known.event) = (known.rev.max(Some(*rev)), Some(*rev));
            if matches!(news, News::Removed { .. }) && *rev > known.stay.0 {
                (known.gone, known.by_verdict) = (true, false);
            }
        }
        // A later stay is told anew.
        News::Gone { user_rev } => {
            let (stay, gone) = (known.stay, known.gone || *user_rev > known.stay.1);
            *known = Known { stay, gone, by_verdict: true, ..Known::default() };
        }
        News::Joined { rev, user_rev } => {
            known.gone &= *user_rev <= known.stay.1;
            known.stay = (known.stay.0.max(*rev), known.stay.1.max(*user_rev));
        }
    }
}

/// Nothing that the person may not see.
fn leak(whose: &impl Fn() -> String, room: Option<&RoomFacts>, person: &str, news: &News, found: &mut Findings) {
    let (rev, seqs) = match news {
        News::Event { rev, seq, .. } => (*rev, seq.as_slice()),
        News::Verdict { rev, seqs } => (*rev, seqs.as_slice()),
        News::Held { .. } | News::Removed { .. } | News::Gone { .. } | News::Joined { .. } => return,
    };
    let member = room.and_then(|room| Some((room, room.members.get(person)?)));
    let Some((room, member)) = member else {
        return found.add(Wrong::Leak, format!("{}: {rev} is told, and its listener was never in it", whose()));
    };
    found.check_for_good(member.joined || rev <= member.rev, Wrong::Leak, || {
        format!("{}: {rev} is told, and its listener went at {}", whose(), member.rev)
    });
    if member.joined && rev >= member.rev {
        let before = seqs.iter().find(|seq| **seq < member.history_from_seq);
        found.check_for_good(before.is_none(), Wrong::Leak, || {
            format!("{}: item {before:?} is told, and its listener may see from {}", whose(), member.history_from_seq)
        });
    }
    let away = absences(&room.moves, person).into_iter().find(|(went, came)| *went < rev && rev < *came);
    found.check_for_good(away.is_none(), Wrong::Leak, || {
        format!("{}: {rev} is told, and its listener was away between {away:?}", whose())
    });
}

/// The last change that somebody who was taken out may have been told; no bound where nothing tells of removals.
fn removal(room: Option<&RoomFacts>, person: &str) -> i64 {
    let Some((room, member)) = room.and_then(|room| Some((room, room.members.get(person)?))) else { return 0 };
    let went = room.moves.iter().filter(|step| step.person == person && !step.came).map(|step| step.rev + 1).max();
    if member.joined { went.unwrap_or(i64::MAX) } else { member.rev }
}

/// Between which revisions somebody was away and came back. A notice lies beside its membership, on either side.
fn absences(moves: &[Move], person: &str) -> Vec<(i64, i64)> {
    let own: Vec<&Move> = moves.iter().filter(|step| step.person == person).collect();
    let pairs = own.windows(2).filter(|pair| !pair[0].came && pair[1].came);
    pairs.map(|pair| (pair[0].rev + 1, pair[1].rev - 1)).collect()
}

/// Whoever listens to the end has been told everything.
fn told(whose: &impl Fn() -> String, room: &RoomFacts, person: &str, known: &Known, found: &mut Findings) {
    let Some(rev) = known.rev.filter(|_| is_in(room, person)) else { return };
    found.check(rev >= room.rev, Wrong::Lost, || {
        format!("{}: told up to {rev}, and the room is at {}", whose(), room.rev)
    });
    found.check(known.hole.is_none(), Wrong::Reordered, || {
        format!("{}: change {:?} did not join, and no verdict followed", whose(), known.hole)
    });
}

/// A device that was revoked says so, and has got nothing since.
fn revoked(history: &History, ended: &EndedFacts, found: &mut Findings) {
    let whose = format!("device {}, which was revoked,", ended.device);
    found.check(ended.over.is_some() || ended.closed, Wrong::Leak, || format!("{whose} does not know it"));
    // A store that was revoked before it heard of a restore has numbers of another history.
    let same = |store: &&StoreSnapshot| history.devices.iter().any(|device| device.store.epoch == store.epoch);
    for (id, held) in ended.store.iter().filter(same).flat_map(|store| &store.rooms) {
        let limit = ended.limits.get(id).copied().unwrap_or_default();
        let newest = held.messages.values().chain(&held.last_message).map(|message| message.rev).max();
        let newest = newest.unwrap_or_default().max(held.head_rev).max(held.rev);
        found.check(newest <= limit, Wrong::Leak, || {
            format!("{whose} holds {newest} of room {id}, which was at {limit}")
        });
    }
}
