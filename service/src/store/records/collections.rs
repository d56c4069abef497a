//! A tenant's collections. Each has a row, which is written before the collection's first record.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::domain::caller::{Access, RecordsRead, RecordsWrite};
use crate::domain::page::{Page, PageRequest};
use crate::domain::record::{Collection, CollectionName};
use crate::domain::tenant::TenantId;
use crate::domain::time::Timestamp;
use crate::store::expression::Condition;
use crate::store::item::{Item, attribute, number, read_number, take_string};
use crate::store::keys::{self, Key, SK};
use crate::store::query::{Partition, query};
use crate::store::table::{Failure, ItemWrite};
use crate::store::{CommitError, Fault, ListError, Store};

/// A cache of the collections that are known to have a row. A row is not deleted before its tenant is offboarded, so an entry
/// never expires, and only the first write of an execution environment to a collection makes a request for the row.
#[derive(Debug, Default)]
pub(in crate::store) struct KnownCollections(Mutex<HashSet<(TenantId, CollectionName)>>);

/// The most entries, which take about 1 MB. A full cache is emptied.
const MAX_KNOWN: usize = 10_000;

/// The number of rows that are written at the same time.
const AT_ONCE: usize = 10;

impl KnownCollections {
    fn contains(&self, entry: &(TenantId, CollectionName)) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(entry)
    }

    fn insert(&self, entry: (TenantId, CollectionName)) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(entry);
    }
}

impl Store {
    /// Lists the tenant's collections by name.
    pub async fn collection_list(
        &self,
        access: &Access<RecordsRead>,
        page: &PageRequest,
    ) -> Result<Page<Collection>, ListError> {
        let partition = keys::collections(access.tenant());
        query(self, &Partition::of_table(&partition), page, None, |item| from_item(item).map(Some)).await
    }

    /// Makes sure that collections have their rows.
    pub(in crate::store) async fn collection_ensure_all(
        &self,
        access: &Access<RecordsWrite>,
        collections: HashSet<&CollectionName>,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        let row = |collection| self.collection_ensure(access, collection, now);
        // The futures are collected, because the compiler cannot prove that a stream with the closure in it is `Send`.
        let rows: Vec<_> = collections.into_iter().map(row).collect();
        stream::iter(rows).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Makes sure that a collection has its row.
    pub(in crate::store) async fn collection_ensure(
        &self,
        access: &Access<RecordsWrite>,
        collection: &CollectionName,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        let entry = (access.tenant().clone(), collection.clone());
        if self.known_collections.contains(&entry) {
            return Ok(());
        }
        let key = Key { pk: keys::collections(access.tenant()), sk: collection.as_str().to_owned() };
        let update = format!("SET #{0} = if_not_exists(#{0}, :now)", attribute::CREATED_AT);
        let value = Condition::default().value(":now", number(now.as_millis()));
        // The update leaves a row that exists as it is, so it may be repeated.
        let row = ItemWrite::update(key, update, value).repeatable();
        self.table.write(row).await.map_err(|failure| match failure {
            Failure::Conflict(_) => CommitError::Conflict,
            failure => failure.into_fault().into(),
        })?;
        self.known_collections.insert(entry);
        Ok(())
    }
}

fn from_item(mut item: Item) -> Result<Collection, Fault> {
    let created_at = Timestamp::from_millis(read_number(&item, attribute::CREATED_AT)?);
    Ok(Collection { name: take_name(&mut item)?, created_at })
}

/// Takes the name out of a collection's row. It is all that is needed to find the collection's records.
pub(in crate::store) fn take_name(item: &mut Item) -> Result<CollectionName, Fault> {
    CollectionName::parse(&take_string(item, SK)?).map_err(|_| Fault::corrupt(SK))
}
