//! Values that somebody hostile, or a broken program, puts into a field; and whether the contract's limits forbid them.

use std::collections::HashMap;

use prost_reflect::{FieldDescriptor, Kind, MapKey, Value};

use crate::requests::Limits;

/// Items of a list that no limit allows.
const MANY: usize = 10_000;

/// A value, and what it is called when something goes wrong with it.
#[derive(Debug, Clone)]
pub struct Hostile {
    pub what: String,
    pub value: Value,
    /// The field's limits forbid it.
    pub forbidden: bool,
}

/// Texts that have broken programs before.
fn texts(limits: &Limits) -> Vec<(String, String)> {
    let mut texts: Vec<(String, String)> = [
        ("nothing", ""),
        ("a space", " "),
        ("NUL", "a\0b"),
        ("a control character", "a\u{1}b"),
        ("DEL", "a\u{7f}b"),
        ("NEL", "a\u{85}b"),
        ("a line feed", "a\nb"),
        ("a tab", "a\tb"),
        ("an override of direction", "a\u{202e}b"),
        ("an isolate of direction", "a\u{2066}b"),
        ("a byte order mark", "\u{feff}a"),
        ("a space in front", " a"),
        ("a space behind", "a\u{3000}"),
        ("decomposed", "e\u{301}\u{1112}\u{1161}\u{11ab}"),
        ("a lone accent", "\u{301}"),
        ("zero-width joiners", "\u{200d}\u{200d}"),
        ("outside of the basic plane", "𝕏👩‍👩‍👧‍👦"),
        ("not a character", "\u{fffe}\u{10ffff}"),
        ("a pattern", "%_\\"),
        ("an injection", "'; drop table users; --"),
        ("a separator of page tokens", "\u{1f}"),
        ("many separators", "\u{1f}\u{1f}\u{1f}"),
        ("no UUID", "room"),
        ("a UUID in capitals", "0190F5FE-7C00-7A00-8AAA-0000000000AA"),
        ("a UUID in braces", "{0190f5fe-7c00-7a00-8aaa-000000000000}"),
        ("a UUID as URN", "urn:uuid:0190f5fe-7c00-7a00-8aaa-000000000000"),
        ("a UUID without dashes", "0190f5fe7c007a008aaa000000000000"),
        ("a UUID too long", "0190f5fe-7c00-7a00-8aaa-0000000000000"),
        ("a UUID too short", "0190f5fe-7c00-7a00-8aaa-00000000000"),
        ("a UUID with a Korean digit", "0190f5fe-7c00-7a00-8aaa-00000000일"),
        ("a UUID of version 4", "0190f5fe-7c00-4a00-8aaa-000000000000"),
        ("the UUID of nobody", "00000000-0000-0000-0000-000000000000"),
        ("the last UUID", "ffffffff-ffff-7fff-bfff-ffffffffffff"),
    ]
    .map(|(what, text)| (what.to_owned(), text.to_owned()))
    .into();
    texts.push(("40,000 letters".to_owned(), "a".repeat(40_000)));
    texts.push(("36,000 bytes of 12,000 syllables".to_owned(), "가".repeat(12_000)));
    for (what, most, letter) in [
        ("letters", limits.max_characters, "a"),
        ("syllables", limits.max_characters, "가"),
        ("bytes", limits.max_bytes, "a"),
    ] {
        if most > 0 {
            texts.push((format!("as many {what} as allowed"), letter.repeat(most)));
            texts.push((format!("one of {what} too many"), letter.repeat(most + 1)));
        }
    }
    texts
}

/// Whether the contract forbids a text here. Written from the comments of `limits.proto`, not from the server's validator.
fn forbids_text(limits: &Limits, text: &str) -> bool {
    if text.is_empty() {
        return limits.required;
    }
    let too_long = (limits.max_characters > 0 && text.chars().count() > limits.max_characters)
        || (limits.max_bytes > 0 && text.len() > limits.max_bytes);
    let turns =
        |c: char| "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{feff}".contains(c);
    let bad_form = match &*limits.format {
        "UNSPECIFIED" => text.contains('\0'),
        "UUID" => !is_uuid(text, None),
        "UUID_V7" => !is_uuid(text, Some('7')),
        "LINE" => text.trim() != text || text.chars().any(|c| c.is_control() || turns(c)),
        "PARAGRAPHS" => text.chars().any(|c| (c.is_control() && !"\n\t\r".contains(c)) || turns(c)),
        other => panic!("a new format {other}: what does it forbid?"),
    };
    too_long || bad_form
}

