//! What becomes of calls, and what became of them.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use tokio::time::Instant;

use crate::bucket::Bucket;

/// How many calls are remembered.
const MEMORY: usize = 1000;

/// `CreateApiKey` of an account, in calls per second.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html>
const CREATIONS: f64 = 5.0;

/// A call that local stands in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "AWS documents its operations, by the same names")]
pub enum Operation {
    CreateApiKey,
    GetApiKey,
    GetApiKeys,
    UpdateApiKey,
    DeleteApiKey,
    GetUsagePlan,
    GetUsagePlans,
    CreateUsagePlanKey,
    GetUsagePlanKey,
    GetUsagePlanKeys,
    DeleteUsagePlanKey,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is throttled: 429.
    Throttle,
    /// It is not done: 500.
    Fail,
    /// It is done, but the answer is a 500.
    LoseAnswer,
    /// It is not done, and never answered.
    Stall,
    /// It is done, and never answered.
    StallDone,
    /// It is not done, for this reason.
    Refuse(Refusal),
}

/// An error that API Gateway documents for its calls, or for those of every service. `TooManyRequestsException` is
/// [`Fault::Throttle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "AWS documents its errors, by the same names")]
pub enum Refusal {
    AccessDenied,
    BadRequest,
    Conflict,
    LimitExceeded,
    NotFound,
    ServiceUnavailable,
    Unauthorized,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::AccessDenied,
        Self::BadRequest,
        Self::Conflict,
        Self::LimitExceeded,
        Self::NotFound,
        Self::ServiceUnavailable,
        Self::Unauthorized,
    ];
}

/// A call that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// What was called.
    pub operation: Operation,
    /// The status of the answer.
    pub status: u16,
}

#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) next: VecDeque<Option<Fault>>,
    pub(super) always: HashMap<Operation, Fault>,
    creations: Option<Bucket>,
    calls: VecDeque<Call>,
}

impl Script {
    pub(super) fn limit_creation(&mut self, limited: bool, now: Instant) {
        self.creations = limited.then(|| Bucket::full(CREATIONS, CREATIONS, now));
    }

    pub(super) fn fate(&mut self, operation: Operation, now: Instant) -> Option<Fault> {
        if operation == Operation::CreateApiKey && self.creations.as_mut().is_some_and(|bucket| !bucket.take(now)) {
            return Some(Fault::Throttle);
        }
        self.next.pop_front().unwrap_or_else(|| self.always.get(&operation).copied())
    }

    pub(super) fn log(&mut self, call: Call) {
        if self.calls.len() == MEMORY {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.iter().copied().collect()
    }
}
