//! An interceptor that requests the consumed capacity units with each request to `DynamoDB`, and adds them to the count of
//! `capacity`.

use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::batch_get_item::{BatchGetItemInput, BatchGetItemOutput};
use aws_sdk_dynamodb::operation::batch_write_item::{BatchWriteItemInput, BatchWriteItemOutput};
use aws_sdk_dynamodb::operation::delete_item::{DeleteItemInput, DeleteItemOutput};
use aws_sdk_dynamodb::operation::get_item::{GetItemInput, GetItemOutput};
use aws_sdk_dynamodb::operation::put_item::{PutItemInput, PutItemOutput};
use aws_sdk_dynamodb::operation::query::{QueryInput, QueryOutput};
use aws_sdk_dynamodb::operation::transact_get_items::{TransactGetItemsInput, TransactGetItemsOutput};
use aws_sdk_dynamodb::operation::transact_write_items::{TransactWriteItemsInput, TransactWriteItemsOutput};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemInput, UpdateItemOutput};
use aws_sdk_dynamodb::types::{ConsumedCapacity, ReturnConsumedCapacity};
use aws_smithy_runtime_api::client::interceptors::context::{Input, Output};

use crate::domain::units::Units;
use crate::runtime::capacity::{add, is_measured};

/// The interceptor. It belongs to the client, so no operation can be forgotten.
#[derive(Debug)]
pub(super) struct Meter;

impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "Meter"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if is_measured() {
            request_capacity(context.input_mut());
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Ok(output) = context.output_or_error() {
            count(output);
        }
        Ok(())
    }
}

fn reads(capacity: &ConsumedCapacity) -> Units {
    Units { read: capacity.capacity_units.unwrap_or_default(), write: 0.0 }
}

fn writes(capacity: &ConsumedCapacity) -> Units {
    Units { read: 0.0, write: capacity.capacity_units.unwrap_or_default() }
}

/// Returns the units of a transaction. For one that is retried with the same token and was already done, `DynamoDB` only
/// reads, and the response has read capacity units.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
fn transaction(capacity: &ConsumedCapacity) -> Units {
    match capacity.read_capacity_units {
        Some(read) => Units { read, write: capacity.write_capacity_units.unwrap_or_default() },
        None => writes(capacity),
    }
}

/// Defines `request_capacity` and `count` for the operations that the store uses, or may come to use, each with the
/// function that converts its units.
macro_rules! metered {
    ($($input:ident, $output:ident => $units:ident,)*) => {
        fn request_capacity(input: &mut Input) {
            $(if let Some(input) = input.downcast_mut::<$input>() {
                input.return_consumed_capacity = Some(ReturnConsumedCapacity::Total);
            })*
        }

        fn count(output: &Output) {
            $(if let Some(output) = output.downcast_ref::<$output>() {
                // The consumed capacity is an option or a list.
                output.consumed_capacity().into_iter().map($units).for_each(add);
            })*
        }
    };
}

metered! {
    GetItemInput, GetItemOutput => reads,
    PutItemInput, PutItemOutput => writes,
    UpdateItemInput, UpdateItemOutput => writes,
    DeleteItemInput, DeleteItemOutput => writes,
    QueryInput, QueryOutput => reads,
    BatchGetItemInput, BatchGetItemOutput => reads,
    BatchWriteItemInput, BatchWriteItemOutput => writes,
    TransactGetItemsInput, TransactGetItemsOutput => reads,
    TransactWriteItemsInput, TransactWriteItemsOutput => transaction,
}
