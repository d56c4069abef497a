//! The changes of one write, which are committed together or not at all.

use std::collections::{HashMap, HashSet};
use std::mem;

use ulid::Ulid;

use super::{ItemError, form};
use crate::domain::caller::{Access, Scope};
use crate::domain::idempotency::{Applied, Replay, ReplyTo};
use crate::domain::kind::{Item, Kind, Number};
use crate::domain::precondition::Precondition;
use crate::domain::record::Version;
use crate::domain::tenant::TenantId;
use crate::domain::time::Timestamp;
use crate::store::expression::Condition;
use crate::store::keys::{self, Key};
use crate::store::marks::wrote_one_of;
use crate::store::stored_replies::{Commit, CommitAll, PendingReply};
use crate::store::table::{Backoff, Consistency, ItemWrite, Verdict};
use crate::store::{CommitError, Fault, Store};

/// The maximum number of writes of a transaction, one of which may be the stored reply.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html>
const MAX_WRITES: usize = 99;

/// The changes that one round of a write makes. A failed condition on any of them leaves all items as they are.
#[expect(missing_debug_implementations, reason = "it contains tenants' data, which must not reach a log")]
pub struct Changes<'a> {
    store: &'a Store,
    now: Timestamp,
    /// A value that is unique to this round, and that every item contains which it writes.
    mark: String,
    writes: Vec<(Key, ItemWrite)>,
    /// The items that were read, whether they exist or not.
    read: HashSet<Key>,
    /// The numbers that were taken: where the counter was, and where it is now.
    counters: HashMap<Key, (u64, u64)>,
    /// The rows of the kinds of which items are created.
    rows: HashSet<Key>,
    carried: Carried,
}

/// The rounds of a write, each of which reads items and makes changes, until no other request changes the items in between.
#[expect(missing_debug_implementations, reason = "it contains tenants' data, which must not reach a log")]
pub struct Rounds<'a> {
    store: &'a Store,
    backoff: Backoff,
    carried: Carried,
}

/// The knowledge that a failed round leaves for the next one.
#[derive(Debug, Default)]
struct Carried {
    /// The items that exist, although the round created them.
    occupied: HashSet<Key>,
    /// The positions of counters that had moved on.
    counters: HashMap<Key, u64>,
}

/// The outcome of a round.
enum Round {
    /// The changes were made.
    Made,
    /// The request was applied before.
    Before(Replay),
    /// Another request changed the items in between.
    Outdated(Carried),
}

impl<'a> Changes<'a> {
    fn new(store: &'a Store, carried: Carried) -> Self {
        Self {
            store,
            now: Timestamp::now(),
            mark: Ulid::generate().to_string(),
            writes: Vec::new(),
            read: HashSet::new(),
            counters: HashMap::new(),
            rows: HashSet::new(),
            carried,
        }
    }

    /// Returns the time of the changes.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Reads an item, strongly consistent. If another request changes it before the changes are committed, another round
    /// follows.
    pub async fn get<K: Kind>(&mut self, access: &Access<K::Write>, id: &K::Id) -> Result<Option<Item<K>>, Fault> {
        let key = form::key::<K>(access.tenant(), id);
        self.read.insert(key.clone());
        let found = Box::pin(self.store.table.get(key, Consistency::Strong)).await?;
        found.map_or(Ok(None), |item| form::live(item, self.now))
    }

    /// Reads an item that must exist and satisfy the request's precondition, as [`Changes::get`] does.
    pub async fn get_for<K: Kind, E>(
        &mut self,
        access: &Access<K::Write>,
        id: &K::Id,
        precondition: &Precondition,
    ) -> Result<Item<K>, ItemError<E>> {
        let item = self.get::<K>(access, id).await?.ok_or(ItemError::NotFound)?;
        if precondition.holds(Some(item.version)) { Ok(item) } else { Err(ItemError::PreconditionFailed) }
    }

