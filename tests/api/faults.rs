//! DynamoDB throttled, failing, stalled, away: every request ends in an explicit response, within 6 seconds.

mod errors;

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::dynamodb::{DynamoDb, Fault};

use crate::support::{Api, Caller, Response};

const LIST: &str = "/collections/notes/records";
const NOTE: &str = "/collections/notes/records/welcome";
const LIMIT: Duration = Duration::from_secs(6);

/// An API on a table that can fail; globex is known to the authorizer, and there is a record.
async fn start() -> (DynamoDb, Api) {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| {
        options.dynamodb_endpoint = Some(table.endpoint.clone());
        // One for each call at the same time: none waits for another one to be done with a table that hangs.
        options.environments = 16;
    })
    .await;
    (table, api)
}

async fn warm(api: &Api) -> Caller<'_> {
    let globex = api.caller("globex").await;
    globex.put(NOTE, &json!({"data": {"a": 1}})).await.expect(201);
    globex
}

/// Each operation, once, all at the same time.
async fn every_operation(caller: &Caller<'_>) -> Vec<(&'static str, Response, Duration)> {
    let operations = [
        ("GET", NOTE),
        ("GET", LIST),
        ("GET", "/collections"),
        ("POST", LIST),
        ("PUT", NOTE),
        ("PATCH", NOTE),
        ("DELETE", NOTE),
    ];
    let calls = operations.map(|(method, path)| {
        let call = caller.call(method, path);
        let call = if matches!(method, "GET" | "DELETE") { call } else { call.json(&json!({"data": {"b": 2}})) };
        tokio::spawn(async move {
            let started = Instant::now();
            let response = call.send().await;
            (method, response, started.elapsed())
        })
    });
    let mut responses = Vec::new();
    for call in calls {
        responses.push(call.await.unwrap());
    }
    responses
}

