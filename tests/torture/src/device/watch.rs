//! What a screen would have shown: the changes of an open timeline, in the order in which they were told.

use std::{collections::HashSet, fmt::Debug, sync::Arc};

use futures_util::FutureExt as _;
use madang_sdk_core::{Timeline, TimelineItem};
use tokio::sync::mpsc;

use crate::history::Sight;

/// Hears what timelines show.
pub trait Seen: Send + Sync + Debug {
    /// A timeline of a room, by the number of its opening, has shown something.
    fn saw(&self, room: &str, opening: u64, sight: Sight);
}

/// Wishes to scroll that wait.
const SCROLLS: usize = 4;

/// How a screen is told to scroll up by so many items.
pub type Scroll = mpsc::Sender<u16>;

/// The two ends of that.
pub fn scrolling() -> (Scroll, mpsc::Receiver<u16>) {
    mpsc::channel(SCROLLS)
}

/// Follows a timeline until its client ends.
pub async fn watch(mut timeline: Timeline, opening: u64, mut scrolls: mpsc::Receiver<u16>, seen: Arc<dyn Seen>) {
    let room = timeline.room_id().to_owned();
    // What a screen has that only applies the changes.
    let mut shown = timeline.items().to_vec();
    let mut newest = 0;
    arrivals(&shown, &mut newest, |sight| seen.saw(&room, opening, sight));
    loop {
        let mut told = tokio::select! {
            change = timeline.next() => match change {
                Some(change) => Some(change),
                None => return,
            },
            Some(count) = scrolls.recv() => {
                // Without a connection there is nothing older.
                timeline.load_older(count).await.ok();
                timeline.next().now_or_never().flatten()
            }
        };
        while let Some(batch) = told {
            for change in batch {
                change.apply(&mut shown);
            }
            arrivals(&shown, &mut newest, |sight| seen.saw(&room, opening, sight));
            told = timeline.next().now_or_never().flatten();
        }
        // Everything that is known is told: now the list is whole.
        if let Some(rows) = broken(&shown).or_else(|| broken(timeline.items())) {
            seen.saw(&room, opening, Sight::Broken { rows });
        }
    }
}

/// Everything in the list that is newer than anything seen before.
fn arrivals(items: &[TimelineItem], newest: &mut i64, mut tell: impl FnMut(Sight)) {
    let low = items.iter().find_map(row).unwrap_or_default();
    for seq in items.iter().filter_map(row) {
        if seq > *newest {
            *newest = seq;
            tell(Sight::Arrived { seq, low });
        }
    }
}

/// The position of an item that the server has told; an echo has none, even when it is acknowledged.
fn row(item: &TimelineItem) -> Option<i64> {
    match item {
        TimelineItem::Message(message) => message.seq.filter(|_| message.rev > 0),
        item => item.seq(),
    }
}

/// Whether it stands between items.
fn is_line(item: &TimelineItem) -> bool {
    matches!(item, TimelineItem::DayLine { .. } | TimelineItem::NewLine)
}

/// The list, if it has a hole, is out of order, or shows something twice. An echo counts as position 0.
fn broken(items: &[TimelineItem]) -> Option<Vec<i64>> {
    let rows: Vec<i64> = items.iter().filter(|item| !is_line(item)).map(|item| row(item).unwrap_or(0)).collect();
    let told = rows.iter().take_while(|seq| **seq > 0).count();
    let unbroken =
        rows[..told].windows(2).all(|pair| pair[1] == pair[0] + 1) && rows[told..].iter().all(|seq| *seq == 0);
    let mut keys = HashSet::new();
    let once = items.iter().all(|item| keys.insert(item.key()));
    (!unbroken || !once).then_some(rows)
}
