//! The tenant's items, its usage, and what is on its way to them; and what has to hold of them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::history::{Action, Fate, History, Item};
use super::{ENVIRONMENTS, Weak};
use crate::domain::offboarding::*;
use crate::domain::quota::WhenUnavailable;
use crate::domain::quota::{Account, Environment, Row, Sequence, Step, UpdateOutcome, UsageUpdate, model};
use crate::domain::usage::Usage;

/// How many items a part of a look removes.
const BATCH: usize = 2;
/// After how many parts of a look its progress is written.
const PARTS: usize = 3;
const LIMIT: u64 = 1_000_000;

struct Process {
    id: Environment,
    sequence: Sequence,
    accounts: BTreeMap<Month, Account>,
    /// The collections that it knows to have a row.
    known: BTreeSet<u8>,
}

/// A request to the table that is under way.
struct Sent {
    arrives_at: Timestamp,
    item: Item,
    /// Whether a client is told as soon as it arrives.
    confirmed: bool,
}

struct World {
    now: Timestamp,
    skews: Vec<i64>,
    weak: Option<Weak>,
    when_unavailable: WhenUnavailable,
    rows: BTreeMap<Month, Row>,
    items: BTreeSet<Item>,
    sent: Vec<Sent>,
    processes: Vec<Process>,
    born: usize,
    /// As the tenant's row has it.
    offboarding: Option<Offboarding>,
    is_offboarded: bool,
    /// When the tenant was offboarded, and when the first item was removed, by a clock that is right.
    asked_at: Option<Timestamp>,
    removed_at: Option<Timestamp>,
}

/// What a part of a look did.
enum Purged {
    Removed,
    Emptied(String),
    Nothing,
}

type Verdict = Result<(), TestCaseError>;

impl World {
    fn process(&mut self) -> Process {
        self.born += 1;
        let id = Environment::stored(&format!("env{}", self.born));
        Process { id, sequence: Sequence::default(), accounts: BTreeMap::new(), known: BTreeSet::new() }
    }

    /// What one of the clocks says: those of environments come first.
    fn clock(&self, of: usize) -> Timestamp {
        Timestamp::from_millis(self.now.as_millis() + self.skews[of])
    }

    /// When a request arrives that an environment sends after this time, if it does.
    fn arrival(&self, environment: usize, after: Duration, fate: Fate) -> Option<Timestamp> {
        let sent_at = self.now.plus(after);
        let valid = i64::try_from(SIGNATURE_LIFETIME.as_millis()).unwrap() + self.skews[environment];
        match fate {
            Fate::Delivered | Fate::ResponseLost => Some(sent_at),
            Fate::Lost => None,
            Fate::Late(part) => Some(Timestamp::from_millis(sent_at.as_millis() + valid * i64::from(part) / 256)),
        }
    }

    /// Has an environment's account send an update. Returns whether there was a response.
    fn update(&mut self, environment: usize, month: Month, update: &UsageUpdate, fate: Fate) -> bool {
        // Late updates are the matter of the quota's own model.
        if matches!(fate, Fate::Lost | Fate::Late(_)) {
            return false;
        }
        let now = self.clock(environment);
        let Process { id, accounts, .. } = &mut self.processes[environment];
        let row = self.rows.entry(month).or_default();
        let applied = model::apply(row, id, update, None);
        let row = row.clone();
        if matches!(fate, Fate::ResponseLost) {
            return false;
        }
        let outcome =
            if applied { UpdateOutcome::Applied(row) } else { UpdateOutcome::Rejected { row, certain: true } };
        accounts.get_mut(&month).unwrap().apply_outcome(update, outcome, now);
        true
    }

