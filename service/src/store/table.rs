//! The only door to DynamoDB: nothing else calls the SDK.
//!
//! There is one method for each kind of request: [`get`](Table::get), [`get_many`](Table::get_many),
//! [`query`](Table::query), [`write`](Table::write), [`transact`](Table::transact) and [`delete_all`](Table::delete_all).
//! The SDK retries reads. `attempts` retries writes, because it alone decides which of them may be retried, and
//! `transaction` alone decides what a cancelled transaction means.

mod attempts;
mod backoff;
mod failure;
mod item_write;
mod transaction;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, KeysAndAttributes, WriteRequest};

pub(super) use attempts::{Aftermath, Attempts};
pub(super) use backoff::Backoff;
pub(super) use failure::{Doubt, Failure};
pub(super) use item_write::ItemWrite;
pub(super) use transaction::{Attempt, Outcome, Token, Verdict, unexpected_rejection};

use super::Fault;
use super::expression::{Condition, names};
use super::item::Item;
use super::keys::Key;

/// The table, and the clients that reach it.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// The client for reads, which the SDK retries.
    reader: Client,
    /// The client for writes, which the SDK does not retry.
    writer: Client,
    name: String,
}

/// Whether a read sees every write that was confirmed before it. A strongly consistent read takes twice the read capacity
/// units.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.ReadConsistency.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consistency {
    /// The read may miss the latest writes.
    Eventual,
    /// The read sees all confirmed writes.
    Strong,
}

/// A query for items of one partition, of the table or of an index, in the order of their sort keys.
pub(super) struct Query<'a> {
    pub(super) index: Option<&'static str>,
    /// The partition key's name and its value.
    pub(super) hash: (&'static str, &'a str),
    /// The prefix of the sort keys, whose attribute is `sk`. Without one, all items of the partition are found.
    pub(super) prefix: Option<&'a str>,
    /// The primary key of the item after which the result begins.
    pub(super) start: Option<Item>,
    pub(super) limit: Option<usize>,
    pub(super) descending: bool,
    pub(super) consistency: Consistency,
    /// The filter. Items that do not match are read, but left out of the result.
    pub(super) filter: Condition,
    /// The attributes to return. An empty list stands for all.
    pub(super) attributes: &'static [&'static str],
}

impl<'a> Query<'a> {
    /// Queries all items of a partition, eventually consistent.
    pub(super) fn of(name: &'static str, value: &'a str) -> Self {
        Self {
            index: None,
            hash: (name, value),
            prefix: None,
            start: None,
            limit: None,
            descending: false,
            consistency: Consistency::Eventual,
            filter: Condition::default(),
            attributes: &[],
        }
    }
}

/// The result of a query.
pub(super) struct Found {
    pub(super) items: Vec<Item>,
    /// The primary key of the last item that was read, if there may be more after it.
    pub(super) last: Option<Item>,
}

impl Table {
    pub(super) fn new(client: Client, name: String) -> Self {
        let config = client.config().to_builder().retry_config(RetryConfig::disabled());
        Self { writer: Client::from_conf(config.build()), reader: client, name }
    }

    /// Reads an item, or `None` if it does not exist.
    pub(super) async fn get(&self, key: Key, consistency: Consistency) -> Result<Option<Item>, Fault> {
        let get = self.reader.get_item().table_name(&self.name).set_key(Some(key.into_map()));
        // The future is on the heap, as that of every request, because the SDK's futures are large.
        Ok(Box::pin(get.consistent_read(consistency == Consistency::Strong).send()).await?.item)
    }

