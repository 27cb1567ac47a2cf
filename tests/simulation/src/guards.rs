//! Each guard of server and client, and whether a schedule notices that it is out.
#![expect(clippy::print_stdout, reason = "the table is this program's answer")]

use std::time::Instant;

use madang_sdk_core::sabotage::Guard as ClientGuard;
use madang_server::sabotage::Guard as ServerGuard;

use crate::{
    run::{Until, many},
    world::Without,
};

/// Schedules within which the absence of a guard must show.
const SCHEDULES: u64 = 3_000;

/// Guards whose absence cannot show here, and why. Each has a story of its own (`cargo xtask guards`).
const NOT_HERE: &[(&str, &str)] = &[
    ("cancel_safe", "connections and tasks of the database are a model here"),
    ("bisection", "drafts are committed one by one here"),
    ("second_lane", "lanes of the writer are not played"),
];

/// Guards that another one makes unneeded as long as it is there; they are shown in a world without that one.
const BEHIND: &[(&str, &str)] = &[
    // A node that notices the hole first has its sessions ask for the person's state.
    ("client_user_spans", "index_repair"),
];

/// A guard of one of the two sides.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Server(ServerGuard),
    Client(ClientGuard),
}

impl Place {
    /// A world without it.
    pub(crate) fn without(self) -> Without {
        self.and_without(Without::default())
    }

    /// A world without it and without another one.
    fn and_without(self, other: Without) -> Without {
        match self {
            Self::Server(guard) => Without { server: Some(guard), ..other },
            Self::Client(guard) => Without { client: Some(guard), ..other },
        }
    }
}

fn all() -> impl Iterator<Item = (&'static str, Place)> {
    let server = ServerGuard::ALL.iter().map(|(name, guard)| (*name, Place::Server(*guard)));
    server.chain(ClientGuard::ALL.iter().map(|(name, guard)| (*name, Place::Client(*guard))))
}

/// The guard of a name.
pub(crate) fn find(name: &str) -> Option<Place> {
    all().find(|(known, _)| *known == name).map(|(_, place)| place)
}

/// Takes out each guard in turn and prints what notices; `false` when nothing does although something should.
pub(crate) fn show_all(threads: usize) -> bool {
    let begin = Instant::now();
    let (mut shown, mut schedules, mut steps) = (true, 0, 0);
    println!("{:<28} {:>6} {:>10}  what differed", "guard", "seed", "schedules");
    for (name, place) in all() {
        if let Some((_, why)) = NOT_HERE.iter().find(|(known, _)| *known == name) {
            println!("{name:<28} {:>6} {:>10}  not shown: {why}", "-", "-");
            continue;
        }
        let behind = BEHIND.iter().find(|(known, _)| *known == name).and_then(|(_, other)| find(other));
        let beside = behind.map_or_else(Without::default, Place::without);
        let sum = many(0, Until::Schedules(SCHEDULES), place.and_without(beside), Some(beside), threads);
        schedules += sum.schedules;
        steps += sum.steps;
        shown &= sum.failure.is_some();
        let (seed, what) = match sum.failure {
            Some((seed, what)) => (seed.to_string(), what),
            None => ("-".into(), "NOTHING NOTICED".into()),
        };
        let what: String = what.chars().take(110).collect();
        println!("{name:<28} {seed:>6} {:>10}  {what}", sum.schedules);
    }
    println!("{schedules} schedules, {steps} steps in {:.1} s", begin.elapsed().as_secs_f64());
    shown
}
