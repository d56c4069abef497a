//! Tests of the exact bytes of the responses, from which API Gateway reads the policy, the context and the API key.

use serde_json::{Value, json};

use super::{API, THUMBPRINT, authorize, now, with_claims};
use crate::testing::{ACME, ISSUER, World, machine_token, new_world, row};
use crate::verdict;

/// The policy of `usage:read`.
const USAGE: &str = r#"{"Version":"2012-10-17","Statement":[{"Action":["execute-api:Invoke"],"Effect":"Allow","Resource":["arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/v1/GET/usage","arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/v1/GET/usage/","arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/v1/HEAD/usage","arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/v1/HEAD/usage/"]}]}"#;
/// The policy that allows nothing.
const NOTHING: &str = r#"{"Version":"2012-10-17","Statement":[{"Action":["execute-api:Invoke"],"Effect":"Deny","Resource":["arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/v1/*"]}]}"#;
const KEY: &str = r#""the-key-of-acme-0000""#;

/// The text of a response.
fn text(principal: &str, policy: &str, context: &str, key: &str) -> String {
    format!(
        r#"{{"principalId":"{principal}","policyDocument":{policy},"context":{context},"usageIdentifierKey":{key}}}"#
    )
}

/// The response to a JWT with these claims, from an authorizer whose issuer has a client of the operator.
async fn response(world: &World, changes: &Value) -> String {
    response_to(world, &with_claims(changes)).await
}

async fn response_to(world: &World, authorization: &str) -> String {
    let authorizer = world.authorizer(&json!({"operatorClients": ["console"]}));
    match authorize(&authorizer, authorization).await {
        Ok(response) => serde_json::to_string(&response).unwrap(),
        Err(error) => serde_json::to_string(&lambda_runtime::Diagnostic::from(error)).unwrap(),
    }
}

#[tokio::test]
async fn a_tenant_gets_access() {
    let world = new_world();
    let context = r#"{"challenge":"Bearer error=\"insufficient_scope\"","issuer":"https://issuer.example","plan":"free","reason":"insufficient_scope","scopes":"usage:read","subject":"user-1","tenant":"01K0ACME000000000000000000"}"#;
    assert_eq!(response(&world, &json!({"scope": "usage:read"})).await, text("user-1", USAGE, context, KEY));

    let mut row = row("active", ISSUER);
    row["quota"] = json!({"N": "1000"});
    world.state().tenant = Some(row);
    let bound = json!({"scope": "", "cnf": {"x5t#S256": THUMBPRINT}});
    let context = r#"{"certificate":"hpdHm1dLE56IsyCXHs3HEkntTTNq490SU_3EX3eHbHM","challenge":"Bearer error=\"insufficient_scope\"","issuer":"https://issuer.example","plan":"free","quota":"1000","reason":"insufficient_scope","scopes":"","subject":"user-1","tenant":"01K0ACME000000000000000000"}"#;
    assert_eq!(response(&world, &bound).await, text("user-1", NOTHING, context, KEY));
}

#[tokio::test]
async fn a_machine_token_gets_access() {
    let world = new_world();
    let (token, _) = machine_token(&world, &json!({"scopes": {"SS": ["usage:read"]}}));
    let context = r#"{"challenge":"Bearer error=\"insufficient_scope\"","issuer":"tenantry","plan":"free","reason":"insufficient_scope","scopes":"usage:read","subject":"token:01K0T0KEN00000000000000000","tenant":"01K0ACME000000000000000000"}"#;
    let expected = text("token:01K0T0KEN00000000000000000", USAGE, context, KEY);
    assert_eq!(response_to(&world, &format!("bearer   {token}")).await, expected);
}

