//! API keys and usage plans.

use serde_json::json;

use super::probe::{Probe, header, json};

#[tokio::test]
async fn a_key_that_is_missing_or_unknown_is_403_where_one_is_needed() {
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
async fn a_disabled_key_cuts_off_whoever_was_let_in_before() {
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
async fn the_bucket_of_a_key_is_its_own() {
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
