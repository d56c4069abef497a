//! Transactions: several writes that take effect together or not at all.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, TransactWriteItem};
use ulid::Ulid;

use super::attempts::{Aftermath, Attempts};
use super::backoff::Backoff;
use super::item_write::ItemWrite;
use super::{Fault, Table};
use crate::runtime::aws::describe;
use crate::store::CommitError;
use crate::store::item::Item;

/// The `ClientRequestToken` of a transaction, by which `DynamoDB` recognizes for 10 minutes that it is already done.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
pub(in crate::store) struct Token(String);

impl Token {
    pub(in crate::store) fn generate() -> Self {
        Self(Ulid::generate().to_string())
    }

    /// Returns the token of the next attempt. It stays the same as long as an earlier attempt may still arrive, so that
    /// only one of them takes effect. Otherwise it is a new one, because `DynamoDB`'s documentation does not specify
    /// whether a token also stands for a cancellation.
    pub(in crate::store) fn after(self, attempts: &Attempts) -> Self {
        if attempts.in_doubt() { self } else { Self::generate() }
    }
}

/// The outcome of a transaction.
pub(in crate::store) enum Outcome {
    /// All writes took effect.
    Written,
    /// The conditions of some writes do not hold.
    Rejected {
        /// The verdict on the condition of each write, in their order.
        verdicts: Vec<Verdict>,
        /// The doubt, if an earlier attempt may have taken effect or may still do so. Without it, nothing was or will be
        /// written.
        doubt: Option<Fault>,
    },
    /// Nothing was written, because too many other requests were writing the items.
    Conflict,
}

/// The verdict on the condition of one write.
pub(in crate::store) enum Verdict {
    /// The condition held, as far as it was evaluated.
    Held,
    /// The condition did not hold on this item (`None`: the item does not exist).
    Failed(Option<Item>),
}

impl Verdict {
    /// Returns the item on which a condition does not hold, if it exists.
    pub(in crate::store) fn into_item(self) -> Option<Item> {
        match self {
            Self::Held => None,
            Self::Failed(item) => item,
        }
    }
}

/// The outcome of one attempt of a transaction.
pub(in crate::store) enum Attempt {
    /// All writes took effect.
    Written,
    /// The conditions of some writes do not hold, as in [`Outcome::Rejected`].
    Rejected(Vec<Verdict>),
    /// Another attempt may follow now.
    Again,
    /// Nothing was written, because too many other requests were writing the items.
    Conflict,
}

impl Table {
    /// Makes these writes in one transaction. It is retried for a while if another request writes one of the items, or if
    /// the table is throttled.
    pub(in crate::store) async fn transact(&self, writes: Vec<ItemWrite>) -> Result<Outcome, Fault> {
        let writes = self.items(writes)?;
        let mut attempts = Attempts::repeatable(Backoff::brief());
        let mut token = Token::generate();
        loop {
            match self.send(&mut attempts, &token, writes.clone()).await? {
                Attempt::Written => return Ok(Outcome::Written),
                Attempt::Rejected(verdicts) => return Ok(Outcome::Rejected { verdicts, doubt: attempts.doubt() }),
                Attempt::Conflict => return Ok(Outcome::Conflict),
                Attempt::Again => token = token.after(&attempts),
            }
        }
    }

    /// Sends these writes once, and then waits if another attempt may follow.
    pub(in crate::store) async fn attempt(
        &self,
        attempts: &mut Attempts,
        token: &Token,
        writes: Vec<ItemWrite>,
    ) -> Result<Attempt, Fault> {
        let writes = self.items(writes)?;
        self.send(attempts, token, writes).await
    }

    fn items(&self, writes: Vec<ItemWrite>) -> Result<Vec<TransactWriteItem>, Fault> {
        writes.into_iter().map(|write| write.in_transaction(self)).collect()
    }

    async fn send(
        &self,
        attempts: &mut Attempts,
        token: &Token,
        writes: Vec<TransactWriteItem>,
    ) -> Result<Attempt, Fault> {
        let request = self.writer.transact_write_items().client_request_token(&token.0);
        // The future is on the heap, because the SDK's futures are large.
        let response = Box::pin(request.set_transact_items(Some(writes)).send()).await;
        let Err(error) = response else { return Ok(Attempt::Written) };
        let (aftermath, text) = match cancelled(&error) {
            None => (Aftermath::of(&error), describe(&error)),
            Some(reasons) => {
                let codes: Vec<_> = reasons.iter().map(|reason| reason.code().unwrap_or(HELD)).collect();
                let text = format!("{}, for {codes:?}", describe(&error));
                match Cancellation::of(reasons) {
                    Cancellation::Conditions(verdicts) => return Ok(Attempt::Rejected(verdicts)),
                    Cancellation::Transient(aftermath) => (aftermath, text),
                    Cancellation::Broken => return Err(Fault::Broken(text)),
                }
            }
        };
        if attempts.again(aftermath, &text).await {
            return Ok(Attempt::Again);
        }
        match (attempts.doubt(), aftermath) {
            (Some(fault), _) => Err(fault),
            (None, Aftermath::Conflict) => Ok(Attempt::Conflict),
            (None, Aftermath::Final) => Err(Fault::Broken(text)),
            (None, _) => Err(Fault::Unavailable(text)),
        }
    }

