//! Days, as the person's calendar counts them.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Datelike as _, FixedOffset, Local, TimeZone as _, Utc};

/// Where days begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Zone {
    /// As the system says.
    #[default]
    System,
    /// So many seconds east of Greenwich, at any time of the year; what is more than a day counts as 0.
    Offset(i32),
}

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day {
    /// Year.
    pub year: i32,
    /// Month, from 1.
    pub month: u32,
    /// Day of the month, from 1.
    pub day: u32,
}

impl Zone {
    /// The day of a time.
    pub(super) fn day(self, time: SystemTime) -> Day {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(since.as_secs()).unwrap_or_default();
        let utc: DateTime<Utc> = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
        let date = match self {
            Self::System => Local.from_utc_datetime(&utc.naive_utc()).date_naive(),
            Self::Offset(east) => {
                FixedOffset::east_opt(east).map_or(utc.date_naive(), |zone| utc.with_timezone(&zone).date_naive())
            }
        };
        Day { year: date.year(), month: date.month(), day: date.day() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_day_begins_where_the_person_is() {
        // 23:30 of the 21st in Greenwich.
        let time = UNIX_EPOCH + Duration::from_mins(29_921_730);
        let day = |zone: Zone| zone.day(time).day;
        assert_eq!((day(Zone::Offset(0)), day(Zone::Offset(9 * 3600)), day(Zone::Offset(-9 * 3600))), (21, 22, 21));
        assert_eq!(Zone::Offset(0).day(time), Day { year: 2026, month: 11, day: 21 });
        assert_eq!(day(Zone::Offset(i32::MAX)), 21);
    }
}
