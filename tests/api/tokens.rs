//! Tokens, from the issuer through the gateway and the authorizer. Each rejection has its unit test in `authorizer`.

use serde_json::json;

use crate::support::Api;

const NOTE: &str = "/collections/notes/records/welcome";

#[tokio::test]
async fn junk_is_rejected_without_an_invocation() {
    let api = Api::start().await;
    for token in [None, Some("junk"), Some("a.b"), Some("a.b.c.d"), Some("a.b.c!"), Some("tnt_"), Some("")] {
        api.caller_of(token).get(NOTE).await.expect_problem(401, "unauthorized");
    }
    let basic = api.caller_of(None).call("GET", NOTE).header("authorization", "Basic YTpi").send().await;
    assert_eq!(basic.expect_problem(401, "unauthorized").header("www-authenticate"), r#"Bearer error="invalid_token""#);
    assert_eq!(api.invocations("authorizer").await, 0);
    assert_eq!(api.invocations("records").await, 0);
    api.shutdown().await;
}

#[tokio::test]
async fn a_tampered_token_is_rejected() {
    let api = Api::start().await;
    let token = api.token("globex", &[]).await;
    let (input, signature) = token.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { 'B' } else { 'A' };
    for tampered in [format!("{input}.{flipped}{}", &signature[1..]), format!("{input}.AAAA")] {
        api.caller_of(Some(&tampered)).get(NOTE).await.expect_problem(401, "unauthorized");
    }
    assert_eq!(api.invocations("records").await, 0);
    api.caller_of(Some(&token)).get(NOTE).await.expect_problem(404, "record_not_found");
    api.shutdown().await;
}

#[tokio::test]
async fn an_expired_token_is_rejected() {
    let api = Api::start().await;
    api.caller_with("globex", &[("expires_in", "-60")]).await.get(NOTE).await.expect_problem(401, "unauthorized");
    api.shutdown().await;
}

#[tokio::test]
async fn a_token_is_authorized_once_for_all_routes() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    globex.get(NOTE).await.expect(404);
    globex.put(NOTE, &json!({"data": {}})).await.expect(201);
    globex.get("/collections").await.expect(200);
    globex.delete(NOTE).await.expect(204);
    assert_eq!(api.invocations("authorizer").await, 1);
    api.shutdown().await;
}

#[tokio::test]
async fn scopes_are_held_to_on_each_route_with_one_cached_policy() {
    let api = Api::start().await;
    let reader = api.caller_with("globex", &[("scope", "records:read")]).await;
    reader.get("/collections").await.expect(200);
    reader.delete(NOTE).await.expect_problem(403, "insufficient_scope");
    reader.get(NOTE).await.expect(404);
    let writer = api.caller_with("globex", &[("scope", "records:write")]).await;
    writer.get(NOTE).await.expect_problem(403, "insufficient_scope");
    writer.put(NOTE, &json!({"data": {}})).await.expect(201);
    let neither = api.caller_with("globex", &[("scope", "openid")]).await;
    neither.get(NOTE).await.expect_problem(403, "insufficient_scope");
    assert_eq!(api.invocations("authorizer").await, 3);
    api.shutdown().await;
}

#[tokio::test]
async fn an_operator_is_not_a_tenant() {
    let api = Api::start().await;
    api.caller("operator").await.get(NOTE).await.expect_problem(403, "insufficient_scope");
    let tenant = api.caller_with("globex", &[("scope", "records:read")]).await;
    tenant.get("/admin/tenants").await.expect_problem(403, "insufficient_scope");
    api.shutdown().await;
}

#[tokio::test]
async fn a_tenant_is_let_in_by_its_own_issuers_only() {
    let api = Api::start().await;
    api.caller("01K0STRANGER00000000000000").await.get(NOTE).await.expect_problem(403, "tenant_unknown");

    let operator = api.caller("operator").await;
    let foreign = "01K0F0RE1GN000000000000000";
    let issuers = json!([{"issuer": "https://elsewhere.example", "audiences": ["api"]}]);
    let tenant = json!({"id": foreign, "name": "Foreign", "plan": "pro", "issuers": issuers});
    operator.post("/admin/tenants", &tenant).await.expect(201);
    api.caller(foreign).await.get(NOTE).await.expect_problem(403, "tenant_unknown");

    let suspended = "01K0SVSPENDED0000000000000";
    let tenant = json!({"id": suspended, "name": "Suspended", "plan": "pro"});
    operator.post("/admin/tenants", &tenant).await.expect(201);
    let path = format!("/admin/tenants/{suspended}/suspend");
    operator.post(&path, &json!({"reason": "unpaid"})).await.expect(200);
    api.caller(suspended).await.get(NOTE).await.expect_problem(403, "tenant_suspended");
    api.shutdown().await;
}
