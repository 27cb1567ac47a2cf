//! Spans: every durable frame states the number before it and after it.

/// What to do with a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It joins what is held.
    Apply,
    /// It is held already.
    Drop,
    /// Something before it is missing.
    Hole,
}

impl Verdict {
    /// Compares a span with the number held. A span may begin earlier than that: what it brings are whole states, and
    /// everything in it is told by it.
    pub(crate) fn of(from: i64, to: i64, held: i64) -> Self {
        if to <= held {
            Self::Drop
        } else if from <= held {
            Self::Apply
        } else {
            Self::Hole
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_applied_where_it_joins_dropped_where_it_is_held_and_else_a_hole() {
        assert_eq!(Verdict::of(4, 5, 4), Verdict::Apply);
        assert_eq!(Verdict::of(4, 5, 5), Verdict::Drop);
        assert_eq!(Verdict::of(4, 5, 9), Verdict::Drop);
        assert_eq!(Verdict::of(4, 5, 3), Verdict::Hole);
        assert_eq!(Verdict::of(2, 9, 4), Verdict::Apply);
    }
}
