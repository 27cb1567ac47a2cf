//! Many schedules beside each other, or one that is looked at.
#![expect(clippy::print_stdout, reason = "what came of the schedules is this program's answer")]

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use madang_sdk_core::simulation::Core;
use tokio::runtime::{Builder, Runtime};

use crate::{
    plan::Plan,
    world::{Outcome, Without, play},
};

/// Schedules after which a player's runtime is made anew: timers of hubs that are gone gather in it, and are never polled.
const RUNTIME_LASTS: u32 = 200;

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    Time(Instant),
    Schedules(u64),
}

/// What many schedules came to.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    pub(crate) schedules: u64,
    pub(crate) steps: u64,
    /// The smallest seed that failed, and how.
    pub(crate) failure: Option<(u64, String)>,
}

/// Plays schedules, with stores that are used again.
pub(crate) struct Player {
    cores: Vec<Core>,
    runtime: Runtime,
    played: u32,
}

impl Player {
    pub(crate) fn new() -> Self {
        Self { cores: Vec::new(), runtime: runtime(), played: 0 }
    }

    /// Plays a plan.
    pub(crate) fn play(&mut self, plan: &Plan, without: Without, trace: bool) -> Outcome {
        self.played += 1;
        if self.played.is_multiple_of(RUNTIME_LASTS) {
            self.runtime = runtime();
        }
        let _entered = self.runtime.enter();
        play(plan, without, &mut self.cores, trace)
    }
}

/// A runtime that only takes the hubs' timers: the scheduler does in simulated time what they would do.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime of one thread needs nothing")
}

/// Plays seeds from one on until it is time to stop or one fails; with `beside`, one that holds in such a world.
pub(crate) fn many(from: u64, until: Until, without: Without, beside: Option<Without>, threads: usize) -> Sum {
    let (next, stop) = (AtomicU64::new(from), AtomicBool::new(false));
    let sum = Mutex::new(Sum::default());
    let is_over = |seed: u64| match until {
        Until::Time(at) => Instant::now() >= at,
        Until::Schedules(most) => seed >= from + most,
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut player = Player::new();
                let mut mine = Sum::default();
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if is_over(seed) {
                        break;
                    }
                    let outcome = player.play(&Plan::of(seed), without, false);
                    mine.schedules += 1;
                    mine.steps += outcome.steps;
                    let Some(problem) = outcome.problem else { continue };
                    let holds = |beside| player.play(&Plan::of(seed), beside, false).problem.is_none();
                    if beside.is_none_or(holds) {
                        mine.failure = Some((seed, problem));
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                add(&mut sum.lock().unwrap_or_else(PoisonError::into_inner), mine);
            });
        }
    });
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn add(sum: &mut Sum, other: Sum) {
    sum.schedules += other.schedules;
    sum.steps += other.steps;
    let earlier = |(seed, _): &(u64, String)| sum.failure.as_ref().is_none_or(|(known, _)| seed < known);
    if let Some(failure) = other.failure.filter(earlier) {
        sum.failure = Some(failure);
    }
}

/// Plays many seeds and tells what came of them; `false` when one failed.
pub(crate) fn campaign(from: u64, until: Until, without: Without, threads: usize) -> bool {
    let begin = Instant::now();
    let sum = many(from, until, without, None, threads);
    let seconds = begin.elapsed().as_secs_f64();
    if let Some((seed, problem)) = &sum.failure {
        println!("seed {seed}: {problem}");
        show(*seed, without, false);
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let a_minute = sum.schedules as f64 * 60.0 / seconds;
    println!("{} schedules, {} steps in {seconds:.1} s: {a_minute:.0} schedules a minute", sum.schedules, sum.steps);
    sum.failure.is_none()
}

/// Plays one seed; one that fails is made smaller, and told action by action. `false` when it fails.
pub(crate) fn show(seed: u64, without: Without, trace: bool) -> bool {
    let mut player = Player::new();
    let plan = Plan::of(seed);
    let outcome = player.play(&plan, without, false);
    let Some(problem) = outcome.problem else {
        if trace {
            player.play(&plan, without, true);
        }
        println!("seed {seed} holds: {} steps, trace {:016x}", outcome.steps, outcome.hash);
        return true;
    };
    let player = std::cell::RefCell::new(player);
    let small = plan.shrunk(|plan| player.borrow_mut().play(plan, without, false).problem.is_some());
    let outcome = player.borrow_mut().play(&small, without, trace);
    println!("seed {seed} fails: {problem}\n{:?}", small.shape);
    println!("{} of {} actions fail as well:", small.actions.len(), plan.actions.len());
    for (at, action) in &small.actions {
        println!("  {:>7} ms  {action:?}", at / 1_000);
    }
    println!("  {}", outcome.problem.unwrap_or_default());
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_plays_the_same_twice() {
        let mut players = [Player::new(), Player::new()];
        players[1].play(&Plan::of(99), Without::default(), false);
        for seed in 0..40 {
            let [one, other] = players.each_mut().map(|player| player.play(&Plan::of(seed), Without::default(), false));
            assert_eq!(one, other, "seed {seed}");
        }
    }
}
