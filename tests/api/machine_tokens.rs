//! `/tokens`, and machine tokens on the routes that they are for.

use serde_json::{Value, json};
use testkit::dynamodb::{DynamoDb, Fault};

use crate::support::{Api, Caller, Response};

const NOTE: &str = "/collections/notes/records/welcome";

async fn issue(creator: &Caller<'_>, scopes: Value) -> (String, String) {
    let made = creator.post("/tokens", &json!({"name": "build server", "scopes": scopes})).await.expect(201).json();
    (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
}

fn names(page: &Response) -> Vec<String> {
    let page = page.json();
    page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_token_is_shown_once_works_at_once_and_ends() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    let body = json!({"name": "build", "scopes": ["records:read"], "expiresAt": "2999-01-01T01:00:00+01:00"});
    let made = globex.post("/tokens", &body).await.expect(201);
    assert_eq!(made.header("cache-control"), "no-store");
    let mut shown = made.json();
    let id = shown["id"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), format!("/v1/tokens/{id}"));
    assert_eq!((&shown["name"], &shown["scopes"]), (&json!("build"), &json!(["records:read"])));
    assert_eq!(shown["expiresAt"], "2999-01-01T00:00:00Z");
    let secret = shown.as_object_mut().unwrap().remove("token").unwrap();
    let secret = secret.as_str().unwrap();

    let listed = globex.get("/tokens?consistent=true").await.expect(200);
    assert_eq!(listed.json(), json!({"items": [shown], "next": null}));
    assert!(!listed.text.contains("tnt_"));

    let machine_token = api.caller_of(Some(secret));
    machine_token.get(NOTE).await.expect_problem(404, "record_not_found");
    machine_token.put(NOTE, &json!({"data": {}})).await.expect_problem(403, "insufficient_scope");
    machine_token.get("/tokens").await.expect_problem(403, "insufficient_scope");
    let used = globex.get("/tokens").await.expect(200).json();
    assert!(used["items"][0]["lastUsedAt"].as_str() >= shown["createdAt"].as_str(), "{used}");

    globex.delete(&format!("/tokens/{id}")).await.expect(204);
    globex.delete(&format!("/tokens/{id}")).await.expect_problem(404, "token_not_found");
    assert_eq!(globex.get("/tokens").await.json()["items"], json!([]));
    api.shutdown().await;
}

/// The token was never let in, so that no result about it is cached.
#[tokio::test]
async fn a_revoked_token_is_rejected() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    let (id, secret) = issue(&globex, json!(["records:read"])).await;
    globex.delete(&format!("/tokens/{id}")).await.expect(204);
    api.caller_of(Some(&secret)).get(NOTE).await.expect_problem(401, "unauthorized");
    assert_eq!(api.invocations("records").await, 0);
    api.shutdown().await;
}

#[tokio::test]
async fn a_token_acts_for_its_tenant_and_is_managed_by_it_only() {
    let api = Api::start().await;
    let (acme, globex) = (api.caller("acme").await, api.caller("globex").await);
    let (id, secret) = issue(&globex, json!(["records:read", "records:write", "tokens:manage"])).await;
    let machine_token = api.caller_of(Some(&secret));
    machine_token.put(NOTE, &json!({"data": {"of": "globex"}})).await.expect(201);
    globex.get(NOTE).await.expect(200);
    acme.get(NOTE).await.expect(404);

    assert_eq!(acme.get("/tokens").await.expect(200).json()["items"], json!([]));
    let foreign = acme.delete(&format!("/tokens/{id}")).await.expect_problem(404, "token_not_found");
    let missing = acme.delete("/tokens/01K0T0KEN00000000000000000").await;
    assert_eq!(foreign.anonymous(), missing.anonymous());
    // A token that may, makes another, and ends itself.
    let (_, other) = issue(&machine_token, json!(["records:read"])).await;
    api.caller_of(Some(&other)).get(NOTE).await.expect(200);
    machine_token.delete(&format!("/tokens/{id}")).await.expect(204);
    assert_eq!(names(&globex.get("/tokens?consistent=true").await).len(), 1);
    api.shutdown().await;
}

