//! The content of a record: a JSON object, kept as text in canonical form.
//!
//! A number stays the digits that it was, and a string the characters. So nothing here parses into numbers or a tree:
//! `canonical` copies the text, and `merge` puts together pieces of two texts, both in one pass over it.

mod canonical;
mod merge;

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;

use canonical::{canonical, escape_replacements};
use merge::merge;

/// The most bytes of a record's data, as canonical JSON in UTF-8. DynamoDB takes 400 KB of item, names and keys included.
pub const MAX_BYTES: usize = 350 * 1024;

/// The most levels of objects and arrays, the outermost counted.
pub const MAX_DEPTH: usize = 30;

/// A record's data: the text of a JSON object. Whatever is one can be written into a response.
#[derive(Debug, Clone)]
pub struct Data(Box<RawValue>);

/// Why a JSON value cannot be a record's data. Paths are JSON Pointers (RFC 6901) from the data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// It is a string, a number, an array…
    #[error("`data` must be a JSON object.")]
    NotAnObject,
    /// It has too many levels.
    #[error("`data` is nested deeper than {MAX_DEPTH} levels at `{0}`.")]
    TooDeep(String),
    /// An object has two members of one name, of which readers would see one or the other.
    #[error("`data` contains the member `{0}` twice.")]
    DuplicateMember(String),
    /// A string is not Unicode: half of a surrogate pair has no meaning on its own (RFC 8259, section 8.2).
    #[error("`data` contains an unpaired UTF-16 surrogate at `{0}`.")]
    UnpairedSurrogate(String),
    /// It is longer than [`MAX_BYTES`].
    #[error("`data` is {0} bytes as compact JSON in UTF-8; the limit is {MAX_BYTES} bytes.")]
    TooLarge(usize),
}

impl Data {
    /// Checks the limits, and brings the text into canonical form.
    pub fn new(raw: &RawValue) -> Result<Self, DataError> {
        Self::of_canonical(canonical_object(raw)?)
    }

    fn of_canonical(text: String) -> Result<Self, DataError> {
        if text.len() > MAX_BYTES {
            return Err(DataError::TooLarge(text.len()));
        }
        RawValue::from_string(text).map(Self).map_err(|_| DataError::NotAnObject)
    }

    /// Text from the table: what [`Data::as_str`] gave, there or in an earlier version of this service, which kept
    /// escapes as they were sent. `None` if it is not the text of a JSON object.
    #[must_use]
    pub fn from_stored(text: String) -> Option<Self> {
        let raw = RawValue::from_string(escape_replacements(text)).ok()?;
        is_object(&raw).then_some(Self(raw))
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// This data with a merge patch applied (RFC 7396). The patch has to be an object, since data is one.
    pub fn merge(&self, patch: &RawValue) -> Result<Self, DataError> {
        // The depth and the names of both are checked, so those of what comes of them need not be.
        let patch = canonical_object(patch)?;
        Self::of_canonical(merge(&canonical_object(&self.0)?, &patch))
    }

    /// Checks a merge patch as far as that goes without the data that it is for: what fails here fails for any.
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

/// All checks of data but its size.
fn canonical_object(raw: &RawValue) -> Result<String, DataError> {
    if is_object(raw) { canonical(raw) } else { Err(DataError::NotAnObject) }
}

/// Whether a JSON text is an object. [`RawValue`] has no white space around it.
fn is_object(raw: &RawValue) -> bool {
    raw.get().starts_with('{')
}

/// A JSON Pointer of these segments.
fn pointer(path: impl Iterator<Item = String>) -> String {
    path.flat_map(|segment| ["/".to_owned(), segment.replace('~', "~0").replace('/', "~1")]).collect()
}

/// An object's members in their order, each name once.
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
    /// The first name that stands twice.
    #[must_use]
    pub fn duplicate(&self) -> Option<&str> {
        let mut seen = HashSet::with_capacity(self.0.len());
        self.0.iter().map(|(name, _)| name.as_str()).find(|name| !seen.insert(*name))
    }
}

#[cfg(test)]
mod tests;
