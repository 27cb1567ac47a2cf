//! The list that is told, change by change, against one that is made anew from plain values.

use std::{collections::BTreeMap, time::Duration};

use futures_util::FutureExt as _;
use madang_proto::v1::Room;
use proptest::prelude::*;
use prost_types::Timestamp;

use super::*;
use crate::{
    clock::{Clock as _, tests::MovedClock},
    lists::tests::{ME, joined, offline, offline_at, write},
    store::{drafts, people, rooms},
};

/// Longer than any honest read takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A room as plain values.
#[derive(Debug, Clone, PartialEq)]
struct Plain {
    name: &'static str,
    direct: bool,
    active: i64,
    unread: i64,
    mentions: usize,
    here: bool,
    draft: u8,
}

const NAMES: [&str; 5] = ["plans", "Plan B", "홍길동", "회의", "cats"];

fn plain() -> impl Strategy<Value = Plain> {
    let numbers = (0..9_i64, 0..3_i64, 0..2_usize, 0..3_u8);
    (prop::sample::select(&NAMES[..]), any::<bool>(), prop::bool::weighted(0.85), numbers).prop_map(
        |(name, direct, here, (active, unread, mentions, draft))| Plain {
            name,
            direct,
            active,
            unread,
            mentions,
            here,
            draft,
        },
    )
}

fn query() -> impl Strategy<Value = RoomQuery> {
    let kinds = prop::sample::select(vec![vec![], vec![RoomKind::Dm], vec![RoomKind::Group, RoomKind::Open]]);
    let text = prop::sample::select(vec!["", "", "plan", "ㅎ", "ㅎㄱㄷ", "회", "no such"]);
    let sort = prop::sample::select(vec![RoomSort::Recent, RoomSort::Name, RoomSort::UnreadFirst]);
    let range = prop::option::of((0..12_usize, 0..6_usize).prop_map(|(start, more)| start..start + more));
    (any::<(bool, bool)>(), kinds, text, sort, range).prop_map(|((unread, mentions), kinds, text, sort, range)| {
        let filter = RoomFilter { unread, mentions, kinds, text: text.into() };
        RoomQuery { filter, sort, range }
    })
}

#[derive(Debug, Clone)]
enum Step {
    /// These rooms are so now, by one transaction.
    Change(Vec<(u8, Plain)>),
    Query(RoomQuery),
    /// The screen takes what there is.
    Look,
    /// It begins to wait and gives up.
    GiveUp,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec((0..14_u8, plain()), 1..5).prop_map(Step::Change),
        1 => query().prop_map(Step::Query),
        2 => Just(Step::Look),
        2 => Just(Step::GiveUp),
    ]
}

async fn put(inner: &Inner, rooms: Vec<(String, Plain)>) {
    write(inner, move |w| {
        for (id, plain) in rooms {
            let mut room = Room {
                id: id.clone(),
                name: plain.name.into(),
                count: plain.unread,
                last_active_at: Some(Timestamp { seconds: plain.active, nanos: 0 }),
                ..Room::default()
            };
            room.set_kind(if plain.direct { RoomKind::Dm } else { RoomKind::Group });
            let mut state = joined(room);
            let membership = state.membership.as_mut().unwrap();
            membership.unread_mention_seqs = (0..plain.mentions).map(|n| i64::try_from(n).unwrap() + 1).collect();
            if !plain.here {
                membership.member.as_mut().unwrap().set_state(madang_proto::v1::MemberState::Left);
            }
            drafts::put(&w.tx, &id, &"d".repeat(plain.draft.into()))?;
            rooms::save(&w.tx, &state)?;
            w.changes.room(&id);
        }
        Ok(())
    })
    .await;
}

type Shown = (String, String, i64, usize, String, SystemTime);

/// What a list shows, made anew.
fn naive(rooms: &BTreeMap<String, Plain>, query: &RoomQuery) -> (Vec<Shown>, usize) {
    let is = |text: &str, name: &str| match text {
        "ㅎ" => name == "홍길동" || name == "회의",
        "ㅎㄱㄷ" => name == "홍길동",
        text => name.to_lowercase().contains(text),
    };
    let wanted = |(_, room): &(&String, &Plain)| {
        let RoomFilter { unread, mentions, kinds, text } = &query.filter;
        let kind = if room.direct { RoomKind::Dm } else { RoomKind::Group };
        room.here
            && (!unread || room.unread > 0)
            && (!mentions || room.mentions > 0)
            && (kinds.is_empty() || kinds.contains(&kind))
            && is(text, room.name)
    };
    let mut all: Vec<_> = rooms.iter().filter(wanted).collect();
    all.sort_by_key(|(id, room)| {
        let recent = (-room.active, (*id).clone());
        match query.sort {
            RoomSort::Recent => (false, String::new(), recent),
            RoomSort::Name => (false, room.name.to_lowercase(), (0, (*id).clone())),
            RoomSort::UnreadFirst => (room.unread == 0, String::new(), recent),
        }
    });
    let total = all.len();
    let (from, most) = query.range.as_ref().map_or((0, total), |range| (range.start, range.len()));
    let shown = all.into_iter().skip(from).take(most);
    let shown = shown.map(|(id, room)| {
        let draft = "d".repeat(room.draft.into());
        let active = SystemTime::UNIX_EPOCH + Duration::from_secs(room.active.unsigned_abs());
        (id.clone(), room.name.to_owned(), room.unread, room.mentions, draft, active)
    });
    (shown.collect(), total)
}

fn shown(items: &[RoomItem]) -> Vec<Shown> {
    let plain = |item: &RoomItem| {
        let RoomItem { id, name, unread, mentions, draft, last_active_at, .. } = item.clone();
        (id, name, unread, mentions, draft, last_active_at)
    };
    items.iter().map(plain).collect()
}

