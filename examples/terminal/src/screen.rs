//! The screen: whole lines, flushed one by one.

use std::{io::Write as _, time::SystemTime};

use chrono::{DateTime, Local};

/// Prints a line. Nobody reading is no failure of ours: the input ends too, then.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", one_line(text));
    let _ = out.flush();
}

/// What others wrote may hold line breaks and control characters; on the screen it is one line, and no command to the
/// terminal.
fn one_line(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' => '⏎',
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// `HH:MM`, in the time of this machine.
pub(crate) fn clock(time: SystemTime) -> String {
    DateTime::<Local>::from(time).format("%H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_write_stays_one_line_and_commands_no_terminal() {
        assert_eq!(one_line("a\nb\tc\x1b[2Jd"), "a⏎b c\u{fffd}[2Jd");
    }
}
