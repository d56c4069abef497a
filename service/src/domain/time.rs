//! Points in time, as the API and the table write them.
//!
//! ```
//! use service::domain::time::{Expiry, InvalidExpiry, Timestamp};
//!
//! let now = Timestamp::from_millis(1_795_253_400_000);
//! assert_eq!(serde_json::to_string(&now)?, r#""2026-11-21T09:30:00.000Z""#);
//!
//! // Any offset is accepted, and UTC is written.
//! let expiry = Expiry::parse("2026-11-21T11:30:00+01:00")?;
//! assert_eq!(serde_json::to_string(&expiry)?, r#""2026-11-21T10:30:00Z""#);
//! assert!(!expiry.is_reached(now));
//! assert_eq!(Expiry::parse("tomorrow"), Err(InvalidExpiry::Form));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::{datetime, format_description};

/// The greatest difference between two clocks for which this service is correct.
pub const CLOCK_SKEW: Duration = Duration::from_mins(10);

/// The time for which AWS accepts a signed request, by AWS's clock. DynamoDB's messages state 5 minutes
/// (<https://github.com/aws/aws-sdk-js-v3/issues/7605>), and older ones 15
/// (<https://github.com/aws/aws-sdk-js/issues/2565>). This is the longer time, which is the safe one here.
pub const SIGNATURE_LIFETIME: Duration = Duration::from_mins(15);

/// A moment, in milliseconds since 1970 (UTC). In JSON: RFC 3339 with three digits, `2026-11-21T09:30:00.000Z`.
///
/// A year in RFC 3339 has four digits. So every moment lies in the years 0000 to 9999, and computations saturate at their
/// ends: every moment can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// `0000-01-01T00:00:00.000Z`
    const FIRST: i64 = Expiry::FIRST * 1000;
    /// `9999-12-31T23:59:59.999Z`
    const LAST: i64 = Expiry::LAST * 1000 + 999;

    /// Returns the current time.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Returns the moment this number of milliseconds after 1970 began (UTC).
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(bounded(millis, Self::FIRST, Self::LAST))
    }

    /// Returns the milliseconds since 1970.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns the time from `other` to this moment, or zero if this moment is earlier.
    #[must_use]
    pub fn since(self, other: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(other.0)).unwrap_or_default())
    }

    /// Returns the moment that is later by `duration`.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns the moment that is earlier by `duration`.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&time.format(format).map_err(serde::ser::Error::custom)?)
    }
}

/// The time at which a record or a machine token expires, in seconds since 1970 (UTC), the unit of DynamoDB's TTL. In JSON:
/// RFC 3339, `2026-11-21T09:30:00Z`.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-before-you-start.html>
///
/// Like a [`Timestamp`], it lies in the years 0000 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry(i64);

/// The reason why a text is not a valid expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExpiry {
    /// The text is not a date and time in RFC 3339.
    #[error("not an RFC 3339 date and time")]
    Form,
    /// In UTC, the year is before 0000 or after 9999.
    #[error("not between 0000-01-01T00:00:00Z and 9999-12-31T23:59:59Z")]
    Range,
}

impl Expiry {
    /// `0000-01-01T00:00:00Z`
    const FIRST: i64 = datetime!(0000-01-01 00:00:00 UTC).unix_timestamp();
    /// `9999-12-31T23:59:59Z`
    const LAST: i64 = datetime!(9999-12-31 23:59:59 UTC).unix_timestamp();

    /// Parses RFC 3339 with any offset. A fraction of a second is dropped.
    pub fn parse(text: &str) -> Result<Self, InvalidExpiry> {
        let secs = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidExpiry::Form)?.unix_timestamp();
        // With an offset, a year of four digits may be one of five digits, or a negative one, in UTC.
        if (Self::FIRST..=Self::LAST).contains(&secs) { Ok(Self(secs)) } else { Err(InvalidExpiry::Range) }
    }

    /// Returns the expiry this number of seconds after 1970 began (UTC). Outside of the years 0000 to 9999, it is their
    /// first or last moment: earlier versions of this service stored expiries of up to a day after the year 9999.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(bounded(secs, Self::FIRST, Self::LAST))
    }

    /// Returns the seconds since 1970.
    #[must_use]
    pub fn as_secs(self) -> i64 {
        self.0
    }

    /// Returns whether the expiry is reached.
    #[must_use]
    pub fn is_reached(self, now: Timestamp) -> bool {
        self.0.saturating_mul(1000) <= now.0
    }
}

/// Reads any RFC 3339 date and time, to the millisecond.
impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = OffsetDateTime::parse(&text, &Rfc3339);
        let nanos = time.map_err(|_| serde::de::Error::custom(InvalidExpiry::Form))?.unix_timestamp_nanos();
        let millis = i64::try_from(nanos.div_euclid(1_000_000)).map_err(serde::de::Error::custom)?;
        let moment = Self::from_millis(millis);
        // With an offset, a year of four digits may be outside them in UTC.
        if moment.0 == millis { Ok(moment) } else { Err(serde::de::Error::custom(InvalidExpiry::Range)) }
    }
}

