//! Tests of tokens of single tenants' issuers, and of opaque keys.

use std::time::Duration;

use serde_json::{Value, json};

use super::{allows, authorize, claims, header, rejection, with_claims};
use crate::AuthorizeError;
use crate::testing::{ACME, EC, ISSUER, World, add_issuer, new_world, row};
use crate::token::Rejection;

const OWN: &str = "https://login.acme.example";
const GLOBEX: &str = "01K0G10BEX0000000000000000";

/// A token of the tenant's own issuer, which has a key of its own.
fn token(changes: &Value) -> String {
    let own = super::merged(json!({"iss": OWN, "tenant": null}), changes);
    format!("Bearer {}", EC.token(&header(&EC, &json!({})), &claims(&own)))
}

/// A world in which Acme lists its own issuer, which belongs to the tenant `owner` in the table.
fn world_of(owner: &str) -> World {
    let world = new_world();
    add_issuer(&world, owner, OWN, &EC, &json!({}));
    world.state().tenant = Some(row("active", OWN));
    world
}

async fn outcome(world: &World, token: &str) -> String {
    let response = authorize(&world.authorizer(&json!({"operatorClients": ["ops"]})), token).await.unwrap();
    if allows(&response) { response.context["tenant"].clone() } else { response.context["reason"].clone() }
}

#[tokio::test]
async fn its_tokens_act_for_its_tenant_whatever_they_name() {
    let world = world_of(ACME);
    for named in [json!({}), json!({"tenant": ACME}), json!({"tenant": GLOBEX}), json!({"tenant": 7})] {
        assert_eq!(outcome(&world, &token(&named)).await, ACME, "{named}");
    }
    let response = authorize(&world.authorizer(&json!({})), &token(&json!({}))).await.unwrap();
    assert_eq!((&response.context["issuer"][..], &response.context["scopes"][..]), (OWN, "records:read"));
}

#[tokio::test]
async fn with_a_tenant_claim_the_claim_has_to_name_its_tenant() {
    let world = world_of(ACME);
    add_issuer(&world, ACME, OWN, &EC, &json!({"tenantClaim": "org"}));
    assert_eq!(outcome(&world, &token(&json!({"org": ACME}))).await, ACME);
    assert_eq!(outcome(&world, &token(&json!({"org": "acme"}))).await, "tenant_unknown");
    let missing = rejection(&world.authorizer(&json!({})), &token(&json!({"tenant": ACME}))).await;
    assert_eq!(missing, Some(Rejection::BadClaim("org".into())));
}

/// The world returns the row of Acme for every tenant id.
#[tokio::test]
async fn an_issuer_of_another_tenant_is_never_accepted_for_this_one() {
    let world = world_of(GLOBEX);
    add_issuer(&world, GLOBEX, OWN, &EC, &json!({"tenantClaim": "tenant"}));
    let theirs = token(&json!({"tenant": ACME}));
    assert_eq!(outcome(&world, &theirs).await, "tenant_unknown", "Acme's row lists it, but it is not Acme's");
    world.state().tenant = Some(row("active", ISSUER));
    assert_eq!(outcome(&world, &theirs).await, "tenant_unknown", "Acme is bound to another issuer");
    world.state().tenant.as_mut().unwrap()["issuers"] = json!({"L": []});
    assert_eq!(outcome(&world, &theirs).await, "tenant_unknown", "without issuers, only the stack's may");
}

#[tokio::test]
async fn the_stacks_issuers_are_not_accepted_for_a_tenant_with_an_issuer_of_its_own() {
    let world = world_of(ACME);
    let stacks = with_claims(&json!({}));
    assert_eq!(outcome(&world, &stacks).await, "tenant_unknown");
}

#[tokio::test]
async fn an_issuer_that_the_tenant_no_longer_lists_is_not_accepted() {
    let world = world_of(ACME);
    world.state().tenant = Some(row("active", ISSUER));
    assert_eq!(outcome(&world, &token(&json!({}))).await, "tenant_unknown");
}

#[tokio::test]
async fn it_never_has_operators_whatever_the_table_contains() {
    let world = world_of(ACME);
    let operators = token(&json!({"client_id": "ops", "scope": "tenants:admin records:read"}));
    let response = authorize(&world.authorizer(&json!({"operatorClients": ["ops"]})), &operators).await.unwrap();
    assert_eq!((&response.context["tenant"][..], &response.context["scopes"][..]), (ACME, "records:read"));
    add_issuer(&world, ACME, OWN, &EC, &json!({"operatorClients": ["ops"]}));
    assert!(matches!(authorize(&world.authorizer(&json!({})), &operators).await, Err(AuthorizeError::Unavailable)));
}

