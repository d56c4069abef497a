//! A write of one item under a condition, which is sent alone or in a transaction with others.

use aws_sdk_dynamodb::types::{
    Delete, Put, ReturnValue, ReturnValuesOnConditionCheckFailure as OnFailure, TransactWriteItem, Update,
};

use super::attempts::Attempts;
use super::backoff::Backoff;
use super::expression::{Condition, names};
use super::failure::Failure;
use super::item::{Item, attribute};
use super::keys::Key;
use super::{Fault, Store};

/// The write. When its condition does not hold, the item that it does not hold on is told.
pub(super) struct Change {
    kind: Kind,
    condition: Condition,
}

enum Kind {
    Put(Item),
    Update(Key, String),
    Delete(Key),
}

impl Change {
    /// Writes a whole item.
    pub(super) fn put(item: Item, condition: Condition) -> Self {
        Self { kind: Kind::Put(item), condition }
    }

    /// Writes some of an item's attributes; `condition` has the values of both expressions.
    pub(super) fn update(key: Key, expression: String, condition: Condition) -> Self {
        Self { kind: Kind::Update(key, expression), condition }
    }

    /// Ends an item.
    pub(super) fn delete(key: Key, condition: Condition) -> Self {
        Self { kind: Kind::Delete(key), condition }
    }

    /// As a part of a transaction.
    pub(super) fn in_transaction(self, store: &Store) -> Result<TransactWriteItem, Fault> {
        let text = self.condition.text();
        let values = self.condition.into_values();
        let values = (!values.is_empty()).then_some(values);
        let item = TransactWriteItem::builder();
        Ok(match self.kind {
            Kind::Put(whole) => item.put(
                Put::builder()
                    .table_name(&store.table)
                    .set_item(Some(whole))
                    .set_expression_attribute_names(Some(names(&[&text])))
                    .set_expression_attribute_values(values)
                    .condition_expression(text)
                    .return_values_on_condition_check_failure(OnFailure::AllOld)
                    .build()
                    .map_err(Fault::unbuilt)?,
            ),
            Kind::Update(key, update) => item.update(
                Update::builder()
                    .table_name(&store.table)
                    .set_key(Some(key.into_map()))
                    .set_expression_attribute_names(Some(names(&[&update, &text])))
                    .set_expression_attribute_values(values)
                    .update_expression(update)
                    .condition_expression(text)
                    .return_values_on_condition_check_failure(OnFailure::AllOld)
                    .build()
                    .map_err(Fault::unbuilt)?,
            ),
            Kind::Delete(key) => item.delete(
                Delete::builder()
                    .table_name(&store.table)
                    .set_key(Some(key.into_map()))
                    .set_expression_attribute_names(Some(names(&[&text])))
                    .set_expression_attribute_values(values)
                    .condition_expression(text)
                    .return_values_on_condition_check_failure(OnFailure::AllOld)
                    .build()
                    .map_err(Fault::unbuilt)?,
            ),
        }
        .build())
    }
}

impl Store {
    /// Makes a change by itself. Tells what an update found.
    pub(super) async fn apply(&self, change: Change) -> Result<Option<Item>, Failure> {
        let backoff = Backoff::brief();
        let mut attempts =
            if change.condition.pins_version() { Attempts::repeatable(backoff) } else { Attempts::cautious(backoff) };
        let text = change.condition.text();
        let values = change.condition.into_values();
        let values = (!values.is_empty()).then_some(values);
        match change.kind {
            Kind::Put(item) => {
                let request = self
                    .writer
                    .put_item()
                    .table_name(&self.table)
                    .set_item(Some(item))
                    .set_expression_attribute_names(Some(names(&[&text])))
                    .set_expression_attribute_values(values)
                    .condition_expression(text)
                    .return_values_on_condition_check_failure(OnFailure::AllOld);
                attempts.send(|| request.clone().send()).await?;
                Ok(None)
            }
            Kind::Update(key, update) => {
                let request = self
                    .writer
                    .update_item()
                    .table_name(&self.table)
                    .set_key(Some(key.into_map()))
                    .set_expression_attribute_names(Some(names(&[&update, &text])))
                    .set_expression_attribute_values(values)
                    .update_expression(update)
                    .condition_expression(text)
                    .return_values(ReturnValue::AllOld)
                    .return_values_on_condition_check_failure(OnFailure::AllOld);
                let response = attempts.send(|| request.clone().send()).await?;
                // For an item that was not there DynamoDB gives nothing, and the local engine its key.
                Ok(response.attributes.filter(|old| old.contains_key(attribute::VERSION)))
            }
            Kind::Delete(key) => {
                let request = self
                    .writer
                    .delete_item()
                    .table_name(&self.table)
                    .set_key(Some(key.into_map()))
                    .set_expression_attribute_names(Some(names(&[&text])))
                    .set_expression_attribute_values(values)
                    .condition_expression(text)
                    .return_values_on_condition_check_failure(OnFailure::AllOld);
                attempts.send(|| request.clone().send()).await?;
                Ok(None)
            }
        }
    }
}
