//! What happens in a world: its shape, and the actions in it with their times. Made of a seed, so it can be made again, and
//! a list, so it can be made shorter.

use crate::dice::Dice;

/// How a world is made.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// The person of each device.
    pub(crate) devices: Vec<usize>,
    pub(crate) people: usize,
    pub(crate) nodes: usize,
    /// Rooms; `true` where newcomers do not see what was before.
    pub(crate) rooms: Vec<bool>,
    /// Publications get lost and nodes poll. In the other worlds nothing is lost and nobody polls, so that no rule hides
    /// behind the safety net.
    pub(crate) lossy: bool,
    /// Of a hundred publications so many get lost on their way to another node.
    pub(crate) bus_loss: u64,
    /// Of a hundred commits so many are not published, because their node dies.
    pub(crate) commit_loss: u64,
    /// Frames that wait in a session, and frames on their way to a client.
    pub(crate) queue: usize,
    pub(crate) window: usize,
    /// Of a hundred streams so many are cut just when all verdicts are in.
    pub(crate) eager_cuts: u64,
    /// Rows of a page.
    pub(crate) page: usize,
    /// Revisions behind which a room starts anew.
    pub(crate) most_behind: i64,
    /// Of a hundred actions so many are of people who come and go, beside those among the others.
    pub(crate) moves: u64,
    /// The same of those that move read marks.
    pub(crate) marks: u64,
    /// How far delays spread.
    pub(crate) spread: u64,
}

/// Something that somebody does, or that breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// A device sends; `seen`: with the room in front of the person.
    Send { device: usize, room: usize, seen: bool, mention: Option<usize> },
    /// A device changes one of its person's messages; `back` counts from the newest.
    Edit { device: usize, room: usize, back: usize, mention: Option<usize> },
    /// The same, for good.
    Delete { device: usize, room: usize, back: usize },
    /// A device marks everything but so many items as read.
    Read { device: usize, room: usize, back: usize },
    /// A device marks so many items as unread.
    Unread { device: usize, room: usize, back: usize },
    /// A device's person comes in.
    Join { device: usize, room: usize },
    /// A device's person goes.
    Leave { device: usize, room: usize },
    /// A device's person brings another in.
    Invite { device: usize, room: usize, person: usize },
    /// A device's person takes another out.
    Remove { device: usize, room: usize, person: usize },
    /// A device's person scrolls back.
    Older { device: usize, room: usize },
    /// Other rooms are on a device's screen, one bit each.
    Focus { device: usize, rooms: usize },
    /// A device's connection breaks.
    Cut { device: usize },
    /// A device is put to rest for so many milliseconds.
    Sleep { device: usize, ms: u64 },
    /// A device's process is killed and started again.
    Kill { device: usize },
    /// A device reads nothing for so many milliseconds.
    Stall { device: usize, ms: u64 },
    /// A node is killed and started again.
    NodeDies { node: usize },
    /// A transaction runs beside the others for so many milliseconds and changes nothing.
    LongTransaction { ms: u64 },
    /// The database is copied.
    Copy,
    /// The database is restored from the copy.
    Restore,
}

/// A world and what happens in it.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) shape: Shape,
    /// With their times in microseconds, in their order.
    pub(crate) actions: Vec<(u64, Action)>,
}

impl Plan {
    /// The plan of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 1);
        let shape = shape(seed, &mut dice);
        let many = dice.from(10, 36);
        let restores = dice.percent(8);
        let mut at = 0;
        let mut actions = Vec::new();
        for _ in 0..many {
            // What comes close together races.
            at += if dice.percent(60) { dice.from(0, 4_000) } else { dice.from(0, 120_000) };
            actions.push((at, action(&shape, &mut dice)));
        }
        if restores {
            let copied = dice.below(actions.len());
            actions.insert(copied, (actions[copied].0, Action::Copy));
            let last = actions.last().map_or(0, |(at, _)| *at);
            let then = copied + 1 + dice.below(actions.len() - copied);
            let at = actions.get(then).map_or(last, |(at, _)| *at);
            actions.insert(then, (at, Action::Restore));
        }
        Self { seed, shape, actions }
    }

    /// The smallest part of the actions that was found to fail still.
    pub(crate) fn shrunk(&self, fails: impl Fn(&Self) -> bool) -> Self {
        let mut smallest = self.clone();
        let mut piece = smallest.actions.len().div_ceil(2);
        while piece > 0 {
            let mut from = 0;
            while from < smallest.actions.len() {
                let mut fewer = smallest.clone();
                let to = (from + piece).min(fewer.actions.len());
                fewer.actions.drain(from..to);
                if fails(&fewer) {
                    smallest = fewer;
                } else {
                    from += piece;
                }
            }
            piece /= 2;
        }
        smallest
    }
}

fn shape(seed: u64, dice: &mut Dice) -> Shape {
    let people = 2 + dice.below(2);
    let mut devices: Vec<usize> = (0..people).collect();
    if dice.percent(50) {
        devices.push(dice.below(people));
    }
    let lossy = seed.is_multiple_of(2);
    let rooms = (0..=dice.below(3)).map(|room| room == 1 || dice.percent(30)).collect();
    Shape {
        devices,
        people,
        nodes: 1 + dice.below(2),
        rooms,
        lossy,
        bus_loss: if lossy { dice.pick(&[0, 20, 60]) } else { 0 },
        commit_loss: if lossy { dice.pick(&[0, 10]) } else { 0 },
        queue: dice.pick(&[2, 3, 5, 256]),
        window: dice.pick(&[1, 2, 4, 64]),
        eager_cuts: dice.pick(&[0, 0, 30]),
        page: dice.pick(&[2, 3, 200]),
        most_behind: dice.pick(&[6, 12, 500]),
        moves: dice.pick(&[0, 0, 0, 50]),
        marks: dice.pick(&[0, 0, 0, 50]),
        spread: dice.pick(&[1, 4, 12]),
    }
}

fn action(shape: &Shape, dice: &mut Dice) -> Action {
    let (device, room) = (dice.below(shape.devices.len()), dice.below(shape.rooms.len()));
    let person = dice.below(shape.people);
    let back = dice.below(4);
    // One more than there are people means everybody; most messages mention nobody.
    let mention = dice.percent(30).then(|| dice.below(shape.people + 1));
    let kind = match () {
        () if dice.percent(shape.moves) => 60 + dice.below(17),
        () if dice.percent(shape.marks) => 45 + dice.below(13),
        () => dice.below(100),
    };
    match kind {
        0..31 => Action::Send { device, room, seen: dice.percent(60), mention },
        31..41 => Action::Edit { device, room, back, mention },
        41..45 => Action::Delete { device, room, back },
        45..55 => Action::Read { device, room, back: back / 2 },
        55..58 => Action::Unread { device, room, back: 1 + back },
        58..60 => Action::Older { device, room },
        60..66 => Action::Join { device, room },
        66..69 => Action::Leave { device, room },
        69..73 => Action::Invite { device, room, person },
        73..77 => Action::Remove { device, room, person },
        77..82 => Action::Focus { device, rooms: dice.below(1 << shape.rooms.len()) },
        82..88 => Action::Cut { device },
        88..91 => Action::Sleep { device, ms: dice.from(10, 900) },
        91..94 => Action::Kill { device },
        94..97 => Action::Stall { device, ms: dice.from(50, 900) },
        97 if shape.lossy => Action::NodeDies { node: dice.below(shape.nodes) },
        _ => Action::LongTransaction { ms: dice.from(10, 400) },
    }
}