    /// Reads up to 100 items by their primary keys, in any order, and without those that do not exist. An empty list of
    /// attributes stands for all.
    ///
    /// A response has 16 MB at most, and less where the table is throttled, so it may leave out items, or all of them.
    /// Those are read with further requests.
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>
    pub(super) async fn get_many(
        &self,
        keys: Vec<Key>,
        consistency: Consistency,
        attributes: &[&str],
    ) -> Result<Vec<Item>, Fault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let projection = projection(attributes);
        let keys = KeysAndAttributes::builder()
            .set_keys(Some(keys.into_iter().map(Key::into_map).collect()))
            .consistent_read(consistency == Consistency::Strong)
            .set_expression_attribute_names(projection.as_deref().map(|text| names(&[text])))
            .set_projection_expression(projection)
            .build()
            .map_err(Fault::unbuilt)?;
        let mut found = Vec::new();
        let mut backoff = Backoff::patient();
        let mut left = Some(keys);
        while let Some(keys) = left.filter(|keys| !keys.keys.is_empty()) {
            let requested = keys.keys.len();
            let request = self.reader.batch_get_item().request_items(&self.name, keys);
            let response = Box::pin(request.send()).await?;
            found.extend(response.responses.unwrap_or_default().remove(&self.name).unwrap_or_default());
            left = response.unprocessed_keys.unwrap_or_default().remove(&self.name);
            let none_read = left.as_ref().is_some_and(|left| left.keys.len() == requested);
            if none_read && !backoff.pause().await {
                return Err(Fault::Unavailable("a batch of reads left out items too often".to_owned()));
            }
        }
        Ok(found)
    }

    /// Reads items of a partition with one request, which reads at most 1 MB.
    pub(super) async fn query(&self, query: Query<'_>) -> Result<Found, Fault> {
        let Query { index, hash: (name, value), prefix, start, limit, descending, consistency, filter, attributes } =
            query;
        let mut condition = format!("#{name} = :hash");
        let mut filter = filter.value(":hash", AttributeValue::S(value.to_owned()));
        if let Some(prefix) = prefix {
            condition.push_str(" AND begins_with(#sk, :prefix)");
            filter = filter.value(":prefix", AttributeValue::S(prefix.to_owned()));
        }
        let (text, projection) = (filter.text(), projection(attributes));
        let request = self
            .reader
            .query()
            .table_name(&self.name)
            .set_index_name(index.map(ToOwned::to_owned))
            .set_expression_attribute_names(Some(names(&[
                &condition,
                &text,
                projection.as_deref().unwrap_or_default(),
            ])))
            .set_expression_attribute_values(Some(filter.into_values()))
            .key_condition_expression(condition)
            .set_filter_expression((!text.is_empty()).then_some(text))
            .set_projection_expression(projection)
            .set_exclusive_start_key(start)
            .scan_index_forward(!descending)
            .consistent_read(consistency == Consistency::Strong)
            .set_limit(limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX)));
        let response = Box::pin(request.send()).await?;
        Ok(Found { items: response.items.unwrap_or_default(), last: response.last_evaluated_key })
    }

    /// Deletes up to 25 items by their primary keys. A throttled table leaves some of them over, which are deleted with
    /// further requests.
    pub(super) async fn delete_all(&self, keys: Vec<Key>) -> Result<(), Fault> {
        let request = |key: Key| {
            let delete = DeleteRequest::builder().set_key(Some(key.into_map())).build().map_err(Fault::unbuilt)?;
            Ok(WriteRequest::builder().delete_request(delete).build())
        };
        let mut left = keys.into_iter().map(request).collect::<Result<Vec<_>, Fault>>()?;
        let mut backoff = Backoff::patient();
        while !left.is_empty() {
            // The SDK may retry this request, because a repeated delete changes nothing.
            let request = self.reader.batch_write_item().request_items(&self.name, left);
            let response = Box::pin(request.send()).await?;
            left = response.unprocessed_items.unwrap_or_default().remove(&self.name).unwrap_or_default();
            if !left.is_empty() && !backoff.pause().await {
                return Err(Fault::Unavailable("a batch of deletes left over items too often".to_owned()));
            }
        }
        Ok(())
    }
}

impl Consistency {
    /// Returns strong consistency if it is wanted, or else eventual consistency.
    pub(super) fn strong_if(wanted: bool) -> Self {
        if wanted { Self::Strong } else { Self::Eventual }
    }
}

fn projection(attributes: &[&str]) -> Option<String> {
    let names = || attributes.iter().map(|name| format!("#{name}")).collect::<Vec<_>>().join(", ");
    (!attributes.is_empty()).then(names)
}
