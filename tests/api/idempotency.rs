//! `Idempotency-Key`: a write happens once, and its repeats get the first response.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use testkit::dynamodb::DynamoDb;

use crate::support::{Api, Call, Caller, Response};

mod crowd;
mod faults;
mod history;
mod secrets;

const LIST: &str = "/collections/notes/records";
const NOTE: &str = "/collections/notes/records/welcome";
const KEY: &str = "8e03978e-40d5-43e8-bc93-6894a57f9324";

/// A write, and its first response, on [`NOTE`] as it is after a put.
type Write = (&'static str, &'static str, Option<Value>, u16);

/// Every write of records. The key's route is another for each, so that they may have one key.
fn writes() -> [Write; 5] {
    [
        ("POST", LIST, Some(json!({"data": {"n": 1.50}})), 201),
        ("PUT", "/collections/notes/records/new", Some(json!({"data": {"n": 2}})), 201),
        ("PUT", NOTE, Some(json!({"data": {"n": 3}})), 200),
        ("PATCH", NOTE, Some(json!({"data": {"p": 4}})), 200),
        ("DELETE", NOTE, None, 204),
    ]
}

fn call(caller: &Caller<'_>, (method, path, body, _): &Write, key: &str) -> Call {
    let call = caller.call(method, path).header("idempotency-key", key);
    if let Some(body) = body { call.json(body) } else { call }
}

/// The parts of a response that a retry has in common with the first one: all but the ids of the request.
fn essence(response: &Response) -> (u16, BTreeMap<String, String>, String) {
    let own = ["x-amzn-requestid", "x-amz-apigw-id", "date", "x-amzn-trace-id", "idempotent-replayed", "ratelimit"];
    let headers = response.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let headers = headers.filter(|(name, _)| !own.contains(&name.as_str())).collect();
    (response.status, headers, response.text.clone())
}

fn is_replayed(response: &Response) -> bool {
    response.header("idempotent-replayed") == "true"
}

#[track_caller]
fn assert_replay(repeat: &Response, first: &Response) {
    assert_eq!(essence(repeat), essence(first));
    assert!(is_replayed(repeat), "{repeat:?}");
}

async fn records(caller: &Caller<'_>) -> Vec<Value> {
    caller.get(&format!("{LIST}?consistent=true&limit=100")).await.expect(200).json()["items"]
        .as_array()
        .unwrap()
        .clone()
}

#[tokio::test]
async fn a_retry_gets_the_first_response_whatever_became_of_the_record() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    for (index, write) in writes().iter().enumerate() {
        let put = globex.put(NOTE, &json!({"data": {"a": 1}})).await;
        assert!([200, 201].contains(&put.status), "{put:?}");
        let key = format!("{KEY}-{index}");
        let first = call(&globex, write, &key).send().await.expect(write.3);
        assert!(!is_replayed(&first), "{first:?}");
        let before = records(&globex).await;
        assert_replay(&call(&globex, write, &key).send().await, &first);
        // The same key in quotes.
        assert_replay(&call(&globex, write, &format!("\"{key}\"")).send().await, &first);
        assert_eq!(records(&globex).await, before, "a repeat of {write:?} writes nothing");

        // Changed, gone, and there again.
        let path = first.header("location").strip_prefix("/v1").unwrap_or(NOTE).to_owned();
        globex.put(&path, &json!({"data": {"other": true}})).await;
        assert_replay(&call(&globex, write, &key).send().await, &first);
        globex.delete(&path).await.expect(204);
        assert_replay(&call(&globex, write, &key).send().await, &first);
        assert_eq!(records(&globex).await.len(), before.len() - usize::from(write.0 != "DELETE"));
    }
    api.shutdown().await;
}

#[tokio::test]
async fn a_precondition_that_the_write_itself_ended_does_not_fail_its_retry() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    let created = globex.call("PUT", NOTE).json(&json!({"data": {}})).header("if-none-match", "*");
    let created = created.header("idempotency-key", KEY).send().await.expect(201);
    let repeat = globex.call("PUT", NOTE).json(&json!({"data": {}})).header("if-none-match", "*");
    assert_replay(&repeat.header("idempotency-key", KEY).send().await, &created);

    for (method, key) in [("PUT", "second"), ("PATCH", "third"), ("DELETE", "fourth")] {
        let etag = globex.get(NOTE).await.expect(200).header("etag").to_owned();
        let send = || {
            let call = globex.call(method, NOTE).header("if-match", &etag).header("idempotency-key", key);
            if method == "DELETE" { call } else { call.json(&json!({"data": {"by": key}})) }.send()
        };
        let first = send().await;
        assert!([200, 204].contains(&first.status), "{first:?}");
        assert_replay(&send().await, &first);
    }
    // Without a record, a put that requires one is rejected, with and without an idempotency key.
    let call = globex.call("PUT", NOTE).json(&json!({"data": {}})).header("if-match", "*");
    call.header("idempotency-key", "fifth").send().await.expect_problem(412, "precondition_failed");
    api.shutdown().await;
}