    /// Makes these writes in one transaction. They have no conditions, so nothing can reject them.
    pub(in crate::store) async fn write_all(&self, writes: Vec<ItemWrite>) -> Result<(), CommitError> {
        match self.transact(writes).await? {
            Outcome::Written => Ok(()),
            Outcome::Conflict => Err(CommitError::Conflict),
            Outcome::Rejected { .. } => Err(unexpected_rejection().into()),
        }
    }
}

/// Returns the reasons why a transaction was cancelled, one for each of its items, or `None` if it failed otherwise.
fn cancelled(error: &SdkError<TransactWriteItemsError>) -> Option<&[CancellationReason]> {
    match error.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => Some(cancelled.cancellation_reasons()),
        _ => None,
    }
}

/// Returns the fault of a write without a condition that was rejected, which is a defect.
pub(in crate::store) fn unexpected_rejection() -> Fault {
    Fault::Broken("a write was rejected by a condition that it does not have".to_owned())
}

/// The code of a write that did not cause the cancellation.
const HELD: &str = "None";
/// The code of a write whose condition did not hold.
const FAILED: &str = "ConditionalCheckFailed";
/// The code of a write whose item another request is writing.
const CONFLICT: &str = "TransactionConflict";
/// The codes of writes that the table throttled.
const THROTTLED: [&str; 3] = ["ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"];

/// The meaning of a cancellation. This is the only interpretation of its reasons.
enum Cancellation {
    /// Another attempt may succeed.
    Transient(Aftermath),
    /// Conditions do not hold.
    Conditions(Vec<Verdict>),
    /// The request has a defect.
    Broken,
}

impl Cancellation {
    /// Interprets the reasons, one for each write.
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
    fn of(reasons: &[CancellationReason]) -> Self {
        let codes = || reasons.iter().map(|reason| reason.code().unwrap_or(HELD));
        // A conflict comes before the conditions: not all of them were evaluated, and the other write of the item may make
        // one hold in a moment.
        if reasons.is_empty() || codes().any(|code| code == CONFLICT) {
            return Self::Transient(Aftermath::Conflict);
        }
        if codes().any(|code| THROTTLED.contains(&code)) {
            return Self::Transient(Aftermath::Busy);
        }
        if codes().any(|code| code != HELD && code != FAILED) {
            return Self::Broken;
        }
        let verdict = |reason: &CancellationReason| match reason.code() {
            Some(FAILED) => Verdict::Failed(reason.item().filter(|item| !item.is_empty()).cloned()),
            _ => Verdict::Held,
        };
        Self::Conditions(reasons.iter().map(verdict).collect())
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;

    fn cancellation(codes: &[&str]) -> Cancellation {
        let item = Item::from([("pk".to_owned(), AttributeValue::S("x".to_owned()))]);
        let reasons =
            codes.iter().map(|code| CancellationReason::builder().code(*code).set_item(Some(item.clone())).build());
        Cancellation::of(&reasons.collect::<Vec<_>>())
    }

    #[test]
    fn transient_reasons_come_before_conditions() {
        for (codes, aftermath) in [
            (&[][..], Aftermath::Conflict),
            (&["None", "TransactionConflict"], Aftermath::Conflict),
            (&["ConditionalCheckFailed", "TransactionConflict"], Aftermath::Conflict),
            (&["ConditionalCheckFailed", "ThrottlingError"], Aftermath::Busy),
            (&["ProvisionedThroughputExceeded", "ConditionalCheckFailed"], Aftermath::Busy),
        ] {
            assert!(matches!(cancellation(codes), Cancellation::Transient(found) if found == aftermath), "{codes:?}");
        }
        assert!(matches!(cancellation(&["None", "ValidationError"]), Cancellation::Broken));
        let Cancellation::Conditions(verdicts) = cancellation(&["None", "ConditionalCheckFailed"]) else {
            panic!("conditions")
        };
        assert!(matches!(&verdicts[..], [Verdict::Held, Verdict::Failed(Some(_))]));
    }
}
