//! The units that an execution environment holds for one tenant in one month, and the usage that it has to report.

use std::iter::Sum;

use super::{
    Environment, FAIR_SHARE, FIRST_BLOCK, LARGEST_BLOCK, LEASE, MAX_FORGOTTEN, RECHECK, RETRY, Row, SHARE, SILENT,
    Sequence, Terms,
};
use super::{Lease, UpdateOutcome, UsageUpdate};
use crate::domain::time::Timestamp;
use crate::domain::usage::Usage;

/// The account of one tenant's month in one execution environment.
///
/// An update is in doubt from when it is made until it is known whether it was applied. Until then no unit is spent, and
/// the only further update is a report. A report can only be rejected because of the mark, so its outcome shows which
/// update was applied. Therefore at most two updates are in doubt at a time.
#[derive(Debug, Clone)]
pub struct Account {
    environment: Environment,
    /// The units that are left to spend.
    units: u64,
    /// The number of requests that were served without a unit and are not in the row yet.
    owed: u64,
    /// The usage that is not in the row yet.
    usage: Usage,
    /// The number of requests in progress.
    open: u32,
    /// The mark of this execution environment in the row, as last seen.
    mark: Option<i64>,
    /// The row's `leased`, as last seen.
    leased: u64,
    /// The row's terms, as last seen.
    terms: Terms,
    /// Execution environments whose marks are old enough to be removed.
    silent: Vec<Environment>,
    /// The number of execution environments that updated the row within the last [`LEASE`].
    active: u64,
    in_doubt: Vec<UsageUpdate>,
    /// The size of the last block.
    block: u64,
    /// The number of consecutive leases that were rejected.
    rejections: u32,
    leased_at: Option<Timestamp>,
    /// The time of the last update that was applied, or else of the account's opening.
    reported_at: Timestamp,
    /// Until then the quota counts as used up without another look at the row.
    used_up_until: Option<Timestamp>,
    /// Whether the row was seen to be closed, which is final.
    closed: bool,
    given_up: Option<Loss>,
}

/// The most that was lost, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loss {
    /// Units that count as used.
    pub units: u64,
    /// Requests that were served without a unit and are not counted in any row.
    pub owed: u64,
    /// Requests whose figures are not in the row.
    pub requests: u64,
}

impl Loss {
    /// Returns the sum of all figures, by which losses are compared.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.units + self.owed + self.requests
    }
}

impl Sum for Loss {
    fn sum<I: Iterator<Item = Self>>(losses: I) -> Self {
        losses.fold(Self::default(), |sum, Self { units, owed, requests }| Self {
            units: sum.units + units,
            owed: sum.owed + owed,
            requests: sum.requests + requests,
        })
    }
}

/// The next step of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The request has a unit and may be served.
    Granted,
    /// The quota is used up.
    UsedUp,
    /// The tenant is being offboarded.
    Closed,
    /// This update has to be sent first.
    Send(UsageUpdate),
}

impl Account {
    /// Opens an account that holds no units.
    #[must_use]
    pub fn open(environment: Environment, now: Timestamp) -> Self {
        Self {
            environment,
            units: 0,
            owed: 0,
            usage: Usage::default(),
            open: 0,
            mark: None,
            leased: 0,
            terms: Terms::default(),
            silent: Vec::new(),
            active: 1,
            in_doubt: Vec::new(),
            block: FIRST_BLOCK,
            rejections: 0,
            leased_at: None,
            reported_at: now,
            used_up_until: None,
            closed: false,
            given_up: None,
        }
    }

    /// Returns the terms of the row, as last seen.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Returns what remains of a limit, as far as this execution environment can see: the units that were not handed out,
    /// and those that it holds.
    #[must_use]
    pub fn remaining(&self, limit: u64) -> u64 {
        limit.saturating_sub(self.leased + self.owed).saturating_add(self.units).min(limit)
    }