    /// Whether a request is admitted, as by the ledger.
    fn admit(&mut self, environment: usize, fates: &[Fate]) -> bool {
        // API Gateway lets the tenant in for as long as can be. Where every request needs a unit, that does not matter.
        let lets_in = self.asked_at.is_none_or(|then| self.now.since(then) < tenant::STALE + AUTHORIZER_TTL);
        if self.when_unavailable == WhenUnavailable::Allow && !lets_in {
            return false;
        }
        let now = self.clock(environment);
        let month = Month::of(now);
        let mut fates = fates.iter().copied();
        for _ in 0..6 {
            let Process { id, accounts, sequence, .. } = &mut self.processes[environment];
            let account = accounts.entry(month).or_insert_with(|| Account::open(id.clone(), now));
            match account.spend(now, LIMIT, sequence) {
                Step::Granted => {
                    account.record(Usage::default());
                    return true;
                }
                Step::UsedUp | Step::Closed => return false,
                Step::Send(update) => {
                    let fate = fates.next().unwrap_or(Fate::Delivered);
                    if !self.update(environment, month, &update, fate) {
                        return self.when_unavailable == WhenUnavailable::Allow;
                    }
                }
            }
        }
        false
    }

    fn request(&mut self, environment: usize, item: Item, updates: &[Fate], working: u64, write: Fate) {
        if !self.admit(environment, updates) {
            return;
        }
        let mut after = Duration::from_millis(working);
        if let Item::Record(collection, _) = item
            && !self.processes[environment].known.contains(&collection)
        {
            // The row first. The record is not sent before the row is known to be there.
            self.send(environment, after, Item::Row(collection), write, false);
            if !matches!(write, Fate::Delivered) {
                return;
            }
            self.processes[environment].known.insert(collection);
            after *= 2;
        }
        self.send(environment, after, item, write, true);
    }

    fn send(&mut self, environment: usize, after: Duration, item: Item, fate: Fate, confirms: bool) {
        assert!(after <= FUNCTION_TIMEOUT);
        let Some(arrives_at) = self.arrival(environment, after, fate) else { return };
        self.sent.push(Sent { arrives_at, item, confirmed: confirms && matches!(fate, Fate::Delivered) });
    }

    fn pass(&mut self, time: Duration) -> Verdict {
        self.now = self.now.plus(time);
        let now = self.now;
        let mut due: Vec<_> = self.sent.extract_if(.., |sent| sent.arrives_at <= now).collect();
        due.sort_by_key(|sent| sent.arrives_at);
        for Sent { arrives_at, item, confirmed } in due {
            prop_assert!(!self.is_offboarded, "{item:?} arrives after the end");
            let removing = self.removed_at.is_some_and(|then| then <= arrives_at);
            prop_assert!(!confirmed || !removing, "{item:?} is confirmed while items are removed");
            self.items.insert(item);
        }
        Ok(())
    }

    /// An operator offboards the tenant, by the clock of a sweeper.
    fn offboard(&mut self) {
        let now = self.clock(ENVIRONMENTS);
        for month in months(now) {
            if self.weak != Some(Weak::Closing) && (self.weak != Some(Weak::Months) || month == Month::of(now)) {
                self.rows.entry(month).or_default().closed = true;
            }
        }
        self.offboarding = Some(Offboarding::begin(now));
        self.asked_at = Some(self.now);
    }

    fn ready_at(&self, offboarding: &Offboarding) -> Timestamp {
        match (self.weak, offboarding.looked_at) {
            // What is enough where every request needs a unit.
            (Some(Weak::Drain), None) if self.when_unavailable == WhenUnavailable::Allow => {
                offboarding.ready_at(drain(WhenUnavailable::Refuse))
            }
            (Some(Weak::Drain), None) => offboarding.closed_at,
            (Some(Weak::Apart), Some(then)) => then,
            _ => offboarding.ready_at(drain(self.when_unavailable)),
        }
    }

