//! The only door to DynamoDB: nothing else calls the SDK.
//!
//! There is one verb for each thing that can be asked of the table: [`get`](Table::get), [`get_many`](Table::get_many),
//! [`query`](Table::query), [`write`](Table::write), [`transact`](Table::transact) and [`delete_all`](Table::delete_all).
//! Reads are retried by the SDK. Writes are retried by `attempts`, which alone knows which of them may be sent again, and
//! `transaction` alone says what a cancelled transaction means.

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

/// The table, and the clients to reach it with.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// For reads, which the SDK retries.
    reader: Client,
    /// For writes, which it does not.
    writer: Client,
    name: String,
}

/// Whether a read sees every write that was confirmed before it. A strongly consistent read costs twice as much.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.ReadConsistency.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consistency {
    /// It may miss writes of the last moments.
    Eventual,
    /// It sees them all.
    Strong,
}

/// The items of one partition, of the table or of an index, in the order of their sort keys.
pub(super) struct Query<'a> {
    pub(super) index: Option<&'static str>,
    /// The partition key's name and its value.
    pub(super) hash: (&'static str, &'a str),
    /// The key after which it begins.
    pub(super) start: Option<Item>,
    pub(super) most: Option<usize>,
    pub(super) descending: bool,
    pub(super) consistency: Consistency,
    /// Which items are left out although they are read.
    pub(super) filter: Condition,
    /// The attributes to read; empty: all.
    pub(super) attributes: &'static [&'static str],
}

impl<'a> Query<'a> {
    /// All items of a partition, eventually consistent.
    pub(super) fn of(name: &'static str, value: &'a str) -> Self {
        Self {
            index: None,
            hash: (name, value),
            start: None,
            most: None,
            descending: false,
            consistency: Consistency::Eventual,
            filter: Condition::default(),
            attributes: &[],
        }
    }
}

/// What a query found.
pub(super) struct Found {
    pub(super) items: Vec<Item>,
    /// The key of the last item that was read, if there may be more after it.
    pub(super) last: Option<Item>,
}

impl Table {
    pub(super) fn new(client: Client, name: String) -> Self {
        let config = client.config().to_builder().retry_config(RetryConfig::disabled());
        Self { writer: Client::from_conf(config.build()), reader: client, name }
    }

    /// Reads an item.
    pub(super) async fn get(&self, key: Key, consistency: Consistency) -> Result<Option<Item>, Fault> {
        let get = self.reader.get_item().table_name(&self.name).set_key(Some(key.into_map()));
        // On the heap, as every request: those of the SDK are large futures.
        Ok(Box::pin(get.consistent_read(consistency == Consistency::Strong).send()).await?.item)
    }

    /// Reads items by their keys: up to 100 with one request, unless the table leaves some out of its response. Of each item
    /// these attributes; empty: all.
    ///
    /// A response has 16 MB at most, and less where the table is throttled: then it can be without any of them.
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
            let asked = keys.keys.len();
            let request = self.reader.batch_get_item().request_items(&self.name, keys);
            let response = Box::pin(request.send()).await?;
            found.extend(response.responses.unwrap_or_default().remove(&self.name).unwrap_or_default());
            left = response.unprocessed_keys.unwrap_or_default().remove(&self.name);
            let none_read = left.as_ref().is_some_and(|left| left.keys.len() == asked);
            if none_read && !backoff.pause().await {
                return Err(Fault::Unavailable("keys were left out of a batch again and again".to_owned()));
            }
        }
        Ok(found)
    }

    /// Reads items of a partition with one request, which reads 1 MB at most.
    pub(super) async fn query(&self, query: Query<'_>) -> Result<Found, Fault> {
        let Query { index, hash: (name, value), start, most, descending, consistency, filter, attributes } = query;
        let condition = format!("#{name} = :hash");
        let filter = filter.value(":hash", AttributeValue::S(value.to_owned()));
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
            .set_limit(most.map(|most| i32::try_from(most).unwrap_or(i32::MAX)));
        let response = Box::pin(request.send()).await?;
        Ok(Found { items: response.items.unwrap_or_default(), last: response.last_evaluated_key })
    }

    /// Deletes up to 25 items by their keys. A table that is throttled leaves some of them over, which are then sent again.
    pub(super) async fn delete_all(&self, keys: Vec<Key>) -> Result<(), Fault> {
        let request = |key: Key| {
            let delete = DeleteRequest::builder().set_key(Some(key.into_map())).build().map_err(Fault::unbuilt)?;
            Ok(WriteRequest::builder().delete_request(delete).build())
        };
        let mut left = keys.into_iter().map(request).collect::<Result<Vec<_>, Fault>>()?;
        let mut backoff = Backoff::patient();
        while !left.is_empty() {
            // The SDK may retry it, because a delete that is repeated changes nothing.
            let request = self.reader.batch_write_item().request_items(&self.name, left);
            let response = Box::pin(request.send()).await?;
            left = response.unprocessed_items.unwrap_or_default().remove(&self.name).unwrap_or_default();
            if !left.is_empty() && !backoff.pause().await {
                return Err(Fault::Unavailable("items were left over from a batch again and again".to_owned()));
            }
        }
        Ok(())
    }
}

impl Consistency {
    /// As a request wants it.
    pub(super) fn strong_if(wanted: bool) -> Self {
        if wanted { Self::Strong } else { Self::Eventual }
    }
}

fn projection(attributes: &[&str]) -> Option<String> {
    let names = || attributes.iter().map(|name| format!("#{name}")).collect::<Vec<_>>().join(", ");
    (!attributes.is_empty()).then(names)
}
