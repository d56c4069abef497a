//! Transactions that break a rule: a clear problem each, and nothing reaches the table.

use serde_json::{Value, json};
use testkit::dynamodb::DynamoDb;

use super::{GLOBEX, transact};
use crate::support::Api;

/// The operation, the code, and the text that the detail has to contain.
fn cases() -> Vec<(Value, &'static str, &'static str)> {
    let base = |op: &str| json!({"op": op, "collection": "notes", "id": "a"});
    let with = |op: &str, more: Value| {
        let mut operation = base(op);
        operation.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        operation
    };
    let deep = (0..31).fold(json!(1), |inner, _| json!({ "a": inner }));
    vec![
        (json!(1), "invalid_body", "object"),
        (json!(null), "invalid_body", "object"),
        (json!([]), "invalid_body", "object"),
        (json!({}), "invalid_body", "`op`"),
        (json!({"op": 1}), "invalid_body", "`op`"),
        (base("upsert"), "invalid_body", "`op`"),
        (base("Create"), "invalid_body", "`op`"),
        (json!({"op": "check", "id": "a"}), "invalid_body", "`collection`"),
        (json!({"op": "check", "collection": "notes"}), "invalid_body", "`id`"),
        (json!({"op": "put", "collection": "notes", "data": {}}), "invalid_body", "`id`"),
        (json!({"op": "check", "collection": "Notes", "id": "a"}), "invalid_body", "collection's name"),
        (json!({"op": "check", "collection": 1, "id": "a"}), "invalid_body", "`collection`"),
        (json!({"op": "check", "collection": "notes", "id": "a/b"}), "invalid_body", "record's id"),
        (json!({"op": "create", "collection": "notes", "id": null, "data": {}}), "invalid_body", "`id`"),
        (base("create"), "invalid_body", "`data` is missing"),
        (base("put"), "invalid_body", "`data` is missing"),
        (with("create", json!({"data": {}, "ifVersion": 1})), "invalid_body", "`ifVersion`"),
        (with("delete", json!({"data": {}})), "invalid_body", "`data`"),
        (with("check", json!({"data": {}})), "invalid_body", "`data`"),
        (with("check", json!({"expiresAt": null})), "invalid_body", "`expiresAt`"),
        (with("put", json!({"data": {}, "tenant": "x"})), "invalid_body", "`tenant`"),
        (with("put", json!({"data": {}, "ifVersion": "1"})), "invalid_body", "`ifVersion`"),
        (with("put", json!({"data": {}, "ifVersion": -1})), "invalid_body", "`ifVersion`"),
        (with("put", json!({"data": {}, "ifVersion": 1.5})), "invalid_body", "`ifVersion`"),
        (with("check", json!({"ifVersion": null})), "invalid_body", "`ifVersion`"),
        (with("put", json!({"data": {}, "expiresAt": "2020-01-01T00:00:00Z"})), "invalid_body", "future"),
        (with("put", json!({"data": []})), "invalid_data", "object"),
        (with("create", json!({"data": deep})), "invalid_data", "levels"),
        (with("patch", json!({"data": null})), "invalid_data", "object"),
        (with("patch", json!({"data": deep})), "invalid_data", "levels"),
        (with("put", json!({"data": {"x": "x".repeat(350 * 1024)}})), "data_too_large", "bytes"),
        (with("patch", json!({"data": {"x": "x".repeat(350 * 1024)}})), "data_too_large", "bytes"),
    ]
}

#[tokio::test]
async fn every_rule_has_its_problem_with_the_operations_place() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let globex = api.caller(GLOBEX).await;
    globex.get("/collections").await.expect(200);
    table.take();

    let good = json!({"op": "check", "collection": "notes", "id": "good"});
    for (operation, code, words) in cases() {
        let response = transact(&globex, json!([good, operation])).await;
        let status = if code == "data_too_large" { 413 } else { 400 };
        let detail = response.expect_problem(status, code).json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("`operations[1]`: ") && detail.contains(words), "{detail}");
    }
    let good = good.to_string();
    for (body, words) in [
        ("{}".to_owned(), "`operations`"),
        (r#"{"operations": null}"#.to_owned(), "array"),
        (r#"{"operations": {}}"#.to_owned(), "array"),
        (r#"{"operations": []}"#.to_owned(), "1 to 100"),
        (format!(r#"{{"operations": [{good}], "atomic": true}}"#), "`atomic`"),
        (format!(r#"{{"operations": [{}]}}"#, vec!["1"; 101].join(",")), "1 to 100"),
        (format!(r#"{{"operations": [{good}, {good}]}}"#), "`operations[1]`"),
        (r#"{"operations": [{"op": "check", "op": "delete"}]}"#.to_owned(), "twice"),
    ] {
        let response = globex.call("POST", "/transactions").body("application/json", body).send().await;
        let detail = response.expect_problem(400, "invalid_body").json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(words), "{detail}");
    }
    let call = || globex.call("POST", "/transactions");
    let one = format!(r#"{{"operations": [{good}]}}"#);
    call().body("text/plain", one.clone()).send().await.expect_problem(415, "unsupported_media_type");
    call().body("application/json", "{").send().await.expect_problem(400, "malformed_json");
    let query = globex.call("POST", "/transactions?dry=true").body("application/json", one);
    query.send().await.expect_problem(400, "invalid_parameter");
    let seen = table.take();
    assert!(seen.is_empty(), "{seen:?}");
    api.shutdown().await;
}