impl<'de> Deserialize<'de> for Expiry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Expiry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = OffsetDateTime::from_unix_timestamp(self.0).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&time.format(&Rfc3339).map_err(serde::ser::Error::custom)?)
    }
}

/// Computes `i64::clamp`, which is not a `const fn`.
const fn bounded(value: i64, first: i64, last: i64) -> i64 {
    if value < first {
        first
    } else if value > last {
        last
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_timestamp_is_written_with_milliseconds_in_utc() {
        let json = serde_json::to_string(&Timestamp::from_millis(1_795_253_400_007)).unwrap();
        assert_eq!(json, r#""2026-11-21T09:30:00.007Z""#);
    }

    #[test]
    fn an_expiry_keeps_the_moment_whatever_the_offset() {
        let expiry = Expiry::parse("2026-11-21T10:30:00.9+01:00").unwrap();
        assert_eq!(serde_json::to_string(&expiry).unwrap(), r#""2026-11-21T09:30:00Z""#);
        assert!(!expiry.is_reached(Timestamp::from_millis(1_795_253_399_999)));
        assert!(expiry.is_reached(Timestamp::from_millis(1_795_253_400_000)));
    }

    #[test]
    fn a_moment_is_read_as_it_is_written() {
        for millis in [Timestamp::FIRST, -1, 0, 1_795_253_400_007, Timestamp::LAST] {
            let json = serde_json::to_string(&Timestamp(millis)).unwrap();
            assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), Timestamp(millis));
        }
        assert_eq!(serde_json::from_str::<Timestamp>(r#""1970-01-01T01:00:00.0019+01:00""#).unwrap(), Timestamp(1));
        for json in ["7", r#""""#, r#""tomorrow""#, r#""9999-12-31T23:59:59-01:00""#] {
            assert!(serde_json::from_str::<Timestamp>(json).is_err(), "{json}");
            assert!(serde_json::from_str::<Expiry>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_text_that_is_not_rfc_3339_is_rejected() {
        for text in ["", "tomorrow", "2026-11-21", "2026-11-21T09:30:00", "1795253400", "2026-13-01T00:00:00Z"] {
            assert_eq!(Expiry::parse(text), Err(InvalidExpiry::Form), "{text}");
        }
    }

    #[test]
    fn an_expiry_has_a_year_of_four_digits_in_utc() {
        let written = |text: &str| Expiry::parse(text).map(|expiry| serde_json::to_string(&expiry).unwrap());
        assert_eq!(written("9999-12-31T23:59:59.999Z").unwrap(), r#""9999-12-31T23:59:59Z""#);
        assert_eq!(written("0000-01-01T05:00:00+05:00").unwrap(), r#""0000-01-01T00:00:00Z""#);
        for text in ["9999-12-31T23:59:59-05:00", "9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00+00:01"] {
            assert_eq!(written(text), Err(InvalidExpiry::Range), "{text}");
        }
    }

    /// Returns the year in JSON, or `None` if it does not have four digits.
    fn year(json: &str) -> Option<u16> {
        json.strip_prefix('"')?.split_once('-')?.0.parse().ok()
    }

    proptest! {
        #[test]
        fn every_moment_can_be_written(
            number in any::<i64>(),
            near in -100_000_000_i64..100_000_000,
            edge in prop::sample::select(vec![Expiry::FIRST, 0, Expiry::LAST]),
        ) {
            for number in [number, edge + near, (edge + near) * 1000] {
                let moment = Timestamp::from_millis(number);
                let step = Duration::from_millis(number.unsigned_abs());
                for moment in [moment, moment.plus(step), moment.minus(step)] {
                    let json = serde_json::to_string(&moment).unwrap();
                    prop_assert!(json.len() == 26 && year(&json).is_some(), "{}", json);
                }
                let json = serde_json::to_string(&Expiry::from_secs(number)).unwrap();
                prop_assert!(json.len() == 22 && year(&json).is_some(), "{}", json);
            }
        }

        #[test]
        fn an_expiry_that_is_read_can_be_written_and_read_again(
            date in "(000[01]|19[67][0-9]|20[0-9]{2}|999[89])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])",
            time in "([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)",
            rest in "(\\.[0-9]{1,12})?(Z|z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])",
        ) {
            if let Ok(expiry) = Expiry::parse(&format!("{date}T{time}{rest}")) {
                let text: String = serde_json::from_str(&serde_json::to_string(&expiry).unwrap()).unwrap();
                prop_assert_eq!(Expiry::parse(&text), Ok(expiry));
            }
        }
    }
}