fn is_uuid(text: &str, version: Option<char>) -> bool {
    let canonical = uuid::Uuid::try_parse(text).is_ok_and(|id| id.hyphenated().to_string() == text);
    canonical && version.is_none_or(|version| text.chars().nth(14) == Some(version))
}

/// What is tried in one field.
pub fn values(field: &FieldDescriptor, limits: &Limits) -> Vec<Hostile> {
    if field.is_map() {
        return maps(limits);
    }
    let ones = ones(field, limits);
    if !field.is_list() {
        return ones;
    }
    let mut all: Vec<Hostile> = ones
        .iter()
        .map(|one| Hostile {
            what: format!("a list of {}", one.what),
            value: Value::List(vec![one.value.clone()]),
            ..one.clone()
        })
        .collect();
    let fine = ones.iter().find(|one| !one.forbidden).map_or(Value::String("a".to_owned()), |one| one.value.clone());
    let list = |what: &str, length: usize, forbidden| Hostile {
        what: what.to_owned(),
        value: Value::List(vec![fine.clone(); length]),
        forbidden,
    };
    all.push(list("no items", 0, limits.required));
    all.push(list("10,000 items", MANY, limits.max_items > 0));
    all.push(list("the same twice", 2, limits.max_items == 1));
    if limits.max_items > 0 {
        all.push(list("as many items as allowed", limits.max_items, false));
        all.push(list("one item too many", limits.max_items + 1, true));
    }
    all
}

fn ones(field: &FieldDescriptor, limits: &Limits) -> Vec<Hostile> {
    let hostile = |what: String, value, forbidden| Hostile { what, value, forbidden };
    let beyond = |n: i64| limits.min.is_some_and(|min| n < min) || limits.max.is_some_and(|max| n > max);
    match field.kind() {
        Kind::String => texts(limits)
            .into_iter()
            .map(|(what, text)| {
                let forbidden = forbids_text(limits, &text);
                hostile(what, Value::String(text), forbidden)
            })
            .collect(),
        Kind::Int64 => {
            [0, -1, 1, 1_000_000, i64::MAX, i64::MIN].map(|n| hostile(n.to_string(), Value::I64(n), beyond(n))).into()
        }
        Kind::Int32 => [0, -1, 1, 1_000_000, i32::MAX, i32::MIN]
            .map(|n| hostile(n.to_string(), Value::I32(n), beyond(n.into())))
            .into(),
        Kind::Bool => vec![hostile("true".to_owned(), Value::Bool(true), false)],
        Kind::Enum(values) => {
            let unknown =
                [99, -1, i32::MAX, i32::MIN].map(|n| hostile(format!("value {n}"), Value::EnumNumber(n), true));
            let known = values.values().map(|value| {
                let number = value.number();
                hostile(format!("value {number}"), Value::EnumNumber(number), limits.required && number == 0)
            });
            unknown.into_iter().chain(known).collect()
        }
        // What is in it is tried field by field.
        Kind::Message(inner) => {
            let empty = prost_reflect::DynamicMessage::new(inner);
            // Whether an empty one will do is said by the fields in it.
            vec![Hostile { what: "an empty message".to_owned(), value: Value::Message(empty), forbidden: false }]
        }
        other => panic!("{}: what is hostile to a {other:?}?", field.full_name()),
    }
}

fn maps(limits: &Limits) -> Vec<Hostile> {
    let map = |pairs: &mut dyn Iterator<Item = (String, String)>| {
        let pairs: HashMap<_, _> = pairs.map(|(key, value)| (MapKey::String(key), Value::String(value))).collect();
        Value::Map(pairs)
    };
    let pair = |key: &str, value: &str| map(&mut std::iter::once((key.to_owned(), value.to_owned())));
    let numbered = |count: usize| map(&mut (0..count).map(|n| (n.to_string(), String::new())));
    let (items, bytes) = (limits.max_items, limits.max_bytes);
    [
        ("no key", pair("", "a"), true),
        ("NUL in a key", pair("a\0", "a"), true),
        ("NUL in a value", pair("a", "\0"), true),
        ("controls", pair("a\u{1}", "\u{202e}"), false),
        ("as many pairs as allowed", numbered(items), false),
        ("one pair too many", numbered(items + 1), true),
        ("10,000 pairs", numbered(MANY), true),
        ("as many bytes as allowed", pair("a", &"b".repeat(bytes - 1)), false),
        ("a byte too many", pair("a", &"b".repeat(bytes)), true),
    ]
    .map(|(what, value, forbidden)| Hostile { what: what.to_owned(), value, forbidden })
    .into()
}
