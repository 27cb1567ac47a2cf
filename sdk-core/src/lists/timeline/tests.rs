//! Windows against a room that is known whole: whatever comes, is fetched or is lost, what is shown is a piece of it.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use madang_proto::v1::{
    ListMessagesResponse, Message, MessageBody, Room, RoomCursor, RoomDelta, RoomPresent, RoomSummary, ServerFrame,
    room_summary::Verdict, server_frame::Frame,
};
use proptest::prelude::*;

use super::*;
use crate::{
    engine::View,
    lists::tests::{joined, offline, write},
    store::rooms,
};

const ROOM: &str = "room";
/// Rows of the page with which a room begins anew.
const NEWEST: usize = 4;

/// The room as the server has it.
struct World {
    inner: Arc<Inner>,
    rows: BTreeMap<i64, Message>,
    rev: i64,
    window: Window,
    /// What a screen shows, by position.
    shown: Vec<i64>,
}

#[derive(Debug, Clone)]
enum Step {
    Send,
    Edit {
        at: i64,
    },
    /// Very much happens without a connection.
    Reset {
        more: i64,
    },
    Jump {
        to: Anchor,
    },
    Older {
        count: i64,
    },
    Newer {
        count: i64,
    },
    /// The person looks at an item of the list.
    Scroll {
        at: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let anchor = prop_oneof![
        1 => Just(Anchor::Newest),
        5 => (1..90_i64).prop_map(Anchor::Message),
        2 => (0..100_i64).prop_map(|n| Anchor::Date(time(n))),
    ];
    prop_oneof![
        4 => Just(Step::Send),
        2 => (0..90_i64).prop_map(|at| Step::Edit { at }),
        1 => (1..20_i64).prop_map(|more| Step::Reset { more }),
        3 => anchor.prop_map(|to| Step::Jump { to }),
        3 => (1..9_i64).prop_map(|count| Step::Older { count }),
        3 => (1..9_i64).prop_map(|count| Step::Newer { count }),
        1 => (0..60_usize).prop_map(|at| Step::Scroll { at }),
    ]
}

/// Two items an hour.
fn time(seq: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_hours(u64::try_from(seq / 2).unwrap())
}

impl World {
    async fn new() -> Self {
        let inner = offline().await;
        let mut world = Self { inner, rows: BTreeMap::new(), rev: 1, window: Window::default(), shown: Vec::new() };
        (0..40).for_each(|_| drop(world.send()));
        let room = world.room();
        write(&world.inner, move |w| {
            rooms::save(&w.tx, &crate::sync::RoomState { rev: 0, seq: 0, low_seq: 0, ..joined(room) })
        })
        .await;
        world.reset().await;
        world
    }

    fn seq(&self) -> i64 {
        self.rows.last_key_value().map_or(0, |(seq, _)| *seq)
    }

    fn room(&self) -> Room {
        Room { id: ROOM.into(), rev: self.rev, seq: self.seq(), count: self.seq(), ..Room::default() }
    }

    fn send(&mut self) -> Message {
        self.rev += 1;
        let seq = self.seq() + 1;
        let body = Some(MessageBody { text: format!("{seq}"), ..MessageBody::default() });
        let created_at = Some(time(seq).into());
        let message = Message { room_id: ROOM.into(), seq, rev: self.rev, body, created_at, ..Message::default() };
        self.rows.insert(seq, message.clone());
        message
    }

    /// Tells a change of the room.
    async fn tell(&self, messages: Vec<Message>, reset: bool) {
        let present = RoomPresent { room: Some(self.room()), last_message: None, membership: None };
        let summary = RoomSummary { room_id: ROOM.into(), verdict: Some(Verdict::Present(present)) };
        let (rev, seq) = (self.rev, self.seq());
        let apply = move |w: &mut crate::store::Write<'_>| {
            let state = rooms::load(&w.tx, ROOM)?;
            let delta = RoomDelta {
                summary: Some(summary),
                from: Some(RoomCursor { room_id: ROOM.into(), rev: state.rev, seq: state.seq }),
                to: Some(RoomCursor { room_id: ROOM.into(), rev, seq }),
                snapshot_rev: rev,
                last: true,
                reset,
                messages,
                ..RoomDelta::default()
            };
            let frame = ServerFrame { frame: Some(Frame::RoomDelta(delta)) };
            engine::apply_frames(w, &View::default(), vec![frame]).map(drop)
        };
        write(&self.inner, apply).await;
    }

