//! The capacity units that DynamoDB's responses report, and those that are counted.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, Get, KeysAndAttributes, Put, PutRequest, TransactGetItem, TransactWriteItem, WriteRequest,
};
use service::domain::units::Units;
use service::runtime::aws;
use service::runtime::capacity::measured;
use testkit::dynamodb::{DynamoDb, Fault, Seen};

use crate::support::Api;

const TABLE: &str = "Table";

type Map = HashMap<String, AttributeValue>;

fn key(sk: &str) -> Map {
    [("pk", "T#capacity#"), ("sk", sk)].map(|(name, value)| (name.into(), AttributeValue::S(value.into()))).into()
}

/// An item of a little more than 5 KB: 6 write units, 2 read units.
fn item(sk: &str) -> Map {
    let mut item = key(sk);
    item.insert("data".into(), AttributeValue::S("x".repeat(5 * 1024)));
    item
}

fn put(sk: &str) -> TransactWriteItem {
    let put = Put::builder().table_name(TABLE).set_item(Some(item(sk))).build().unwrap();
    TransactWriteItem::builder().put(put).build()
}

fn sum(seen: &[Seen]) -> Units {
    let mut sum = Units::default();
    for one in seen {
        sum += one.units;
    }
    sum
}

/// Each operation that the client counts, once.
async fn every_operation(client: &Client) {
    client.put_item().table_name(TABLE).set_item(Some(item("a"))).send().await.unwrap();
    let get = client.get_item().table_name(TABLE).set_key(Some(key("a")));
    get.clone().send().await.unwrap();
    get.consistent_read(true).send().await.unwrap();
    let update = client.update_item().table_name(TABLE).set_key(Some(key("a"))).update_expression("SET listed = :a");
    update.expression_attribute_values(":a", AttributeValue::S("a".into())).send().await.unwrap();
    let written = PutRequest::builder().set_item(Some(item("b"))).build().unwrap();
    let written = WriteRequest::builder().put_request(written).build();
    client.batch_write_item().request_items(TABLE, vec![written]).send().await.unwrap();
    let query = client.query().table_name(TABLE).key_condition_expression("pk = :pk");
    query.expression_attribute_values(":pk", key("a")["pk"].clone()).send().await.unwrap();
    let keys = KeysAndAttributes::builder().keys(key("a")).keys(key("b")).build().unwrap();
    client.batch_get_item().request_items(TABLE, keys).send().await.unwrap();
    let deleted = Delete::builder().table_name(TABLE).set_key(Some(key("b"))).build().unwrap();
    let deleted = TransactWriteItem::builder().delete(deleted).build();
    client.transact_write_items().set_transact_items(Some(vec![put("c"), deleted])).send().await.unwrap();
    let got = Get::builder().table_name(TABLE).set_key(Some(key("c"))).build().unwrap();
    client.transact_get_items().transact_items(TransactGetItem::builder().get(got).build()).send().await.unwrap();
    client.delete_item().table_name(TABLE).set_key(Some(key("a"))).send().await.unwrap();
}

#[tokio::test]
async fn the_counted_units_are_those_that_the_responses_report() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let client = aws::dynamodb(&api.aws_config(), aws::connector());

    table.take();
    let ((), units) = measured(every_operation(&client)).await;
    let seen = table.take();
    assert!(seen.iter().all(|one| one.units != Units::default()), "{seen:?}");
    assert_eq!(seen.len(), 10);
    assert_eq!(units, sum(&seen), "{seen:?}");
    assert!(units.read >= 1.0 + 2.0 + 4.0 && units.write >= 6.0 * 4.0, "{units:?}");

    // Whoever does not want to know pays nothing.
    every_operation(&client).await;
    assert!(table.take().iter().all(|one| one.body.get("ReturnConsumedCapacity").is_none()));

    // The attempt after a lost response reads what the lost one did.
    table.next([Some(Fault::LoseResponse)]);
    let twice = client.transact_write_items().transact_items(put("d"));
    let (response, units) = measured(twice.send()).await;
    response.unwrap();
    let seen = table.take();
    assert_eq!((seen.len(), units), (2, sum(&seen)));
    assert!(units.read > 0.0 && units.write == 0.0, "{units:?}");

    // An error has no figure.
    let failing = client.put_item().table_name(TABLE).set_item(Some(item("d"))).condition_expression("pk = sk");
    let (response, units) = measured(failing.send()).await;
    assert!(response.unwrap_err().into_service_error().is_conditional_check_failed_exception());
    assert_eq!(units, Units::default());
    api.shutdown().await;
}
