//! Several writes that happen together or not at all.

use std::time::Duration;

use aws_sdk_dynamodb::error::{DisplayErrorContext, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, Delete, Put, TransactWriteItem};
use ulid::Ulid;

use super::attempts::Attempts;
use super::item::Item;
use super::keys::Key;
use super::{Fault, Store};

/// The code of an item whose condition did not hold.
pub(super) const FAILED: &str = "ConditionalCheckFailed";
/// The code of an item that somebody else is writing.
pub(super) const CONFLICT: &str = "TransactionConflict";

/// How often a transaction is sent that others get in the way of. The SDK does not send it again by itself.
pub(super) const MAX_ROUNDS: u32 = 4;
/// The first pause between two of them; each is twice the one before.
pub(super) const PAUSE: Duration = Duration::from_millis(25);

/// By it DynamoDB knows that a transaction is one that it has done, for 10 minutes (`ClientRequestToken`).
pub(super) struct Token {
    text: String,
    /// Whether a try with it was lost.
    lost: bool,
}

impl Token {
    pub(super) fn generate() -> Self {
        Self { text: Ulid::generate().to_string(), lost: false }
    }

    /// Prepares it for the same writes once more, after something that passes. Where a try was lost it stays, in case
    /// that the try arrives after all. Otherwise it is a new one: DynamoDB's pages do not say whether a token stands for
    /// a cancellation, too.
    pub(super) fn after(&mut self, lost: bool) {
        self.lost |= lost;
        if !self.lost {
            *self = Self::generate();
        }
    }
}

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

/// How one try of a transaction ended.
pub(super) enum Try {
    /// All of it was written.
    Written,
    /// Nothing was written, because of conditions, as in [`Outcome::Refused`].
    Refused(Vec<Verdict>),
    /// Nothing was written, because of something that passes.
    Passing {
        /// What it is, for the log.
        text: String,
        /// Whether it was sent more than once: then what was sent first may still arrive, and be written.
        lost: bool,
    },
}

impl Store {
    /// Makes these writes. What passes (another write of one of the items, throttling) is waited out for a while.
    pub(super) async fn transact(&self, writes: Vec<TransactWriteItem>) -> Result<Outcome, Fault> {
        let mut token = Token::generate();
        let mut round = 0;
        loop {
            let (text, lost) = match self.try_transact(&token, writes.clone()).await? {
                Try::Written => return Ok(Outcome::Written),
                Try::Refused(verdicts) => return Ok(Outcome::Refused(verdicts)),
                Try::Passing { text, lost } => (text, lost),
            };
            round += 1;
            if round == MAX_ROUNDS {
                return Ok(Outcome::Conflict(text));
            }
            token.after(lost);
            tokio::time::sleep(PAUSE * 2_u32.pow(round - 1)).await;
        }
    }

    /// Sends these writes, and once more where the answer is lost: the token tells DynamoDB that it is the same.
    pub(super) async fn try_transact(&self, token: &Token, writes: Vec<TransactWriteItem>) -> Result<Try, Fault> {
        let attempts = Attempts::default();
        let request =
            self.client.transact_write_items().client_request_token(&token.text).set_transact_items(Some(writes));
        let Err(error) = request.customize().interceptor(attempts.clone()).send().await else {
            return Ok(Try::Written);
        };
        match cancelled(&error).map(refusal) {
            Some(Refusal::Passing) => {}
            Some(Refusal::Conditions(verdicts)) => return Ok(Try::Refused(verdicts)),
            Some(Refusal::Broken) => return Err(Fault::Broken(DisplayErrorContext(&error).to_string())),
            None => {
                let in_progress = TransactWriteItemsError::is_transaction_in_progress_exception;
                // A try before this one, whose answer did not come, is not at its end.
                if !error.as_service_error().is_some_and(in_progress) {
                    return Err(error.into());
                }
            }
        }
        Ok(Try::Passing { text: DisplayErrorContext(&error).to_string(), lost: attempts.repeated() })
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

/// Why a transaction was cancelled, a reason for each of its items; `None` if it failed otherwise.
pub(super) fn cancelled<R>(error: &SdkError<TransactWriteItemsError, R>) -> Option<&[CancellationReason]> {
    match error.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => Some(cancelled.cancellation_reasons()),
        _ => None,
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
    /// Other writes of an item, and throttling.
    const PASSING: [&str; 4] = [CONFLICT, "ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"];
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
