//! The most that a transaction may do.

use serde_json::{Value, json};

use super::{GLOBEX, failures, read, transact, version};
use crate::support::Api;

#[tokio::test]
async fn a_hundred_operations_happen_together() {
    let api = Api::start().await;
    let globex = api.caller(GLOBEX).await;
    // Each in a collection of its own: their rows are made before.
    let put =
        |n: usize| json!({"op": "put", "collection": format!("c{}", n % 30), "id": n.to_string(), "data": {"n": n}});
    let puts: Vec<Value> = (0..100).map(put).collect();
    transact(&globex, json!(puts)).await.expect(200);
    for n in [0, 42, 99] {
        assert_eq!(read(&globex, &format!("c{}", n % 30), &n.to_string()).await.unwrap()["data"], json!({"n": n}));
    }
    let collections = globex.get("/collections?limit=100").await.json();
    assert_eq!(collections["items"].as_array().unwrap().len(), 30);

    // The last one fails, and so do all.
    let mut patches: Vec<Value> = (0..99)
        .map(|n| json!({"op": "patch", "collection": format!("c{}", n % 30), "id": n.to_string(), "data": {"more": 1}}))
        .collect();
    patches.push(json!({"op": "create", "collection": "c9", "id": "99", "data": {}}));
    assert_eq!(failures(transact(&globex, json!(patches)).await), [(99, "record_exists".to_owned())]);
    assert_eq!(read(&globex, "c0", "0").await.unwrap()["data"], json!({"n": 0}));
    patches.pop();
    transact(&globex, json!(patches)).await.expect(200);
    assert_eq!(read(&globex, "c8", "98").await.unwrap()["data"], json!({"n": 98, "more": 1}));
    api.shutdown().await;
}

#[tokio::test]
async fn four_megabytes_are_written_and_no_more() {
    let api = Api::start().await;
    let globex = api.caller(GLOBEX).await;
    // Each has 333,000 bytes: twelve are within the limit, thirteen are not.
    for id in 'a'..='m' {
        let body = json!({"data": {"text": "x".repeat(333_000)}});
        globex.put(&format!("/collections/large/records/{id}"), &body).await.expect(201);
    }
    let patch = |id: char| json!({"op": "patch", "collection": "large", "id": id.to_string(), "data": {"n": 1}});
    let thirteen: Vec<Value> = ('a'..='m').map(patch).collect();
    transact(&globex, json!(thirteen)).await.expect_problem(413, "data_too_large");
    assert_eq!(read(&globex, "large", "a").await.unwrap()["data"].get("n"), None);
    let twelve = transact(&globex, json!(thirteen[..12])).await.expect(200);
    let last = read(&globex, "large", "l").await.unwrap();
    assert_eq!((&last["data"]["n"], &last["version"]), (&json!(1), &json!(version(&twelve, 11))));

    // One that a merge makes too large by itself.
    let too_large =
        json!([patch('a'), {"op": "patch", "collection": "large", "id": "m", "data": {"y": "y".repeat(30_000)}}]);
    let problem = transact(&globex, too_large).await.expect_problem(413, "data_too_large").json();
    assert!(problem["detail"].as_str().unwrap().starts_with("`operations[1]`: "), "{problem}");
    api.shutdown().await;
}