    /// Creates an item. Another item with the id is an error, unless it has expired.
    pub fn create<K: Kind, E>(
        &mut self,
        access: &Access<K::Write>,
        id: K::Id,
        value: K,
    ) -> Result<Item<K>, ItemError<E>> {
        let tenant = access.tenant();
        let key = form::key::<K>(tenant, &id);
        if self.carried.occupied.contains(&key) && !self.read.contains(&key) {
            return Err(ItemError::Exists);
        }
        // A record that is deleted and created again never has an earlier version, and neither has an item.
        let version = Version::first(self.now).next();
        let expires_at = value.expires_at();
        let item = Item { id, version, created_at: self.now, updated_at: self.now, expires_at, value };
        let put = form::put(tenant, &item, &self.mark, Condition::default().vacant(self.now))?;
        self.writes.push((key, put));
        self.add_entries(tenant, &item)?;
        self.rows.insert(Key { pk: keys::kinds(tenant), sk: K::NAME.to_owned() });
        Ok(item)
    }

    /// Takes the next number of a kind, and creates the item with it.
    pub async fn append<K: Kind<Id = Number>, E>(
        &mut self,
        access: &Access<K::Write>,
        value: impl FnOnce(Number) -> K,
    ) -> Result<Item<K>, ItemError<E>> {
        let key = Key { pk: keys::kind(access.tenant(), K::NAME), sk: keys::COUNTER.to_owned() };
        let (first, next) = match (self.counters.get(&key), self.carried.counters.get(&key)) {
            (Some(taken), _) => *taken,
            (None, Some(next)) => (*next, *next),
            (None, None) => {
                let counter = self.store.table.get(key.clone(), Consistency::Strong).await?;
                let next = form::next_number(counter.as_ref())?;
                (next, next)
            }
        };
        let number = Number::new(next).ok_or_else(|| Fault::unbuilt("the numbers of a kind are used up"))?;
        self.counters.insert(key, (first, next + 1));
        self.create(access, number, value(number))
    }

    /// Replaces the value of an item that was read.
    pub fn replace<K: Kind, E>(
        &mut self,
        access: &Access<K::Write>,
        old: &Item<K>,
        value: K,
    ) -> Result<Item<K>, ItemError<E>> {
        let tenant = access.tenant();
        let expires_at = value.expires_at();
        let Item { id, version, created_at, .. } = old;
        let (id, version, created_at) = (id.clone(), version.next(), *created_at);
        let item = Item { id, version, created_at, updated_at: self.now, expires_at, value };
        let put = form::put(tenant, &item, &self.mark, Condition::default().in_version(old.version))?;
        self.writes.push((form::key::<K>(tenant, &old.id), put));
        let entries = form::entries(tenant, &old.id, &old.value);
        let remaining = form::entries(tenant, &item.id, &item.value);
        if entries != remaining || old.expires_at != item.expires_at {
            self.end_entries(entries.into_iter().filter(|entry| !remaining.contains(entry)));
            self.add_entries(tenant, &item)?;
        }
        Ok(item)
    }

    /// Deletes an item that was read.
    pub fn delete<K: Kind>(&mut self, access: &Access<K::Write>, old: &Item<K>) {
        let tenant = access.tenant();
        let key = form::key::<K>(tenant, &old.id);
        let delete = ItemWrite::delete(key.clone(), Condition::default().in_version(old.version));
        self.writes.push((key, delete));
        self.end_entries(form::entries(tenant, &old.id, &old.value).into_iter());
    }

    /// Requires that an item that was read is unchanged when the changes are committed.
    pub fn check<K: Kind>(&mut self, access: &Access<K::Write>, read: &Item<K>) {
        let key = form::key::<K>(access.tenant(), &read.id);
        let check = ItemWrite::check(key.clone(), Condition::default().in_version(read.version));
        self.writes.push((key, check));
    }

    fn add_entries<K: Kind, E>(&mut self, tenant: &TenantId, item: &Item<K>) -> Result<(), ItemError<E>> {
        form::check_keys(&item.value)?;
        for key in form::entries(tenant, &item.id, &item.value) {
            self.writes.push((key.clone(), form::put_entry(key, item.expires_at)));
        }
        Ok(())
    }

