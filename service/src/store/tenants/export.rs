//! The export of a tenant's records, one collection after the other, a page at a time.

use crate::domain::caller::Operator;
use crate::domain::page::{Limit, Order, Page, PageRequest, Unreadable};
use crate::domain::record::Record;
use crate::domain::tenant::TenantId;
use crate::domain::time::Timestamp;
use crate::store::query::{Partition, query};
use crate::store::records::{self, collections};
use crate::store::{ListError, Store, keys};

/// The separator between the two cursors in an export's cursor. No cursor contains it.
const SEPARATOR: char = '.';

/// A page of an export.
#[derive(Debug)]
pub struct Export {
    /// The records.
    pub records: Vec<Record>,
    /// The items that cannot be read: a collection, by its name, or one of its records.
    pub unreadable: Vec<(String, Option<Unreadable>)>,
    /// The cursor of the next page. It is `None` on the last page.
    pub next: Option<String>,
}

impl Store {
    /// Reads a page of the records of all collections, strongly consistent. A page may be empty although `next` is set.
    ///
    /// Expired records that DynamoDB has not removed yet are left out.
    pub async fn record_export(
        &self,
        _: &Operator,
        tenant: &TenantId,
        cursor: Option<&str>,
    ) -> Result<Export, ListError> {
        // The cursor of the list of collections, of which each page has one, and the cursor within the collection.
        let (collection_cursor, record_cursor) = match cursor.map(|cursor| cursor.split_once(SEPARATOR)) {
            None => (None, None),
            Some(None) => return Err(ListError::InvalidCursor),
            Some(Some((collection, record))) => (non_empty(collection), non_empty(record)),
        };
        let page = |limit, cursor| PageRequest { limit, order: Order::Asc, cursor, consistent: true };
        let partition = keys::collections(tenant);
        let listed = Partition::of_table(&partition);
        let name = |mut item| collections::take_name(&mut item).map(Some);
        let found = query(self, &listed, &page(Limit::ONE, collection_cursor.clone()), None, name).await?;
        let next_collection = found.next.map(|cursor| format!("{cursor}{SEPARATOR}"));
        let Some(collection) = found.items.into_iter().next() else {
            // There is no further collection, or its row has an invalid name.
            let unreadable = found.unreadable.into_iter().map(|Unreadable { id, .. }| (id, None)).collect();
            return Ok(Export { records: Vec::new(), unreadable, next: next_collection });
        };

        let partition = keys::records(tenant, &collection);
        let now = Timestamp::now();
        let from_item = |item| records::live_from_item(&collection, item, now);
        let page = page(Limit::MAX, record_cursor);
        let Page { items, unreadable, next } =
            query(self, &Partition::of_table(&partition), &page, None, from_item).await?;
        let next = next.map(|record| format!("{}{SEPARATOR}{record}", collection_cursor.unwrap_or_default()));
        let unreadable = unreadable.into_iter().map(|record| (collection.as_str().to_owned(), Some(record))).collect();
        Ok(Export { records: items, unreadable, next: next.or(next_collection) })
    }
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
