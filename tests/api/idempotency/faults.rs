//! Lost responses, functions that die, and many requests at once.

use serde_json::json;
use testkit::dynamodb::{DynamoDb, Fault};

use super::{KEY, NOTE, assert_replay, call, essence, is_replayed, records, writes};
use crate::support::Api;

async fn start() -> (DynamoDb, Api) {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    (table, api)
}

/// The requests before a write's transaction.
fn reads_before(method: &str) -> usize {
    usize::from(method == "PATCH")
}

#[tokio::test]
async fn an_attempt_whose_response_is_lost_is_recognized_as_the_first() {
    for fault in [Fault::LoseResponse, Fault::LoseResponseAndToken] {
        let (table, api) = start().await;
        let globex = api.caller("globex").await;
        globex.put(NOTE, &json!({"data": {"a": 1}})).await.expect(201);
        for (index, write) in writes().iter().enumerate() {
            let key = format!("{KEY}{index}");
            table.next(vec![None; reads_before(write.0)]);
            // A put over a record finds it at its first transaction, and writes with its second.
            table.next(vec![None; usize::from(write.1 == NOTE && write.0 == "PUT")]);
            table.next([Some(fault)]);
            let first = call(&globex, write, &key).send().await.expect(write.3);
            assert!(!is_replayed(&first), "{first:?}");
            let now = globex.get(&format!("{NOTE}?consistent=true")).await;
            assert_replay(&call(&globex, write, &key).send().await, &first);
            if write.1 == NOTE && write.0 != "DELETE" {
                assert_eq!(now.text, first.text, "one write, and the response names it");
            }
        }
        assert_eq!(records(&globex).await.len(), 2);
        api.shutdown().await;
    }
}

#[tokio::test]
async fn a_function_that_dies_leaves_nothing_in_the_way_of_a_repeat() {
    let (table, api) = start().await;
    let globex = api.caller("globex").await;
    globex.put(NOTE, &json!({"data": {"a": 1}})).await.expect(201);
    let write = &writes()[0];
    // Before the write, and after it.
    for (key, fault, done) in [("before", Fault::Stall, false), ("after", Fault::StallDone, true)] {
        table.next([Some(fault)]);
        let first = async {
            let response = call(&globex, write, key).send().await;
            response.expect_problem(502, "internal_error")
        };
        let kill = async {
            table.stalled().await;
            api.local.functions().kill("records");
        };
        tokio::join!(first, kill);
        let before = records(&globex).await.len();
        let repeat = call(&globex, write, key).send().await.expect(201);
        assert_eq!(is_replayed(&repeat), done, "{repeat:?}");
        assert_eq!(records(&globex).await.len(), before + usize::from(!done));
        assert_replay(&call(&globex, write, key).send().await, &repeat);
        assert_eq!(globex.follow(repeat.header("location")).await.expect(200).text, repeat.text);
    }
    api.shutdown().await;
}

#[tokio::test]
async fn conflicting_writes_are_waited_for_or_reported() {
    let (table, api) = start().await;
    let globex = api.caller("globex").await;
    globex.put(NOTE, &json!({"data": {"a": 1}})).await.expect(201);
    for (index, write) in writes().iter().enumerate() {
        let key = format!("{KEY}{index}");
        table.next(vec![None; reads_before(write.0)]);
        table.next(vec![Some(Fault::Conflict); 4]);
        let rejected = call(&globex, write, &key).send().await.expect_problem(409, "conflict");
        assert_eq!((rejected.header("retry-after"), rejected.header("location")), ("1", ""));
        table.next(vec![None; reads_before(write.0)]);
        table.next([Some(Fault::Conflict)]);
        let first = call(&globex, write, &key).send().await.expect(write.3);
        assert!(!is_replayed(&first));
    }
    assert_eq!(records(&globex).await.len(), 2);
    api.shutdown().await;
}

#[tokio::test]
async fn a_table_that_fails_is_reported_as_such_and_never_as_a_rejection() {
    let (table, api) = start().await;
    let globex = api.caller("globex").await;
    globex.put(NOTE, &json!({"data": {}})).await.expect(201);
    let patch = &writes()[3];
    let first = call(&globex, patch, KEY).send().await.expect(200);
    globex.delete(NOTE).await.expect(204);
    // The record is gone, and whether the request was done before cannot be seen.
    table.next([None]);
    table.fail_always(Some(Fault::Throttle));
    call(&globex, patch, KEY).send().await.expect_problem(503, "unavailable");
    table.fail_always(None);
    assert_replay(&call(&globex, patch, KEY).send().await, &first);
    api.shutdown().await;
}

#[tokio::test]
async fn one_of_many_at_once_writes_and_all_get_the_same_response() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    globex.put(NOTE, &json!({"data": {"a": 1}})).await.expect(201);
    for (index, write) in writes().iter().enumerate() {
        let key = format!("{KEY}{index}");
        let calls: Vec<_> = (0..20).map(|_| tokio::spawn(call(&globex, write, &key).send())).collect();
        let mut first = None;
        for response in calls {
            let response = response.await.unwrap();
            if response.status == 409 {
                response.expect_problem(409, "conflict");
                continue;
            }
            assert_eq!(response.status, write.3, "{response:?}");
            if !is_replayed(&response) {
                assert_eq!(first.replace(essence(&response)), None, "one wrote");
            }
        }
        let repeat = call(&globex, write, &key).send().await;
        assert_eq!(Some(essence(&repeat)), first);
    }
    assert_eq!(records(&globex).await.len(), 2);
    api.shutdown().await;
}

#[tokio::test]
async fn an_idempotency_key_is_free_again_after_a_day() {
    let (table, api) = start().await;
    let globex = api.caller("globex").await;
    for (index, write) in writes().iter().enumerate() {
        globex.put(NOTE, &json!({"data": {"a": 1}})).await;
        let key = format!("{KEY}{index}");
        let first = call(&globex, write, &key).send().await.expect(write.3);
        if write.1.ends_with("new") {
            globex.delete(write.1).await.expect(204);
        }
        globex.put(NOTE, &json!({"data": {"a": 1}})).await;
        table.age("Table", "#KEYS#").await;
        let anew = call(&globex, write, &key).send().await.expect(write.3);
        assert!(!is_replayed(&anew));
        assert!(write.0 == "DELETE" || anew.header("etag") != first.header("etag"), "{anew:?}");
        assert_replay(&call(&globex, write, &key).send().await, &anew);
        table.age("Table", "#KEYS#").await;
        // Another request may have it as well.
        let other = if write.2.is_some() { Some(json!({"data": {"another": index}})) } else { None };
        globex.put(NOTE, &json!({"data": {"a": 1}})).await;
        let other = call(&globex, &(write.0, write.1, other, 0), &key).send().await;
        assert!((200..300).contains(&other.status) && !is_replayed(&other), "{other:?}");
    }
    api.shutdown().await;
}

#[tokio::test]
async fn an_expired_reply_is_not_found_by_a_request_that_is_rejected() {
    let (table, api) = start().await;
    let globex = api.caller("globex").await;
    globex.put(NOTE, &json!({"data": {"a": 1}})).await.expect(201);
    let delete = &writes()[4];
    call(&globex, delete, KEY).send().await.expect(204);
    table.age("Table", "#KEYS#").await;
    call(&globex, delete, KEY).send().await.expect_problem(404, "record_not_found");
    api.shutdown().await;
}
