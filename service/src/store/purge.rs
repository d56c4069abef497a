//! Removes all that a tenant owns, a bounded part at a time.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, WriteRequest};

use super::expression::names;
use super::item::{Item, take_string};
use super::keys::{self, PK, SK};
use super::{Fault, Store};
use crate::caller::Operator;
use crate::record::CollectionName;
use crate::tenant::TenantId;

/// The most items of a `BatchWriteItem`.
const BATCH: usize = 25;

impl Store {
    /// Removes up to 25 of a tenant's items and says how many; none means that there is nothing left.
    ///
    /// Records go before the row of their collection, so that what is not yet removed can always be found.
    pub async fn purge(&self, _: &Operator, tenant: &TenantId) -> Result<usize, Fault> {
        let collections = keys::collections(tenant);
        let mut rows = self.keys_of(&collections, 1).await?;
        let Some(row) = rows.first_mut() else { return Ok(0) };
        let name = take_string(&mut row.clone(), SK)?;
        let name = CollectionName::parse(&name).map_err(|_| Fault::corrupt(SK))?;
        let records = self.keys_of(&keys::records(tenant, &name), BATCH).await?;
        let found = if records.is_empty() { rows } else { records };
        let count = found.len();
        self.delete(found).await?;
        Ok(count)
    }

    async fn keys_of(&self, partition: &str, most: usize) -> Result<Vec<Item>, Fault> {
        let condition = "#pk = :pk";
        let projection = "#pk, #sk";
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression(condition)
            .projection_expression(projection)
            .set_expression_attribute_names(Some(names(&[condition, projection])))
            .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()))
            .consistent_read(true)
            .limit(i32::try_from(most).unwrap_or(i32::MAX))
            .send()
            .await?;
        Ok(answer.items.unwrap_or_default())
    }

    /// Deletes items by their keys. Those that the table leaves over are found again by the next call.
    async fn delete(&self, found: Vec<Item>) -> Result<(), Fault> {
        let requests = found.into_iter().map(|item| {
            let key: Item = item.into_iter().filter(|(name, _)| name == PK || name == SK).collect();
            let delete = DeleteRequest::builder().set_key(Some(key)).build().map_err(Fault::unbuilt)?;
            Ok(WriteRequest::builder().delete_request(delete).build())
        });
        let requests = requests.collect::<Result<Vec<_>, Fault>>()?;
        let items = HashMap::from([(self.table.clone(), requests)]);
        self.client.batch_write_item().set_request_items(Some(items)).send().await?;
        Ok(())
    }
}
