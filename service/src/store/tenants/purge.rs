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
    /// The collection or the kind at this place has no items left. The next part continues after it.
    Emptied(String),
    /// Nothing is left but the rows of collections and kinds.
    Nothing,
}

/// The start of the place of a kind. No collection's name has it, and every one sorts after it.
const KIND: char = '#';

/// The place that a purge has reached: the last row that it has dealt with.
#[derive(Debug, Clone, Copy)]
enum Place<'a> {
    /// The purge removes records, from the collections after the one whose row has this sort key.
    Collection(Option<&'a str>),
    /// The purge removes the items of the kinds after the one whose row has this sort key.
    Kind(&'a str),
}

impl<'a> Place<'a> {
    fn parse(text: Option<&'a str>) -> Self {
        text.and_then(|text| text.strip_prefix(KIND)).map_or(Self::Collection(text), Self::Kind)
    }
}

/// The most items of a `BatchWriteItem`.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>
const BATCH: usize = 25;

impl Store {
    /// Removes up to 25 of a tenant's items. Records, and then the items of kinds, are removed from the place `after` on.
    ///
    /// An item that leads to other items is removed after them: a machine token after its grant, while the rows of
    /// collections and kinds stay. So items that are not removed yet, or are written late, can always be found.
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
        let place = Place::parse(after);
        if let Place::Collection(after) = place
            && let Some(mut row) = self.some_of(&keys::collections(tenant), after, 1).await?.pop()
        {
            let sort_key = take_string(&mut row, SK)?;
            // A row with an invalid name leads to no records, and must not block the others.
            let Ok(name) = CollectionName::parse(&sort_key) else { return Ok(Purged::Emptied(sort_key)) };
            return self.purge_partition(&keys::records(tenant, &name), sort_key).await;
        }
        let after = if let Place::Kind(after) = place { Some(after) } else { None };
        let Some(mut row) = self.some_of(&keys::kinds(tenant), after, 1).await?.pop() else {
            return self.purge_stored_replies(tenant).await;
        };
        let kind = take_string(&mut row, SK)?;
        self.purge_partition(&keys::kind(tenant, &kind), format!("{KIND}{kind}")).await
    }

    /// Removes up to 25 items of the partition of a collection or of a kind.
    async fn purge_partition(&self, partition: &str, place: String) -> Result<Purged, Fault> {
        let items = self.some_of(partition, None, BATCH).await?;
        if items.is_empty() { Ok(Purged::Emptied(place)) } else { self.delete(items).await.map(Purged::Removed) }
    }

    /// Removes up to 25 rows of a tenant's collections and kinds and returns how many. Zero means that none are left.
    pub async fn tenant_purge_rows(&self, _: &Operator, tenant: &TenantId) -> Result<usize, Fault> {
        for partition in [keys::collections(tenant), keys::kinds(tenant)] {
            let rows = self.some_of(&partition, None, BATCH).await?;
            if !rows.is_empty() {
                return self.delete(rows).await;
            }
        }
        Ok(0)
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
