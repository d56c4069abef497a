//! Removes all that a tenant owns, a bounded part at a time.

use crate::domain::caller::Operator;
use crate::domain::record::CollectionName;
use crate::domain::tenant::TenantId;
use crate::store::item::{Item, take_string};
use crate::store::keys::{self, Key, PK, SK};
use crate::store::table::{Consistency, Query};
use crate::store::tokens::{DIGEST, take_digest};
use crate::store::{Fault, Store};

/// What one part of a purge did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purged {
    /// It removed so many items.
    Removed(usize),
    /// It found nothing left of a collection, whose row has this sort key.
    Emptied(String),
    /// It found nothing at all, but rows of collections.
    Nothing,
}

/// The most items of a `BatchWriteItem`.
const BATCH: usize = 25;

impl Store {
    /// Removes up to 25 of a tenant's items, of those of its collections that come after the one with this sort key.
    ///
    /// What leads to other items goes last: machine tokens with their grants, and the rows of collections, which stay. So
    /// what is not yet removed, or is written late, can always be found.
    pub async fn tenant_purge(&self, _: &Operator, tenant: &TenantId, after: Option<&str>) -> Result<Purged, Fault> {
        let tokens = self.some_of(&keys::tokens(tenant), None, BATCH / 2).await?;
        if !tokens.is_empty() {
            // The grants first: a token whose row is gone could not be revoked any more. A row that does not say where its
            // grant is must not stand in the way of all the others.
            let grants: Vec<_> = tokens.iter().cloned().filter_map(grant_of).collect();
            if !grants.is_empty() {
                self.delete(grants).await?;
            }
            return self.delete(tokens).await.map(Purged::Removed);
        }
        let Some(mut row) = self.some_of(&keys::collections(tenant), after, 1).await?.pop() else {
            return self.purge_answers(tenant).await;
        };
        let sort_key = take_string(&mut row, SK)?;
        // A row whose name cannot be one leads to no records, and must not stand in the way of the others.
        let Ok(name) = CollectionName::parse(&sort_key) else { return Ok(Purged::Emptied(sort_key)) };
        let records = self.some_of(&keys::records(tenant, &name), None, BATCH).await?;
        if records.is_empty() { Ok(Purged::Emptied(sort_key)) } else { self.delete(records).await.map(Purged::Removed) }
    }

    /// Removes up to 25 rows of a tenant's collections and says how many; none means that there are none left.
    pub async fn tenant_purge_collections(&self, _: &Operator, tenant: &TenantId) -> Result<usize, Fault> {
        let rows = self.some_of(&keys::collections(tenant), None, BATCH).await?;
        if rows.is_empty() { Ok(0) } else { self.delete(rows).await }
    }

    /// Last, because it takes a look at each of their partitions to see that there are none.
    async fn purge_answers(&self, tenant: &TenantId) -> Result<Purged, Fault> {
        for partition in keys::stored_reply_partitions(tenant) {
            let answers = self.some_of(&partition, None, BATCH).await?;
            if !answers.is_empty() {
                return self.delete(answers).await.map(Purged::Removed);
            }
        }
        Ok(Purged::Nothing)
    }

    /// Keys of a partition's items, with what leads from a token to its grant; those after this sort key.
    async fn some_of(&self, partition: &str, after: Option<&str>, most: usize) -> Result<Vec<Item>, Fault> {
        let query = Query {
            start: after.map(|sk| Key { pk: partition.to_owned(), sk: sk.to_owned() }.into_map()),
            most: Some(most),
            consistency: Consistency::Strong,
            attributes: &[PK, SK, DIGEST],
            ..Query::of(PK, partition)
        };
        Ok(self.table.query(query).await?.items)
    }

    /// Deletes items, and says how many. What a failure leaves over, the next call finds.
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