    /// As the function `tenants` does it.
    fn sweep(&mut self, sweeper: usize, dies_after: Option<u8>) {
        let Some(mut offboarding) = self.offboarding.clone().filter(|_| !self.is_offboarded) else { return };
        let mut parts = 0;
        loop {
            let now = self.clock(ENVIRONMENTS + sweeper);
            if now < self.ready_at(&offboarding) {
                self.offboarding = Some(offboarding);
                return;
            }
            loop {
                if dies_after.map(usize::from) == Some(parts) {
                    return;
                }
                parts += 1;
                match self.purge(offboarding.look.after.as_deref()) {
                    Purged::Removed => offboarding.look.found = true,
                    Purged::Emptied(collection) => offboarding.look.after = Some(collection),
                    Purged::Nothing => break,
                }
                if parts.is_multiple_of(PARTS) {
                    self.offboarding = Some(offboarding.clone());
                }
            }
            if offboarding.end_look(now) || self.weak == Some(Weak::SecondLook) {
                self.items.retain(|item| !matches!(item, Item::Row(_)));
                self.is_offboarded = true;
                return;
            }
        }
    }

    /// As `store::tenants::purge` does it.
    fn purge(&mut self, after: Option<&str>) -> Purged {
        let some = |items: &BTreeSet<Item>, which: &dyn Fn(&Item) -> bool| -> Vec<Item> {
            items.iter().copied().filter(which).take(BATCH).collect()
        };
        let tokens = some(&self.items, &|item| matches!(item, Item::Token(_)));
        if !tokens.is_empty() {
            return self.remove(tokens);
        }
        let after = after.map(|after| after.parse::<u8>().unwrap());
        let next = self.items.iter().find_map(|item| match item {
            Item::Row(collection) => Some(*collection).filter(|collection| Some(*collection) > after),
            _ => None,
        });
        let Some(collection) = next else {
            let replies = some(&self.items, &|item| matches!(item, Item::StoredReply(_)));
            return if replies.is_empty() { Purged::Nothing } else { self.remove(replies) };
        };
        let records = some(&self.items, &|item| matches!(item, Item::Record(of, _) if *of == collection));
        if !records.is_empty() {
            return self.remove(records);
        }
        if self.weak == Some(Weak::Rows) {
            self.items.remove(&Item::Row(collection));
        }
        Purged::Emptied(collection.to_string())
    }

    fn remove(&mut self, items: Vec<Item>) -> Purged {
        for item in items {
            self.items.remove(&item);
        }
        self.removed_at.get_or_insert(self.now);
        Purged::Removed
    }

    fn act(&mut self, action: &Action) -> Verdict {
        match action {
            Action::Request { environment, item, updates, working, write } => {
                self.request(*environment, *item, updates, *working, *write);
            }
            Action::Pass { millis } => self.pass(Duration::from_millis(*millis))?,
            Action::Sweep { sweeper, dies_after } => self.sweep(*sweeper, *dies_after),
            Action::Crash { environment } => self.processes[*environment] = self.process(),
        }
        self.check()
    }

    fn check(&self) -> Verdict {
        prop_assert!(!self.is_offboarded || self.items.is_empty(), "{:?} are left", self.items);
        Ok(())
    }
}

pub(super) fn run(history: &History, weak: Option<Weak>, when_unavailable: WhenUnavailable) -> Verdict {
    let History { skews, before_month_end, before, after } = history;
    let now = Month::parse("2026-11").unwrap().end().minus(Duration::from_millis(*before_month_end));
    let mut world = World {
        now,
        skews: skews.clone(),
        weak,
        when_unavailable,
        rows: BTreeMap::new(),
        items: BTreeSet::new(),
        sent: Vec::new(),
        processes: Vec::new(),
        born: 0,
        offboarding: None,
        is_offboarded: false,
        asked_at: None,
        removed_at: None,
    };
    world.processes = (0..ENVIRONMENTS).map(|_| world.process()).collect();
    for action in before {
        world.act(action)?;
    }
    world.offboard();
    for action in after {
        world.act(action)?;
    }
    // It ends, whatever died on the way, and whatever still comes.
    for minute in 0..240 {
        world.pass(Duration::from_mins(1))?;
        world.sweep(minute % 2, None);
        world.check()?;
    }
    prop_assert!(world.is_offboarded);
    Ok(())
}
