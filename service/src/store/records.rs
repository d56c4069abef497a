//! Records: each call is one request to the table (a merge: a read and a write).
//!
//! A write carries an id of its own, which the item keeps. When an answer is lost and the SDK sends the request again,
//! the repeat finds its own id and is known to have succeeded: no write is made twice, and none that happened is
//! reported as lost to a rival.
//!
//! An item past its `expiresAt` is no record, whether DynamoDB has removed it yet or not.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure as OnFailure};
use serde_json::value::RawValue;
use ulid::Ulid;

use super::attempts::Attempts;
use super::collections::KnownCollections;
use super::expression::{ABSENT, Condition, EXISTS, NOT_MINE, SAME_VERSION, names};
use super::failure::Failure;
use super::item::{Item, attribute, number, optional_number, read_number, take_string};
use super::keys::{self, Key, SK};
use super::query::{Partition, query};
use super::{Fault, ListError, ReadError, Store, WriteError};
use crate::caller::{Access, RecordsRead, RecordsWrite};
use crate::data::Data;
use crate::page::{Page, PageRequest};
use crate::precondition::Precondition;
use crate::record::{CollectionName, Draft, ExpiryChange, Record, RecordId, Version};
use crate::time::{Expiry, Timestamp};

/// How often a change is tried again because the record changed under it. The handler's deadline ends it as well.
const MAX_ROUNDS: usize = 8;

/// What a put did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The record as it is now.
    pub record: Record,
    /// Whether it was created, rather than replaced.
    pub created: bool,
}

/// One write of a record, however often it is sent.
struct Write<'a> {
    collection: &'a CollectionName,
    id: &'a RecordId,
    now: Timestamp,
    /// Unique to this write.
    mark: String,
}

impl Store {
    /// Reads a record.
    pub async fn record(
        &self,
        access: &Access<RecordsRead>,
        collection: &CollectionName,
        id: &RecordId,
        consistent: bool,
    ) -> Result<Record, ReadError> {
        let key = Key { pk: keys::records(access.tenant(), collection), sk: id.as_str().to_owned() };
        self.live_record(key, collection, consistent).await?.ok_or(ReadError::NotFound)
    }

    /// Lists the records of a collection by id.
    pub async fn records(
        &self,
        access: &Access<RecordsRead>,
        collection: &CollectionName,
        page: &PageRequest,
    ) -> Result<Page<Record>, ListError> {
        let filter = live();
        let partition = keys::records(access.tenant(), collection);
        query(self, &Partition::of_table(&partition), page, Some(filter), |item| from_item(collection, item)).await
    }

    /// Creates a record that is not there. With an id from [`RecordId::generate`] it never is.
    pub async fn create_record(
        &self,
        access: &Access<RecordsWrite>,
        known: &KnownCollections,
        collection: &CollectionName,
        id: &RecordId,
        draft: Draft,
    ) -> Result<Record, WriteError> {
        let write = Write::new(collection, id);
        self.ensure_collection(known, access, collection, write.now).await?;
        let record = write.new_record(draft);
        match self.insert(access, &write, &record, Condition::default().and(ABSENT)).await {
            Ok(()) => Ok(record),
            Err(Failure::Condition(Some(item))) if write.made(&item) => Ok(record),
            Err(Failure::Condition(_)) => Err(WriteError::PreconditionFailed),
            Err(Failure::Fault(fault)) => Err(fault.into()),
        }
    }

    /// Creates or replaces a record.
    pub async fn put_record(
        &self,
        access: &Access<RecordsWrite>,
        known: &KnownCollections,
        collection: &CollectionName,
        id: &RecordId,
        draft: Draft,
        precondition: &Precondition,
    ) -> Result<Put, WriteError> {
        let write = Write::new(collection, id);
        if precondition.holds(None) {
            self.ensure_collection(known, access, collection, write.now).await?;
        }
        for _ in 0..MAX_ROUNDS {
            let condition = Condition::default().not_expired(write.now).precondition(precondition);
            let old = match self.update(access, &write, &draft, condition).await {
                Ok(old) => {
                    let record = write.record_over(old.as_ref(), draft)?;
                    return Ok(Put { created: old.is_none(), record });
                }
                Err(Failure::Fault(fault)) => return Err(fault.into()),
                Err(Failure::Condition(None)) => return Err(WriteError::PreconditionFailed),
                Err(Failure::Condition(Some(item))) => item,
            };
            if write.made(&old) {
                let record = from_item(collection, old)?;
                return Ok(Put { created: record.version == write.first_version(), record });
            }
            if !is_expired(&old, write.now)? || !precondition.holds(None) {
                return Err(WriteError::PreconditionFailed);
            }
            // What is left of an expired record is in the way: it is overwritten, unless somebody else was faster.
            let record = write.new_record(draft.clone());
            let condition = same_version(read_version(&old)?);
            match self.insert(access, &write, &record, condition).await {
                Ok(()) => return Ok(Put { record, created: true }),
                Err(Failure::Condition(Some(item))) if write.made(&item) => return Ok(Put { record, created: true }),
                Err(Failure::Condition(_)) => {}
                Err(Failure::Fault(fault)) => return Err(fault.into()),
            }
        }
        Err(WriteError::Conflict)
    }

