//! The errors of the store.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use super::table::Aftermath;
use crate::domain::data::DataError;
use crate::domain::transaction::FailedOperation;
use crate::runtime::aws::describe;

/// A failure of the table. The texts are for logs only.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// After retries, the table is still throttled, failing, out of reach or too slow. A later attempt may succeed. A write
    /// may have taken effect.
    #[error("the table is unavailable: {0}")]
    Unavailable(String),
    /// The table rejected the request, which is a defect of this service or of the deployment.
    #[error("the table cannot be used: {0}")]
    Broken(String),
    /// An item has an attribute that this service did not write in this form. Other items can be read.
    #[error("an item's attribute `{0}` is missing or invalid")]
    Corrupt(String),
}

/// The reason why a record was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The record does not exist.
    #[error("there is no such record")]
    NotFound,
    /// The table failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// The reason why a list was not read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The cursor belongs to another list, another order or another tenant, or is not a cursor.
    #[error("the cursor does not belong to this list")]
    InvalidCursor,
    /// The table failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// The reason why a record was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The record to change does not exist.
    #[error("there is no such record")]
    NotFound,
    /// The request's precondition does not hold for the record.
    #[error("the precondition does not hold")]
    PreconditionFailed,
    /// Too many other requests were writing the record.
    #[error("too many concurrent changes")]
    Conflict,
    /// The change would make the data invalid or too large.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The request's idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The table failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// The reason why a change was not committed, and no stored reply was found for it.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Too many other requests, which may include retries of this one, were writing the same items.
    #[error("too many concurrent changes")]
    Conflict,
    /// The table failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// The reason why a transaction had no effect.
#[derive(Debug, thiserror::Error)]
pub enum TransactError {
    /// The conditions of these operations do not hold. Those of further operations may not hold either.
    #[error("conditions do not hold: {0:?}")]
    Failed(Vec<FailedOperation>),
    /// The change of an operation would make the data invalid or too large.
    #[error("operations[{operation}]: {error}")]
    Data {
        /// The operation's index.
        operation: usize,
        /// The reason.
        error: DataError,
    },
    /// The records that it writes have this number of bytes together, which is too many.
    #[error("{0} bytes of records")]
    TooLarge(usize),
    /// Too many other requests were writing its records.
    #[error("too many concurrent changes")]
    Conflict,
    /// The request's idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The table failed. If it is unavailable, the transaction may have taken effect.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<CommitError> for WriteError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::KeyReused => Self::KeyReused,
            CommitError::Conflict => Self::Conflict,
            CommitError::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl From<CommitError> for TransactError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::KeyReused => Self::KeyReused,
            CommitError::Conflict => Self::Conflict,
            CommitError::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// The reason why a machine token was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// The machine token does not exist.
    #[error("there is no such token")]
    NotFound,
    /// Too many other requests were writing the machine token.
    #[error("too many concurrent changes")]
    Conflict,
    /// The table failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Fault {
    /// Returns the fault of a request that cannot be built, which is a defect of this service.
    pub(super) fn unbuilt(error: impl std::fmt::Display) -> Self {
        Self::Broken(error.to_string())
    }

    /// Returns the fault of an item in which an attribute is missing or invalid.
    pub(super) fn corrupt(attribute: &str) -> Self {
        Self::Corrupt(attribute.to_owned())
    }
}

impl<E> From<SdkError<E>> for Fault
where
    E: ProvideErrorMetadata,
{
    fn from(error: SdkError<E>) -> Self {
        let text = describe(&error);
        let coded = matches!(&error, SdkError::ServiceError(service) if service.err().code().is_some());
        match Aftermath::of(&error) {
            // Without a code the response is not from `DynamoDB`, but from something on the way to it.
            Aftermath::Final if coded || matches!(error, SdkError::ConstructionFailure(_)) => Self::Broken(text),
            _ => Self::Unavailable(text),
        }
    }
}
