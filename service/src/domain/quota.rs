//! Hard monthly quotas without a write for each request: the protocol of leases.
//!
//! A tenant's month has one row. Its `leased` says how many units of the quota were handed out, a unit for each request. An
//! execution environment takes a block of units with one conditional update, spends them from memory, and gives back what
//! is left. The same update reports what the requests used. `leased` never exceeds the limit, and no environment spends a
//! unit that it was not handed: so the limit holds, whatever crashes.
//!
//! What makes an update count once, however often it is sent and however late it arrives, is a chain. Each environment has a
//! mark in the row: the sequence number of its last update. Each [`UsageUpdate`] names the mark that it comes after, and its
//! condition holds the row to that mark. So of all updates that come after the same mark at most one is ever applied, and the
//! mark tells which. An update without a response stays [in doubt](Account) until the mark is seen. Until then, what it gives
//! back is not spent, what it takes is not held, and what it reports is not dropped.
//!
//! # An example
//!
//! Two environments, A and B, serve a tenant with a quota of 100. A response is lost, and B crashes. `update n > m` is the
//! update with the sequence number n that comes after the mark m.
//!
//! ```text
//!        environment A            the row: leased, marks          environment B
//!        -------------            ----------------------          -------------
//!                                   0
//!  request: update 1 > none, take 1
//!                          ------>  1   A=1
//!           holds 1, spends it
//!  request: update 2 > 1, take 2
//!                          ------>  3   A=2
//!           response lost  x-----
//!           update 2 is in doubt: no unit may be spent
//!                                                                 request: update 1 > none, take 1
//!                                   4   A=2 B=1           <------
//!                                                                 holds 1, crashes
//!  request: update 3 > 1, report
//!                          ------>  4   A=2 B=1
//!           rejected: A's mark is 2, so update 2 was applied, and update 3 never will be
//!           holds 2, spends 1
//!  end:     update 4 > 2, give 1
//!                          ------>  3   A=4 B=1
//! ```
//!
//! Two requests of A were served and 3 units are leased: B's unit is stranded, which means that it counts as used. Had
//! update 2 been lost on its way to the row, update 3 would have been applied. Then update 2 could not be applied any more
//! even if it arrived later, because A's mark would be 3.
//!
//! This module is the protocol alone: it makes [updates](UsageUpdate) and learns from [outcomes](UpdateOutcome). `store::quota` writes
//! them, `ledger` holds the accounts of an execution environment.

mod account;
mod update;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rand::distr::{Alphanumeric, SampleString};
use serde::Deserialize;

pub use account::{Account, Loss, Step};
pub use update::{Lease, Row, UpdateOutcome, UsageUpdate};

use crate::domain::time::{CLOCK_SKEW, SIGNATURE_LIFETIME, Timestamp};

/// How long units are held without a word: what is left of an older lease goes back.
pub const LEASE: Duration = Duration::from_mins(1);
/// How long a used up quota is not asked about again.
pub const PAUSE: Duration = Duration::from_secs(5);
/// How long an environment's first update in a row is sent again. Its later ones come after a mark, so they may be sent
/// at any time.
const RESEND: Duration = Duration::from_mins(5);
/// How old a mark is when others may remove it: no update that comes after it can arrive any more.
const SILENT: Duration = RESEND.saturating_add(SIGNATURE_LIFETIME).saturating_add(CLOCK_SKEW);
/// How many marks an update removes at most.
const FORGOTTEN: usize = 4;
/// The first block of an account, which does not know the row. The next ones double, as long as they are used up young.
const FIRST_BLOCK: u64 = 1;
/// The largest block.
const LARGEST_BLOCK: u64 = 500;
/// The part of what remains that a block takes at most.
const SHARE: u64 = 25;
/// The part of an equal share that a block takes at most, where many environments are at work. Lambda leaves some of them
/// idle without a word: what they hold is missing elsewhere.
const FAIR_SHARE: u64 = 8;

/// What an operator said of one tenant. As kept in a month's row it stands over what the caller's token says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// The plan.
    pub plan: Option<String>,
    /// The tenant's own quota; `None` with a plan means the plan's.
    pub quota: Option<u64>,
}

/// The plans' monthly quotas in requests, by plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Quotas(BTreeMap<String, u64>);

/// A plan without a quota.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the plan `{0}` has no quota")]
pub struct UnknownPlan(String);

impl Quotas {
    /// The limit of a tenant: the row's terms, else those that the caller came with.
    pub fn limit(&self, row: &Terms, plan: &str, quota: Option<u64>) -> Result<u64, UnknownPlan> {
        let of_plan = |plan: &str| self.0.get(plan).copied().ok_or_else(|| UnknownPlan(plan.to_owned()));
        match (row, quota) {
            (Terms { quota: Some(quota), .. }, _) => Ok(*quota),
            (Terms { plan: Some(plan), .. }, _) => of_plan(plan),
            (_, Some(quota)) => Ok(quota),
            (_, None) => of_plan(plan),
        }
    }
}

/// What becomes of a request while the table does not respond and no unit is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenUnavailable {
    /// `refuse`: it is answered with a 503, so that the quota holds.
    Refuse,
    /// `allow`: it goes on, and is counted when the table responds again. The quota may be exceeded by as many.
    Allow,
}

/// The id of an environment, in the rows that it updates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Environment(String);

impl Environment {
    /// A new one. Short, because a row has one for each environment that works for the tenant, and every update pays for
    /// the row's size; of 62 to the power of 8, so that no two meet.
    #[must_use]
    pub fn generate() -> Self {
        Self(Alphanumeric.sample_string(&mut rand::rng(), 8))
    }

    /// As a row has it.
    #[must_use]
    pub fn stored(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The sequence numbers of an environment: milliseconds since 1970, but always growing.
#[derive(Debug, Default)]
pub struct Sequence(AtomicI64);

impl Sequence {
    fn next(&self, now: Timestamp) -> i64 {
        let next = |last: i64| now.as_millis().max(last + 1);
        let last = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        next(last.unwrap_or_default())
    }
}

#[cfg(test)]
pub(crate) mod model;
#[cfg(test)]
mod tests;
