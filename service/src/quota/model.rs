//! The protocol in random histories: environments with clocks that differ, crashes, answers that are lost, tries that
//! arrive late or twice, month ends, limits that an operator changes.
//!
//! [`apply`] is the row's part, as DynamoDB evaluates the condition that `store::usage` writes; a test there holds the
//! two to the same. Each way of [`Weak`]ening it is found to break the histories, so none of its terms is in vain.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

use super::*;
use crate::month::Month;
use crate::usage::Usage;

/// How many histories are tried.
const HISTORIES: u32 = 10_000;
const ENVIRONMENTS: usize = 4;
/// How long a request may be on its way: after that, AWS does not take its signature.
const LATE: u64 = 15 * 60 * 1000;

/// A condition that is not what it has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weak {
    /// The limit is held to before the update, and not after it.
    Ceiling,
    /// Not at all.
    NoCeiling,
    /// An order counts as often as it arrives.
    NoMark,
    /// An order only has to be newer than the last one. This is not enough: an order that was refused, and then made
    /// anew, can still arrive.
    NewerMark,
    /// The terms that the limit comes from may be others by now.
    NoTerms,
    /// Marks are removed on the word of a row that was seen some time ago.
    NoSilence,
}

/// Applies an order if its condition holds.
pub(crate) fn apply(row: &mut Row, environment: &Environment, order: &Order, weak: Option<Weak>) -> bool {
    let mark = row.marks.get(environment).copied();
    let in_turn = match weak {
        Some(Weak::NoMark) => true,
        Some(Weak::NewerMark) => mark.is_none_or(|mark| mark < order.sequence),
        _ => mark == order.after,
    };
    let holds = order.lease.as_ref().is_none_or(|lease| {
        let leased = i64::try_from(row.leased).unwrap();
        let room = match weak {
            Some(Weak::Ceiling) => row.leased <= lease.limit,
            Some(Weak::NoCeiling) => true,
            _ => leased <= order.ceiling().unwrap(),
        };
        let silent = |id| row.marks.get(id).is_none_or(|mark| *mark < lease.silent_before);
        room && (weak == Some(Weak::NoTerms) || row.terms == lease.terms)
            && (weak == Some(Weak::NoSilence) || lease.forget.iter().all(silent))
    });
    if !in_turn || !holds {
        return false;
    }
    // More is given back than was ever handed out only if a condition is weak.
    row.leased = u64::try_from(i64::try_from(row.leased).unwrap() + order.change()).unwrap_or_default();
    row.usage += order.usage;
    row.updates += 1;
    for id in order.lease.iter().flat_map(|lease| &lease.forget) {
        row.marks.remove(id);
    }
    row.marks.insert(environment.clone(), order.sequence);
    true
}

/// What becomes of an order on its way.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Answered,
    AnswerLost,
    Lost,
    /// It arrives after this many milliseconds, and nobody waits for the answer any more.
    Late(u64),
    /// The first try arrives, and its answer is lost; the second is answered.
    Twice,
    /// The first try arrives after this many milliseconds; the second is answered at once.
    Overtaken(u64),
}

#[derive(Debug, Clone)]
enum Action {
    /// A tenant's requests, one after the other. The fates are those of the orders that they lead to, then all is well.
    Requests {
        environment: usize,
        count: u8,
        fates: Vec<Fate>,
        allow: bool,
    },
    /// A request that goes on while other things happen.
    Begin {
        environment: usize,
    },
    End {
        environment: usize,
    },
    Pass {
        millis: u64,
    },
    /// An account that is overdue is settled on the way.
    Settle {
        environment: usize,
        fate: Fate,
    },
    /// The environment is told to end, and another one starts.
    Shutdown {
        environment: usize,
        fate: Fate,
    },
    Crash {
        environment: usize,
    },
    /// An operator changes the quota.
    Limit {
        quota: Option<u64>,
    },
}

