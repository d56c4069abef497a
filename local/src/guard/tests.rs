//! The operations of requests, by DynamoDB's request syntax, and what the guard does with them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::dynamodb::{Unclear, operations};
use super::keys::Tables;
use super::*;
use crate::template::{Table, Template};

const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
const TABLE: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/Table";

fn tables() -> Tables {
    let template = Template::read(TEMPLATE.as_ref(), &BTreeMap::new()).unwrap();
    let numbers = json!({ "KeySchema": [{ "AttributeName": "n", "KeyType": "HASH" }] });
    let numbers = Table { name: "Numbers".to_owned(), properties: numbers };
    Tables::new(&[template.tables, vec![numbers]].concat())
}

/// Returns the operations as lines: the action, the resource without the table's ARN, and the context.
fn lines(name: &str, body: &Value) -> Result<Vec<String>, Unclear> {
    let line = |one: Operation| format!("{} {} {}", one.action, one.resource.replace(TABLE, "T"), one.context);
    Ok(operations(name, body, &tables())?.into_iter().map(|one| line(one).trim_end().to_owned()).collect())
}

fn key(pk: &str) -> Value {
    json!({ "pk": { "S": pk }, "sk": { "S": "s" } })
}

#[test]
fn a_request_for_one_item_has_its_key() {
    for name in ["GetItem", "UpdateItem", "DeleteItem"] {
        let body = json!({ "TableName": "Table", "Key": key("T#a#R") });
        assert_eq!(lines(name, &body).unwrap(), [format!("dynamodb:{name} T dynamodb:LeadingKeys=[T#a#R]")]);
    }
    let put = json!({ "TableName": TABLE, "Item": { "pk": { "S": "T#a" }, "sk": { "S": "s" }, "data": { "S": "x" } } });
    assert_eq!(lines("PutItem", &put).unwrap(), ["dynamodb:PutItem T dynamodb:LeadingKeys=[T#a]"]);
    let number = json!({ "TableName": "Numbers", "Key": { "n": { "N": "7" } } });
    let arn = TABLE.replace("/Table", "/Numbers");
    assert_eq!(lines("GetItem", &number).unwrap(), [format!("dynamodb:GetItem {arn} dynamodb:LeadingKeys=[7]")]);
}

#[test]
fn a_query_has_the_key_of_its_condition() {
    let values = json!({ ":a": { "S": "T#a" }, ":b": { "S": "x" }, ":c": { "S": "z" } });
    for condition in [
        "pk = :a",
        "(pk=:a)",
        "#p = :a AND begins_with(sk, :b)",
        "begins_with(sk, :b) and (#p = :a)",
        "sk BETWEEN :b AND :c AND pk = :a",
        "sk >= :b AND pk = :a",
        "#s = :b AND #p = :a",
    ] {
        let body = json!({ "TableName": "Table", "KeyConditionExpression": condition, "ExpressionAttributeValues": values,
            "ExpressionAttributeNames": { "#p": "pk", "#s": "sk" } });
        assert_eq!(lines("Query", &body).unwrap(), ["dynamodb:Query T dynamodb:LeadingKeys=[T#a]"], "{condition}");
    }
    for condition in ["sk = :a", "pk > :a", "pk = :d", "pk = :a AND pk = :b", "", "#q = :a"] {
        let body =
            json!({ "TableName": "Table", "KeyConditionExpression": condition, "ExpressionAttributeValues": values });
        assert_eq!(lines("Query", &body).unwrap_err().kind, "ValidationException", "{condition}");
    }
    let older = json!({ "TableName": "Table", "KeyConditions":
        { "pk": { "ComparisonOperator": "EQ", "AttributeValueList": [{ "S": "T#a" }] } } });
    assert_eq!(lines("Query", &older).unwrap(), ["dynamodb:Query T dynamodb:LeadingKeys=[T#a]"]);
}

#[test]
fn an_index_is_a_resource_with_a_key_of_its_own() {
    let mut body = json!({ "TableName": "Table", "IndexName": "Tenants", "KeyConditionExpression": "listed = :a",
        "ExpressionAttributeValues": { ":a": { "S": "yes" } } });
    let expected = ["dynamodb:Query T/index/Tenants dynamodb:LeadingKeys=[yes]"];
    assert_eq!(lines("Query", &body).unwrap(), expected);
    body["IndexName"] = json!("Nothing");
    assert_eq!(lines("Query", &body).unwrap_err().kind, "ValidationException");
}

#[test]
fn a_batch_has_the_keys_in_each_table() {
    let body = json!({ "RequestItems": { "Table": { "Keys": [key("b"), key("a"), key("b")] } } });
    assert_eq!(lines("BatchGetItem", &body).unwrap(), ["dynamodb:BatchGetItem T dynamodb:LeadingKeys=[a, b]"]);
    let body = json!({ "RequestItems": {
        "Table": [{ "PutRequest": { "Item": key("a") } }, { "DeleteRequest": { "Key": key("b") } }],
        "Numbers": [{ "DeleteRequest": { "Key": { "n": { "N": "1" } } } }],
    } });
    let found = lines("BatchWriteItem", &body).unwrap();
    assert!(found.contains(&"dynamodb:BatchWriteItem T dynamodb:LeadingKeys=[a, b]".to_owned()), "{found:?}");
    assert_eq!(found.len(), 2);
    let both = json!({ "RequestItems": { "Table":
        [{ "PutRequest": { "Item": key("a") }, "DeleteRequest": { "Key": key("b") } }] } });
    assert_eq!(lines("BatchWriteItem", &both).unwrap_err().kind, "ValidationException");
}

