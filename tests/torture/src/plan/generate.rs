//! From a seed to a plan, by weighted choice.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use super::{Action, DevicePlan, Fault, NEIGHBOURS, Plan, Servers, Settings, Step};

/// Steps between two quiet points.
const QUIET_EVERY: usize = 70;
/// Steps between two stories.
const STORY_EVERY: u32 = 40;
/// Longest pause before a step, in milliseconds.
const PAUSE_MS: u64 = 40;
/// How long a call may take before it is given up, when nobody means it to be. One of a device that sleeps waits for its
/// wake, and what comes after it waits too; the change itself is not given up.
pub(super) const PATIENT_MS: u64 = 3_000;
/// Devices that a person may get during a run, all people together.
const NEW_DEVICES: usize = 4;
/// Rooms that may be made during a run.
const NEW_ROOMS: usize = 9;
/// Messages of a flood; a client that is more than 500 rows behind begins anew.
const FLOOD: std::ops::Range<usize> = 20..700;
/// Floods in a plan, and of how many within one process one has any: half of what those cost would be floods.
const FLOODS: usize = 2;
const FLOODED: u32 = 4;
/// So long a fault makes a clock wrong by three days at most.
const CLOCK_FEW: u64 = 400;
/// Devices that are revoked in a plan, and how many steps later they sign in again.
const REVOKED: usize = 2;
const SIGN_IN: std::ops::Range<usize> = 4..60;
/// A long outage.
const LONG_MS: u64 = 30_000;
/// Of a hundred steps, those that break something.
const BREAKS: u32 = 9;

/// The plan of a seed.
pub fn generate(seed: u64, settings: &Settings) -> Plan {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut settings = settings.clone();
    let servers = if settings.in_process {
        servers(&mut StdRng::seed_from_u64(seed / NEIGHBOURS), &settings)
    } else {
        servers(&mut rng, &settings)
    };
    // By a clock that was wrong a revocation may lie in the future.
    let by_servers = |fault: &Fault| match fault {
        Fault::ServerClock => !servers.false_clocks,
        Fault::Revoked => servers.false_clocks,
        fault => servers.alone && fault.hides_commits() || !servers.nats && fault.needs_nats(),
    };
    let excluded = |fault: &Fault| by_servers(fault) || settings.in_process && fault.needs_processes();
    let faults = settings.faults.iter().copied().filter(|fault| !excluded(fault)).collect();
    settings.faults = faults;
    // Most people have one device, some two or three.
    let people = (settings.clients * 2).div_ceil(3).max(2);
    let devices = (0..settings.clients)
        .map(|n| DevicePlan {
            person: if n < people { n } else { rng.random_range(0..people) },
            process: n % 3 == 1 && !settings.in_process && settings.faults.iter().any(|fault| fault.needs_process()),
            node: rng.random_range(0..settings.nodes),
        })
        .collect();
    let mut world = World::new(rng, &settings, people, devices);
    let mut steps = world.beginning();
    let mut quiet_at = QUIET_EVERY;
    while steps.len() < settings.steps + settings.rooms {
        if steps.len() >= quiet_at {
            quiet_at = steps.len() + QUIET_EVERY;
            steps.push(Step { pause_ms: 0, action: Action::Quiet });
        } else if world.rng.random_ratio(1, STORY_EVERY) {
            steps.extend(world.story());
        } else {
            let action = world.due(steps.len()).unwrap_or_else(|| world.action(steps.len()));
            steps.push(Step { pause_ms: world.pause(), action });
        }
    }
    world.restore(&mut steps);
    steps.push(Step { pause_ms: 0, action: Action::Quiet });
    let devices = world.devices[..settings.clients].to_vec();
    Plan { seed, settings, people, servers, devices, steps }
}

fn servers(rng: &mut StdRng, settings: &Settings) -> Servers {
    Servers {
        large_room_members: if rng.random_ratio(1, 4) { 3 } else { 200 },
        database_connections: if rng.random_ratio(1, 4) { 2 } else { 8 },
        alone: settings.nodes == 1 && rng.random_ratio(1, 2),
        nats: settings.nodes > 1 && rng.random_ratio(1, 2) && !settings.in_process,
        short_tokens: settings.faults.contains(&Fault::TokenExpired) && rng.random_ratio(1, 4),
        false_clocks: settings.faults.contains(&Fault::ServerClock) && rng.random_ratio(1, 4),
    }
}

