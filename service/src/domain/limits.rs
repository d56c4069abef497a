//! Types with limits: a value that was parsed is within them.
//!
//! ```
//! use serde::Deserialize;
//! use service::domain::limits::{List, Text, Whole};
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Order {
//!     customer: Text<1, 200>,
//!     quantities: List<Whole<1, 10_000>, 1, 100>,
//! }
//!
//! let order: Order = serde_json::from_str(r#"{"customer": "Globex", "quantities": [3]}"#)?;
//! assert_eq!((order.customer.as_str(), order.quantities[0].get()), ("Globex", 3));
//! assert!(serde_json::from_str::<Order>(r#"{"customer": "Globex", "quantities": [0]}"#).is_err());
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! A crate that validates by attributes (`garde`, `validator`) was considered. It leaves the fields' types as they are, so the
//! type does not show whether a value was validated.

use std::ops::Deref;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// A text of `MIN` to `MAX` characters (Unicode scalar values).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Text<const MIN: usize, const MAX: usize>(String);

impl<const MIN: usize, const MAX: usize> Text<MIN, MAX> {
    /// Returns the text, if it is within the limits.
    #[must_use]
    pub fn new(text: String) -> Option<Self> {
        (MIN..=MAX).contains(&text.chars().count()).then_some(Self(text))
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for Text<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(text).ok_or_else(|| D::Error::custom(format_args!("expected {MIN} to {MAX} characters")))
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Whole<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Whole<MIN, MAX> {
    /// Returns the number, if it is within the limits.
    #[must_use]
    pub fn new(number: i64) -> Option<Self> {
        (MIN..=MAX).contains(&number).then_some(Self(number))
    }

    /// Returns the number.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

impl<'de, const MIN: i64, const MAX: i64> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let outside = || D::Error::custom(format_args!("expected a whole number from {MIN} to {MAX}"));
        // A number that no `i64` can hold is outside the limits as well.
        let number = serde_json::Number::deserialize(deserializer)?;
        number.as_i64().and_then(Self::new).ok_or_else(outside)
    }
}

/// A list of `MIN` to `MAX` elements.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct List<T, const MIN: usize, const MAX: usize>(Vec<T>);

impl<T, const MIN: usize, const MAX: usize> List<T, MIN, MAX> {
    /// Returns the list, if it is within the limits.
    #[must_use]
    pub fn new(list: Vec<T>) -> Option<Self> {
        (MIN..=MAX).contains(&list.len()).then_some(Self(list))
    }
}

impl<T, const MIN: usize, const MAX: usize> Deref for List<T, MIN, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>, const MIN: usize, const MAX: usize> Deserialize<'de> for List<T, MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Vec::deserialize(deserializer)?;
        Self::new(list).ok_or_else(|| D::Error::custom(format_args!("expected {MIN} to {MAX} elements")))
    }
}
