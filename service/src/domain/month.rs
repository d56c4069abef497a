//! Calendar months in UTC, for which quotas and usage are counted.

use std::fmt;

use serde::{Serialize, Serializer};
use time::{Date, OffsetDateTime, Time};

use crate::domain::time::Timestamp;

/// A month, written `2026-11`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    /// The first day of the month.
    first: Date,
}

/// The text is not a valid month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a month: YYYY-MM is expected")]
pub struct InvalidMonth;

impl Month {
    /// Returns the month of a moment.
    #[must_use]
    pub fn of(moment: Timestamp) -> Self {
        let seconds = moment.as_millis().div_euclid(1000);
        let day = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH).date();
        Self { first: day.replace_day(1).unwrap_or(day) }
    }

    /// Parses `YYYY-MM`, from 1970 on.
    pub fn parse(text: &str) -> Result<Self, InvalidMonth> {
        let digits = |part: &str, length: usize| part.len() == length && part.bytes().all(|c| c.is_ascii_digit());
        let (year, month) = text.split_once('-').ok_or(InvalidMonth)?;
        if !digits(year, 4) || !digits(month, 2) {
            return Err(InvalidMonth);
        }
        let year = year.parse().ok().filter(|year| *year >= 1970).ok_or(InvalidMonth)?;
        let month = month.parse::<u8>().ok().and_then(|month| time::Month::try_from(month).ok()).ok_or(InvalidMonth)?;
        Date::from_calendar_date(year, month, 1).map(|first| Self { first }).map_err(|_| InvalidMonth)
    }

    /// Returns the next month.
    #[must_use]
    pub fn next(self) -> Self {
        let month = self.first.month();
        let year = self.first.year() + i32::from(month == time::Month::December);
        Self { first: Date::from_calendar_date(year, month.next(), 1).unwrap_or(Date::MAX) }
    }

    /// Returns the first moment of the month.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp::from_millis(self.first.with_time(Time::MIDNIGHT).assume_utc().unix_timestamp().saturating_mul(1000))
    }

    /// Returns the first moment after the month.
    #[must_use]
    pub fn end(self) -> Timestamp {
        self.next().start()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.first.year(), u8::from(self.first.month()))
    }
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_month_is_from_midnight_to_midnight_in_utc() {
        let november = Month::parse("2026-11").unwrap();
        // date -u -d 2026-11-01 +%s
        assert_eq!(november.start(), Timestamp::from_millis(1_793_491_200_000));
        assert_eq!(november.end(), Timestamp::from_millis(1_796_083_200_000));
        assert_eq!(Month::of(november.start()), november);
        assert_eq!(Month::of(Timestamp::from_millis(november.end().as_millis() - 1)), november);
        assert_eq!(Month::of(november.end()).to_string(), "2026-12");
        assert_eq!(november.next().next().to_string(), "2027-01");
    }

    #[test]
    fn a_month_is_written_in_one_way() {
        for text in [
            "",
            "2026",
            "2026-1",
            "2026-13",
            "2026-00",
            "26-11",
            "2026-11-01",
            "2026-+1",
            "+026-11",
            "1969-12",
            "2026/11",
        ] {
            assert_eq!(Month::parse(text), Err(InvalidMonth), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_month_is_parsed_as_it_is_written(year in 1970..9999, month in 1..=12) {
            let text = format!("{year:04}-{month:02}");
            let month = Month::parse(&text).unwrap();
            prop_assert_eq!(month.to_string(), text);
            prop_assert!(month < month.next());
            prop_assert_eq!(Month::of(month.end()), month.next());
        }
    }
}
