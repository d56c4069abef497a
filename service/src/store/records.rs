//! Records: each call is one request to the table (a merge: a read and a write).
//!
//! With an idempotency key the write is a transaction, with the answer that is kept by the key, in the place of the
//! write alone. A transaction does not tell what it replaced, and the answer has to be known before: so a put with a key
//! takes the record for new, and writes again when it finds that it is not.
//!
//! A write carries a mark of its own, which the item keeps. When the response to a write is lost, the item is read, and
//! where it has the mark the write is known to have happened. `attempts` says which writes are sent again meanwhile.
//!
//! An item past its `expiresAt` is no record, whether DynamoDB has removed it yet or not.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::value::RawValue;
use tokio::time::timeout;
use ulid::Ulid;

use super::expression::{ABSENT, Condition, EXISTS};
use super::idempotency::{Commit, Keeping};
use super::item::{Item, attribute, number, read_expiry, read_number, take_string};
use super::keys::{self, Key, SK};
use super::query::{Partition, query};
use super::table::{Consistency, Doubt, Failure, ItemWrite};
use super::{Fault, ListError, ReadError, Store, WriteError};
use crate::domain::caller::{Access, RecordsRead, RecordsWrite};
use crate::domain::data::Data;
use crate::domain::idempotency::{Keep, Written};
use crate::domain::page::{Page, PageRequest};
use crate::domain::precondition::Precondition;
use crate::domain::record::{CollectionName, Draft, ExpiryChange, Record, RecordId, RecordKey, Version};
use crate::domain::tenant::TenantId;
use crate::domain::time::Timestamp;

/// How often a change is tried again because the record changed under it. The request's deadline ends it as well.
const MAX_ROUNDS: usize = 8;

/// How long a look at a write in doubt may take: the client has waited for the write already.
const SETTLING: Duration = Duration::from_millis(1500);

/// What a put did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The record as it is now.
    pub record: Record,
    /// Whether it was created, rather than replaced.
    pub created: bool,
}

