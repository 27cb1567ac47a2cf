//! Lines that a person types.

use chrono::NaiveDate;

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Nothing.
    Nothing,
    /// A message to the open room.
    Say(String),
    /// Make a room with people, and open it.
    New(String, Vec<String>),
    /// Open the room with one person.
    Direct(String),
    /// List rooms, those with this in their name.
    Rooms(String),
    /// Open a room, by number or name.
    Open(String),
    /// Bring people in.
    Invite(Vec<String>),
    /// Take a person out.
    Remove(String),
    /// Leave the open room.
    Leave,
    /// Enter a room, by number, name or id.
    Join(String),
    /// Change a message; without a position the last of one's own.
    Edit(Option<i64>, String),
    /// Delete a message; without a position the last of one's own.
    Delete(Option<i64>),
    /// List members.
    Who,
    /// Tell the unread total.
    Unread,
    /// Mark from a message on as unread.
    MarkUnread(i64),
    /// Show older messages.
    Older(u16),
    /// Show the messages around a place.
    Jump(Place),
    /// Say that one is writing.
    Typing,
    /// List what has failed.
    Failed,
    /// Try again what has failed: one of the list, or all.
    Retry(Option<usize>),
    /// Throw away what has failed: one of the list, or all.
    Discard(Option<usize>),
    /// List commands.
    Help,
    /// End.
    Quit,
    /// Not understood; how it is meant to be.
    Usage(&'static str),
}

/// A place in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A message.
    Message(i64),
    /// The beginning of a day.
    Day(NaiveDate),
    /// The first unread message.
    Unread,
}

/// Older messages shown at once.
const OLDER: u16 = 50;

