//! The export of a tenant's records and of the items of its kinds, one collection or kind after the other, a page at a time.

use serde::Serialize;

use crate::domain::caller::Operator;
use crate::domain::page::{Limit, Order, Page, PageRequest, Unreadable};
use crate::domain::record::Record;
use crate::domain::tenant::TenantId;
use crate::domain::time::Timestamp;
use crate::store::item::{Item, take_string};
use crate::store::items::{self, Raw};
use crate::store::keys::SK;
use crate::store::query::{Partition, query};
use crate::store::records::{self, collections};
use crate::store::{Fault, ListError, Store, keys};

/// The separator between the two cursors in an export's cursor. No cursor contains it.
const SEPARATOR: char = '.';

/// The start of an export's cursor once all records are exported. No cursor contains it.
const KINDS: char = '~';

/// A page of an export.
#[derive(Debug, Default)]
pub struct Export {
    /// The records.
    pub records: Vec<Record>,
    /// The items of kinds, in their stored form.
    pub items: Vec<Raw>,
    /// The items that cannot be read.
    pub unreadable: Vec<Lost>,
    /// The cursor of the next page. It is `None` on the last page.
    pub next: Option<String>,
}

/// An item that cannot be read, or without one, a whole group that cannot be read.
pub type Lost = (Group, Option<Unreadable>);

/// A group of exported items, by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Group {
    /// A collection.
    Collection(String),
    /// A kind.
    Kind(String),
}

impl Store {
    /// Reads a page of the records of all collections, and then of the items of all kinds, strongly consistent. A page may be
    /// empty although `next` is set.
    ///
    /// Expired items that DynamoDB has not removed yet are left out.
    pub async fn tenant_export(
        &self,
        _: &Operator,
        tenant: &TenantId,
        cursor: Option<&str>,
    ) -> Result<Export, ListError> {
        let in_kinds = cursor.and_then(|cursor| cursor.strip_prefix(KINDS));
        let mut export = match (in_kinds, cursor) {
            (Some(_), _) => Export::default(),
            (None, None) => self.export_records(tenant, Cursor::default()).await?,
            (None, Some(cursor)) => self.export_records(tenant, Cursor::parse(cursor)?).await?,
        };
        if export.next.is_none() {
            let cursor = in_kinds.map_or(Ok(Cursor::default()), Cursor::parse)?;
            let kinds = self.export_kinds(tenant, cursor).await?;
            export.items = kinds.items;
            export.unreadable.extend(kinds.unreadable);
            export.next = kinds.next.map(|next| format!("{KINDS}{next}"));
        }
        Ok(export)
    }

    async fn export_records(&self, tenant: &TenantId, cursor: Cursor) -> Result<Export, ListError> {
        let partition = keys::collections(tenant);
        let name = |mut row| collections::take_name(&mut row).map(Some);
        let (found, next) = self.export_group(&partition, &cursor, name).await?;
        let Some(collection) = found.items.into_iter().next() else {
            // There is no further collection, or its row has an invalid name.
            let unreadable = found.unreadable.into_iter().map(|Unreadable { id, .. }| (Group::Collection(id), None));
            return Ok(Export { unreadable: unreadable.collect(), next, ..Export::default() });
        };
        let (partition, now) = (keys::records(tenant, &collection), Timestamp::now());
        let record = |item| records::live_from_item(&collection, item, now);
        let page = query(self, &Partition::of_table(&partition), &cursor.page(), None, record).await?;
        let (records, unreadable, next) = cursor.rest(page, next, &Group::Collection(collection.as_str().to_owned()));
        Ok(Export { records, unreadable, next, ..Export::default() })
    }

    async fn export_kinds(&self, tenant: &TenantId, cursor: Cursor) -> Result<Export, ListError> {
        let name = |mut row| take_string(&mut row, SK).map(Some);
        let (found, next) = self.export_group(&keys::kinds(tenant), &cursor, name).await?;
        let Some(kind) = found.items.into_iter().next() else { return Ok(Export { next, ..Export::default() }) };
        let (partition, now) = (keys::kind(tenant, &kind), Timestamp::now());
        let partition = Partition::of_table(&partition).with_prefix(keys::ITEM);
        let page = query(self, &partition, &cursor.page(), None, |item| items::raw(&kind, item, now)).await?;
        let (items, unreadable, next) = cursor.rest(page, next, &Group::Kind(kind));
        Ok(Export { items, unreadable, next, ..Export::default() })
    }

    /// Reads the row of the collection or kind at the cursor, and returns it with the cursor of the next one.
    async fn export_group<T>(
        &self,
        partition: &str,
        cursor: &Cursor,
        name: impl Fn(Item) -> Result<Option<T>, Fault>,
    ) -> Result<(Page<T>, Option<String>), ListError> {
        let page = PageRequest { limit: Limit::ONE, cursor: cursor.group.clone(), ..cursor.page() };
        let found = query(self, &Partition::of_table(partition), &page, None, name).await?;
        let next = found.next.as_ref().map(|group| format!("{group}{SEPARATOR}"));
        Ok((found, next))
    }
}

/// The cursor of an export: that of the list of collections or kinds, of which each page has one, and that of the list of its
/// items.
#[derive(Debug, Clone, Default)]
struct Cursor {
    group: Option<String>,
    item: Option<String>,
}

impl Cursor {
    fn parse(text: &str) -> Result<Self, ListError> {
        let (group, item) = text.split_once(SEPARATOR).ok_or(ListError::InvalidCursor)?;
        Ok(Self { group: non_empty(group), item: non_empty(item) })
    }

    /// Returns the page of items that the cursor selects.
    fn page(&self) -> PageRequest {
        PageRequest { limit: Limit::MAX, order: Order::Asc, cursor: self.item.clone(), consistent: true }
    }

    /// Takes a page of a group's items apart, and returns the next cursor: within the group, or else of the next group.
    fn rest<T>(self, page: Page<T>, next_group: Option<String>, group: &Group) -> (Vec<T>, Vec<Lost>, Option<String>) {
        let Page { items, unreadable, next } = page;
        let next = next.map(|item| format!("{}{SEPARATOR}{item}", self.group.unwrap_or_default()));
        let unreadable = unreadable.into_iter().map(|item| (group.clone(), Some(item))).collect();
        (items, unreadable, next.or(next_group))
    }
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