    /// Applies a merge patch to a record's data, and a change to its expiry.
    ///
    /// The write is on the state that was read. When that is outdated the merge is made again, unless the request
    /// named the state.
    pub async fn merge_record(
        &self,
        access: &Access<RecordsWrite>,
        collection: &CollectionName,
        id: &RecordId,
        patch: Option<&RawValue>,
        expiry: ExpiryChange,
        precondition: &Precondition,
    ) -> Result<Record, WriteError> {
        let key = Key { pk: keys::records(access.tenant(), collection), sk: id.as_str().to_owned() };
        for _ in 0..MAX_ROUNDS {
            let current = self.live_record(key.clone(), collection, true).await?.ok_or(WriteError::NotFound)?;
            if !precondition.holds(Some(current.version)) {
                return Err(WriteError::PreconditionFailed);
            }
            let data = match patch {
                Some(patch) => current.data.merge(patch)?,
                None => current.data,
            };
            let draft = Draft { data, expires_at: expiry.of(current.expires_at) };
            let write = Write::new(collection, id);
            match self.update(access, &write, &draft, same_version(current.version)).await {
                Ok(old) => return Ok(write.record_over(old.as_ref(), draft)?),
                Err(Failure::Condition(Some(item))) if write.made(&item) => return Ok(from_item(collection, item)?),
                Err(Failure::Condition(_)) => {}
                Err(Failure::Fault(fault)) => return Err(fault.into()),
            }
        }
        Err(WriteError::Conflict)
    }

    /// Deletes a record.
    pub async fn delete_record(
        &self,
        access: &Access<RecordsWrite>,
        collection: &CollectionName,
        id: &RecordId,
        precondition: &Precondition,
    ) -> Result<(), WriteError> {
        let now = Timestamp::now();
        let key = Key { pk: keys::records(access.tenant(), collection), sk: id.as_str().to_owned() };
        let condition = Condition::default().and(EXISTS).not_expired(now).precondition(precondition);
        let attempts = Attempts::default();
        let text = condition.text();
        let result = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key.into_map()))
            .set_expression_attribute_names(Some(names(&[&text])))
            .set_expression_attribute_values(Some(condition.into_values()))
            .condition_expression(text)
            .return_values_on_condition_check_failure(OnFailure::AllOld)
            .customize()
            .interceptor(attempts.clone())
            .send()
            .await;
        match result.map_err(Failure::from) {
            Ok(_) => Ok(()),
            // A try before this one has deleted it, and its answer was lost.
            Err(Failure::Condition(None)) if attempts.repeated() => Ok(()),
            Err(Failure::Condition(None)) => Err(WriteError::NotFound),
            Err(Failure::Condition(Some(item))) if is_expired(&item, now)? => Err(WriteError::NotFound),
            Err(Failure::Condition(Some(_))) => Err(WriteError::PreconditionFailed),
            Err(Failure::Fault(fault)) => Err(fault.into()),
        }
    }

    async fn live_record(
        &self,
        key: Key,
        collection: &CollectionName,
        consistent: bool,
    ) -> Result<Option<Record>, Fault> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key.into_map()))
            .consistent_read(consistent)
            .send()
            .await?;
        let now = Timestamp::now();
        let record = answer.item.map(|item| from_item(collection, item)).transpose()?;
        Ok(record.filter(|record| record.expires_at.is_none_or(|expiry| !expiry.is_past(now))))
    }

    /// Writes a whole item.
    async fn insert(
        &self,
        access: &Access<RecordsWrite>,
        write: &Write<'_>,
        record: &Record,
        condition: Condition,
    ) -> Result<(), Failure> {
        let mut item = write.key(access).into_map();
        item.insert(attribute::DATA.into(), AttributeValue::S(record.data.as_str().to_owned()));
        item.insert(attribute::VERSION.into(), number(record.version));
        item.insert(attribute::CREATED_AT.into(), number(record.created_at.as_millis()));
        item.insert(attribute::UPDATED_AT.into(), number(record.updated_at.as_millis()));
        item.insert(attribute::WRITE.into(), AttributeValue::S(write.mark.clone()));
        if let Some(expiry) = record.expires_at {
            item.insert(attribute::EXPIRES_AT.into(), number(expiry.as_secs()));
        }
        let text = condition.text();
        let values = condition.into_values();
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .set_expression_attribute_names(Some(names(&[&text])))
            .set_expression_attribute_values((!values.is_empty()).then_some(values))
            .condition_expression(text)
            .return_values_on_condition_check_failure(OnFailure::AllOld)
            .send()
            .await?;
        Ok(())
    }

    /// Writes what a tenant may write of a record, and keeps the rest. Answers the item as it was before.
    async fn update(
        &self,
        access: &Access<RecordsWrite>,
        write: &Write<'_>,
        draft: &Draft,
        condition: Condition,
    ) -> Result<Option<Item>, Failure> {
        let mut update = "SET #data = :data, #version = if_not_exists(#version, :before) + :one, \
                          #createdAt = if_not_exists(#createdAt, :now), #updatedAt = :now, #write = :write"
            .to_owned();
        let mut condition = condition
            .and(NOT_MINE)
            .value(":data", AttributeValue::S(draft.data.as_str().to_owned()))
            .value(":before", number(Version::first(write.now)))
            .value(":one", number(1))
            .value(":now", number(write.now.as_millis()))
            .value(":write", AttributeValue::S(write.mark.clone()));
        if let Some(expiry) = draft.expires_at {
            update.push_str(", #expiresAt = :expiresAt");
            condition = condition.value(":expiresAt", number(expiry.as_secs()));
        } else {
            update.push_str(" REMOVE #expiresAt");
        }
        let text = condition.text();
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(write.key(access).into_map()))
            .set_expression_attribute_names(Some(names(&[&update, &text])))
            .set_expression_attribute_values(Some(condition.into_values()))
            .update_expression(update)
            .condition_expression(text)
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(OnFailure::AllOld)
            .send()
            .await?;
        // For an item that was not there DynamoDB gives nothing, and the local engine its key.
        Ok(answer.attributes.filter(|old| old.contains_key(attribute::VERSION)))
    }
}