#[tokio::test]
async fn a_token_never_has_more_scopes_than_its_creator() {
    let api = Api::start().await;
    let manager = api.caller_with("globex", &[("scope", "tokens:manage records:read")]).await;
    for scopes in [json!(["records:write"]), json!(["records:read", "records:write"]), json!(["admin"]), json!(["*"])] {
        let body = json!({"name": "x", "scopes": scopes});
        manager.post("/tokens", &body).await.expect_problem(403, "insufficient_scope");
    }
    let (_, secret) = issue(&manager, json!(["tokens:manage"])).await;
    let body = json!({"name": "x", "scopes": ["records:read"]});
    let lesser = api.caller_of(Some(&secret));
    lesser.post("/tokens", &body).await.expect_problem(403, "insufficient_scope");
    let reader = api.caller_with("globex", &[("scope", "records:read records:write")]).await;
    reader.post("/tokens", &body).await.expect_problem(403, "insufficient_scope");
    api.shutdown().await;
}

#[tokio::test]
async fn bad_input_is_rejected_and_creates_no_token() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    let scopes = json!(["records:read"]);
    for body in [
        json!({}),
        json!({"name": "x"}),
        json!({"scopes": scopes}),
        json!({"name": "", "scopes": scopes}),
        json!({"name": "x".repeat(101), "scopes": scopes}),
        json!({"name": 7, "scopes": scopes}),
        json!({"name": "x", "scopes": []}),
        json!({"name": "x", "scopes": "records:read"}),
        json!({"name": "x", "scopes": [7]}),
        json!({"name": "x", "scopes": scopes, "expiresAt": "tomorrow"}),
        json!({"name": "x", "scopes": scopes, "expiresAt": "2020-01-01T00:00:00Z"}),
        json!({"name": "x", "scopes": scopes, "tenant": local::seed::DEMO[0].id}),
        json!([]),
    ] {
        globex.post("/tokens", &body).await.expect_problem(400, "invalid_body");
    }
    globex.call("POST", "/tokens").body("text/plain", "{}").send().await.expect_problem(415, "unsupported_media_type");
    globex.post("/tokens?x=1", &json!({})).await.expect_problem(400, "invalid_parameter");
    for id in ["x", "01k0t0ken00000000000000000", "01K0T0KEN0000000000000000%23"] {
        globex.delete(&format!("/tokens/{id}")).await.expect_problem(400, "invalid_parameter");
    }
    assert_eq!(globex.get("/tokens?consistent=true").await.json()["items"], json!([]));
    api.shutdown().await;
}

#[tokio::test]
async fn tokens_are_listed_by_page_in_the_order_of_their_creation() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    for name in ["a", "b", "c"] {
        globex.post("/tokens", &json!({"name": name, "scopes": ["records:read"]})).await.expect(201);
    }
    let first = globex.get("/tokens?limit=2").await.expect(200);
    let next = first.header("link").split(['<', '>']).nth(1).unwrap().to_owned();
    assert_eq!(
        (names(&first), names(&globex.follow(&next).await.expect(200))),
        (vec!["a".into(), "b".into()], vec!["c".into()])
    );
    assert_eq!(names(&globex.get("/tokens?order=desc").await), ["c", "b", "a"]);
    let cursor = first.json()["next"].as_str().unwrap().to_owned();
    api.caller("acme").await.get(&format!("/tokens?cursor={cursor}")).await.expect_problem(400, "invalid_cursor");
    api.shutdown().await;
}

#[tokio::test]
async fn a_mistyped_token_is_rejected_without_a_read_of_the_table() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let (_, secret) = issue(&api.caller("globex").await, json!(["records:read"])).await;
    table.take();
    let flipped = if secret.ends_with('A') { "B" } else { "A" };
    let mistyped = format!("{}{flipped}", &secret[..secret.len() - 1]);
    api.caller_of(Some(&mistyped)).get(NOTE).await.expect_problem(401, "unauthorized");
    assert_eq!(table.take().len(), 0);
    let invoked = api.invocations("authorizer").await;
    // API Gateway itself rejects a token of another shape.
    api.caller_of(Some(&secret[..52])).get(NOTE).await.expect_problem(401, "unauthorized");
    assert_eq!(api.invocations("authorizer").await, invoked);
    api.shutdown().await;
}

#[tokio::test]
async fn only_the_digest_is_stored_and_a_use_is_written_once() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let (_, secret) = issue(&api.caller("globex").await, json!(["records:read"])).await;
    let machine_token = api.caller_of(Some(&secret));
    for _ in 0..3 {
        machine_token.get(NOTE).await.expect(404);
    }
    let seen = table.take();
    assert!(seen.iter().all(|request| !request.body.to_string().contains(&secret)));
    let uses = seen.iter().filter(|request| request.operation == "UpdateItem").count();
    assert_eq!(uses, 1, "{seen:?}");
    api.shutdown().await;
}

