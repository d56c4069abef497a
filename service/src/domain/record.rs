//! Records: JSON objects with an id, in a tenant's collections.
//!
//! ```
//! use service::domain::record::{CollectionName, InvalidRecordId, RecordId, RecordKey};
//!
//! let key = RecordKey { collection: CollectionName::parse("notes")?, id: RecordId::parse("welcome")? };
//! assert_eq!((key.collection.as_str(), key.id.as_str()), ("notes", "welcome"));
//!
//! // Names and ids are parsed at the edge, so whatever has the type is valid.
//! assert_eq!(RecordId::parse("a/b"), Err(InvalidRecordId));
//! assert!(CollectionName::parse("Notes").is_err());
//!
//! // A generated id is a ULID, so records are listed in the order of their creation.
//! assert_eq!(RecordId::generate().as_str().len(), 26);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use serde::Serialize;
use ulid::Ulid;

use crate::domain::data::Data;
use crate::domain::time::{Expiry, Timestamp};

/// A collection's name: `[a-z0-9][a-z0-9_-]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct CollectionName(String);

/// The text is not a valid collection name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "A collection's name must be 1 to 63 lowercase letters, digits, `_` or `-`, and start with a letter or a digit."
)]
pub struct InvalidCollectionName;

impl CollectionName {
    /// Parses a name.
    pub fn parse(text: &str) -> Result<Self, InvalidCollectionName> {
        let head = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        let tail = |c: u8| head(c) || c == b'_' || c == b'-';
        match text.as_bytes() {
            [first, rest @ ..] if head(*first) && rest.len() < 63 && rest.iter().all(|c| tail(*c)) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidCollectionName),
        }
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A record's id: 1 to 128 unreserved characters (RFC 3986, section 2.3), but not `.` or `..`, which are removed from URLs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordId(String);

/// The text is not a valid record id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("A record's id must be 1 to 128 letters, digits, `.`, `_`, `~` or `-`, but not `.` or `..`.")]
pub struct InvalidRecordId;

impl RecordId {
    /// Parses an id.
    pub fn parse(text: &str) -> Result<Self, InvalidRecordId> {
        let unreserved = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'~' | b'-');
        let valid = (1..=128).contains(&text.len()) && text.bytes().all(unreserved) && text != "." && text != "..";
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidRecordId) }
    }

    /// Generates an id, a [ULID](https://github.com/ulid/spec), which sorts after those that were generated before it.
    #[must_use]
    pub fn generate() -> Self {
        Self(Ulid::generate().to_string())
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The identity of a record of a tenant: its collection, and its id there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordKey {
    /// The collection.
    pub collection: CollectionName,
    /// The id.
    pub id: RecordId,
}

/// A version of a record.
///
/// The first version is the time of the record's creation in microseconds since 1970, and each write increments it. No
/// record is written once per microsecond, so a record that is deleted and created again never has a version that it had
/// before: an old `If-Match` cannot match a new record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Version(u64);

impl Version {
    /// Returns the version of a record that is created now.
    #[must_use]
    pub fn first(now: Timestamp) -> Self {
        Self(u64::try_from(now.as_millis()).unwrap_or_default().saturating_mul(1000))
    }

    /// Returns the next version.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Returns the version with this number.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The parts of a record that a client writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The data.
    pub data: Data,
    /// The time of its expiry. Without one, the record does not expire.
    pub expires_at: Option<Expiry>,
}

/// The change of a record's expiry that a request makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryChange {
    /// The expiry does not change.
    Keep,
    /// The record no longer expires.
    End,
    /// The record expires at this time.
    Set(Expiry),
}

impl ExpiryChange {
    /// Returns the expiry after the change.
    #[must_use]
    pub fn of(self, current: Option<Expiry>) -> Option<Expiry> {
        match self {
            Self::Keep => current,
            Self::End => None,
            Self::Set(expiry) => Some(expiry),
        }
    }
}

/// A record, as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The id, which is unique in the collection.
    pub id: RecordId,
    /// The collection.
    pub collection: CollectionName,
    /// The version, which is also the entity tag.
    pub version: Version,
    /// The time of its creation.
    pub created_at: Timestamp,
    /// The time of its last write.
    pub updated_at: Timestamp,
    /// The time of its expiry. Without one, the record does not expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Expiry>,
    /// The data.
    pub data: Data,
}

/// A collection, as a client lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Collection {
    /// The name, which is unique for the tenant.
    pub name: CollectionName,
    /// The time at which its first record was written.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collection_names() {
        for name in ["a", "0", "notes", "a_b-c9", &"x".repeat(63)] {
            assert_eq!(CollectionName::parse(name).unwrap().as_str(), name);
        }
        for name in ["", "_a", "-a", "A", "a.b", "a b", "a#b", "ä", "a/b", &"x".repeat(64)] {
            assert_eq!(CollectionName::parse(name), Err(InvalidCollectionName), "{name}");
        }
    }

    #[test]
    fn record_ids() {
        for id in ["a", "A.b_c~d-9", "...", &"x".repeat(128)] {
            assert_eq!(RecordId::parse(id).unwrap().as_str(), id);
        }
        for id in ["", ".", "..", "a b", "a/b", "a#b", "a%20b", "é", &"x".repeat(129)] {
            assert_eq!(RecordId::parse(id), Err(InvalidRecordId), "{id}");
        }
        assert!(RecordId::parse(RecordId::generate().as_str()).is_ok());
    }

    #[test]
    fn a_record_that_is_created_again_has_a_greater_version() {
        let created = Timestamp::from_millis(1_795_253_400_000);
        let after_a_burst = (0..999).fold(Version::first(created), |version, _| version.next());
        assert!(Version::first(Timestamp::from_millis(1_795_253_400_001)) > after_a_burst);
    }
}
