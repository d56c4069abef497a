//! The repair of a table that an earlier template has created.
//!
//! A data folder outlives the template with which it was created. An index or the stream that its table lacks can be added.
//! The primary key, local indexes and the definition of an index cannot be changed. Such a table cannot be used, which an
//! error at the start makes clearer than a 500 later.
//!
//! | difference | repair |
//! |---|---|
//! | a global index is missing | `UpdateTable`, once for each index |
//! | the stream is missing | `UpdateTable` |
//! | the stream has another view | two `UpdateTable`: one disables the stream, one enables it with the view |
//! | the time to live is off | `UpdateTimeToLive` (in `tables`) |
//! | the primary key, a local index, an attribute's type or an index's definition | none: the start fails |
//! | the table has more than the template | none is needed |

use serde_json::{Value, json};

use crate::template::Table;

/// Returns the `UpdateTable` requests that change the table `found` into the template's when they are made one after the
/// other, or the difference that cannot be changed. What the table has beyond the template does no harm, and stays.
pub(super) fn updates(table: &Table, found: &Value) -> Result<Vec<Value>, String> {
    let wanted = &table.properties;
    if !same(&wanted["KeySchema"], &found["KeySchema"]) {
        return Err("its primary key".to_owned());
    }
    for attribute in list(&wanted["AttributeDefinitions"]) {
        let other = find(&found["AttributeDefinitions"], "AttributeName", attribute);
        if other.is_some_and(|other| other["AttributeType"] != attribute["AttributeType"]) {
            return Err(format!("the type of its attribute {}", attribute["AttributeName"]));
        }
    }
    for index in list(&wanted["LocalSecondaryIndexes"]) {
        let other = find(&found["LocalSecondaryIndexes"], "IndexName", index);
        if !other.is_some_and(|other| same_index(index, other)) {
            return Err(format!("its local index {}", index["IndexName"]));
        }
    }
    let mut updates = Vec::new();
    // DynamoDB requires the attributes that are in a primary key at that moment, and no others.
    let mut attributes = list(&found["AttributeDefinitions"]).to_vec();
    for index in list(&wanted["GlobalSecondaryIndexes"]) {
        match find(&found["GlobalSecondaryIndexes"], "IndexName", index) {
            Some(other) if same_index(index, other) => {}
            Some(_) => return Err(format!("its index {}", index["IndexName"])),
            // DynamoDB creates one index with each request.
            None => {
                for key in list(&index["KeySchema"]) {
                    let is_new = attributes.iter().all(|attribute| attribute["AttributeName"] != key["AttributeName"]);
                    let definition = find(&wanted["AttributeDefinitions"], "AttributeName", key);
                    attributes.extend(definition.filter(|_| is_new).cloned());
                }
                updates.push(json!({
                    "TableName": table.name,
                    "AttributeDefinitions": attributes,
                    "GlobalSecondaryIndexUpdates": [{"Create": index}],
                }));
            }
        }
    }
    if let Some(stream) = stream(table) {
        let is_on = found["StreamSpecification"]["StreamEnabled"] == true;
        let has_view = found["StreamSpecification"]["StreamViewType"] == stream["StreamViewType"];
        if is_on && !has_view {
            // The view of a stream cannot be changed, but a stream can be replaced.
            updates.push(json!({"TableName": table.name, "StreamSpecification": {"StreamEnabled": false}}));
        }
        if !is_on || !has_view {
            updates.push(json!({"TableName": table.name, "StreamSpecification": stream}));
        }
    }
    Ok(updates)
}

/// Returns the table's stream as in DynamoDB's API. CloudFormation leaves out that it is enabled.
pub(super) fn stream(table: &Table) -> Option<Value> {
    let view = table.properties["StreamSpecification"].get("StreamViewType")?;
    Some(json!({"StreamEnabled": true, "StreamViewType": view}))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Returns the one among `others` that has the same name as `one`.
fn find<'a>(others: &'a Value, name: &str, one: &Value) -> Option<&'a Value> {
    list(others).iter().find(|other| other[name] == one[name])
}

fn same_index(one: &Value, other: &Value) -> bool {
    let projection = |index: &Value, name: &str| index["Projection"][name].clone();
    same(&one["KeySchema"], &other["KeySchema"])
        && projection(one, "ProjectionType") == projection(other, "ProjectionType")
        && same(&projection(one, "NonKeyAttributes"), &projection(other, "NonKeyAttributes"))
}

/// Returns whether two lists have the same members, in any order.
fn same(one: &Value, other: &Value) -> bool {
    let (one, other) = (list(one), list(other));
    one.len() == other.len() && one.iter().all(|member| other.contains(member))
}

#[cfg(test)]
mod tests {
    use super::super::Database;
    use super::super::tables::Client;
    use super::*;
    use crate::template::Template;

    const TABLE: &str = "Table";

    /// The table of the project's own template.
    fn shipped() -> Table {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
        Template::read(path.as_ref(), &std::collections::BTreeMap::new()).unwrap().tables.remove(0)
    }

