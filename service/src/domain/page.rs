//! Lists, a page at a time.

use serde::Serialize;

use crate::domain::record::Version;

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// The most items to answer.
    pub limit: Limit,
    /// Ascending or descending.
    pub order: Order,
    /// Where the page before ended, as its `next` said.
    pub cursor: Option<String>,
    /// Whether the read is strongly consistent.
    pub consistent: bool,
}

/// A page's size, 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u8);

impl Limit {
    /// One item.
    pub const ONE: Self = Self(1);
    /// As many as there may be.
    pub const MOST: Self = Self(100);

    /// Reads a decimal number from 1 to 100.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let canonical = text.bytes().all(|c| c.is_ascii_digit());
        text.parse().ok().filter(|limit| canonical && (1..=100).contains(limit)).map(Self)
    }

    /// The size as a number.
    #[must_use]
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(25)
    }
}

/// The direction of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Ascending.
    #[default]
    Asc,
    /// Descending.
    Desc,
}

impl Order {
    /// Reads `asc` or `desc`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Asc, Self::Desc].into_iter().find(|order| order.as_str() == text)
    }

    /// As in a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asc => "asc",
            Self::Desc => "desc",
        }
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// What belongs to the page and cannot be shown. It is told, so that the rest of the list can be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unreadable>,
    /// The cursor of the next page; `None` on the last.
    pub next: Option<String>,
}

/// An item of a list that is not stored as this service writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// What the item is called in its list: its id, or a collection's name.
    pub id: String,
    /// A record's version, where that much can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
}

impl<T> Page<T> {
    /// The page with other items in the place of these, or with fewer.
    #[must_use]
    pub fn with_items<U>(self, change: impl FnOnce(Vec<T>) -> Vec<U>) -> Page<U> {
        let Self { items, unreadable, next } = self;
        Page { items: change(items), unreadable, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        assert_eq!(Limit::default().get(), 25);
        assert_eq!(Limit::parse("1").unwrap().get(), 1);
        assert_eq!(Limit::parse("100").unwrap().get(), 100);
        for text in ["", "0", "101", "-1", "+1", "1.0", "ten", "999999999999"] {
            assert_eq!(Limit::parse(text), None, "{text}");
        }
    }
}
