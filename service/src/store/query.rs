//! Lists: pages of the items of a partition.

use std::borrow::Cow;

use aws_sdk_dynamodb::types::AttributeValue;
use tracing::warn;

use super::expression::Condition;
use super::item::{Item, attribute, read_number};
use super::keys::{self, PK, SK};
use super::table::{Consistency, Query};
use super::{Fault, ListError, Store, cursor};
use crate::domain::page::{Order, Page, PageRequest, Unreadable};
use crate::domain::record::Version;

/// The partition that a list reads, of the table or of an index.
pub(super) struct Partition<'a> {
    index: Option<&'static str>,
    /// The partition key's name and its value.
    hash: (&'static str, &'a str),
    /// The sort key's name.
    range: &'static str,
    /// The prefix of the sort keys that the list reads.
    prefix: Option<&'a str>,
    /// The other attribute of the table's primary key and its value, where the list reads an index.
    rest: Option<(&'static str, &'static str)>,
}

impl<'a> Partition<'a> {
    /// Returns a partition of the table, which is sorted by `sk`.
    pub(super) fn of_table(pk: &'a str) -> Self {
        Self { index: None, hash: (PK, pk), range: SK, prefix: None, rest: None }
    }

    /// Returns a partition of an index whose sort key is `pk`. All of its items have the same `sk`.
    pub(super) fn of_index(index: &'static str, hash: (&'static str, &'a str), sk: &'static str) -> Self {
        Self { index: Some(index), hash, range: PK, prefix: None, rest: Some((SK, sk)) }
    }

    /// Returns the part of the partition whose sort keys have this prefix.
    pub(super) fn with_prefix(self, prefix: &'a str) -> Self {
        Self { prefix: Some(prefix), ..self }
    }

    /// Returns the name of the list, to which a cursor is bound. No prefix contains a NUL.
    fn list(&self) -> Cow<'a, str> {
        match self.prefix {
            None => self.hash.1.into(),
            Some(prefix) => format!("{}\0{prefix}", self.hash.1).into(),
        }
    }

    /// Returns the primary key of the item at which a page ended.
    fn key(&self, range: String) -> Item {
        let rest = self.rest.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let own = [(self.hash.0, self.hash.1.to_owned()), (self.range, range)];
        own.into_iter().chain(rest).map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).collect()
    }
}

/// Reads one page with one request, in the order of the sort keys.
///
/// The request reads one item more than the page has, to know whether there is another page. `from_item` returns `None` for
/// an item that does not belong to the list. An item that it cannot read is listed as unreadable, and does not affect the
/// others.
pub(super) async fn query<T>(
    store: &Store,
    partition: &Partition<'_>,
    page: &PageRequest,
    filter: Option<Condition>,
    from_item: impl Fn(Item) -> Result<Option<T>, Fault>,
) -> Result<Page<T>, ListError> {
    let name = partition.list();
    let start = match &page.cursor {
        None => None,
        Some(text) => {
            let last = cursor::decode(&name, page.order, text).ok_or(ListError::InvalidCursor)?;
            Some(partition.key(last))
        }
    };
    let limit = page.limit.get();
    let found = store
        .table
        .query(Query {
            index: partition.index,
            prefix: partition.prefix,
            start,
            limit: Some(limit + 1),
            descending: page.order == Order::Desc,
            consistency: Consistency::strong_if(page.consistent),
            filter: filter.unwrap_or_default(),
            ..Query::of(partition.hash.0, partition.hash.1)
        })
        .await?;

    let mut items = found.items;
    let last = if items.len() > limit {
        items.truncate(limit);
        items.last()
    } else {
        found.last.as_ref()
    };
    let next = last
        .map(|last| Ok(cursor::encode(&name, page.order, text_of(last, partition.range)?)))
        .transpose()
        .map_err(ListError::Fault)?;
    let mut page = Page { items: Vec::with_capacity(items.len()), unreadable: Vec::new(), next };
    for item in items {
        let unreadable = unreadable(partition, &item)?;
        match from_item(item) {
            Ok(item) => page.items.extend(item),
            Err(Fault::Corrupt(attribute)) => {
                warn!(attribute, "an item of a list cannot be read");
                page.unreadable.push(unreadable);
            }
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(page)
}

/// Returns the identity of an item, in case that it cannot be read.
fn unreadable(partition: &Partition<'_>, item: &Item) -> Result<Unreadable, Fault> {
    let key = text_of(item, partition.range)?;
    let id = match keys::tenant_of(key) {
        Some(tenant) if partition.index.is_some() => tenant.to_string(),
        _ => keys::item_id(key).unwrap_or_else(|| key.to_owned()),
    };
    Ok(Unreadable { id, version: read_number(item, attribute::VERSION).ok().map(Version::from_number) })
}

fn text_of<'a>(item: &'a Item, name: &str) -> Result<&'a str, Fault> {
    item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str).ok_or_else(|| Fault::corrupt(name))
}
