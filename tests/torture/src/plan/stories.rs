//! Stories: a few steps that belong together and that chance alone hardly ever puts in a row. Each makes a room of its own,
//! and everything else goes on around it.

use rand::{Rng as _, seq::IndexedRandom as _};

use super::{
    Action, Fault, Step,
    generate::{PATIENT_MS, World},
};

/// How long a room may take to be there, and to be shown.
const MADE_MS: u64 = 250;
/// How long a flood may take.
const FLOODED_MS: u64 = 5_000;
/// More items than a client is told one by one.
const VERY_MANY: std::ops::Range<usize> = 510..640;
/// How often somebody is sent back and forth, or a message edited.
const BOUNCES: usize = 5;
const EDITS: u64 = 8;
/// A line that is slow for so long.
const SLOW_MS: u64 = 700;

/// Who takes part: one who makes a room, and another.
#[derive(Debug, Clone, Copy)]
struct Cast {
    host: usize,
    guest: usize,
    /// The person of the guest.
    person: usize,
    room: usize,
}

impl World<'_> {
    /// One of the stories; nothing when there are rooms enough, or nobody to play it.
    pub(super) fn story(&mut self) -> Vec<Step> {
        let stories: [fn(&mut Self, Cast) -> Vec<Step>; 5] =
            [Self::long_absence, Self::new_stay, Self::back_and_forth, Self::edited_by_two, Self::edited_while_loading];
        let Some(story) = stories.choose(&mut self.rng).copied() else { return Vec::new() };
        let Some(cast) = self.cast() else { return Vec::new() };
        let mut steps = vec![
            step(0, self.room_of(cast)),
            step(
                MADE_MS,
                Action::Send {
                    device: cast.host,
                    room: cast.room,
                    text: self.text(),
                    mention: None,
                    mention_all: false,
                },
            ),
            step(0, Action::Look { device: cast.guest, rooms: vec![cast.room] }),
        ];
        steps.extend(story(self, cast));
        steps.push(step(MADE_MS, Action::Look { device: cast.guest, rooms: vec![cast.room, 0] }));
        steps
    }

    /// Two devices of different people, and a room that is not there yet.
    fn cast(&mut self) -> Option<Cast> {
        if self.rooms >= self.most_rooms() {
            return None;
        }
        let (host, guest) = (self.device(), self.device());
        let person = self.devices[guest].person;
        if self.devices[host].person == person {
            return None;
        }
        self.rooms += 1;
        Some(Cast { host, guest, person, room: self.rooms - 1 })
    }

    fn room_of(&mut self, cast: Cast) -> Action {
        let hidden = self.rng.random_ratio(2, 3);
        let third = self.person();
        let mut people = vec![cast.person, third];
        people.dedup();
        Action::CreateRoom { device: cast.host, room: cast.room, open: false, hidden, people }
    }

    /// Away while more happens than is told one by one, and older things change.
    fn long_absence(&mut self, cast: Cast) -> Vec<Step> {
        let Cast { host, guest, room, .. } = cast;
        let mut steps = self.sends(host, room, 6);
        steps.push(step(MADE_MS, Action::Sleep { device: guest }));
        let (person, count) = (self.devices[host].person, self.rng.random_range(VERY_MANY));
        steps.push(step(0, Action::Flood { person, room, count, text: self.text() }));
        for pick in 0..3 {
            steps.push(step(0, self.edit(host, room, pick)));
        }
        steps.push(step(FLOODED_MS, Action::Wake { device: guest }));
        steps
    }

    /// Taken out and brought in again while away.
    fn new_stay(&mut self, cast: Cast) -> Vec<Step> {
        let Cast { host, guest, person, room } = cast;
        let mut steps = self.sends(host, room, 4);
        let away = self.rng.random_ratio(1, 2);
        if away {
            steps.push(step(MADE_MS, Action::Sleep { device: guest }));
        }
        steps.push(step(MADE_MS, Action::Remove { device: host, room, person, within_ms: PATIENT_MS }));
        steps.extend(self.sends(host, room, 3));
        steps.push(step(0, Action::Invite { device: host, room, person, within_ms: PATIENT_MS }));
        steps.extend(self.sends(host, room, 2));
        if away {
            steps.push(step(MADE_MS, Action::Wake { device: guest }));
        }
        steps
    }

    /// Out and in again and again, on a slow line.
    fn back_and_forth(&mut self, cast: Cast) -> Vec<Step> {
        let Cast { host, guest, person, room } = cast;
        let mut steps = Vec::new();
        if self.settings.faults.contains(&Fault::Delay) {
            steps.push(step(MADE_MS, Action::Break { fault: Fault::Delay, target: guest, for_ms: SLOW_MS }));
        }
        for _ in 0..BOUNCES {
            steps.push(step(0, Action::Remove { device: host, room, person, within_ms: PATIENT_MS }));
            steps.push(step(0, self.send(host, room)));
            steps.push(step(0, Action::Invite { device: host, room, person, within_ms: PATIENT_MS }));
        }
        steps
    }

    /// Two devices of one person change the same message at once.
    fn edited_by_two(&mut self, cast: Cast) -> Vec<Step> {
        let mut people = (0..self.devices.len()).filter(|device| !self.revoked.contains(device));
        let host = self.devices[cast.host].person;
        let other = people.find(|device| *device != cast.host && self.devices[*device].person == host);
        let other = other.unwrap_or(cast.host);
        let mut steps = vec![step(MADE_MS, Action::Look { device: other, rooms: vec![cast.room] })];
        for n in 0..EDITS {
            let device = if n % 2 == 0 { cast.host } else { other };
            steps.push(step(if n == 0 { MADE_MS } else { 0 }, self.edit(device, cast.room, 0)));
        }
        steps
    }

    /// Older pages are loaded over a slow line while they change.
    fn edited_while_loading(&mut self, cast: Cast) -> Vec<Step> {
        let Cast { host, guest, room, .. } = cast;
        let (person, count) = (self.devices[host].person, self.rng.random_range(120..200));
        let mut steps = vec![
            step(0, Action::Sleep { device: guest }),
            step(0, Action::Flood { person, room, count, text: self.text() }),
            step(FLOODED_MS / 2, Action::Wake { device: guest }),
            step(MADE_MS, Action::Look { device: guest, rooms: vec![room] }),
        ];
        if self.settings.faults.contains(&Fault::Delay) {
            steps.push(step(MADE_MS, Action::Break { fault: Fault::Delay, target: guest, for_ms: SLOW_MS }));
        }
        for pick in 0..EDITS {
            steps.push(step(0, Action::Scroll { device: guest, room, count: 60 }));
            steps.push(step(3, self.edit(host, room, pick * 11)));
        }
        steps
    }

    fn sends(&mut self, device: usize, room: usize, count: usize) -> Vec<Step> {
        (0..count).map(|_| step(0, self.send(device, room))).collect()
    }

    fn edit(&mut self, device: usize, room: usize, pick: u64) -> Action {
        Action::Edit { device, room, pick, text: self.text(), within_ms: PATIENT_MS }
    }
}

fn step(pause_ms: u64, action: Action) -> Step {
    Step { pause_ms, action }
}
