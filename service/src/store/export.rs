//! A tenant's records, one collection after the other, a page at a time.

use super::query::{Partition, query};
use super::{ListError, Store, collections, keys, records};
use crate::caller::Operator;
use crate::page::{Limit, Order, Page, PageRequest};
use crate::record::Record;
use crate::tenant::TenantId;

/// Between the parts of an export's cursor. No cursor has it in it.
const SEPARATOR: char = '.';

impl Store {
    /// Reads the next records of all collections. A page may be empty while there is more: `next` says so.
    ///
    /// Expired records that the table still has are left out.
    pub async fn export(
        &self,
        _: &Operator,
        tenant: &TenantId,
        cursor: Option<&str>,
    ) -> Result<Page<Record>, ListError> {
        // The collection that is being read, as the page of one that it is on, and the place in it.
        let (collection_cursor, record_cursor) = match cursor.map(|cursor| cursor.split_once(SEPARATOR)) {
            None => (None, None),
            Some(None) => return Err(ListError::InvalidCursor),
            Some(Some((collection, record))) => (non_empty(collection), non_empty(record)),
        };
        let page = |limit, cursor| PageRequest { limit, order: Order::Asc, cursor, consistent: true };
        let partition = keys::collections(tenant);
        let listed = Partition::of_table(&partition);
        let found =
            query(self, &listed, &page(Limit::ONE, collection_cursor.clone()), None, collections::from_item).await?;
        let Some(collection) = found.items.into_iter().next() else { return Ok(Page { items: vec![], next: None }) };

        let partition = keys::records(tenant, &collection.name);
        let filter = records::live();
        let from_item = |item| records::from_item(&collection.name, item);
        let page = page(Limit::MOST, record_cursor);
        let Page { items, next } =
            query(self, &Partition::of_table(&partition), &page, Some(filter), from_item).await?;
        let next = match (next, found.next) {
            (Some(record), _) => Some(format!("{}{SEPARATOR}{record}", collection_cursor.unwrap_or_default())),
            (None, Some(collection)) => Some(format!("{collection}{SEPARATOR}")),
            (None, None) => None,
        };
        Ok(Page { items, next })
    }
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
