//! Which piece of a room a timeline shows, and how it moves. Everything here is decided from the store.
//!
//! Always true: a window lies in one piece that is held without a hole, or it is lost: a reset took that piece away, and it
//! keeps what it showed until the piece was fetched again.

use std::time::SystemTime;

use crate::{
    clock::system_time,
    store::{Read, islands, marks, messages, rooms},
    sync::{Island, RoomState},
};

/// Items shown where a timeline opens.
pub(super) const FIRST_PAGE: i64 = 50;
/// Items that a window holds at most; it lets go at its other end, so that neither a busy room nor a long scroll grows it
/// without end.
const MOST: i64 = 2000;

/// Where a timeline lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// At the newest item, which it follows.
    Newest,
    /// Around an item, by position.
    Message(i64),
    /// Around the first item of a time or after it.
    Date(SystemTime),
    /// Around the first unread item; at the newest when everything is read.
    FirstUnread,
}

/// Which piece of the room is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// It begins here; 0: not decided.
    pub(super) low: i64,
    /// It ends here; 0: it follows the newest item.
    pub(super) high: i64,
    /// What is in front of the person; 0: not told.
    pub(super) anchor: i64,
    /// The reset that this was decided after.
    reset_rev: i64,
}

/// Where a window lies now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In what is held.
    Held(Window),
    /// Lost; what was shown stays until the piece around this item is held again.
    Lost(Window),
}

/// Where an anchor lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// In what is held.
    Held(Window),
    /// Around an item that is not held.
    Item(i64),
    /// At a time of which nothing is held.
    Time(SystemTime),
}

/// A room as a window sees it.
pub(super) struct Ground {
    pub(super) state: RoomState,
    /// Pieces that are held, the highest last.
    pieces: Vec<Island>,
}

impl Ground {
    pub(super) fn read(r: &Read<'_>, room_id: &str) -> rusqlite::Result<Self> {
        let state = rooms::load(r.conn, room_id)?;
        let mut pieces = islands::of_room(r.conn, room_id)?;
        let range = Island { low: state.low_seq.max(1), high: state.seq };
        pieces.extend((range.low <= range.high).then_some(range));
        Ok(Self { state, pieces })
    }

    fn piece(&self, seq: i64) -> Option<Island> {
        self.pieces.iter().copied().find(|piece| piece.holds(seq))
    }

    fn first(&self) -> i64 {
        self.state.first_seq()
    }

    /// Whether everything that happened is held, as far as is known.
    pub(super) fn is_complete(&self) -> bool {
        self.state.rev > 0 && self.state.rev == self.state.head_rev
    }

    /// Whether the room is known by its summary alone: none of its rows was ever asked for.
    pub(super) fn is_summary(&self) -> bool {
        self.state.rev == 0 && self.state.head_rev > 0 && !self.state.ended
    }

    /// The window at the newest item.
    pub(super) fn newest(&self) -> Window {
        let low = if self.state.seq > 0 { self.state.low_seq.max(self.state.seq - FIRST_PAGE + 1).max(1) } else { 0 };
        Window { low, high: 0, anchor: 0, reset_rev: self.state.reset_rev }
    }

    /// The window of a range; one that reaches the newest item follows it.
    fn window(&self, low: i64, high: i64, anchor: i64) -> Window {
        let high = if high >= self.state.seq { 0 } else { high };
        Window { low, high, anchor, reset_rev: self.state.reset_rev }
    }

    /// The window around an item that is held.
    pub(super) fn around(&self, seq: i64) -> Option<Window> {
        let piece = self.piece(seq)?;
        let low = piece.low.max(seq - FIRST_PAGE / 2);
        let high = piece.high.min(low + FIRST_PAGE - 1);
        Some(self.window(low.min(piece.low.max(high - FIRST_PAGE + 1)), high, seq))
    }

    /// Where a window lies now; `shown` is the newest item that it showed.
    pub(super) fn place(&self, mut window: Window, shown: i64) -> Place {
        let beyond = window.low > self.state.seq + 1 && self.is_complete();
        if window.low == 0 || self.state.ended || beyond {
            return Place::Held(self.newest());
        }
        if window.high == 0 {
            if window.reset_rev == self.state.reset_rev {
                let low = window.low.max(self.state.low_seq).max(self.state.seq - MOST + 1);
                return Place::Held(Window { low, ..window });
            }
            if window.anchor == 0 || shown == 0 {
                // The newest item is what the person wants to see.
                return Place::Held(self.newest());
            }
            window.high = shown;
        }
        self.place_of_range(window)
    }

