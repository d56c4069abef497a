//! The data of a record: a JSON object, stored as text in canonical form.
//!
//! Numbers keep their digits and strings their characters. So nothing here parses numbers or builds a tree: `canonical`
//! copies the text, and `merge` combines pieces of two texts, each in one pass.

mod canonical;
mod merge;

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;

use canonical::{canonical, escape_replacements};
use merge::merge;

/// The most bytes of a record's data, as canonical JSON in UTF-8. A DynamoDB item can have 400 KB, including the names of
/// its attributes.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
pub const MAX_BYTES: usize = 350 * 1024;

/// The most levels of objects and arrays, including the outermost.
pub const MAX_DEPTH: usize = 30;

/// A record's data: the text of a JSON object. Any such text can be written into a response.
#[derive(Debug, Clone)]
pub struct Data(Box<RawValue>);

/// The reason why a JSON value cannot be a record's data. Paths are JSON Pointers (RFC 6901) that start at the data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// The value is not an object.
    #[error("`data` must be a JSON object.")]
    NotAnObject,
    /// The value has too many levels of objects and arrays.
    #[error("`data` is nested deeper than {MAX_DEPTH} levels at `{0}`.")]
    TooDeep(String),
    /// An object has two members with the same name, of which readers would see one or the other.
    #[error("`data` contains the member `{0}` twice.")]
    DuplicateMember(String),
    /// A string is not Unicode: half of a surrogate pair has no meaning by itself (RFC 8259, section 8.2).
    #[error("`data` contains an unpaired UTF-16 surrogate at `{0}`.")]
    UnpairedSurrogate(String),
    /// The canonical text is longer than [`MAX_BYTES`].
    #[error("`data` is {0} bytes as compact JSON in UTF-8; the limit is {MAX_BYTES} bytes.")]
    TooLarge(usize),
}

impl Data {
    /// Checks a JSON value against the limits, and converts its text to canonical form.
    pub fn new(raw: &RawValue) -> Result<Self, DataError> {
        Self::of_canonical(canonical_object(raw)?)
    }

    fn of_canonical(text: String) -> Result<Self, DataError> {
        if text.len() > MAX_BYTES {
            return Err(DataError::TooLarge(text.len()));
        }
        RawValue::from_string(text).map(Self).map_err(|_| DataError::NotAnObject)
    }

    /// Reads stored text: the result of [`Data::as_str`] in this version of the service, or in an earlier one, which stored
    /// escapes as they were received. Returns `None` if it is not the text of a JSON object.
    #[must_use]
    pub fn from_stored(text: String) -> Option<Self> {
        let raw = RawValue::from_string(escape_replacements(text)).ok()?;
        is_object(&raw).then_some(Self(raw))
    }

    /// Returns the JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Applies a merge patch (RFC 7396) and returns the result. The patch has to be an object, because data is one.
    pub fn merge(&self, patch: &RawValue) -> Result<Self, DataError> {
        // The depth and the names of both objects are checked, so those of the result need not be.
        let patch = canonical_object(patch)?;
        Self::of_canonical(merge(&canonical_object(&self.0)?, &patch))
    }

    /// Checks a merge patch as far as is possible without the data to which it is applied. A patch that fails here fails
    /// for any data.
    pub fn check_patch(patch: &RawValue) -> Result<(), DataError> {
        Self::of_canonical(merge("{}", &canonical_object(patch)?)).map(drop)
    }
}

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Data {}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Makes all checks of data except that of its size, and returns the canonical text.
fn canonical_object(raw: &RawValue) -> Result<String, DataError> {
    if is_object(raw) { canonical(raw) } else { Err(DataError::NotAnObject) }
}

/// Returns whether a JSON text is an object. A [`RawValue`] has no white space around it.
fn is_object(raw: &RawValue) -> bool {
    raw.get().starts_with('{')
}

/// Returns the JSON Pointer with these segments.
fn pointer(path: impl Iterator<Item = String>) -> String {
    path.flat_map(|segment| ["/".to_owned(), segment.replace('~', "~0").replace('/', "~1")]).collect()
}

/// The members of an object, in their order. A name may occur more than once.
pub struct Members<'a>(pub Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

impl Members<'_> {
    /// Returns the first name that occurs twice.
    #[must_use]
    pub fn duplicate(&self) -> Option<&str> {
        let mut seen = HashSet::with_capacity(self.0.len());
        self.0.iter().map(|(name, _)| name.as_str()).find(|name| !seen.insert(*name))
    }
}

#[cfg(test)]
mod tests;
