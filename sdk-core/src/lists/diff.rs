//! Changes of a list, as a screen applies them.
//!
//! Always true: the changes of a batch, applied one after the other, lead from the list as it was told to the list as it is;
//! nothing has to be read elsewhere.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

/// A change of an observed list. Places are those of the list at that moment: apply one after the other.
#[derive(Debug, Clone, PartialEq)]
pub enum ListChange<T> {
    /// New items at the end, in their order.
    Appended {
        /// The items.
        items: Vec<T>,
    },
    /// A new item, now at this place.
    Inserted {
        /// Place in the list.
        index: usize,
        /// The item.
        item: T,
    },
    /// An item is another now, at this place; it did not move.
    Changed {
        /// Place in the list.
        index: usize,
        /// The item.
        item: T,
    },
    /// An item has another place, and may be another in itself.
    Moved {
        /// Place in the list before.
        from: usize,
        /// Place in the list without it.
        to: usize,
        /// The item.
        item: T,
    },
    /// The item at this place is gone.
    Removed {
        /// Place in the list before.
        index: usize,
    },
    /// Everything from a place on is gone.
    Truncated {
        /// Items that stay.
        len: usize,
    },
    /// The list is another: too much changed to be told singly.
    Reset {
        /// The whole list.
        items: Vec<T>,
    },
}

impl<T> ListChange<T> {
    /// Makes the change. The list is the one that the changes before have led to.
    pub fn apply(self, list: &mut Vec<T>) {
        match self {
            Self::Appended { items } => list.extend(items),
            Self::Inserted { index, item } => list.insert(index, item),
            Self::Changed { index, item } => list[index] = item,
            Self::Moved { from, to, item } => {
                list.remove(from);
                list.insert(to, item);
            }
            Self::Removed { index } => drop(list.remove(index)),
            Self::Truncated { len } => list.truncate(len),
            Self::Reset { items } => *list = items,
        }
    }

    /// The items that it brings: new ones and new states of old ones.
    pub fn items(&self) -> &[T] {
        match self {
            Self::Appended { items } | Self::Reset { items } => items,
            Self::Inserted { item, .. } | Self::Changed { item, .. } | Self::Moved { item, .. } => {
                std::slice::from_ref(item)
            }
            Self::Removed { .. } | Self::Truncated { .. } => &[],
        }
    }
}

/// Changes that are told singly. Beyond that a listener is faster with the whole list; two full pages of a timeline with
/// their lines are fewer.
const TOLD_CHANGES: usize = 500;

/// What items of a list are recognised by.
pub(crate) trait Keyed {
    /// The key. No two items of a list have the same.
    type Key<'a>: Eq + Hash
    where
        Self: 'a;

    fn key(&self) -> Self::Key<'_>;
}

/// A list as its listener has seen it, and as it is now. What lies between is found when the listener asks: one that lags
/// costs nothing.
#[derive(Debug)]
pub(crate) struct Followed<T> {
    told: Vec<T>,
    now: Option<Vec<T>>,
}

impl<T: Keyed + Clone + PartialEq> Followed<T> {
    pub(crate) fn new(items: Vec<T>) -> Self {
        Self { told: items, now: None }
    }

    /// The list after the changes that were told.
    pub(crate) fn told(&self) -> &[T] {
        &self.told
    }

    /// The list with all changes.
    pub(crate) fn now(&self) -> &[T] {
        self.now.as_deref().unwrap_or(&self.told)
    }

    /// The list is this now.
    pub(crate) fn turn_into(&mut self, now: Vec<T>) {
        self.now = Some(now);
    }

    /// Counts everything as told: the list is just being opened.
    pub(crate) fn begin(&mut self) {
        if let Some(now) = self.now.take() {
            self.told = now;
        }
    }

    /// All changes that were not told, which from now on are; `None`: there is none.
    pub(crate) fn batch(&mut self) -> Option<Vec<ListChange<T>>> {
        let now = self.now.take()?;
        let changes = differences(&self.told, &now);
        self.told = now;
        (!changes.is_empty()).then_some(changes)
    }
}

