//! What timelines have shown: items arrive in order, without a hole, and once.

use std::collections::BTreeMap;

use super::{Findings, Wrong};
use crate::history::{History, Sight};

pub(super) fn check(history: &History, found: &mut Findings) {
    for device in &history.devices {
        let mut newest: BTreeMap<(&str, (u64, u64)), i64> = BTreeMap::new();
        for sighting in &device.sights {
            let whose = || format!("device {}, room {}, opening {:?}", device.device, sighting.room, sighting.opening);
            match &sighting.sight {
                Sight::Broken { rows } => broken(&whose(), rows, found),
                Sight::Arrived { seq, low } => {
                    let before = newest.insert((&sighting.room, sighting.opening), *seq);
                    if let Some(before) = before {
                        arrived(&whose(), before, *seq, *low, found);
                    }
                }
            }
        }
    }
}

/// The next position; a jump only where the list begins anew, because too much was missed.
fn arrived(whose: &str, before: i64, seq: i64, low: i64, found: &mut Findings) {
    found.check_for_good(seq != before, Wrong::Repeated, || format!("{whose}: {seq} arrived twice"));
    found.check_for_good(seq >= before, Wrong::Reordered, || format!("{whose}: {seq} arrived after {before}"));
    let joins = seq <= before + 1 || low > before;
    found.check_for_good(joins, Wrong::Lost, || format!("{whose}: {seq} arrived after {before}, in a list from {low}"));
}

fn broken(whose: &str, rows: &[i64], found: &mut Findings) {
    let told: Vec<i64> = rows.iter().copied().filter(|seq| *seq > 0).collect();
    let mut sorted = told.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let wrong = if sorted.len() < told.len() || told.windows(2).all(|pair| pair[1] == pair[0] + 1) {
        Wrong::Repeated
    } else if sorted != told {
        Wrong::Reordered
    } else {
        Wrong::Lost
    };
    found.check_for_good(false, wrong, || format!("{whose}: the list was {rows:?}"));
}
