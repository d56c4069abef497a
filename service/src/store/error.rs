//! What can go wrong with the table.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use super::table::Aftermath;
use crate::domain::data::DataError;
use crate::domain::transaction::FailedOperation;
use crate::runtime::aws::describe;

/// The table did not do what it was asked. The texts are for logs.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Throttled, failing, out of reach or too slow, after retries: another time it may do it. A write may have
    /// happened.
    #[error("the table is unavailable: {0}")]
    Unavailable(String),
    /// It refused the request: a defect, here or in the deployment.
    #[error("the table cannot be used: {0}")]
    Broken(String),
    /// An item is not stored as this service writes it. Others can be used.
    #[error("an item's attribute `{0}` is missing, or is not what it has to be")]
    Corrupt(String),
}

/// Why there is no record to read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is none.
    #[error("there is no such record")]
    NotFound,
    /// The table failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a list cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The cursor is not one of this list's, in this order, of this tenant.
    #[error("the cursor is not one of this list")]
    InvalidCursor,
    /// The table failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a record was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// There is none to change.
    #[error("there is no such record")]
    NotFound,
    /// It is not in a state that the request's precondition allows.
    #[error("the precondition does not hold")]
    PreconditionFailed,
    /// It changed again and again while it was being changed.
    #[error("too many concurrent changes")]
    Conflict,
    /// The change leads beyond what data may be.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Its idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The table failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a change was not committed, and no stored reply found for it.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Other requests, retries of the same one among them, changed the same items again and again.
    #[error("too many concurrent changes")]
    Conflict,
    /// The table failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a transaction did not happen.
#[derive(Debug, thiserror::Error)]
pub enum TransactError {
    /// Conditions of these operations do not hold; others may not either.
    #[error("conditions do not hold: {0:?}")]
    Failed(Vec<FailedOperation>),
    /// The change of an operation leads beyond what data may be.
    #[error("operations[{operation}]: {error}")]
    Data {
        /// The operation's place.
        operation: usize,
        /// What is wrong with its data.
        error: DataError,
    },
    /// The records that it writes have so many bytes together, which is too many.
    #[error("{0} bytes of records")]
    TooLarge(usize),
    /// Its records changed again and again.
    #[error("too many concurrent changes")]
    Conflict,
    /// Its idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The table failed. Where it is unavailable, the transaction may have happened.
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

/// Why a machine token was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// There is none to revoke.
    #[error("there is no such token")]
    NotFound,
    /// Other writes of it were in the way again and again.
    #[error("too many concurrent changes")]
    Conflict,
    /// The table failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Fault {
    /// A request that cannot be put together: a defect here.
    pub(super) fn unbuilt(error: impl std::fmt::Display) -> Self {
        Self::Broken(error.to_string())
    }

    /// An item that lacks an attribute, or has another value of it than it can have.
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
            // Without a code it is not from `DynamoDB`, but from something on the way to it.
            Aftermath::Final if coded || matches!(error, SdkError::ConstructionFailure(_)) => Self::Broken(text),
            _ => Self::Unavailable(text),
        }
    }
}