/// Changes that lead from one list to another: few where few items are others, and one where too many are.
fn differences<T: Keyed + Clone + PartialEq>(from: &[T], to: &[T]) -> Vec<ListChange<T>> {
    let same = |(a, b): &(&T, &T)| a.key() == b.key();
    let head = from.iter().zip(to).take_while(same).count();
    let (rest_from, rest_to) = (&from[head..], &to[head..]);
    let tail = rest_from.iter().rev().zip(rest_to.iter().rev()).take_while(same).count();
    let (middle_from, middle_to) = (&rest_from[..rest_from.len() - tail], &rest_to[..rest_to.len() - tail]);
    let middle = Middle { head, last: tail == 0, from: middle_from, to: middle_to };
    let everything = || vec![ListChange::Reset { items: to.to_vec() }];
    let Some(mut changes) = middle.changes() else { return everything() };
    let kept = (0..head).chain(to.len() - tail..to.len());
    let before = |index: usize| if index < head { index } else { index + from.len() - to.len() };
    changes.extend(kept.filter(|index| to[*index] != from[before(*index)]).map(|index| changed(index, &to[index])));
    if changes.len() > TOLD_CHANGES { everything() } else { changes }
}

fn changed<T: Clone>(index: usize, item: &T) -> ListChange<T> {
    ListChange::Changed { index, item: item.clone() }
}

/// What lies between the beginning and the end that two lists have in common.
struct Middle<'a, T> {
    /// Items before it.
    head: usize,
    /// Nothing comes after it.
    last: bool,
    from: &'a [T],
    to: &'a [T],
}

impl<T: Keyed + Clone + PartialEq> Middle<'_, T> {
    /// `None`: too many, or nothing stays of a whole list.
    fn changes(&self) -> Option<Vec<ListChange<T>>> {
        let places: HashMap<T::Key<'_>, usize> =
            self.from.iter().enumerate().map(|(at, item)| (item.key(), at)).collect();
        // For each item of the new list its place in the old.
        let origins: Vec<Option<usize>> = self.to.iter().map(|item| places.get(&item.key()).copied()).collect();
        let kept: HashSet<usize> = origins.iter().flatten().copied().collect();
        let replaced = !self.from.is_empty() && !self.to.is_empty();
        if kept.is_empty() && replaced && self.head == 0 && self.last {
            return None;
        }
        let mut changes = Vec::new();
        self.remove(&kept, &mut changes);
        if changes.len() > TOLD_CHANGES {
            return None;
        }
        self.arrange(&origins, &kept, &mut changes)?;
        Some(changes)
    }

    fn remove(&self, kept: &HashSet<usize>, changes: &mut Vec<ListChange<T>>) {
        let gone = (0..self.from.len()).rev().filter(|at| !kept.contains(at));
        let mut end = self.from.len();
        let mut singly = Vec::new();
        for at in gone {
            // One at the end alone is told like any other.
            if self.last && at + 1 == end && singly.is_empty() {
                end = at;
            } else {
                singly.push(ListChange::Removed { index: self.head + at });
            }
        }
        if end < self.from.len() {
            changes.push(ListChange::Truncated { len: self.head + end });
        }
        changes.extend(singly);
    }

    /// Walks along the new list: what is there in the right order stays, the rest is moved or put in.
    fn arrange(
        &self,
        origins: &[Option<usize>],
        kept: &HashSet<usize>,
        changes: &mut Vec<ListChange<T>>,
    ) -> Option<()> {
        let stable = longest_increasing(origins);
        let mut list: Vec<Option<usize>> = (0..self.from.len()).filter(|at| kept.contains(at)).map(Some).collect();
        let mut others = Vec::new();
        let mut cursor = 0;
        for (index, (item, origin)) in self.to.iter().zip(origins).enumerate() {
            match origin {
                Some(at) if stable.contains(at) => {
                    while list[cursor] != Some(*at) {
                        cursor += 1;
                    }
                    if self.from[*at] != *item {
                        others.push(changed(self.head + index, item));
                    }
                }
                Some(at) => {
                    let from = list.iter().position(|held| held == &Some(*at))?;
                    list.remove(from);
                    cursor -= usize::from(from < cursor);
                    list.insert(cursor, None);
                    let (from, to) = (self.head + from, self.head + cursor);
                    changes.push(ListChange::Moved { from, to, item: item.clone() });
                }
                None if self.last && cursor == list.len() => {
                    list.push(None);
                    append(item, changes);
                }
                None => {
                    list.insert(cursor, None);
                    changes.push(ListChange::Inserted { index: self.head + cursor, item: item.clone() });
                }
            }
            cursor += 1;
            if changes.len() > TOLD_CHANGES {
                return None;
            }
        }
        changes.extend(others);
        Some(())
    }
}

