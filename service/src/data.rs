//! The content of a record: a JSON object, kept as the text that the tenant wrote.
//!
//! A number stays the digits it was, a string the characters it was. So nothing here parses into numbers or a tree:
//! [`RawValue`] cuts the text into members and elements, level by level, and they are put together again.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

/// The most bytes of a record's data, as compact JSON in UTF-8. DynamoDB takes 400 KB of item, names and keys included.
pub const MAX_BYTES: usize = 350 * 1024;

/// The most levels of objects and arrays, the outermost counted.
pub const MAX_DEPTH: usize = 30;

/// A record's data: the compact text of a JSON object within the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data(String);

/// Why a JSON value cannot be a record's data. Paths are JSON Pointers (RFC 6901) from the data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// It is a string, a number, an array…
    #[error("`data` must be an object.")]
    NotAnObject,
    /// It has too many levels.
    #[error("`data` is nested deeper than {MAX_DEPTH} levels at `{0}`.")]
    TooDeep(String),
    /// An object has two members of one name, of which readers would see one or the other.
    #[error("`data` holds the member `{0}` twice.")]
    DuplicateMember(String),
    /// A string is not Unicode: half of a surrogate pair has no meaning on its own (RFC 8259, section 8.2).
    #[error("`data` holds an unpaired surrogate at `{0}`.")]
    UnpairedSurrogate(String),
    /// It is longer than [`MAX_BYTES`].
    #[error("`data` has {0} bytes as compact JSON; the most is {MAX_BYTES}.")]
    TooLarge(usize),
}

impl Data {
    /// Checks the limits and drops the white space.
    pub fn new(raw: &RawValue) -> Result<Self, DataError> {
        let data = Self::unsized_of(raw)?;
        if data.0.len() > MAX_BYTES { Err(DataError::TooLarge(data.0.len())) } else { Ok(data) }
    }

    /// All of [`Data::new`]'s checks but the size.
    fn unsized_of(raw: &RawValue) -> Result<Self, DataError> {
        if kind(raw.get()) != Kind::Object {
            return Err(DataError::NotAnObject);
        }
        let mut compact = String::with_capacity(raw.get().len());
        write_compact(raw.get(), &mut Vec::new(), &mut compact)?;
        Ok(Self(compact))
    }

    /// Text that [`Data::as_str`] gave, from the table.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The compact JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This data with a merge patch applied (RFC 7396). The patch has to be an object, since data is one.
    pub fn merge(&self, patch: &RawValue) -> Result<Self, DataError> {
        // Checked before it is walked: its depth bounds the recursion.
        let patch = Self::unsized_of(patch)?;
        let mut merged = String::with_capacity(self.0.len() + patch.0.len());
        write_merged(Some(&self.0), &patch.0, &mut merged)?;
        Self::new(raw(&merged)?)
    }

    /// Checks a merge patch as far as that goes without the data that it is for: what fails here fails for any.
    pub fn check_patch(patch: &RawValue) -> Result<(), DataError> {
        Self("{}".to_owned()).merge(patch).map(drop)
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        raw(&self.0).map_err(S::Error::custom)?.serialize(serializer)
    }
}

#[derive(PartialEq)]
enum Kind {
    Object,
    Array,
    String,
    Null,
    Other,
}

/// What a JSON text is, by its first character. `RawValue` has no white space around it.
fn kind(text: &str) -> Kind {
    match text.as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b'n') => Kind::Null,
        _ => Kind::Other,
    }
}

fn raw(text: &str) -> Result<&RawValue, DataError> {
    serde_json::from_str(text).map_err(|_| DataError::NotAnObject)
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

/// Members of text that is known to be a JSON object; only a name that is not Unicode can fail.
fn members<'a>(text: &'a str, path: &[String]) -> Result<Members<'a>, DataError> {
    serde_json::from_str(text).map_err(|_| DataError::UnpairedSurrogate(pointer(path)))
}

fn pointer(path: &[String]) -> String {
    path.iter().flat_map(|segment| ["/".to_owned(), segment.replace('~', "~0").replace('/', "~1")]).collect()
}

fn write_name(name: &str, out: &mut String) -> Result<(), DataError> {
    let name = serde_json::to_string(name).map_err(|_| DataError::NotAnObject)?;
    out.push_str(&name);
    out.push(':');
    Ok(())
}

/// Copies a JSON text without its white space, and checks it on the way.
fn write_compact(text: &str, path: &mut Vec<String>, out: &mut String) -> Result<(), DataError> {
    let kind = kind(text);
    if matches!(kind, Kind::Object | Kind::Array) && path.len() >= MAX_DEPTH {
        return Err(DataError::TooDeep(pointer(path)));
    }
    match kind {
        Kind::Object => {
            let members = members(text, path)?;
            if let Some(name) = members.duplicate() {
                path.push(name.to_owned());
                return Err(DataError::DuplicateMember(pointer(path)));
            }
            out.push('{');
            for (index, (name, value)) in members.0.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_name(&name, out)?;
                path.push(name);
                write_compact(value.get(), path, out)?;
                path.pop();
            }
            out.push('}');
        }
        Kind::Array => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| DataError::NotAnObject)?;
            out.push('[');
            for (index, value) in elements.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                path.push(index.to_string());
                write_compact(value.get(), path, out)?;
                path.pop();
            }
            out.push(']');
        }
        Kind::String => {
            // Cutting the text does not look into escapes; only they can be unpaired.
            if text.contains("\\u") && serde_json::from_str::<String>(text).is_err() {
                return Err(DataError::UnpairedSurrogate(pointer(path)));
            }
            out.push_str(text);
        }
        Kind::Null | Kind::Other => out.push_str(text),
    }
    Ok(())
}

/// `MergePatch(target, patch)` of RFC 7396, section 2, on compact text. `None` is a target that is not there.
fn write_merged(target: Option<&str>, patch: &str, out: &mut String) -> Result<(), DataError> {
    if kind(patch) != Kind::Object {
        out.push_str(patch);
        return Ok(());
    }
    let target = match target {
        Some(text) if kind(text) == Kind::Object => members(text, &[])?.0,
        _ => Vec::new(),
    };
    let patch = members(patch, &[])?.0;
    let mut changes: BTreeMap<&str, &RawValue> = patch.iter().map(|(name, value)| (name.as_str(), *value)).collect();

    out.push('{');
    let start = out.len();
    let separate = |out: &mut String| {
        if out.len() > start {
            out.push(',');
        }
    };
    for (name, value) in &target {
        match changes.remove(name.as_str()) {
            Some(change) if kind(change.get()) == Kind::Null => {}
            change => {
                separate(out);
                write_name(name, out)?;
                match change {
                    Some(change) => write_merged(Some(value.get()), change.get(), out)?,
                    None => out.push_str(value.get()),
                }
            }
        }
    }
    for (name, value) in &patch {
        if changes.contains_key(name.as_str()) && kind(value.get()) != Kind::Null {
            separate(out);
            write_name(name, out)?;
            write_merged(None, value.get(), out)?;
        }
    }
    out.push('}');
    Ok(())
}

#[cfg(test)]
mod tests;
