//! Transactions: operations on records that take effect all together, or not at all.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::domain::record::{CollectionName, Draft, ExpiryChange, RecordId, Version};

/// The most operations of a transaction, which is the limit of `TransactWriteItems`.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
pub const MAX_OPERATIONS: usize = 100;

/// The most operations with an idempotency key, whose stored reply is one of the items.
pub const MAX_WITH_KEY: usize = MAX_OPERATIONS - 1;

/// The most bytes of all records that a transaction writes, including their ids and collection names.
pub const MAX_BYTES: usize = 4_000_000;

/// An operation of a transaction on one record.
#[derive(Debug)]
pub struct Operation<'a> {
    /// The record's collection.
    pub collection: CollectionName,
    /// The record's id.
    pub id: RecordId,
    /// The action.
    pub action: Action<'a>,
}

/// An action on a record. With a version, the record must be in that version.
#[derive(Debug)]
pub enum Action<'a> {
    /// Creates the record, which must not exist.
    Create(Draft),
    /// Creates or replaces the record.
    Put(Draft, Option<Version>),
    /// Changes a part of the record, which must exist.
    Patch(Patch<'a>, Option<Version>),
    /// Deletes the record, which must exist.
    Delete(Option<Version>),
    /// Checks that the record exists, and leaves it as it is.
    Check(Option<Version>),
}

/// A change of a part of a record.
#[derive(Debug)]
pub struct Patch<'a> {
    /// The merge patch for the data (RFC 7396).
    pub data: Option<&'a RawValue>,
    /// The change of the expiry.
    pub expiry: ExpiryChange,
}

/// A valid list of operations, each on a different record.
#[derive(Debug)]
pub struct Transaction<'a>(Vec<Operation<'a>>);

/// The reason why operations are not a valid transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTransaction {
    /// There are no operations, or too many.
    #[error("A transaction must have 1 to {MAX_OPERATIONS} operations; this one has {0}.")]
    Count(usize),
    /// There are too many operations for a request with an idempotency key.
    #[error("With an Idempotency-Key, a transaction can have at most {MAX_WITH_KEY} operations; this one has {0}.")]
    CountWithKey(usize),
    /// Two operations are on the same record.
    #[error("`operations[{1}]` is for the same record as `operations[{0}]`. Combine them.")]
    SameRecord(usize, usize),
}

impl<'a> Transaction<'a> {
    /// Checks the operations.
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

    /// Checks the number of operations, of a transaction with or without an idempotency key.
    pub fn check_count(count: usize, with_key: bool) -> Result<(), InvalidTransaction> {
        if !(1..=MAX_OPERATIONS).contains(&count) {
            Err(InvalidTransaction::Count(count))
        } else if with_key && count > MAX_WITH_KEY {
            Err(InvalidTransaction::CountWithKey(count))
        } else {
            Ok(())
        }
    }

    /// Returns the operations in their order.
    #[must_use]
    pub fn operations(&self) -> &[Operation<'a>] {
        &self.0
    }
}

/// An operation that failed because of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedOperation {
    /// The index of the operation.
    pub operation: usize,
    /// The condition that does not hold.
    pub error: OperationError,
}

/// The reason why an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// The record does not exist.
    #[error("The record does not exist.")]
    NotFound,
    /// The record to create already exists.
    #[error("A record with this id already exists.")]
    Exists,
    /// The record is not in the version that the operation names.
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
    fn the_number_of_operations_is_limited() {
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
    fn each_operation_is_on_a_different_record() {
        assert!(Transaction::new(vec![check("a", "b"), check("b", "a"), check("a", "a")]).is_ok());
        let twice = Transaction::new(vec![check("a", "x"), check("a", "b"), check("b", "x"), check("a", "b")]);
        assert_eq!(twice.unwrap_err(), InvalidTransaction::SameRecord(1, 3));
    }
}
