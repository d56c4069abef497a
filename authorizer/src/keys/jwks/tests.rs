//! Tests of which keys of a JWKS are used, and for which algorithms.

use std::io::{Read as _, pipe};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lambda_runtime::tracing::subscriber::fmt;
use serde_json::json;
use service::domain::issuer::Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
use service::domain::issuer::{Issuers, PlainHttp};
use tracing::subscriber::with_default;

use super::*;
use crate::testing::{EC, EC_384, ED, RSA};

const ALL: [Algorithm; 9] = [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA];

fn with(public: &Value, changes: Value) -> Value {
    let mut jwk = public.clone();
    let Value::Object(changes) = changes else { panic!("{changes}") };
    jwk.as_object_mut().unwrap().extend(changes);
    jwk
}

fn issuer(algorithms: &Value) -> Issuer {
    let issuers = json!([{"issuer": "https://a.example", "audiences": ["api"], "algorithms": algorithms}]);
    Issuers::parse(&issuers.to_string(), PlainHttp::Never).unwrap().into_vec().remove(0)
}

/// The algorithms of a key, for an issuer that lists these.
fn algorithms(jwk: &Value, listed: &Value) -> Vec<Algorithm> {
    let (_, key) = key(jwk).unwrap();
    let issuer = issuer(listed);
    ALL.into_iter().filter(|algorithm| key.is_for(*algorithm, &issuer)).collect()
}

#[test]
fn a_key_is_for_one_algorithm_of_its_type_unless_the_issuer_lists_more() {
    let rsa = &RSA.public;
    for (jwk, listed, expected) in [
        (rsa, json!([]), vec![RS256]),
        (&EC.public, json!([]), vec![ES256]),
        (&EC_384.public, json!([]), vec![ES384]),
        (&ED.public, json!([]), vec![EdDSA]),
        (&with(rsa, json!({"alg": "PS384"})), json!([]), vec![PS384]),
        (&with(rsa, json!({"alg": "RS512"})), json!([]), vec![RS512]),
        (rsa, json!(["RS256", "PS256", "ES256"]), vec![RS256, PS256]),
        (rsa, json!(["PS512"]), vec![PS512]),
        (rsa, json!(["ES256", "EdDSA"]), vec![]),
        (&EC.public, json!(["ES384", "ES256"]), vec![ES256]),
        (&EC.public, json!(["ES384", "RS256"]), vec![]),
        (&with(rsa, json!({"alg": "PS384"})), json!(["PS256", "PS384"]), vec![PS384]),
        (&with(rsa, json!({"alg": "PS384"})), json!(["PS256"]), vec![]),
    ] {
        assert_eq!(algorithms(jwk, &listed), expected, "{jwk} {listed}");
    }
}

