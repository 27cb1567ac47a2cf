//! What settings look like: how each type is read from the file or the environment, and how it is shown.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// A type of a setting.
pub trait Value: Sized {
    /// What it looks like, for the page.
    fn kind() -> String;
    /// Reads it; the error says what is wanted.
    fn read(value: &toml::Value) -> Result<Self, String>;
    /// As one would write it; empty: none.
    fn show(&self) -> String;
}

/// So many in a time, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many in `per`.
    pub count: u32,
    /// The time.
    pub per: Duration,
    /// How many at once.
    pub burst: u32,
}

impl Rate {
    /// So many a second.
    pub const fn per_second(count: u32, burst: u32) -> Self {
        Self { count, per: Duration::from_secs(1), burst }
    }

    /// So many a minute.
    pub const fn per_minute(count: u32, burst: u32) -> Self {
        Self { count, per: Duration::from_mins(1), burst }
    }
}

/// A scalar as text: `30` and `"30"` are the same.
fn text(value: &toml::Value) -> Result<String, String> {
    match value {
        toml::Value::String(text) => Ok(text.trim().to_owned()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(flag) => Ok(flag.to_string()),
        _ => Err("must be a single value".to_owned()),
    }
}

macro_rules! parsed {
    ($($kind:ty: $name:literal,)+) => {
        $(impl Value for $kind {
            fn kind() -> String {
                $name.to_owned()
            }

            fn read(value: &toml::Value) -> Result<Self, String> {
                text(value)?.parse().map_err(|_| format!("must be {}", $name))
            }

            fn show(&self) -> String {
                self.to_string()
            }
        })+
    };
}

parsed! {
    String: "a text",
    bool: "true or false",
    u32: "a whole number",
    i64: "a whole number",
    usize: "a whole number",
    SocketAddr: "an address with a port",
    IpAddr: "an address",
}

impl Value for PathBuf {
    fn kind() -> String {
        "a path".to_owned()
    }

    fn read(value: &toml::Value) -> Result<Self, String> {
        text(value).map(Self::from)
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl<T: Value> Value for Option<T> {
    fn kind() -> String {
        T::kind()
    }

    fn read(value: &toml::Value) -> Result<Self, String> {
        if text(value).is_ok_and(|text| text.is_empty()) {
            return Ok(None);
        }
        T::read(value).map(Some)
    }

    fn show(&self) -> String {
        self.as_ref().map(Value::show).unwrap_or_default()
    }
}

impl<T: Value> Value for Vec<T> {
    fn kind() -> String {
        format!("a list, each {}", T::kind())
    }

    /// A list in the file; in the environment separated by commas.
    fn read(value: &toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::Array(items) => items.iter().map(T::read).collect(),
            other => {
                let text = text(other)?;
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                items.map(|item| T::read(&toml::Value::String(item.to_owned()))).collect()
            }
        }
    }

    fn show(&self) -> String {
        self.iter().map(Value::show).collect::<Vec<_>>().join(",")
    }
}

/// Units of a time, the longest first.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Value for Duration {
    fn kind() -> String {
        "a time, as in 500ms, 20s, 10m, 1h".to_owned()
    }

    fn read(value: &toml::Value) -> Result<Self, String> {
        let wrong = || format!("must be {}", Self::kind());
        let text = text(value)?;
        if text == "0" {
            return Ok(Self::ZERO);
        }
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == &text[digits.len()..]).ok_or_else(wrong)?;
        let count: u64 = digits.trim_end().parse().map_err(|_| wrong())?;
        count.checked_mul(*unit).map(Self::from_millis).ok_or_else(wrong)
    }

    fn show(&self) -> String {
        let whole = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        let unit = UNITS.iter().find(|(_, unit)| whole > 0 && whole.is_multiple_of(*unit));
        unit.map_or_else(|| "0".to_owned(), |(name, unit)| format!("{}{name}", whole / unit))
    }
}

impl Value for Rate {
    fn kind() -> String {
        "a rate, as in 20/s burst 40, 10/m burst 10".to_owned()
    }

    fn read(value: &toml::Value) -> Result<Self, String> {
        let text = text(value)?;
        read_rate(&text).ok_or_else(|| format!("must be {}, with nothing 0", Self::kind()))
    }

    fn show(&self) -> String {
        let unit = if self.per == Duration::from_secs(1) { "s" } else { "m" };
        format!("{}/{unit} burst {}", self.count, self.burst)
    }
}

fn read_rate(text: &str) -> Option<Rate> {
    let (rate, burst) = text.split_once(" burst ")?;
    let (count, unit) = rate.trim().split_once('/')?;
    let (count, burst): (u32, u32) = (count.parse().ok()?, burst.trim().parse().ok()?);
    let rate = match unit {
        "s" => Rate::per_second(count, burst),
        "m" => Rate::per_minute(count, burst),
        _ => return None,
    };
    (count > 0 && burst > 0).then_some(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Value>(text: &str) -> Result<T, String> {
        T::read(&toml::Value::String(text.to_owned()))
    }

    #[test]
    fn times_are_read_as_they_are_shown() {
        for text in ["500ms", "20s", "90s", "10m", "1h", "0"] {
            assert_eq!(read::<Duration>(text).map(|time| time.show()), Ok(text.to_owned()), "{text}");
        }
        for wrong in ["", "20", "s", "-1s", "1 day", "20S", "99999999999999999999s", "18446744073709551615h"] {
            assert!(read::<Duration>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_are_read_as_they_are_shown() {
        for text in ["20/s burst 40", "200/m burst 200"] {
            assert_eq!(read::<Rate>(text).map(|rate| rate.show()), Ok(text.to_owned()));
        }
        for wrong in ["20", "20/s", "0/s burst 1", "1/s burst 0", "1/h burst 1", "x/s burst 1"] {
            assert!(read::<Rate>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lists_come_from_arrays_and_from_commas() {
        let array = toml::Value::Array(vec![toml::Value::String("a".into()), toml::Value::String("b".into())]);
        assert_eq!(Vec::<String>::read(&array), read::<Vec<String>>("a, b,"));
        assert_eq!(read::<Vec<String>>(""), Ok(vec![]));
        assert_eq!(read::<Option<String>>(""), Ok(None));
    }
}
