//! Making a plan that fails smaller: halves are left out, then quarters, for as long as it still fails.

use super::{Action, Plan, Step};

/// A search for a smaller plan.
#[derive(Debug)]
pub struct Shrink {
    best: Plan,
    /// Steps left out at once.
    piece: usize,
    /// Where the next piece begins.
    at: usize,
}

impl Shrink {
    /// Begins with a plan that fails.
    pub fn new(plan: Plan) -> Self {
        let piece = plan.steps.len().div_ceil(2);
        Self { best: plan, piece, at: 0 }
    }

    /// The smallest plan so far that fails.
    pub fn best(&self) -> &Plan {
        &self.best
    }

    /// A smaller plan to try; `None`: no single step can be left out any more.
    pub fn candidate(&mut self) -> Option<Plan> {
        loop {
            if self.at >= self.best.steps.len() {
                if self.piece <= 1 {
                    return None;
                }
                (self.piece, self.at) = (self.piece.div_ceil(2), 0);
            }
            let end = (self.at + self.piece).min(self.best.steps.len());
            let steps = without(&self.best.steps, self.at, end);
            if steps.len() < self.best.steps.len() {
                return Some(Plan { steps, ..self.best.clone() });
            }
            self.at = end;
        }
    }

    /// Takes in whether the candidate failed too.
    pub fn tried(&mut self, candidate: Plan, failed: bool) {
        if failed {
            self.best = candidate;
        } else {
            self.at += self.piece;
        }
    }
}

/// Steps without a piece. What others refer to by index stays: rooms, devices, and the last look.
fn without(steps: &[Step], from: usize, to: usize) -> Vec<Step> {
    let last = steps.len() - 1;
    let stays = |n: usize, step: &Step| {
        let named = matches!(
            step.action,
            Action::CreateRoom { .. } | Action::OpenDirect { .. } | Action::NewDevice { .. } | Action::SignIn { .. }
        );
        !(from..to).contains(&n) || n == last || named
    };
    steps.iter().enumerate().filter(|(n, step)| stays(*n, step)).map(|(_, step)| step.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Fault, Settings, generate};

    #[test]
    fn of_a_plan_that_fails_for_two_steps_these_remain() {
        let settings =
            Settings { nodes: 1, clients: 3, rooms: 2, steps: 120, faults: vec![Fault::Cut], in_process: false };
        let plan = generate(1, &settings);
        let text = |step: &Step| match &step.action {
            Action::Send { text, .. } => Some(text.clone()),
            _ => None,
        };
        let sends: Vec<String> = plan.steps.iter().filter_map(text).collect();
        let needed = [&sends[2], &sends[sends.len() - 2]];
        let fails = |plan: &Plan| {
            needed.iter().all(|wanted| plan.steps.iter().any(|step| text(step).as_ref() == Some(*wanted)))
        };
        assert!(fails(&plan));
        let mut shrink = Shrink::new(plan);
        while let Some(candidate) = shrink.candidate() {
            let failed = fails(&candidate);
            shrink.tried(candidate, failed);
        }
        let sends = shrink.best().steps.iter().filter(|step| matches!(step.action, Action::Send { .. })).count();
        assert_eq!(sends, 2);
    }
}
