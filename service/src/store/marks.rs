//! The mark that every write leaves in its item. When the response to a write is lost, the mark shows whether the write was
//! applied.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use tokio::time::timeout;

use super::item::{Item, attribute};
use super::keys::Key;
use super::table::{Consistency, Doubt, Verdict};
use super::{Fault, Store};

/// The time limit for reading the item of a write in doubt: the client has already waited for the write itself.
const SETTLING: Duration = Duration::from_millis(1500);

/// Returns whether the last write of an item left this mark.
pub(super) fn has_mark(item: &Item, mark: &str) -> bool {
    matches!(item.get(attribute::WRITE), Some(AttributeValue::S(write)) if write == mark)
}

/// Returns whether a transaction with this mark was applied: one of the items on which a condition failed has the mark.
pub(super) fn wrote_one_of(verdicts: &[Verdict], mark: &str) -> bool {
    verdicts.iter().any(|verdict| matches!(verdict, Verdict::Failed(Some(item)) if has_mark(item, mark)))
}

impl Store {
    /// Returns the item that a write in doubt left, if it is still there. If it is not, the write was not applied, or was
    /// overwritten, or may still arrive, and nothing tells which.
    pub(super) async fn settle(&self, key: Key, mark: &str, doubt: Doubt) -> Result<Item, Fault> {
        let item = if doubt.rejected {
            doubt.item
        } else {
            let reading = timeout(SETTLING, self.table.get(key, Consistency::Strong)).await;
            reading.ok().and_then(Result::ok).flatten()
        };
        item.filter(|item| has_mark(item, mark)).ok_or(doubt.fault)
    }
}
