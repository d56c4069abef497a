//! Machine tokens through the whole authorizer.

use std::time::Duration;

use serde_json::{Value, json};
use service::domain::machine_token::Secret;

use super::{allows, authorize, good_token, now, rejection};
use crate::Refusal;
use crate::testing::{ACME, fine_world, machine_token, row};
use crate::token::Rejection;

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test]
async fn a_good_machine_token_is_answered_as_a_jwt_is() {
    let world = fine_world();
    // No issuer speaks for it, so whichever serve the tenant do not matter.
    world.state().tenant = Some(row("active", "https://other.example"));
    let (token, _) = machine_token(&world, &json!({}));
    let answer = authorize(&world.authorizer(&json!({})), &bearer(&token)).await.unwrap();
    assert!(allows(&answer));
    assert_eq!(answer.principal_id.as_deref(), Some("token:01K0T0KEN00000000000000000"));
    assert_eq!(answer.usage_identifier_key.as_deref(), Some("the-key-of-acme-0000"));
    let context = [
        ("challenge", "Bearer error=\"insufficient_scope\""),
        ("issuer", "tenantry"),
        ("plan", "free"),
        ("reason", "insufficient_scope"),
        // Without the scope that the contract does not know, or no longer.
        ("scopes", "records:read"),
        ("subject", "token:01K0T0KEN00000000000000000"),
        ("tenant", ACME),
    ];
    assert_eq!(answer.context.iter().map(|(name, value)| (&name[..], &value[..])).collect::<Vec<_>>(), context);
    assert!(!format!("{answer:?}").contains(&token));
}

#[tokio::test]
async fn what_cannot_be_a_machine_token_is_refused_without_a_look_at_the_table() {
    let world = fine_world();
    let authorizer = world.authorizer(&json!({}));
    let (good, _) = machine_token(&world, &json!({}));
    let mut mistyped = good.clone().into_bytes();
    mistyped[20] = if mistyped[20] == b'x' { b'y' } else { b'x' };
    for (token, why) in [
        ("tnt_".to_owned(), Rejection::NoMachineToken),
        (good[..52].to_owned(), Rejection::NoMachineToken),
        (format!("{good}0"), Rejection::NoMachineToken),
        (format!("tnt_{}", good_token()), Rejection::NoMachineToken),
        (good.replace("tnt_", "tnt-"), Rejection::NoJwt),
        (good.replace("tnt_", "TNT_"), Rejection::NoJwt),
        (String::from_utf8(mistyped).unwrap(), Rejection::BadChecksum),
    ] {
        assert_eq!(rejection(&authorizer, &bearer(&token)).await, Some(why), "{token}");
    }
    assert_eq!(world.table_reads(), 0);
}

#[tokio::test]
async fn an_unknown_and_an_expired_token_are_refused() {
    let world = fine_world();
    let authorizer = world.authorizer(&json!({}));
    let unknown = Secret::generate();
    assert_eq!(rejection(&authorizer, &bearer(unknown.expose())).await, Some(Rejection::UnknownToken));
    let (token, _) = machine_token(&world, &json!({"expiresAt": {"N": now().to_string()}}));
    assert_eq!(rejection(&authorizer, &bearer(&token)).await, Some(Rejection::Expired));
    let (token, _) = machine_token(&world, &json!({"expiresAt": {"N": (now() + 60).to_string()}}));
    assert!(allows(&authorize(&authorizer, &bearer(&token)).await.unwrap()));
    assert_eq!(world.state().updates.len(), 1, "the use of the one that was let in");
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_is_refused_after_a_minute() {
    let world = fine_world();
    let authorizer = world.authorizer(&json!({}));
    let (token, partition) = machine_token(&world, &json!({}));
    assert!(allows(&authorize(&authorizer, &bearer(&token)).await.unwrap()));
    world.state().grants.remove(&partition);
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(rejection(&authorizer, &bearer(&token)).await, Some(Rejection::UnknownToken));
}

#[tokio::test(start_paused = true)]
async fn a_new_token_is_known_within_seconds() {
    let world = fine_world();
    let authorizer = world.authorizer(&json!({}));
    let (token, partition) = machine_token(&world, &json!({}));
    let grant = world.state().grants.remove(&partition).unwrap();
    assert_eq!(rejection(&authorizer, &bearer(&token)).await, Some(Rejection::UnknownToken));
    world.state().grants.insert(partition, grant);
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(rejection(&authorizer, &bearer(&token)).await, None);
}

#[tokio::test]
async fn a_token_of_a_tenant_that_may_not_is_denied_with_a_reason() {
    for (tenant, reason) in [(Some(row("suspended", "x")), "tenant_suspended"), (None, "tenant_unknown")] {
        let world = fine_world();
        world.state().tenant = tenant;
        let (token, _) = machine_token(&world, &json!({}));
        let answer = authorize(&world.authorizer(&json!({})), &bearer(&token)).await.unwrap();
        assert!(!allows(&answer));
        let context = [("challenge", "Bearer"), ("reason", reason)];
        assert_eq!(answer.context.iter().map(|(name, value)| (&name[..], &value[..])).collect::<Vec<_>>(), context);
        assert_eq!(world.state().updates, [Value::Null; 0], "it was not let in");
    }
}

#[tokio::test(start_paused = true)]
async fn a_known_token_is_let_in_while_the_table_fails_and_others_are_told_to_wait() {
    let world = fine_world();
    let authorizer = world.authorizer(&json!({}));
    let (known, _) = machine_token(&world, &json!({}));
    let (other, _) = machine_token(&world, &json!({}));
    assert!(allows(&authorize(&authorizer, &bearer(&known)).await.unwrap()));
    world.state().table_fails = true;
    tokio::time::advance(Duration::from_mins(55)).await;
    assert!(allows(&authorize(&authorizer, &bearer(&known)).await.unwrap()));
    assert!(matches!(authorize(&authorizer, &bearer(&other)).await, Err(Refusal::Unavailable)));
    tokio::time::advance(Duration::from_mins(6)).await;
    assert!(matches!(authorize(&authorizer, &bearer(&known)).await, Err(Refusal::Unavailable)));
}

#[tokio::test(start_paused = true)]
async fn a_use_is_recorded_once_an_hour() {
    let world = fine_world();
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
            // A token that was revoked meanwhile does not come back by it.
            assert!(update["ConditionExpression"].as_str().unwrap().starts_with("attribute_exists(#pk)"), "{update}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_use_that_cannot_be_recorded_holds_nobody_up() {
    let world = fine_world();
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
