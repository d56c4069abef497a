//! Several writes that happen together or not at all.

use std::time::Duration;

use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, Delete, Put, TransactWriteItem};

use super::item::Item;
use super::keys::Key;
use super::{Fault, Store};

/// How often a transaction is sent that others get in the way of. The SDK does not send it again by itself.
pub(super) const MAX_ROUNDS: u32 = 4;
/// The first pause between two of them; each is twice the one before.
pub(super) const PAUSE: Duration = Duration::from_millis(25);

/// How a transaction ended.
pub(super) enum Outcome {
    /// All of it was written.
    Written,
    /// Nothing was written, because of conditions. For each write, in their order, whether its own held.
    Refused(Vec<Verdict>),
    /// Nothing was written, because others were in the way again and again.
    Conflict(String),
}

/// What became of one write's condition.
pub(super) enum Verdict {
    /// It held, as far as it was looked at.
    Held,
    /// It did not hold, on this item (`None`: there is none).
    Failed(Option<Item>),
}

impl Verdict {
    /// The item that a condition does not hold on, if there is one.
    pub(super) fn into_item(self) -> Option<Item> {
        match self {
            Self::Held => None,
            Self::Failed(item) => item,
        }
    }
}

impl Store {
    /// Makes these writes. What passes (another write of one of the items, throttling) is waited out for a while.
    ///
    /// A try whose answer was lost is told from a new one by the `ClientRequestToken` that the SDK adds.
    pub(super) async fn transact(&self, writes: Vec<TransactWriteItem>) -> Result<Outcome, Fault> {
        let mut round = 0;
        loop {
            let request = self.client.transact_write_items().set_transact_items(Some(writes.clone()));
            let Err(error) = request.send().await else { return Ok(Outcome::Written) };
            match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    match refusal(cancelled.cancellation_reasons()) {
                        Refusal::Passing => {}
                        Refusal::Conditions(verdicts) => return Ok(Outcome::Refused(verdicts)),
                        Refusal::Broken => return Err(Fault::Broken(DisplayErrorContext(&error).to_string())),
                    }
                }
                // A try before this one, whose answer did not come, is not at its end.
                Some(TransactWriteItemsError::TransactionInProgressException(_)) => {}
                _ => return Err(error.into()),
            }
            round += 1;
            if round == MAX_ROUNDS {
                return Ok(Outcome::Conflict(DisplayErrorContext(&error).to_string()));
            }
            tokio::time::sleep(PAUSE * 2_u32.pow(round - 1)).await;
        }
    }

    /// Makes these writes, which have no conditions: so whatever cancels them passes.
    pub(super) async fn write_all(&self, writes: Vec<TransactWriteItem>) -> Result<(), Fault> {
        match self.transact(writes).await? {
            Outcome::Written => Ok(()),
            Outcome::Conflict(text) => Err(Fault::Unavailable(text)),
            Outcome::Refused(_) => Err(unconditional_refused()),
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

/// What cannot be.
pub(super) fn unconditional_refused() -> Fault {
    Fault::Broken("a write was refused by a condition that it does not have".to_owned())
}

/// Why a transaction was cancelled.
enum Refusal {
    Passing,
    Conditions(Vec<Verdict>),
    Broken,
}

/// Weighs the reasons, one for each write.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
fn refusal(reasons: &[CancellationReason]) -> Refusal {
    const HELD: &str = "None";
    const FAILED: &str = "ConditionalCheckFailed";
    /// Other writes of an item, and throttling.
    const PASSING: [&str; 4] =
        ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"];
    let codes = || reasons.iter().map(|reason| reason.code().unwrap_or(HELD));
    // Before the conditions: an item that somebody else is writing may make one hold, or fail, in a moment.
    if reasons.is_empty() || codes().any(|code| PASSING.contains(&code)) {
        return Refusal::Passing;
    }
    if codes().any(|code| code != HELD && code != FAILED) {
        return Refusal::Broken;
    }
    let verdict = |reason: &CancellationReason| match reason.code() {
        Some(FAILED) => Verdict::Failed(reason.item().filter(|item| !item.is_empty()).cloned()),
        _ => Verdict::Held,
    };
    Refusal::Conditions(reasons.iter().map(verdict).collect())
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;

    fn weighed(codes: &[&str]) -> Refusal {
        let item = Item::from([("pk".to_owned(), AttributeValue::S("x".to_owned()))]);
        let reasons =
            codes.iter().map(|code| CancellationReason::builder().code(*code).set_item(Some(item.clone())).build());
        refusal(&reasons.collect::<Vec<_>>())
    }

    #[test]
    fn another_write_of_an_item_comes_before_conditions() {
        for codes in [&[][..], &["None", "TransactionConflict"], &["ConditionalCheckFailed", "TransactionConflict"]] {
            assert!(matches!(weighed(codes), Refusal::Passing), "{codes:?}");
        }
        assert!(matches!(weighed(&["None", "ValidationError"]), Refusal::Broken));
        let Refusal::Conditions(verdicts) = weighed(&["None", "ConditionalCheckFailed"]) else { panic!("conditions") };
        assert!(matches!(&verdicts[..], [Verdict::Held, Verdict::Failed(Some(_))]));
    }
}