    async fn reset(&self) {
        let skipped = self.rows.len().saturating_sub(NEWEST);
        self.tell(self.rows.values().skip(skipped).cloned().collect(), true).await;
    }

    /// A page arrives.
    async fn page(&self, position: Position, count: i64) {
        let all: Vec<&Message> = self.rows.values().collect();
        let count = usize::try_from(count).unwrap();
        let below = |seq: i64| all.partition_point(|row| row.seq < seq);
        let place = match position {
            Position::BeforeSeq(seq) => below(seq).saturating_sub(count)..below(seq),
            Position::AfterSeq(seq) => below(seq + 1)..below(seq + 1) + count,
            Position::AroundSeq(seq) => below(seq).saturating_sub(count / 2)..below(seq) + count / 2 + 1,
            Position::FromTime(at) => {
                let at = all.partition_point(|row| system_time(row.created_at.as_ref()) < system_time(Some(&at)));
                at.saturating_sub(count / 2)..at + count / 2 + 1
            }
        };
        let messages = all[place.start..place.end.min(all.len())].iter().map(|row| (*row).clone()).collect();
        let page = ListMessagesResponse { messages, snapshot_rev: self.rev, ..ListMessagesResponse::default() };
        self.inner.apply(move |w, view, out| engine::page(w, view, ROOM, page, out)).await.unwrap();
    }

