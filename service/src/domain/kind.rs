//! Kinds of items that a business function keeps, beside the records that tenants define themselves.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use service::domain::caller::Scope;
//! use service::domain::kind::{Id, Index, Kind, Number};
//!
//! #[derive(Debug)]
//! enum Read {}
//! #[derive(Debug)]
//! enum Write {}
//! impl Scope for Read {
//!     const NAME: &'static str = "invoices:read";
//! }
//! impl Scope for Write {
//!     const NAME: &'static str = "invoices:write";
//! }
//!
//! #[derive(Debug, Clone, Serialize, Deserialize)]
//! struct Invoice {
//!     customer: String,
//! }
//!
//! impl Kind for Invoice {
//!     const NAME: &'static str = "invoices";
//!     // Invoices are numbered without gaps, for each tenant.
//!     type Id = Number;
//!     type Read = Read;
//!     type Write = Write;
//!     // A tenant can list the invoices of a customer.
//!     const INDEXES: &'static [Index<Self>] = &[Index { name: "customer", key: |invoice| Some(invoice.customer.clone()) }];
//! }
//!
//! let number = Number::parse("42")?;
//! assert_eq!(Number::from_sort_key(&number.sort_key()), Some(number));
//! // An id has one spelling.
//! assert!(Number::parse("042").is_err());
//! # Ok::<(), service::domain::kind::InvalidId>(())
//! ```

use std::fmt::{self, Debug, Display};

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use ulid::Ulid;

use crate::domain::caller::Scope;
use crate::domain::limits::Whole;
use crate::domain::record::{RecordId, Version};
use crate::domain::time::{Expiry, Timestamp};

/// A kind of items. The type that implements it is the value of an item, which is stored as JSON.
pub trait Kind: Serialize + DeserializeOwned + Debug + Clone + Send + Sync + 'static {
    /// The name, which is part of every primary key: 1 to 63 lowercase letters, digits, `_` or `-`. It never changes.
    const NAME: &'static str;

    /// The form of the ids.
    type Id: Id;

    /// The scope that a caller needs to read items of the kind.
    type Read: Scope + Debug + Send + Sync;

    /// The scope that a caller needs to write items of the kind.
    type Write: Scope + Debug + Send + Sync;

    /// The version of the value's JSON. It is stored with each item. Increment it when the JSON changes in a way that serde's
    /// defaults do not cover, and read the other versions in [`Kind::upgrade`].
    const SCHEMA: u32 = 1;

    /// The latest version that can be read. It is later than [`Kind::SCHEMA`] in the deployment before the one that writes
    /// that version, so that no execution environment, and no rollback, finds items that it cannot read.
    const READS: u32 = Self::SCHEMA;

    /// The further orders in which items can be listed.
    const INDEXES: &'static [Index<Self>] = &[];

    /// Reads the JSON of another schema version, which is not later than [`Kind::READS`].
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use service::function::{Generated, Kind};
    /// # service::scopes! { Read = "contacts:read", Write = "contacts:write" }
    /// #[derive(Debug, Clone, Serialize, Deserialize)]
    /// struct Contact {
    ///     name: Name,
    /// }
    ///
    /// #[derive(Debug, Clone, Serialize, Deserialize)]
    /// struct Name {
    ///     full: String,
    /// }
    ///
    /// impl Kind for Contact {
    /// #   const NAME: &'static str = "contacts";
    /// #   type Id = Generated;
    /// #   type Read = Read;
    /// #   type Write = Write;
    ///     const SCHEMA: u32 = 2;
    ///
    ///     fn upgrade(schema: u32, mut stored: serde_json::Value) -> serde_json::Result<Self> {
    ///         // In version 1, the name was a string.
    ///         if schema == 1 {
    ///             stored["name"] = serde_json::json!({ "full": stored["name"] });
    ///         }
    ///         serde_json::from_value(stored)
    ///     }
    /// }
    ///
    /// let contact = Contact::upgrade(1, serde_json::json!({ "name": "Ada Lovelace" }))?;
    /// assert_eq!(contact.name.full, "Ada Lovelace");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    fn upgrade(_schema: u32, stored: serde_json::Value) -> serde_json::Result<Self> {
        serde_json::from_value(stored)
    }

    /// Returns the time at which the item expires, if it does. An expired item counts as absent.
    fn expires_at(&self) -> Option<Expiry> {
        None
    }
}

/// A further order of the items of a kind: by a key, and items with the same key by their ids.
#[derive(Debug, Clone, Copy)]
pub struct Index<K> {
    /// The name, which is part of the primary keys of the index. It never changes.
    pub name: &'static str,
    /// Returns the key of an item, which has at most 512 bytes, in which `#` and `%` count three times. An item without a key is not listed.
    pub key: fn(&K) -> Option<String>,
}

/// An item of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", bound = "")]
pub struct Item<K: Kind> {
    /// The id, which is unique for the tenant.
    pub id: K::Id,
    /// The version, which is also the entity tag.
    pub version: Version,
    /// The time of its creation.
    pub created_at: Timestamp,
    /// The time of its last write.
    pub updated_at: Timestamp,
    /// The time of its expiry. Without one, the item does not expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Expiry>,
    /// The value. Its members stand beside those above, so none may have the same name.
    #[serde(flatten)]
    pub value: K,
}

/// The form of an id.
pub trait Id: Clone + Debug + Display + PartialEq + Eq + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Parses an id as a client writes it. An id has only one spelling.
    fn parse(text: &str) -> Result<Self, InvalidId>;

    /// Returns the sort key, by which items are listed. Its characters are those of a record's id, and `#` at the start.
    fn sort_key(&self) -> String;

    /// Returns the id with this sort key.
    fn from_sort_key(text: &str) -> Option<Self>;
}

