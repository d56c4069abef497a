//! Tests of algorithms, and of tokens that name another algorithm than that of their signature.

use super::*;
use crate::testing::{EC_384, every_signer};

fn token(signer: &Signer, changes: &Value) -> String {
    format!("Bearer {}", signer.token(&header(signer, changes), &claims(&json!({}))))
}

fn all() -> Value {
    json!({"algorithms": every_signer().map(|signer| signer.algorithm)})
}

#[tokio::test]
async fn the_usual_algorithm_of_each_type_of_key_is_verified() {
    let authorizer = new_world().authorizer(&json!({}));
    for signer in [&*RSA, &*EC, &*EC_384, &*ED] {
        let response = authorize(&authorizer, &token(signer, &json!({})).replace("Bearer", "bearer")).await.unwrap();
        assert!(allows(&response), "{}", signer.algorithm);
    }
}

#[tokio::test]
async fn every_algorithm_that_the_issuer_lists_is_verified_and_no_other() {
    for signer in every_signer() {
        let authorizer = new_world().authorizer(&json!({"algorithms": [signer.algorithm]}));
        assert!(allows(&authorize(&authorizer, &token(signer, &json!({}))).await.unwrap()), "{}", signer.algorithm);
        for other in every_signer().into_iter().filter(|other| other.algorithm != signer.algorithm) {
            let why = rejection(&authorizer, &token(other, &json!({}))).await;
            assert_eq!(why, Some(Rejection::AlgorithmNotAllowed), "{} of {}", other.algorithm, signer.algorithm);
        }
    }
}

#[tokio::test]
async fn a_key_that_names_its_algorithm_verifies_that_one_without_a_setting() {
    for signer in every_signer() {
        let world = new_world();
        let mut public = signer.public.clone();
        public["alg"] = signer.algorithm.into();
        world.state().keys = Some(vec![public]);
        let authorizer = world.authorizer(&json!({}));
        assert!(allows(&authorize(&authorizer, &token(signer, &json!({}))).await.unwrap()), "{}", signer.algorithm);
        for other in every_signer().into_iter().filter(|other| other.algorithm != signer.algorithm) {
            let why = rejection(&authorizer, &token(other, &json!({"kid": signer.kid()}))).await;
            assert_eq!(why, Some(Rejection::OtherAlgorithm), "{} of {}", other.algorithm, signer.algorithm);
        }
    }
}

/// Even if every algorithm is allowed, a signature is valid only for its own algorithm, whatever the header contains.
#[tokio::test]
async fn a_signature_of_one_algorithm_is_invalid_for_another() {
    let authorizer = new_world().authorizer(&all());
    for signer in every_signer() {
        assert!(allows(&authorize(&authorizer, &token(signer, &json!({}))).await.unwrap()), "{}", signer.algorithm);
        for named in every_signer() {
            if named.algorithm == signer.algorithm {
                continue;
            }
            for kid in [signer.kid(), named.kid()] {
                let confused = token(signer, &json!({"alg": named.algorithm, "kid": kid}));
                let why = rejection(&authorizer, &confused).await;
                let expected = [Some(Rejection::BadSignature), Some(Rejection::OtherAlgorithm)];
                assert!(expected.contains(&why), "{} as {} by {kid}: {why:?}", signer.algorithm, named.algorithm);
            }
        }
    }
}

#[tokio::test]
async fn a_shared_secret_is_never_allowed() {
    let authorizer = new_world().authorizer(&all());
    for alg in ["HS256", "HS384", "HS512", "none"] {
        let why = rejection(&authorizer, &token(&RSA, &json!({"alg": alg}))).await;
        assert_eq!(why, Some(Rejection::AlgorithmNotAllowed), "{alg}");
    }
}
