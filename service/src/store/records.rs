//! Records. Each method is one request to the table, except a merge, which is a read and a write.
//!
//! With an idempotency key the write becomes a transaction that also writes the stored reply. A transaction does not return
//! the item that it replaced, and the reply has to be known before: so a put with an idempotency key first assumes that the
//! record is new, and writes again when that turns out to be wrong.
//!
//! Every write leaves its own mark in the item. When the response to a write is lost, the item is read, and the mark shows
//! whether the write was applied. `attempts` decides which writes are retried in the meantime.
//!
//! An item whose `expiresAt` has passed counts as absent, whether DynamoDB has removed it yet or not.

pub(super) mod collections;
mod transactions;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::value::RawValue;
use ulid::Ulid;

use super::document::{Document, is_expired, read_version};
use super::expression::{ABSENT, Condition, EXISTS};
use super::item::{Item, attribute, number, read_number, take_string};
use super::keys::{self, Key, SK};
use super::query::{Partition, query};
use super::stored_replies::{Commit, PendingReply};
use super::table::{Consistency, Failure, ItemWrite};
use super::{Fault, ListError, ReadError, Store, WriteError};
use crate::domain::caller::{Access, RecordsRead, RecordsWrite};
use crate::domain::data::Data;
use crate::domain::idempotency::{Applied, ReplyTo};
use crate::domain::page::{Page, PageRequest};
use crate::domain::precondition::Precondition;
use crate::domain::record::{CollectionName, Draft, ExpiryChange, Record, RecordId, RecordKey, Version};
use crate::domain::tenant::TenantId;
use crate::domain::time::Timestamp;

/// The maximum number of rounds of a change that finds the record changed by others. The deadline of the request ends it as
/// well.
const MAX_ROUNDS: usize = 8;

/// The outcome of a put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The record after the put.
    pub record: Record,
    /// Whether the put created the record, rather than replaced it.
    pub created: bool,
}

/// One write of a record, which may take several attempts.
pub(super) struct Write<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) collection: &'a CollectionName,
    pub(super) id: &'a RecordId,
    pub(super) now: Timestamp,
    /// A value that is unique to this write, or to the transaction that contains it.
    pub(super) mark: String,
}

impl Store {
    /// Reads a record.
    pub async fn record_get(
        &self,
        access: &Access<RecordsRead>,
        key: &RecordKey,
        consistent: bool,
    ) -> Result<Record, ReadError> {
        let RecordKey { collection, id } = key;
        let item_key = Key { pk: keys::records(access.tenant(), collection), sk: id.as_str().to_owned() };
        self.live_record(item_key, collection, consistent).await?.ok_or(ReadError::NotFound)
    }

    /// Lists the records of a collection by id.
    pub async fn record_list(
        &self,
        access: &Access<RecordsRead>,
        collection: &CollectionName,
        page: &PageRequest,
    ) -> Result<Page<Record>, ListError> {
        let (partition, now) = (keys::records(access.tenant(), collection), Timestamp::now());
        let from_item = |item| live_from_item(collection, item, now);
        query(self, &Partition::of_table(&partition), page, None, from_item).await
    }

    /// Creates a record that must be absent. An id from [`RecordId::generate`] always is.
    pub async fn record_create(
        &self,
        access: &Access<RecordsWrite>,
        key: &RecordKey,
        draft: Draft,
        reply: &dyn ReplyTo<Record>,
    ) -> Result<Applied<Record>, WriteError> {
        let write = Write::new(access, key);
        self.collection_ensure(access, write.collection, write.now).await?;
        let record = write.new_record(draft);
        let insert = write.insert(&record, Condition::default().and(ABSENT));
        match self.commit(insert, write.reply(reply, &record)?).await? {
            Commit::Made => Ok(Applied::Now(record)),
            Commit::Before(earlier) => Ok(Applied::Before(earlier)),
            Commit::ConditionFailed(_) => Err(WriteError::PreconditionFailed),
            Commit::InDoubt(doubt) => {
                Ok(self.settle(write.key(), &write.mark, doubt).await.map(|_| Applied::Now(record))?)
            }
        }
    }

