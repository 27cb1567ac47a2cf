//! The window of `WinForms`, on a screen that nobody sees, with somebody who types.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::scenarios::{PATIENCE, Server, Spoken};
use crate::{packages, run::Cargo};

/// A screen, hands, eyes, and what windows are drawn by.
const SCREEN: [&str; 7] = [
    "xvfb",
    "xauth",
    "xdotool",
    "imagemagick",
    "fonts-dejavu-core",
    "libgdiplus",
    "libmono-system-windows-forms4.0-cil",
];

/// The window's size, in its example.
const SIZE: &str = "420x260";
/// Where its list is, a little inside of the frame; the first line of that; and where one types.
const LIST: &str = "410x220+5+5";
const FIRST: [&str; 2] = ["20", "12"];
const FIELD: [&str; 2] = ["100", "250"];

pub(super) fn need() -> Result<()> {
    packages::need("xdotool", &SCREEN)
}

/// Types a room's name into the window, and a message, and waits for both to be drawn; the picture.
pub(super) fn play(program: &Path, folder: &Path) -> Result<PathBuf> {
    let mut server = Server::start()?;
    let screen = format!("{SIZE}x24");
    let screen = Spoken::start(Cargo::program("Xvfb").args(["-displayfd", "1", "-screen", "0", &screen]))?;
    let display = format!(":{}", screen.until("")?.trim());
    let store = folder.join("window.db");
    let _ = fs::remove_file(&store);
    let call = Cargo::program("mono").arg(program).arg(&server.address).arg(&store);
    let window = Spoken::start(call.env("MADANG_TOKEN", server.token("ann")?).env("DISPLAY", &display))?;
    let hand = |words: &[&str]| Cargo::program("xdotool").env("DISPLAY", &display).args(words).output();
    let picture = folder.join("window.png");
    let look = || look(&display, &picture);
    let changed = |before: &str| look().is_ok_and(|now| now != before);
    patiently("the window does not come", || {
        hand(&["search", "--name", "Madang: Live", "windowmove", "0", "0"]).is_ok()
    })?;
    let before = still(look)?;
    hand(&["mousemove", FIELD[0], FIELD[1], "click", "1", "type", "--delay", "50", "lunch"])?;
    hand(&["key", "ctrl+Return"])?;
    patiently("the room is not drawn", || changed(&before))?;
    hand(&["mousemove", FIRST[0], FIRST[1], "click", "1"])?;
    hand(&["mousemove", FIELD[0], FIELD[1], "click", "1", "type", "--delay", "50", "who comes?"])?;
    let before = still(look)?;
    hand(&["key", "Return"])?;
    patiently("the message is not drawn", || changed(&before))?;
    drop((window, screen));
    server.end()?;
    Ok(picture)
}

/// What the list looks like, as a number.
fn look(display: &str, picture: &Path) -> Result<String> {
    Cargo::program("import").env("DISPLAY", display).args(["-window", "root"]).arg(picture).run()?;
    Cargo::program("convert").arg(picture).args(["-crop", LIST, "-format", "%#", "info:"]).output()
}

/// What it looks like when nothing is drawn any more.
fn still(look: impl Fn() -> Result<String>) -> Result<String> {
    let mut last = look()?;
    patiently("the window does not come to rest", || {
        let before = last.clone();
        look().is_ok_and(|now| {
            last = now;
            last == before
        })
    })?;
    Ok(last)
}

fn patiently(failure: &str, mut look: impl FnMut() -> bool) -> Result<()> {
    let began = Instant::now();
    while !look() {
        ensure!(began.elapsed() < PATIENCE, "{failure}");
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
