//! Removes all that a tenant owns, a bounded part at a time.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, WriteRequest};

use super::expression::names;
use super::item::{Item, take_string};
use super::keys::{self, Key, PK, SK};
use super::tokens::{DIGEST, take_digest};
use super::{Fault, Store};
use crate::domain::caller::Operator;
use crate::domain::record::CollectionName;
use crate::domain::tenant::TenantId;

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
    pub async fn purge(&self, _: &Operator, tenant: &TenantId, after: Option<&str>) -> Result<Purged, Fault> {
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
    pub async fn purge_collections(&self, _: &Operator, tenant: &TenantId) -> Result<usize, Fault> {
        let rows = self.some_of(&keys::collections(tenant), None, BATCH).await?;
        if rows.is_empty() { Ok(0) } else { self.delete(rows).await }
    }

    /// Last, because it takes a look at each of their partitions to see that there are none.
    async fn purge_answers(&self, tenant: &TenantId) -> Result<Purged, Fault> {
        for partition in keys::answers(tenant) {
            let answers = self.some_of(&partition, None, BATCH).await?;
            if !answers.is_empty() {
                return self.delete(answers).await.map(Purged::Removed);
            }
        }
        Ok(Purged::Nothing)
    }

    /// Keys of a partition's items, with what leads from a token to its grant; those after this sort key.
    async fn some_of(&self, partition: &str, after: Option<&str>, most: usize) -> Result<Vec<Item>, Fault> {
        let condition = "#pk = :pk";
        let start = after.map(|sk| Key { pk: partition.to_owned(), sk: sk.to_owned() }.into_map());
        let projection = format!("#{PK}, #{SK}, #{DIGEST}");
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression(condition)
            .set_expression_attribute_names(Some(names(&[condition, &projection])))
            .projection_expression(projection)
            .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()))
            .set_exclusive_start_key(start)
            .consistent_read(true)
            .limit(i32::try_from(most).unwrap_or(i32::MAX))
            .send()
            .await?;
        Ok(answer.items.unwrap_or_default())
    }

    /// Deletes items by their keys, and says how many. Fails where the table leaves some over, for the next call to find.
    async fn delete(&self, found: Vec<Item>) -> Result<usize, Fault> {
        let count = found.len();
        let requests = found.into_iter().map(|item| {
            let key: Item = item.into_iter().filter(|(name, _)| name == PK || name == SK).collect();
            let delete = DeleteRequest::builder().set_key(Some(key)).build().map_err(Fault::unbuilt)?;
            Ok(WriteRequest::builder().delete_request(delete).build())
        });
        let requests = requests.collect::<Result<Vec<_>, Fault>>()?;
        let items = HashMap::from([(self.table.clone(), requests)]);
        let answer = self.client.batch_write_item().set_request_items(Some(items)).send().await?;
        match answer.unprocessed_items {
            Some(left) if !left.is_empty() => Err(Fault::Unavailable("the table left items over".to_owned())),
            _ => Ok(count),
        }
    }
}

fn grant_of(mut token: Item) -> Option<Item> {
    take_digest(&mut token).ok().map(|digest| keys::grant(&digest).into_map())
}
