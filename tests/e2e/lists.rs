//! Lists on a screen: what applies the changes shows what is there, wherever it lies and whatever was missed.

use std::time::{Duration, SystemTime};

use madang_proto::v1::{ListMessagesRequest, list_messages_request::Position};
use madang_sdk_core::{Anchor, ClientErrorKind, ConnectionState, ListChange, Reach, SendState, Timeline, TimelineItem};
use madang_tests::{Person, World, world::eventually};

/// Longer than any honest change takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A timeline, and a screen that only applies its changes.
struct Screen {
    timeline: Timeline,
    items: Vec<TimelineItem>,
    batches: usize,
}

impl Screen {
    async fn open(person: &Person, room: &str, anchor: Anchor) -> Self {
        let timeline = person.client.timeline_at(room, anchor).await.expect("a timeline");
        Self { items: timeline.items().to_vec(), timeline, batches: 0 }
    }

    fn seqs(&self) -> Vec<i64> {
        self.items.iter().filter_map(TimelineItem::seq).collect()
    }

    /// Takes changes until the screen is as wanted.
    async fn becomes(&mut self, what: &str, is: impl Fn(&[i64]) -> bool) {
        let waits = async {
            while !is(&self.seqs()) {
                for change in self.timeline.next().await.expect("the client lives") {
                    change.apply(&mut self.items);
                }
                self.batches += 1;
                assert_eq!(self.items, self.timeline.items(), "what is applied is the list");
            }
        };
        let is_so = tokio::time::timeout(PATIENCE, waits).await.is_ok();
        assert!(is_so, "never {what}: {:?}", self.seqs());
        let seqs = self.seqs();
        assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "a hole: {seqs:?}");
    }

    /// Whether a line of a kind lies just before an item.
    fn is_before(&self, line: fn(&TimelineItem) -> bool, seq: i64) -> bool {
        let at = self.items.iter().position(|item| item.seq() == Some(seq)).expect("it is shown");
        self.items[..at].iter().rev().take_while(|item| item.seq().is_none()).any(line)
    }
}

/// Somebody who holds the newest page of a long room alone.
async fn long_room(world: &World, count: i64, mut before_each: impl FnMut(i64)) -> (Person, Person, String) {
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let room = ann.room("plans", &[]).await;
    for n in 0..count {
        before_each(n);
        ann.calls.send(&room, &format!("{n}")).await.expect("sent");
    }
    ann.client.invite(&room, [bob.id.clone()]).await.expect("invited");
    bob.sees(&room).await;
    bob.look_at(&[&room]);
    world.settle().await;
    (ann, bob, room)
}