#[test]
fn a_key_that_is_not_for_signatures_of_its_type_is_ignored() {
    let rsa = &RSA.public;
    for (jwk, why) in [
        (with(rsa, json!({"use": "enc"})), Unusable::OtherUse),
        (with(rsa, json!({"use": "other"})), Unusable::OtherUse),
        (with(rsa, json!({"key_ops": ["sign"]})), Unusable::OtherUse),
        (with(rsa, json!({"key_ops": []})), Unusable::OtherUse),
        (with(rsa, json!({"key_ops": ["encrypt", "wrapKey"]})), Unusable::OtherUse),
        (with(rsa, json!({"use": "enc", "key_ops": ["verify"]})), Unusable::OtherUse),
        (with(rsa, json!({"use": "sig", "key_ops": ["sign"]})), Unusable::OtherUse),
        (with(rsa, json!({"key_ops": "verify"})), Unusable::Malformed),
        (with(rsa, json!({"alg": "RSA-OAEP"})), Unusable::OtherAlgorithm),
        (with(rsa, json!({"alg": "ES256"})), Unusable::OtherAlgorithm),
        (with(rsa, json!({"alg": "HS256"})), Unusable::OtherAlgorithm),
        (with(rsa, json!({"alg": "none"})), Unusable::OtherAlgorithm),
        (with(&EC.public, json!({"alg": "ES384"})), Unusable::OtherAlgorithm),
        (with(&ED.public, json!({"alg": "ES256"})), Unusable::OtherAlgorithm),
        (with(&EC.public, json!({"crv": "P-521"})), Unusable::Kind),
        (with(&EC.public, json!({"crv": "secp256k1"})), Unusable::Kind),
        (with(&EC.public, json!({"crv": "P-384"})), Unusable::Malformed),
        (with(&ED.public, json!({"x": "AAAA"})), Unusable::Malformed),
        (with(rsa, json!({"n": "!"})), Unusable::Malformed),
        (json!({"kty": "oct", "kid": "a", "k": "c2VjcmV0", "alg": "HS256"}), Unusable::Kind),
        (json!({"kty": "new", "kid": "a"}), Unusable::Kind),
        (json!(7), Unusable::Kind),
    ] {
        assert_eq!(key(&jwk).unwrap_err(), why, "{jwk}");
    }
    let mut nameless = rsa.clone();
    nameless.as_object_mut().unwrap().remove("kid");
    assert_eq!(key(&nameless).unwrap_err(), Unusable::MissingId);
    for good in [json!({"use": "sig", "alg": "RS256"}), json!({"key_ops": ["verify"]}), json!({"x5t": "a"})] {
        assert!(key(&with(rsa, good.clone())).is_ok(), "{good}");
    }
}

#[test]
fn an_rsa_key_of_a_size_that_verifies_nothing_is_ignored_and_logged() {
    let of_bits = |bits: usize| {
        let mut modulus = vec![0xff; bits / 8];
        if !bits.is_multiple_of(8) {
            modulus.insert(0, (1 << (bits % 8)) - 1);
        }
        with(&RSA.public, json!({"n": URL_SAFE_NO_PAD.encode([&[0, 0][..], &modulus].concat())}))
    };
    for bits in [0, 7, 512, 1024, 2040, 2047, 8193, 16_384] {
        let why = key(&of_bits(bits)).unwrap_err();
        assert_eq!(why, Unusable::Size(bits));
        assert_eq!(why.to_string(), format!("it has {bits} bits, and must have 2048 to 8192"));
    }
    for bits in [2048, 2049, 3072, 8192] {
        assert!(key(&of_bits(bits)).is_ok(), "{bits}");
    }
    let set =
        json!({"keys": [with(&of_bits(1024), json!({"kid": "small"})), with(&RSA.public, json!({"use": "enc"}))]});
    let log = log_of(|| assert!(usable(&set, "https://a.example/keys").unwrap().is_empty()));
    for part in ["WARN", "https://a.example/keys", "small", "1024 bits"] {
        assert!(log.contains(part), "{part} in {log}");
    }
    assert_eq!(log.lines().count(), 1, "a key for encryption causes no warning: {log}");
}

fn log_of(work: impl FnOnce()) -> String {
    let (mut reader, writer) = pipe().unwrap();
    let lines = fmt().with_ansi(false).with_writer(move || writer.try_clone().unwrap()).finish();
    with_default(lines, work);
    let mut log = String::new();
    reader.read_to_string(&mut log).unwrap();
    log
}

#[test]
fn the_usable_keys_of_a_jwks_remain() {
    let set = json!({"keys": [7, {"kty": "new"}, with(&RSA.public, json!({"use": "enc", "kid": "enc"})), RSA.public, EC.public]});
    let keys = usable(&set, "test").unwrap();
    let mut kids: Vec<_> = keys.keys().collect();
    kids.sort();
    assert_eq!(kids, ["ec", "rsa"]);
    assert_eq!(usable(&json!({"keys": []}), "test").unwrap().len(), 0);
}

#[test]
fn a_jwks_is_an_object_with_an_array_of_keys() {
    for set in [json!(null), json!([]), json!({}), json!({"keys": {}}), json!({"keys": null}), json!("keys")] {
        assert!(usable(&set, "test").is_none(), "{set}");
    }
}
