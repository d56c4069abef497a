//! Tokens that are bound to a client certificate (RFC 8705).

use serde_json::{Value, json};

use crate::support::{Api, Caller, Response, read};

const NOTE: &str = "/collections/notes/records/welcome";
const CERTIFICATE: &str = "x-local-client-certificate";

/// A certificate as a header's value.
fn certificate(name: &str) -> String {
    let pem = read(&format!("service/testdata/{name}.pem"));
    pem.replace('+', "%2B").replace(' ', "%20").replace('\n', "%0A")
}

async fn with(caller: &Caller<'_>, method: &str, path: &str, certificate: &str) -> Response {
    caller.call(method, path).json(&json!({"data": {}})).header(CERTIFICATE, certificate).send().await
}

#[tokio::test]
async fn a_bound_token_is_for_the_holder_of_the_certificate_only() {
    let api = Api::start().await;
    let (own, other) = (certificate("client"), certificate("other"));
    let bound = api.bound_token("globex", &own).await;
    let bound = api.caller_of(Some(&bound));
    // The result of the authorizer is cached from the first of these on, and serves them all.
    with(&bound, "PUT", NOTE, &own).await.expect(201);
    let rejected = bound.get(NOTE).await.expect_problem(401, "certificate_mismatch");
    assert_eq!(rejected.header("x-amzn-remapped-www-authenticate"), r#"Bearer error="invalid_token""#);
    for (method, path) in [("GET", NOTE), ("DELETE", NOTE), ("GET", "/collections"), ("GET", "/tokens")] {
        with(&bound, method, path, &other).await.expect_problem(401, "certificate_mismatch");
        with(&bound, method, path, "junk").await.expect_problem(401, "certificate_mismatch");
    }
    with(&bound, "GET", NOTE, &own).await.expect(200);
    with(&bound, "GET", "/tokens", &own).await.expect(200);
    assert_eq!(api.invocations("authorizer").await, 1);
    api.shutdown().await;
}

#[tokio::test]
async fn a_rejection_that_comes_first_is_not_cached() {
    let api = Api::start().await;
    let own = certificate("client");
    let bound = api.bound_token("globex", &own).await;
    let bound = api.caller_of(Some(&bound));
    bound.get(NOTE).await.expect_problem(401, "certificate_mismatch");
    with(&bound, "GET", NOTE, &own).await.expect_problem(404, "record_not_found");
    assert_eq!(api.invocations("authorizer").await, 1);
    api.shutdown().await;
}

#[tokio::test]
async fn a_token_that_is_not_bound_works_with_any_certificate() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    globex.put(NOTE, &json!({"data": {}})).await.expect(201);
    for name in ["client", "other"] {
        with(&globex, "GET", NOTE, &certificate(name)).await.expect(200);
    }
    let made = globex.post("/tokens", &json!({"name": "x", "scopes": ["records:read"]})).await.expect(201).json();
    let machine_token = api.caller_of(made["token"].as_str());
    with(&machine_token, "GET", NOTE, &certificate("client")).await.expect(200);
    with(&api.caller_of(None), "GET", "/health", &certificate("client")).await.expect(200);
    api.shutdown().await;
}

#[tokio::test]
async fn an_operators_token_may_be_bound_as_well() {
    let api = Api::start().await;
    let own = certificate("client");
    let bound = api.bound_token("operator", &own).await;
    let bound = api.caller_of(Some(&bound));
    let listed = with(&bound, "GET", "/admin/tenants", &own).await.expect(200).json();
    assert_ne!(listed["items"], Value::Array(Vec::new()));
    bound.get("/admin/tenants").await.expect_problem(401, "certificate_mismatch");
    with(&bound, "GET", "/admin/tenants", &certificate("other")).await.expect_problem(401, "certificate_mismatch");
    let body = json!({"name": "Initech", "plan": "free"});
    bound.post("/admin/tenants", &body).await.expect_problem(401, "certificate_mismatch");
    assert_eq!(with(&bound, "GET", "/admin/tenants", &own).await.json()["items"], listed["items"]);
    assert_eq!(api.invocations("authorizer").await, 1);
    api.shutdown().await;
}