    /// Returns the next step of a request, under the limit that the [terms](Self::terms) lead to. After a [`Step::Send`]
    /// the caller reports the outcome and calls this again.
    pub fn spend(&mut self, now: Timestamp, limit: u64, sequence: &Sequence) -> Step {
        if self.closed {
            return if self.is_settled() { Step::Closed } else { Step::Send(self.report(now, sequence)) };
        }
        if self.spendable() > 0 && self.leased_at.is_some_and(|then| now.since(then) < LEASE) {
            self.units -= 1;
            self.open += 1;
            return Step::Granted;
        }
        if !self.in_doubt.is_empty() {
            return Step::Send(self.report(now, sequence));
        }
        if self.used_up_until.is_some_and(|until| now < until) {
            return if self.is_settled() { Step::UsedUp } else { Step::Send(self.report(now, sequence)) };
        }
        Step::Send(self.lease(now, limit, sequence))
    }

    /// Admits a request without a unit, because DynamoDB does not respond.
    pub fn owe(&mut self) {
        self.owed += 1;
        self.open += 1;
    }

    /// Records the usage of a request that had a unit, or owes one, and has ended.
    pub fn record(&mut self, usage: Usage) {
        self.open -= 1;
        self.usage += usage;
    }

    /// Returns the number of units that can be spent before another update.
    #[must_use]
    pub fn spendable(&self) -> u64 {
        if self.in_doubt.is_empty() { self.units } else { 0 }
    }

