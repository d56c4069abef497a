//! Preconditions, and races.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;
use tokio::sync::Barrier;

use super::{NOTE, globex};
use crate::support::{Api, Caller, Response};

async fn put(caller: &Caller<'_>, name: &str, value: &str) -> Response {
    caller.call("PUT", NOTE).json(&json!({"data": {}})).header(name, value).send().await
}

#[tokio::test]
async fn the_data_of_an_unchanged_record_is_not_transferred_again() {
    let api = Api::start().await;
    let globex = globex(&api).await;
    let etag = globex.put(NOTE, &json!({"data": {}})).await.expect(201).header("etag").to_owned();
    let get = |name: &'static str, value: String| globex.call("GET", NOTE).header(name, &value).send();
    for value in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".into()] {
        let unchanged = get("if-none-match", value).await.expect(304);
        assert_eq!((unchanged.header("etag"), &unchanged.text[..]), (&etag[..], ""));
    }
    get("if-none-match", "\"1\"".into()).await.expect(200);
    get("if-match", etag.clone()).await.expect(200);
    get("if-match", "\"1\"".into()).await.expect_problem(412, "precondition_failed");
    get("if-match", format!("W/{etag}")).await.expect_problem(412, "precondition_failed");
    let changed = globex.put(NOTE, &json!({"data": {"a": 1}})).await.expect(200);
    let read = get("if-none-match", etag).await.expect(200);
    assert_eq!(read.header("etag"), changed.header("etag"));
    api.shutdown().await;
}

#[tokio::test]
async fn writes_are_held_to_their_preconditions() {
    let api = Api::start().await;
    let globex = globex(&api).await;
    for value in ["*", "\"1\""] {
        put(&globex, "if-match", value).await.expect_problem(412, "precondition_failed");
    }
    globex.get(NOTE).await.expect(404);
    assert_eq!(globex.get("/collections").await.json()["items"], json!([]), "a rejected write leaves nothing");
    let etag = put(&globex, "if-none-match", "*").await.expect(201).header("etag").to_owned();
    put(&globex, "if-none-match", "*").await.expect_problem(412, "precondition_failed");
    put(&globex, "if-none-match", &etag).await.expect_problem(412, "precondition_failed");
    put(&globex, "if-match", "\"1\", \"not ours\"").await.expect_problem(412, "precondition_failed");
    let etag = put(&globex, "if-match", &format!("\"1\", {etag}")).await.expect(200).header("etag").to_owned();
    let other = put(&globex, "if-none-match", "\"1\"").await.expect(200);
    assert_ne!(other.header("etag"), etag);
    let etag = other.header("etag");

    let patch = |value: &str| {
        let call = globex.call("PATCH", NOTE).header("if-match", value);
        call.body("application/merge-patch+json", r#"{"data":{"a":1}}"#).send()
    };
    patch("\"1\"").await.expect_problem(412, "precondition_failed");
    let etag_after = patch(etag).await.expect(200).header("etag").to_owned();
    patch(etag).await.expect_problem(412, "precondition_failed");

    let delete = |value: &str| globex.call("DELETE", NOTE).header("if-match", value).send();
    delete(etag).await.expect_problem(412, "precondition_failed");
    globex.get(NOTE).await.expect(200);
    delete(&etag_after).await.expect(204);
    // Without the record, the response is the one without a precondition (RFC 9110, section 13.2.1).
    delete("*").await.expect_problem(404, "record_not_found");
    patch("*").await.expect_problem(404, "record_not_found");
    api.shutdown().await;
}

#[tokio::test]
async fn a_precondition_may_take_several_lines() {
    let api = Api::start().await;
    let globex = globex(&api).await;
    let etag = globex.put(NOTE, &json!({"data": {}})).await.expect(201).header("etag").to_owned();
    let lines = |name: &'static str, first: String, second: String| {
        globex.call("GET", NOTE).line(name, &first).line(name, &second).send()
    };
    for (first, second) in [(etag.clone(), "\"1\"".to_owned()), ("\"1\"".to_owned(), etag)] {
        lines("if-none-match", first.clone(), second.clone()).await.expect(304);
        lines("if-match", first, second).await.expect(200);
    }
    api.shutdown().await;
}

/// Sends the same request many times at once, and returns the statuses.
async fn at_once(api: &Api, times: usize, method: &str, headers: &[(&str, &str)]) -> Vec<u16> {
    let globex = globex(api).await;
    let start = Arc::new(Barrier::new(times));
    let calls = (0..times).map(|n| {
        let mut call = globex.call(method, NOTE).json(&json!({"data": {format!("m{n}"): n}}));
        for (name, value) in headers {
            call = call.header(name, value);
        }
        let start = Arc::clone(&start);
        tokio::spawn(async move {
            start.wait().await;
            call.send().await.status
        })
    });
    let mut statuses = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        statuses.push(call.await.unwrap());
    }
    statuses.sort_unstable();
    statuses
}

#[tokio::test]
async fn of_many_writers_with_the_same_if_match_one_wins() {
    let api = Api::start().await;
    let etag = globex(&api).await.put(NOTE, &json!({"data": {}})).await.expect(201).header("etag").to_owned();
    for method in ["PUT", "PATCH"] {
        let etag = if method == "PUT" {
            etag.clone()
        } else {
            globex(&api).await.get(&format!("{NOTE}?consistent=true")).await.header("etag").to_owned()
        };
        let statuses = at_once(&api, 16, method, &[("if-match", &etag)]).await;
        assert_eq!(statuses[0], 200, "{method}");
        assert!(statuses[1..].iter().all(|status| *status == 412), "{method}: {statuses:?}");
    }
    api.shutdown().await;
}

#[tokio::test]
async fn of_many_creators_one_wins() {
    let api = Api::start().await;
    let statuses = at_once(&api, 16, "PUT", &[("if-none-match", "*")]).await;
    assert_eq!(statuses[0], 201);
    assert!(statuses[1..].iter().all(|status| *status == 412), "{statuses:?}");
    api.shutdown().await;
}

#[tokio::test]
async fn of_many_unconditional_puts_one_creates() {
    let api = Api::start().await;
    let statuses = at_once(&api, 16, "PUT", &[]).await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 15, "{statuses:?}");
    api.shutdown().await;
}

#[tokio::test]
async fn concurrent_merges_lose_nothing() {
    let api = Api::start().await;
    let globex = globex(&api).await;
    globex.put(NOTE, &json!({"data": {}})).await.expect(201);
    let statuses = at_once(&api, 8, "PATCH", &[]).await;
    let merged = globex.get(&format!("{NOTE}?consistent=true")).await.json();
    let members: BTreeSet<_> = merged["data"].as_object().unwrap().keys().cloned().collect();
    // Those that got the conflict, and only they, are not in it.
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), members.len(), "{statuses:?} {members:?}");
    assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
    assert!(!members.is_empty());
    api.shutdown().await;
}