#[tokio::test]
async fn a_table_that_fails_is_reported_as_unavailable_and_a_brief_conflict_is_not_noticed() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let globex = api.caller("globex").await;
    let (id, _) = issue(&globex, json!(["records:read"])).await;
    let body = json!({"name": "x", "scopes": ["records:read"]});
    table.fail_always(Some(Fault::Conflict));
    // Nothing was written, so there is no token to find.
    let rejected = globex.post("/tokens", &body).await.expect_problem(409, "conflict");
    assert_eq!((rejected.header("retry-after"), rejected.header("location")), ("1", ""));
    table.fail_always(Some(Fault::Fail));
    let unknown = globex.post("/tokens", &body).await.expect_problem(503, "unavailable");
    assert!(unknown.header("location").starts_with("/v1/tokens/"));
    table.fail_always(Some(Fault::Throttle));
    globex.get("/tokens").await.expect_problem(503, "unavailable");
    globex.delete(&format!("/tokens/{id}")).await.expect_problem(503, "unavailable");
    table.fail_always(None);

    table.next([Some(Fault::Conflict)]);
    globex.post("/tokens", &body).await.expect(201);
    // The read, and then the transaction, whose first response is lost.
    table.next([None, Some(Fault::Conflict), Some(Fault::LoseResponse)]);
    globex.delete(&format!("/tokens/{id}")).await.expect(204);
    assert_eq!(names(&globex.get("/tokens?consistent=true").await), ["x"]);
    api.shutdown().await;
}

#[tokio::test]
async fn a_use_that_cannot_be_recorded_denies_nobody() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let globex = api.caller("globex").await;
    let (_, secret) = issue(&globex, json!(["records:read"])).await;
    table.take();
    // The grant is read; the tenant's row is known, because its creator was let in.
    table.next([None, Some(Fault::Stall)]);
    api.caller_of(Some(&secret)).get(NOTE).await.expect(404);
    let operations: Vec<_> = table.take().into_iter().map(|request| request.operation).collect();
    assert_eq!(operations, ["GetItem", "UpdateItem", "GetItem"]);
    api.shutdown().await;
}

#[tokio::test]
async fn a_disabled_api_key_cuts_machine_tokens_off_at_once() {
    let api = Api::start().await;
    let (_, secret) = issue(&api.caller("globex").await, json!(["records:read"])).await;
    let machine_token = api.caller_of(Some(&secret));
    machine_token.get(NOTE).await.expect(404);
    api.local.keys().set_enabled(local::seed::DEMO[1].id, false);
    machine_token.get(NOTE).await.expect_problem(403, "plan_missing");
    api.shutdown().await;
}

#[tokio::test]
async fn a_token_needs_no_issuer_but_a_tenant_that_is_let_in() {
    let api = Api::start().await;
    let operator = api.caller("operator").await;
    let id = "01K0VMBRE11A00000000000000";
    let path = format!("/admin/tenants/{id}");
    let tenant = json!({"id": id, "name": "Umbrella", "plan": "pro"});
    operator.post("/admin/tenants", &tenant).await.expect(201);
    // There are two tokens, because the gateway caches the authorizer's result for each.
    let umbrella = api.caller(id).await;
    let (_, first) = issue(&umbrella, json!(["records:read"])).await;
    let (_, second) = issue(&umbrella, json!(["records:read"])).await;

    // The issuer that its people signed in with is its issuer no more.
    let issuers = json!([{"issuer": "https://elsewhere.example", "audiences": ["api"]}]);
    operator.patch(&path, &json!({"issuers": issuers})).await.expect(200);
    // Its cache of rows ends with it.
    api.local.functions().kill("authorizer");
    let other_token = api.caller_with(id, &[("scope", "records:read")]).await;
    other_token.get(NOTE).await.expect_problem(403, "tenant_unknown");
    api.caller_of(Some(&first)).get(NOTE).await.expect_problem(404, "record_not_found");

    operator.post(&format!("{path}/suspend"), &json!({"reason": "unpaid"})).await.expect(200);
    api.local.functions().kill("authorizer");
    api.caller_of(Some(&second)).get(NOTE).await.expect_problem(403, "tenant_suspended");
    api.shutdown().await;
}