async fn offline(person: &Person) {
    person.client.disconnect();
    let mut states = person.client.states();
    states.wait_for(|state| *state == ConnectionState::Suspended).await.expect("the client lives");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jump_into_the_past_and_the_way_back_show_every_message_once() {
    let world = World::new().await;
    let (ann, bob, room) = long_room(&world, 230, |_| {}).await;
    let newest = bob.newest(&room).await;
    let mut screen = Screen::open(&bob, &room, Anchor::Newest).await;
    assert!(screen.seqs()[0] > 150 && screen.timeline.is_at_newest());
    screen.timeline.jump(Anchor::Message(60)).await.expect("fetched");
    screen.becomes("around 60", |seqs| seqs.contains(&60) && !seqs.contains(&newest)).await;
    assert!(!screen.timeline.is_at_newest() && screen.timeline.newer() > 100);
    // What changes there comes, although nobody asks for it.
    ann.client.edit(&room, 60, "edited long after").await.expect("edited");
    let text = |item: &TimelineItem| matches!(item, TimelineItem::Message(m) if m.text == "edited long after");
    while !screen.items.iter().any(text) {
        let batch = tokio::time::timeout(PATIENCE, screen.timeline.next()).await.expect("it comes");
        batch.into_iter().flatten().for_each(|change| change.apply(&mut screen.items));
    }
    let mut more = true;
    while more {
        more = screen.timeline.load_older(40).await.expect("fetched");
    }
    screen.becomes("from the beginning", |seqs| seqs[0] == 1).await;
    while screen.timeline.load_newer(40).await.expect("fetched") {}
    screen.becomes("everything", |seqs| seqs.len() == usize::try_from(newest).expect("few")).await;
    assert!(screen.timeline.is_at_newest());
    let next = ann.say(&room, "and on").await;
    screen.becomes("followed", |seqs| seqs.last() == Some(&next)).await;
    world.settle().await;
    // What was fetched is held now: the same place again needs no server.
    offline(&bob).await;
    let again = Screen::open(&bob, &room, Anchor::Message(60)).await;
    assert!(again.seqs().contains(&60));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_opened_for_the_first_time_has_older_messages_however_soon_they_are_asked_for() {
    let world = World::new().await;
    let (ann, _, room) = long_room(&world, 120, |_| {}).await;
    // A second device knows the room by its summary.
    let tablet = world.person("ann").await;
    tablet.sees(&room).await;
    let newest = ann.newest(&room).await;
    let mut screen = Screen::open(&tablet, &room, Anchor::Newest).await;
    while screen.timeline.load_older(40).await.expect("fetched") {}
    screen.becomes("everything", |seqs| seqs.len() == usize::try_from(newest).expect("few")).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_date_and_the_first_unread_message_are_found() {
    let world = World::new().await;
    // Five bursts of forty messages, twenty seconds apart: a token lives for minutes.
    let (ann, bob, room) = long_room(&world, 200, |n| {
        if n > 0 && n % 40 == 0 {
            world.clock.advance(Duration::from_secs(20));
        }
    })
    .await;
    let request = |position| ListMessagesRequest { room_id: room.clone(), position, page_size: 200 };
    let page = async |position| {
        let request = ann.calls.request(request(Some(position)));
        ann.calls.messages().list_messages(request).await.expect("a page").into_inner().messages
    };
    let all = [page(Position::AfterSeq(0)).await, page(Position::AfterSeq(200)).await].concat();
    let times: Vec<SystemTime> = all.iter().map(|m| m.created_at.expect("a time").try_into().expect("one")).collect();
    let third = all.iter().find(|m| m.body.as_ref().is_some_and(|body| body.text == "80")).expect("it is there").seq;
    let at = |seq: i64| times[usize::try_from(seq - 1).expect("few")];
    let before = at(third) - Duration::from_secs(10);
    let around = page(Position::FromTime(before.into())).await;
    assert!(around.iter().any(|m| m.seq == third) && around[0].seq < third);
    let beyond = *times.last().expect("some") + Duration::from_secs(10);
    assert_eq!(page(Position::FromTime(beyond.into())).await.last().map(|m| m.seq), all.last().map(|m| m.seq));
    assert_eq!(page(Position::FromTime(SystemTime::UNIX_EPOCH.into())).await[0].seq, 1);

    let screen = Screen::open(&bob, &room, Anchor::Date(before)).await;
    assert!(screen.seqs().contains(&third) && !screen.timeline.is_at_newest());
    let first = screen.seqs()[0];
    assert!(screen.is_before(|item| matches!(item, TimelineItem::DayLine { .. }), first));
    let screen = Screen::open(&bob, &room, Anchor::Date(beyond)).await;
    assert!(screen.timeline.is_at_newest());

    // Everything is read by whoever comes later.
    let screen = Screen::open(&bob, &room, Anchor::FirstUnread).await;
    let is_new = |item: &TimelineItem| *item == TimelineItem::NewLine;
    assert!(screen.timeline.is_at_newest() && !screen.items.iter().any(is_new));
    drop(screen);
    bob.client.mark_unread(&room, third).await.expect("marked");
    eventually("it is unread", async || (bob.badge(&room).await.0 > 100).then_some(())).await;
    let mut screen = Screen::open(&bob, &room, Anchor::FirstUnread).await;
    assert!(screen.is_before(is_new, third) && !screen.timeline.is_at_newest());
    // The line stays where it is while the person reads on.
    bob.client.mark_read(&room, third + 10).await.expect("marked");
    screen.timeline.load_newer(20).await.expect("held");
    screen.becomes("longer", |seqs| seqs.contains(&(third + 20))).await;
    assert!(screen.is_before(is_new, third));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_begins_anew_leaves_on_the_screen_what_was_there() {
    let world = World::new().await;
    let (ann, bob, room) = long_room(&world, 120, |_| {}).await;
    let mut past = Screen::open(&bob, &room, Anchor::Message(40)).await;
    let mut scrolled = Screen::open(&bob, &room, Anchor::Newest).await;
    let mut newest = Screen::open(&bob, &room, Anchor::Newest).await;
    let (seen, looked_at) = (past.seqs(), scrolled.seqs()[3]);
    scrolled.timeline.scrolled_to(Some(looked_at));
    offline(&bob).await;
    for n in 0..520 {
        ann.calls.send(&room, &format!("{n} of very many")).await.expect("sent");
    }
    ann.calls.send(&room, "the last").await.expect("sent");
    bob.client.reconnect();
    bob.live().await;
    newest.becomes("at the newest", |seqs| seqs[0] > 400).await;
    let end = *newest.seqs().last().expect("some");
    // Both lay in what was dropped. Neither is ever empty on its way.
    for _ in 0..2 {
        let _ = tokio::time::timeout(Duration::from_millis(300), past.timeline.next()).await;
        assert_eq!(past.timeline.items().iter().filter_map(TimelineItem::seq).collect::<Vec<_>>(), seen);
    }
    past.items = past.timeline.items().to_vec();
    ann.client.edit(&room, seen[2], "edited after all").await.expect("edited");
    past.becomes("the same", |seqs| seqs == seen).await;
    let edited = |item: &TimelineItem| matches!(item, TimelineItem::Message(m) if m.text == "edited after all");
    while !past.items.iter().any(edited) {
        let batch = tokio::time::timeout(PATIENCE, past.timeline.next()).await.expect("it comes");
        batch.into_iter().flatten().for_each(|change| change.apply(&mut past.items));
    }
    let held = |seqs: &[i64]| seqs.contains(&looked_at);
    scrolled.timeline.load_newer(10).await.ok();
    scrolled.becomes("where it was", held).await;
    while scrolled.timeline.load_newer(200).await.expect("fetched") {}
    scrolled.becomes("back at the newest", |seqs| seqs.contains(&looked_at) && seqs.contains(&end)).await;
    world.settle().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_totals_what_waits_and_how_far_it_came_are_told() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let room = ann.room("plans", &[&bob]).await;
    bob.sees(&room).await;
    world.settle().await;
    let mut totals = bob.client.unread_totals().await.expect("totals");
    assert_eq!(totals.now().unread, 0);
    let mut screen = Screen::open(&ann, &room, Anchor::Newest).await;
    let seq = ann.say(&room, "hello").await;
    let told = tokio::time::timeout(PATIENCE, totals.next()).await.expect("in time").expect("the client lives");
    assert_eq!((told.unread, told.rooms), (1, 1));
    let reach = |items: &[TimelineItem]| {
        items.iter().find_map(|item| match item {
            TimelineItem::Message(message) if message.seq == Some(seq) => {
                Some((message.reach, message.readers_here.iter().map(|person| person.id.clone()).collect::<Vec<_>>()))
            }
            _ => None,
        })
    };
    bob.client.mark_read(&room, seq).await.expect("marked");
    while reach(&screen.items) != Some((Reach::Read, vec![bob.id.clone()])) {
        let batch = tokio::time::timeout(PATIENCE, screen.timeline.next()).await.expect("it is read");
        batch.into_iter().flatten().for_each(|change| change.apply(&mut screen.items));
    }

    let mut members = ann.client.member_list(&room).await.expect("members");
    let cat = world.person("cat").await;
    ann.client.invite(&room, [cat.id.clone()]).await.expect("invited");
    let names = |items: &[madang_sdk_core::RoomMember]| -> Vec<String> {
        items.iter().map(|member| member.user.login.clone()).collect()
    };
    while names(members.items()) != ["ann", "bob", "cat"] {
        tokio::time::timeout(PATIENCE, members.next()).await.expect("cat is in").expect("the client lives");
    }
    // Whoever came later has read nothing of what was there.
    let of_bob = screen.timeline.items().iter().find(|item| item.seq() == Some(seq));
    assert!(matches!(of_bob, Some(TimelineItem::Message(message)) if message.readers_here.len() == 1));

    let mut outbox = ann.client.outbox().await.expect("an outbox");
    // What was said before may be stored before its answer is here.
    while !outbox.items().is_empty() {
        tokio::time::timeout(PATIENCE, outbox.next()).await.expect("it leaves").expect("the client lives");
    }
    offline(&ann).await;
    ann.client.send(&room, "later").await.expect("in the outbox");
    let batch = tokio::time::timeout(PATIENCE, outbox.next()).await.expect("in time").expect("the client lives");
    let [ListChange::Appended { items }] = batch.as_slice() else { panic!("one message: {batch:?}") };
    assert_eq!((items[0].text.as_str(), &items[0].state), ("later", &SendState::Queued));
    ann.client.reconnect();
    while !outbox.items().is_empty() {
        tokio::time::timeout(PATIENCE, outbox.next()).await.expect("it leaves").expect("the client lives");
    }
    ann.client.shutdown(Duration::ZERO).await;
    assert!(outbox.next().await.is_none(), "lists end with their client");
    let late = ann.client.unread_totals().await.expect_err("the client has ended");
    assert_eq!(late.kind, ClientErrorKind::Cancelled);
    world.end().await;
}

/// Members of a large room beside its maker: more than two pages of them.
const MANY: i64 = 1_100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_members_of_a_large_room_come_page_by_page_and_each_is_there_once() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let room = ann.room("hall", &[]).await;
    world.settle().await;
    offline(&ann).await;
    let come = sqlx::query(
        "with people as (
           insert into users (id, issuer, subject, login, login_key, name_key, display_name, claimed_name)
           select gen_random_uuid(), 'https://issuer.example', name, name, name, name, name, name
           from (select 'member ' || lpad(n::text, 4, '0') as name from generate_series(1, $1) n) n
           returning id
         ), cursors as (insert into user_cursors (user_id) select id from people)
         insert into members (room_id, user_id, state, joined_at, rev, user_rev)
         select $2::uuid, id, 1, now(), 9, 1 from people",
    );
    let sql = world.sql().await;
    come.bind(MANY).bind(&room).execute(&sql).await.expect("they have come");
    let large =
        "update rooms set member_count = member_count + (select count(*) from members where rev = 9), large = true,
         rev = 9, changed_xid = pg_current_xact_id()::text::bigint";
    sqlx::raw_sql(large).execute(&sql).await.expect("it is large");
    ann.client.reconnect();
    ann.live().await;
    let mut members = ann.client.member_list(&room).await.expect("members");
    let mut shown = members.items().to_vec();
    let many = usize::try_from(MANY).expect("a small number");
    while shown.len() <= many || shown.iter().any(|member| member.user.login.is_empty()) {
        let batch = tokio::time::timeout(PATIENCE, members.next()).await.expect("they come").expect("the client lives");
        for change in batch {
            change.apply(&mut shown);
        }
    }
    let names = shown.iter().map(|member| member.user.login.clone());
    let all = std::iter::once("ann".to_owned()).chain((1..=MANY).map(|n| format!("member {n:04}")));
    assert!(names.eq(all), "the one who made the room, then the others by name");
    world.end().await;
}

/// More than are told one by one, on a live stream and on one that comes back.
const COMPANY: i64 = 600;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_whole_company_changes_its_names_nobody_keeps_an_old_one() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let room = ann.room("plans", &[&bob]).await;
    bob.sees(&room).await;
    bob.look_at(&[&room]);
    let sql = world.sql().await;
    let come = sqlx::query(
        "insert into users (id, issuer, subject, login, login_key, name_key, display_name, claimed_name)
         select gen_random_uuid(), 'https://issuer.example', name, name, name, name, name, name
         from (select 'member ' || n as name from generate_series(1, $1) n) n",
    );
    come.bind(COMPANY).execute(&sql).await.expect("they have come");
    world.settle().await;
    let shows = async |name: &str| bob.client.user(&ann.id).await.ok()??.display_name.eq(name).then_some(());
    let rename = async |name: &str| {
        let all = "update users set display_name = $1, profile_rev = profile_rev + 1,
                       profile_xid = pg_current_xact_id()::text::bigint where (login = 'ann') = $2";
        let mut tx = sql.begin().await.expect("begun");
        // Whoever is looked for is the last one.
        for is_ann in [false, true] {
            sqlx::query(all).bind(name).bind(is_ann).execute(&mut *tx).await.expect("renamed");
        }
        tx.commit().await.expect("kept");
    };
    rename("live").await;
    eventually("bob to see the new name", || shows("live")).await;
    offline(&bob).await;
    rename("while away").await;
    bob.client.reconnect();
    eventually("bob to see what changed while away", || shows("while away")).await;
    world.end().await;
}
