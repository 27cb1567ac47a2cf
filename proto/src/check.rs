//! The validator of request fields. Its calls are generated from the limits in the contract, so the limits that clients
//! read in the comments and those that the server holds are the same.

use std::{collections::HashMap, fmt};

use crate::v1::TextFormat;

/// Violations reported of one request; a hostile request gets no longer answer than this.
const MOST_VIOLATIONS: usize = 20;

/// A field that breaks a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, as in `body.entities[3].url`.
    pub field: String,
    /// The limit, as in `at most 80 characters`.
    pub limit: String,
}

/// What was found in one request.
pub type Violations = Vec<Violation>;

/// A message that knows the limits of its fields.
pub trait Check {
    /// Adds what breaks a limit.
    fn check(&self, at: &Path<'_>, out: &mut Violations);
}

/// Where in a request a field lies; costs nothing until a violation is written down.
#[derive(Clone, Copy)]
pub enum Path<'a> {
    /// The request itself.
    Root,
    /// A field of what lies at the first path.
    Field(&'a Path<'a>, &'static str),
    /// An item of the list at the path.
    Item(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub(crate) fn field(&'a self, name: &'static str) -> Self {
        Self::Field(self, name)
    }

    pub(crate) fn item(&'a self, index: usize) -> Self {
        Self::Item(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// The limits of one field; 0 and `None` bound nothing.
pub struct Limits {
    pub(crate) required: bool,
    pub(crate) max_characters: usize,
    pub(crate) max_bytes: usize,
    pub(crate) max_items: usize,
    pub(crate) min: Option<i64>,
    pub(crate) max: Option<i64>,
    pub(crate) format: TextFormat,
}

fn add(out: &mut Violations, at: &Path<'_>, limit: impl Into<String>) {
    if out.len() < MOST_VIOLATIONS {
        out.push(Violation { field: at.to_string(), limit: limit.into() });
    }
}

impl Limits {
    fn text(&self, value: &str, at: &Path<'_>, out: &mut Violations) {
        if value.is_empty() {
            if self.required {
                add(out, at, "must not be empty");
            }
            return;
        }
        if self.max_bytes > 0 && value.len() > self.max_bytes {
            return add(out, at, format!("at most {} bytes", self.max_bytes));
        }
        if self.max_characters > 0 && value.len() > self.max_characters && value.chars().count() > self.max_characters {
            return add(out, at, format!("at most {} characters", self.max_characters));
        }
        if let Some(wrong) = self.form(value) {
            add(out, at, wrong);
        }
    }

    fn form(&self, value: &str) -> Option<&'static str> {
        match self.format {
            TextFormat::Unspecified => value.contains('\0').then_some("must not contain NUL"),
            TextFormat::Uuid => (!is_uuid(value)).then_some("must be a UUID in lower case"),
            TextFormat::UuidV7 => {
                (!is_uuid(value) || value.as_bytes()[14] != b'7').then_some("must be a version 7 UUID in lower case")
            }
            TextFormat::Line if value.trim() != value => Some("must not begin or end with white space"),
            TextFormat::Line => value.chars().any(is_forbidden).then_some("must not contain control characters"),
            TextFormat::Paragraphs => value
                .chars()
                .any(|c| is_forbidden(c) && c != '\n' && c != '\t' && c != '\r')
                .then_some("must not contain control characters"),
        }
    }

    fn number(&self, value: i64, at: &Path<'_>, out: &mut Violations) {
        if let Some(min) = self.min.filter(|min| value < *min) {
            add(out, at, format!("at least {min}"));
        }
        if let Some(max) = self.max.filter(|max| value > *max) {
            add(out, at, format!("at most {max}"));
        }
    }

    fn enumeration(&self, value: i32, known: bool, at: &Path<'_>, out: &mut Violations) {
        if !known {
            add(out, at, "must be a known value");
        } else if self.required && value == 0 {
            add(out, at, "must be stated");
        }
    }

    fn absent(&self, at: &Path<'_>, out: &mut Violations) {
        if self.required {
            add(out, at, "must be present");
        }
    }

    fn list(&self, length: usize, at: &Path<'_>, out: &mut Violations) {
        if self.required && length == 0 {
            add(out, at, "must not be empty");
        }
        if self.max_items > 0 && length > self.max_items {
            add(out, at, format!("at most {} items", self.max_items));
        }
    }

    fn most_items(&self) -> usize {
        if self.max_items > 0 { self.max_items } else { usize::MAX }
    }

    fn map(&self, map: &HashMap<String, String>, at: &Path<'_>, out: &mut Violations) {
        self.list(map.len(), at, out);
        let bytes: usize = map.iter().map(|(key, value)| key.len() + value.len()).sum();
        if self.max_bytes > 0 && bytes > self.max_bytes {
            add(out, at, format!("at most {} bytes together", self.max_bytes));
        }
        if map.iter().any(|(key, value)| key.is_empty() || key.contains('\0') || value.contains('\0')) {
            add(out, at, "keys must not be empty, and nothing may contain NUL");
        }
    }
}

/// Control characters, and the invisible ones that turn the direction of a line and so disguise names.
fn is_forbidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn is_uuid(value: &str) -> bool {
    value.len() == 36
        && value.bytes().enumerate().all(|(n, b)| match n {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        })
}

#[allow(clippy::all, clippy::pedantic, unused_qualifications, reason = "generated")]
mod generated {
    use super::{Check, Limits, Path, Violations};
    use crate::v1::{self, TextFormat};
    include!(concat!(env!("OUT_DIR"), "/checks.rs"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1;

    fn violations(message: &impl Check) -> Vec<(String, String)> {
        let mut out = Vec::new();
        message.check(&Path::Root, &mut out);
        out.into_iter().map(|v| (v.field, v.limit)).collect()
    }

    fn uuid(version: char) -> String {
        format!("01890a5d-ac96-{version}74b-bcce-b302099a8057")
    }

    #[test]
    fn all_violations_of_a_request_come_at_once() {
        let request = v1::SendMessageRequest {
            room_id: "no".into(),
            client_message_id: uuid('4'),
            body: Some(v1::MessageBody {
                text: "a\0b".into(),
                format: 77,
                entities: vec![v1::Entity { offset: -1, kind: 0, ..Default::default() }],
                ..Default::default()
            }),
            seen_seq: -1,
            ..Default::default()
        };
        let found: Vec<String> = violations(&request).into_iter().map(|v| v.0).collect();
        let expected = [
            "room_id",
            "client_message_id",
            "body.text",
            "body.format",
            "body.entities[0].offset",
            "body.entities[0].kind",
            "seen_seq",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn limits_count_characters_and_bytes_apart() {
        let name = |text: String| v1::CreateRoomRequest { room_id: uuid('7'), name: text, ..Default::default() };
        assert!(violations(&name("가".repeat(80))).is_empty());
        assert_eq!(violations(&name("가".repeat(81)))[0].1, "at most 80 characters");
        assert_eq!(violations(&name("👨‍👩‍👧".repeat(30)))[0].1, "at most 320 bytes");
        assert_eq!(violations(&name(" a".into()))[0].1, "must not begin or end with white space");
        assert_eq!(violations(&name("a\u{202e}b".into()))[0].1, "must not contain control characters");
        assert_eq!(violations(&name(String::new()))[0].1, "must not be empty");
    }

    #[test]
    fn a_field_that_is_absent_is_not_checked_and_one_that_is_cleared_is() {
        assert!(violations(&v1::UpdateProfileRequest::default()).is_empty());
        let cleared = v1::UpdateProfileRequest {
            display_name: Some(String::new()),
            title: Some(String::new()),
            ..Default::default()
        };
        assert_eq!(violations(&cleared), [("display_name".to_owned(), "must not be empty".to_owned())]);
    }

    #[test]
    fn a_long_list_is_refused_and_its_answer_is_short() {
        let request = v1::BatchGetUsersRequest { user_ids: vec!["x".into(); 10_000] };
        let found = violations(&request);
        assert_eq!(found[0].1, "at most 200 items");
        assert_eq!(found.len(), MOST_VIOLATIONS);
    }
}