#[derive(Debug, Clone)]
struct History {
    plan: u64,
    skews: Vec<i64>,
    actions: Vec<Action>,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => Just(Fate::Answered),
        1 => Just(Fate::AnswerLost),
        1 => Just(Fate::Lost),
        2 => (0..LATE).prop_map(Fate::Late),
        1 => Just(Fate::Twice),
        2 => (0..LATE).prop_map(Fate::Overtaken),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let environment = || 0..ENVIRONMENTS;
    let fates = prop_oneof![3 => Just(Vec::new()), 2 => prop::collection::vec(fate(), 1..4)];
    let millis = prop_oneof![
        4 => 0_u64..10_000,
        3 => 30_000_u64..90_000,
        1 => 280_000_u64..320_000,
        1 => 60_000_u64..1_200_000,
        1 => 1_700_000_u64..2_700_000,
    ];
    prop_oneof![
        10 => (environment(), 1..40_u8, fates, any::<bool>())
            .prop_map(|(environment, count, fates, allow)| Action::Requests { environment, count, fates, allow }),
        1 => environment().prop_map(|environment| Action::Begin { environment }),
        1 => environment().prop_map(|environment| Action::End { environment }),
        6 => millis.prop_map(|millis| Action::Pass { millis }),
        2 => (environment(), fate()).prop_map(|(environment, fate)| Action::Settle { environment, fate }),
        1 => (environment(), fate()).prop_map(|(environment, fate)| Action::Shutdown { environment, fate }),
        1 => environment().prop_map(|environment| Action::Crash { environment }),
        1 => prop::option::of(0_u64..2000).prop_map(|quota| Action::Limit { quota }),
    ]
}

fn history() -> impl Strategy<Value = History> {
    // A difference of 10 minutes at most.
    let skews = prop::collection::vec(-300_000_i64..300_000, ENVIRONMENTS);
    let plan = prop_oneof![1_u64..60, 60_u64..3000];
    let actions = prop::collection::vec(action(), 1..60);
    (plan, skews, actions).prop_map(|(plan, skews, actions)| History { plan, skews, actions })
}

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
    untold: u64,
}

struct World {
    now: Timestamp,
    quotas: Quotas,
    terms: Terms,
    months: BTreeMap<Month, Figures>,
    processes: Vec<Process>,
    on_their_way: Vec<(Timestamp, Month, Environment, Order)>,
    born: usize,
    weak: Option<Weak>,
}

const REQUEST: Usage = Usage {
    requests: 1,
    errors: 0,
    bytes_in: 3,
    bytes_out: 5,
    units: crate::capacity::Units { read: 0.5, write: 1.0 },
    memory_ms: 256,
};

type Verdict = Result<(), TestCaseError>;

