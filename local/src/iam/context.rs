//! The context of a request: the keys that conditions and policy variables refer to.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>

use std::collections::BTreeMap;
use std::fmt;

/// A context key that a service supplies.
#[derive(Debug, Clone, Copy)]
pub struct ContextKey {
    /// The name, in lower case. With a slash at the end, it stands for every key that begins with it (`aws:requesttag/`).
    pub name: &'static str,
    /// Whether a request may have several values, so that a condition needs `ForAllValues` or `ForAnyValue`.
    pub is_multivalued: bool,
}

impl ContextKey {
    /// A key with one value.
    #[must_use]
    pub const fn single(name: &'static str) -> Self {
        Self { name, is_multivalued: false }
    }

    /// A key with several values.
    #[must_use]
    pub const fn multivalued(name: &'static str) -> Self {
        Self { name, is_multivalued: true }
    }

    /// Returns the key with a name in lower case, if it is among these.
    pub(super) fn find<'a>(keys: &'a [Self], name: &str) -> Option<&'a Self> {
        let is_it = |key: &&Self| {
            let rest = name.strip_prefix(key.name);
            rest.is_some_and(|rest| if key.name.ends_with('/') { !rest.is_empty() } else { rest.is_empty() })
        };
        keys.iter().find(is_it)
    }
}

/// The values of a request's context keys. The names are not case-sensitive.
#[derive(Debug, Clone, Default)]
pub struct Context(BTreeMap<String, Entry>);

/// The name as a service spells it, and the values.
#[derive(Debug, Clone)]
struct Entry {
    name: String,
    values: Vec<String>,
}

impl Context {
    /// Adds the values of a key.
    #[must_use]
    pub fn with(mut self, key: &str, values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let entry = Entry { name: key.to_owned(), values: Vec::new() };
        let entry = self.0.entry(key.to_lowercase()).or_insert(entry);
        entry.values.extend(values.into_iter().map(Into::into));
        self
    }

    /// Returns the values of a key, which is in lower case. There are none if the request does not have the key.
    pub(super) fn values(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], |entry| &entry.values)
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.0.values().map(|Entry { name, values }| format!("{name}=[{}]", values.join(", ")));
        f.write_str(&entries.collect::<Vec<_>>().join(" "))
    }
}
