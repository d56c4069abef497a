//! API keys and usage plans.

use reqwest::Method;
use serde_json::{Value, json};

use super::probe::{Probe, header, json};

#[tokio::test]
async fn an_api_key_that_is_missing_or_unknown_is_a_403_where_one_is_needed() {
    let probe = Probe::start().await;
    for token in ["allow.stranger", "allow.", "no-key.ample"] {
        let response = probe.get_as(token, "/guarded/a").await;
        assert_eq!(response.status(), 403, "{token}");
        assert_eq!(json(response).await, json!({ "message": "Forbidden" }));
        assert_eq!(probe.get_as(token, "/unmetered/a").await.status(), 200, "{token}");
    }
    probe.shutdown().await;
}

#[tokio::test]
async fn a_disabled_api_key_cuts_off_tokens_that_were_let_in_before() {
    let probe = Probe::start().await;
    assert_eq!(probe.get_as("allow.ample", "/guarded/a").await.status(), 200);
    probe.local().keys().set_enabled("ample", false);
    assert_eq!(probe.get_as("allow.ample", "/guarded/a").await.status(), 403);
    probe.local().keys().set_enabled("ample", true);
    assert_eq!(probe.get_as("allow.ample", "/guarded/a").await.status(), 200);
    assert_eq!(probe.invocations().await, (1, 2));
    probe.shutdown().await;
}

#[tokio::test]
async fn a_change_of_an_api_key_counts_from_the_next_request_on() {
    let probe = Probe::start().await;
    let id = probe.local().keys().find("ample").unwrap().id;
    let manage = |method, path: String, body: Value| {
        let url = format!("{}{path}", local::management::endpoint(probe.local().base_url()));
        let call = reqwest::Client::new().request(method, url).header("authorization", "AWS4-HMAC-SHA256 -");
        call.json(&body).send()
    };
    assert_eq!(probe.get_as("allow.ample", "/guarded/a").await.status(), 200);

    let disable = json!({ "patchOperations": [{ "op": "replace", "path": "/enabled", "value": "false" }] });
    assert_eq!(manage(Method::PATCH, format!("/apikeys/{id}"), disable).await.unwrap().status(), 200);
    assert_eq!(probe.get_as("allow.ample", "/guarded/a").await.status(), 403);
    let enable = json!({ "patchOperations": [{ "op": "replace", "path": "/enabled", "value": "true" }] });
    assert_eq!(manage(Method::PATCH, format!("/apikeys/{id}"), enable).await.unwrap().status(), 200);
    assert_eq!(probe.get_as("allow.ample", "/guarded/a").await.status(), 200);

    let leave = format!("/usageplans/ampleplan/keys/{id}");
    assert_eq!(manage(Method::DELETE, leave, Value::Null).await.unwrap().status(), 202);
    assert_eq!(probe.get_as("allow.ample", "/guarded/a").await.status(), 403);
    let join = json!({ "keyId": id, "keyType": "API_KEY" });
    let joined = manage(Method::POST, "/usageplans/smallplan/keys".to_owned(), join).await.unwrap();
    assert_eq!(joined.status(), 201);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(probe.get_as("allow.ample", "/guarded/a").await.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 429], "the quota of the other plan");
    assert_eq!(probe.invocations().await.0, 1, "the authorizer's result was cached all along");
    probe.shutdown().await;
}

#[tokio::test]
async fn each_api_key_has_its_own_bucket() {
    let probe = Probe::start().await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(probe.get_as("allow.slow", "/guarded/a").await.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
    // Another token, the same key.
    let response = probe.get_as("allow-get.slow", "/guarded/a").await;
    assert_eq!(response.status(), 429);
    assert_eq!(header(&response, "retry-after"), "1");
    assert_eq!(json(response).await, json!({ "message": "Too Many Requests" }));

    assert_eq!(probe.get_as("allow.ample", "/guarded/a").await.status(), 200);
    assert_eq!(probe.get_as("allow.slow", "/unmetered/a").await.status(), 200);
    probe.shutdown().await;
}

#[tokio::test]
async fn a_quota_ends_after_its_requests() {
    let probe = Probe::start().await;
    for _ in 0..2 {
        assert_eq!(probe.get_as("allow.small", "/guarded/a").await.status(), 200);
    }
    let response = probe.get_as("allow.small", "/guarded/a").await;
    assert_eq!(response.status(), 429);
    assert_eq!(header(&response, "retry-after"), "3600");
    assert_eq!(json(response).await, json!({ "message": "Limit Exceeded" }));
    probe.shutdown().await;
}
