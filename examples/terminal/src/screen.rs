//! The screen: whole lines, flushed one by one.

use std::{io::Write as _, time::SystemTime};

use chrono::{DateTime, Local, NaiveDate, NaiveTime};

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

/// When a day begins, in the time of this machine.
pub(crate) fn beginning(day: NaiveDate) -> SystemTime {
    let midnight = day.and_time(NaiveTime::MIN);
    // Where a day has no midnight, because clocks are put forward then, the day of Greenwich is near enough.
    midnight.and_local_timezone(Local).earliest().map_or_else(|| midnight.and_utc().into(), SystemTime::from)
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
