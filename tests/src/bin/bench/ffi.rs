//! What the boundary to other languages costs: calls and a screen of messages, as programs of each language see them, and
//! whether a million calls leave memory as it was. Without a server. The programs stand ready in a folder, one a language:
//! `cargo xtask bench ffi` puts them there.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::try_join_all;
use serde::Deserialize;
use tokio::process::Command;

use crate::Plan;
use crate::figure::{Figure, Goal, median};

/// The library itself, and languages whose programs measure what calls cost.
const LIBRARY: &str = "rust";
const SPEAKERS: [&str; 3] = ["csharp", "csharp-core", "kotlin"];

/// Languages whose programs call a million times, at what they hold afterwards.
const TORTURED: [&str; 4] = ["csharp", "csharp-core", "kotlin", "java"];
const CALLS: &str = "1000000";

/// Most of the last tenth over the second.
const GROWTH: f64 = 1.02;

/// What a program tells of a round.
#[derive(Deserialize)]
struct Told {
    /// Of a call without an answer, and of one with one; nanoseconds.
    call_ns: f64,
    answer_ns: f64,
    /// Of a call that is waited for; microseconds. Not of the library itself.
    #[serde(default)]
    wait_us: f64,
    /// Of 50 messages as objects; microseconds.
    #[serde(default)]
    diff_us: f64,
}

pub async fn measure(plan: &Plan) -> Result<Vec<Figure>> {
    let Some(programs) = &plan.bindings else {
        bail!("the programs of other languages are not there: call `cargo xtask bench ffi`")
    };
    let at_most = |name: String, value, unit, most| Figure::new(name, value, unit).goal(Goal::AtMost(most));
    let library = told(plan, programs, LIBRARY).await?;
    let mut figures = vec![
        at_most("ffi, library's side of a call".into(), library.call_ns, "ns", 1_000.0)
            .beside("with an answer", library.answer_ns),
    ];
    for language in SPEAKERS {
        let told = told(plan, programs, language).await?;
        figures.extend([
            at_most(format!("ffi, {language}, call"), told.call_ns, "ns", 2_000.0)
                .beside("with an answer", told.answer_ns)
                .beside("library's side", library.call_ns),
            at_most(format!("ffi, {language}, call that is waited for"), told.wait_us, "us", 20.0),
            at_most(format!("ffi, {language}, 50 messages"), told.diff_us, "us", 200.0)
                .note("from the core's list to the language's objects; the store is not asked"),
        ]);
    }
    // Side by side: what each holds does not depend on how soon it comes to an end.
    let growths = try_join_all(TORTURED.map(|language| growth(plan, programs, language))).await?;
    figures.extend(TORTURED.iter().zip(growths).map(|(language, growth)| {
        let name = format!("ffi, {language}, memory after a million calls");
        at_most(name, growth, "of that after 200,000", GROWTH)
    }));
    Ok(figures)
}

/// The middle of the rounds, each a process of its own.
async fn told(plan: &Plan, programs: &Path, language: &str) -> Result<Told> {
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        let line = output(plan, programs, language, "bench", &[]).await?;
        rounds.push(serde_json::from_str::<Told>(&line).with_context(|| format!("{language} tells {line}"))?);
    }
    let middle = |of: fn(&Told) -> f64| median(rounds.iter().map(of).collect());
    Ok(Told {
        call_ns: middle(|told| told.call_ns),
        answer_ns: middle(|told| told.answer_ns),
        wait_us: middle(|told| told.wait_us),
        diff_us: middle(|told| told.diff_us),
    })
}

/// What a program holds after its last step, over what it held after the second. It fails when it has lost something.
async fn growth(plan: &Plan, programs: &Path, language: &str) -> Result<f64> {
    let told = output(plan, programs, language, "torture", &[CALLS, "1"]).await?;
    let held =
        |line: &str| line.split(", ").find_map(|part| part.strip_suffix(" KiB")).and_then(|kib| kib.parse().ok());
    let sizes: Vec<f64> = told.lines().filter_map(held).collect();
    ensure!(sizes.len() == 10, "{language} tells of {} steps", sizes.len());
    Ok(sizes[9] / sizes[1])
}

async fn output(plan: &Plan, programs: &Path, language: &str, program: &str, arguments: &[&str]) -> Result<String> {
    plan.say(&format!("{language}: {program}"));
    let path = programs.join(language).join(program);
    let output = Command::new(&path)
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("run {}", path.display()))?;
    let said = String::from_utf8(output.stdout)?;
    // Memory that grows is a figure like others.
    let grows = said.contains("memory grows");
    ensure!(
        output.status.success() || grows,
        "{language}: {program}: {}\n{said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(said)
}