    /// Returns whether everything is in the row, and no units are held.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.units == 0 && self.owed == 0 && self.usage.is_empty() && self.in_doubt.is_empty()
    }

    /// Returns whether the account can be dropped without a loss.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.is_settled() && self.open == 0
    }

    /// Returns whether something has been unreported for longer than a [`LEASE`].
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        !self.is_settled() && now.since(self.reported_at) >= LEASE
    }

    /// Returns what would be lost if this execution environment crashed. The units include a block that it may have taken.
    #[must_use]
    pub fn at_stake(&self) -> Loss {
        let taken: u64 = self.in_doubt.iter().map(UsageUpdate::take).sum();
        Loss { units: self.units + taken, owed: self.owed, requests: self.usage.requests + u64::from(self.open) }
    }

    /// Returns what was given up since the last call, for the log.
    pub fn take_given_up(&mut self) -> Option<Loss> {
        self.given_up.take()
    }

    /// Makes an update that gives back all units, reports all usage and takes nothing.
    pub fn report(&mut self, now: Timestamp, sequence: &Sequence) -> UsageUpdate {
        // Only the mark that the first update leaves shows that it was applied, and other execution environments remove
        // that mark in the end. After that it cannot be known whether the update was applied. So it then counts as applied,
        // except for the units that it took.
        if self.mark.is_none() {
            self.give_up(now);
        }
        // Repeat the same report: a new one each time would add an update in doubt.
        if let Some(update) = self.in_doubt.last().filter(|update| update.lease.is_none()) {
            return update.clone();
        }
        self.update(None, now, sequence)
    }

    /// Makes an update that gives back what is left, and takes a new block.
    fn lease(&mut self, now: Timestamp, limit: u64, sequence: &Sequence) -> UsageUpdate {
        let room = limit.saturating_sub((self.leased + self.owed).saturating_sub(self.units));
        // A rejected lease lost a race for the units that were seen in the row, so each try takes less. A single unit is
        // rejected only if none is left.
        let share = SHARE.max(FAIR_SHARE * self.active);
        let take = (self.next_block(now).min(room / share) >> (2 * self.rejections.min(8))).max(1);
        let silent_before = now.minus(SILENT).as_millis();
        let lease = Lease { take, limit, terms: self.terms.clone(), forget: self.silent.clone(), silent_before };
        self.update(Some(lease), now, sequence)
    }

    /// Makes an update that reports everything. It is in doubt from now on, because the sender may be stopped at any
    /// moment.
    fn update(&mut self, lease: Option<Lease>, now: Timestamp, sequence: &Sequence) -> UsageUpdate {
        let Self { units, owed, usage, mark, .. } = *self;
        let update = UsageUpdate { sequence: sequence.next(now), after: mark, give: units, owed, usage, lease };
        self.in_doubt.push(update.clone());
        update
    }

    /// Returns the size of the next block: twice the last one if that was used up within a [`LEASE`], and half of it
    /// otherwise.
    fn next_block(&self, now: Timestamp) -> u64 {
        match self.leased_at {
            None => FIRST_BLOCK,
            Some(then) if now.since(then) < LEASE => (self.block * 2).min(LARGEST_BLOCK),
            Some(_) => (self.block / 2).max(FIRST_BLOCK),
        }
    }

    /// Applies the outcome of the update that this account made last.
    pub fn apply_outcome(&mut self, update: &UsageUpdate, outcome: UpdateOutcome, now: Timestamp) {
        match outcome {
            UpdateOutcome::Applied(row) => {
                self.applied(update, now);
                self.observe(row, now);
            }
            UpdateOutcome::AppliedUnseen => {
                self.applied(update, now);
                self.mark = Some(update.sequence);
                self.leased = self.leased.saturating_add_signed(update.change());
            }
            UpdateOutcome::Rejected { row, certain } => {
                let mark = row.marks.get(&self.environment).copied();
                if let Some(applied) = self.in_doubt.iter().find(|update| Some(update.sequence) == mark).cloned() {
                    self.applied(&applied, now);
                } else if mark == update.after {
                    self.rejected(update, &row, certain, now);
                } else {
                    // The mark was removed, or is older than this account. Either way no update can be applied any more
                    // that comes after the mark that this account assumed. If the mark was removed, one may have been
                    // applied.
                    if mark.is_none() {
                        self.give_up(now);
                    }
                    self.in_doubt.clear();
                }
                self.observe(row, now);
            }
        }
    }

    /// Accounts for an update that was applied: its contents are in the row now.
    fn applied(&mut self, update: &UsageUpdate, now: Timestamp) {
        self.units = self.units - update.give + update.take();
        self.owed -= update.owed;
        self.usage -= update.usage;
        self.in_doubt.clear();
        self.reported_at = now;
        if update.lease.is_some() {
            self.block = self.next_block(now);
            self.leased_at = Some(now);
            self.used_up_until = None;
            self.rejections = 0;
        }
    }

    /// Accounts for an update that was rejected.
    fn rejected(&mut self, update: &UsageUpdate, row: &Row, certain: bool, now: Timestamp) {
        let Some(lease) = &update.lease else { return };
        if certain {
            self.in_doubt.retain(|doubtful| doubtful != update);
        }
        self.rejections += 1;
        let before = (row.leased + update.owed).saturating_sub(update.give);
        if row.terms == lease.terms && before >= lease.limit {
            self.used_up_until = Some(now.plus(RECHECK));
        }
    }

    /// Ends the doubt about updates that are so old that other execution environments may have removed the mark that would
    /// show whether they were applied. They count as applied, except for the units that they took, so that nothing is given
    /// back or reported twice.
    fn give_up(&mut self, now: Timestamp) {
        if !self.in_doubt.iter().any(|update| is_outdated(update, now)) {
            return;
        }
        let taken = self.in_doubt.iter().map(UsageUpdate::take).sum::<u64>();
        // The last update includes everything in those before it, and may be the one that was applied.
        let Some(UsageUpdate { give, owed, usage, .. }) = self.in_doubt.pop() else { return };
        self.units -= give;
        self.owed -= owed;
        self.usage -= usage;
        self.in_doubt.clear();
        self.given_up = Some(Loss { units: give + taken, owed, requests: usage.requests });
    }

    /// Takes over what the row contains.
    fn observe(&mut self, row: Row, now: Timestamp) {
        let Row { leased, terms, closed, usage: _, updates: _, marks } = row;
        self.mark = marks.get(&self.environment).copied();
        self.leased = leased;
        self.terms = terms;
        self.closed = closed;
        let lately = now.minus(LEASE).as_millis();
        self.active = marks.values().map(|mark| u64::from(*mark >= lately)).sum();
        let silent =
            marks.into_iter().filter(|(id, mark)| *mark < now.minus(SILENT).as_millis() && *id != self.environment);
        self.silent = silent.map(|(id, _)| id).take(MAX_FORGOTTEN).collect();
    }
}

fn is_outdated(update: &UsageUpdate, now: Timestamp) -> bool {
    now.since(Timestamp::from_millis(update.sequence)) >= RETRY
}
