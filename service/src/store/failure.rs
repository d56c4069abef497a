//! How a conditional write fails: by its condition, or by a fault.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;

use super::Fault;
use super::item::Item;

#[derive(Debug)]
pub(super) enum Failure {
    /// The condition does not hold, on this item (`None`: there is none).
    Condition(Option<Item>),
    /// The table failed.
    Fault(Fault),
}

/// The SDK has an error type for each operation, alike in this variant.
macro_rules! conditional {
    ($($error:ident),+) => {
        $(impl<R> From<SdkError<$error, R>> for Failure
        where
            R: std::fmt::Debug,
            SdkError<$error, R>: std::error::Error,
        {
            fn from(error: SdkError<$error, R>) -> Self {
                match error {
                    SdkError::ServiceError(service) if service.err().is_conditional_check_failed_exception() => {
                        match service.into_err() {
                            $error::ConditionalCheckFailedException(failed) => Self::Condition(failed.item),
                            _ => Self::Condition(None),
                        }
                    }
                    error => Self::Fault(error.into()),
                }
            }
        })+
    };
}

conditional!(DeleteItemError, PutItemError, UpdateItemError);
