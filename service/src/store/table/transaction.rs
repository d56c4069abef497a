//! Several writes that happen together or not at all.

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

/// By it `DynamoDB` knows for 10 minutes that a transaction is one that it has done (`ClientRequestToken`).
pub(in crate::store) struct Token(String);

impl Token {
    pub(in crate::store) fn generate() -> Self {
        Self(Ulid::generate().to_string())
    }

    /// The token of the next attempt. It stays as long as an earlier attempt may still arrive, so that only one of them
    /// takes effect. Otherwise it is a new one: `DynamoDB`'s pages do not say whether a token stands for a cancellation, too.
    pub(in crate::store) fn after(self, attempts: &Attempts) -> Self {
        if attempts.in_doubt() { self } else { Self::generate() }
    }
}

/// How a transaction ended.
pub(in crate::store) enum Outcome {
    /// All of it was written.
    Written,
    /// The conditions of some writes do not hold.
    Rejected {
        /// For each write, in their order, whether its own held.
        verdicts: Vec<Verdict>,
        /// Set where an earlier attempt may still arrive, and take effect: otherwise nothing was or will be written.
        doubt: Option<Fault>,
    },
    /// Nothing was written, because others were in the way again and again.
    Conflict,
}

/// What became of one write's condition.
pub(in crate::store) enum Verdict {
    /// It held, as far as it was looked at.
    Held,
    /// It did not hold, on this item (`None`: there is none).
    Failed(Option<Item>),
}

impl Verdict {
    /// The item that a condition does not hold on, if there is one.
    pub(in crate::store) fn into_item(self) -> Option<Item> {
        match self {
            Self::Held => None,
            Self::Failed(item) => item,
        }
    }
}

/// How one attempt of a transaction ended.
pub(in crate::store) enum Attempt {
    /// All of it was written.
    Written,
    /// The conditions of some writes do not hold, as in [`Outcome::Rejected`].
    Rejected(Vec<Verdict>),
    /// Another attempt may follow now.
    Again,
    /// Nothing was written, because others were in the way again and again.
    Conflict,
}

impl Table {
    /// Makes these writes in one transaction. What passes (another write of one of the items, throttling) is waited out for a while.
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

    /// Sends these writes once, and waits where another attempt may follow.
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
        // On the heap: a request of the SDK is a large future.
        let response = Box::pin(request.set_transact_items(Some(writes)).send()).await;
        let Err(error) = response else { return Ok(Attempt::Written) };
        let (aftermath, text) = match cancelled(&error) {
            None => (Aftermath::of(&error), describe(&error)),
            Some(reasons) => {
                let codes: Vec<_> = reasons.iter().map(|reason| reason.code().unwrap_or(HELD)).collect();
                let text = format!("{}, for {codes:?}", describe(&error));
                match Cancellation::of(reasons) {
                    Cancellation::Conditions(verdicts) => return Ok(Attempt::Rejected(verdicts)),
                    Cancellation::Passing(aftermath) => (aftermath, text),
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

    /// Makes these writes, which have no conditions: so whatever cancels them passes.
    pub(in crate::store) async fn write_all(&self, writes: Vec<ItemWrite>) -> Result<(), CommitError> {
        match self.transact(writes).await? {
            Outcome::Written => Ok(()),
            Outcome::Conflict => Err(CommitError::Conflict),
            Outcome::Rejected { .. } => Err(unexpected_rejection().into()),
        }
    }
}

/// Why a transaction was cancelled, a reason for each of its items; `None` if it failed otherwise.
fn cancelled(error: &SdkError<TransactWriteItemsError>) -> Option<&[CancellationReason]> {
    match error.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => Some(cancelled.cancellation_reasons()),
        _ => None,
    }
}

/// What cannot be.
pub(in crate::store) fn unexpected_rejection() -> Fault {
    Fault::Broken("a write was rejected by a condition that it does not have".to_owned())
}

/// The code of a write that was not what a transaction was cancelled for.
const HELD: &str = "None";
/// The code of a write whose condition did not hold.
const FAILED: &str = "ConditionalCheckFailed";
/// The code of a write of an item that another request is writing.
const CONFLICT: &str = "TransactionConflict";
/// The codes of writes that the table put off.
const THROTTLED: [&str; 3] = ["ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"];

/// What a cancellation means: the only place that weighs its reasons.
enum Cancellation {
    /// It may not come to it another time.
    Passing(Aftermath),
    /// Conditions do not hold.
    Conditions(Vec<Verdict>),
    /// What cannot be.
    Broken,
}

impl Cancellation {
    /// Weighs the reasons, one for each write.
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
    fn of(reasons: &[CancellationReason]) -> Self {
        let codes = || reasons.iter().map(|reason| reason.code().unwrap_or(HELD));
        // Before the conditions: they were not all looked at, and another write of the item may make one hold in a moment.
        if reasons.is_empty() || codes().any(|code| code == CONFLICT) {
            return Self::Passing(Aftermath::Conflict);
        }
        if codes().any(|code| THROTTLED.contains(&code)) {
            return Self::Passing(Aftermath::Busy);
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

    fn weighed(codes: &[&str]) -> Cancellation {
        let item = Item::from([("pk".to_owned(), AttributeValue::S("x".to_owned()))]);
        let reasons =
            codes.iter().map(|code| CancellationReason::builder().code(*code).set_item(Some(item.clone())).build());
        Cancellation::of(&reasons.collect::<Vec<_>>())
    }

    #[test]
    fn what_passes_comes_before_conditions() {
        for (codes, aftermath) in [
            (&[][..], Aftermath::Conflict),
            (&["None", "TransactionConflict"], Aftermath::Conflict),
            (&["ConditionalCheckFailed", "TransactionConflict"], Aftermath::Conflict),
            (&["ConditionalCheckFailed", "ThrottlingError"], Aftermath::Busy),
            (&["ProvisionedThroughputExceeded", "ConditionalCheckFailed"], Aftermath::Busy),
        ] {
            assert!(matches!(weighed(codes), Cancellation::Passing(found) if found == aftermath), "{codes:?}");
        }
        assert!(matches!(weighed(&["None", "ValidationError"]), Cancellation::Broken));
        let Cancellation::Conditions(verdicts) = weighed(&["None", "ConditionalCheckFailed"]) else {
            panic!("conditions")
        };
        assert!(matches!(&verdicts[..], [Verdict::Held, Verdict::Failed(Some(_))]));
    }
}
