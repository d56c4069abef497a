//! The environments, the rows and the requests on their way, and what has to hold of them at every moment.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::history::{Action, Fate, History};
use super::{LATE, Weak, apply};
use crate::domain::month::Month;
use crate::domain::offboarding;
use crate::domain::quota::*;
use crate::domain::usage::Usage;

struct Process {
    id: Environment,
    skew: i64,
    sequence: Sequence,
    accounts: BTreeMap<Month, Account>,
    begun: Vec<Month>,
}

/// What is known of a month from outside.
#[derive(Debug, Default)]
struct Figures {
    row: Row,
    /// Requests that had a unit.
    granted: u64,
    /// Requests that were let through without one.
    owed: u64,
    /// The most units, requests owed, and requests to report, that can be lost with those who knew of them.
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
    processes: Vec<Process>,
    on_their_way: Vec<(Timestamp, Month, Environment, UsageUpdate)>,
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
        let (months, on_their_way) = (BTreeMap::new(), Vec::new());
        let terms = Terms::default();
        let (processes, closed_at) = (Vec::new(), None);
        let mut world = Self { now, quotas, terms, closed_at, months, processes, on_their_way, born: 0, weak };
        world.processes = history.skews.iter().map(|skew| world_process(&mut world.born, *skew)).collect();
        world
    }

    fn clock(&self, environment: usize) -> Timestamp {
        Timestamp::from_millis(self.now.as_millis() + self.processes[environment].skew)
    }

    fn limit(&self, terms: &Terms) -> u64 {
        self.quotas.limit(terms, "plan", None).unwrap()
    }

    /// An update arrives at the row.
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
        let id = self.processes[environment].id.clone();
        let late = |world: &mut Self, millis| {
            let due = world.now.plus(Duration::from_millis(millis));
            world.on_their_way.push((due, month, id.clone(), update.clone()));
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
        let account = self.processes[environment].accounts.get_mut(&month).unwrap();
        account.apply_outcome(update, outcome, now);
        let given_up = account.take_given_up();
        self.lose(month, given_up);
        self.check()?;
        Ok(true)
    }

    /// One request, up to the handler. False if it was refused.
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
            let Process { id, accounts, sequence, .. } = &mut self.processes[environment];
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
                            let account = self.processes[environment].accounts.get_mut(&month).unwrap();
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
                        self.processes[*environment].accounts.get_mut(&month).unwrap().record(REQUEST);
                    }
                }
            }
            Action::Begin { environment } => {
                if let Some(month) = self.request(*environment, &mut std::iter::empty(), false)? {
                    self.processes[*environment].begun.push(month);
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
        let Process { begun, accounts, .. } = &mut self.processes[environment];
        if let Some(month) = begun.pop() {
            accounts.get_mut(&month).unwrap().record(REQUEST);
        }
    }

    fn pass(&mut self, millis: u64) -> Verdict {
        self.now = self.now.plus(Duration::from_millis(millis));
        let now = self.now;
        let mut due: Vec<_> = self.on_their_way.extract_if(.., |(due, ..)| *due <= now).collect();
        due.sort_by_key(|(due, ..)| *due);
        for (_, month, environment, update) in due {
            self.arrive(month, &environment, &update)?;
        }
        Ok(())
    }

    fn settle(&mut self, environment: usize, fate: Fate, which: impl Fn(&Account) -> bool) -> Verdict {
        let now = self.clock(environment);
        let months: Vec<Month> = self.processes[environment].accounts.keys().copied().collect();
        for month in months {
            let Process { accounts, sequence, .. } = &mut self.processes[environment];
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

    /// What the environment knew is gone. Another one comes.
    fn crash(&mut self, environment: usize) {
        let skew = self.processes[environment].skew;
        let fresh = world_process(&mut self.born, skew);
        let Process { accounts, .. } = std::mem::replace(&mut self.processes[environment], fresh);
        for (month, account) in accounts {
            self.lose(month, Some(account.at_stake()));
        }
    }

    /// What holds at every moment.
    fn check(&self) -> Verdict {
        for (month, Figures { row, granted, owed, .. }) in &self.months {
            let held = self.processes.iter().filter_map(|process| process.accounts.get(month)).map(Account::spendable);
            let held: u64 = held.sum();
            // What is spent, or can be without a question, was handed out.
            prop_assert!(granted + held <= row.leased, "{granted} granted, {held} held, {} leased", row.leased);
            prop_assert!(row.usage.requests <= granted + owed, "{} reported", row.usage.requests);
        }
        Ok(())
    }

    /// What holds when all is quiet again.
    fn finish(mut self) -> Verdict {
        self.pass(LATE)?;
        for environment in 0..self.processes.len() {
            while !self.processes[environment].begun.is_empty() {
                self.end_request(environment);
            }
            // The first may find that an earlier update was applied, the second tells the rest.
            for _ in 0..3 {
                self.settle(environment, Fate::Delivered, |account| !account.is_settled())?;
            }
            prop_assert!(self.processes[environment].accounts.values().all(Account::is_idle));
        }
        for month in self.months.values() {
            let Figures { row, granted, owed, stranded, forgiven, unreported } = month;
            let served = granted + owed;
            prop_assert!(row.leased <= served + stranded, "{stranded} stranded of {month:?}");
            prop_assert!(row.leased + forgiven >= served, "{month:?}");
            let Usage { requests, units, memory_ms, .. } = row.usage;
            prop_assert!(requests <= served && served <= requests + unreported, "{unreported} unreported of {month:?}");
            // All figures of a report, or none.
            prop_assert_eq!((units.read * 2.0, memory_ms), (units.write, requests * 256));
        }
        if self.closed_at.is_some() { Ok(()) } else { self.use_up() }
    }

    /// The last unit of the quota can be used, and no other.
    fn use_up(mut self) -> Verdict {
        let month = Month::of(self.clock(0));
        let mut refused = 0;
        while refused < 2 {
            if let Some(month) = self.request(0, &mut std::iter::empty(), false)? {
                self.processes[0].accounts.get_mut(&month).unwrap().record(REQUEST);
            } else {
                refused += 1;
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

fn world_process(born: &mut usize, skew: i64) -> Process {
    *born += 1;
    Process {
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
