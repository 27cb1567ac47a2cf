//! Read marks. They merge by maximum within one generation, and a greater generation replaces: so neither an old device
//! nor an old message of one's own undoes "mark as unread".

use madang_proto::v1::{Membership, Message};

use crate::sabotage::{Guard, Guards};

/// How far a person has read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    /// Raised by "mark as unread".
    pub(crate) generation: i64,
    /// Everything up to here.
    pub(crate) seq: i64,
    /// Countable items up to there.
    pub(crate) count: i64,
}

impl Mark {
    /// The mark of a membership.
    pub(crate) fn of(membership: &Membership) -> Self {
        Self { generation: membership.read_generation, seq: membership.last_read_seq, count: membership.read_count }
    }

    /// The mark that a message of one's own carries, if it moved it.
    pub(crate) fn of_own(message: &Message, me: &str) -> Option<Self> {
        let generation = message.mark_generation.filter(|_| message.sender_id == me)?;
        Some(Self { generation, seq: message.seq, count: message.count })
    }

    /// Both marks in one. The order of the fields is the rule: generation first.
    pub(crate) fn merge(self, other: Self, guards: Guards) -> Self {
        if guards.holds(Guard::Generation) {
            return self.max(other);
        }
        let furthest = if other.seq > self.seq { other } else { self };
        Self { generation: self.generation.max(other.generation), ..furthest }
    }

    /// Unread items of a room.
    pub(crate) fn unread(self, count: i64, first_count: i64) -> i64 {
        count.saturating_sub(self.count.max(first_count)).max(0)
    }

    pub(crate) fn write(self, membership: &mut Membership) {
        membership.read_generation = self.generation;
        membership.last_read_seq = self.seq;
        membership.read_count = self.count;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mark(generation: i64, seq: i64) -> Mark {
        Mark { generation, seq, count: seq }
    }

    #[test]
    fn an_older_generation_moves_nothing_and_a_greater_one_replaces() {
        let guards = Guards::default();
        assert_eq!(mark(1, 3).merge(mark(0, 9), guards), mark(1, 3));
        assert_eq!(mark(0, 9).merge(mark(1, 3), guards), mark(1, 3));
        assert_eq!(mark(1, 3).merge(mark(1, 5), guards), mark(1, 5));
    }

    #[test]
    fn what_retention_removed_is_not_unread() {
        assert_eq!(mark(0, 2).unread(10, 0), 8);
        assert_eq!(mark(0, 2).unread(10, 7), 3);
        assert_eq!(mark(0, 12).unread(10, 0), 0);
    }

    proptest! {
        #[test]
        fn marks_merge_to_the_same_in_any_order(marks in prop::collection::vec((0_i64..4, 0_i64..20), 1..12)) {
            let guards = Guards::default();
            let merge = |marks: &[(i64, i64)]| {
                marks.iter().fold(Mark::default(), |held, (generation, seq)| held.merge(mark(*generation, *seq), guards))
            };
            let mut other = marks.clone();
            other.reverse();
            prop_assert_eq!(merge(&marks), merge(&other));
            other.sort_unstable();
            other.extend(marks.clone());
            prop_assert_eq!(merge(&marks), merge(&other));
        }
    }
}
