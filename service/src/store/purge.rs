//! Removes all that a tenant owns, a bounded part at a time.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, WriteRequest};

use super::expression::names;
use super::item::{Item, take_string};
use super::keys::{self, PK, SK};
use super::tokens::{DIGEST, take_digest};
use super::{Fault, Store};
use crate::caller::Operator;
use crate::record::CollectionName;
use crate::tenant::TenantId;

/// The most items of a `BatchWriteItem`.
const BATCH: usize = 25;

impl Store {
    /// Removes up to 25 of a tenant's items and says how many; none means that there is nothing left.
    ///
    /// What leads to other items goes last: machine tokens with their grants, records before the row of their collection.
    /// So what is not yet removed can always be found.
    pub async fn purge(&self, _: &Operator, tenant: &TenantId) -> Result<usize, Fault> {
        let tokens = self.some_of(&keys::tokens(tenant), BATCH / 2).await?;
        if !tokens.is_empty() {
            // The grants first: a token whose row is gone could not be revoked any more. A row that does not say where its
            // grant is must not stand in the way of all the others.
            let grants: Vec<_> = tokens.iter().cloned().filter_map(grant_of).collect();
            if !grants.is_empty() {
                self.delete(grants).await?;
            }
            return self.delete(tokens).await;
        }
        let collections = self.some_of(&keys::collections(tenant), 1).await?;
        let Some(mut row) = collections.first().cloned() else { return self.purge_answers(tenant).await };
        let name = CollectionName::parse(&take_string(&mut row, SK)?).map_err(|_| Fault::corrupt(SK))?;
        let records = self.some_of(&keys::records(tenant, &name), BATCH).await?;
        self.delete(if records.is_empty() { collections } else { records }).await
    }

    /// Last, because it takes a look at each of their partitions to see that there are none.
    async fn purge_answers(&self, tenant: &TenantId) -> Result<usize, Fault> {
        for partition in keys::answers(tenant) {
            let answers = self.some_of(&partition, BATCH).await?;
            if !answers.is_empty() {
                return self.delete(answers).await;
            }
        }
        Ok(0)
    }

    /// Keys of a partition's items, with what leads from a token to its grant.
    async fn some_of(&self, partition: &str, most: usize) -> Result<Vec<Item>, Fault> {
        let condition = "#pk = :pk";
        let projection = format!("#{PK}, #{SK}, #{DIGEST}");
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression(condition)
            .set_expression_attribute_names(Some(names(&[condition, &projection])))
            .projection_expression(projection)
            .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()))
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
