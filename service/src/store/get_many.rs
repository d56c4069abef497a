//! Several items by their keys.

use aws_sdk_dynamodb::types::KeysAndAttributes;

use super::backoff::Backoff;
use super::item::Item;
use super::{Fault, Store};

impl Store {
    /// Reads items by their keys: up to 100 with one request, unless the table leaves some out of its response.
    ///
    /// A response has 16 MB at most, and less where the table is throttled: then it can be without any of them.
    pub(super) async fn get_many(&self, keys: KeysAndAttributes) -> Result<Vec<Item>, Fault> {
        let mut found = Vec::new();
        let mut backoff = Backoff::patient();
        let mut left = Some(keys);
        while let Some(keys) = left.filter(|keys| !keys.keys.is_empty()) {
            let asked = keys.keys.len();
            let response = self.client.batch_get_item().request_items(&self.table, keys).send().await?;
            found.extend(response.responses.unwrap_or_default().remove(&self.table).unwrap_or_default());
            left = response.unprocessed_keys.unwrap_or_default().remove(&self.table);
            let none_read = left.as_ref().is_some_and(|left| left.keys.len() == asked);
            if none_read && !backoff.pause().await {
                return Err(Fault::Unavailable("keys were left out of a batch again and again".to_owned()));
            }
        }
        Ok(found)
    }
}