fn check(responses: Vec<(&'static str, Response, Duration)>) {
    for (method, response, elapsed) in responses {
        assert!(elapsed < LIMIT, "{method} took {elapsed:?}");
        assert_eq!(response.header("retry-after"), "1", "{method}");
        // Where the record is if it was written after all, to retry there with `If-None-Match: *`.
        assert_eq!(response.header("location").starts_with("/v1/collections/notes/records/"), method == "POST");
        let response = response.expect_problem(503, "unavailable");
        assert!(
            !response.text.contains("Internal") && !response.text.to_lowercase().contains("dynamo"),
            "{response:?}"
        );
    }
}

#[tokio::test]
async fn a_throttled_or_failing_table_is_reported_as_unavailable() {
    for fault in [Fault::Throttle, Fault::Fail] {
        let (table, api) = start().await;
        let globex = warm(&api).await;
        table.fail_always(Some(fault));
        check(every_operation(&globex).await);
        table.fail_always(None);
        let unchanged = globex.get(NOTE).await.expect(200).json();
        assert_eq!(unchanged["data"], json!({"a": 1}), "nothing was written");
        assert_eq!(globex.get(LIST).await.json()["items"].as_array().unwrap().len(), 1);
        api.shutdown().await;
    }
}

#[tokio::test]
async fn a_stalled_table_is_reported_as_unavailable() {
    let (table, api) = start().await;
    let globex = warm(&api).await;
    table.fail_always(Some(Fault::Stall));
    check(every_operation(&globex).await);
    table.fail_always(None);
    globex.get(NOTE).await.expect(200);
    api.shutdown().await;
}

#[tokio::test]
async fn a_slow_read_and_a_stalled_write_end_in_time_together() {
    let (table, api) = start().await;
    let globex = warm(&api).await;
    table.next([Some(Fault::Stall), Some(Fault::Stall), None]);
    table.fail_always(Some(Fault::Stall));
    let started = Instant::now();
    globex.patch(NOTE, &json!({"data": {}})).await.expect_problem(503, "unavailable");
    assert!(started.elapsed() < LIMIT, "{:?}", started.elapsed());
    api.shutdown().await;
}

#[tokio::test]
async fn a_table_that_is_away_is_reported_as_unavailable() {
    let mut table = DynamoDb::start().await;
    let api = Api::start_with(|options| {
        options.dynamodb_endpoint = Some(table.endpoint.clone());
        // The requests are let in without a unit, to get the responses of the handlers.
        options.overrides.insert("QuotaWhenUnavailable".into(), "allow".into());
    })
    .await;
    let globex = warm(&api).await;
    table.stop().await;
    check(every_operation(&globex).await);
    api.shutdown().await;
}

#[tokio::test]
async fn a_fault_that_passes_is_not_noticed() {
    let (table, api) = start().await;
    let globex = warm(&api).await;
    let if_match = async || globex.get(NOTE).await.expect(200).header("etag").to_owned();
    for fault in [Fault::Throttle, Fault::Fail, Fault::Stall, Fault::Garble] {
        if fault != Fault::Garble {
            table.next([Some(fault)]);
            globex.get(NOTE).await.expect(200);
        }
        let etag = if_match().await;
        table.next([Some(fault)]);
        globex.call("PUT", NOTE).json(&json!({"data": {"a": 1}})).header("if-match", &etag).send().await.expect(200);
        table.next([None, Some(fault)]);
        globex.patch(NOTE, &json!({"data": {"b": 2}})).await.expect(200);
        let etag = if_match().await;
        table.next([Some(fault)]);
        let deleted = globex.call("DELETE", NOTE).header("if-match", &etag).send().await;
        // It is done, but whether by this request is unknown.
        assert_eq!(deleted.status, if fault == Fault::Garble { 503 } else { 204 }, "{fault:?}: {deleted:?}");
        globex.put(NOTE, &json!({"data": {"a": 1}})).await.expect(201);
    }
    // An attempt that certainly did nothing is retried for any write.
    for fault in [Fault::Throttle, Fault::Conflict] {
        let next = |skipped: usize| table.next(vec![None; skipped].into_iter().chain([Some(fault), Some(fault)]));
        next(0);
        globex.post(LIST, &json!({"data": {}})).await.expect(201);
        next(0);
        globex.put(NOTE, &json!({"data": {"a": 1}})).await.expect(200);
        next(1);
        globex.patch(NOTE, &json!({"data": {"b": 2}})).await.expect(200);
        next(0);
        globex.delete(NOTE).await.expect(204);
        globex.put(NOTE, &json!({"data": {"a": 1}})).await.expect(201);
    }
    api.shutdown().await;
}

#[tokio::test]
async fn a_write_that_could_undo_another_one_is_sent_once() {
    let (table, api) = start().await;
    let globex = warm(&api).await;
    for fault in [Fault::Fail, Fault::Stall] {
        for (operation, method, path, any) in [
            ("PutItem", "POST", LIST, None),
            ("UpdateItem", "PUT", NOTE, None),
            ("UpdateItem", "PUT", NOTE, Some("if-match")),
            ("UpdateItem", "PUT", NOTE, Some("if-none-match")),
            ("DeleteItem", "DELETE", NOTE, None),
            ("DeleteItem", "DELETE", NOTE, Some("if-match")),
        ] {
            let call = globex.call(method, path);
            let call = if method == "DELETE" { call } else { call.json(&json!({"data": {}})) };
            let call = if let Some(name) = any { call.header(name, "*") } else { call };
            table.take();
            table.next([Some(fault)]);
            call.send().await.expect_problem(503, "unavailable");
            let seen: Vec<_> = table.take().into_iter().map(|seen| seen.operation).collect();
            assert_eq!(seen.iter().filter(|seen| *seen != "GetItem").collect::<Vec<_>>(), [operation], "{fault:?}");
        }
    }
    assert_eq!(globex.get(NOTE).await.expect(200).json()["data"], json!({"a": 1}));
    api.shutdown().await;
}

#[tokio::test]
async fn a_delete_whose_response_is_lost_is_not_reported_as_done() {
    let (table, api) = start().await;
    let globex = warm(&api).await;
    let etag = globex.get(NOTE).await.header("etag").to_owned();
    for (path, if_match) in [
        // There never was such a record, or such a version of it.
        ("/collections/notes/records/none", None),
        ("/collections/notes/records/none", Some(etag.as_str())),
        (NOTE, Some("\"1\"")),
    ] {
        table.next([Some(Fault::Fail)]);
        let delete = globex.call("DELETE", path);
        let delete = if let Some(etag) = if_match { delete.header("if-match", etag) } else { delete };
        delete.send().await.expect_problem(503, "unavailable");
    }
    globex.get(NOTE).await.expect(200);
    api.shutdown().await;
}

fn version(response: &Response) -> Option<u64> {
    response.json()["version"].as_u64()
}

#[tokio::test]
async fn a_write_whose_response_is_lost_happens_once_and_is_reported_as_done() {
    let (table, api) = start().await;
    let globex = warm(&api).await;
    let lose = || table.next([Some(Fault::LoseResponse)]);

    lose();
    let created = globex.post(LIST, &json!({"data": {"n": 1}})).await.expect(201);
    assert_eq!(globex.follow(created.header("location")).await.expect(200).json(), created.json());
    assert_eq!(globex.get(LIST).await.json()["items"].as_array().unwrap().len(), 2);

    let path = "/collections/notes/records/new";
    let put = |name: &'static str, value: String| {
        globex.call("PUT", path).json(&json!({"data": {}})).header(name, &value).send()
    };
    lose();
    let first = put("if-none-match", "*".into()).await.expect(201);
    lose();
    let second = put("if-match", first.header("etag").into()).await.expect(200);
    assert_eq!(version(&second), version(&first).map(|version| version + 1), "one write");
    lose();
    let third = globex.put(path, &json!({"data": {}})).await.expect(200);
    assert_eq!(version(&third), version(&second).map(|version| version + 1), "one write");
    table.next([Some(Fault::LoseResponse)]);
    let other = globex.put("/collections/notes/records/newer", &json!({"data": {}})).await.expect(201);
    assert_eq!(globex.get("/collections/notes/records/newer").await.json(), other.json());

    table.take();
    // The read, and then the write.
    table.next([Some(Fault::LoseResponse), None, Some(Fault::LoseResponse)]);
    let patched = globex.patch(path, &json!({"data": {"p": 1}})).await.expect(200);
    assert_eq!(patched.json()["data"], json!({"p": 1}));
    // It happens, too. But a record that is not there looks the same, whoever deleted it.
    lose();
    let deleted = globex.call("DELETE", path).header("if-match", patched.header("etag")).send().await;
    deleted.expect_problem(503, "unavailable");
    globex.get(path).await.expect(404);
    api.shutdown().await;
}

#[tokio::test]
async fn known_tenants_are_let_in_while_the_table_fails_and_others_get_a_503() {
    let (table, api) = start().await;
    let globex = warm(&api).await;
    table.fail_always(Some(Fault::Fail));
    // Another token of a tenant that the authorizer knows, and the first of one that it does not.
    let other_token = api.caller("globex").await;
    other_token.get("/collections/x/records/y").await.expect_problem(503, "unavailable");
    assert_eq!(api.invocations("records").await, 2, "it got through to the function");
    let started = Instant::now();
    let unknown = api.caller("acme").await.get(NOTE).await.expect_problem(503, "unavailable");
    assert!(started.elapsed() < LIMIT);
    assert_eq!(unknown.header("retry-after"), "1");
    assert_eq!(api.invocations("records").await, 2, "it did not");
    table.fail_always(None);
    api.caller("acme").await.get(NOTE).await.expect(404);
    globex.get(NOTE).await.expect(200);
    api.shutdown().await;
}
