//! What an environment holds of one tenant's month.

use std::iter::Sum;

use super::{
    Environment, FAIR_SHARE, FIRST_BLOCK, FORGOTTEN, LARGEST_BLOCK, LEASE, PAUSE, RESEND, Row, SHARE, SILENT, Sequence,
    Terms,
};
use super::{Lease, UpdateOutcome, UsageUpdate};
use crate::domain::time::Timestamp;
use crate::domain::usage::Usage;

/// An environment's account of a tenant's month.
///
/// An update is in doubt from when it is made until it is known whether it was applied. Until then no unit is spent, and
/// only a report is made, which can fail by the environment's mark alone and so tells what was applied. So at most two
/// updates are in doubt at a time.
#[derive(Debug, Clone)]
pub struct Account {
    environment: Environment,
    /// Units to spend.
    units: u64,
    /// Requests that were served without a unit and are not yet in the row.
    owed: u64,
    /// What is not yet in the row.
    usage: Usage,
    /// Requests that are under way.
    open: u32,
    /// The mark in the row.
    mark: Option<i64>,
    /// What the row said last.
    leased: u64,
    terms: Terms,
    silent: Vec<Environment>,
    /// How many environments have updated it within the time of a lease.
    active: u64,
    in_doubt: Vec<UsageUpdate>,
    block: u64,
    /// How often in a row a block was refused.
    rejections: u32,
    leased_at: Option<Timestamp>,
    /// When the row was last told everything, or the account was opened.
    reported_at: Timestamp,
    full_until: Option<Timestamp>,
    /// The row said that it is closed, which is final.
    closed: bool,
    given_up: Option<Loss>,
}

/// What was lost at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loss {
    /// Units that count as used.
    pub units: u64,
    /// Requests that were served without a unit, and count nowhere.
    pub owed: u64,
    /// Requests whose figures are not in the row.
    pub requests: u64,
}

impl Loss {
    /// How much it is, to compare one with another.
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

/// What comes next for a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// It has a unit.
    Granted,
    /// The quota is used up.
    UsedUp,
    /// The tenant is being offboarded.
    Closed,
    /// The row has to be asked first.
    Send(UsageUpdate),
}

