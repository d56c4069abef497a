//! The ways in which a write of one item fails.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;

use super::Fault;
use super::transaction::unexpected_rejection;
use crate::store::item::Item;

/// The failure of a write of one item.
#[derive(Debug)]
pub(in crate::store) enum Failure {
    /// Nothing was written, because the condition does not hold on this item (`None`: the item does not exist).
    Condition(Option<Item>),
    /// The write may have taken effect, or may still do so.
    Doubt(Doubt),
    /// Nothing was written, because too many other requests were writing the item.
    Conflict(String),
    /// Nothing was written, because the table failed.
    Fault(Fault),
}

/// A write of which an attempt may have taken effect, or may still do so.
#[derive(Debug)]
pub(in crate::store) struct Doubt {
    /// Whether a later attempt was rejected by its condition, which proves nothing.
    pub(in crate::store) rejected: bool,
    /// The item on which the condition did not hold.
    pub(in crate::store) item: Option<Item>,
    /// The fault to report where nothing else shows whether the write took effect.
    pub(in crate::store) fault: Fault,
}

impl Failure {
    /// Converts the failure of a write that has no condition and no competing writes.
    pub(in crate::store) fn into_fault(self) -> Fault {
        match self {
            Self::Condition(_) => unexpected_rejection(),
            Self::Conflict(text) => Fault::Unavailable(text),
            Self::Doubt(Doubt { fault, .. }) | Self::Fault(fault) => fault,
        }
    }
}

/// The error of an operation. The SDK has a type for each, and they share the variant for a condition that does not hold.
pub(in crate::store) trait Conditional: ProvideErrorMetadata + std::error::Error + 'static {
    /// Returns whether the condition does not hold.
    fn is_condition(&self) -> bool;

    /// Returns the item on which the condition does not hold, if it exists.
    fn into_item(self) -> Option<Item>;
}

macro_rules! conditional {
    ($($error:ident),+) => {
        $(impl Conditional for $error {
            fn is_condition(&self) -> bool {
                self.is_conditional_check_failed_exception()
            }

            fn into_item(self) -> Option<Item> {
                match self {
                    Self::ConditionalCheckFailedException(failed) => failed.item,
                    _ => None,
                }
            }
        })+
    };
}

conditional!(DeleteItemError, PutItemError, UpdateItemError);
