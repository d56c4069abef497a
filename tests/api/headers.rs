//! Headers of responses, as the RFCs have them.

use serde_json::json;

use crate::support::Api;

const NOTE: &str = "/collections/notes/records/welcome";

#[tokio::test]
async fn a_response_without_content_has_no_media_type() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    let etag = globex.put(NOTE, &json!({"data": {}})).await.expect(201).header("etag").to_owned();
    let unchanged = globex.call("GET", NOTE).header("if-none-match", &etag).send().await.expect(304);
    let deleted = globex.delete(NOTE).await.expect(204);
    for response in [unchanged, deleted] {
        assert!(!response.headers.contains_key("content-type"), "{response:?}");
    }
    api.shutdown().await;
}

#[tokio::test]
async fn a_rejected_patch_gets_the_accepted_media_types() {
    let api = Api::start().await;
    let (globex, operator) = (api.caller("globex").await, api.caller("operator").await);
    let tenant = format!("/admin/tenants/{}", local::seed::DEMO[1].id);
    for (caller, path) in [(&globex, NOTE), (&operator, &tenant[..])] {
        let rejected = caller.call("PATCH", path).body("text/plain", "{}").send().await;
        let rejected = rejected.expect_problem(415, "unsupported_media_type");
        for media_type in rejected.header("accept-patch").split(", ") {
            let taken = caller.call("PATCH", path).body(media_type, "{}").send().await;
            assert_ne!(taken.status, 415, "{media_type}: {taken:?}");
        }
    }
    let rejected = globex.call("PUT", NOTE).body("text/plain", "{}").send().await;
    assert_eq!(rejected.expect_problem(415, "unsupported_media_type").header("accept-patch"), "");
    api.shutdown().await;
}

#[tokio::test]
async fn a_charset_may_be_spelled_as_many_clients_do() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    for (charset, status) in [("utf-8", 201), ("UTF8", 201), ("\"utf8\"", 201), ("latin1", 415), ("utf-16", 415)] {
        let media_type = format!("application/json; charset={charset}");
        let call = globex.call("POST", "/collections/notes/records").body(&media_type, r#"{"data": {}}"#);
        call.send().await.expect(status);
    }
    api.shutdown().await;
}

#[tokio::test]
async fn the_scheme_may_have_any_case_and_several_spaces() {
    let api = Api::start().await;
    let token = api.token("globex", &[]).await;
    let made = api.caller("globex").await.post("/tokens", &json!({"name": "a", "scopes": ["records:read"]})).await;
    let machine_token = made.expect(201).json()["token"].as_str().unwrap().to_owned();
    let nobody = api.caller_of(None);
    let get = |authorization: String| nobody.call("GET", "/collections").header("authorization", &authorization).send();
    for token in [&token, &machine_token] {
        for scheme in ["Bearer ", "bearer ", "BEARER ", "bEaReR   "] {
            get(format!("{scheme}{token}")).await.expect(200);
        }
        for scheme in ["Bearer", "Bearer\t", "Bear er ", "Basic ", "DPoP ", "Bearer Bearer "] {
            get(format!("{scheme}{token}")).await.expect_problem(401, "unauthorized");
        }
    }
    api.shutdown().await;
}

#[tokio::test]
async fn the_response_to_a_rejected_token_names_the_reason() {
    let api = Api::start().await;
    let operator = api.caller("operator").await;
    let invalid = r#"Bearer error="invalid_token""#;
    for token in [None, Some("junk"), Some("a.b.c")] {
        let rejected = api.caller_of(token).get(NOTE).await.expect_problem(401, "unauthorized");
        // API Gateway has one response for all of these, so a request without a token gets the error, too.
        assert_eq!(rejected.header("www-authenticate"), invalid);
    }
    let reader = api.caller_with("globex", &[("scope", "records:read")]).await;
    let denied = reader.delete(NOTE).await.expect_problem(403, "insufficient_scope");
    assert_eq!(denied.header("www-authenticate"), r#"Bearer error="insufficient_scope""#);
    let denied = operator.get(NOTE).await.expect_problem(403, "insufficient_scope");
    assert_eq!(denied.header("www-authenticate"), r#"Bearer error="insufficient_scope""#);
    // More scopes would not help these.
    let unknown = api.caller("01K0N1TECH0000000000000000").await.get(NOTE).await.expect_problem(403, "tenant_unknown");
    assert_eq!(unknown.header("www-authenticate"), "Bearer");
    api.shutdown().await;
}

#[tokio::test]
async fn an_unknown_route_is_404_whatever_the_authorization_header_is() {
    let api = Api::start().await;
    let token = api.token("globex", &[]).await;
    let (nobody, bearer) = (api.caller_of(None), format!("Bearer {token}"));
    for (method, path) in [("GET", "/nothing"), ("PUT", "/collections"), ("GET", "/collections/a/records/b/c")] {
        nobody.call(method, path).send().await.expect_problem(404, "route_not_found");
        for authorization in [&bearer[..], "Bearer junk", "Basic YTpi", "AWS4-HMAC-SHA256 Credential=a", ""] {
            let call = nobody.call(method, path).header("authorization", authorization);
            let rejected = call.send().await.expect_problem(404, "route_not_found");
            assert!(!rejected.text.contains("Signature") && !rejected.text.contains("junk"), "{rejected:?}");
        }
    }
    assert_eq!(api.invocations("authorizer").await, 0);
    api.shutdown().await;
}