#[tokio::test]
async fn an_operator_gets_access_without_an_api_key() {
    let operator = json!({"tenant": null, "client_id": "console", "scope": ""});
    let context = r#"{"challenge":"Bearer error=\"insufficient_scope\"","issuer":"https://issuer.example","reason":"insufficient_scope","scopes":"","subject":"user-1"}"#;
    assert_eq!(response(&new_world(), &operator).await, text("user-1", NOTHING, context, "null"));

    let bound = json!({"tenant": null, "client_id": "console", "scope": "", "cnf": {"x5t#S256": THUMBPRINT}});
    let context = r#"{"certificate":"hpdHm1dLE56IsyCXHs3HEkntTTNq490SU_3EX3eHbHM","challenge":"Bearer error=\"insufficient_scope\"","issuer":"https://issuer.example","reason":"insufficient_scope","scopes":"","subject":"user-1"}"#;
    assert_eq!(response(&new_world(), &bound).await, text("user-1", NOTHING, context, "null"));
}

#[tokio::test]
async fn a_denial_contains_the_reason_and_nothing_else() {
    let world = new_world();
    for (status, reason) in [
        ("suspended", "tenant_suspended"),
        ("onboarding", "tenant_unknown"),
        ("offboarding", "tenant_unknown"),
        ("offboarded", "tenant_unknown"),
    ] {
        world.state().tenant = Some(row(status, ISSUER));
        let context = format!(r#"{{"challenge":"Bearer","reason":"{reason}"}}"#);
        let bound = json!({"cnf": {"x5t#S256": THUMBPRINT}});
        assert_eq!(response(&world, &bound).await, text("user-1", NOTHING, &context, "null"), "{status}");
    }
}

#[tokio::test]
async fn without_a_verdict_there_is_an_error() {
    let world = new_world();
    let expired = response(&world, &json!({"exp": now() - 60})).await;
    assert_eq!(expired, r#"{"errorType":"Refusal","errorMessage":"Unauthorized"}"#);
    world.state().table_fails = true;
    let unavailable = response(&world, &json!({})).await;
    assert_eq!(unavailable, r#"{"errorType":"Refusal","errorMessage":"Unavailable"}"#);
}

/// The status in the log line of such a token, with its tenant, plan, issuer, code and cause.
async fn line(world: &World, changes: &Value) -> (u16, [Option<String>; 5]) {
    let token = with_claims(changes);
    let event = json!({"type": "TOKEN", "authorizationToken": token, "methodArn": format!("{API}/GET/x")});
    let event = serde_json::from_value(event).unwrap();
    let authorizer = world.authorizer(&json!({"operatorClients": ["console"]}));
    let result = authorizer.judge(&event).await;
    let (status, entry) = verdict::line(&result);
    let fields = [entry.tenant, entry.plan, entry.issuer, entry.code, entry.cause];
    (status, fields.map(|field| field.map(ToOwned::to_owned)))
}

#[tokio::test]
async fn the_log_line_has_what_the_verdict_has() {
    let world = new_world();
    let fields = |fields: [Option<&str>; 5]| fields.map(|field| field.map(ToOwned::to_owned));
    let tenant = fields([Some(ACME), Some("free"), Some(ISSUER), None, None]);
    assert_eq!(line(&world, &json!({})).await, (200, tenant.clone()));
    // Without a scope, every request is denied, although the verdict is that the tenant has access.
    assert_eq!(line(&world, &json!({"scope": ""})).await, (200, tenant));
    let operator = json!({"tenant": null, "client_id": "console"});
    assert_eq!(line(&world, &operator).await, (200, fields([None, None, Some(ISSUER), None, None])));

    world.state().tenant = Some(row("suspended", ISSUER));
    let denied = fields([None, None, Some(ISSUER), Some("tenant_suspended"), None]);
    assert_eq!(line(&world, &json!({})).await, (403, denied));

    let expired = fields([None, None, None, Some("unauthorized"), Some("the token is expired")]);
    assert_eq!(line(&world, &json!({"exp": now() - 60})).await, (401, expired));
    world.state().table_fails = true;
    let (status, [tenant, plan, issuer, code, cause]) = line(&world, &json!({})).await;
    assert_eq!((status, tenant, plan, code.as_deref()), (503, None, None, Some("unavailable")));
    assert!(issuer.as_deref() == Some(ISSUER) && cause.is_some());
}
