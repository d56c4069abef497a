//! The token, the authorizer and its policy.

use reqwest::Method;
use serde_json::json;

use super::probe::{Probe, header, json};

#[tokio::test]
async fn without_a_token_or_against_the_expression_nothing_is_invoked() {
    let probe = Probe::start().await;
    assert_eq!(probe.get("/guarded/a").await.status(), 401);
    for token in ["", "allow", "Allow.ample", "allow.ample extra"] {
        let response = probe.get_as(token, "/guarded/a").await;
        assert_eq!(response.status(), 401, "{token}");
        assert_eq!(json(response).await, json!({ "message": "Unauthorized" }));
    }
    let basic = probe.request(Method::GET, "/guarded/a").header("authorization", "Basic YTpi").send().await.unwrap();
    assert_eq!(basic.status(), 401);
    assert_eq!(probe.invocations().await, (0, 0));
    probe.shutdown().await;
}

#[tokio::test]
async fn a_result_is_cached_by_token_and_its_policy_applied_to_each_route() {
    let probe = Probe::start().await;
    assert_eq!(probe.get_as("allow-get.ample", "/guarded/a").await.status(), 200);
    assert_eq!(probe.get_as("allow-get.ample", "/guarded/b").await.status(), 200);
    let denied = probe.send_as("allow-get.ample", Method::DELETE, "/guarded/a").await;
    assert_eq!(denied.status(), 403);
    let message = "User is not authorized to access this resource";
    assert_eq!(json(denied).await, json!({ "message": message, "reason": "told_so" }));
    assert_eq!(probe.get_as("allow-get.ample", "/unmetered/a").await.status(), 403);
    assert_eq!(probe.invocations().await, (1, 2));

    assert_eq!(probe.send_as("allow.ample", Method::DELETE, "/guarded/a").await.status(), 200);
    assert_eq!(probe.invocations().await, (2, 3), "another token is another invocation");
    probe.shutdown().await;
}

#[tokio::test]
async fn an_explicit_deny_wins() {
    let probe = Probe::start().await;
    assert_eq!(probe.get_as("deny-delete.ample", "/guarded/a").await.status(), 200);
    let denied = probe.send_as("deny-delete.ample", Method::DELETE, "/guarded/a").await;
    assert_eq!(denied.status(), 403);
    let message = "User is not authorized to access this resource with an explicit deny";
    assert_eq!(json(denied).await["message"], message);
    probe.shutdown().await;
}

#[tokio::test]
async fn an_authorizer_that_fails_is_reported_as_such_and_invoked_again() {
    let probe = Probe::start().await;
    let mut invoked = 0;
    for (what, status, kind) in [
        ("error", 500, "AUTHORIZER_FAILURE"),
        ("exit", 500, "AUTHORIZER_FAILURE"),
        ("hang", 500, "AUTHORIZER_FAILURE"),
        ("nonsense", 500, "AUTHORIZER_CONFIGURATION_ERROR"),
        ("nested-context", 500, "AUTHORIZER_CONFIGURATION_ERROR"),
        ("condition", 500, "AUTHORIZER_CONFIGURATION_ERROR"),
    ] {
        let response = probe.get_as(&format!("{what}.ample"), "/guarded/a").await;
        invoked += 1;
        assert_eq!(response.status(), status, "{what}");
        assert_eq!(json(response).await["type"], kind, "{what}");
    }
    for _ in 0..2 {
        assert_eq!(probe.get_as("unauthorized.ample", "/guarded/a").await.status(), 401);
        invoked += 1;
    }
    assert_eq!(probe.invocations().await, (invoked, 0));
    probe.shutdown().await;
}

#[tokio::test]
async fn context_values_reach_the_function_as_strings() {
    let probe = Probe::start().await;
    let event = json(probe.get_as("context.ample", "/guarded/a").await).await;
    let authorizer = &event["requestContext"]["authorizer"];
    assert_eq!(authorizer["text"], "a");
    assert_eq!(authorizer["number"], "1.5");
    assert_eq!(authorizer["truth"], "true");
    assert_eq!(authorizer["principalId"], "context");
    probe.shutdown().await;
}

#[tokio::test]
async fn a_method_arn_over_1600_bytes_is_414_and_never_authorized() {
    let probe = Probe::start().await;
    let arn = "arn:aws:execute-api:us-east-1:000000000000:local/probe/GET/unmetered/";
    let fits = "a".repeat(1600 - arn.len());
    assert_eq!(probe.get_as("allow.ample", &format!("/unmetered/{fits}")).await.status(), 200);
    let response = probe.get_as("allow-get.ample", &format!("/unmetered/{fits}a")).await;
    assert_eq!(response.status(), 414);
    assert_eq!(header(&response, "content-type"), "application/json");
    assert_eq!(probe.invocations().await, (1, 1));
    probe.shutdown().await;
}

#[tokio::test]
async fn preflight_needs_no_token() {
    let probe = Probe::start().await;
    let response = probe.request(Method::OPTIONS, "/guarded/a").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "access-control-allow-origin"), "https://app.example");
    assert_eq!(header(&response, "access-control-allow-methods"), "GET,POST");
    assert_eq!(header(&response, "access-control-allow-headers"), "Authorization");
    assert_eq!(header(&response, "access-control-max-age"), "60");
    assert_eq!(probe.invocations().await, (0, 0));
    probe.shutdown().await;
}
