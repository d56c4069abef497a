//! The execution environments, the rows and the updates in transit, and the invariants that hold for them at every moment.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::history::{Action, Fate, History};
use super::{LATE, Weak, apply};
use crate::domain::month::Month;
use crate::domain::offboarding;
use crate::domain::quota::*;
use crate::domain::usage::Usage;

struct Running {
    id: Environment,
    skew: i64,
    sequence: Sequence,
    accounts: BTreeMap<Month, Account>,
    begun: Vec<Month>,
}

/// The figures of a month, as an observer of the whole world counts them.
#[derive(Debug, Default)]
struct Figures {
    row: Row,
    /// The number of requests that had a unit.
    granted: u64,
    /// The number of requests that were served without one.
    owed: u64,
    /// The most units, owed requests (`forgiven`) and unreported requests that can have been lost, by crashes and by doubts
    /// that were given up.
    stranded: u64,
    forgiven: u64,
    unreported: u64,
}

struct World {
    now: Timestamp,
    quotas: Quotas,
    terms: Terms,
    closed_at: Option<Timestamp>,
    months: BTreeMap<Month, Figures>,
    environments: Vec<Running>,
    in_transit: Vec<(Timestamp, Month, Environment, UsageUpdate)>,
    born: usize,
    weak: Option<Weak>,
}

const REQUEST: Usage = Usage {
    requests: 1,
    errors: 0,
    bytes_in: 3,
    bytes_out: 5,
    units: crate::domain::units::Units { read: 0.5, write: 1.0 },
    memory_ms: 256,
};

pub(super) type Verdict = Result<(), TestCaseError>;