#[tokio::test]
async fn an_expiry_that_has_passed_meanwhile_does_not_fail_a_retry() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 5;
    let moment = UNIX_EPOCH + Duration::from_secs(seconds);
    let expiry =
        serde_json::to_value(service::domain::time::Expiry::from_secs(i64::try_from(seconds).unwrap())).unwrap();
    let body = json!({"data": {"n": 1}, "expiresAt": expiry});
    let write: Write = ("PUT", NOTE, Some(body.clone()), 201);
    let first = call(&globex, &write, KEY).send().await.expect(201);
    tokio::time::sleep(moment.duration_since(SystemTime::now()).unwrap_or_default()).await;
    globex.put(NOTE, &body).await.expect_problem(400, "invalid_body");
    assert_replay(&call(&globex, &write, KEY).send().await, &first);
    call(&globex, &write, "another").send().await.expect_problem(400, "invalid_body");
    // A put with a key over what is left of an expired record, which is in its way.
    let anew: Write = ("PUT", NOTE, Some(json!({"data": {"n": 2}})), 201);
    let created = call(&globex, &anew, "anew").send().await.expect(201);
    assert_eq!(globex.get(NOTE).await.expect(200).text, created.text);
    api.shutdown().await;
}

#[tokio::test]
async fn another_request_with_the_idempotency_key_is_rejected() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    let body = json!({"data": {"n": 1}});
    let call = |path: &str| globex.call("PUT", path).header("idempotency-key", KEY);
    let first = call(NOTE).json(&body).send().await.expect(201);
    for other in [
        call("/collections/notes/records/other").json(&body),
        call("/collections/others/records/welcome").json(&body),
        call(&format!("{NOTE}?a=b")).json(&body),
        call(NOTE).json(&json!({"data": {"n": 2}})),
        call(NOTE).body("application/json", r#"{"data":{"n":1 }}"#),
        call(NOTE).body("application/json", "{"),
        call(NOTE).body("text/plain", body.to_string()),
        call(NOTE).json(&body).header("if-match", first.header("etag")),
        call(NOTE).json(&body).header("if-match", "*"),
        call(NOTE).json(&body).header("if-none-match", "*"),
    ] {
        let rejected = other.send().await.expect_problem(422, "idempotency_key_reused");
        assert_eq!(rejected.header("location"), "");
    }
    assert_eq!(records(&globex).await.len(), 1);
    assert_replay(&call(NOTE).json(&body).send().await, &first);
    // Parameters of the media type do not change the request.
    let repeat = call(NOTE).body("application/json; charset=utf-8", body.to_string()).send().await;
    assert_replay(&repeat, &first);
    api.shutdown().await;
}

#[tokio::test]
async fn an_idempotency_key_belongs_to_one_tenant_and_one_route() {
    let api = Api::start().await;
    let (globex, acme) = (api.caller("globex").await, api.caller("acme").await);
    globex.put(NOTE, &json!({"data": {}})).await.expect(201);
    // Each route has one: the two puts share theirs.
    for write in writes().iter().filter(|(_, path, ..)| !path.ends_with("new")) {
        assert!(!is_replayed(&call(&globex, write, KEY).send().await.expect(write.3)));
    }
    let write = &writes()[0];
    let created = call(&acme, write, KEY).send().await.expect(201);
    assert!(!is_replayed(&created));
    assert_eq!(records(&acme).await, [created.json()]);
    assert_replay(&call(&acme, write, KEY).send().await, &created);
    api.shutdown().await;
}

#[tokio::test]
async fn a_rejection_is_not_stored() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    for write in [("PATCH", 200), ("DELETE", 204)].map(|(method, status)| -> Write {
        let body = (method == "PATCH").then(|| json!({"data": {"n": 1}}));
        (method, NOTE, body, status)
    }) {
        call(&globex, &write, KEY).send().await.expect_problem(404, "record_not_found");
        globex.put(NOTE, &json!({"data": {}})).await.expect(201);
        let first = call(&globex, &write, KEY).send().await.expect(write.3);
        assert!(!is_replayed(&first));
        if write.0 == "PATCH" {
            globex.delete(NOTE).await.expect(204);
        }
    }
    api.shutdown().await;
}

#[tokio::test]
async fn an_invalid_idempotency_key_is_rejected_and_writes_nothing() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    for key in ["", "\"\"", "\"a", "a b", "a,b", "\"a\", \"b\"", "\"a\";b", &"x".repeat(256)] {
        for write in &writes() {
            call(&globex, write, key).send().await.expect_problem(400, "invalid_parameter");
        }
    }
    let twice = call(&globex, &writes()[0], "a").line("idempotency-key", "a");
    twice.send().await.expect_problem(400, "invalid_parameter");
    assert_eq!(records(&globex).await, Vec::<Value>::new());
    // Where a key means nothing it is nobody's concern.
    globex.call("GET", LIST).header("idempotency-key", "a b").send().await.expect(200);
    // A caller that may not write is denied, whatever the idempotency key.
    let reader = api.caller_with("globex", &[("scope", "records:read")]).await;
    call(&reader, &writes()[0], "a b").send().await.expect_problem(403, "insufficient_scope");
    let longest = "x".repeat(255);
    let first = call(&globex, &writes()[0], &longest).send().await.expect(201);
    assert_replay(&call(&globex, &writes()[0], &longest).send().await, &first);
    api.shutdown().await;
}

