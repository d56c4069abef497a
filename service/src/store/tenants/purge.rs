//! The removal of everything that a tenant owns, a bounded part at a time.

use crate::domain::caller::Operator;
use crate::domain::record::CollectionName;
use crate::domain::tenant::TenantId;
use crate::store::item::{Item, take_string};
use crate::store::keys::{self, Key, PK, SK};
use crate::store::table::{Consistency, Query};
use crate::store::tokens::{DIGEST, take_digest};
use crate::store::{Fault, Store};

/// The result of one part of a purge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purged {
    /// This number of items was removed.
    Removed(usize),
    /// The collection whose row has this sort key has no records left.
    Emptied(String),
    /// Nothing is left but the rows of collections.
    Nothing,
}

/// The most items of a `BatchWriteItem`.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>
const BATCH: usize = 25;

impl Store {
    /// Removes up to 25 of a tenant's items. Records are removed from the collections after the one with the sort key
    /// `after`.
    ///
    /// An item that leads to other items is removed after them: a machine token after its grant, while the rows of
    /// collections stay. So items that are not removed yet, or are written late, can always be found.
    pub async fn tenant_purge(&self, _: &Operator, tenant: &TenantId, after: Option<&str>) -> Result<Purged, Fault> {
        let tokens = self.some_of(&keys::tokens(tenant), None, BATCH / 2).await?;
        if !tokens.is_empty() {
            // Grants come first, because a token whose row is gone could not be revoked any more. A row without a readable
            // digest has no grant that could be found, and must not block the others.
            let grants: Vec<_> = tokens.iter().cloned().filter_map(grant_of).collect();
            if !grants.is_empty() {
                self.delete(grants).await?;
            }
            return self.delete(tokens).await.map(Purged::Removed);
        }
        let Some(mut row) = self.some_of(&keys::collections(tenant), after, 1).await?.pop() else {
            return self.purge_stored_replies(tenant).await;
        };
        let sort_key = take_string(&mut row, SK)?;
        // A row with an invalid name leads to no records, and must not block the others.
        let Ok(name) = CollectionName::parse(&sort_key) else { return Ok(Purged::Emptied(sort_key)) };
        let records = self.some_of(&keys::records(tenant, &name), None, BATCH).await?;
        if records.is_empty() { Ok(Purged::Emptied(sort_key)) } else { self.delete(records).await.map(Purged::Removed) }
    }

    /// Removes up to 25 rows of a tenant's collections and returns how many. Zero means that none are left.
    pub async fn tenant_purge_collections(&self, _: &Operator, tenant: &TenantId) -> Result<usize, Fault> {
        let rows = self.some_of(&keys::collections(tenant), None, BATCH).await?;
        if rows.is_empty() { Ok(0) } else { self.delete(rows).await }
    }

    /// Removes stored replies. It comes last, because it queries each of their partitions to find that none are left.
    async fn purge_stored_replies(&self, tenant: &TenantId) -> Result<Purged, Fault> {
        for partition in keys::stored_reply_partitions(tenant) {
            let replies = self.some_of(&partition, None, BATCH).await?;
            if !replies.is_empty() {
                return self.delete(replies).await.map(Purged::Removed);
            }
        }
        Ok(Purged::Nothing)
    }

    /// Returns the primary keys of some items of a partition, after a sort key, with the digest that leads from a machine
    /// token to its grant.
    async fn some_of(&self, partition: &str, after: Option<&str>, limit: usize) -> Result<Vec<Item>, Fault> {
        let query = Query {
            start: after.map(|sk| Key { pk: partition.to_owned(), sk: sk.to_owned() }.into_map()),
            limit: Some(limit),
            consistency: Consistency::Strong,
            attributes: &[PK, SK, DIGEST],
            ..Query::of(PK, partition)
        };
        Ok(self.table.query(query).await?.items)
    }

    /// Deletes items and returns how many. The next call finds those that a failure left over.
    async fn delete(&self, found: Vec<Item>) -> Result<usize, Fault> {
        let keys = found.iter().map(Key::of).collect::<Result<Vec<_>, _>>()?;
        let count = keys.len();
        self.table.delete_all(keys).await?;
        Ok(count)
    }
}

fn grant_of(mut token: Item) -> Option<Item> {
    take_digest(&mut token).ok().map(|digest| keys::grant(&digest).into_map())
}
