//! The items of a business function's own kinds ([`Kind`]).
//!
//! Everything that belongs to a kind of a tenant is in one partition (`T#<tenant>#I#<kind>`): the items, the entries of its
//! indexes, and the counter of its numbers. A row leads to the partition, so an offboarding and an export find the items of
//! kinds that this library has never heard of.
//!
//! | operation | requests to the table |
//! |---|---|
//! | [`item_get`](Store::item_get), [`item_list`](Store::item_list) | one |
//! | [`item_list_by`](Store::item_list_by) | one for the entries of the index, and one for the items |
//! | [`item_create`](Store::item_create) | one; the first write of an execution environment to a kind takes one more, for the row |
//! | [`item_change`](Store::item_change) and the other writes | one read, and one write for each round |
//!
//! A write is a transaction, which costs twice the write capacity units, if it has an idempotency key, changes an index, or
//! takes a number. Every write leaves its mark in the item (`marks`).

mod changes;
mod form;

use std::collections::HashMap;

use crate::domain::caller::Access;
use crate::domain::idempotency::{Applied, ReplyTo};
use crate::domain::kind::{Generated, Index, Item, Kind, Number};
use crate::domain::page::{Page, PageRequest, Unreadable};
use crate::domain::precondition::Precondition;
use crate::domain::time::Timestamp;
use crate::store::keys::Key;
use crate::store::query::{Partition, query};
use crate::store::table::Consistency;
use crate::store::{CommitError, Fault, ListError, Store, document, item, keys};

pub use changes::{Changes, Rounds};
pub use form::Raw;
pub(super) use form::raw;

/// The maximum size of an item's value as JSON, in bytes. The item and a stored reply that contains it have to fit into the
/// 400 KB of an item.
pub const MAX_VALUE_BYTES: usize = 128 * 1024;

/// The reason why items were not written. `E` is the error with which the function itself rejects the write.
#[derive(Debug, thiserror::Error)]
pub enum ItemError<E> {
    /// The item does not exist.
    #[error("there is no such item")]
    NotFound,
    /// Another item has the id.
    #[error("there is an item with this id")]
    Exists,
    /// The request's precondition does not hold for the item.
    #[error("the precondition does not hold")]
    PreconditionFailed,
    /// The function rejects the write.
    #[error("the function rejects the write")]
    Rejected(E),
    /// The value has this number of bytes as JSON, which is too many.
    #[error("a value of {0} bytes")]
    TooLarge(usize),
    /// The item's key in the index with this name is too long.
    #[error("a key of the index {0} is too long")]
    KeyTooLong(&'static str),
    /// The write was not committed.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl<E> From<Fault> for ItemError<E> {
    fn from(fault: Fault) -> Self {
        Self::Commit(fault.into())
    }
}

impl Store {
    /// Reads an item.
    pub async fn item_get<K: Kind>(
        &self,
        access: &Access<K::Read>,
        id: &K::Id,
        consistent: bool,
    ) -> Result<Option<Item<K>>, Fault> {
        let found = self.table.get(form::key::<K>(access.tenant(), id), Consistency::strong_if(consistent)).await?;
        found.map_or(Ok(None), |item| form::live(item, Timestamp::now()))
    }

    /// Lists the items of a kind by id.
    pub async fn item_list<K: Kind>(
        &self,
        access: &Access<K::Read>,
        page: &PageRequest,
    ) -> Result<Page<Item<K>>, ListError> {
        let (partition, now) = (keys::kind(access.tenant(), K::NAME), Timestamp::now());
        let partition = Partition::of_table(&partition).with_prefix(keys::ITEM);
        query(self, &partition, page, None, |item| form::live(item, now)).await
    }

    /// Lists the items that have this key in an index, by id. A page may have fewer items than its limit.
    pub async fn item_list_by<K: Kind>(
        &self,
        access: &Access<K::Read>,
        index: &Index<K>,
        key: &str,
        page: &PageRequest,
    ) -> Result<Page<Item<K>>, ListError> {
        let (partition, prefix) = (keys::kind(access.tenant(), K::NAME), keys::index(index.name, key));
        if prefix.len() > keys::MAX_SORT_KEY_BYTES {
            // No entry has such a key, and DynamoDB would reject it.
            return Ok(Page { items: Vec::new(), unreadable: Vec::new(), next: None });
        }
        let entries = Partition::of_table(&partition).with_prefix(&prefix);
        let item_key = |mut entry| form::item_of_entry(&partition, &mut entry, &prefix).map(Some);
        let Page { items: keys, mut unreadable, next } = query(self, &entries, page, None, item_key).await?;
        let consistency = Consistency::strong_if(page.consistent);
        let found = self.table.get_many(keys.clone(), consistency, &[]).await?;
        let mut found =
            found.into_iter().map(|item| Ok((Key::of(&item)?, item))).collect::<Result<HashMap<_, _>, Fault>>()?;
        let (mut items, now) = (Vec::with_capacity(keys.len()), Timestamp::now());
        for item_key in keys {
            let Some(item) = found.remove(&item_key) else { continue };
            let lost = unreadable_of(&item_key, &item);
            match form::live::<K>(item, now) {
                // An item that expired, and whose id was used again, may have left an entry that is not its own any more.
                Ok(item) => items.extend(item.filter(|item| (index.key)(&item.value).as_deref() == Some(key))),
                Err(Fault::Corrupt(_)) => unreadable.push(lost),
                Err(fault) => return Err(fault.into()),
            }
        }
        Ok(Page { items, unreadable, next })
    }