    /// Creates or replaces a record.
    pub async fn record_put(
        &self,
        access: &Access<RecordsWrite>,
        key: &RecordKey,
        draft: Draft,
        precondition: &Precondition,
        reply: &dyn ReplyTo<Put>,
    ) -> Result<Applied<Put>, WriteError> {
        let write = Write::new(access, key);
        if precondition.holds(None) {
            self.collection_ensure(access, write.collection, write.now).await?;
        }
        match reply.request() {
            None => self.put_alone(&write, draft, precondition).await.map(Applied::Now),
            Some(_) => self.put_with_reply(&write, draft, precondition, reply).await,
        }
    }

    /// Puts a record with one update, which returns the item that it replaced.
    async fn put_alone(&self, write: &Write<'_>, draft: Draft, precondition: &Precondition) -> Result<Put, WriteError> {
        for _ in 0..MAX_ROUNDS {
            let condition = Condition::default().not_expired(write.now).precondition(precondition);
            let remains = match self.table.write(write.update(&draft, condition).returning_old()).await {
                Ok(old) => {
                    // For an absent item DynamoDB returns nothing, and the embedded engine returns the primary key.
                    let old = old.filter(|old| old.contains_key(attribute::VERSION));
                    let old = old.as_ref().map(Before::of).transpose()?;
                    return Ok(write.put_over(old, draft));
                }
                Err(Failure::Condition(Some(item))) if is_expired(&item, write.now) && precondition.holds(None) => item,
                Err(failure) => return self.put_despite(write, failure).await,
            };
            // The item of an expired record still exists: overwrite it, unless another write was faster.
            let put = write.put_over(None, draft.clone());
            let insert = write.insert(&put.record, in_version(read_version(&remains)?));
            match self.table.write(insert).await {
                Ok(_) => return Ok(put),
                Err(Failure::Condition(_)) => {}
                Err(failure) => return self.put_despite(write, failure).await,
            }
        }
        Err(WriteError::Conflict)
    }

    /// The outcome of a put that failed, if it was applied all the same.
    async fn put_despite(&self, write: &Write<'_>, failure: Failure) -> Result<Put, WriteError> {
        let item = match failure {
            Failure::Condition(_) => return Err(WriteError::PreconditionFailed),
            Failure::Conflict(_) => return Err(WriteError::Conflict),
            Failure::Fault(fault) => return Err(fault.into()),
            Failure::Doubt(doubt) => self.settle(write.key(), &write.mark, doubt).await?,
        };
        let record = from_item(write.collection, item)?;
        Ok(Put { created: record.version == write.first_version(), record })
    }

    /// Puts a record with a transaction, which has to assume the state of the record: absent, unless the precondition requires
    /// a record, because then a read is cheaper than a wrong assumption. A failed transaction returns the actual state.
    async fn put_with_reply(
        &self,
        write: &Write<'_>,
        draft: Draft,
        precondition: &Precondition,
        reply: &dyn ReplyTo<Put>,
    ) -> Result<Applied<Put>, WriteError> {
        let mut old = if precondition.holds(None) { None } else { self.item(write.key(), true).await? };
        for _ in 0..MAX_ROUNDS {
            let remains = old.as_ref().map(Before::of).transpose()?;
            let current = remains.filter(|_| old.as_ref().is_some_and(|old| !is_expired(old, write.now)));
            if !precondition.holds(current.map(|before| before.version)) {
                return Err(WriteError::PreconditionFailed);
            }
            let put = write.put_over(current, draft.clone());
            let change = match remains {
                Some(before) if current.is_some() => write.update(&draft, in_version(before.version)),
                Some(before) => write.insert(&put.record, in_version(before.version)),
                None => write.insert(&put.record, Condition::default().and(ABSENT)),
            };
            match self.commit(change, write.reply(reply, &put)?).await? {
                Commit::Made => return Ok(Applied::Now(put)),
                Commit::Before(earlier) => return Ok(Applied::Before(earlier)),
                Commit::ConditionFailed(item) => old = item,
                Commit::InDoubt(doubt) => return Err(doubt.fault.into()),
            }
        }
        Err(WriteError::Conflict)
    }