/// What the generator knows of the world: how many of what there are.
pub(super) struct World<'a> {
    pub(super) rng: StdRng,
    pub(super) settings: &'a Settings,
    people: usize,
    pub(super) devices: Vec<DevicePlan>,
    pub(super) rooms: usize,
    texts: usize,
    new_devices: usize,
    /// Floods that may still be.
    floods: usize,
    /// Devices whose session was revoked.
    pub(super) revoked: Vec<usize>,
    /// The one of them that signs in anew, and from which step on.
    signs_in: Option<(usize, usize)>,
    /// There was an outage of 30 s.
    long: bool,
}

impl<'a> World<'a> {
    fn new(mut rng: StdRng, settings: &'a Settings, people: usize, devices: Vec<DevicePlan>) -> Self {
        let dry = settings.in_process && !rng.random_ratio(1, FLOODED);
        let floods = if dry { 0 } else { FLOODS };
        let (rooms, texts, new_devices) = (0, 0, 0);
        let (revoked, signs_in, long) = (Vec::new(), None, false);
        Self { rng, settings, people, devices, rooms, texts, new_devices, floods, revoked, signs_in, long }
    }

    /// A sign-in whose time has come.
    fn due(&mut self, step: usize) -> Option<Action> {
        let (of, _) = self.signs_in.take_if(|(_, at)| *at <= step)?;
        let plan = DevicePlan { node: self.rng.random_range(0..self.settings.nodes), ..self.devices[of] };
        self.devices.push(plan);
        Some(Action::SignIn { device: self.devices.len() - 1, of, plan })
    }

    /// In some worlds the database is copied after one quiet point and restored after a later one.
    fn restore(&mut self, steps: &mut Vec<Step>) {
        let quiet = |(n, step): (usize, &Step)| (step.action == Action::Quiet).then_some(n + 1);
        let places: Vec<usize> = steps.iter().enumerate().filter_map(quiet).collect();
        let wanted = self.settings.faults.contains(&Fault::Restored) && self.rng.random_ratio(1, 3);
        if let [first, .., last] = places[..]
            && wanted
        {
            // A device forgets acknowledged sends after seven days, and offers no others again.
            for step in &mut *steps {
                if let Action::Break { fault: Fault::Clock, for_ms, .. } = &mut step.action {
                    *for_ms %= CLOCK_FEW;
                }
            }
            steps.insert(last, Step { pause_ms: 0, action: Action::Restore });
            steps.insert(first, Step { pause_ms: 0, action: Action::Backup });
        }
    }

    fn beginning(&mut self) -> Vec<Step> {
        let mut steps: Vec<Step> =
            (0..self.settings.rooms).map(|_| Step { pause_ms: 0, action: self.create_room() }).collect();
        steps.push(Step { pause_ms: 0, action: Action::Quiet });
        for device in 0..self.devices.len() {
            steps.push(Step { pause_ms: 0, action: self.look(device) });
        }
        steps
    }

    /// Bursts: often nothing is waited for at all.
    fn pause(&mut self) -> u64 {
        if self.rng.random_ratio(2, 5) { 0 } else { self.rng.random_range(1..PAUSE_MS) }
    }

    /// One that has not been revoked.
    pub(super) fn device(&mut self) -> usize {
        loop {
            let device = self.rng.random_range(0..self.devices.len());
            if !self.revoked.contains(&device) {
                return device;
            }
        }
    }

    /// A few rooms are busier than the others.
    fn room(&mut self) -> usize {
        let (one, other) = (self.rng.random_range(0..self.rooms), self.rng.random_range(0..self.rooms));
        one.min(other)
    }

    pub(super) fn person(&mut self) -> usize {
        self.rng.random_range(0..self.people)
    }

