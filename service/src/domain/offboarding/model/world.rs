//! The tenant's items, its usage rows and the writes in transit, and the invariants that hold for them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::history::{Action, Fate, History, Item};
use super::{ENVIRONMENTS, Weak};
use crate::domain::offboarding::*;
use crate::domain::quota::WhenUnavailable;
use crate::domain::quota::{Account, Environment, Row, Sequence, Step, UpdateOutcome, UsageUpdate, model};
use crate::domain::usage::Usage;

/// The most items that a part of a look removes.
const BATCH: usize = 2;
/// The number of parts of a look after which its progress is saved.
const PARTS: usize = 3;
const LIMIT: u64 = 1_000_000;

struct Running {
    id: Environment,
    sequence: Sequence,
    accounts: BTreeMap<Month, Account>,
    /// The collections that are known to have a row.
    known: BTreeSet<u8>,
}

/// A write in transit.
struct Sent {
    arrives_at: Timestamp,
    item: Item,
    /// Whether the write is confirmed to a client when it arrives.
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
    environments: Vec<Running>,
    born: usize,
    /// The state in the tenant's row.
    offboarding: Option<Offboarding>,
    is_offboarded: bool,
    /// The time at which an operator offboarded the tenant, by a clock that is right.
    offboarded_at: Option<Timestamp>,
    /// The time at which the first item was removed, by the same clock.
    removed_at: Option<Timestamp>,
}

/// The result of a part of a look.
enum Purged {
    Removed,
    Emptied(String),
    Nothing,
}

type Verdict = Result<(), TestCaseError>;

impl World {
    /// Starts an execution environment.
    fn start(&mut self) -> Running {
        self.born += 1;
        let id = Environment::stored(&format!("env{}", self.born));
        Running { id, sequence: Sequence::default(), accounts: BTreeMap::new(), known: BTreeSet::new() }
    }

    /// Returns the time of one of the clocks. Those of execution environments come first.
    fn clock(&self, of: usize) -> Timestamp {
        Timestamp::from_millis(self.now.as_millis() + self.skews[of])
    }

    /// Returns when a request arrives that an execution environment sends after this time, or `None` if it is lost.
    fn arrival(&self, environment: usize, after: Duration, fate: Fate) -> Option<Timestamp> {
        let sent_at = self.now.plus(after);
        let valid = i64::try_from(SIGNATURE_LIFETIME.as_millis()).unwrap() + self.skews[environment];
        match fate {
            Fate::Delivered | Fate::ResponseLost => Some(sent_at),
            Fate::Lost => None,
            Fate::Late(part) => Some(Timestamp::from_millis(sent_at.as_millis() + valid * i64::from(part) / 256)),
        }
    }

    /// Sends an update of an execution environment's account. Returns whether there was a response.
    fn update(&mut self, environment: usize, month: Month, update: &UsageUpdate, fate: Fate) -> bool {
        // The quota's own model covers late updates.
        if matches!(fate, Fate::Lost | Fate::Late(_)) {
            return false;
        }
        let now = self.clock(environment);
        let Running { id, accounts, .. } = &mut self.environments[environment];
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

    /// Returns whether a request is admitted, by the rules of the ledger.
    fn admit(&mut self, environment: usize, fates: &[Fate]) -> bool {
        // API Gateway admits the tenant for as long as is possible. Where every request needs a unit, that does not matter.
        let lets_in = self.offboarded_at.is_none_or(|then| self.now.since(then) < tenant::STALE + AUTHORIZER_TTL);
        if self.when_unavailable == WhenUnavailable::Allow && !lets_in {
            return false;
        }
        let now = self.clock(environment);
        let month = Month::of(now);
        let mut fates = fates.iter().copied();
        for _ in 0..6 {
            let Running { id, accounts, sequence, .. } = &mut self.environments[environment];
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
            && !self.environments[environment].known.contains(&collection)
        {
            // The collection's row comes first. The record is not sent before the row is known to exist.
            self.send(environment, after, Item::Row(collection), write, false);
            if !matches!(write, Fate::Delivered) {
                return;
            }
            self.environments[environment].known.insert(collection);
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
        self.offboarded_at = Some(self.now);
    }

    fn ready_at(&self, offboarding: &Offboarding) -> Timestamp {
        match (self.weak, offboarding.looked_at) {
            // This wait would be long enough if every request needed a unit.
            (Some(Weak::Drain), None) if self.when_unavailable == WhenUnavailable::Allow => {
                offboarding.ready_at(drain(WhenUnavailable::Refuse))
            }
            (Some(Weak::Drain), None) => offboarding.closed_at,
            (Some(Weak::Apart), Some(then)) => then,
            _ => offboarding.ready_at(drain(self.when_unavailable)),
        }
    }

    /// Sweeps as the function `tenants` does.
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

    /// Removes one part as `store::tenants::purge` does.
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
            Action::Crash { environment } => self.environments[*environment] = self.start(),
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
        environments: Vec::new(),
        born: 0,
        offboarding: None,
        is_offboarded: false,
        offboarded_at: None,
        removed_at: None,
    };
    world.environments = (0..ENVIRONMENTS).map(|_| world.start()).collect();
    for action in before {
        world.act(action)?;
    }
    world.offboard();
    for action in after {
        world.act(action)?;
    }
    // The offboarding ends, whatever died before and whatever arrives late.
    for minute in 0..240 {
        world.pass(Duration::from_mins(1))?;
        world.sweep(minute % 2, None);
        world.check()?;
    }
    prop_assert!(world.is_offboarded);
    Ok(())
}
