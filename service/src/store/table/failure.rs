//! How a write of one item fails.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;

use super::Fault;
use super::transaction::unexpected_rejection;
use crate::store::item::Item;

#[derive(Debug)]
pub(in crate::store) enum Failure {
    /// Nothing was written: the condition does not hold, on this item (`None`: there is none).
    Condition(Option<Item>),
    /// The write may have happened, or may still.
    Doubt(Doubt),
    /// Nothing was written: other writes of the item were in the way again and again.
    Conflict(String),
    /// Nothing was written: the table failed.
    Fault(Fault),
}

/// A write of which an attempt may have taken effect, or may still.
#[derive(Debug)]
pub(in crate::store) struct Doubt {
    /// Whether the condition of a later attempt did not hold, which proves nothing.
    pub(in crate::store) rejected: bool,
    /// The item that it did not hold on.
    pub(in crate::store) item: Option<Item>,
    /// What to say where nothing else tells what became of the write.
    pub(in crate::store) fault: Fault,
}

impl Failure {
    /// As a fault, for a write that has no condition and no rivals.
    pub(in crate::store) fn into_fault(self) -> Fault {
        match self {
            Self::Condition(_) => unexpected_rejection(),
            Self::Conflict(text) => Fault::Unavailable(text),
            Self::Doubt(Doubt { fault, .. }) | Self::Fault(fault) => fault,
        }
    }
}

/// An operation's error. The SDK has a type for each, alike in the variant for a condition that does not hold.
pub(in crate::store) trait Conditional: ProvideErrorMetadata + std::error::Error + 'static {
    /// Whether it says that the condition does not hold.
    fn is_condition(&self) -> bool;

    /// The item that the condition does not hold on, if there is one.
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
