//! Transactions with an idempotency key: they happen once, however often they are sent.

use serde_json::{Value, json};
use testkit::dynamodb::{DynamoDb, Fault};

use super::{GLOBEX, read, transact};
use crate::support::{Api, Call, Caller, Response};

fn keyed(caller: &Caller<'_>, key: &str, operations: &Value) -> Call {
    caller.call("POST", "/transactions").json(&json!({ "operations": operations })).header("idempotency-key", key)
}

/// The parts of a response that a retry has to have in common with the first one.
fn content(response: &Response) -> (u16, &str, &str) {
    (response.status, response.header("content-type"), &response.text)
}

/// Creates and changes whose repeat would fail, or be another write.
fn operations(collection: &str) -> Value {
    json!([
        {"op": "create", "collection": collection, "data": {"made": 1}},
        {"op": "patch", "collection": collection, "id": "a", "data": {"patched": 1}},
        {"op": "delete", "collection": collection, "id": "b"},
    ])
}

/// Makes the records `a` and `b`.
async fn fill(globex: &Caller<'_>, collection: &str) {
    let put = |id: &str| json!({"op": "put", "collection": collection, "id": id, "data": {"n": 0}});
    transact(globex, json!([put("a"), put("b")])).await.expect(200);
}

async fn warm(api: &Api) -> Caller<'_> {
    let globex = api.caller(GLOBEX).await;
    fill(&globex, "notes").await;
    globex
}

/// All records of a collection.
async fn state(caller: &Caller<'_>, collection: &str) -> Vec<Value> {
    let listed = caller.get(&format!("/collections/{collection}/records?consistent=true")).await.json();
    listed["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_retry_gets_the_first_response_and_does_nothing() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let globex = warm(&api).await;
    table.take();
    let first = keyed(&globex, "first", &operations("notes")).send().await.expect(200);
    let seen: Vec<_> = table.take().into_iter().map(|seen| seen.operation).collect();
    assert_eq!(seen, ["BatchGetItem", "TransactWriteItems"], "no request for the key alone");
    assert_eq!(first.header("idempotent-replayed"), "");
    let patched = read(&globex, "notes", "a").await;
    for _ in 0..2 {
        let again = keyed(&globex, "first", &operations("notes")).send().await;
        assert_eq!(content(&again), content(&first));
        assert_eq!(again.header("idempotent-replayed"), "true");
    }
    assert_eq!(read(&globex, "notes", "a").await, patched);
    assert_eq!(state(&globex, "notes").await.len(), 2);

    // One that reads nothing is found by the write itself.
    let create = json!([{"op": "create", "collection": "notes", "data": {}}]);
    let first = keyed(&globex, "second", &create).send().await.expect(200);
    table.take();
    let again = keyed(&globex, "second", &create).send().await;
    assert_eq!((content(&again), again.header("idempotent-replayed")), (content(&first), "true"));
    assert_eq!(table.take().len(), 1);
    // Another request, and another tenant's.
    keyed(&globex, "second", &operations("notes")).send().await.expect_problem(422, "idempotency_key_reused");
    let acme = api.caller("acme").await;
    assert_ne!(keyed(&acme, "second", &create).send().await.expect(200).text, first.text);
    api.shutdown().await;
}

#[tokio::test]
async fn a_rejection_is_not_stored() {
    let api = Api::start().await;
    let globex = warm(&api).await;
    let create = json!([{"op": "create", "collection": "notes", "id": "a", "data": {}}]);
    keyed(&globex, "key", &create).send().await.expect_problem(412, "transaction_failed");
    globex.delete("/collections/notes/records/a").await.expect(204);
    let done = keyed(&globex, "key", &create).send().await.expect(200);
    assert_eq!(done.header("idempotent-replayed"), "");
    api.shutdown().await;
}

#[tokio::test]
async fn an_idempotency_key_takes_the_place_of_one_operation() {
    let api = Api::start().await;
    let globex = api.caller(GLOBEX).await;
    let put = |n: usize| json!({"op": "put", "collection": "notes", "id": n.to_string(), "data": {}});
    let puts: Vec<Value> = (0..100).map(put).collect();
    let rejected = keyed(&globex, "key", &json!(puts)).send().await.expect_problem(400, "invalid_body").json();
    assert!(rejected["detail"].as_str().unwrap().contains("at most 99"), "{rejected}");
    let first = keyed(&globex, "key", &json!(puts[..99])).send().await.expect(200);
    let again = keyed(&globex, "key", &json!(puts[..99])).send().await;
    assert_eq!((content(&again), again.header("idempotent-replayed")), (content(&first), "true"));
    keyed(&globex, "a,b", &json!(puts[..1])).send().await.expect_problem(400, "invalid_parameter");
    api.shutdown().await;
}

#[tokio::test]
async fn it_happens_once_whatever_becomes_of_the_response() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let globex = api.caller(GLOBEX).await;
    let ways = [
        &[Some(Fault::LoseResponse)][..],
        &[Some(Fault::LoseResponseAndToken)],
        &[Some(Fault::Conflict)],
        &[Some(Fault::Fail), Some(Fault::ConflictDone)],
    ];
    for (way, faults) in ways.into_iter().enumerate() {
        for reads in [false, true] {
            let name = format!("way-{way}-{reads}");
            fill(&globex, &name).await;
            let delete = json!([{"op": "delete", "collection": name, "id": "b"}]);
            let operations = if reads { operations(&name) } else { delete };
            table.next(reads.then_some(None).into_iter().chain(faults.iter().copied()));
            let first = keyed(&globex, &name, &operations).send().await.expect(200);
            assert_eq!(first.header("idempotent-replayed"), "", "{faults:?}");
            let before = state(&globex, &name).await;
            let again = keyed(&globex, &name, &operations).send().await;
            assert_eq!((content(&again), again.header("idempotent-replayed")), (content(&first), "true"));
            assert_eq!(state(&globex, &name).await, before);
        }
    }
    api.shutdown().await;
}

#[tokio::test]
async fn a_client_whose_function_died_retries() {
    for (fault, done) in [(Fault::Stall, false), (Fault::StallDone, true)] {
        let table = DynamoDb::start().await;
        let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
        let globex = warm(&api).await;
        table.next([None, Some(fault)]);
        let call = tokio::spawn(keyed(&globex, "key", &operations("notes")).send());
        table.stalled().await;
        api.local.functions().kill("transactions");
        call.await.unwrap().expect(502);
        let again = keyed(&globex, "key", &operations("notes")).send().await.expect(200);
        assert_eq!(again.header("idempotent-replayed"), if done { "true" } else { "" });
        assert_eq!(state(&globex, "notes").await.len(), 2, "one made, one deleted, one changed");
        assert_eq!(read(&globex, "notes", "b").await, None);
        api.shutdown().await;
    }
}

#[tokio::test]
async fn of_many_at_once_one_happens() {
    let api = Api::start().await;
    let globex = warm(&api).await;
    let calls: Vec<_> = (0..12).map(|_| tokio::spawn(keyed(&globex, "key", &operations("notes")).send())).collect();
    let mut bodies = Vec::new();
    for call in calls {
        let response = call.await.unwrap();
        match response.status {
            200 => bodies.push(response.text),
            _ => drop(response.expect_problem(409, "conflict")),
        }
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(state(&globex, "notes").await.len(), 2);
    api.shutdown().await;
}
