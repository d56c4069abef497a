//! The update that an execution environment makes to a usage row, and its outcome.

use std::collections::BTreeMap;

use super::{Environment, Terms};
use crate::domain::usage::Usage;

/// One conditional update of the usage row of a tenant's month.
///
/// It is applied if the mark of the execution environment in the row is [`after`](Self::after), and if the conditions of
/// the [lease](Self::lease), where there is one, hold. It then adds [`change`](Self::change) to `leased` and the usage to
/// the row's figures, and leaves its sequence number as the mark.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageUpdate {
    /// The sequence number: greater than that of any earlier update of this execution environment.
    pub sequence: i64,
    /// The mark that it comes after. `None` means that the execution environment has no mark in the row.
    pub after: Option<i64>,
    /// The number of units that it gives back.
    pub give: u64,
    /// The number of requests that were served without a unit, and that it adds to `leased`.
    pub owed: u64,
    /// The usage that it reports: what was not reported before.
    pub usage: Usage,
    /// The units that it takes, if it takes any. An update without a lease can only be rejected because of its mark.
    pub lease: Option<Lease>,
}

/// The part of an update that takes units, with its conditions.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// The number of units.
    pub take: u64,
    /// The limit, which `leased` may not exceed.
    pub limit: u64,
    /// The terms from which the limit was computed. The row must still have them.
    pub terms: Terms,
    /// The execution environments whose marks are removed, provided that none of the marks has been renewed.
    pub forget: Vec<Environment>,
    /// The sequence number below which a mark may be removed.
    pub silent_before: i64,
}

impl UsageUpdate {
    /// Returns the number of units that it takes.
    #[must_use]
    pub fn take(&self) -> u64 {
        self.lease.as_ref().map_or(0, |lease| lease.take)
    }

    /// Returns what it adds to `leased`, which is negative where it gives back more than it takes.
    #[must_use]
    pub fn change(&self) -> i64 {
        signed(self.take()) + signed(self.owed) - signed(self.give)
    }

    /// Returns the greatest `leased` under which the limit is not exceeded after this update, or `None` without a lease. If
    /// it is negative, no row qualifies, not even one that has no `leased` yet.
    #[must_use]
    pub fn ceiling(&self) -> Option<i64> {
        self.lease.as_ref().map(|lease| signed(lease.limit) - self.change())
    }
}

/// The usage row of a tenant's month. A row that does not exist yet is the default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// The units that were handed out, less those that were given back.
    pub leased: u64,
    /// The terms that an operator set, in this month or the one before.
    pub terms: Terms,
    /// Whether no more units may be spent, because the tenant is being offboarded.
    pub closed: bool,
    /// The usage that was reported.
    pub usage: Usage,
    /// The number of [`UsageUpdate`]s that were applied.
    pub updates: u64,
    /// The mark of each execution environment that updated the row lately: the sequence number of its last update.
    pub marks: BTreeMap<Environment, i64>,
}

/// The outcome of an update, as a response of DynamoDB shows it. Without a response the outcome is unknown.
#[derive(Debug, Clone, PartialEq)]
pub enum UpdateOutcome {
    /// The update was applied. This is the row after it.
    Applied(Row),
    /// The update was applied in a transaction with updates of other rows, whose response does not show the rows. Updates
    /// that take units are not sent in this way.
    AppliedUnseen,
    /// The condition of the update does not hold on this row.
    Rejected {
        /// The row as it is.
        row: Row,
        /// Whether no earlier attempt of the update can still arrive. If `false`, one may have been applied, or may still
        /// be.
        certain: bool,
    },
}

/// Converts a count. Quotas are far below the bound.
fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX / 4)
}
