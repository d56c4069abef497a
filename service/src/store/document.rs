//! The attributes that records and the items of kinds share.

use aws_sdk_dynamodb::types::AttributeValue;

use super::Fault;
use super::item::{Item, attribute, number, read_expiry, read_number, take_string};
use super::keys::Key;
use crate::domain::record::Version;
use crate::domain::time::{Expiry, Timestamp};

/// A versioned JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) version: Version,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) expires_at: Option<Expiry>,
    /// The JSON.
    pub(super) data: String,
}

impl Document {
    /// Returns a whole item, with the mark of its write.
    pub(super) fn into_item(self, key: Key, mark: &str) -> Item {
        let Self { version, created_at, updated_at, expires_at, data } = self;
        let mut item = key.into_map();
        item.insert(attribute::DATA.into(), AttributeValue::S(data));
        item.insert(attribute::VERSION.into(), number(version));
        item.insert(attribute::CREATED_AT.into(), number(created_at.as_millis()));
        item.insert(attribute::UPDATED_AT.into(), number(updated_at.as_millis()));
        item.insert(attribute::WRITE.into(), AttributeValue::S(mark.to_owned()));
        if let Some(expiry) = expires_at {
            item.insert(attribute::EXPIRES_AT.into(), number(expiry.as_secs()));
        }
        item
    }

    /// Takes the document out of an item.
    pub(super) fn take(item: &mut Item) -> Result<Self, Fault> {
        Ok(Self {
            data: take_string(item, attribute::DATA)?,
            version: read_version(item)?,
            created_at: Timestamp::from_millis(read_number(item, attribute::CREATED_AT)?),
            updated_at: Timestamp::from_millis(read_number(item, attribute::UPDATED_AT)?),
            expires_at: read_expiry(item)?,
        })
    }
}

pub(super) fn read_version(item: &Item) -> Result<Version, Fault> {
    read_number(item, attribute::VERSION).map(Version::from_number)
}

/// Returns whether an item has expired. An item whose expiry cannot be read has not, as in `Condition::not_expired`.
pub(super) fn is_expired(item: &Item, now: Timestamp) -> bool {
    read_expiry(item).is_ok_and(|expiry| expiry.is_some_and(|expiry| expiry.is_reached(now)))
}