    /// Applies a merge patch to a record's data, and a change to its expiry.
    ///
    /// The write is conditional on the version that was read. When that version is outdated, the merge starts again, unless
    /// the request itself named the version.
    pub async fn record_merge(
        &self,
        access: &Access<RecordsWrite>,
        key: &RecordKey,
        patch: Option<&RawValue>,
        expiry: ExpiryChange,
        precondition: &Precondition,
        reply: &dyn ReplyTo<Record>,
    ) -> Result<Applied<Record>, WriteError> {
        let mut write = Write::new(access, key);
        for _ in 0..MAX_ROUNDS {
            let current = self.live_record(write.key(), write.collection, true).await?.ok_or(WriteError::NotFound)?;
            if !precondition.holds(Some(current.version)) {
                return Err(WriteError::PreconditionFailed);
            }
            let data = match patch {
                Some(patch) => current.data.merge(patch)?,
                None => current.data.clone(),
            };
            let draft = Draft { data, expires_at: expiry.of(current.expires_at) };
            write.now = Timestamp::now();
            let update = write.update(&draft, in_version(current.version));
            let record = write.put_over(Some(Before::from(&current)), draft).record;
            match self.commit(update, write.reply(reply, &record)?).await? {
                Commit::Made => return Ok(Applied::Now(record)),
                Commit::Before(earlier) => return Ok(Applied::Before(earlier)),
                Commit::ConditionFailed(_) => {}
                Commit::InDoubt(doubt) => {
                    return Ok(self.settle(write.key(), &write.mark, doubt).await.map(|_| Applied::Now(record))?);
                }
            }
        }
        Err(WriteError::Conflict)
    }

    /// Deletes a record.
    pub async fn record_delete(
        &self,
        access: &Access<RecordsWrite>,
        key: &RecordKey,
        precondition: &Precondition,
        reply: &dyn ReplyTo<()>,
    ) -> Result<Applied<()>, WriteError> {
        let write = Write::new(access, key);
        let condition = Condition::default().and(EXISTS).not_expired(write.now).precondition(precondition);
        match self.commit(ItemWrite::delete(write.key(), condition), write.reply(reply, &())?).await? {
            Commit::Made => Ok(Applied::Now(())),
            Commit::Before(earlier) => Ok(Applied::Before(earlier)),
            Commit::ConditionFailed(None) => Err(WriteError::NotFound),
            Commit::ConditionFailed(Some(item)) if is_expired(&item, write.now) => Err(WriteError::NotFound),
            Commit::ConditionFailed(Some(_)) => Err(WriteError::PreconditionFailed),
            // An absent record may have been deleted by this request or by another one, or may never have existed.
            Commit::InDoubt(doubt) => Err(doubt.fault.into()),
        }
    }

    async fn live_record(
        &self,
        key: Key,
        collection: &CollectionName,
        consistent: bool,
    ) -> Result<Option<Record>, Fault> {
        let Some(item) = self.item(key, consistent).await? else { return Ok(None) };
        live_from_item(collection, item, Timestamp::now())
    }

    async fn item(&self, key: Key, consistent: bool) -> Result<Option<Item>, Fault> {
        self.table.get(key, Consistency::strong_if(consistent)).await
    }
}

impl<'a> Write<'a> {
    fn new(access: &'a Access<RecordsWrite>, RecordKey { collection, id }: &'a RecordKey) -> Self {
        let tenant = access.tenant();
        Self { tenant, collection, id, now: Timestamp::now(), mark: Ulid::generate().to_string() }
    }

    pub(super) fn key(&self) -> Key {
        Key { pk: keys::records(self.tenant, self.collection), sk: self.id.as_str().to_owned() }
    }

