//! The operations of a request to DynamoDB: the actions, the tables and indexes, and the partition keys that it names.
//!
//! - <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html>
//! - <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html>
//!
//! `dynamodb:LeadingKeys` of a query are the key of the table or of the index that is queried. A `Scan` names no keys, so it has
//! none. AWS does not document which keys each action of a transaction has: here, each has the keys of the whole
//! transaction, which is the narrower reading. So a role that suffices here suffices on AWS in both cases.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Operation;
use super::keys::{TableKeys, Tables};
use crate::iam::Context;
use crate::template::{ACCOUNT, REGION};

/// The context key of the partition keys.
const LEADING_KEYS: &str = "dynamodb:LeadingKeys";

/// The reason why the operations of a request are not known, as DynamoDB's type of error and its message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub(super) struct Unclear {
    pub(super) kind: &'static str,
    pub(super) message: String,
}

impl Unclear {
    fn invalid(message: impl Into<String>) -> Self {
        Self { kind: "ValidationException", message: message.into() }
    }

    fn not_found() -> Self {
        Self { kind: "ResourceNotFoundException", message: "Requested resource not found".to_owned() }
    }
}

/// Returns the operations of a request, by the name of its action in the API and its body.
pub(super) fn operations(name: &str, body: &Value, tables: &Tables) -> Result<Vec<Operation>, Unclear> {
    match name {
        "GetItem" | "UpdateItem" | "DeleteItem" => one(name, body, &body["Key"], tables),
        "PutItem" => one(name, body, &body["Item"], tables),
        "Query" => query(body, tables),
        "BatchGetItem" => {
            batch(name, body, tables, |part| part["Keys"].as_array().into_iter().flatten().map(Some).collect())
        }
        "BatchWriteItem" => {
            batch(name, body, tables, |part| part.as_array().into_iter().flatten().map(written).collect())
        }
        "TransactGetItems" | "TransactWriteItems" => transaction(name, body, tables),
        "ExecuteStatement" | "BatchExecuteStatement" | "ExecuteTransaction" => {
            Err(Unclear::invalid("local does not evaluate permissions for PartiQL"))
        }
        _ => Ok(vec![operation(name, other(body), Context::default())]),
    }
}

/// Returns the item or the key of a write in a batch.
fn written(write: &Value) -> Option<&Value> {
    let parts = [&write["PutRequest"]["Item"], &write["DeleteRequest"]["Key"]];
    match parts.map(Value::is_object) {
        [true, false] => Some(parts[0]),
        [false, true] => Some(parts[1]),
        _ => None,
    }
}

fn operation(name: &str, resource: String, context: Context) -> Operation {
    Operation { action: format!("dynamodb:{name}"), resource, context }
}

/// Returns the resource of a request that is not about items.
fn other(body: &Value) -> String {
    let named = ["StreamArn", "ResourceArn", "TableArn"].into_iter().find_map(|member| body[member].as_str());
    match (named, body["TableName"].as_str()) {
        (Some(arn), _) => arn.to_owned(),
        (None, Some(table)) => match body["IndexName"].as_str() {
            Some(index) => format!("{}/index/{index}", arn(table_name(table))),
            None => arn(table_name(table)),
        },
        (None, None) => "*".to_owned(),
    }
}

fn arn(table: &str) -> String {
    format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}")
}

/// Returns the name of a table that a request names by its name or its ARN.
fn table_name(text: &str) -> &str {
    text.split_once(":table/").map_or(text, |(_, name)| name)
}

/// Returns the name and the keys of a request's table.
fn table<'a>(name: &'a Value, tables: &'a Tables) -> Result<(&'a str, &'a TableKeys), Unclear> {
    let name = table_name(name.as_str().ok_or_else(|| Unclear::invalid("TableName is missing"))?);
    Ok((name, tables.get(name).ok_or_else(Unclear::not_found)?))
}

/// Returns the partition key in a key or an item, as text.
fn leading_key(item: &Value, keys: &TableKeys) -> Result<String, Unclear> {
    let missing = || Unclear::invalid(format!("One of the required keys was not given a value: {}", keys.partition));
    text(&item[&keys.partition]).ok_or_else(missing)
}

/// Returns a value of a key attribute, which is a string, a number or bytes, as text.
fn text(value: &Value) -> Option<String> {
    ["S", "N", "B"].into_iter().find_map(|kind| value[kind].as_str()).map(ToOwned::to_owned)
}

fn one(name: &str, body: &Value, item: &Value, tables: &Tables) -> Result<Vec<Operation>, Unclear> {
    let (table, keys) = table(&body["TableName"], tables)?;
    let context = Context::default().with(LEADING_KEYS, [leading_key(item, keys)?]);
    Ok(vec![operation(name, arn(table), context)])
}