/// One write of a record, however often it is sent.
pub(super) struct Write<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) collection: &'a CollectionName,
    pub(super) id: &'a RecordId,
    pub(super) now: Timestamp,
    /// Unique to this write, or to the transaction that it is a part of.
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

    /// Creates a record that is not there. With an id from [`RecordId::generate`] it never is.
    pub async fn record_create(
        &self,
        access: &Access<RecordsWrite>,
        key: &RecordKey,
        draft: Draft,
        keep: Option<&Keep<'_, Record>>,
    ) -> Result<Written<Record>, WriteError> {
        let write = Write::new(access, key);
        self.collection_ensure(access, write.collection, write.now).await?;
        let record = write.new_record(draft);
        let insert = write.insert(&record, Condition::default().and(ABSENT));
        match self.commit(insert, write.keeping(keep, &record)?).await? {
            Commit::Made => Ok(Written::Now(record)),
            Commit::Before(answered) => Ok(Written::Before(answered)),
            Commit::Refused(_) => Err(WriteError::PreconditionFailed),
            Commit::Doubt(doubt) => Ok(self.settle(&write, doubt).await.map(|_| Written::Now(record))?),
        }
    }

    /// Creates or replaces a record.
    pub async fn record_put(
        &self,
        access: &Access<RecordsWrite>,
        key: &RecordKey,
        draft: Draft,
        precondition: &Precondition,
        keep: Option<&Keep<'_, Put>>,
    ) -> Result<Written<Put>, WriteError> {
        let write = Write::new(access, key);
        if precondition.holds(None) {
            self.collection_ensure(access, write.collection, write.now).await?;
        }
        match keep {
            None => self.put_alone(&write, draft, precondition).await.map(Written::Now),
            Some(keep) => self.put_once(&write, draft, precondition, keep).await,
        }
    }

    /// One update, which tells what it replaced.
    async fn put_alone(&self, write: &Write<'_>, draft: Draft, precondition: &Precondition) -> Result<Put, WriteError> {
        for _ in 0..MAX_ROUNDS {
            let condition = Condition::default().not_expired(write.now).precondition(precondition);
            let remains = match self.table.write(write.update(&draft, condition).returning_old()).await {
                Ok(old) => {
                    // For an item that was not there DynamoDB gives nothing, and the local engine its key.
                    let old = old.filter(|old| old.contains_key(attribute::VERSION));
                    let old = old.as_ref().map(Before::of).transpose()?;
                    return Ok(write.put_over(old, draft));
                }
                Err(Failure::Condition(Some(item))) if is_expired(&item, write.now) && precondition.holds(None) => item,
                Err(failure) => return self.put_despite(write, failure).await,
            };
            // What is left of an expired record is in the way: it is overwritten, unless another write was faster.
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

    /// What a put did, if it did anything although it failed.
    async fn put_despite(&self, write: &Write<'_>, failure: Failure) -> Result<Put, WriteError> {
        let item = match failure {
            Failure::Condition(_) => return Err(WriteError::PreconditionFailed),
            Failure::Conflict(_) => return Err(WriteError::Conflict),
            Failure::Fault(fault) => return Err(fault.into()),
            Failure::Doubt(doubt) => self.settle(write, doubt).await?,
        };
        let record = from_item(write.collection, item)?;
        Ok(Put { created: record.version == write.first_version(), record })
    }

    /// Looks what became of a write that is in doubt: the item that it left, if it is still there. Where it is not, the
    /// write did not happen, or was overwritten, or may still arrive, and nothing tells which.
    async fn settle(&self, write: &Write<'_>, doubt: Doubt) -> Result<Item, Fault> {
        let item = if doubt.rejected {
            doubt.item
        } else {
            let reading = timeout(SETTLING, self.item(write.key(), true)).await;
            reading.ok().and_then(Result::ok).flatten()
        };
        item.filter(|item| write.made(item)).ok_or(doubt.fault)
    }

    /// A transaction on the state that the record is taken to be in: absent, unless the precondition wants a record,
    /// which is cheaper read than guessed wrong. A wrong guess tells the right one.
    async fn put_once(
        &self,
        write: &Write<'_>,
        draft: Draft,
        precondition: &Precondition,
        keep: &Keep<'_, Put>,
    ) -> Result<Written<Put>, WriteError> {
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
            match self.commit(change, write.keeping(Some(keep), &put)?).await? {
                Commit::Made => return Ok(Written::Now(put)),
                Commit::Before(answered) => return Ok(Written::Before(answered)),
                Commit::Refused(item) => old = item,
                Commit::Doubt(doubt) => return Err(doubt.fault.into()),
            }
        }
        Err(WriteError::Conflict)
    }

    /// Applies a merge patch to a record's data, and a change to its expiry.
    ///
    /// The write is on the state that was read. When that is outdated the merge is made again, unless the request
    /// named the state.
    pub async fn record_merge(
        &self,
        access: &Access<RecordsWrite>,
        key: &RecordKey,
        patch: Option<&RawValue>,
        expiry: ExpiryChange,
        precondition: &Precondition,
        keep: Option<&Keep<'_, Record>>,
    ) -> Result<Written<Record>, WriteError> {
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
            match self.commit(update, write.keeping(keep, &record)?).await? {
                Commit::Made => return Ok(Written::Now(record)),
                Commit::Before(answered) => return Ok(Written::Before(answered)),
                Commit::Refused(_) => {}
                Commit::Doubt(doubt) => return Ok(self.settle(&write, doubt).await.map(|_| Written::Now(record))?),
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
        keep: Option<&Keep<'_, ()>>,
    ) -> Result<Written<()>, WriteError> {
        let write = Write::new(access, key);
        let condition = Condition::default().and(EXISTS).not_expired(write.now).precondition(precondition);
        match self.commit(ItemWrite::delete(write.key(), condition), write.keeping(keep, &())?).await? {
            Commit::Made => Ok(Written::Now(())),
            Commit::Before(answered) => Ok(Written::Before(answered)),
            Commit::Refused(None) => Err(WriteError::NotFound),
            Commit::Refused(Some(item)) if is_expired(&item, write.now) => Err(WriteError::NotFound),
            Commit::Refused(Some(_)) => Err(WriteError::PreconditionFailed),
            // A record that is not there may have been deleted by this request, or by another one, or was never there.
            Commit::Doubt(doubt) => Err(doubt.fault.into()),
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

    /// Whether an item is what this write left.
    fn made(&self, item: &Item) -> bool {
        matches!(item.get(attribute::WRITE), Some(AttributeValue::S(write)) if *write == self.mark)
    }

    /// The answer to keep, where the request has a key and the write ends like this.
    fn keeping<'s, T>(&'s self, keep: Option<&Keep<'s, T>>, end: &T) -> Result<Option<Keeping<'s>>, Fault> {
        let Some(keep) = keep else { return Ok(None) };
        let kept = (keep.answer)(end).ok_or_else(|| Fault::unbuilt("the answer cannot be written"))?;
        Ok(Some(Keeping { tenant: self.tenant, once: keep.once, kept, mark: &self.mark, now: self.now }))
    }

    /// Writes a whole item.
    pub(super) fn insert(&self, record: &Record, condition: Condition) -> ItemWrite {
        let mut item = self.key().into_map();
        item.insert(attribute::DATA.into(), AttributeValue::S(record.data.as_str().to_owned()));
        item.insert(attribute::VERSION.into(), number(record.version));
        item.insert(attribute::CREATED_AT.into(), number(record.created_at.as_millis()));
        item.insert(attribute::UPDATED_AT.into(), number(record.updated_at.as_millis()));
        item.insert(attribute::WRITE.into(), AttributeValue::S(self.mark.clone()));
        if let Some(expiry) = record.expires_at {
            item.insert(attribute::EXPIRES_AT.into(), number(expiry.as_secs()));
        }
        ItemWrite::put(item, condition)
    }

    /// Writes what a tenant may write of a record, and keeps the rest.
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

    /// The record after this write over that one, or in an empty place.
    pub(super) fn put_over(&self, old: Option<Before>, draft: Draft) -> Put {
        let mut record = self.new_record(draft);
        if let Some(old) = old {
            record.version = old.version.next();
            record.created_at = old.created_at;
        }
        Put { record, created: old.is_none() }
    }
}

/// What a write over a record keeps of it. It is less than all of it, so that a record can be replaced whose data or
/// expiry cannot be read.
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

fn read_version(item: &Item) -> Result<Version, Fault> {
    read_number(item, attribute::VERSION).map(Version::from_number)
}

/// Whether an item is past its expiry. One whose expiry cannot be read is not, as in [`Condition::not_expired`].
pub(super) fn is_expired(item: &Item, now: Timestamp) -> bool {
    read_expiry(item).is_ok_and(|expiry| expiry.is_some_and(|expiry| expiry.is_past(now)))
}

/// The record in an item, unless it is past its expiry.
pub(super) fn live_from_item(collection: &CollectionName, item: Item, now: Timestamp) -> Result<Option<Record>, Fault> {
    if is_expired(&item, now) { Ok(None) } else { from_item(collection, item).map(Some) }
}

pub(super) fn from_item(collection: &CollectionName, mut item: Item) -> Result<Record, Fault> {
    let data = take_string(&mut item, attribute::DATA)?;
    Ok(Record {
        version: read_version(&item)?,
        created_at: Timestamp::from_millis(read_number(&item, attribute::CREATED_AT)?),
        updated_at: Timestamp::from_millis(read_number(&item, attribute::UPDATED_AT)?),
        expires_at: read_expiry(&item)?,
        id: RecordId::parse(&take_string(&mut item, SK)?).map_err(|_| Fault::corrupt(SK))?,
        collection: collection.clone(),
        data: Data::from_stored(data).ok_or_else(|| Fault::corrupt(attribute::DATA))?,
    })
}