impl World {
    fn new(history: &History, weak: Option<Weak>) -> Self {
        // Half an hour before November ends.
        let now = Month::parse("2026-11").unwrap().end().minus(Duration::from_mins(30));
        let quotas = serde_json::from_str(&format!(r#"{{"plan": {}}}"#, history.plan)).unwrap();
        let (months, on_their_way) = (BTreeMap::new(), Vec::new());
        let terms = Terms::default();
        let mut world = Self { now, quotas, terms, months, processes: Vec::new(), on_their_way, born: 0, weak };
        world.processes = history.skews.iter().map(|skew| world_process(&mut world.born, *skew)).collect();
        world
    }

    fn clock(&self, environment: usize) -> Timestamp {
        Timestamp::from_millis(self.now.as_millis() + self.processes[environment].skew)
    }

    fn limit(&self, terms: &Terms) -> u64 {
        self.quotas.limit(terms, "plan", None).unwrap()
    }

    /// An order arrives at the row.
    fn arrive(&mut self, month: Month, environment: &Environment, order: &Order) -> Result<(bool, Row), TestCaseError> {
        let weak = self.weak;
        let row = &mut self.months.entry(month).or_default().row;
        let applied = apply(row, environment, order, weak);
        let row = row.clone();
        if applied && order.take() > 0 {
            let limit = self.limit(&row.terms);
            prop_assert!(row.leased <= limit, "{} leased with a limit of {limit}", row.leased);
        }
        Ok((applied, row))
    }

    fn send(
        &mut self,
        environment: usize,
        month: Month,
        order: &Order,
        fate: Fate,
    ) -> Result<Option<Answer>, TestCaseError> {
        let id = self.processes[environment].id.clone();
        let late = |world: &mut Self, millis| {
            let due = world.now.plus(Duration::from_millis(millis));
            world.on_their_way.push((due, month, id.clone(), order.clone()));
        };
        let mut certain = true;
        match fate {
            Fate::Answered => {}
            Fate::Lost => return Ok(None),
            Fate::AnswerLost => {
                self.arrive(month, &id, order)?;
                return Ok(None);
            }
            Fate::Late(millis) => {
                late(self, millis);
                return Ok(None);
            }
            Fate::Twice => {
                self.arrive(month, &id, order)?;
                certain = false;
            }
            Fate::Overtaken(millis) => {
                late(self, millis);
                certain = false;
            }
        }
        let (applied, row) = self.arrive(month, &id, order)?;
        Ok(Some(if applied { Answer::Applied(row) } else { Answer::Refused { row, certain } }))
    }

    fn tell(&mut self, environment: usize, month: Month, order: &Order, fate: Fate) -> Result<bool, TestCaseError> {
        let Some(answer) = self.send(environment, month, order, fate)? else { return Ok(false) };
        let now = self.clock(environment);
        let account = self.processes[environment].accounts.get_mut(&month).unwrap();
        account.hear(order, answer, now);
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
                    self.months.get_mut(&month).unwrap().granted += 1;
                    self.check()?;
                    return Ok(Some(month));
                }
                Step::Refused => return Ok(None),
                Step::Send(order) => {
                    let fate = fates.next().unwrap_or(Fate::Answered);
                    if !self.tell(environment, month, &order, fate)? {
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
        month.untold += lost.requests;
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
        for (_, month, environment, order) in due {
            self.arrive(month, &environment, &order)?;
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
                let order = account.report(now, sequence);
                let given_up = account.take_given_up();
                self.lose(month, given_up);
                self.tell(environment, month, &order, fate)?;
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
            // The first may find that an earlier order was applied, the second tells the rest.
            for _ in 0..3 {
                self.settle(environment, Fate::Answered, |account| !account.is_settled())?;
            }
            prop_assert!(self.processes[environment].accounts.values().all(Account::is_idle));
        }
        for month in self.months.values() {
            let Figures { row, granted, owed, stranded, forgiven, untold } = month;
            let served = granted + owed;
            prop_assert!(row.leased <= served + stranded, "{stranded} stranded of {month:?}");
            prop_assert!(row.leased + forgiven >= served, "{month:?}");
            let Usage { requests, units, memory_ms, .. } = row.usage;
            prop_assert!(requests <= served && served <= requests + untold, "{untold} untold of {month:?}");
            // All figures of a report, or none.
            prop_assert_eq!((units.read * 2.0, memory_ms), (units.write, requests * 256));
        }
        self.use_up()
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

fn run(history: &History, weak: Option<Weak>) -> Verdict {
    let mut world = World::new(history, weak);
    for action in &history.actions {
        world.act(action)?;
    }
    world.finish()
}

fn try_all(weak: Option<Weak>) -> Result<(), TestError<History>> {
    // Shrinking is for people to read: a weakness need not be read.
    let max_shrink_iters = if weak.is_none() { 2000 } else { 0 };
    let config = Config { cases: HISTORIES, failure_persistence: None, max_shrink_iters, ..Config::default() };
    TestRunner::new(config).run(&history(), |history| run(&history, weak))
}

#[test]
fn no_history_oversells_strands_more_than_was_held_or_counts_twice() {
    if let Err(error) = try_all(None) {
        panic!("{error}");
    }
}

#[test]
fn a_weaker_condition_is_found_out() {
    for weak in [Weak::Ceiling, Weak::NoCeiling, Weak::NoMark, Weak::NewerMark, Weak::NoTerms] {
        assert!(matches!(try_all(Some(weak)), Err(TestError::Fail(..))), "{weak:?} is not found out");
    }
}

/// Too rare to be left to chance: an order is given up, and the report after it was applied.
#[test]
fn an_order_that_is_given_up_takes_the_report_after_it_along() {
    let request = |fates, allow| Action::Requests { environment: 0, count: 1, fates, allow };
    let actions = vec![
        request(vec![Fate::Lost], true),
        Action::Pass { millis: 299_000 },
        request(vec![Fate::AnswerLost], true),
        Action::Pass { millis: 2000 },
        request(vec![], false),
    ];
    run(&History { plan: 100, skews: vec![0; ENVIRONMENTS], actions }, None).unwrap();
}

/// Too rare to be left to chance: somebody sees a mark that is old, and removes it when it is not any more.
#[test]
fn a_mark_is_removed_only_while_it_is_old() {
    let requests = |environment, count| Action::Requests { environment, count, fates: vec![], allow: false };
    let actions = vec![
        requests(0, 1),
        Action::Pass { millis: 31 * 60 * 1000 },
        requests(1, 1),
        Action::Settle { environment: 0, fate: Fate::AnswerLost },
        requests(1, 1),
        Action::Settle { environment: 0, fate: Fate::Answered },
    ];
    // Late enough in the month before, by the clock, for all of it to be in December.
    let history = History { plan: 3000, skews: vec![30 * 60 * 1000; ENVIRONMENTS], actions };
    run(&history, None).unwrap();
    assert!(run(&history, Some(Weak::NoSilence)).is_err());
}