    pub(super) fn text(&mut self) -> String {
        self.texts += 1;
        let length =
            if self.rng.random_ratio(1, 12) { self.rng.random_range(200..3_000) } else { self.rng.random_range(0..30) };
        let filler: String =
            (0..length).map(|_| *b"abcdefghij klmnop".choose(&mut self.rng).unwrap_or(&b'x') as char).collect();
        format!("t{} {}", self.texts, filler.trim_end())
    }

    /// Sometimes a caller gives a call up.
    fn within(&mut self) -> u64 {
        let cancels = self.settings.faults.contains(&Fault::Cancel) && self.rng.random_ratio(1, 4);
        if cancels { self.rng.random_range(0..12) } else { PATIENT_MS }
    }

    fn action(&mut self, step: usize) -> Action {
        if !self.settings.faults.is_empty() && self.rng.random_ratio(BREAKS, 100) {
            return self.fault(step);
        }
        let (device, room) = (self.device(), self.room());
        match self.rng.random_range(0..100) {
            0..46 => self.send(device, room),
            46..52 => {
                Action::Edit { device, room, pick: self.rng.random(), text: self.text(), within_ms: self.within() }
            }
            52..57 => Action::Delete { device, room, pick: self.rng.random(), within_ms: self.within() },
            57..68 => Action::MarkRead { device, room, back: self.rng.random_range(0..4) },
            68..72 => Action::MarkUnread { device, room, back: self.rng.random_range(0..6) },
            72..76 => Action::Join { device, room, within_ms: self.within() },
            76..79 => Action::Leave { device, room, within_ms: self.within() },
            79..83 => Action::Invite { device, room, person: self.person(), within_ms: self.within() },
            83..86 => Action::Remove { device, room, person: self.person(), within_ms: self.within() },
            86..88 => self.new_room(device, room),
            88..91 => self.look(device),
            91..93 => Action::Sleep { device },
            93..95 => Action::Wake { device },
            95..97 => Action::Scroll { device, room, count: self.rng.random_range(1..120) },
            97 => self.flood(device, room),
            98 => Action::Switch { device, node: self.rng.random_range(0..self.settings.nodes) },
            _ => self.new_device(device, room),
        }
    }

    pub(super) fn send(&mut self, device: usize, room: usize) -> Action {
        let mention = self.rng.random_ratio(1, 5).then(|| self.person());
        Action::Send { device, room, text: self.text(), mention, mention_all: self.rng.random_ratio(1, 15) }
    }

    fn flood(&mut self, device: usize, room: usize) -> Action {
        if self.floods == 0 {
            return self.send(device, room);
        }
        self.floods -= 1;
        Action::Flood { person: self.person(), room, count: self.rng.random_range(FLOOD), text: self.text() }
    }

    fn look(&mut self, device: usize) -> Action {
        let rooms = (0..self.rooms).filter(|_| self.rng.random_ratio(3, 5)).take(16).collect();
        Action::Look { device, rooms }
    }

    fn create_room(&mut self) -> Action {
        let (device, room) = (self.device(), self.rooms);
        self.rooms += 1;
        let people = (0..self.people).filter(|_| self.rng.random_ratio(2, 3)).collect();
        Action::CreateRoom {
            device,
            room,
            open: self.rng.random_ratio(1, 2),
            hidden: self.rng.random_ratio(1, 4),
            people,
        }
    }

    fn new_room(&mut self, device: usize, room: usize) -> Action {
        if self.rooms >= self.most_rooms() {
            return self.send(device, room);
        }
        if self.rng.random_ratio(1, 2) {
            return self.create_room();
        }
        self.rooms += 1;
        Action::OpenDirect { device, room: self.rooms - 1, person: self.person() }
    }

    /// Rooms that there may be.
    pub(super) fn most_rooms(&self) -> usize {
        self.settings.rooms + NEW_ROOMS
    }

    fn new_device(&mut self, device: usize, room: usize) -> Action {
        if self.new_devices == NEW_DEVICES {
            return self.send(device, room);
        }
        self.new_devices += 1;
        let plan =
            DevicePlan { person: self.person(), process: false, node: self.rng.random_range(0..self.settings.nodes) };
        self.devices.push(plan);
        Action::NewDevice { device: self.devices.len() - 1, plan }
    }

