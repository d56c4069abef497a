//! A tenant's collections. Each has a row, which is written before the collection's first record.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::domain::caller::{Access, RecordsRead, RecordsWrite};
use crate::domain::page::{Page, PageRequest};
use crate::domain::record::{Collection, CollectionName};
use crate::domain::time::Timestamp;
use crate::store::item::{Item, attribute, read_number, take_string};
use crate::store::keys::{self, Key, SK};
use crate::store::query::{Partition, query};
use crate::store::{CommitError, Fault, ListError, Store};

/// The number of rows that are written at the same time.
const AT_ONCE: usize = 10;

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
        let key = Key { pk: keys::collections(access.tenant()), sk: collection.as_str().to_owned() };
        self.row_ensure(key, now).await
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