/// Puts an item at the end, together with those that were put there just before.
fn append<T: Clone>(item: &T, changes: &mut Vec<ListChange<T>>) {
    if let Some(ListChange::Appended { items }) = changes.last_mut() {
        items.push(item.clone());
    } else {
        changes.push(ListChange::Appended { items: vec![item.clone()] });
    }
}

/// The most numbers that stand in rising order.
fn longest_increasing(numbers: &[Option<usize>]) -> HashSet<usize> {
    let numbers: Vec<usize> = numbers.iter().flatten().copied().collect();
    // For each length the smallest last number of a rising row, by its place.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(numbers.len());
    for (place, number) in numbers.iter().enumerate() {
        let length = ends.partition_point(|end| numbers[*end] < *number);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        if length == ends.len() {
            ends.push(place);
        } else {
            ends[length] = place;
        }
    }
    std::iter::successors(ends.last().copied(), |place| before[*place]).map(|place| numbers[place]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Item = (u16, u8);

    impl Keyed for Item {
        type Key<'a> = u16;

        fn key(&self) -> u16 {
            self.0
        }
    }

    fn of(keys: impl IntoIterator<Item = u16>) -> Vec<Item> {
        keys.into_iter().map(|key| (key, 0)).collect()
    }

    fn told(from: &[Item], to: &[Item]) -> Vec<ListChange<Item>> {
        let mut followed = Followed::new(from.to_vec());
        followed.turn_into(to.to_vec());
        followed.batch().unwrap_or_default()
    }

    #[test]
    fn one_room_that_comes_first_is_one_move() {
        let from = of(0..1000);
        let mut to = from.clone();
        let mut moved = to.remove(700);
        moved.1 = 1;
        to.insert(0, moved);
        assert_eq!(told(&from, &to), [ListChange::Moved { from: 700, to: 0, item: (700, 1) }]);
        assert_eq!(told(&to, &from), [ListChange::Moved { from: 0, to: 700, item: (700, 0) }]);
    }

    #[test]
    fn what_comes_at_the_end_is_one_change_and_so_is_what_goes_there() {
        let (few, many) = (of(0..3), of(0..900));
        assert_eq!(told(&few, &many), [ListChange::Appended { items: of(3..900) }]);
        assert_eq!(told(&many, &few), [ListChange::Truncated { len: 3 }]);
        assert_eq!(told(&many, &many), []);
    }

    #[test]
    fn a_listener_that_lags_is_told_the_whole_list() {
        let mut list = Followed::new(of(0..1000));
        for n in 0..=TOLD_CHANGES {
            let mut now = list.now().to_vec();
            now[n].1 = 1;
            list.turn_into(now);
        }
        let items = list.now().to_vec();
        assert_eq!(list.batch(), Some(vec![ListChange::Reset { items }]));
        assert_eq!(list.batch(), None);
    }

    #[test]
    fn a_list_of_which_nothing_stays_is_another() {
        assert_eq!(told(&of(0..50), &of(100..150)), [ListChange::Reset { items: of(100..150) }]);
    }

    fn list() -> impl Strategy<Value = Vec<Item>> {
        prop::collection::btree_map(0_u16..30, 0_u8..3, 0..20).prop_shuffled()
    }

    trait Shuffled {
        fn prop_shuffled(self) -> BoxedStrategy<Vec<Item>>;
    }

    impl<S: Strategy<Value = BTreeMap<u16, u8>> + 'static> Shuffled for S {
        fn prop_shuffled(self) -> BoxedStrategy<Vec<Item>> {
            self.prop_map(|items| items.into_iter().collect::<Vec<_>>()).prop_shuffle().boxed()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn the_changes_that_are_told_lead_to_the_list(steps in prop::collection::vec((list(), any::<bool>()), 1..6)) {
            let mut followed = Followed::new(Vec::new());
            let mut seen: Vec<Item> = Vec::new();
            for (list, looks) in steps {
                followed.turn_into(list.clone());
                if looks {
                    followed.batch().into_iter().flatten().for_each(|change| change.apply(&mut seen));
                    prop_assert_eq!(&seen, &list);
                }
                prop_assert_eq!(&seen, followed.told());
            }
        }
    }
}