#[test]
fn a_transaction_has_the_actions_of_its_parts_with_all_keys() {
    let part = |kind: &str, member: &str, pk: &str| json!({ (kind): { "TableName": "Table", (member): key(pk) } });
    let body = json!({ "TransactItems": [
        part("Put", "Item", "a"), part("Update", "Key", "b"), part("Delete", "Key", "c"), part("ConditionCheck", "Key", "a"),
        part("Put", "Item", "d"),
    ] });
    let expected = ["ConditionCheckItem", "DeleteItem", "PutItem", "UpdateItem"].map(|action| {
        format!(
            "dynamodb:{action} T dynamodb:EnclosingOperation=[TransactWriteItems] dynamodb:LeadingKeys=[a, b, c, d]"
        )
    });
    assert_eq!(lines("TransactWriteItems", &body).unwrap(), expected);
    let reads = json!({ "TransactItems": [part("Get", "Key", "a")] });
    let expected = ["dynamodb:GetItem T dynamodb:EnclosingOperation=[TransactGetItems] dynamodb:LeadingKeys=[a]"];
    assert_eq!(lines("TransactGetItems", &reads).unwrap(), expected);
    let unknown = json!({ "TransactItems": [part("Increment", "Key", "a")] });
    assert_eq!(lines("TransactWriteItems", &unknown).unwrap_err().kind, "ValidationException");
}

#[test]
fn other_requests_have_no_keys() {
    let table = json!({ "TableName": "Table" });
    assert_eq!(lines("Scan", &table).unwrap(), ["dynamodb:Scan T"]);
    let index = json!({ "TableName": "Table", "IndexName": "Tenants" });
    assert_eq!(lines("Scan", &index).unwrap(), ["dynamodb:Scan T/index/Tenants"]);
    assert_eq!(lines("DescribeTable", &table).unwrap(), ["dynamodb:DescribeTable T"]);
    assert_eq!(lines("ListTables", &json!({})).unwrap(), ["dynamodb:ListTables *"]);
    let stream = json!({ "StreamArn": format!("{TABLE}/stream/1") });
    assert_eq!(lines("DescribeStream", &stream).unwrap(), ["dynamodb:DescribeStream T/stream/1"]);
}

#[test]
fn a_request_whose_keys_are_not_clear_is_not_forwarded() {
    let no_key = json!({ "TableName": "Table", "Key": { "sk": { "S": "x" } } });
    for (name, body, kind) in [
        ("GetItem", no_key, "ValidationException"),
        ("GetItem", json!({ "Key": key("a") }), "ValidationException"),
        ("GetItem", json!({ "TableName": "Elsewhere", "Key": key("a") }), "ResourceNotFoundException"),
        ("BatchGetItem", json!({}), "ValidationException"),
        ("TransactWriteItems", json!({}), "ValidationException"),
        ("ExecuteStatement", json!({ "Statement": "SELECT * FROM \"Table\"" }), "ValidationException"),
    ] {
        assert_eq!(lines(name, &body).unwrap_err().kind, kind, "{name} {body}");
    }
}

fn signed(id: &str) -> HeaderMap {
    let value = format!(
        "AWS4-HMAC-SHA256 Credential={id}/20261127/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
    );
    HeaderMap::from_iter([(AUTHORIZATION, value.try_into().unwrap())])
}

#[test]
fn a_function_is_known_by_its_access_key_id_and_everybody_else_is_an_administrator() {
    let guard = Guard::new(Template::roles(TEMPLATE.as_ref(), &BTreeMap::new()).unwrap(), true);
    let function = |headers: &HeaderMap| guard.role(headers).map(|role| role.function.clone());
    assert_eq!(function(&signed(&access_key_id("records"))).as_deref(), Some("records"));
    for id in ["local", "local-", "local-nobody", "AKIAIOSFODNN7EXAMPLE"] {
        assert_eq!(function(&signed(id)), None, "{id}");
    }
    assert_eq!(function(&HeaderMap::new()), None);
    assert_eq!(function(&HeaderMap::from_iter([(AUTHORIZATION, "Bearer x".parse().unwrap())])), None);
}

#[test]
fn a_denial_has_the_text_of_aws_and_says_what_is_missing() {
    let guard = Guard::new(Template::roles(TEMPLATE.as_ref(), &BTreeMap::new()).unwrap(), true);
    let role = guard.role(&signed(&access_key_id("health"))).unwrap();
    let get = |pk: &str| operations("GetItem", &json!({ "TableName": "Table", "Key": key(pk) }), &tables()).unwrap();
    assert_eq!(guard.check(role, get("HEALTH")), Ok(()));
    let denial = guard.check(role, get("TENANT#a")).unwrap_err();
    assert_eq!(
        denial.message(),
        format!(
            "User: arn:aws:sts::000000000000:assumed-role/HealthFunctionRole/health is not authorized to perform: \
             dynamodb:GetItem on resource: {TABLE} because no identity-based policy allows the dynamodb:GetItem action"
        )
    );
    assert_eq!(
        denial.to_string(),
        format!(
            "health may not dynamodb:GetItem on {TABLE} with dynamodb:LeadingKeys=[TENANT#a]: no statement of its role in the \
             template allows it"
        )
    );
    assert_eq!(guard.denials(), [*denial]);
}