    /// `step`: where it stands.
    fn fault(&mut self, step: usize) -> Action {
        let chosen = self.settings.faults.choose_weighted(&mut self.rng, |fault| fault.weight()).ok().copied();
        let long = matches!(chosen, Some(Fault::DatabaseLong | Fault::NatsLong));
        let Some(fault) = chosen.filter(|fault| self.may_be(*fault) && !(long && self.long)) else {
            let (device, room) = (self.device(), self.room());
            return self.send(device, room);
        };
        self.long |= long;
        let target = match fault {
            Fault::NodeKill | Fault::NodeDrain | Fault::NodeRoll => self.rng.random_range(0..self.settings.nodes),
            _ => self.device(),
        };
        if fault == Fault::Revoked {
            self.revoked.push(target);
            self.signs_in = Some((target, step + self.rng.random_range(SIGN_IN)));
        }
        let for_ms = match fault {
            Fault::DatabaseLong | Fault::NatsLong => LONG_MS,
            Fault::DatabaseGone | Fault::DatabaseSmart | Fault::NatsKill => self.rng.random_range(1_500..2_500),
            Fault::HalfOpen | Fault::Throttle | Fault::NatsSlow => self.rng.random_range(500..4_000),
            Fault::Locked | Fault::DiskFull | Fault::ServerClock => self.rng.random_range(500..2_500),
            _ => self.rng.random_range(0..1_000),
        };
        Action::Break { fault, target, for_ms }
    }

    /// Whether a fault may be here: few are revoked, and one after the other.
    fn may_be(&self, fault: Fault) -> bool {
        fault != Fault::Revoked
            || self.signs_in.is_none() && self.revoked.len() < REVOKED && self.revoked.len() + 2 < self.devices.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings { nodes: 3, clients: 6, rooms: 5, steps: 400, faults: Fault::ALL.to_vec(), in_process: false }
    }

    #[test]
    fn a_seed_gives_the_same_plan_each_time_and_another_seed_another() {
        assert_eq!(generate(7, &settings()), generate(7, &settings()));
        assert_ne!(generate(7, &settings()).steps, generate(8, &settings()).steps);
    }

    #[test]
    fn plans_name_only_what_exists_by_then_and_hold_every_fault() {
        let mut faults = std::collections::BTreeSet::new();
        for seed in 0..60 {
            let plan = generate(seed, &settings());
            let (mut rooms, mut devices) = (0, plan.devices.len());
            for step in &plan.steps {
                match &step.action {
                    Action::CreateRoom { room, .. } | Action::OpenDirect { room, .. } => {
                        assert_eq!(*room, rooms);
                        rooms += 1;
                    }
                    Action::NewDevice { device, .. } | Action::SignIn { device, .. } => {
                        assert_eq!(*device, devices);
                        devices += 1;
                    }
                    Action::Send { device, room, .. } => assert!(*device < devices && *room < rooms),
                    Action::Break { fault, .. } => drop(faults.insert(*fault)),
                    _ => {}
                }
            }
            assert_eq!(plan.steps.last().map(|step| &step.action), Some(&Action::Quiet));
        }
        // Calls are given up within other steps, and restoring is a step.
        faults.extend([Fault::Cancel, Fault::Restored]);
        assert_eq!(faults.len(), Fault::ALL.len());
    }

    #[test]
    fn a_plan_within_one_process_breaks_nothing_that_seeds_share() {
        let mut faults = std::collections::BTreeSet::new();
        for seed in 0..60 {
            let plan = generate(seed, &Settings { in_process: true, ..settings() });
            assert!(!plan.servers.nats && plan.devices.iter().all(|device| !device.process));
            assert!(!plan.steps.iter().any(|step| matches!(step.action, Action::Backup | Action::Restore)));
            faults.extend(plan.steps.iter().filter_map(|step| match step.action {
                Action::Break { fault, .. } => Some(fault),
                _ => None,
            }));
        }
        assert!(faults.len() > 10 && !faults.iter().any(|fault| fault.needs_processes()), "{faults:?}");
    }

    #[test]
    fn a_plan_is_the_same_after_it_was_saved_and_read() {
        let plan = generate(3, &settings());
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }
}
