//! What an environment asks of a month's row, and what it hears.

use std::collections::BTreeMap;

use super::{Environment, Terms};
use crate::domain::usage::Usage;

/// One conditional update of a month's row.
///
/// It is applied if the environment's mark in the row is [`after`](Self::after), and if the [lease](Self::lease), where
/// it has one, holds. It then adds [`change`](Self::change) to `leased` and the usage to the figures, and leaves its
/// sequence number as the environment's mark.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageUpdate {
    /// Its number: greater than any before it of this environment.
    pub sequence: i64,
    /// The mark that it comes after; `None`: there is none.
    pub after: Option<i64>,
    /// The units that it gives back.
    pub give: u64,
    /// Requests that were served without a unit.
    pub owed: u64,
    /// What it reports.
    pub usage: Usage,
    /// The units that it takes, if it takes any. An update without can fail by its mark only.
    pub lease: Option<Lease>,
}

/// The part of an update that takes units, and under which conditions.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// How many.
    pub take: u64,
    /// The limit, which `leased` may not pass.
    pub limit: u64,
    /// The terms that the limit comes from: those that the row has to have.
    pub terms: Terms,
    /// Environments whose marks are removed, if they are still as old as they look.
    pub forget: Vec<Environment>,
    /// Marks below this are old.
    pub silent_before: i64,
}

impl UsageUpdate {
    /// The units that it takes.
    #[must_use]
    pub fn take(&self) -> u64 {
        self.lease.as_ref().map_or(0, |lease| lease.take)
    }

    /// What it adds to `leased`.
    #[must_use]
    pub fn change(&self) -> i64 {
        signed(self.take()) + signed(self.owed) - signed(self.give)
    }

    /// The most that may be leased before a lease is applied, so that the limit is not passed after it. Below zero, not
    /// even a row that says nothing of leases will do.
    #[must_use]
    pub fn ceiling(&self) -> Option<i64> {
        self.lease.as_ref().map(|lease| signed(lease.limit) - self.change())
    }
}

/// A month's row, as far as it is there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// The units that were handed out, less those that came back.
    pub leased: u64,
    /// What an operator said this month or last.
    pub terms: Terms,
    /// Whether no units are spent any more, because the tenant is being offboarded.
    pub closed: bool,
    /// What was reported.
    pub usage: Usage,
    /// How often it was updated by updates.
    pub updates: u64,
    /// The last sequence number of each environment that was heard of lately.
    pub marks: BTreeMap<Environment, i64>,
}

/// What became of an update. Without a response it is unknown.
#[derive(Debug, Clone, PartialEq)]
pub enum UpdateOutcome {
    /// It is applied; this is the row after it.
    Applied(Row),
    /// It is applied, together with updates for other rows, so nothing was shown of the row. Updates that take units are not
    /// sent in this way.
    AppliedUnseen,
    /// Its condition does not hold on this row.
    Rejected {
        /// The row as it is.
        row: Row,
        /// The update was sent once, so no earlier try of it is still on its way.
        certain: bool,
    },
}

/// Quotas are far below.
fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX / 4)
}
