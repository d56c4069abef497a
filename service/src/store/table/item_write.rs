//! A write of one item under a condition, which is sent alone or in a transaction with others.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnValue, ReturnValuesOnConditionCheckFailure as OnFailure,
    TransactWriteItem, Update,
};

use super::attempts::Attempts;
use super::backoff::Backoff;
use super::failure::Failure;
use super::{Fault, Table};
use crate::store::expression::{Condition, names};
use crate::store::item::Item;
use crate::store::keys::Key;

/// A write of one item. If its condition does not hold, the failure has the item on which it does not hold.
#[derive(Clone)]
pub(in crate::store) struct ItemWrite {
    kind: Kind,
    condition: Condition,
    /// The attributes' names that differ from the placeholders in the expressions.
    names: HashMap<String, String>,
    /// Whether the write changes nothing when it is repeated, or takes effect at most once however often it is sent.
    repeatable: bool,
    returns: ReturnValue,
}

#[derive(Clone)]
enum Kind {
    Put(Item),
    Update(Key, String),
    Delete(Key),
    Check(Key),
}

/// Sets the members that all requests about one item share. The SDK has a builder for each of them, and no common trait.
macro_rules! request {
    ($builder:expr, $table:expr, $parts:ident) => {
        $builder
            .table_name(&$table.name)
            .set_expression_attribute_names($parts.names)
            .set_expression_attribute_values($parts.values)
            .set_return_values_on_condition_check_failure($parts.condition.is_some().then_some(OnFailure::AllOld))
            .set_condition_expression($parts.condition)
    };
}

impl ItemWrite {
    fn of(kind: Kind, condition: Condition) -> Self {
        let repeatable = condition.pins_version();
        Self { kind, condition, names: HashMap::new(), repeatable, returns: ReturnValue::None }
    }

    /// Creates or replaces a whole item.
    pub(in crate::store) fn put(item: Item, condition: Condition) -> Self {
        Self::of(Kind::Put(item), condition)
    }

    /// Writes some of an item's attributes. `condition` has the values of both expressions.
    pub(in crate::store) fn update(key: Key, expression: String, condition: Condition) -> Self {
        Self::of(Kind::Update(key, expression), condition)
    }

    /// Deletes an item, if it exists.
    pub(in crate::store) fn delete(key: Key, condition: Condition) -> Self {
        Self::of(Kind::Delete(key), condition)
    }

    /// Checks an item without a change. Only a transaction can contain a check.
    pub(in crate::store) fn check(key: Key, condition: Condition) -> Self {
        Self::of(Kind::Check(key), condition)
    }

    /// Lets the placeholder `#name` stand for another attribute than `name`.
    pub(in crate::store) fn name(mut self, name: String, attribute: String) -> Self {
        self.names.insert(name, attribute);
        self
    }

    /// Declares that the write changes nothing when it is repeated, or takes effect at most once however often it is sent.
    pub(in crate::store) fn repeatable(self) -> Self {
        Self { repeatable: true, ..self }
    }

    /// Lets an update return the item before it.
    pub(in crate::store) fn returning_old(self) -> Self {
        Self { returns: ReturnValue::AllOld, ..self }
    }

    /// Lets an update return the item after it.
    pub(in crate::store) fn returning_new(self) -> Self {
        Self { returns: ReturnValue::AllNew, ..self }
    }

    /// Splits the write into its kind and the parts that all kinds share.
    fn into_parts(self) -> (Kind, Parts) {
        let Self { kind, condition, names: others, repeatable, returns } = self;
        let text = condition.text();
        let update = if let Kind::Update(_, update) = &kind { update.as_str() } else { "" };
        let mut names = names(&[update, &text]);
        names.extend(others);
        let values = condition.into_values();
        let parts = Parts {
            names: (!names.is_empty()).then_some(names),
            values: (!values.is_empty()).then_some(values),
            condition: (!text.is_empty()).then_some(text),
            repeatable,
            returns,
        };
        (kind, parts)
    }

    /// Converts the write into a part of a transaction on a table.
    pub(super) fn in_transaction(self, table: &Table) -> Result<TransactWriteItem, Fault> {
        let (kind, parts) = self.into_parts();
        let item = TransactWriteItem::builder();
        Ok(match kind {
            Kind::Put(whole) => {
                let put = request!(Put::builder(), table, parts).set_item(Some(whole));
                item.put(put.build().map_err(Fault::unbuilt)?)
            }
            Kind::Update(key, update) => {
                let update =
                    request!(Update::builder(), table, parts).set_key(Some(key.into_map())).update_expression(update);
                item.update(update.build().map_err(Fault::unbuilt)?)
            }
            Kind::Delete(key) => {
                let delete = request!(Delete::builder(), table, parts).set_key(Some(key.into_map()));
                item.delete(delete.build().map_err(Fault::unbuilt)?)
            }
            Kind::Check(key) => {
                let check = request!(ConditionCheck::builder(), table, parts).set_key(Some(key.into_map()));
                item.condition_check(check.build().map_err(Fault::unbuilt)?)
            }
        }
        .build())
    }
}

struct Parts {
    names: Option<HashMap<String, String>>,
    values: Option<HashMap<String, AttributeValue>>,
    condition: Option<String>,
    repeatable: bool,
    returns: ReturnValue,
}

impl Table {
    /// Makes a single write. Returns the item before or after an update, if the update is to return one.
    pub(in crate::store) async fn write(&self, change: ItemWrite) -> Result<Option<Item>, Failure> {
        let (kind, parts) = change.into_parts();
        let backoff = Backoff::brief();
        let mut attempts = if parts.repeatable { Attempts::repeatable(backoff) } else { Attempts::cautious(backoff) };
        match kind {
            Kind::Put(item) => {
                let request = request!(self.writer.put_item(), self, parts).set_item(Some(item));
                attempts.send(|| request.clone().send()).await?;
                Ok(None)
            }
            Kind::Update(key, update) => {
                let request = request!(self.writer.update_item(), self, parts)
                    .set_key(Some(key.into_map()))
                    .update_expression(update)
                    .return_values(parts.returns);
                Ok(attempts.send(|| request.clone().send()).await?.attributes)
            }
            Kind::Delete(key) => {
                let request = request!(self.writer.delete_item(), self, parts).set_key(Some(key.into_map()));
                attempts.send(|| request.clone().send()).await?;
                Ok(None)
            }
            Kind::Check(_) => Err(Failure::Fault(Fault::unbuilt("only a transaction can check an item"))),
        }
    }
}
