//! The attempts of one write, and what is known about it after each: the only place that retries writes.
//!
//! A failed attempt either certainly did nothing, or leaves a doubt: its response was lost, or never came, and it may have
//! taken effect, or may still do so when it arrives late. The same holds for a 500 of `DynamoDB` ("the operation may have
//! succeeded or failed"). The SDK's own retries do not distinguish the two cases, so they are off for writes.
//!
//! After an attempt that did nothing, another may follow. After a doubt, another may follow only where at most one of them
//! can ever take effect: a transaction with the same `ClientRequestToken`, a write under the condition that the item is in
//! one certain version (no version comes back), or a write that changes nothing when it is repeated. Any other could undo
//! what another request wrote in between. A condition that fails after a doubt proves nothing, because the earlier attempt
//! may be what made it fail, or may still arrive: only the write's own mark on the item shows that it took effect.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use super::Fault;
use super::backoff::Backoff;
use super::failure::{Conditional, Doubt, Failure};
use crate::runtime::aws::{describe, never_connected};

/// The error codes of requests that `DynamoDB` throttled, without any effect.
const THROTTLED: [&str; 3] = ["ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"];
/// The error codes of writes that `DynamoDB` rejected because another write of the same item is in progress.
const CONFLICTS: [&str; 2] = ["ReplicatedWriteConflictException", "TransactionConflictException"];
/// The error code of a transaction of which an earlier attempt, with the same `ClientRequestToken`, is in progress.
const IN_PROGRESS: &str = "TransactionInProgressException";

/// The effect of a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Aftermath {
    /// The attempt did nothing, and another one would fail in the same way.
    Final,
    /// The attempt did nothing, because another write of the item was in progress.
    Conflict,
    /// The attempt did nothing, because the table was throttled or could not be reached.
    Busy,
    /// The attempt may have taken effect, or may still do so.
    Doubt,
}

impl Aftermath {
    pub(in crate::store) fn of<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Self {
        match error {
            SdkError::ConstructionFailure(_) => Self::Final,
            SdkError::DispatchFailure(failure) if failure.as_connector_error().is_some_and(never_connected) => {
                Self::Busy
            }
            SdkError::ServiceError(service) if service.raw().status().is_client_error() => {
                match service.err().code().unwrap_or_default() {
                    IN_PROGRESS => Self::Doubt,
                    code if THROTTLED.contains(&code) => Self::Busy,
                    code if CONFLICTS.contains(&code) => Self::Conflict,
                    _ => Self::Final,
                }
            }
            // This is a 5xx, a timeout, a connection that broke, or a response that cannot be read.
            _ => Self::Doubt,
        }
    }
}

/// The attempts of one write.
#[derive(Debug)]
pub(in crate::store) struct Attempts {
    backoff: Backoff,
    repeatable: bool,
    /// The error of the first attempt that left a doubt.
    doubt: Option<String>,
}

impl Attempts {
    /// Starts the attempts of a write that takes effect at most once however often it is sent, or changes nothing when it
    /// is repeated.
    pub(in crate::store) fn repeatable(backoff: Backoff) -> Self {
        Self { backoff, repeatable: true, doubt: None }
    }

    /// Starts the attempts of a write that is retried only while it certainly did nothing.
    pub(in crate::store) fn cautious(backoff: Backoff) -> Self {
        Self { backoff, repeatable: false, doubt: None }
    }

    /// Returns whether an attempt may have taken effect, or may still do so.
    pub(in crate::store) fn in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// Returns the doubt as a fault, if there is one.
    pub(in crate::store) fn doubt(&self) -> Option<Fault> {
        self.doubt.as_ref().map(|text| Fault::Unavailable(format!("an attempt may have taken effect: {text}")))
    }

    /// Waits before another attempt if one may follow this failure and there is time for it. Returns whether it may start.
    pub(in crate::store) async fn again(&mut self, aftermath: Aftermath, text: &str) -> bool {
        let may_follow = match aftermath {
            Aftermath::Final => false,
            Aftermath::Conflict | Aftermath::Busy => true,
            Aftermath::Doubt => {
                self.doubt.get_or_insert_with(|| text.to_owned());
                self.repeatable
            }
        };
        may_follow && self.backoff.pause().await
    }

    /// Waits before an attempt with other contents, after one that certainly did nothing. Returns whether it may start.
    pub(in crate::store) async fn pause(&mut self) -> bool {
        self.backoff.pause().await
    }

    /// Sends a write of one item until its outcome is known, or no other attempt may follow.
    pub(in crate::store) async fn send<O, E, F>(&mut self, attempt: impl Fn() -> F) -> Result<O, Failure>
    where
        E: Conditional,
        F: Future<Output = Result<O, SdkError<E>>>,
    {
        loop {
            // The future is on the heap, because the SDK's futures are large.
            let error = match Box::pin(attempt()).await {
                Ok(output) => return Ok(output),
                Err(SdkError::ServiceError(service)) if service.err().is_condition() => {
                    let item = service.into_err().into_item();
                    return Err(match self.doubt() {
                        None => Failure::Condition(item),
                        Some(fault) => Failure::Doubt(Doubt { rejected: true, item, fault }),
                    });
                }
                Err(error) => error,
            };
            let aftermath = Aftermath::of(&error);
            if self.again(aftermath, &describe(&error)).await {
                continue;
            }
            return Err(match (self.doubt(), aftermath) {
                (Some(fault), _) => Failure::Doubt(Doubt { rejected: false, item: None, fault }),
                (None, Aftermath::Conflict) => Failure::Conflict(describe(&error)),
                (None, _) => Failure::Fault(error.into()),
            });
        }
    }
}