/// The operations of a batch: one for each table.
fn batch(
    name: &str,
    body: &Value,
    tables: &Tables,
    items: impl Fn(&Value) -> Vec<Option<&Value>>,
) -> Result<Vec<Operation>, Unclear> {
    let parts = body["RequestItems"].as_object().ok_or_else(|| Unclear::invalid("RequestItems is missing"))?;
    let of_table = |(table_name, part): (&String, &Value)| {
        let named = Value::from(table_name.as_str());
        let (table, keys) = table(&named, tables)?;
        let items = items(part);
        let found = items.into_iter().map(|item| {
            leading_key(item.ok_or_else(|| Unclear::invalid("a write is neither a put nor a delete"))?, keys)
        });
        let found: BTreeSet<_> = found.collect::<Result<_, _>>()?;
        Ok(operation(name, arn(table), Context::default().with(LEADING_KEYS, found)))
    };
    parts.iter().map(of_table).collect()
}

/// The operations of a transaction: one for each table and kind of part, each with the keys of all parts in that table.
fn transaction(name: &str, body: &Value, tables: &Tables) -> Result<Vec<Operation>, Unclear> {
    const PARTS: [(&str, &str, &str); 5] = [
        ("Get", "GetItem", "Key"),
        ("Put", "PutItem", "Item"),
        ("Update", "UpdateItem", "Key"),
        ("Delete", "DeleteItem", "Key"),
        ("ConditionCheck", "ConditionCheckItem", "Key"),
    ];
    let items = body["TransactItems"].as_array().ok_or_else(|| Unclear::invalid("TransactItems is missing"))?;
    let mut found: BTreeMap<&str, (BTreeSet<&str>, BTreeSet<String>)> = BTreeMap::new();
    for item in items {
        // An item has one part. Whatever else it has needs its own permission, too.
        for member in item.as_object().into_iter().flat_map(|members| members.keys()) {
            let known = PARTS.iter().find(|(part, _, _)| part == member);
            let (part, action, key) =
                known.ok_or_else(|| Unclear::invalid(format!("{member} is not a part of a transaction")))?;
            let (table, keys) = table(&item[*part]["TableName"], tables)?;
            let (actions, leading) = found.entry(table).or_default();
            actions.insert(action);
            leading.insert(leading_key(&item[*part][*key], keys)?);
        }
    }
    let of_table = |(table, (actions, leading)): (&str, (BTreeSet<&str>, BTreeSet<String>))| {
        let context = Context::default().with(LEADING_KEYS, leading).with("dynamodb:EnclosingOperation", [name]);
        let one = move |action: &str| operation(action, arn(table), context.clone());
        actions.into_iter().map(one).collect::<Vec<_>>()
    };
    Ok(found.into_iter().flat_map(of_table).collect())
}

fn query(body: &Value, tables: &Tables) -> Result<Vec<Operation>, Unclear> {
    let (table, keys) = table(&body["TableName"], tables)?;
    let (resource, partition) = match body["IndexName"].as_str() {
        Some(index) => {
            let missing = || Unclear::invalid(format!("The table does not have the specified index: {index}"));
            (format!("{}/index/{index}", arn(table)), keys.indexes.get(index).ok_or_else(missing)?)
        }
        None => (arn(table), &keys.partition),
    };
    let missing = || Unclear::invalid(format!("Query condition missed key schema element: {partition}"));
    let key = match body["KeyConditionExpression"].as_str() {
        Some(expression) => equal_to(expression, partition, body),
        // The older form of the same.
        None => text(&body["KeyConditions"][partition]["AttributeValueList"][0])
            .filter(|_| body["KeyConditions"][partition]["ComparisonOperator"] == "EQ"),
    };
    let context = Context::default().with(LEADING_KEYS, [key.ok_or_else(missing)?]);
    Ok(vec![operation("Query", resource, context)])
}

/// Returns the value to which a key condition compares an attribute. There is none if it compares it to two.
fn equal_to(expression: &str, attribute: &str, body: &Value) -> Option<String> {
    let tokens = tokens(expression);
    let name = |token: &str| body["ExpressionAttributeNames"][token].as_str().unwrap_or(token) == attribute;
    let mut values = tokens.windows(3).filter_map(|window| match window {
        [left, "=", value] if name(left) && value.starts_with(':') => Some(*value),
        _ => None,
    });
    let value = values.next()?;
    if values.next().is_some() { None } else { text(&body["ExpressionAttributeValues"][value]) }
}

/// Splits an expression into names, values and operators. Parentheses have no meaning for a key condition, which is an `AND`
/// of two parts at most.
fn tokens(expression: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '#' | ':');
    let is_operator = |c: char| matches!(c, '<' | '>' | '=');
    let mut tokens = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            c if is_word(c) => rest.find(|c| !is_word(c)),
            c if is_operator(c) => rest.find(|c| !is_operator(c)),
            c => {
                rest = &rest[c.len_utf8()..];
                continue;
            }
        };
        let (token, behind) = rest.split_at(end.unwrap_or(rest.len()));
        tokens.push(token);
        rest = behind;
    }
    tokens
}
