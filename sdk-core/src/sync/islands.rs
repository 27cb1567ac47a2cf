//! Older pieces of a room that are held beside its range, because somebody jumped there.
//!
//! Always true: an island lies below the range and touches neither it nor another; every row of it that the person may see
//! is in the store as of the room's `rev`. That needs no care of its own: deltas and events bring every changed row whatever
//! its position, rows merge by revision, and what skips changes (a reset) ends all islands.

/// Islands of a room; of more the lowest is forgotten. More jumps into far places than a person makes between two resets.
const ISLANDS: usize = 64;

/// A piece of a room, without a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Island {
    /// Its first item.
    pub(crate) low: i64,
    /// Its last item.
    pub(crate) high: i64,
}

impl Island {
    /// Whether an item lies in it.
    pub(crate) fn holds(self, seq: i64) -> bool {
        (self.low..=self.high).contains(&seq)
    }

    /// Whether both are one piece together.
    fn touches(self, other: Self) -> bool {
        self.low <= other.high.saturating_add(1) && other.low <= self.high.saturating_add(1)
    }

    fn with(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }
}

/// Takes a piece out together with all islands that it touches.
pub(crate) fn joined(islands: &mut Vec<Island>, piece: Island) -> Island {
    let (touching, rest) = islands.iter().partition::<Vec<_>, _>(|island| island.touches(piece));
    *islands = rest;
    touching.into_iter().fold(piece, Island::with)
}

/// Adds a piece that touches none, in its place.
pub(crate) fn add(islands: &mut Vec<Island>, piece: Island) {
    let at = islands.partition_point(|island| island.low < piece.low);
    islands.insert(at, piece);
    let beyond = islands.len().saturating_sub(ISLANDS);
    islands.drain(..beyond);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_become_the_fewest_that_hold_the_same(pieces in prop::collection::vec((1_i64..60, 0_i64..9), 0..20)) {
            let (mut islands, mut held) = (Vec::new(), BTreeSet::new());
            for (low, more) in pieces {
                held.extend(low..=low + more);
                let piece = joined(&mut islands, Island { low, high: low + more });
                add(&mut islands, piece);
            }
            prop_assert!(islands.windows(2).all(|pair| pair[0].high + 1 < pair[1].low));
            prop_assert_eq!(islands.iter().flat_map(|island| island.low..=island.high).collect::<BTreeSet<_>>(), held);
        }
    }

    #[test]
    fn of_too_many_the_lowest_is_forgotten() {
        let mut islands = Vec::new();
        for n in 0..=ISLANDS {
            let low = i64::try_from(n).unwrap() * 10;
            add(&mut islands, Island { low, high: low });
        }
        assert_eq!((islands.len(), islands[0].low), (ISLANDS, 10));
    }
}