#[tokio::test]
async fn a_repeat_may_not_do_less_than_the_first() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    let write = &writes()[0];
    call(&globex, write, KEY).send().await.expect(201);
    let reader = api.caller_with("globex", &[("scope", "records:read")]).await;
    call(&reader, write, KEY).send().await.expect_problem(403, "insufficient_scope");
    api.shutdown().await;
}

#[tokio::test]
async fn a_warm_write_with_an_idempotency_key_makes_one_request_to_the_table() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let globex = api.caller("globex").await;
    globex.put(NOTE, &json!({"data": {}})).await.expect(201);
    let etag = globex.get(NOTE).await.header("etag").to_owned();
    let replace = json!({"data": {"n": 3}});
    table.take();
    let with_etag = |key: &str| {
        globex.call("PUT", NOTE).json(&replace).header("if-match", &etag).header("idempotency-key", key).send()
    };
    with_etag("etag").await.expect(200);
    assert_eq!(operations(&table), ["GetItem", "TransactWriteItems"], "a put that wants a record");
    with_etag("etag").await.expect(200);
    assert_eq!(operations(&table), ["GetItem", "GetItem"], "its repeat");
    for (write, first, repeat) in [
        (0, &["TransactWriteItems"][..], &["TransactWriteItems"][..]),
        (1, &["TransactWriteItems"], &["TransactWriteItems"]),
        // The first try finds what is to be replaced.
        (2, &["TransactWriteItems", "TransactWriteItems"], &["TransactWriteItems"]),
        (3, &["GetItem", "TransactWriteItems"], &["GetItem", "TransactWriteItems"]),
        (4, &["TransactWriteItems"], &["TransactWriteItems"]),
    ] {
        let write = &writes()[write];
        let key = format!("{KEY}{}", write.1);
        call(&globex, write, &key).send().await.expect(write.3);
        assert_eq!(operations(&table), first, "{write:?}");
        call(&globex, write, &key).send().await.expect(write.3);
        assert_eq!(operations(&table), repeat, "the repeat of {write:?}");
    }
    api.shutdown().await;
}

fn operations(table: &DynamoDb) -> Vec<String> {
    table.take().into_iter().map(|seen| seen.operation).collect()
}

#[tokio::test]
async fn the_reply_of_the_largest_record_is_stored() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    let sized = |bytes: usize| json!({"data": {"text": "x".repeat(bytes - r#"{"text":""}"#.len())}});
    let largest: Write = ("PUT", NOTE, Some(sized(350 * 1024)), 201);
    let first = call(&globex, &largest, KEY).send().await.expect(201);
    assert_replay(&call(&globex, &largest, KEY).send().await, &first);
    // A patch's reply is stored whole.
    let patch: Write = ("PATCH", NOTE, Some(json!({"data": {}})), 200);
    let first = call(&globex, &patch, KEY).send().await.expect(200);
    assert_replay(&call(&globex, &patch, KEY).send().await, &first);
    api.shutdown().await;
}

#[tokio::test]
async fn a_reply_is_stored_without_the_data_that_a_retry_repeats() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let globex = api.caller("globex").await;
    let write: Write = ("POST", LIST, Some(json!({"data": {"text": "unmistakable"}})), 201);
    let first = call(&globex, &write, KEY).send().await.expect(201);
    let items = table.scan("Table").await;
    let stored: Vec<_> = items.iter().filter(|item| item["pk"]["S"].as_str().unwrap().contains("#KEYS#")).collect();
    let [stored] = stored[..] else { panic!("{stored:?}") };
    assert!(!stored.to_string().contains("unmistakable") && !stored.to_string().contains(KEY), "{stored}");
    assert_replay(&call(&globex, &write, KEY).send().await, &first);
    api.shutdown().await;
}

#[tokio::test]
async fn offboarding_removes_stored_replies() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let globex = api.caller("globex").await;
    for n in 0..40 {
        call(&globex, &writes()[0], &format!("{KEY}{n}")).send().await.expect(201);
    }
    let operator = api.caller("operator").await;
    let id = local::seed::DEMO[1].id;
    let path = format!("/admin/tenants/{id}");
    operator.delete(&path).await.expect(202);
    api.finish_offboarding(id).await;
    let gone = operator.get(&path).await.expect(200).json();
    assert_eq!((&gone["status"], &gone["purged"]), (&json!("offboarded"), &json!(81)));
    let left = table.scan("Table").await;
    let prefix = format!("T#{id}#");
    let pks = left.iter().map(|item| item["pk"]["S"].as_str().unwrap());
    // Its usage stays: the operator bills by it.
    let pks = pks.filter(|pk| !pk.ends_with("#USAGE")).collect::<Vec<_>>();
    assert!(pks.iter().all(|pk| !pk.starts_with(&prefix)), "{pks:?}");
    api.shutdown().await;
}