impl Command {
    /// Reads a line.
    pub(crate) fn parse(line: &str) -> Self {
        let line = line.trim_end_matches(['\r', '\n']);
        let Some(rest) = line.trim_start().strip_prefix('/') else {
            return if line.trim().is_empty() { Self::Nothing } else { Self::Say(line.to_owned()) };
        };
        if let Some(text) = rest.strip_prefix('/') {
            return Self::Say(format!("/{text}"));
        }
        let (name, tail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let tail = tail.trim();
        let words = words(tail);
        let first = words.first().cloned();
        match (name, first) {
            ("new", Some(name)) => Self::New(name, logins(&words[1..])),
            ("new", None) => Self::Usage("/new NAME LOGIN..."),
            ("dm", Some(login)) => Self::Direct(login.trim_start_matches('@').to_owned()),
            ("dm", None) => Self::Usage("/dm LOGIN"),
            ("rooms", _) => Self::Rooms(tail.to_owned()),
            ("open", Some(_)) => Self::Open(words.join(" ")),
            ("open", None) => Self::Usage("/open NUMBER|NAME"),
            ("invite", Some(_)) => Self::Invite(logins(&words)),
            ("invite", None) => Self::Usage("/invite LOGIN..."),
            ("remove", Some(login)) => Self::Remove(login.trim_start_matches('@').to_owned()),
            ("remove", None) => Self::Usage("/remove LOGIN"),
            ("leave", _) => Self::Leave,
            ("join", Some(_)) => Self::Join(words.join(" ")),
            ("join", None) => Self::Usage("/join NUMBER|NAME|ROOM_ID"),
            ("edit", Some(_)) => edit(tail),
            ("edit", None) => Self::Usage("/edit [#SEQ] TEXT"),
            ("delete", None) => Self::Delete(None),
            ("delete", Some(at)) => position(&at).map_or(Self::Usage("/delete [#SEQ]"), |seq| Self::Delete(Some(seq))),
            ("who", _) => Self::Who,
            ("unread", None) => Self::Unread,
            ("unread", Some(at)) => position(&at).map_or(Self::Usage("/unread [#SEQ]"), Self::MarkUnread),
            ("older", count) => Self::Older(count.and_then(|count| count.parse().ok()).unwrap_or(OLDER)),
            ("typing", _) => Self::Typing,
            ("jump", Some(to)) => place(&to).map_or(Self::Usage(JUMP), Self::Jump),
            ("jump", None) => Self::Usage(JUMP),
            ("failed", _) => Self::Failed,
            ("retry", number) => numbered(number, Self::Retry, "/retry [NUMBER]"),
            ("discard", number) => numbered(number, Self::Discard, "/discard [NUMBER]"),
            ("help", _) => Self::Help,
            ("quit" | "exit", _) => Self::Quit,
            _ => Self::Usage("/help"),
        }
    }
}

const JUMP: &str = "/jump #SEQ|YYYY-MM-DD|unread";

/// `#12`, `2026-11-21` or `unread`.
fn place(text: &str) -> Option<Place> {
    let day = || text.parse().ok().map(Place::Day);
    (text == "unread").then_some(Place::Unread).or_else(|| position(text).map(Place::Message)).or_else(day)
}

/// A number from 1, or none.
fn numbered(text: Option<String>, command: fn(Option<usize>) -> Command, usage: &'static str) -> Command {
    match text.map(|text| text.parse().ok().filter(|number| *number > 0)) {
        None => command(None),
        Some(Some(number)) => command(Some(number)),
        Some(None) => Command::Usage(usage),
    }
}

/// `#12`.
fn position(text: &str) -> Option<i64> {
    text.strip_prefix('#')?.parse().ok().filter(|seq| *seq > 0)
}

fn edit(tail: &str) -> Command {
    let (first, rest) = tail.split_once(char::is_whitespace).unwrap_or((tail, ""));
    match position(first) {
        Some(_) if rest.trim().is_empty() => Command::Usage("/edit [#SEQ] TEXT"),
        Some(seq) => Command::Edit(Some(seq), rest.trim().to_owned()),
        None => Command::Edit(None, tail.to_owned()),
    }
}

fn logins(words: &[String]) -> Vec<String> {
    words.iter().map(|word| word.trim_start_matches('@').to_owned()).collect()
}

/// Words; those in quotation marks hold together.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_is_a_message_and_two_slashes_begin_one() {
        assert_eq!(Command::parse("hello there\n"), Command::Say("hello there".into()));
        assert_eq!(Command::parse("//etc"), Command::Say("/etc".into()));
        assert_eq!(Command::parse("  "), Command::Nothing);
    }

    #[test]
    fn names_in_quotation_marks_hold_together() {
        let new = Command::parse("/new \"Team lunch\" bob @cat");
        assert_eq!(new, Command::New("Team lunch".into(), vec!["bob".into(), "cat".into()]));
        assert_eq!(Command::parse("/open Team lunch"), Command::Open("Team lunch".into()));
    }

    #[test]
    fn positions_are_optional_and_checked() {
        assert_eq!(Command::parse("/edit #3 better"), Command::Edit(Some(3), "better".into()));
        assert_eq!(Command::parse("/edit much better"), Command::Edit(None, "much better".into()));
        assert_eq!(Command::parse("/delete"), Command::Delete(None));
        assert_eq!(Command::parse("/delete #x"), Command::Usage("/delete [#SEQ]"));
        assert_eq!(Command::parse("/wat"), Command::Usage("/help"));
        assert_eq!(Command::parse("/retry"), Command::Retry(None));
        assert_eq!(Command::parse("/discard 2"), Command::Discard(Some(2)));
        assert_eq!(Command::parse("/retry it"), Command::Usage("/retry [NUMBER]"));
    }

    #[test]
    fn a_place_is_a_message_a_day_or_what_is_unread() {
        assert_eq!(Command::parse("/jump #12"), Command::Jump(Place::Message(12)));
        assert_eq!(Command::parse("/jump unread"), Command::Jump(Place::Unread));
        let day = NaiveDate::from_ymd_opt(2026, 11, 21).unwrap();
        assert_eq!(Command::parse("/jump 2026-11-21"), Command::Jump(Place::Day(day)));
        assert_eq!(Command::parse("/jump there"), Command::Usage(JUMP));
    }
}