    /// Creates an item with an id that the service generates.
    pub async fn item_create<K: Kind<Id = Generated>, E>(
        &self,
        access: &Access<K::Write>,
        id: Generated,
        value: &K,
        reply: &dyn ReplyTo<Item<K>>,
    ) -> Result<Applied<Item<K>>, ItemError<E>> {
        let mut rounds = self.item_rounds();
        loop {
            let mut changes = rounds.begin();
            let item = changes.create(access, id, value.clone())?;
            if let Some(applied) = rounds.commit(changes, access, item, reply).await? {
                return Ok(applied);
            }
        }
    }

    /// Creates an item under the next number of the kind, of which no number is left out, and none is used twice.
    ///
    /// All appends of a tenant and a kind compete for the counter, and one of them wins each round. That is enough for some
    /// tens of items per second. Where more are needed, use [`Generated`] ids, which need no counter, and number the items
    /// later.
    pub async fn item_append<K: Kind<Id = Number>, E>(
        &self,
        access: &Access<K::Write>,
        value: impl Fn(Number, Timestamp) -> K,
        reply: &dyn ReplyTo<Item<K>>,
    ) -> Result<Applied<Item<K>>, ItemError<E>> {
        let mut rounds = self.item_rounds();
        loop {
            let mut changes = rounds.begin();
            let now = changes.now();
            let item = changes.append(access, |number| value(number, now)).await?;
            if let Some(applied) = rounds.commit(changes, access, item, reply).await? {
                return Ok(applied);
            }
        }
    }

    /// Creates or replaces an item. The outcome tells whether it was created.
    pub async fn item_put<K: Kind, E>(
        &self,
        access: &Access<K::Write>,
        id: &K::Id,
        value: &K,
        precondition: &Precondition,
        reply: &dyn ReplyTo<(Item<K>, bool)>,
    ) -> Result<Applied<(Item<K>, bool)>, ItemError<E>> {
        let mut rounds = self.item_rounds();
        loop {
            let mut changes = rounds.begin();
            let old = changes.get::<K>(access, id).await?;
            if !precondition.holds(old.as_ref().map(|old| old.version)) {
                return Err(ItemError::PreconditionFailed);
            }
            let put = match old {
                Some(old) => (changes.replace(access, &old, value.clone())?, false),
                None => (changes.create(access, id.clone(), value.clone())?, true),
            };
            if let Some(applied) = rounds.commit(changes, access, put, reply).await? {
                return Ok(applied);
            }
        }
    }

    /// Changes an item by a function that decides on the current value. It has no effects of its own, because it is called
    /// again when another request changed the item in between.
    pub async fn item_change<K: Kind, E>(
        &self,
        access: &Access<K::Write>,
        id: &K::Id,
        precondition: &Precondition,
        decide: impl Fn(&mut K, Timestamp) -> Result<(), E>,
        reply: &dyn ReplyTo<Item<K>>,
    ) -> Result<Applied<Item<K>>, ItemError<E>> {
        let mut rounds = self.item_rounds();
        loop {
            let mut changes = rounds.begin();
            let old = changes.get_for::<K, E>(access, id, precondition).await?;
            let mut value = old.value.clone();
            decide(&mut value, changes.now()).map_err(ItemError::Rejected)?;
            let item = changes.replace(access, &old, value)?;
            if let Some(applied) = rounds.commit(changes, access, item, reply).await? {
                return Ok(applied);
            }
        }
    }

    /// Deletes an item.
    pub async fn item_delete<K: Kind, E>(
        &self,
        access: &Access<K::Write>,
        id: &K::Id,
        precondition: &Precondition,
        reply: &dyn ReplyTo<()>,
    ) -> Result<Applied<()>, ItemError<E>> {
        let mut rounds = self.item_rounds();
        loop {
            let mut changes = rounds.begin();
            let old = changes.get_for::<K, E>(access, id, precondition).await?;
            changes.delete(access, &old);
            if let Some(applied) = rounds.commit(changes, access, (), reply).await? {
                return Ok(applied);
            }
        }
    }

    /// Starts a write of several items, of any kinds, which are written together or not at all.
    ///
    /// Each round reads items and makes changes. If another request changes one of the items in between, another round
    /// follows with the new state, so a round has no effects but its changes. A transaction has at most 99 writes, of which
    /// each entry of an index that changes is one.
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html>
    #[must_use]
    pub fn item_rounds(&self) -> Rounds<'_> {
        Rounds::new(self)
    }
}

/// Returns the identity of an item, in case that it cannot be read.
fn unreadable_of(key: &Key, item: &item::Item) -> Unreadable {
    let id = keys::item_id(&key.sk).unwrap_or_else(|| key.sk.clone());
    Unreadable { id, version: document::read_version(item).ok() }
}
