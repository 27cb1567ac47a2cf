//! The terminal client as a person uses it, driven by pipes: the real binaries, a real server process.

mod seat;

use seat::{House, at};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_chat_and_a_killed_one_misses_nothing() {
    let house = House::open().await;
    let (mut ann, mut bob) = (house.seat("ann", "en").await, house.seat("bob", "ko").await);
    ann.types("/new plans bob").await;
    bob.sees("방 plans").await;
    bob.types("/open plans").await;
    ann.types("hello bob").await;
    bob.sees_message("Ann Kim", "hello bob").await;
    bob.types("안녕하세요").await;
    ann.sees_message("Bob Lee", "안녕하세요").await;
    ann.types("/typing").await;
    bob.sees("Ann Kim").await;
    let shown = bob.kill().await;
    assert_eq!(count(&shown, "hello bob"), 1, "once: {shown:#?}");
    for n in 0..5 {
        ann.types(&format!("while bob was away {n}")).await;
    }
    ann.sees("while bob was away 4").await;
    let mut bob = house.seat("bob", "ko").await;
    bob.types("/open plans").await;
    bob.sees("while bob was away 4").await;
    let shown = bob.quits().await;
    let said: Vec<usize> = (0..5).map(|n| place(&shown, &format!("while bob was away {n}"))).collect();
    assert!(said.is_sorted(), "in order: {shown:#?}");
    for text in ["hello bob", "안녕하세요", "while bob was away 0"] {
        assert_eq!(count(&shown, text), 1, "{text} once: {shown:#?}");
    }
    ann.quits().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_person_is_invited_leaves_and_comes_back() {
    let house = House::open().await;
    let (mut ann, mut bob) = (house.seat("ann", "ko").await, house.seat("bob", "en").await);
    let mut cat = house.seat("cat", "en").await;
    ann.types("/new 샘플 bob").await;
    bob.sees("room 샘플").await;
    bob.types("/open 샘플").await;
    ann.types("/invite cat").await;
    cat.sees("room 샘플").await;
    cat.types("/open 샘플").await;
    cat.types("hi all").await;
    ann.sees("hi all").await;
    cat.types("/leave").await;
    ann.sees("나갔습니다").await;
    bob.sees(" left").await;
    ann.types("while cat was away").await;
    bob.sees("while cat was away").await;
    cat.types("/join 샘플").await;
    ann.sees("들어왔습니다").await;
    cat.types("back again").await;
    bob.sees("back again").await;
    for seat in [ann, bob, cat] {
        seat.quits().await;
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_counts_are_right_and_what_was_typed_offline_is_sent_later() {
    let mut house = House::open().await;
    let (mut ann, mut bob) = (house.seat("ann", "en").await, house.seat("bob", "en").await);
    ann.types("/new plans bob").await;
    bob.sees("room plans").await;
    for n in 0..3 {
        ann.types(&format!("message {n}")).await;
        ann.sees(&format!("message {n}")).await;
    }
    bob.sees("plans: unread 3").await;
    bob.types("/open plans").await;
    bob.sees("message 2").await;
    house.server_dies().await;
    ann.types("typed without a server").await;
    house.server_returns().await;
    bob.sees("typed without a server").await;
    let shown = bob.quits().await;
    assert_eq!(count(&shown, "typed without a server"), 1, "{shown:#?}");
    ann.quits().await;
    house.close().await;
}

/// Lines that hold a text.
fn count(lines: &[String], text: &str) -> usize {
    lines.iter().filter(|line| at(line).is_some_and(|said| said.ends_with(text))).count()
}

fn place(lines: &[String], text: &str) -> usize {
    lines.iter().position(|line| line.ends_with(text)).unwrap_or_else(|| panic!("no line says {text}: {lines:#?}"))
}
