//! Several writes that happen together or not at all.

use std::time::Duration;

use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};

use super::item::Item;
use super::keys::Key;
use super::{Fault, Store};

/// How often a transaction is sent that others get in the way of. The SDK does not send it again by itself.
const MAX_ROUNDS: u32 = 4;
/// The first pause between two of them; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(25);

impl Store {
    /// Makes these writes, which have no conditions: so whatever cancels them (another write of one of the items, or
    /// throttling) passes.
    ///
    /// A try whose answer was lost is told from a new one by the `ClientRequestToken` that the SDK adds.
    pub(super) async fn write_all(&self, writes: Vec<TransactWriteItem>) -> Result<(), Fault> {
        let mut round = 0;
        loop {
            let request = self.client.transact_write_items().set_transact_items(Some(writes.clone()));
            let Err(error) = request.send().await else { return Ok(()) };
            if !error.as_service_error().is_some_and(TransactWriteItemsError::is_transaction_canceled_exception) {
                return Err(error.into());
            }
            round += 1;
            if round == MAX_ROUNDS {
                return Err(Fault::Unavailable(DisplayErrorContext(&error).to_string()));
            }
            tokio::time::sleep(PAUSE * 2_u32.pow(round - 1)).await;
        }
    }

    /// A write of a whole item, over the one that is there.
    pub(super) fn putting(&self, item: Item) -> Result<TransactWriteItem, Fault> {
        let put = Put::builder().table_name(&self.table).set_item(Some(item)).build().map_err(Fault::unbuilt)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// The end of an item, if it is there.
    pub(super) fn deleting(&self, key: Key) -> Result<TransactWriteItem, Fault> {
        let delete =
            Delete::builder().table_name(&self.table).set_key(Some(key.into_map())).build().map_err(Fault::unbuilt)?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }
}