    /// The version of a record that this write creates.
    fn first_version(&self) -> Version {
        Version::first(self.now).next()
    }

    /// The reply to store with this write, if its request has an idempotency key.
    fn reply<'s, T>(&'s self, reply: &'s dyn ReplyTo<T>, outcome: &T) -> Result<Option<PendingReply<'s>>, Fault> {
        PendingReply::to(outcome, reply, self.tenant, &self.mark, self.now)
    }

    /// Writes a whole item.
    pub(super) fn insert(&self, record: &Record, condition: Condition) -> ItemWrite {
        let document = Document {
            version: record.version,
            created_at: record.created_at,
            updated_at: record.updated_at,
            expires_at: record.expires_at,
            data: record.data.as_str().to_owned(),
        };
        ItemWrite::put(document.into_item(self.key(), &self.mark), condition)
    }

    /// Updates the attributes of a record that a tenant may write, and leaves the others as they are.
    pub(super) fn update(&self, draft: &Draft, condition: Condition) -> ItemWrite {
        let mut update = "SET #data = :data, #version = if_not_exists(#version, :before) + :one, \
                          #createdAt = if_not_exists(#createdAt, :now), #updatedAt = :now, #write = :write"
            .to_owned();
        let mut condition = condition
            .value(":data", AttributeValue::S(draft.data.as_str().to_owned()))
            .value(":before", number(Version::first(self.now)))
            .value(":one", number(1))
            .value(":now", number(self.now.as_millis()))
            .value(":write", AttributeValue::S(self.mark.clone()));
        if let Some(expiry) = draft.expires_at {
            update.push_str(", #expiresAt = :expiresAt");
            condition = condition.value(":expiresAt", number(expiry.as_secs()));
        } else {
            update.push_str(" REMOVE #expiresAt");
        }
        ItemWrite::update(self.key(), update, condition)
    }

    fn new_record(&self, draft: Draft) -> Record {
        let Draft { data, expires_at } = draft;
        Record {
            id: self.id.clone(),
            collection: self.collection.clone(),
            version: self.first_version(),
            created_at: self.now,
            updated_at: self.now,
            expires_at,
            data,
        }
    }

    /// The outcome of this write over an existing record, or over none.
    pub(super) fn put_over(&self, old: Option<Before>, draft: Draft) -> Put {
        let mut record = self.new_record(draft);
        if let Some(old) = old {
            record.version = old.version.next();
            record.created_at = old.created_at;
        }
        Put { record, created: old.is_none() }
    }
}

/// The attributes of a record that survive a write over it. These are few on purpose, so that a record can be replaced even if
/// its data or expiry cannot be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    pub(super) version: Version,
    created_at: Timestamp,
}

impl Before {
    pub(super) fn of(item: &Item) -> Result<Self, Fault> {
        let created_at = Timestamp::from_millis(read_number(item, attribute::CREATED_AT)?);
        Ok(Self { version: read_version(item)?, created_at })
    }
}

impl From<&Record> for Before {
    fn from(record: &Record) -> Self {
        Self { version: record.version, created_at: record.created_at }
    }
}

pub(super) fn in_version(version: Version) -> Condition {
    Condition::default().in_version(version)
}

/// The record in an item, unless it has expired.
pub(super) fn live_from_item(collection: &CollectionName, item: Item, now: Timestamp) -> Result<Option<Record>, Fault> {
    if is_expired(&item, now) { Ok(None) } else { from_item(collection, item).map(Some) }
}

pub(super) fn from_item(collection: &CollectionName, mut item: Item) -> Result<Record, Fault> {
    let Document { version, created_at, updated_at, expires_at, data } = Document::take(&mut item)?;
    Ok(Record {
        version,
        created_at,
        updated_at,
        expires_at,
        id: RecordId::parse(&take_string(&mut item, SK)?).map_err(|_| Fault::corrupt(SK))?,
        collection: collection.clone(),
        data: Data::from_stored(data).ok_or_else(|| Fault::corrupt(attribute::DATA))?,
    })
}