    fn without(change: impl FnOnce(&mut Value)) -> Table {
        let mut table = shipped();
        change(&mut table.properties);
        table
    }

    fn remove(properties: &mut Value, name: &str) {
        properties.as_object_mut().unwrap().remove(name);
    }

    /// Describes everything of the table that a client can see.
    async fn describe(client: &Client<'_>) -> Value {
        let name = json!({"TableName": TABLE});
        let mut found = client.call("DescribeTable", &name).await.unwrap()["Table"].take();
        let lifetime = client.call("DescribeTimeToLive", &name).await.unwrap();
        let indexes = found["GlobalSecondaryIndexes"].as_array_mut().unwrap();
        indexes.sort_by_key(|index| index["IndexName"].as_str().unwrap().to_owned());
        let indexes: Vec<_> =
            indexes.iter().map(|one| json!([one["IndexName"], one["KeySchema"], one["Projection"]])).collect();
        json!([found["KeySchema"], indexes, found["StreamSpecification"], lifetime])
    }

    #[tokio::test]
    async fn a_table_of_an_earlier_template_is_repaired() {
        let fresh = Database::embedded(None, 0).await.unwrap();
        fresh.create(&[shipped()]).await.unwrap();
        let wanted = describe(&Client::new(fresh.endpoint())).await;
        let earlier = [
            // The start was interrupted before the expiry was turned on.
            without(|properties| remove(properties, "TimeToLiveSpecification")),
            without(|properties| remove(properties, "StreamSpecification")),
            without(|properties| properties["StreamSpecification"]["StreamViewType"] = json!("KEYS_ONLY")),
            without(|properties| {
                remove(properties, "GlobalSecondaryIndexes");
                properties["AttributeDefinitions"].as_array_mut().unwrap().truncate(2);
            }),
            without(|properties| drop(properties["GlobalSecondaryIndexes"].as_array_mut().unwrap().pop())),
            shipped(),
        ];
        for earlier in earlier {
            let database = Database::embedded(None, 0).await.unwrap();
            let client = Client::new(database.endpoint());
            let mut properties = earlier.properties.clone();
            if let Some(attributes) = properties["AttributeDefinitions"].as_array_mut()
                && earlier.properties["GlobalSecondaryIndexes"].as_array().is_some_and(|indexes| indexes.len() == 1)
            {
                // DynamoDB rejects attributes that are in no primary key.
                attributes.retain(|attribute| attribute["AttributeName"] != "pending");
            }
            database.create(&[Table { name: TABLE.to_owned(), properties }]).await.unwrap();
            let item =
                json!({"pk": {"S": "T#a"}, "sk": {"S": "TENANT"}, "listed": {"S": "yes"}, "pending": {"S": "yes"}});
            client.call("PutItem", &json!({"TableName": TABLE, "Item": item})).await.unwrap();

            database.create(&[shipped()]).await.unwrap();
            assert_eq!(describe(&client).await, wanted, "{earlier:?}");
            // The new index finds items that were there before.
            for (index, attribute) in [("Tenants", "listed"), ("Changes", "pending")] {
                let query = json!({
                    "TableName": TABLE, "IndexName": index, "KeyConditionExpression": "#hash = :yes",
                    "ExpressionAttributeNames": {"#hash": attribute}, "ExpressionAttributeValues": {":yes": {"S": "yes"}},
                });
                let found = client.call("Query", &query).await.unwrap();
                assert_eq!(found["Count"], 1, "{index} {earlier:?}");
            }
            database.shutdown().await;
        }
        fresh.shutdown().await;
    }

    #[tokio::test]
    async fn a_table_that_cannot_be_repaired_is_rejected_with_advice() {
        let others = [
            ("its primary key", without(|properties| drop(properties["KeySchema"].as_array_mut().unwrap().pop()))),
            (
                "the type of its attribute \"sk\"",
                without(|properties| properties["AttributeDefinitions"][1]["AttributeType"] = json!("N")),
            ),
            (
                "its index \"Changes\"",
                without(|properties| {
                    properties["GlobalSecondaryIndexes"][1]["Projection"]["ProjectionType"] = json!("ALL");
                }),
            ),
            (
                "the attribute \"ttl\" by which items expire",
                without(|properties| properties["TimeToLiveSpecification"]["AttributeName"] = json!("ttl")),
            ),
        ];
        for (difference, mut other) in others {
            if difference == "its primary key" {
                let attributes = other.properties["AttributeDefinitions"].as_array_mut().unwrap();
                attributes.retain(|attribute| attribute["AttributeName"] != "sk");
            }
            let database = Database::embedded(None, 0).await.unwrap();
            database.create(&[other]).await.unwrap();
            let error = database.create(&[shipped()]).await.unwrap_err().to_string();
            assert!(error.contains(&format!("does not match the template: {difference} cannot be changed")), "{error}");
            assert!(error.contains("--data FOLDER"), "{error}");
            database.shutdown().await;
        }
    }
}
