//! For whom a valid token speaks: a tenant that may come in, or an operator; and how long their rows are cached.

use super::*;

async fn denial(world: &World, changes: &Value) -> String {
    let token = RSA.token(&header(&RSA, &json!({})), &claims(changes));
    let answer = authorize(&world.authorizer(&json!({})), &format!("Bearer {token}")).await.unwrap();
    let [deny] = &answer.policy_document.statement[..] else { panic!("{answer:?}") };
    assert_eq!((&deny.effect, &deny.resource[..]), (&IamPolicyEffect::Deny, &[format!("{API}/*")][..]));
    assert_eq!(answer.usage_identifier_key, None);
    assert_eq!(answer.context.keys().collect::<Vec<_>>(), ["challenge", "reason"]);
    assert_eq!(answer.context["challenge"], "Bearer", "no other scope would help");
    answer.context["reason"].clone()
}

#[tokio::test]
async fn a_tenant_that_may_not_is_denied_with_a_reason() {
    let world = fine_world();
    world.state().tenant = Some(row("suspended", ISSUER));
    assert_eq!(denial(&world, &json!({})).await, "tenant_suspended");
    world.state().tenant = None;
    assert_eq!(denial(&world, &json!({})).await, "tenant_unknown");
    assert_eq!(denial(&fine_world(), &json!({"tenant": "acme"})).await, "tenant_unknown");
}

#[tokio::test]
async fn a_tenant_in_the_making_or_on_its_way_out_is_not_known() {
    let world = fine_world();
    for status in ["onboarding", "offboarding", "offboarded"] {
        world.state().tenant = Some(row(status, ISSUER));
        assert_eq!(denial(&world, &json!({})).await, "tenant_unknown", "{status}");
    }
}

/// Else the directory of one customer could name every tenant that lists no issuers.
#[tokio::test]
async fn a_tenant_without_issuers_is_served_by_those_of_the_stack_that_say_so() {
    let world = fine_world();
    let mut unbound = row("active", ISSUER);
    unbound["issuers"]["L"] = json!([]);
    world.state().tenant = Some(unbound);
    let token = format!("Bearer {}", good_token());
    let default = world.authorizer(&json!({"defaultForTenants": true}));
    assert!(allows(&authorize(&default, &token).await.unwrap()));
    for settings in [json!({}), json!({"defaultForTenants": false})] {
        let answer = authorize(&world.authorizer(&settings), &token).await.unwrap();
        assert!(!allows(&answer));
        assert_eq!(answer.context["reason"], "tenant_unknown", "as a tenant that is not there");
    }
    // A tenant with issuers is bound to those, whatever others say of themselves.
    world.state().tenant = Some(row("active", "https://other.example"));
    assert_eq!(authorize(&default, &token).await.unwrap().context["tenant"], ACME, "its row is read once a minute");
    let again = world.authorizer(&json!({"defaultForTenants": true}));
    assert_eq!(authorize(&again, &token).await.unwrap().context["reason"], "tenant_unknown");
}

#[tokio::test]
async fn an_operator_has_no_tenant_and_no_key_and_comes_from_an_issuer_of_operators() {
    let changes = json!({"tenant": null, "client_id": "ops", "scope": "tenants:admin records:read"});
    let token = format!("Bearer {}", RSA.token(&header(&RSA, &json!({})), &claims(&changes)));
    let tenants_issuer = fine_world().authorizer(&json!({}));
    assert_eq!(rejection(&tenants_issuer, &token).await, Some(Rejection::BadClaim("tenant".into())));
    let others = fine_world().authorizer(&json!({"operatorClients": ["other"]}));
    assert_eq!(rejection(&others, &token).await, Some(Rejection::BadClaim("tenant".into())));

    let world = fine_world();
    let answer = authorize(&world.authorizer(&json!({"operatorClients": ["ops"]})), &token).await.unwrap();
    assert_eq!(answer.usage_identifier_key, None);
    assert_eq!(answer.context["scopes"], "tenants:admin");
    assert!(!answer.context.contains_key("tenant"));
    let resources = &answer.policy_document.statement[0].resource;
    assert!(resources.iter().all(|resource| resource.contains("/admin/")), "{resources:?}");
    assert_eq!(world.table_reads(), 0);
}

#[tokio::test]
async fn a_tenants_token_never_has_an_operators_scope() {
    let changes = json!({"client_id": "ops", "scope": "tenants:admin records:read"});
    let token = format!("Bearer {}", RSA.token(&header(&RSA, &json!({})), &claims(&changes)));
    let answer = authorize(&fine_world().authorizer(&json!({"operatorClients": ["ops"]})), &token).await.unwrap();
    assert_eq!(answer.context["scopes"], "records:read");
}

#[tokio::test]
async fn an_issuer_cannot_tell_a_tenant_of_others_from_none() {
    let world = fine_world();
    for status in ["active", "suspended"] {
        world.state().tenant = Some(row(status, "https://other.example"));
        assert_eq!(denial(&world, &json!({})).await, "tenant_unknown");
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_is_kept_for_a_minute() {
    let world = fine_world();
    let authorizer = world.authorizer(&json!({}));
    let token = format!("Bearer {}", good_token());
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
async fn a_known_tenant_is_let_in_while_the_table_fails_for_an_hour() {
    let world = fine_world();
    let authorizer = world.authorizer(&json!({}));
    // The token's times are of the real clock, which stands still here.
    let token = format!("Bearer {}", good_token());
    assert!(allows(&authorize(&authorizer, &token).await.unwrap()));
    world.state().table_fails = true;
    tokio::time::advance(Duration::from_mins(55)).await;
    assert!(allows(&authorize(&authorizer, &token).await.unwrap()));
    let reads = world.table_reads();
    assert!(allows(&authorize(&authorizer, &token).await.unwrap()));
    assert_eq!(world.table_reads(), reads, "the table is left alone for some seconds");
    tokio::time::advance(Duration::from_mins(6)).await;
    assert!(matches!(authorize(&authorizer, &token).await, Err(Refusal::Unavailable)));
    world.state().table_fails = false;
    assert!(allows(&authorize(&authorizer, &token).await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_not_known_is_not_let_in_while_the_table_fails() {
    let world = fine_world();
    world.state().table_fails = true;
    let token = format!("Bearer {}", good_token());
    assert!(matches!(authorize(&world.authorizer(&json!({})), &token).await, Err(Refusal::Unavailable)));
}

#[tokio::test(start_paused = true)]
async fn a_new_tenant_is_known_within_seconds() {
    let world = fine_world();
    world.state().tenant = None;
    let authorizer = world.authorizer(&json!({}));
    let token = format!("Bearer {}", good_token());
    assert!(!allows(&authorize(&authorizer, &token).await.unwrap()));
    world.state().tenant = Some(row("active", ISSUER));
    tokio::time::advance(Duration::from_secs(6)).await;
    assert!(allows(&authorize(&authorizer, &token).await.unwrap()));
}