impl Account {
    /// An account without anything.
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
            full_until: None,
            closed: false,
            given_up: None,
        }
    }

    /// The terms of the row, as last seen.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// What remains of a limit, as far as can be seen from here: what is not handed out, and what is held here.
    #[must_use]
    pub fn remaining(&self, limit: u64) -> u64 {
        limit.saturating_sub(self.leased + self.owed).saturating_add(self.units).min(limit)
    }

    /// What to do for a request, under the limit that the [terms](Self::terms) lead to. Ask again after each outcome.
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
        if self.full_until.is_some_and(|until| now < until) {
            return if self.is_settled() { Step::UsedUp } else { Step::Send(self.report(now, sequence)) };
        }
        Step::Send(self.lease(now, limit, sequence))
    }

    /// Lets a request through without a unit, because nobody can be asked for one.
    pub fn owe(&mut self) {
        self.owed += 1;
        self.open += 1;
    }

    /// A request that had a unit, or owed one, is done.
    pub fn record(&mut self, usage: Usage) {
        self.open -= 1;
        self.usage += usage;
    }

    /// Units that can be spent before the row is asked again.
    #[must_use]
    pub fn spendable(&self) -> u64 {
        if self.in_doubt.is_empty() { self.units } else { 0 }
    }

    /// Whether the row knows everything, and nothing is held.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.units == 0 && self.owed == 0 && self.usage.is_empty() && self.in_doubt.is_empty()
    }

    /// Whether nobody would miss the account.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.is_settled() && self.open == 0
    }

    /// Whether something was not told to the row for the time of a lease.
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        !self.is_settled() && now.since(self.reported_at) >= LEASE
    }

    /// What would be lost with this environment: of units those that it holds, and a block that it may have taken.
    #[must_use]
    pub fn at_stake(&self) -> Loss {
        let taken: u64 = self.in_doubt.iter().map(UsageUpdate::take).sum();
        Loss { units: self.units + taken, owed: self.owed, requests: self.usage.requests + u64::from(self.open) }
    }

    /// What was given up since the last call of this, for the log.
    pub fn take_given_up(&mut self) -> Option<Loss> {
        self.given_up.take()
    }

    /// An update that gives everything back, tells everything and takes nothing.
    pub fn report(&mut self, now: Timestamp, sequence: &Sequence) -> UsageUpdate {
        // The first update of an environment is told from a repeat by the mark that it leaves, which others remove in the
        // end. Whether it was applied can then not be known: it counts as applied, but for what it took.
        if self.mark.is_none() {
            self.give_up(now);
        }
        // The very same again: a new one each time would be one more to be in doubt of.
        if let Some(update) = self.in_doubt.last().filter(|update| update.lease.is_none()) {
            return update.clone();
        }
        self.update(None, now, sequence)
    }

    /// An update that gives back what is left, and takes a new block.
    fn lease(&mut self, now: Timestamp, limit: u64, sequence: &Sequence) -> UsageUpdate {
        let room = limit.saturating_sub((self.leased + self.owed).saturating_sub(self.units));
        // Others take what was seen to be there: ask for less each time. A single unit is only refused if there is none.
        let share = SHARE.max(FAIR_SHARE * self.active);
        let take = (self.next_block(now).min(room / share) >> (2 * self.rejections.min(8))).max(1);
        let silent_before = now.minus(SILENT).as_millis();
        let lease = Lease { take, limit, terms: self.terms.clone(), forget: self.silent.clone(), silent_before };
        self.update(Some(lease), now, sequence)
    }

    /// An update that says everything. It is in doubt from now on: who sends it may be stopped at any moment.
    fn update(&mut self, lease: Option<Lease>, now: Timestamp, sequence: &Sequence) -> UsageUpdate {
        let Self { units, owed, usage, mark, .. } = *self;
        let update = UsageUpdate { sequence: sequence.next(now), after: mark, give: units, owed, usage, lease };
        self.in_doubt.push(update.clone());
        update
    }

    /// Twice the last block, if that was used up young; half of it, if it got old.
    fn next_block(&self, now: Timestamp) -> u64 {
        match self.leased_at {
            None => FIRST_BLOCK,
            Some(then) if now.since(then) < LEASE => (self.block * 2).min(LARGEST_BLOCK),
            Some(_) => (self.block / 2).max(FIRST_BLOCK),
        }
    }

    /// Learns what became of the update that this account has made last.
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
                    // The mark is gone, or is of before this account was opened. Either way nothing can be applied any
                    // more that comes after the mark that was believed in; and if the mark is gone, it may have been.
                    if mark.is_none() {
                        self.give_up(now);
                    }
                    self.in_doubt.clear();
                }
                self.observe(row, now);
            }
        }
    }

    /// An update was applied: what it says is now in the row.
    fn applied(&mut self, update: &UsageUpdate, now: Timestamp) {
        self.units = self.units - update.give + update.take();
        self.owed -= update.owed;
        self.usage -= update.usage;
        self.in_doubt.clear();
        self.reported_at = now;
        if update.lease.is_some() {
            self.block = self.next_block(now);
            self.leased_at = Some(now);
            self.full_until = None;
            self.rejections = 0;
        }
    }

    /// An update was not applied.
    fn rejected(&mut self, update: &UsageUpdate, row: &Row, certain: bool, now: Timestamp) {
        let Some(lease) = &update.lease else { return };
        if certain {
            self.in_doubt.retain(|doubtful| doubtful != update);
        }
        self.rejections += 1;
        let before = (row.leased + update.owed).saturating_sub(update.give);
        if row.terms == lease.terms && before >= lease.limit {
            self.full_until = Some(now.plus(PAUSE));
        }
    }

    /// Ends the doubt of updates that are so old that others may have removed the mark that would tell. They count as
    /// applied, but for what they took: so nothing is given back, and nothing is reported, twice.
    fn give_up(&mut self, now: Timestamp) {
        if !self.in_doubt.iter().any(|update| is_outdated(update, now)) {
            return;
        }
        let taken = self.in_doubt.iter().map(UsageUpdate::take).sum::<u64>();
        // The last says all that those before it say, and may be the one that was applied.
        let Some(UsageUpdate { give, owed, usage, .. }) = self.in_doubt.pop() else { return };
        self.units -= give;
        self.owed -= owed;
        self.usage -= usage;
        self.in_doubt.clear();
        self.given_up = Some(Loss { units: give + taken, owed, requests: usage.requests });
    }

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
        self.silent = silent.map(|(id, _)| id).take(FORGOTTEN).collect();
    }
}

fn is_outdated(update: &UsageUpdate, now: Timestamp) -> bool {
    now.since(Timestamp::from_millis(update.sequence)) >= RESEND
}