impl<'a> Write<'a> {
    fn new(collection: &'a CollectionName, id: &'a RecordId) -> Self {
        Self { collection, id, now: Timestamp::now(), mark: Ulid::generate().to_string() }
    }

    fn key(&self, access: &Access<RecordsWrite>) -> Key {
        Key { pk: keys::records(access.tenant(), self.collection), sk: self.id.as_str().to_owned() }
    }

    /// The version of a record that this write creates.
    fn first_version(&self) -> Version {
        Version::first(self.now).next()
    }

    /// Whether an item is what this write left.
    fn made(&self, item: &Item) -> bool {
        matches!(item.get(attribute::WRITE), Some(AttributeValue::S(write)) if *write == self.mark)
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

    /// The record after an [`Store::update`] of that item.
    fn record_over(&self, old: Option<&Item>, draft: Draft) -> Result<Record, Fault> {
        let mut record = self.new_record(draft);
        if let Some(old) = old {
            record.version = read_version(old)?.next();
            record.created_at = Timestamp::from_millis(read_number(old, attribute::CREATED_AT)?);
        }
        Ok(record)
    }
}

/// The filter of lists: what is past its expiry is no record.
pub(super) fn live() -> Condition {
    Condition::default().not_expired(Timestamp::now())
}

fn same_version(version: Version) -> Condition {
    Condition::default().and(SAME_VERSION).value(":current", number(version))
}

fn read_version(item: &Item) -> Result<Version, Fault> {
    read_number(item, attribute::VERSION).map(Version::from_number)
}

fn read_expiry(item: &Item) -> Result<Option<Expiry>, Fault> {
    Ok(optional_number(item, attribute::EXPIRES_AT)?.map(Expiry::from_secs))
}

fn is_expired(item: &Item, now: Timestamp) -> Result<bool, Fault> {
    Ok(read_expiry(item)?.is_some_and(|expiry| expiry.is_past(now)))
}

pub(super) fn from_item(collection: &CollectionName, mut item: Item) -> Result<Record, Fault> {
    Ok(Record {
        version: read_version(&item)?,
        created_at: Timestamp::from_millis(read_number(&item, attribute::CREATED_AT)?),
        updated_at: Timestamp::from_millis(read_number(&item, attribute::UPDATED_AT)?),
        expires_at: read_expiry(&item)?,
        id: RecordId::parse(&take_string(&mut item, SK)?).map_err(|_| Fault::corrupt(SK))?,
        collection: collection.clone(),
        data: Data::from_stored(take_string(&mut item, attribute::DATA)?),
    })
}
