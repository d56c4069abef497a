//! Items: attributes by their names, and functions that read them with their types.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;

use super::error::Fault;
use crate::domain::time::Expiry;

pub(super) type Item = HashMap<String, AttributeValue>;

/// Names of attributes. Some are reserved words in expressions, so expressions write `#name` for all of them.
pub(super) mod attribute {
    pub(in crate::store) const DATA: &str = "data";
    pub(in crate::store) const VERSION: &str = "version";
    pub(in crate::store) const CREATED_AT: &str = "createdAt";
    pub(in crate::store) const UPDATED_AT: &str = "updatedAt";
    /// The table's TTL attribute, in seconds since 1970.
    pub(in crate::store) const EXPIRES_AT: &str = "expiresAt";
    /// The mark of the last write, by which a repeated attempt of it is recognized.
    pub(in crate::store) const WRITE: &str = "write";
}

pub(super) fn number(number: impl Display) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(super) fn take_string(item: &mut Item, name: &str) -> Result<String, Fault> {
    match item.remove(name) {
        Some(AttributeValue::S(text)) => Ok(text),
        _ => Err(Fault::corrupt(name)),
    }
}

pub(super) fn read_number<N: FromStr>(item: &Item, name: &str) -> Result<N, Fault> {
    optional_number(item, name)?.ok_or_else(|| Fault::corrupt(name))
}

pub(super) fn optional_number<N: FromStr>(item: &Item, name: &str) -> Result<Option<N>, Fault> {
    match item.get(name) {
        None => Ok(None),
        Some(AttributeValue::N(digits)) => digits.parse().map(Some).map_err(|_| Fault::corrupt(name)),
        Some(_) => Err(Fault::corrupt(name)),
    }
}

pub(super) fn read_expiry(item: &Item) -> Result<Option<Expiry>, Fault> {
    Ok(optional_number(item, attribute::EXPIRES_AT)?.map(Expiry::from_secs))
}