#[tokio::test]
async fn the_stacks_issuer_is_the_stacks_whatever_the_table_contains() {
    let world = new_world();
    add_issuer(&world, GLOBEX, ISSUER, &EC, &json!({}));
    let theirs = format!("Bearer {}", EC.token(&header(&EC, &json!({"kid": "theirs"})), &claims(&json!({}))));
    assert_eq!(rejection(&world.authorizer(&json!({})), &theirs).await, Some(Rejection::UnknownKey));
}

#[tokio::test]
async fn its_tokens_are_verified_with_its_own_keys_only() {
    let world = world_of(ACME);
    let rejected = rejection(&world.authorizer(&json!({})), &with_claims(&json!({"iss": OWN}))).await;
    assert_eq!(rejected, Some(Rejection::UnknownKey));
}

#[tokio::test(start_paused = true)]
async fn it_works_within_seconds_of_its_creation_and_is_read_once_a_minute() {
    let world = new_world();
    world.state().tenant = Some(row("active", OWN));
    let authorizer = world.authorizer(&json!({}));
    assert_eq!(rejection(&authorizer, &token(&json!({}))).await, Some(Rejection::UnknownIssuer));
    add_issuer(&world, ACME, OWN, &EC, &json!({}));
    tokio::time::advance(Duration::from_secs(6)).await;
    let before = world.table_reads();
    for _ in 0..5 {
        assert!(allows(&authorize(&authorizer, &token(&json!({}))).await.unwrap()));
    }
    assert_eq!(world.table_reads() - before, 2, "the issuer and its tenant");
    let keys = format!("{OWN}/.well-known/jwks.json");
    assert_eq!(world.state().requested.iter().filter(|uri| **uri == keys).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn made_up_issuers_cannot_make_it_read_in_a_loop() {
    let world = world_of(ACME);
    let authorizer = world.authorizer(&json!({}));
    assert!(allows(&authorize(&authorizer, &token(&json!({}))).await.unwrap()));
    let before = world.table_reads();
    for n in 0..100 {
        let made_up = token(&json!({"iss": format!("https://{n}.example")}));
        assert!(authorize(&authorizer, &made_up).await.is_err());
        assert!(allows(&authorize(&authorizer, &token(&json!({}))).await.unwrap()), "a known issuer has access");
    }
    assert!(world.table_reads() - before <= 10, "{}", world.table_reads() - before);
    // A value that cannot be an issuer causes no read at all.
    tokio::time::advance(Duration::from_secs(2)).await;
    let before = world.table_reads();
    for iss in ["x".to_owned(), "http://a.example".to_owned(), format!("https://{}", "a".repeat(200))] {
        assert_eq!(rejection(&authorizer, &token(&json!({"iss": iss}))).await, Some(Rejection::UnknownIssuer));
    }
    assert_eq!(world.table_reads(), before);
    assert!(world.state().requested.iter().all(|uri| !uri.contains("://0.example")), "no made-up JWKS is fetched");
}

/// Made-up issuers can delay the tokens of new issuers, but not those of issuers that were used before.
#[tokio::test(start_paused = true)]
async fn unknown_issuers_do_not_use_up_the_reads_of_known_issuers() {
    let world = world_of(ACME);
    let authorizer = world.authorizer(&json!({}));
    assert!(allows(&authorize(&authorizer, &token(&json!({}))).await.unwrap()));
    // Before each time that the row has to be read again, there is a flood of unknown issuers.
    for minute in 0..3 {
        tokio::time::advance(Duration::from_secs(61)).await;
        for n in 0..50 {
            let made_up = token(&json!({"iss": format!("https://{minute}-{n}.example")}));
            assert!(authorize(&authorizer, &made_up).await.is_err());
        }
        let before = world.table_reads();
        assert!(allows(&authorize(&authorizer, &token(&json!({}))).await.unwrap()));
        assert_eq!(world.table_reads() - before, 2, "the issuer and its tenant are read again");
    }
    // So a change of the issuer takes effect in time.
    add_issuer(&world, ACME, OWN, &EC, &json!({"clientIds": ["another"]}));
    tokio::time::advance(Duration::from_secs(61)).await;
    for n in 0..50 {
        assert!(authorize(&authorizer, &token(&json!({"iss": format!("https://{n}.example")}))).await.is_err());
    }
    assert_eq!(rejection(&authorizer, &token(&json!({}))).await, Some(Rejection::OtherClient));
}

#[tokio::test]
async fn its_keys_may_be_pinned() {
    let world = world_of(ACME);
    let mut settings = EC.public.clone();
    settings["kid"] = "pinned".into();
    add_issuer(&world, ACME, OWN, &EC, &json!({"jwks": {"keys": [settings]}}));
    let authorizer = world.authorizer(&json!({}));
    let claims = claims(&json!({"iss": OWN, "tenant": null}));
    let pinned = format!("Bearer {}", EC.token(&header(&EC, &json!({"kid": "pinned"})), &claims));
    assert!(allows(&authorize(&authorizer, &pinned).await.unwrap()));
    assert_eq!(rejection(&authorizer, &token(&json!({}))).await, Some(Rejection::UnknownKey));
    assert!(world.state().requested.iter().all(|uri| !uri.contains("login.acme.example")));
}

#[tokio::test]
async fn it_is_never_the_default_of_tenants_whatever_the_table_contains() {
    let world = world_of(GLOBEX);
    add_issuer(&world, GLOBEX, OWN, &EC, &json!({"defaultForTenants": true, "tenantClaim": "tenant"}));
    let theirs = authorize(&world.authorizer(&json!({})), &token(&json!({"tenant": ACME}))).await;
    assert!(matches!(theirs, Err(AuthorizeError::Unavailable)), "{theirs:?}");
}

#[tokio::test(start_paused = true)]
async fn while_the_table_fails_the_token_is_not_rejected() {
    let world = world_of(ACME);
    world.state().table_fails = true;
    let response = authorize(&world.authorizer(&json!({})), &token(&json!({}))).await;
    assert!(matches!(response, Err(AuthorizeError::Unavailable)), "{response:?}");
}

/// Adds an opaque key to the table.
fn add_key(world: &World, tenant: &str, expires_at: Option<u64>) -> String {
    let key = service::domain::tenant_key::generate();
    let partition = format!("TENANTKEY#{}", service::domain::tenant_key::digest(&key).unwrap());
    let mut item = json!({"pk": {"S": partition}, "sk": {"S": "TENANTKEY"}, "tenant": {"S": tenant}});
    if let Some(end) = expires_at {
        item["expiresAt"] = json!({"N": end.to_string()});
    }
    world.state().issuers.insert(partition, item);
    key
}

#[tokio::test]
async fn an_opaque_key_identifies_the_tenant_if_the_issuer_uses_opaque_keys() {
    let world = new_world();
    let settings = json!({"tenantKeys": true});
    let old = add_key(&world, ACME, Some(super::now() + 60));
    for key in [&add_key(&world, ACME, None), &old] {
        let response = authorize(&world.authorizer(&settings), &with_claims(&json!({"tenant": key}))).await.unwrap();
        assert_eq!(response.context["tenant"], ACME);
        assert!(!format!("{response:?}").contains(key.as_str()));
        let by_id = authorize(&world.authorizer(&json!({})), &with_claims(&json!({"tenant": key}))).await.unwrap();
        assert_eq!(by_id.context["reason"], "tenant_unknown", "for other issuers it is not a valid tenant id");
    }
    let expired = add_key(&world, ACME, Some(super::now()));
    for key in [expired.as_str(), &service::domain::tenant_key::generate(), ACME, "x"] {
        let response = authorize(&world.authorizer(&settings), &with_claims(&json!({"tenant": key}))).await.unwrap();
        assert_eq!(response.context["reason"], "tenant_unknown", "{key}");
    }
    world.state().table_fails = true;
    assert!(matches!(
        authorize(&world.authorizer(&settings), &with_claims(&json!({"tenant": old}))).await,
        Err(AuthorizeError::Unavailable)
    ));
}

#[tokio::test]
async fn an_issuer_of_a_tenant_cannot_use_the_opaque_key_of_another() {
    let world = world_of(GLOBEX);
    add_issuer(&world, GLOBEX, OWN, &EC, &json!({"tenantClaim": "tenant", "tenantKeys": true}));
    let key = add_key(&world, ACME, None);
    assert_eq!(outcome(&world, &token(&json!({"tenant": key}))).await, "tenant_unknown");
}
