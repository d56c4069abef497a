//! Tests of the tenant or operator for which a valid token acts, and of how long tenants' rows are cached.

use super::*;

async fn denial(world: &World, changes: &Value) -> String {
    let response = authorize(&world.authorizer(&json!({})), &with_claims(changes)).await.unwrap();
    let [deny] = &response.policy_document.statement[..] else { panic!("{response:?}") };
    assert_eq!((&deny.effect, &deny.resource[..]), (&IamPolicyEffect::Deny, &[format!("{API}/*")][..]));
    assert_eq!(response.usage_identifier_key, None);
    assert_eq!(response.context.keys().collect::<Vec<_>>(), ["challenge", "reason"]);
    assert_eq!(response.context["challenge"], "Bearer", "no other scope would help");
    response.context["reason"].clone()
}

#[tokio::test]
async fn a_tenant_without_access_is_denied_with_a_reason() {
    let world = new_world();
    world.state().tenant = Some(row("suspended", ISSUER));
    assert_eq!(denial(&world, &json!({})).await, "tenant_suspended");
    world.state().tenant = None;
    assert_eq!(denial(&world, &json!({})).await, "tenant_unknown");
    assert_eq!(denial(&new_world(), &json!({"tenant": "acme"})).await, "tenant_unknown");
}

#[tokio::test]
async fn a_tenant_that_is_being_onboarded_or_offboarded_is_unknown() {
    let world = new_world();
    for status in ["onboarding", "offboarding", "offboarded"] {
        world.state().tenant = Some(row(status, ISSUER));
        assert_eq!(denial(&world, &json!({})).await, "tenant_unknown", "{status}");
    }
}

/// Otherwise the identity provider of one customer could name every tenant that lists no issuers.
#[tokio::test]
async fn only_default_issuers_of_the_stack_are_accepted_for_a_tenant_that_lists_none() {
    let world = new_world();
    let mut unbound = row("active", ISSUER);
    unbound["issuers"]["L"] = json!([]);
    world.state().tenant = Some(unbound);
    let token = with_claims(&json!({}));
    let default = world.authorizer(&json!({"defaultForTenants": true}));
    assert!(allows(&authorize(&default, &token).await.unwrap()));
    for settings in [json!({}), json!({"defaultForTenants": false})] {
        let response = authorize(&world.authorizer(&settings), &token).await.unwrap();
        assert!(!allows(&response));
        assert_eq!(response.context["reason"], "tenant_unknown", "the same as for a tenant that does not exist");
    }
    // A tenant that lists issuers accepts no others, not even a default issuer.
    world.state().tenant = Some(row("active", "https://other.example"));
    assert_eq!(authorize(&default, &token).await.unwrap().context["tenant"], ACME, "its row is read once a minute");
    let again = world.authorizer(&json!({"defaultForTenants": true}));
    assert_eq!(authorize(&again, &token).await.unwrap().context["reason"], "tenant_unknown");
}

#[tokio::test]
async fn an_operator_has_no_tenant_and_no_api_key_and_an_issuer_with_operator_clients() {
    let changes = json!({"tenant": null, "client_id": "ops", "scope": "tenants:admin records:read"});
    let token = with_claims(&changes);
    let tenants_issuer = new_world().authorizer(&json!({}));
    assert_eq!(rejection(&tenants_issuer, &token).await, Some(Rejection::BadClaim("tenant".into())));
    let others = new_world().authorizer(&json!({"operatorClients": ["other"]}));
    assert_eq!(rejection(&others, &token).await, Some(Rejection::BadClaim("tenant".into())));

    let world = new_world();
    let response = authorize(&world.authorizer(&json!({"operatorClients": ["ops"]})), &token).await.unwrap();
    assert_eq!(response.usage_identifier_key, None);
    assert_eq!(response.context["scopes"], "tenants:admin");
    assert!(!response.context.contains_key("tenant"));
    let resources = &response.policy_document.statement[0].resource;
    assert!(resources.iter().all(|resource| resource.contains("/admin/")), "{resources:?}");
    assert_eq!(world.table_reads(), 0);
}

#[tokio::test]
async fn a_tenants_token_never_has_an_operators_scope() {
    let changes = json!({"client_id": "ops", "scope": "tenants:admin records:read"});
    let token = with_claims(&changes);
    let response = authorize(&new_world().authorizer(&json!({"operatorClients": ["ops"]})), &token).await.unwrap();
    assert_eq!(response.context["scopes"], "records:read");
}

#[tokio::test]
async fn an_issuer_cannot_distinguish_another_issuers_tenant_from_a_missing_one() {
    let world = new_world();
    for status in ["active", "suspended"] {
        world.state().tenant = Some(row(status, "https://other.example"));
        assert_eq!(denial(&world, &json!({})).await, "tenant_unknown");
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_is_cached_for_a_minute() {
    let world = new_world();
    let authorizer = world.authorizer(&json!({}));
    let token = with_claims(&json!({}));
    for _ in 0..5 {
        assert!(allows(&authorize(&authorizer, &token).await.unwrap()));
    }
    assert_eq!(world.table_reads(), 1);
    world.state().tenant = Some(row("suspended", ISSUER));
    tokio::time::advance(Duration::from_secs(59)).await;
    assert!(allows(&authorize(&authorizer, &token).await.unwrap()));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(!allows(&authorize(&authorizer, &token).await.unwrap()));
    assert_eq!(world.table_reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_known_tenant_has_access_while_the_table_fails_for_an_hour() {
    let world = new_world();
    let authorizer = world.authorizer(&json!({}));
    // The token's times are real, and do not advance with the clock of the test.
    let token = with_claims(&json!({}));
    assert!(allows(&authorize(&authorizer, &token).await.unwrap()));
    world.state().table_fails = true;
    tokio::time::advance(Duration::from_mins(55)).await;
    assert!(allows(&authorize(&authorizer, &token).await.unwrap()));
    let reads = world.table_reads();
    assert!(allows(&authorize(&authorizer, &token).await.unwrap()));
    assert_eq!(world.table_reads(), reads, "the table is not read for some seconds");
    tokio::time::advance(Duration::from_mins(6)).await;
    assert!(matches!(authorize(&authorizer, &token).await, Err(AuthorizeError::Unavailable)));
    world.state().table_fails = false;
    assert!(allows(&authorize(&authorizer, &token).await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_tenant_has_no_access_while_the_table_fails() {
    let world = new_world();
    world.state().table_fails = true;
    let token = with_claims(&json!({}));
    assert!(matches!(authorize(&world.authorizer(&json!({})), &token).await, Err(AuthorizeError::Unavailable)));
}

#[tokio::test(start_paused = true)]
async fn a_new_tenant_is_known_within_seconds() {
    let world = new_world();
    world.state().tenant = None;
    let authorizer = world.authorizer(&json!({}));
    let token = with_claims(&json!({}));
    assert!(!allows(&authorize(&authorizer, &token).await.unwrap()));
    world.state().tenant = Some(row("active", ISSUER));
    tokio::time::advance(Duration::from_secs(6)).await;
    assert!(allows(&authorize(&authorizer, &token).await.unwrap()));
}