    fn place_of_range(&self, window: Window) -> Place {
        let (low, high) = (window.low.max(self.first()), window.high);
        if low > high {
            return Place::Held(self.newest());
        }
        if self.piece(low).is_some_and(|piece| piece.holds(high)) {
            return Place::Held(self.window(low, high, window.anchor));
        }
        let anchor = if window.anchor > 0 { window.anchor } else { i64::midpoint(low, high) };
        let anchor = anchor.clamp(low, high);
        // What was fetched again may be less than what was shown.
        match self.piece(anchor) {
            Some(piece) => Place::Held(self.window(low.max(piece.low), high.min(piece.high), anchor)),
            None => Place::Lost(Window { anchor, ..window }),
        }
    }

    /// What must be fetched before a window can show older items: the page below this one.
    pub(super) fn gap_below(&self, window: Window) -> Option<i64> {
        let piece = self.piece(window.low)?;
        (piece.low == window.low && window.low > self.first()).then_some(window.low)
    }

    /// The window with older items, and whether there are still older ones.
    pub(super) fn older(&self, window: Window, count: i64) -> (Window, bool) {
        let Some(piece) = self.piece(window.low) else { return (window, window.low > self.first()) };
        let low = piece.low.max(window.low - count);
        let high = if window.high == 0 { self.state.seq } else { window.high };
        (self.window(low, high.min(low + MOST - 1), window.anchor), low > self.first())
    }

    /// What must be fetched before a window can show newer items: the page above this one.
    pub(super) fn gap_above(&self, window: Window) -> Option<i64> {
        let piece = self.piece(window.high)?;
        (piece.high == window.high && window.high < self.state.seq).then_some(window.high)
    }

    /// The window with newer items, and whether there are still newer ones.
    pub(super) fn newer(&self, window: Window, count: i64) -> (Window, bool) {
        let Some(piece) = self.piece(window.high) else { return (window, window.high > 0) };
        let high = piece.high.min(window.high + count);
        let window = self.window(window.low.max(high - MOST + 1), high, window.anchor);
        (window, window.high > 0)
    }

    /// Where an anchor lies.
    pub(super) fn find(&self, r: &Read<'_>, anchor: Anchor) -> rusqlite::Result<Found> {
        let newest = self.state.room.as_ref().map_or(0, |room| room.seq).max(self.state.seq);
        let seq = match anchor {
            Anchor::Newest => return Ok(Found::Held(self.newest())),
            Anchor::Message(seq) => seq,
            Anchor::FirstUnread => match self.unread_after(r)? {
                Some(read) => read + 1,
                None => return Ok(Found::Held(self.newest())),
            },
            Anchor::Date(time) => match self.first_since(r, time)? {
                Some(seq) => seq,
                None => return Ok(Found::Time(time)),
            },
        };
        if seq > newest {
            return Ok(Found::Held(self.newest()));
        }
        let seq = seq.max(self.first());
        Ok(self.around(seq).map_or(Found::Item(seq), Found::Held))
    }

    /// The last item that is read, if anything is unread.
    pub(super) fn unread_after(&self, r: &Read<'_>) -> rusqlite::Result<Option<i64>> {
        let waiting = marks::find(r.conn, &self.state.room_id)?.map(|mark| mark.shown);
        let mark = marks::shown(self.state.mark(), waiting, r.guards);
        let unread = self.state.room.as_ref().map_or(0, |room| mark.unread(room.count, room.first_count));
        Ok((self.state.is_joined() && unread > 0).then_some(mark.seq))
    }

    /// The first item of a time or after it, if what is held tells: times rise with positions, but for clocks that are set.
    fn first_since(&self, r: &Read<'_>, time: SystemTime) -> rusqlite::Result<Option<i64>> {
        for piece in self.pieces.iter().rev() {
            let before = |seq| {
                let row = messages::find(r.conn, &self.state.room_id, seq)?;
                Ok::<_, rusqlite::Error>(row.is_none_or(|row| system_time(row.created_at.as_ref()) < time))
            };
            let begins = piece.low <= self.first();
            if before(piece.high)? {
                let is_newest = piece.high == self.state.seq && self.is_complete();
                return Ok(is_newest.then_some(piece.high + 1));
            }
            if begins || before(piece.low)? {
                let (mut low, mut high) = (piece.low, piece.high);
                while low < high {
                    let middle = low + (high - low) / 2;
                    if before(middle)? { low = middle + 1 } else { high = middle }
                }
                return Ok(Some(low));
            }
        }
        Ok(None)
    }
}
