//! Which rooms a list shows, and in which order.

use std::{cmp::Ordering, ops::Range};

use madang_proto::v1::RoomKind;

use crate::store::rooms::Depth;

/// Which rooms a list shows. By default all that the person is in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomFilter {
    /// Only rooms with unread items.
    pub unread: bool,
    /// Only rooms with unread messages that mention the person.
    pub mentions: bool,
    /// Only rooms of these kinds; empty: of all.
    pub kinds: Vec<RoomKind>,
    /// Only rooms whose shown name has this in it, in capitals or not; an initial consonant stands for any syllable that
    /// begins with it, as ㅎㄱㄷ for 홍길동. Empty: all.
    pub text: String,
}

/// In which order a list shows rooms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RoomSort {
    /// The most recently active first.
    #[default]
    Recent,
    /// By the shown name.
    Name,
    /// Those with unread items first, each part by the most recently active.
    UnreadFirst,
}

/// Which part of which rooms a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomQuery {
    /// Which rooms.
    pub filter: RoomFilter,
    /// In which order.
    pub sort: RoomSort,
    /// Which places of that are shown; absent: all.
    pub range: Option<Range<usize>>,
}

/// What decides on a room's place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Facts {
    pub(super) id: String,
    pub(super) active_ms: i64,
    pub(super) unread: i64,
    /// Looked at only where the depth says so, as what follows.
    pub(super) mentions: usize,
    pub(super) kind: RoomKind,
    /// The shown name in small letters.
    pub(super) name: String,
}

impl RoomQuery {
    /// What must be read of a room to decide on its place.
    pub(super) fn depth(&self) -> Depth {
        let RoomFilter { unread, mentions, kinds, text } = &self.filter;
        Depth {
            numbers: *unread || *mentions || self.sort == RoomSort::UnreadFirst,
            room: !kinds.is_empty() || !text.is_empty() || self.sort == RoomSort::Name,
            membership: *mentions,
        }
    }

    /// The rooms that are wanted, in order.
    pub(super) fn arrange<'a>(&self, rooms: impl Iterator<Item = &'a Facts>) -> Vec<&'a Facts> {
        let text: Vec<char> = self.filter.text.trim().to_lowercase().chars().collect();
        let mut wanted: Vec<&Facts> = rooms.filter(|room| self.filter.wants(room, &text)).collect();
        wanted.sort_unstable_by(|a, b| self.sort.compare(a, b));
        wanted
    }

    /// The places that are shown of so many.
    pub(super) fn places(&self, total: usize) -> Range<usize> {
        self.range
            .as_ref()
            .map_or(0..total, |range| range.start.min(total)..range.end.clamp(range.start.min(total), total))
    }
}

impl RoomFilter {
    fn wants(&self, room: &Facts, text: &[char]) -> bool {
        (!self.unread || room.unread > 0)
            && (!self.mentions || room.mentions > 0)
            && (self.kinds.is_empty() || self.kinds.contains(&room.kind))
            && (text.is_empty() || holds(&room.name, text))
    }
}

impl RoomSort {
    fn compare(self, a: &Facts, b: &Facts) -> Ordering {
        let recent = || b.active_ms.cmp(&a.active_ms).then_with(|| a.id.cmp(&b.id));
        match self {
            Self::Recent => recent(),
            Self::Name => a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)),
            Self::UnreadFirst => (b.unread > 0).cmp(&(a.unread > 0)).then_with(recent),
        }
    }
}

/// Whether a name has a text in it; both in small letters.
fn holds(name: &str, text: &[char]) -> bool {
    let name: Vec<char> = name.chars().collect();
    name.windows(text.len())
        .any(|part| part.iter().zip(text).all(|(c, wanted)| c == wanted || initial(*c) == Some(*wanted)))
}

/// The consonants that a syllable may begin with, in the order of Unicode.
const INITIALS: [char; 19] =
    ['ㄱ', 'ㄲ', 'ㄴ', 'ㄷ', 'ㄸ', 'ㄹ', 'ㅁ', 'ㅂ', 'ㅃ', 'ㅅ', 'ㅆ', 'ㅇ', 'ㅈ', 'ㅉ', 'ㅊ', 'ㅋ', 'ㅌ', 'ㅍ', 'ㅎ'];
/// Syllables that begin with the same consonant: 21 vowels, each with 27 final consonants or none.
const SYLLABLES: u32 = 21 * 28;

/// The consonant that a Korean syllable begins with.
fn initial(c: char) -> Option<char> {
    let place = u32::from(c).checked_sub(u32::from('가')).filter(|_| c <= '힣')?;
    INITIALS.get(usize::try_from(place / SYLLABLES).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initial_consonants_stand_for_syllables() {
        let holds = |name: &str, text: &str| holds(name, &text.chars().collect::<Vec<_>>());
        assert!(holds("홍길동", "ㅎㄱㄷ"));
        assert!(holds("우리 홍길동", "홍ㄱ"));
        assert!(holds("까치", "ㄲㅊ") && !holds("까치", "ㄱㅊ"));
        assert!(holds("plans", "lan") && !holds("plans", "plansx"));
        assert!(!holds("홍길동", "ㅎㄷ") && holds("힣", "ㅎ") && holds("가", "ㄱ"));
    }

    #[test]
    fn a_range_ends_where_the_rooms_end() {
        let places =
            |range: Range<usize>, total| RoomQuery { range: Some(range), ..RoomQuery::default() }.places(total);
        assert_eq!((places(0..20, 7), places(5..20, 7), places(9..20, 7), places(2..4, 7)), (0..7, 5..7, 7..7, 2..4));
        assert_eq!(RoomQuery::default().places(7), 0..7);
    }
}
