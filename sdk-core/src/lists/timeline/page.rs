//! The items of a window: rows, then what waits in the outbox, with lines between them.

use std::collections::{BTreeSet, HashSet};

use madang_proto::v1::Message;

use super::{
    day::{Day, Zone},
    item::{self, TimelineItem, echo},
    others::Others,
    window::{Ground, Window},
};
use crate::{
    people::Names,
    sabotage::Guard,
    store::{Read, messages, outbox},
};

/// What decides on lines.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lines {
    /// Where days begin.
    pub(super) zone: Zone,
    /// The last item that was read when the timeline was opened, if anything was unread.
    pub(super) unread_after: Option<i64>,
}

/// The items of a window, and people whose names are not known.
pub(super) fn read(
    r: &Read<'_>,
    ground: &Ground,
    window: Window,
    lines: Lines,
) -> rusqlite::Result<(Vec<TimelineItem>, BTreeSet<String>)> {
    let (state, room_id) = (&ground.state, &ground.state.room_id);
    let high = if window.high == 0 { state.seq } else { window.high };
    let rows = if state.ended { Vec::new() } else { messages::range(r.conn, room_id, window.low, high)? };
    let mut names = Names::new(r.conn);
    let others = Others::read(r, state)?;
    let own = if window.high == 0 { own_ids(&rows, r.me) } else { HashSet::new() };
    let mut items = Vec::with_capacity(rows.len() + 8);
    for row in rows {
        let mut item = item::item(row, r.me, &mut names)?;
        if let TimelineItem::Message(message) = &mut item {
            others.mark(message, &mut names)?;
        }
        items.push(item);
    }
    if window.high == 0 {
        for entry in outbox::shown(r.conn, room_id, state.seq)? {
            if !own.contains(&entry.change_id) || !r.guards.holds(Guard::EchoMerge) {
                items.push(TimelineItem::Message(echo(&entry, r.me, &mut names)?));
            }
        }
    }
    lay_over(r, room_id, &mut items)?;
    let begins = window.low <= state.first_seq();
    Ok((with_lines(items, lines, begins), names.missing))
}

/// The client's ids of one's own messages.
fn own_ids(rows: &[Message], me: &str) -> HashSet<String> {
    rows.iter().filter(|row| row.sender_id == me).map(|row| row.client_message_id.clone()).collect()
}

/// Lays what waits in the outbox over the messages that it changes.
fn lay_over(r: &Read<'_>, room_id: &str, items: &mut [TimelineItem]) -> rusqlite::Result<()> {
    for entry in outbox::edits(r.conn, room_id)? {
        for item in &mut *items {
            if let TimelineItem::Message(message) = item
                && item::is_of(&entry, message)?
            {
                item::lay_over(message, &entry)?;
            }
        }
    }
    Ok(())
}

/// Puts lines in. A day is begun once: an item whose time is a little earlier than that of the one before it, because a
/// server's clock was set, stays under the line that is there. `begins`: nothing comes before the first item.
fn with_lines(items: Vec<TimelineItem>, lines: Lines, begins: bool) -> Vec<TimelineItem> {
    let mut all = Vec::with_capacity(items.len() + 8);
    let (mut day, mut before) = (None::<Day>, None::<i64>);
    for item in items {
        let date = item.created_at().map(|time| lines.zone.day(time)).filter(|date| day.is_none_or(|day| *date > day));
        if let Some(date) = date {
            all.push(TimelineItem::DayLine { date });
            day = Some(date);
        }
        if let (Some(read), Some(seq)) = (lines.unread_after, item.seq()) {
            let first = match before {
                Some(before) => before <= read,
                None => begins || seq == read + 1,
            };
            if first && seq > read {
                all.push(TimelineItem::NewLine);
            }
        }
        before = item.seq().or(before);
        all.push(item);
    }
    all
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use madang_proto::v1::SystemKind;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        lists::timeline::{ItemKey, NoticeItem},
        people::Person,
    };

    const DAY: u64 = 24 * 3600;

    fn at(seq: i64, seconds: u64) -> TimelineItem {
        TimelineItem::Notice(NoticeItem {
            seq,
            created_at: UNIX_EPOCH + Duration::from_secs(seconds),
            kind: SystemKind::Joined,
            actor: Person { id: "ann".into(), name: "Ann".into() },
            people: Vec::new(),
            params: std::collections::BTreeMap::new(),
        })
    }

    fn keys(items: Vec<TimelineItem>, unread_after: Option<i64>, begins: bool) -> Vec<ItemKey> {
        let lines = Lines { zone: Zone::Offset(0), unread_after };
        with_lines(items, lines, begins).iter().map(TimelineItem::key).collect()
    }

    fn day(day: u32) -> ItemKey {
        ItemKey::Day(Day { year: 1970, month: 1, day })
    }

    #[test]
    fn each_day_begins_once_though_a_clock_was_set_back() {
        let items = vec![at(1, 10), at(2, DAY + 1), at(3, DAY - 1), at(4, DAY + 2), at(5, 3 * DAY)];
        let seqs = [day(1), ItemKey::Seq(1), day(2), ItemKey::Seq(2), ItemKey::Seq(3), ItemKey::Seq(4), day(4)];
        assert_eq!(keys(items, None, true)[..7], seqs);
    }

    #[test]
    fn the_new_line_lies_before_the_first_unread_item_and_nowhere_else() {
        let items = || (4..8).map(|seq| at(seq, 10)).collect::<Vec<_>>();
        let place = |read, begins| keys(items(), Some(read), begins).iter().position(|key| *key == ItemKey::New);
        // After the day's line.
        assert_eq!(place(5, false), Some(3));
        assert_eq!(place(3, false), Some(1));
        // The first unread item lies below the window.
        assert_eq!(place(2, false), None);
        assert_eq!(place(2, true), Some(1));
        assert_eq!(place(7, false), None);
    }

    proptest! {
        #[test]
        fn no_key_is_there_twice(times in prop::collection::vec(0_u64..9 * DAY, 0..40), read in 0_i64..40) {
            let items: Vec<_> = times.iter().zip(1..).map(|(time, seq)| at(seq, *time)).collect();
            let keys = keys(items, Some(read), true);
            prop_assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
        }
    }
}
