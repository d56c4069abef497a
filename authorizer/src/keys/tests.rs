//! When keys are fetched, and which are used.

use serde_json::json;

use super::*;
use crate::testing::{EC, ED, ISSUER, JWKS_URI, RSA, World, fine_world};

fn keys(world: &World) -> Keys {
    let issuers = json!([{"issuer": ISSUER, "jwksUri": JWKS_URI, "audiences": ["tenantry"]}]);
    Keys::new(Issuers::parse(&issuers.to_string()).unwrap(), Some(world.connector()))
}

async fn outcome(keys: &Keys, kid: &str) -> Result<Algorithm, NoKey> {
    keys.key(keys.issuer(ISSUER).unwrap(), kid).await.map(|key| key.algorithm)
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_once() {
    let world = fine_world();
    let keys = keys(&world);
    keys.fetch_all().await;
    for (kid, algorithm) in [("rsa", Algorithm::RS256), ("ec", Algorithm::ES256), ("ed", Algorithm::EdDSA)] {
        assert_eq!(outcome(&keys, kid).await, Ok(algorithm));
    }
    assert_eq!(world.key_fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_found_and_an_old_one_forgotten() {
    let world = fine_world();
    let keys = keys(&world);
    assert!(outcome(&keys, "rsa").await.is_ok());
    world.state().keys = Some(vec![EC.public.clone()]);
    let mut rotated = ED.public.clone();
    rotated["kid"] = "new".into();
    world.state().keys.as_mut().unwrap().push(rotated);
    tokio::time::advance(REFRESH_INTERVAL).await;
    assert_eq!(outcome(&keys, "new").await, Ok(Algorithm::EdDSA));
    assert_eq!(outcome(&keys, "rsa").await, Err(NoKey::Unknown));
}

#[tokio::test(start_paused = true)]
async fn unknown_key_ids_cannot_make_it_fetch_in_a_loop() {
    let world = fine_world();
    let keys = keys(&world);
    for n in 0..1000 {
        assert_eq!(outcome(&keys, &format!("kid-{n}")).await, Err(NoKey::Unknown));
        assert!(outcome(&keys, "rsa").await.is_ok());
        tokio::time::advance(Duration::from_millis(50)).await;
    }
    // 50 seconds: one fetch at the start, and one every 10 seconds.
    assert_eq!(world.key_fetches(), 5);
}

#[tokio::test(start_paused = true)]
async fn keys_stay_while_the_issuer_fails() {
    let world = fine_world();
    let keys = keys(&world);
    assert!(outcome(&keys, "rsa").await.is_ok());
    world.state().keys = None;
    tokio::time::advance(FRESH * 24).await;
    assert!(outcome(&keys, "rsa").await.is_ok());
    assert_eq!(world.key_fetches(), 2);
    assert_eq!(outcome(&keys, "unknown").await, Err(NoKey::Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_key_is_refused_after_an_hour() {
    let world = fine_world();
    let keys = keys(&world);
    assert!(outcome(&keys, "rsa").await.is_ok());
    world.state().keys = Some(vec![EC.public.clone()]);
    tokio::time::advance(FRESH).await;
    assert_eq!(outcome(&keys, "rsa").await, Err(NoKey::Unknown));
}

#[tokio::test(start_paused = true)]
async fn without_any_keys_it_is_not_the_token_that_is_wrong() {
    let world = fine_world();
    world.state().keys = None;
    let keys = keys(&world);
    assert_eq!(outcome(&keys, "rsa").await, Err(NoKey::Unavailable));
    assert_eq!(outcome(&keys, "rsa").await, Err(NoKey::Unavailable));
    assert_eq!(world.key_fetches(), 1);
    world.state().keys = Some(vec![RSA.public.clone()]);
    tokio::time::advance(FIRST_INTERVAL).await;
    assert!(outcome(&keys, "rsa").await.is_ok());
}

#[test]
fn keys_that_are_not_for_our_signatures_are_left_out() {
    let mut set = Vec::new();
    for (kid, changes) in [
        ("encryption", json!({"use": "enc"})),
        ("other algorithm", json!({"alg": "RS512"})),
        ("good", json!({"use": "sig", "alg": "RS256"})),
    ] {
        let mut key = RSA.public.clone();
        key["kid"] = kid.into();
        key.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        set.push(key);
    }
    set.push(json!({"kty": "oct", "kid": "symmetric", "k": "c2VjcmV0", "alg": "HS256"}));
    set.push(json!({"kty": "new", "kid": "unheard of"}));
    set.push(json!(7));
    let mut nameless = RSA.public.clone();
    nameless.as_object_mut().unwrap().remove("kid");
    set.push(nameless);
    let keys = parse(json!({"keys": set}).to_string().as_bytes()).unwrap();
    assert_eq!(keys.keys().collect::<Vec<_>>(), ["good"]);
}

#[test]
fn what_holds_no_key_is_no_key_set() {
    for body in ["", "[]", "{}", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}"#] {
        assert!(parse(body.as_bytes()).is_none(), "{body}");
    }
}
