//! Hard monthly quotas without a write for each request: the protocol of leases.
//!
//! A tenant's month has one row. Its `leased` is the number of units of the quota that were handed out, a unit for each
//! request. An execution environment takes a block of units with one conditional update, spends them from memory, and gives
//! back what is left. The same update reports what the requests used. `leased` never exceeds the limit, and no execution
//! environment spends a unit that it was not handed: so the limit holds, whatever crashes.
//!
//! A chain of marks makes each update count once, however often it is sent and however late it arrives. Each execution
//! environment has a mark in the row: the sequence number of its last update. Each [`UsageUpdate`] names the mark that it
//! comes after, and its condition requires that mark. So of all updates that come after the same mark at most one is ever
//! applied, and the mark shows which. An update without a response stays [in doubt](Account) until the mark is seen. Until
//! then, what it gives back is not spent, what it takes is not held, and what it reports is not dropped.
//!
//! # An example
//!
//! Two execution environments, A and B, serve a tenant with a quota of 100. A response is lost, and B crashes.
//! `update n > m` is the update with the sequence number n that comes after the mark m.
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
//! This module is the protocol alone: it makes [updates](UsageUpdate) and applies their [outcomes](UpdateOutcome) to an
//! [account](Account). `store::quota` sends the updates, and `ledger` holds the accounts of an execution environment.

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

/// The time for which leased units may be spent. What is left of an older lease is given back.
pub const LEASE: Duration = Duration::from_mins(1);
/// The time after which a quota that was found used up is checked again.
const RECHECK: Duration = Duration::from_secs(5);
/// The time for which an execution environment retries its first update of a row. Later updates name the mark that they
/// come after, so they may be retried at any time.
const RETRY: Duration = Duration::from_mins(5);
/// The age at which other execution environments may remove a mark: no update that comes after it can arrive any more.
const SILENT: Duration = RETRY.saturating_add(SIGNATURE_LIFETIME).saturating_add(CLOCK_SKEW);
/// The most marks that one update removes.
const MAX_FORGOTTEN: usize = 4;
/// The units in the first block of an account, which has not seen the row yet. Each block is twice the one before, as long
/// as blocks are used up before they are as old as a [`LEASE`].
const FIRST_BLOCK: u64 = 1;
/// The units in the largest block.
const LARGEST_BLOCK: u64 = 500;
/// A block takes at most this fraction (1/25) of what remains.
const SHARE: u64 = 25;
/// A block takes at most this fraction (1/8) of an equal share, where many execution environments are active. Lambda leaves
/// some of them idle without notice, and the units that they hold are missing elsewhere.
const FAIR_SHARE: u64 = 8;

/// The plan and the quota that an operator set for one tenant. Those that are stored in a month's usage row take precedence
/// over those in the caller's authorizer context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// The plan.
    pub plan: Option<String>,
    /// The tenant's own quota, in requests a month. `None` beside a plan means that the plan's quota applies.
    pub quota: Option<u64>,
}

/// The monthly quota of each plan, in requests. In JSON: an object with a member for each plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Quotas(BTreeMap<String, u64>);

/// A plan without a quota.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the plan `{0}` has no quota")]
pub struct UnknownPlan(String);

impl Quotas {
    /// Returns a tenant's limit, in requests a month: by the terms of the usage row, or else by the plan and the quota of
    /// the caller.
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

/// The parameter `QuotaWhenUnavailable`: whether a request is served while DynamoDB does not respond and no unit is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenUnavailable {
    /// `refuse`: the response is a 503, so that the quota holds.
    Refuse,
    /// `allow`: the request is served, and is counted once DynamoDB responds again. The quota may be exceeded by the number
    /// of such requests.
    Allow,
}

/// The id of an execution environment in the usage rows that it updates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Environment(String);

impl Environment {
    /// Generates an id of 8 letters and digits. It is short, because a row has one for each execution environment that
    /// serves the tenant, and the cost of an update grows with the row's size. Among 62 to the power of 8 ids, no two
    /// execution environments of a row get the same one.
    #[must_use]
    pub fn generate() -> Self {
        Self(Alphanumeric.sample_string(&mut rand::rng(), 8))
    }

    /// Reads an id that is stored in a row.
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

/// The sequence numbers of an execution environment's updates: milliseconds since 1970, but strictly increasing whatever
/// the clock does.
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
