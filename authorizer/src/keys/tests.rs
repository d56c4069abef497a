//! Tests of when keys are fetched, and of which are used.

use serde_json::{Value, json};

use service::domain::issuer::Algorithm;

use super::*;
use crate::testing::{EC, EC_384, ED, ISSUER, JWKS_URI, RSA, World, new_world, stack};

fn keys(world: &World) -> Keys {
    keys_of(world, &json!([{"issuer": ISSUER, "jwksUri": JWKS_URI, "audiences": ["tenantry"]}]))
}

fn keys_of(world: &World, issuers: &Value) -> Keys {
    Keys::new(stack(issuers).issuers, world.connector(), PlainHttp::Never)
}

/// The only algorithm that a key of the issuer is for.
async fn outcome(keys: &Keys, kid: &str) -> Result<Algorithm, KeyError> {
    let issuer = keys.issuer(ISSUER).unwrap();
    let key = keys.key(issuer, kid).await?;
    let algorithms: Vec<Algorithm> = ALGORITHMS.into_iter().filter(|one| key.is_for(*one, issuer)).collect();
    let [algorithm] = algorithms[..] else { panic!("{algorithms:?}") };
    Ok(algorithm)
}

const ALGORITHMS: [Algorithm; 9] = {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA]
};

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_once() {
    let world = new_world();
    let keys = keys(&world);
    keys.fetch_all().await;
    for (kid, algorithm) in [("rsa", Algorithm::RS256), ("ec", Algorithm::ES256), ("ed", Algorithm::EdDSA)] {
        assert_eq!(outcome(&keys, kid).await, Ok(algorithm));
    }
    assert_eq!(world.key_fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_found_and_an_old_one_forgotten() {
    let world = new_world();
    let keys = keys(&world);
    assert!(outcome(&keys, "rsa").await.is_ok());
    world.state().keys = Some(vec![EC.public.clone()]);
    let mut rotated = ED.public.clone();
    rotated["kid"] = "new".into();
    world.state().keys.as_mut().unwrap().push(rotated);
    tokio::time::advance(REFRESH_INTERVAL).await;
    assert_eq!(outcome(&keys, "new").await, Ok(Algorithm::EdDSA));
    assert_eq!(outcome(&keys, "rsa").await, Err(KeyError::Unknown));
}

#[tokio::test(start_paused = true)]
async fn unknown_key_ids_cannot_make_it_fetch_in_a_loop() {
    let world = new_world();
    let keys = keys(&world);
    for n in 0..1000 {
        assert_eq!(outcome(&keys, &format!("kid-{n}")).await, Err(KeyError::Unknown));
        assert!(outcome(&keys, "rsa").await.is_ok());
        tokio::time::advance(Duration::from_millis(50)).await;
    }
    // 50 seconds: one fetch at the start, and one every 10 seconds.
    assert_eq!(world.key_fetches(), 5);
}

#[tokio::test(start_paused = true)]
async fn keys_remain_valid_while_the_issuer_fails() {
    let world = new_world();
    let keys = keys(&world);
    assert!(outcome(&keys, "rsa").await.is_ok());
    world.state().keys = None;
    tokio::time::advance(FRESH * 24).await;
    assert!(outcome(&keys, "rsa").await.is_ok());
    assert_eq!(world.key_fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn while_the_issuer_fails_a_new_key_is_not_unknown() {
    let world = new_world();
    let keys = keys(&world);
    assert!(outcome(&keys, "rsa").await.is_ok());
    assert_eq!(outcome(&keys, "new").await, Err(KeyError::Unknown), "the issuer has just responded without it");
    world.state().keys = None;
    tokio::time::advance(REFRESH_INTERVAL).await;
    for _ in 0..3 {
        assert_eq!(outcome(&keys, "new").await, Err(KeyError::Unavailable));
        assert!(outcome(&keys, "rsa").await.is_ok());
    }
    assert_eq!(world.key_fetches(), 2, "an issuer that fails gets no request for a while");

    let mut rotated = EC.public.clone();
    rotated["kid"] = "new".into();
    world.state().keys = Some(vec![RSA.public.clone(), rotated]);
    tokio::time::advance(REFRESH_INTERVAL).await;
    assert_eq!(outcome(&keys, "new").await, Ok(Algorithm::ES256));
    assert_eq!(outcome(&keys, "other").await, Err(KeyError::Unknown));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_responds_without_usable_keys_withdraws_the_earlier_ones() {
    for set in [json!([]), json!([{"kty": "oct", "kid": "rsa", "k": "c2VjcmV0"}])] {
        let world = new_world();
        let keys = keys(&world);
        assert!(outcome(&keys, "rsa").await.is_ok());
        world.state().keys = set.as_array().cloned();
        tokio::time::advance(FRESH).await;
        assert_eq!(outcome(&keys, "rsa").await, Err(KeyError::Unknown), "{set}");
        world.state().keys = Some(vec![RSA.public.clone()]);
        tokio::time::advance(REFRESH_INTERVAL).await;
        assert!(outcome(&keys, "rsa").await.is_ok(), "after a mistake, the keys are fetched again soon");
    }
}

/// Lambda ends an init phase after ten seconds.
#[tokio::test(start_paused = true)]
async fn issuers_that_hang_delay_the_start_once_and_at_the_same_time() {
    let world = new_world();
    let hanging: Vec<String> = (0..5).map(|n| format!("https://{n}.example")).collect();
    let uris = hanging.iter().map(|issuer| format!("{issuer}/.well-known/jwks.json"));
    world.state().hanging = uris.collect();
    let mut issuers: Vec<Value> =
        hanging.iter().map(|issuer| json!({"issuer": issuer, "audiences": ["tenantry"]})).collect();
    issuers.push(json!({"issuer": ISSUER, "jwksUri": JWKS_URI, "audiences": ["tenantry"]}));
    let keys = keys_of(&world, &json!(issuers));
    let started = Instant::now();
    keys.fetch_all().await;
    let took = started.elapsed();
    assert!(took < TIMEOUT + Duration::from_millis(100), "{took:?}");
    assert_eq!(outcome(&keys, "rsa").await, Ok(Algorithm::RS256), "the last issuer in the list works nevertheless");
    assert_eq!(world.key_fetches(), 1);
    let hung = keys.issuer(&hanging[0]).unwrap();
    assert_eq!(keys.key(hung, "rsa").await.unwrap_err(), KeyError::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn pinned_keys_are_never_fetched() {
    let world = World::default();
    let jwks = json!({"keys": [RSA.public, EC_384.public]});
    let keys = keys_of(&world, &json!([{"issuer": ISSUER, "audiences": ["tenantry"], "jwks": jwks}]));
    keys.fetch_all().await;
    assert_eq!(outcome(&keys, "rsa").await, Ok(Algorithm::RS256));
    assert_eq!(outcome(&keys, "ec-384").await, Ok(Algorithm::ES384));
    tokio::time::advance(FRESH * 2).await;
    assert_eq!(outcome(&keys, "other").await, Err(KeyError::Unknown));
    assert_eq!(world.state().requested, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn no_uri_is_requested_that_could_not_be_configured() {
    let world = World::default();
    for uri in ["http://127.0.0.1:9001/2018-06-01/runtime/invocation/next", "https://user@keys.example", "keys"] {
        let Value::Object(members) = json!({"issuer": "https://a.example", "jwksUri": uri, "audiences": ["api"]})
        else {
            unreachable!()
        };
        // As a tenant's row may have it that was written before there were rules.
        let issuer = Issuer::stored(members).unwrap();
        let keys = keys_of(&world, &json!([]));
        assert_eq!(keys.key(&issuer, "rsa").await.unwrap_err(), KeyError::Unavailable);
    }
    assert_eq!(world.state().requested, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_key_is_rejected_after_an_hour() {
    let world = new_world();
    let keys = keys(&world);
    assert!(outcome(&keys, "rsa").await.is_ok());
    world.state().keys = Some(vec![EC.public.clone()]);
    tokio::time::advance(FRESH).await;
    assert_eq!(outcome(&keys, "rsa").await, Err(KeyError::Unknown));
}

#[tokio::test(start_paused = true)]
async fn without_any_keys_the_token_is_not_rejected() {
    let world = new_world();
    world.state().keys = None;
    let keys = keys(&world);
    assert_eq!(outcome(&keys, "rsa").await, Err(KeyError::Unavailable));
    assert_eq!(outcome(&keys, "rsa").await, Err(KeyError::Unavailable));
    assert_eq!(world.key_fetches(), 1);
    world.state().keys = Some(vec![RSA.public.clone()]);
    tokio::time::advance(FIRST_INTERVAL).await;
    assert!(outcome(&keys, "rsa").await.is_ok());
}