    async fn ground<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Read<'_>, &Ground) -> rusqlite::Result<T> + Send + 'static,
    ) -> T {
        self.inner.store.read(move |r| look(r, &Ground::read(r, ROOM)?)).await.unwrap()
    }

    async fn jump(&mut self, to: Anchor) {
        loop {
            match self.ground(move |r, ground| ground.find(r, to)).await {
                Found::Held(window) => {
                    self.window = window;
                    return;
                }
                Found::Item(seq) => self.page(Position::AroundSeq(seq), 6).await,
                Found::Time(at) => {
                    self.page(Position::FromTime(at.into()), 6).await;
                    let seq = self.first_since(at).unwrap_or(self.seq());
                    self.window = self.ground(move |_, ground| Ok(ground.around(seq))).await.expect("fetched");
                    return;
                }
            }
        }
    }

    fn first_since(&self, at: SystemTime) -> Option<i64> {
        self.rows.values().find(|row| system_time(row.created_at.as_ref()) >= at).map(|row| row.seq)
    }

    async fn older(&mut self, count: i64) -> bool {
        let window = self.window;
        if let Some(before) = self.ground(move |_, ground| Ok(ground.gap_below(window))).await {
            self.page(Position::BeforeSeq(before), count).await;
        }
        let (window, more) = self.ground(move |_, ground| Ok(ground.older(window, count))).await;
        self.window = window;
        more
    }

    async fn newer(&mut self, count: i64) -> bool {
        let window = self.window;
        if window.high == 0 {
            return false;
        }
        if let Some(after) = self.ground(move |_, ground| Ok(ground.gap_above(window))).await {
            self.page(Position::AfterSeq(after), count).await;
        }
        let (window, more) = self.ground(move |_, ground| Ok(ground.newer(window, count))).await;
        self.window = window;
        more
    }

    /// Reads what is shown; what is lost is fetched again, and until then the screen stays as it is.
    async fn look(&mut self) -> Result<(), TestCaseError> {
        let mut lost = None;
        loop {
            let (window, newest) = (self.window, self.shown.last().copied().unwrap_or_default());
            let shown = self.ground(move |r, ground| show(r, ground, (window, newest), Lines::default())).await;
            self.window = shown.window;
            let Some(items) = shown.items else {
                prop_assert!(lost.is_none(), "it was fetched again");
                lost = Some(shown.window.anchor);
                prop_assert!(self.shown.contains(&shown.window.anchor));
                self.page(Position::AroundSeq(shown.window.anchor), 6).await;
                continue;
            };
            let rows: Vec<(i64, i64)> = items
                .iter()
                .filter_map(|item| match item {
                    TimelineItem::Message(message) => Some((message.seq?, message.rev)),
                    _ => None,
                })
                .collect();
            let first = rows.first().map_or(1, |row| row.0);
            let end = if shown.window.high == 0 { self.seq() } else { shown.window.high };
            let there: Vec<_> = self.rows.range(first..=end).map(|(seq, row)| (*seq, row.rev)).collect();
            prop_assert_eq!(&rows, &there, "{:?}", shown.window);
            prop_assert_eq!(shown.newer, self.seq() - end);
            let now: Vec<i64> = rows.iter().map(|row| row.0).collect();
            if let Some(anchor) = lost {
                prop_assert!(now.contains(&anchor) && now.iter().all(|seq| self.shown.contains(seq) || *seq > newest));
            }
            self.shown = now;
            return Ok(());
        }
    }

    async fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        let before = self.shown.clone();
        match step {
            Step::Send => {
                let message = self.send();
                self.tell(vec![message], false).await;
                self.look().await?;
                let new = self.shown.iter().filter(|seq| !before.contains(seq)).count();
                prop_assert_eq!(new, usize::from(self.window.high == 0));
            }
            Step::Edit { at } => {
                self.rev += 1;
                let (seq, rev) = (1 + at.rem_euclid(self.seq()), self.rev);
                let row = self.rows.get_mut(&seq).expect("positions are dense");
                row.rev = rev;
                let row = row.clone();
                self.tell(vec![row], false).await;
                self.look().await?;
                prop_assert_eq!(&self.shown, &before);
            }
            Step::Reset { more } => {
                let stays = (self.window.high > 0 || self.window.anchor > 0).then(|| {
                    let (low, high) = (before[0], before[before.len() - 1]);
                    let anchor = self.window.anchor;
                    if anchor > 0 { anchor.clamp(low, high) } else { i64::midpoint(low, high) }
                });
                (0..more).for_each(|_| drop(self.send()));
                self.reset().await;
                self.look().await?;
                let wanted = stays.unwrap_or(self.seq());
                prop_assert!(self.shown.contains(&wanted), "{wanted} is not in {:?}", self.shown);
            }
            Step::Jump { to } => {
                self.jump(to).await;
                self.look().await?;
                let wanted = match to {
                    Anchor::Message(seq) => seq.min(self.seq()),
                    Anchor::Date(at) => self.first_since(at).unwrap_or(self.seq()),
                    _ => self.seq(),
                };
                prop_assert!(self.shown.contains(&wanted), "{wanted} is not in {:?}", self.shown);
            }
            Step::Older { count } => {
                self.older(count).await;
                self.look().await?;
                prop_assert!(self.shown[0] < before[0] || self.shown[0] == 1);
                prop_assert!(self.shown[0] >= before[0] - count && self.shown.ends_with(&before));
            }
            Step::Newer { count } => {
                self.newer(count).await;
                self.look().await?;
                prop_assert!(self.shown.starts_with(&before));
                prop_assert!(self.shown.len() > before.len() || self.window.high == 0);
            }
            Step::Scroll { at } => self.window.anchor = before[at % before.len()],
        }
        Ok(())
    }
}

async fn play(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut world = World::new().await;
    world.look().await?;
    for step in steps {
        world.take(step).await?;
    }
    // Both ways to the ends: everything there is, each once.
    let most = world.rows.len();
    for _ in 0..most {
        world.older(7).await;
        world.newer(7).await;
    }
    world.look().await?;
    prop_assert_eq!(world.shown, (1..=world.rows.len()).map(|n| i64::try_from(n).unwrap()).collect::<Vec<_>>());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn a_window_shows_a_piece_of_the_room_whatever_comes_is_fetched_or_lost(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(steps))?;
    }
}