impl World {
    fn new(history: &History, weak: Option<Weak>) -> Self {
        // Half an hour before November ends.
        let now = Month::parse("2026-11").unwrap().end().minus(Duration::from_mins(30));
        let quotas = serde_json::from_str(&format!(r#"{{"plan": {}}}"#, history.plan)).unwrap();
        let (months, in_transit) = (BTreeMap::new(), Vec::new());
        let terms = Terms::default();
        let (environments, closed_at) = (Vec::new(), None);
        let mut world = Self { now, quotas, terms, closed_at, months, environments, in_transit, born: 0, weak };
        world.environments = history.skews.iter().map(|skew| start(&mut world.born, *skew)).collect();
        world
    }

    fn clock(&self, environment: usize) -> Timestamp {
        Timestamp::from_millis(self.now.as_millis() + self.environments[environment].skew)
    }

    fn limit(&self, terms: &Terms) -> u64 {
        self.quotas.limit(terms, "plan", None).unwrap()
    }

    /// Has an update arrive at the row. Returns whether it was applied, and the row after it.
    fn arrive(
        &mut self,
        month: Month,
        environment: &Environment,
        update: &UsageUpdate,
    ) -> Result<(bool, Row), TestCaseError> {
        let weak = self.weak;
        let row = &mut self.months.entry(month).or_default().row;
        let applied = apply(row, environment, update, weak);
        let row = row.clone();
        if applied && update.take() > 0 {
            let limit = self.limit(&row.terms);
            prop_assert!(row.leased <= limit, "{} leased with a limit of {limit}", row.leased);
        }
        Ok((applied, row))
    }

    fn send(
        &mut self,
        environment: usize,
        month: Month,
        update: &UsageUpdate,
        fate: Fate,
    ) -> Result<Option<UpdateOutcome>, TestCaseError> {
        let id = self.environments[environment].id.clone();
        let late = |world: &mut Self, millis| {
            let due = world.now.plus(Duration::from_millis(millis));
            world.in_transit.push((due, month, id.clone(), update.clone()));
        };
        let mut certain = true;
        match fate {
            Fate::Delivered | Fate::Unseen => {}
            Fate::Lost => return Ok(None),
            Fate::ResponseLost => {
                self.arrive(month, &id, update)?;
                return Ok(None);
            }
            Fate::Late(millis) => {
                late(self, millis);
                return Ok(None);
            }
            Fate::Twice => {
                self.arrive(month, &id, update)?;
                certain = false;
            }
            Fate::Overtaken(millis) => {
                late(self, millis);
                certain = false;
            }
        }
        let unseen = matches!(fate, Fate::Unseen) && update.lease.is_none();
        let (applied, row) = self.arrive(month, &id, update)?;
        Ok(Some(match applied {
            true if unseen => UpdateOutcome::AppliedUnseen,
            true => UpdateOutcome::Applied(row),
            false => UpdateOutcome::Rejected { row, certain },
        }))
    }

    fn deliver(
        &mut self,
        environment: usize,
        month: Month,
        update: &UsageUpdate,
        fate: Fate,
    ) -> Result<bool, TestCaseError> {
        let Some(outcome) = self.send(environment, month, update, fate)? else { return Ok(false) };
        let now = self.clock(environment);
        let account = self.environments[environment].accounts.get_mut(&month).unwrap();
        account.apply_outcome(update, outcome, now);
        let given_up = account.take_given_up();
        self.lose(month, given_up);
        self.check()?;
        Ok(true)
    }

    /// Makes one request, up to the handler. Returns the month whose unit it spent or owes, or `None` if it was rejected.
    fn request(
        &mut self,
        environment: usize,
        fates: &mut impl Iterator<Item = Fate>,
        allow: bool,
    ) -> Result<Option<Month>, TestCaseError> {
        let now = self.clock(environment);
        let month = Month::of(now);
        self.months.entry(month).or_default();
        for _ in 0..6 {
            let Running { id, accounts, sequence, .. } = &mut self.environments[environment];
            let account = accounts.entry(month).or_insert_with(|| Account::open(id.clone(), now));
            let limit = self.quotas.limit(account.terms(), "plan", None).unwrap();
            let step = account.spend(now, limit, sequence);
            let given_up = account.take_given_up();
            self.lose(month, given_up);
            match step {
                Step::Granted => {
                    let late = self.closed_at.map(|then| self.now.since(then)).filter(|late| *late >= LEASE);
                    prop_assert!(late.is_none(), "a unit is spent {late:?} after the closing");
                    self.months.get_mut(&month).unwrap().granted += 1;
                    self.check()?;
                    return Ok(Some(month));
                }
                Step::UsedUp | Step::Closed => return Ok(None),
                Step::Send(update) => {
                    let fate = fates.next().unwrap_or(Fate::Delivered);
                    if !self.deliver(environment, month, &update, fate)? {
                        if allow {
                            let account = self.environments[environment].accounts.get_mut(&month).unwrap();
                            account.owe();
                            self.months.get_mut(&month).unwrap().owed += 1;
                        }
                        return Ok(allow.then_some(month));
                    }
                }
            }
        }
        Ok(None)
    }

    fn lose(&mut self, month: Month, lost: Option<Loss>) {
        let Some(lost) = lost else { return };
        let month = self.months.get_mut(&month).unwrap();
        month.stranded += lost.units;
        month.forgiven += lost.owed;
        month.unreported += lost.requests;
    }

    fn act(&mut self, action: &Action) -> Verdict {
        match action {
            Action::Requests { environment, count, fates, allow } => {
                let mut fates = fates.iter().copied();
                for _ in 0..*count {
                    if let Some(month) = self.request(*environment, &mut fates, *allow)? {
                        self.environments[*environment].accounts.get_mut(&month).unwrap().record(REQUEST);
                    }
                }
            }
            Action::Begin { environment } => {
                if let Some(month) = self.request(*environment, &mut std::iter::empty(), false)? {
                    self.environments[*environment].begun.push(month);
                }
            }
            Action::End { environment } => self.end_request(*environment),
            Action::Pass { millis } => self.pass(*millis)?,
            Action::Settle { environment, fate } => {
                let now = self.clock(*environment);
                let overdue = |account: &Account| account.is_overdue(now);
                self.settle(*environment, *fate, overdue)?;
            }
            Action::Shutdown { environment, fate } => {
                self.settle(*environment, *fate, |account| !account.is_settled())?;
                self.crash(*environment);
            }
            Action::Crash { environment } => self.crash(*environment),
            Action::Close { environment } => {
                for month in offboarding::months(self.clock(*environment)) {
                    self.months.entry(month).or_default().row.closed = true;
                }
                self.closed_at.get_or_insert(self.now);
            }
            Action::Limit { quota } => {
                self.terms = Terms { plan: Some("plan".to_owned()), quota: *quota };
                let month = Month::of(self.now);
                for month in [month, month.next()] {
                    self.months.entry(month).or_default().row.terms = self.terms.clone();
                }
            }
        }
        self.check()
    }

    fn end_request(&mut self, environment: usize) {
        let Running { begun, accounts, .. } = &mut self.environments[environment];
        if let Some(month) = begun.pop() {
            accounts.get_mut(&month).unwrap().record(REQUEST);
        }
    }

    fn pass(&mut self, millis: u64) -> Verdict {
        self.now = self.now.plus(Duration::from_millis(millis));
        let now = self.now;
        let mut due: Vec<_> = self.in_transit.extract_if(.., |(due, ..)| *due <= now).collect();
        due.sort_by_key(|(due, ..)| *due);
        for (_, month, environment, update) in due {
            self.arrive(month, &environment, &update)?;
        }
        Ok(())
    }

    fn settle(&mut self, environment: usize, fate: Fate, which: impl Fn(&Account) -> bool) -> Verdict {
        let now = self.clock(environment);
        let months: Vec<Month> = self.environments[environment].accounts.keys().copied().collect();
        for month in months {
            let Running { accounts, sequence, .. } = &mut self.environments[environment];
            let account = accounts.get_mut(&month).unwrap();
            if which(account) {
                let update = account.report(now, sequence);
                let given_up = account.take_given_up();
                self.lose(month, given_up);
                self.deliver(environment, month, &update, fate)?;
            }
        }
        Ok(())
    }

    /// Ends an execution environment with everything that it holds in memory, and starts another one.
    fn crash(&mut self, environment: usize) {
        let skew = self.environments[environment].skew;
        let fresh = start(&mut self.born, skew);
        let Running { accounts, .. } = std::mem::replace(&mut self.environments[environment], fresh);
        for (month, account) in accounts {
            self.lose(month, Some(account.at_stake()));
        }
    }

    /// Checks the invariants that hold at every moment.
    fn check(&self) -> Verdict {
        for (month, Figures { row, granted, owed, .. }) in &self.months {
            let held =
                self.environments.iter().filter_map(|running| running.accounts.get(month)).map(Account::spendable);
            let held: u64 = held.sum();
            // Units that are spent, or can be spent without another update, were handed out.
            prop_assert!(granted + held <= row.leased, "{granted} granted, {held} held, {} leased", row.leased);
            prop_assert!(row.usage.requests <= granted + owed, "{} reported", row.usage.requests);
        }
        Ok(())
    }

    /// Checks what holds after all requests have ended and all updates have arrived.
    fn finish(mut self) -> Verdict {
        self.pass(LATE)?;
        for environment in 0..self.environments.len() {
            while !self.environments[environment].begun.is_empty() {
                self.end_request(environment);
            }
            // The first report may only reveal that an earlier update was applied. Those after it report the rest.
            for _ in 0..3 {
                self.settle(environment, Fate::Delivered, |account| !account.is_settled())?;
            }
            prop_assert!(self.environments[environment].accounts.values().all(Account::is_idle));
        }
        for month in self.months.values() {
            let Figures { row, granted, owed, stranded, forgiven, unreported } = month;
            let served = granted + owed;
            prop_assert!(row.leased <= served + stranded, "{stranded} stranded of {month:?}");
            prop_assert!(row.leased + forgiven >= served, "{month:?}");
            let Usage { requests, units, memory_ms, .. } = row.usage;
            prop_assert!(requests <= served && served <= requests + unreported, "{unreported} unreported of {month:?}");
            // Either all figures of a report are added, or none.
            prop_assert_eq!((units.read * 2.0, memory_ms), (units.write, requests * 256));
        }
        if self.closed_at.is_some() { Ok(()) } else { self.use_up() }
    }

    /// Checks that the last unit of the quota can be used.
    fn use_up(mut self) -> Verdict {
        let month = Month::of(self.clock(0));
        let mut used_up = 0;
        while used_up < 2 {
            if let Some(month) = self.request(0, &mut std::iter::empty(), false)? {
                self.environments[0].accounts.get_mut(&month).unwrap().record(REQUEST);
            } else {
                used_up += 1;
                self.pass(5000)?;
            }
            if Month::of(self.clock(0)) != month {
                return Ok(());
            }
        }
        let row = &self.months[&month].row;
        let limit = self.limit(&row.terms);
        prop_assert!(row.leased >= limit, "{} leased with a limit of {limit}", row.leased);
        Ok(())
    }
}

/// Starts an execution environment.
fn start(born: &mut usize, skew: i64) -> Running {
    *born += 1;
    Running {
        id: Environment::stored(&format!("env{born}")),
        skew,
        sequence: Sequence::default(),
        accounts: BTreeMap::new(),
        begun: Vec::new(),
    }
}

pub(super) fn run(history: &History, weak: Option<Weak>) -> Verdict {
    let mut world = World::new(history, weak);
    for action in &history.actions {
        world.act(action)?;
    }
    world.finish()
}
