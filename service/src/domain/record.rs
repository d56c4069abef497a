//! Records: JSON objects with an id, in a tenant's collections.

use std::fmt;

use serde::Serialize;
use ulid::Ulid;

use crate::domain::data::Data;
use crate::domain::time::{Expiry, Timestamp};

/// A collection's name: `[a-z0-9][a-z0-9_-]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct CollectionName(String);

/// The text is no collection name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "A collection's name must be 1 to 63 lowercase letters, digits, `_` or `-`, and start with a letter or a digit."
)]
pub struct InvalidCollectionName;

impl CollectionName {
    /// Reads a name.
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

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A record's id: 1 to 128 unreserved characters (RFC 3986, section 2.3), but not `.` or `..`, which URLs resolve away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordId(String);

/// The text is no record id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("A record's id must be 1 to 128 letters, digits, `.`, `_`, `~` or `-`, but not `.` or `..`.")]
pub struct InvalidRecordId;

impl RecordId {
    /// Reads an id.
    pub fn parse(text: &str) -> Result<Self, InvalidRecordId> {
        let unreserved = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'~' | b'-');
        let valid = (1..=128).contains(&text.len()) && text.bytes().all(unreserved) && text != "." && text != "..";
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidRecordId) }
    }

    /// A new id that sorts after those made before it (a ULID).
    #[must_use]
    pub fn generate() -> Self {
        Self(Ulid::generate().to_string())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which record of a tenant: its collection, and its id there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordKey {
    /// The collection.
    pub collection: CollectionName,
    /// The id.
    pub id: RecordId,
}

/// A state of a record.
///
/// It starts at the microseconds since 1970 of the record's creation and grows by one with each write. No record is
/// written once per microsecond, so a record that is deleted and made anew never comes back to a version it had before:
/// an old `If-Match` cannot match a new record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Version(u64);

impl Version {
    /// The version of a record that is created now.
    #[must_use]
    pub fn first(now: Timestamp) -> Self {
        Self(u64::try_from(now.as_millis()).unwrap_or_default().saturating_mul(1000))
    }

    /// The version after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// From its number.
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

/// What a tenant writes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The content.
    pub data: Data,
    /// When it is gone, if ever.
    pub expires_at: Option<Expiry>,
}

/// What a request says of a record's expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryChange {
    /// Nothing.
    Keep,
    /// The record no longer expires.
    End,
    /// It expires then.
    Set(Expiry),
}

impl ExpiryChange {
    /// The expiry that a record has after it.
    #[must_use]
    pub fn of(self, current: Option<Expiry>) -> Option<Expiry> {
        match self {
            Self::Keep => current,
            Self::End => None,
            Self::Set(expiry) => Some(expiry),
        }
    }
}

/// A record as it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Unique in its collection.
    pub id: RecordId,
    /// The collection it is in.
    pub collection: CollectionName,
    /// Its state.
    pub version: Version,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// When it is gone, if ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Expiry>,
    /// Its content.
    pub data: Data,
}

/// A collection as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Collection {
    /// Unique for its tenant.
    pub name: CollectionName,
    /// When its first record was written.
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
    fn a_record_made_anew_has_a_version_beyond_all_it_had() {
        let created = Timestamp::from_millis(1_795_253_400_000);
        let after_a_burst = (0..999).fold(Version::first(created), |version, _| version.next());
        assert!(Version::first(Timestamp::from_millis(1_795_253_400_001)) > after_a_burst);
    }
}
