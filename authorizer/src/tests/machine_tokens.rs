//! Tests of machine tokens with the whole authorizer.

use std::time::Duration;

use serde_json::{Value, json};
use service::domain::machine_token::Secret;

use super::{allows, authorize, good_token, now, rejection};
use crate::AuthorizeError;
use crate::testing::{ACME, machine_token, new_world, row};
use crate::token::Rejection;

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test]
async fn a_valid_machine_token_gets_the_response_of_a_jwt() {
    let world = new_world();
    // A machine token has no issuer, so the issuers that the tenant lists do not matter.
    world.state().tenant = Some(row("active", "https://other.example"));
    let (token, _) = machine_token(&world, &json!({}));
    let response = authorize(&world.authorizer(&json!({})), &bearer(&token)).await.unwrap();
    assert!(allows(&response));
    assert_eq!(response.principal_id.as_deref(), Some("token:01K0T0KEN00000000000000000"));
    assert_eq!(response.usage_identifier_key.as_deref(), Some("the-key-of-acme-0000"));
    let context = [
        ("challenge", "Bearer error=\"insufficient_scope\""),
        ("issuer", "tenantry"),
        ("plan", "free"),
        ("reason", "insufficient_scope"),
        // The grant has another scope, which is not in the contract any more.
        ("scopes", "records:read"),
        ("subject", "token:01K0T0KEN00000000000000000"),
        ("tenant", ACME),
    ];
    assert_eq!(response.context.iter().map(|(name, value)| (&name[..], &value[..])).collect::<Vec<_>>(), context);
    assert!(!format!("{response:?}").contains(&token));
}

#[tokio::test]
async fn a_malformed_machine_token_is_rejected_without_a_read_of_the_table() {
    let world = new_world();
    let authorizer = world.authorizer(&json!({}));
    let (good, _) = machine_token(&world, &json!({}));
    let mut mistyped = good.clone().into_bytes();
    mistyped[20] = if mistyped[20] == b'x' { b'y' } else { b'x' };
    for (token, why) in [
        ("tnt_".to_owned(), Rejection::NotMachineToken),
        (good[..52].to_owned(), Rejection::NotMachineToken),
        (format!("{good}0"), Rejection::NotMachineToken),
        (format!("tnt_{}", good_token()), Rejection::NotMachineToken),
        (good.replace("tnt_", "tnt-"), Rejection::NotJwt),
        (good.replace("tnt_", "TNT_"), Rejection::NotJwt),
        (String::from_utf8(mistyped).unwrap(), Rejection::BadChecksum),
    ] {
        assert_eq!(rejection(&authorizer, &bearer(&token)).await, Some(why), "{token}");
    }
    assert_eq!(world.table_reads(), 0);
}

#[tokio::test]
async fn an_unknown_and_an_expired_token_are_rejected() {
    let world = new_world();
    let authorizer = world.authorizer(&json!({}));
    let unknown = Secret::generate();
    assert_eq!(rejection(&authorizer, &bearer(unknown.expose())).await, Some(Rejection::UnknownToken));
    let (token, _) = machine_token(&world, &json!({"expiresAt": {"N": now().to_string()}}));
    assert_eq!(rejection(&authorizer, &bearer(&token)).await, Some(Rejection::Expired));
    let (token, _) = machine_token(&world, &json!({"expiresAt": {"N": (now() + 60).to_string()}}));
    assert!(allows(&authorize(&authorizer, &bearer(&token)).await.unwrap()));
    assert_eq!(world.state().updates.len(), 1, "only the use of the valid token is recorded");
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_is_rejected_after_a_minute() {
    let world = new_world();
    let authorizer = world.authorizer(&json!({}));
    let (token, partition) = machine_token(&world, &json!({}));
    assert!(allows(&authorize(&authorizer, &bearer(&token)).await.unwrap()));
    world.state().grants.remove(&partition);
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(rejection(&authorizer, &bearer(&token)).await, Some(Rejection::UnknownToken));
}

#[tokio::test(start_paused = true)]
async fn a_new_token_is_known_within_seconds() {
    let world = new_world();
    let authorizer = world.authorizer(&json!({}));
    let (token, partition) = machine_token(&world, &json!({}));
    let grant = world.state().grants.remove(&partition).unwrap();
    assert_eq!(rejection(&authorizer, &bearer(&token)).await, Some(Rejection::UnknownToken));
    world.state().grants.insert(partition, grant);
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(rejection(&authorizer, &bearer(&token)).await, None);
}

#[tokio::test]
async fn a_token_of_a_tenant_without_access_is_denied_with_a_reason() {
    for (tenant, reason) in [(Some(row("suspended", "x")), "tenant_suspended"), (None, "tenant_unknown")] {
        let world = new_world();
        world.state().tenant = tenant;
        let (token, _) = machine_token(&world, &json!({}));
        let response = authorize(&world.authorizer(&json!({})), &bearer(&token)).await.unwrap();
        assert!(!allows(&response));
        let context = [("challenge", "Bearer"), ("reason", reason)];
        assert_eq!(response.context.iter().map(|(name, value)| (&name[..], &value[..])).collect::<Vec<_>>(), context);
        assert_eq!(world.state().updates, [Value::Null; 0], "no use is recorded");
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_table_fails_a_known_token_has_access_and_others_are_unavailable() {
    let world = new_world();
    let authorizer = world.authorizer(&json!({}));
    let (known, _) = machine_token(&world, &json!({}));
    let (other, _) = machine_token(&world, &json!({}));
    assert!(allows(&authorize(&authorizer, &bearer(&known)).await.unwrap()));
    world.state().table_fails = true;
    tokio::time::advance(Duration::from_mins(55)).await;
    assert!(allows(&authorize(&authorizer, &bearer(&known)).await.unwrap()));
    assert!(matches!(authorize(&authorizer, &bearer(&other)).await, Err(AuthorizeError::Unavailable)));
    tokio::time::advance(Duration::from_mins(6)).await;
    assert!(matches!(authorize(&authorizer, &bearer(&known)).await, Err(AuthorizeError::Unavailable)));
}

#[tokio::test(start_paused = true)]
async fn a_use_is_recorded_once_an_hour() {
    let world = new_world();
    let authorizer = world.authorizer(&json!({}));
    let (now, minute) = (now() * 1000, 60_000);
    for (last_used_at, writes) in [(None, 1), (Some(now - 59 * minute), 0), (Some(now - 61 * minute), 1)] {
        let changes = last_used_at.map_or(json!({}), |at| json!({"lastUsedAt": {"N": at.to_string()}}));
        let (token, partition) = machine_token(&world, &changes);
        for _ in 0..3 {
            assert!(allows(&authorize(&authorizer, &bearer(&token)).await.unwrap()));
        }
        let updates = std::mem::take(&mut world.state().updates);
        assert_eq!(updates.len(), writes, "{last_used_at:?}");
        for update in updates {
            assert_eq!(update["Key"]["pk"]["S"], partition);
            // The update must not create the grant of a token that was revoked meanwhile.
            assert!(update["ConditionExpression"].as_str().unwrap().starts_with("attribute_exists(#pk)"), "{update}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_use_that_cannot_be_recorded_delays_requests_only_briefly() {
    let world = new_world();
    world.state().updates_stall = true;
    let authorizer = world.authorizer(&json!({}));
    let (token, _) = machine_token(&world, &json!({}));
    let started = tokio::time::Instant::now();
    for _ in 0..3 {
        assert!(allows(&authorize(&authorizer, &bearer(&token)).await.unwrap()));
    }
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    assert_eq!(world.state().updates.len(), 1);
}