/// The text is not a valid id. The message tells the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("The id must be {0}.")]
pub struct InvalidId(&'static str);

/// An id that the service generates: a [ULID](https://github.com/ulid/spec), which sorts after those that were generated
/// before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Generated(Ulid);

impl Generated {
    /// Generates an id.
    #[must_use]
    pub fn generate() -> Self {
        Self(Ulid::generate())
    }
}

impl Display for Generated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

impl Serialize for Generated {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Generated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_text(deserializer)
    }
}

impl Id for Generated {
    fn parse(text: &str) -> Result<Self, InvalidId> {
        Self::from_sort_key(text).ok_or(InvalidId("a ULID: 26 uppercase letters and digits"))
    }

    fn sort_key(&self) -> String {
        self.to_string()
    }

    fn from_sort_key(text: &str) -> Option<Self> {
        Ulid::from_string(text).ok().filter(|ulid| ulid.to_string() == text).map(Self)
    }
}

/// An id that the client chooses: 1 to 128 unreserved characters, as for a record.
pub type Chosen = RecordId;

impl Id for Chosen {
    fn parse(text: &str) -> Result<Self, InvalidId> {
        Self::from_sort_key(text)
            .ok_or(InvalidId("1 to 128 letters, digits, `.`, `_`, `~` or `-`, but not `.` or `..`"))
    }

    fn sort_key(&self) -> String {
        self.as_str().to_owned()
    }

    fn from_sort_key(text: &str) -> Option<Self> {
        RecordId::parse(text).ok()
    }
}

impl Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Chosen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_text(deserializer)
    }
}

/// Reads an id that is a text in JSON.
fn parse_text<'de, I: Id, D: Deserializer<'de>>(deserializer: D) -> Result<I, D::Error> {
    let text = String::deserialize(deserializer)?;
    I::parse(&text).map_err(|InvalidId(form)| D::Error::custom(format_args!("expected {form}")))
}

/// A number from 1 on, without gaps for each tenant. Every client can read it exactly, because it is less than 2^53
/// (RFC 8259, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Number(u64);

impl Number {
    /// The first number.
    pub const FIRST: Self = Self(1);

    /// The greatest number.
    const MAX: u64 = (1 << 53) - 1;

    /// Returns the number as an integer.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    /// Returns the number of an integer, if it is in the range.
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        (1..=Self::MAX).contains(&number).then_some(Self(number))
    }

    /// Returns the number after this one.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Whole::<1, { Number::MAX.cast_signed() }>::deserialize(deserializer)?;
        Ok(Self(number.get().cast_unsigned()))
    }
}

impl Id for Number {
    fn parse(text: &str) -> Result<Self, InvalidId> {
        let number = text.parse().ok().and_then(Self::new).filter(|number| number.to_string() == text);
        number.ok_or(InvalidId("a whole number from 1 on, without leading zeros"))
    }

    fn sort_key(&self) -> String {
        // The `#` keeps a number apart from an id that a client chooses. All numbers have the same length, so that they
        // sort as numbers.
        format!("#{:016}", self.0)
    }

    fn from_sort_key(text: &str) -> Option<Self> {
        let number = text.strip_prefix('#')?.parse().ok().and_then(Self::new)?;
        (number.sort_key() == text).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        for text in ["", "0", "01", "+1", "1.0", "-1", " 1", "9007199254740992", "x"] {
            assert!(Number::parse(text).is_err(), "{text}");
        }
        assert_eq!(Number::parse("9007199254740991").unwrap().next(), None);
        for text in ["", "01k0acme000000000000000000", "01K0ACME00000000000000000", "1"] {
            assert!(Generated::parse(text).is_err(), "{text}");
        }
        for text in ["", ".", "..", "a/b", "#1", "ä"] {
            assert!(<Chosen as Id>::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_id_in_a_value_is_valid() {
        assert_eq!(serde_json::from_str::<Number>("9007199254740991").unwrap().get(), Number::MAX);
        for json in ["0", "-1", "9007199254740992", "1.5", "\"1\""] {
            assert!(serde_json::from_str::<Number>(json).is_err(), "{json}");
        }
        let generated = Generated::generate();
        let json = serde_json::to_string(&generated).unwrap();
        assert_eq!(serde_json::from_str::<Generated>(&json).unwrap(), generated);
        assert!(serde_json::from_str::<Generated>(&json.to_lowercase()).is_err());
        assert_eq!(serde_json::from_str::<Chosen>("\"a.b\"").unwrap().as_str(), "a.b");
        assert!(serde_json::from_str::<Chosen>("\"a/b\"").is_err());
    }

    proptest! {
        #[test]
        fn numbers_are_sorted_as_numbers(a in 1..=Number::MAX, b in 1..=Number::MAX) {
            let (x, y) = (Number(a), Number(b));
            prop_assert_eq!(a.cmp(&b), x.sort_key().cmp(&y.sort_key()));
            prop_assert_eq!(Number::from_sort_key(&x.sort_key()), Some(x));
            prop_assert_eq!(Number::parse(&x.to_string()), Ok(x));
        }

        #[test]
        fn no_two_ids_have_the_same_sort_key(number in 1..=Number::MAX, text in "[0-9A-Za-z._~-]{1,26}") {
            if let Ok(chosen) = <Chosen as Id>::parse(&text) {
                prop_assert_ne!(chosen.sort_key(), Number(number).sort_key());
                prop_assert_eq!(Chosen::from_sort_key(&chosen.sort_key()), Some(chosen));
            }
        }
    }
}
