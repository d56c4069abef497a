//! `POST /tokens` with a key: the response has a secret, which is stored for its retries and for nobody else.

use serde_json::json;
use testkit::dynamodb::{DynamoDb, Fault};

use super::{KEY, assert_replay, is_replayed};
use crate::support::{Api, Call, Caller};

fn create(caller: &Caller<'_>, key: &str) -> Call {
    let body = json!({"name": "build", "scopes": ["records:read"]});
    caller.call("POST", "/tokens").json(&body).header("idempotency-key", key)
}

#[tokio::test]
async fn a_repeat_gets_the_token_again_and_the_table_has_it_nowhere() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let globex = api.caller("globex").await;
    let first = create(&globex, KEY).send().await.expect(201);
    assert!(!is_replayed(&first));
    table.take();
    assert_replay(&create(&globex, KEY).send().await, &first);
    let sent = table.take();
    assert_eq!(sent.len(), 1, "one request, which finds the first response");

    let secret = first.json()["token"].as_str().unwrap().to_owned();
    let items = table.scan("Table").await;
    assert!(items.iter().any(|item| item["pk"]["S"].as_str().unwrap().contains("#KEYS#")));
    for item in items.iter().chain(sent.iter().map(|request| &request.body)) {
        let text = item.to_string();
        assert!(!text.contains(&secret) && !text.contains("tnt_") && !text.contains(KEY), "{text}");
    }
    api.caller_of(Some(&secret)).get("/collections").await.expect(200);
    assert_eq!(globex.get("/tokens?consistent=true").await.json()["items"].as_array().unwrap().len(), 1);

    // A revoked token is still in the stored reply, and is of no use.
    globex.delete(first.header("location").strip_prefix("/v1").unwrap()).await.expect(204);
    assert_replay(&create(&globex, KEY).send().await, &first);
    api.shutdown().await;
}

#[tokio::test]
async fn a_short_idempotency_key_does_not_protect_a_secret() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    create(&globex, &KEY[..31]).send().await.expect_problem(400, "invalid_parameter");
    assert_eq!(globex.get("/tokens?consistent=true").await.json()["items"], json!([]));
    create(&globex, &KEY[..32]).send().await.expect(201);
    api.shutdown().await;
}

#[tokio::test]
async fn only_a_caller_that_may_create_the_token_gets_it_again() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    create(&globex, KEY).send().await.expect(201);
    let lesser = api.caller_with("globex", &[("scope", "tokens:manage")]).await;
    create(&lesser, KEY).send().await.expect_problem(403, "insufficient_scope");
    let acme = api.caller("acme").await;
    assert!(!is_replayed(&create(&acme, KEY).send().await.expect(201)));
    let other = globex.call("POST", "/tokens").json(&json!({"name": "other", "scopes": ["records:read"]}));
    other.header("idempotency-key", KEY).send().await.expect_problem(422, "idempotency_key_reused");
    assert_eq!(globex.get("/tokens?consistent=true").await.json()["items"].as_array().unwrap().len(), 1);
    api.shutdown().await;
}

#[tokio::test]
async fn a_lost_response_and_a_conflict_are_as_with_records() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let globex = api.caller("globex").await;
    create(&globex, KEY).send().await.expect(201);
    let lost = KEY.replace('8', "9");
    table.next([Some(Fault::LoseResponseAndToken)]);
    let first = create(&globex, &lost).send().await.expect(201);
    assert!(!is_replayed(&first));
    assert_replay(&create(&globex, &lost).send().await, &first);
    table.next(vec![Some(Fault::Conflict); 4]);
    let rejected = create(&globex, &KEY.replace('8', "7")).send().await.expect_problem(409, "conflict");
    assert_eq!(rejected.header("retry-after"), "1");
    assert_eq!(globex.get("/tokens?consistent=true").await.json()["items"].as_array().unwrap().len(), 2);
    api.shutdown().await;
}
