//! Points in time, as the API and the table write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// A moment, in milliseconds since 1970 (UTC). In JSON: RFC 3339 with three digits, `2026-11-21T09:30:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The clock's.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// From milliseconds since 1970.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// How long after another moment this is; nothing if it is before.
    #[must_use]
    pub fn since(self, other: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(other.0)).unwrap_or_default())
    }

    /// This long after.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This long before.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
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

/// When a record or a machine token is gone, in seconds since 1970 (UTC), as DynamoDB's TTL wants it. In JSON: RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry(i64);

/// The text is no RFC 3339 date and time that can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 date and time")]
pub struct InvalidExpiry;

impl Expiry {
    /// Reads RFC 3339 with any offset; a fraction of a second is dropped.
    pub fn parse(text: &str) -> Result<Self, InvalidExpiry> {
        OffsetDateTime::parse(text, &Rfc3339).map(|time| Self(time.unix_timestamp())).map_err(|_| InvalidExpiry)
    }

    /// From seconds since 1970.
    #[must_use]
    pub fn from_secs(secs: i64) -> Self {
        Self(secs)
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn as_secs(self) -> i64 {
        self.0
    }

    /// Whether that moment has come.
    #[must_use]
    pub fn is_past(self, now: Timestamp) -> bool {
        self.0.saturating_mul(1000) <= now.0
    }
}

impl Serialize for Expiry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = OffsetDateTime::from_unix_timestamp(self.0).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&time.format(&Rfc3339).map_err(serde::ser::Error::custom)?)
    }
}

#[cfg(test)]
mod tests {
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
        assert!(!expiry.is_past(Timestamp::from_millis(1_795_253_399_999)));
        assert!(expiry.is_past(Timestamp::from_millis(1_795_253_400_000)));
    }

    #[test]
    fn what_is_not_rfc_3339_is_refused() {
        for text in ["", "tomorrow", "2026-11-21", "2026-11-21T09:30:00", "1795253400", "2026-13-01T00:00:00Z"] {
            assert_eq!(Expiry::parse(text), Err(InvalidExpiry), "{text}");
        }
    }
}
