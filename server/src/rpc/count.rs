//! How many connections there are, in all and by address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// Connections in all and by address.
#[derive(Debug)]
pub(super) struct Counts {
    most: usize,
    most_of_one: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Counts {
    pub(super) fn new(most: usize, most_of_one: usize) -> Self {
        Self { most, most_of_one, open: Mutex::default() }
    }

    /// Counts one more; `None`: there are too many.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Counted> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = open.by_address.get(&address).copied().unwrap_or_default();
        // A proxy on the same machine, or a developer: not somebody's flood.
        if open.all >= self.most || (of_one >= self.most_of_one && !address.is_loopback()) {
            return None;
        }
        open.all += 1;
        open.by_address.insert(address, of_one + 1);
        metrics::gauge!("madang_connections").increment(1);
        Some(Counted { counts: Arc::clone(self), address })
    }
}

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    counts: Arc<Counts>,
    address: IpAddr,
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("madang_connections").decrement(1);
        let mut open = self.counts.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        if let Some(count) = open.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_counted_in_all_and_by_address_until_it_ends() {
        let counts = Arc::new(Counts::new(3, 2));
        let (ann, bob) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = counts.take(ann).expect("one");
        let _second = counts.take(ann).expect("two");
        assert!(counts.take(ann).is_none(), "a third of one address");
        drop(first);
        let (_third, _fourth) = (counts.take(ann).expect("two again"), counts.take(bob).expect("another"));
        assert!(counts.take(bob).is_none(), "a fourth in all");
        let home = Arc::new(Counts::new(3, 1));
        let many = [[127, 0, 0, 1]; 3].map(|address| home.take(address.into()));
        assert!(many.iter().all(Option::is_some), "loopback is not counted by address");
    }
}