async fn play(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let inner = offline().await;
    let mut rooms = BTreeMap::new();
    let mut list = RoomList::open(Arc::clone(&inner), RoomQuery::default()).await.unwrap();
    let mut screen = Vec::new();
    for step in steps.into_iter().chain([Step::Look]) {
        match step {
            Step::Change(changed) => {
                let changed: Vec<_> = changed.into_iter().map(|(n, plain)| (format!("{n:02}"), plain)).collect();
                rooms.extend(changed.clone());
                put(&inner, changed).await;
            }
            Step::Query(query) => list.set_query(query),
            Step::GiveUp => {
                if let Some(batch) = list.next().now_or_never() {
                    apply(batch, &mut screen);
                }
            }
            Step::Look => {
                let wanted = naive(&rooms, list.query());
                while (shown(&screen), list.total()) != wanted {
                    let batch = tokio::time::timeout(PATIENCE, list.next()).await;
                    let Ok(batch) = batch else { panic!("{:?} is not {wanted:?}", shown(&screen)) };
                    apply(batch, &mut screen);
                    prop_assert_eq!(&screen, list.items());
                }
            }
        }
    }
    let again = RoomList::open(inner, list.query().clone()).await.unwrap();
    prop_assert_eq!(again.items(), &screen[..]);
    Ok(())
}

fn apply(batch: Option<Vec<ListChange<RoomItem>>>, screen: &mut Vec<RoomItem>) {
    for change in batch.expect("the client lives") {
        change.apply(screen);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn a_screen_that_applies_the_changes_shows_what_the_query_wants(steps in prop::collection::vec(step(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(steps))?;
    }
}

fn many(from: i64) -> Vec<(String, Plain)> {
    let plain = |n: i64| {
        let plain =
            Plain { name: "plans", direct: false, active: from + n, unread: from, mentions: 0, here: true, draft: 0 };
        (format!("{n:04}"), plain)
    };
    (0..1000).map(plain).collect()
}

#[tokio::test]
async fn a_thousand_rooms_that_change_at_once_are_few_batches() {
    let inner = offline().await;
    put(&inner, many(0)).await;
    let query = RoomQuery { range: Some(0..20), ..RoomQuery::default() };
    let mut list = RoomList::open(Arc::clone(&inner), query).await.unwrap();
    let transactions = many(5000);
    let changing = async {
        // As many frames as the stream gives to one transaction.
        for part in transactions.chunks(64) {
            put(&inner, part.to_vec()).await;
        }
    };
    let mut batches = 0;
    let following = async {
        while list.items().iter().any(|room| room.unread == 0) || list.items()[0].id != "0999" {
            list.next().await.expect("the client lives");
            batches += 1;
        }
    };
    tokio::time::timeout(PATIENCE, async { tokio::join!(changing, following) }).await.expect("all is told");
    assert!(batches <= 16, "{batches}");
}

#[tokio::test]
async fn a_direct_room_is_called_as_the_other_person_and_found_by_that() {
    let inner = offline().await;
    write(&inner, |w| {
        let mut room = Room { id: "r".into(), direct_user_ids: vec![ME.into(), "bob".into()], ..Room::default() };
        room.set_kind(RoomKind::Dm);
        let user = madang_proto::v1::User { id: "bob".into(), display_name: "홍길동".into(), ..Default::default() };
        people::upsert(&w.tx, &[user])?;
        rooms::save(&w.tx, &joined(room))
    })
    .await;
    let filter = RoomFilter { text: "ㄱㄷ".into(), ..RoomFilter::default() };
    let list = RoomList::open(inner, RoomQuery { filter, ..RoomQuery::default() }).await.unwrap();
    assert_eq!(list.items().iter().map(|room| room.name.as_str()).collect::<Vec<_>>(), ["홍길동"]);
}

#[tokio::test]
async fn a_list_ends_with_its_client() {
    let inner = offline().await;
    let mut list = RoomList::open(Arc::clone(&inner), RoomQuery::default()).await.unwrap();
    inner.observers.end();
    assert_eq!(list.next().await, None);
}

#[tokio::test]
async fn a_room_is_heard_again_when_its_muting_runs_out() {
    let clock = Arc::<MovedClock>::default();
    let inner = offline_at(Arc::clone(&clock) as _).await;
    for (id, hours) in [("short", 1), ("long", 8), ("never", 0)] {
        let until = clock.now() + Duration::from_hours(hours);
        write(&inner, move |w| {
            let mut state = joined(Room { id: id.into(), ..Room::default() });
            state.membership.as_mut().unwrap().mute_until = (hours > 0).then(|| until.into());
            rooms::save(&w.tx, &state)
        })
        .await;
    }
    let mut list = RoomList::open(inner, RoomQuery::default()).await.unwrap();
    let muted = |list: &RoomList| -> Vec<String> {
        list.items().iter().filter(|room| room.muted).map(|room| room.id.clone()).collect()
    };
    assert_eq!(muted(&list), ["long", "short"]);
    clock.move_by(Duration::from_mins(59));
    assert!(list.next().now_or_never().is_none());
    for (hours, left) in [(1, &["long"][..]), (7, &[])] {
        let next = tokio::join!(list.next(), async {
            clock.until_sleeping(1).await;
            clock.move_by(Duration::from_hours(hours));
        });
        assert!(matches!(next.0.unwrap()[..], [ListChange::Changed { .. }]));
        assert_eq!(muted(&list), left);
    }
    assert!(list.next().now_or_never().is_none());
    assert_eq!(clock.sleepers(), 0, "nothing is waited for any more");
}
