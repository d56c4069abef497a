//! Lists, which are read a page at a time.
//!
//! ```
//! use service::domain::page::{Limit, Order, Page, PageRequest};
//!
//! let limit = Limit::parse("2").unwrap_or_default();
//! let request = PageRequest { limit, order: Order::Desc, cursor: None, consistent: false };
//! assert_eq!(request.limit.get(), 2);
//! assert_eq!(Limit::parse("101"), None);
//!
//! // A handler replaces the items of the page that the store returns. The cursor and unreadable items remain.
//! let page = Page { items: vec![1, 2], unreadable: Vec::new(), next: Some("AbC".to_owned()) };
//! let page = page.with_items(|items| items.into_iter().map(|item| format!("#{item}")).collect());
//! assert_eq!(serde_json::to_string(&page)?, r##"{"items":["#1","#2"],"next":"AbC"}"##);
//! # Ok::<(), serde_json::Error>(())
//! ```

use strum::{AsRefStr, EnumString};

use serde::Serialize;

use crate::domain::record::Version;

/// The page of a list that a request selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// The most items of the page.
    pub limit: Limit,
    /// The direction of the list.
    pub order: Order,
    /// The `next` of the page before. `None` selects the first page.
    pub cursor: Option<String>,
    /// Whether the read is strongly consistent.
    pub consistent: bool,
}

/// The most items of a page, 1 to 100. The default is 25.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u8);

impl Limit {
    /// The least limit.
    pub const ONE: Self = Self(1);
    /// The greatest limit.
    pub const MAX: Self = Self(100);

    /// Parses a decimal number from 1 to 100.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let canonical = text.bytes().all(|c| c.is_ascii_digit());
        text.parse().ok().filter(|limit| canonical && (1..=100).contains(limit)).map(Self)
    }

    /// Returns the limit as a number.
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, AsRefStr, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Order {
    /// Ascending.
    #[default]
    Asc,
    /// Descending.
    Desc,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The items of the page that cannot be read. They are listed by their ids, so that the rest of the list can be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unreadable>,
    /// The cursor of the next page. It is `None` on the last page.
    pub next: Option<String>,
}

/// An item of a list that is not stored as this service writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// The item's identity in its list: its id, or a collection's name.
    pub id: String,
    /// A record's version, if it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
}

impl<T> Page<T> {
    /// Returns the page with other items, or fewer of them. Everything else remains.
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
