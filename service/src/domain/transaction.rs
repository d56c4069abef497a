//! Transactions: operations on records that happen all together, or not at all.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::domain::record::{CollectionName, Draft, ExpiryChange, RecordId, Version};

/// The most operations of a transaction, which is what a `TransactWriteItems` takes.
pub const MAX_OPERATIONS: usize = 100;

/// The most with an idempotency key, whose answer is one of the items.
pub const MAX_WITH_KEY: usize = MAX_OPERATIONS - 1;

/// The most bytes of the records that a transaction writes, their ids and collections included.
pub const MAX_BYTES: usize = 4_000_000;

/// What a transaction does to one record.
#[derive(Debug)]
pub struct Operation<'a> {
    /// The record's collection.
    pub collection: CollectionName,
    /// The record's id.
    pub id: RecordId,
    /// What becomes of it.
    pub action: Action<'a>,
}

/// What becomes of a record. With a version, only if the record is in that one.
#[derive(Debug)]
pub enum Action<'a> {
    /// It is made. There must be none.
    Create(Draft),
    /// It is made, or replaced.
    Put(Draft, Option<Version>),
    /// It is changed. There must be one.
    Patch(Patch<'a>, Option<Version>),
    /// It is deleted. There must be one.
    Delete(Option<Version>),
    /// It stays as it is. There must be one.
    Check(Option<Version>),
}

/// A change of a part of a record.
#[derive(Debug)]
pub struct Patch<'a> {
    /// The merge patch for the data.
    pub data: Option<&'a RawValue>,
    /// What becomes of the expiry.
    pub expiry: ExpiryChange,
}

/// Operations, each on a record of its own.
#[derive(Debug)]
pub struct Transaction<'a>(Vec<Operation<'a>>);

/// Operations that are no transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTransaction {
    /// There are none, or too many.
    #[error("A transaction must have 1 to {MAX_OPERATIONS} operations; this one has {0}.")]
    Count(usize),
    /// There are too many to be done once.
    #[error("With an Idempotency-Key, a transaction can have at most {MAX_WITH_KEY} operations; this one has {0}.")]
    CountWithKey(usize),
    /// Two are on the same record.
    #[error("`operations[{1}]` is for the same record as `operations[{0}]`. Combine them.")]
    SameRecord(usize, usize),
}

impl<'a> Transaction<'a> {
    /// Makes a transaction of operations.
    pub fn new(operations: Vec<Operation<'a>>) -> Result<Self, InvalidTransaction> {
        Self::check_count(operations.len(), false)?;
        let mut places = HashMap::new();
        for (place, operation) in operations.iter().enumerate() {
            if let Some(other) = places.insert((operation.collection.as_str(), operation.id.as_str()), place) {
                return Err(InvalidTransaction::SameRecord(other, place));
            }
        }
        Ok(Self(operations))
    }

    /// Whether so many operations may be a transaction, and one with an idempotency key.
    pub fn check_count(count: usize, with_key: bool) -> Result<(), InvalidTransaction> {
        if !(1..=MAX_OPERATIONS).contains(&count) {
            Err(InvalidTransaction::Count(count))
        } else if with_key && count > MAX_WITH_KEY {
            Err(InvalidTransaction::CountWithKey(count))
        } else {
            Ok(())
        }
    }

    /// The operations in their order.
    #[must_use]
    pub fn operations(&self) -> &[Operation<'a>] {
        &self.0
    }
}

/// An operation whose condition does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedOperation {
    /// Its place among the operations.
    pub operation: usize,
    /// What does not hold.
    pub error: OperationError,
}

/// What does not hold for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// There is no record to work on.
    #[error("The record does not exist.")]
    NotFound,
    /// There is a record where one was to be made.
    #[error("A record with this id already exists.")]
    Exists,
    /// The record is in another version than the one that was named.
    #[error("The record's current version is not `ifVersion`.")]
    OtherVersion,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(collection: &str, id: &str) -> Operation<'static> {
        let collection = CollectionName::parse(collection).unwrap();
        Operation { collection, id: RecordId::parse(id).unwrap(), action: Action::Check(None) }
    }

    #[test]
    fn a_transaction_has_some_operations_and_not_too_many() {
        let many = |count: usize| (0..count).map(|n| check("notes", &n.to_string())).collect();
        for count in [1, 100] {
            assert_eq!(Transaction::new(many(count)).unwrap().operations().len(), count);
        }
        for count in [0, 101] {
            assert_eq!(Transaction::new(many(count)).unwrap_err(), InvalidTransaction::Count(count));
        }
        assert_eq!(Transaction::check_count(99, true), Ok(()));
        assert_eq!(Transaction::check_count(100, true), Err(InvalidTransaction::CountWithKey(100)));
    }

    #[test]
    fn each_operation_is_on_a_record_of_its_own() {
        assert!(Transaction::new(vec![check("a", "b"), check("b", "a"), check("a", "a")]).is_ok());
        let twice = Transaction::new(vec![check("a", "x"), check("a", "b"), check("b", "x"), check("a", "b")]);
        assert_eq!(twice.unwrap_err(), InvalidTransaction::SameRecord(1, 3));
    }
}