    fn end_entries(&mut self, entries: impl Iterator<Item = Key>) {
        for key in entries {
            self.writes.push((key.clone(), ItemWrite::delete(key, Condition::default())));
        }
    }
}

impl<'a> Rounds<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self { store, backoff: Backoff::patient(), carried: Carried::default() }
    }

    /// Starts a round.
    pub fn begin(&mut self) -> Changes<'a> {
        Changes::new(self.store, mem::take(&mut self.carried))
    }

    /// Ends a round: commits its changes, and the stored reply to their outcome if the request has an idempotency key.
    ///
    /// Returns `None`, after a pause, if another request changed one of the items in between. Then another round follows.
    pub async fn commit<S: Scope, T>(
        &mut self,
        changes: Changes<'a>,
        access: &Access<S>,
        outcome: T,
        reply: &dyn ReplyTo<T>,
    ) -> Result<Option<Applied<T>>, CommitError> {
        let (mark, now) = (changes.mark.clone(), changes.now);
        let pending = PendingReply::to(&outcome, reply, access.tenant(), &mark, now)?;
        // On the heap: the calls of the SDK make a large future.
        match Box::pin(changes.commit(pending)).await {
            Ok(Round::Made) => return Ok(Some(Applied::Now(outcome))),
            Ok(Round::Before(earlier)) => return Ok(Some(Applied::Before(earlier))),
            Ok(Round::Outdated(carried)) => self.carried = carried,
            Err(CommitError::Conflict) => {}
            Err(error) => return Err(error),
        }
        if self.backoff.pause().await { Ok(None) } else { Err(CommitError::Conflict) }
    }
}

impl Changes<'_> {
    /// Commits the changes, with the reply to them if there is one.
    async fn commit(self, reply: Option<PendingReply<'_>>) -> Result<Round, CommitError> {
        let Self { store, now, mark, mut writes, counters, rows, .. } = self;
        for row in rows {
            store.row_ensure(row, now).await?;
        }
        for (key, (from, to)) in counters {
            writes.push((key.clone(), form::count(key, from, to, &mark)));
        }
        if writes.len() > MAX_WRITES {
            return Err(Fault::unbuilt(format!("{} writes in one transaction", writes.len())).into());
        }
        let (keys, mut writes): (Vec<_>, Vec<_>) = writes.into_iter().unzip();
        let verdicts = match (reply, writes.len()) {
            (None, 0) => return Ok(Round::Made),
            (None, 1) => match store.commit(writes.remove(0), None).await? {
                Commit::Made => return Ok(Round::Made),
                Commit::Before(earlier) => return Ok(Round::Before(earlier)),
                Commit::ConditionFailed(item) => vec![Verdict::Failed(item)],
                Commit::InDoubt(doubt) => {
                    let key = keys.into_iter().next().ok_or_else(|| Fault::unbuilt("a write has a key"))?;
                    return Ok(store.settle(key, &mark, doubt).await.map(|_| Round::Made)?);
                }
            },
            (reply, _) => match store.commit_all(writes, reply).await? {
                CommitAll::Made => return Ok(Round::Made),
                CommitAll::Before(earlier) => return Ok(Round::Before(earlier)),
                CommitAll::ConditionFailed { verdicts, .. } if wrote_one_of(&verdicts, &mark) => {
                    return Ok(Round::Made);
                }
                CommitAll::ConditionFailed { doubt: Some(fault), .. } => return Err(fault.into()),
                CommitAll::ConditionFailed { verdicts, doubt: None } => verdicts,
            },
        };
        Carried::of(keys, verdicts).map(Round::Outdated)
    }
}

impl Carried {
    fn of(keys: Vec<Key>, verdicts: Vec<Verdict>) -> Result<Self, CommitError> {
        let mut carried = Self::default();
        for (key, verdict) in keys.into_iter().zip(verdicts) {
            let Verdict::Failed(item) = verdict else { continue };
            if key.sk == keys::COUNTER {
                carried.counters.insert(key, form::next_number(item.as_ref())?);
            } else if item.is_some() {
                carried.occupied.insert(key);
            }
        }
        Ok(carried)
    }
}
