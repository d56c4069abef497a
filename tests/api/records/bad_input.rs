//! Requests that break a rule: a clear problem each, and nothing written.

use serde_json::json;
use testkit::dynamodb::DynamoDb;

use super::{NOTE, globex};
use crate::support::{Api, Call, Caller};

const LIST: &str = "/collections/notes/records";

fn put(caller: &Caller<'_>, body: &str) -> Call {
    caller.call("PUT", NOTE).body("application/json", body.to_owned())
}

#[tokio::test]
async fn every_rule_has_its_problem_and_nothing_reaches_the_table() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let globex = globex(&api).await;
    globex.get(NOTE).await.expect(404);
    table.take();

    let get = |path: &str| globex.call("GET", path);
    let deep = format!(r#"{{"data":{}1{}}}"#, r#"{"a":"#.repeat(31), "}".repeat(31));
    let deepest = format!(r#"{{"data":{{"a":{}{}}}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    let good = r#"{"data":{}}"#;
    let cases: Vec<(Call, u16, &str)> = vec![
        // Names, ids and parameters.
        (get("/collections/Notes/records"), 400, "invalid_parameter"),
        (get("/collections/_a/records"), 400, "invalid_parameter"),
        (get(&format!("/collections/{}/records", "a".repeat(64))), 400, "invalid_parameter"),
        (get("/collections/n%23tes/records"), 400, "invalid_parameter"),
        (get(&format!("{LIST}/{}", "a".repeat(129))), 400, "invalid_parameter"),
        (get(&format!("{LIST}/a%20b")), 400, "invalid_parameter"),
        (get(&format!("{LIST}/a%2Fb")), 400, "invalid_parameter"),
        (get(&format!("{LIST}/%C3%A9")), 400, "invalid_parameter"),
        (get(&format!("{LIST}?limit=0")), 400, "invalid_parameter"),
        (get(&format!("{LIST}?limit=101")), 400, "invalid_parameter"),
        (get(&format!("{LIST}?limit=ten")), 400, "invalid_parameter"),
        (get(&format!("{LIST}?limit=1&limit=2")), 400, "invalid_parameter"),
        (get(&format!("{LIST}?order=up")), 400, "invalid_parameter"),
        (get(&format!("{LIST}?sort=up")), 400, "invalid_parameter"),
        (get(&format!("{LIST}?cursor=")), 400, "invalid_cursor"),
        (get(&format!("{LIST}?cursor=abc")), 400, "invalid_cursor"),
        (get("/collections?cursor=%00"), 400, "invalid_cursor"),
        (get(&format!("{NOTE}?consistent=yes")), 400, "invalid_parameter"),
        (get(&format!("{NOTE}?limit=1")), 400, "invalid_parameter"),
        (globex.call("DELETE", &format!("{NOTE}?force=true")), 400, "invalid_parameter"),
        (put(&globex, good).header("if-match", "1"), 400, "invalid_parameter"),
        (put(&globex, good).header("if-none-match", "\"1"), 400, "invalid_parameter"),
        // Media types.
        (globex.call("PUT", NOTE), 415, "unsupported_media_type"),
        (globex.call("PUT", NOTE).body("text/plain", good), 415, "unsupported_media_type"),
        (globex.call("PUT", NOTE).body("application/merge-patch+json", good), 415, "unsupported_media_type"),
        (globex.call("PUT", NOTE).body("application/octet-stream", vec![0, 255]), 415, "unsupported_media_type"),
        (globex.call("PATCH", NOTE).body("application/json-patch+json", "[]"), 415, "unsupported_media_type"),
        // Bodies.
        (put(&globex, ""), 400, "malformed_json"),
        (put(&globex, "{"), 400, "malformed_json"),
        (put(&globex, "{\"data\":{}}}"), 400, "malformed_json"),
        (put(&globex, "{\"data\":{\"a\":01}}"), 400, "malformed_json"),
        (put(&globex, "{\"data\":{\"a\":NaN}}"), 400, "malformed_json"),
        (put(&globex, "[]"), 400, "invalid_body"),
        (put(&globex, "{}"), 400, "invalid_body"),
        (put(&globex, r#"{"data":{},"id":"x"}"#), 400, "invalid_body"),
        (put(&globex, r#"{"data":{},"tenant":"x"}"#), 400, "invalid_body"),
        (put(&globex, r#"{"data":{},"data":{}}"#), 400, "invalid_body"),
        (put(&globex, r#"{"data":{},"expiresAt":"tomorrow"}"#), 400, "invalid_body"),
        (put(&globex, r#"{"data":{},"expiresAt":4102444800}"#), 400, "invalid_body"),
        (put(&globex, r#"{"data":{},"expiresAt":"2020-01-01T00:00:00Z"}"#), 400, "invalid_body"),
        (put(&globex, r#"{"data":null}"#), 400, "invalid_data"),
        (put(&globex, r#"{"data":[]}"#), 400, "invalid_data"),
        (put(&globex, r#"{"data":{"a":1,"a":2}}"#), 400, "invalid_data"),
        (put(&globex, r#"{"data":{"a":"\ud800"}}"#), 400, "invalid_data"),
        (put(&globex, &deep), 400, "invalid_data"),
        (put(&globex, &deepest), 400, "invalid_data"),
        (globex.call("POST", LIST).json(&json!({"id": "x", "data": {}})), 400, "invalid_body"),
    ];
    for (call, status, code) in cases {
        let response = call.send().await.expect_problem(status, code);
        let detail = response.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.len() > 10 && detail.len() < 400, "{detail}");
    }
    let seen = table.take();
    assert!(seen.is_empty(), "{seen:?}");
    // A patch of null as data is rejected once the record is known, which must be read first.
    globex.put(NOTE, &json!({"data": {}})).await.expect(201);
    globex.patch(NOTE, &json!({"data": null})).await.expect_problem(400, "invalid_data");
    api.shutdown().await;
}

#[tokio::test]
async fn malformed_json_is_reported_with_its_position() {
    let api = Api::start().await;
    let globex = globex(&api).await;
    let response = put(&globex, "{\n  \"data\": {\"a\": tru}\n}").send().await.expect_problem(400, "malformed_json");
    let detail = response.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("line 2, column"), "{detail}");
    api.shutdown().await;
}

#[tokio::test]
async fn what_is_not_routed_is_not_found() {
    let api = Api::start().await;
    let globex = globex(&api).await;
    for (method, path) in [
        ("GET", "/nothing"),
        ("GET", "/"),
        ("POST", "/collections"),
        ("DELETE", LIST),
        ("GET", "/collections/notes"),
        ("GET", &format!("{NOTE}/more")),
    ] {
        globex.call(method, path).send().await.expect_problem(404, "route_not_found");
    }
    api.shutdown().await;
}
