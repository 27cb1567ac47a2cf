//! Shows that each guard is needed: its story holds with it and fails without it. `cargo xtask guards` runs this; it prints
//! rule, story, with, without, and fails on a guard without a row or a row that does not show anything.
#![expect(clippy::print_stdout, reason = "the table is this program's answer")]

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};

/// Stories that are not called as their guards. A guard that only another one's absence lets through names it too.
const STORIES: &[(&str, &str, &str)] = &[
    ("register_first", "e2e", "rules::register_first"),
    ("buffer", "e2e", "rules::buffer"),
    ("watermark_before_read", "e2e", "rules::watermark_before_read"),
    ("drained_last", "e2e", "rules::drained_last"),
    ("dirty", "e2e", "rules::dirty"),
    ("hub_order", "e2e", "rules::hub_order"),
    ("removal_order", "e2e", "rules::removal_order"),
    ("access_at_read", "e2e", "rules::access_at_read"),
    ("xmin", "e2e", "rules::xmin"),
    ("poll", "e2e", "rules::poll"),
    ("index_repair", "e2e", "rules::index_repair"),
    ("paging", "e2e", "rules::paging"),
    ("history", "e2e", "rules::an_edit_of_an_old_message_does_not_reach_a_newcomer"),
    ("tail_stays", "e2e", "rules::tail_stays"),
    ("idempotency", "e2e", "writing::sending_twice_with_one_id_stores_one_message"),
    ("lock_then_read", "e2e", "writing::a_removal_while_the_writer_waits_wins"),
    ("cancel_safe", "security", "cancel::a_cancelled_call_loses_nobodys_writes"),
    ("bisection", "e2e", "writing::one_bad_draft_fails_alone"),
    ("second_lane", "e2e", "writing::a_slow_room_delays_no_other"),
    ("client_keep_after_drained", "e2e", "rules::client_keep_after_drained"),
    ("client_spans", "e2e", "rules::client_spans"),
    ("client_user_spans", "e2e", "rules::client_user_spans"),
    ("client_head_rev", "e2e", "rules::client_head_rev"),
    ("client_gone_numbered", "e2e", "rules::client_gone_numbered"),
    ("client_generation", "e2e", "rules::client_generation"),
    ("client_epoch", "e2e", "rules::client_epoch"),
    ("client_reset", "e2e", "rules::client_reset"),
    ("client_rows_by_rev", "e2e", "rules::client_rows_by_rev"),
    ("client_paging", "e2e", "rules::client_paging"),
    ("client_history", "e2e", "rules::client_history"),
    ("client_echo_merge", "e2e", "rules::client_echo_merge"),
    ("client_outbox_order", "e2e", "rules::client_outbox_order"),
];

/// Stories that run at once: most of a red one is waiting for what never comes.
const AT_ONCE: usize = 3;

/// How often a story may hold without its guard before that counts.
const RED_TRIES: u32 = 3;

fn main() -> Result<ExitCode> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let missing: Vec<_> =
        madang_tests::world::guards().into_iter().filter(|guard| STORIES.iter().all(|row| row.0 != *guard)).collect();
    let rows = STORIES.iter().filter(|row| wanted.is_empty() || wanted.iter().any(|name| name == row.0));
    let queue: Arc<Mutex<Vec<_>>> = Arc::new(Mutex::new(rows.rev().collect()));
    let programs = Arc::new(programs()?);
    let workers: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (queue, programs) = (Arc::clone(&queue), Arc::clone(&programs));
            std::thread::spawn(move || work(&queue, &programs))
        })
        .collect();
    println!("{:<28} {:<72} {:>9} {:>12}", "guard", "story", "with", "without");
    let mut shown = true;
    for worker in workers {
        shown &= worker.join().ok().context("a worker panicked")??;
    }
    ensure!(!wanted.is_empty() || missing.is_empty(), "guards without a story: {}", missing.join(", "));
    Ok(if shown { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

type Row = (&'static str, &'static str, &'static str);

fn work(queue: &Mutex<Vec<&Row>>, programs: &[(String, PathBuf)]) -> Result<bool> {
    let mut shown = true;
    loop {
        let row = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some((guard, target, story)) = row else { return Ok(shown) };
        let program = &programs.iter().find(|(name, _)| name == target).context("no such program of tests")?.1;
        let (with, took) = play(program, story, None)?;
        let (mut without, mut took_without) = play(program, story, Some(guard))?;
        // A transaction of a neighbour's database holds back the horizon, which can hide what is missing.
        for _ in 1..RED_TRIES {
            if without {
                (without, took_without) = play(program, story, Some(guard))?;
            }
        }
        shown &= with && !without;
        let word = |held| if held { "holds" } else { "fails" };
        println!("{guard:<28} {story:<72} {} {took:>2}s {:>6} {took_without:>2}s", word(with), word(without));
    }
}

fn play(program: &Path, story: &str, without: Option<&str>) -> Result<(bool, u64)> {
    let begin = Instant::now();
    let mut command = Command::new(program);
    command.args(["--exact", story]).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(guard) = without {
        command.env("MADANG_WITHOUT", guard);
    }
    Ok((command.status()?.success(), begin.elapsed().as_secs()))
}

/// The programs of the test targets, which cargo builds and names.
fn programs() -> Result<Vec<(String, PathBuf)>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args([
        "test",
        "--no-run",
        "--quiet",
        "-p",
        "madang-tests",
        "--features",
        "sabotage",
        "--test",
        "e2e",
        "--test",
        "security",
    ]);
    let output = build.args(["--message-format", "json"]).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the stories do not build");
    let text = String::from_utf8(output.stdout)?;
    let found = text.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let name = message["target"]["name"].as_str()?.to_owned();
        Some((name, PathBuf::from(message["executable"].as_str()?)))
    });
    Ok(found.collect())
}
