//! The signature of a token, and its period of validity.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode};
use serde::de::IgnoredAny;
use service::domain::issuer::Algorithm;

use super::Rejection;
use crate::keys::Key;

/// The accepted difference between the clocks, in seconds.
const LEEWAY: u64 = 30;

/// Verifies a token's signature, issuer and period of validity. The key has to be for this algorithm.
pub(super) fn verify(token: &str, key: &Key, algorithm: Algorithm, iss: &str) -> Result<(), Rejection> {
    let mut validation = Validation::new(named(algorithm));
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation.set_issuer(&[iss]);
    validation.set_required_spec_claims(&["exp", "iss"]);
    // `claims` checks the audience: a token without `aud` has to be from one of our clients.
    validation.validate_aud = false;
    decode::<IgnoredAny>(token, &key.decoding, &validation).map_err(|error| rejection(error.kind()))?;
    Ok(())
}

fn named(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::RS384 => jsonwebtoken::Algorithm::RS384,
        Algorithm::RS512 => jsonwebtoken::Algorithm::RS512,
        Algorithm::PS256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::PS384 => jsonwebtoken::Algorithm::PS384,
        Algorithm::PS512 => jsonwebtoken::Algorithm::PS512,
        Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::ES384 => jsonwebtoken::Algorithm::ES384,
        Algorithm::EdDSA => jsonwebtoken::Algorithm::EdDSA,
    }
}

fn rejection(kind: &ErrorKind) -> Rejection {
    match kind {
        ErrorKind::InvalidSignature => Rejection::BadSignature,
        ErrorKind::ExpiredSignature => Rejection::Expired,
        ErrorKind::ImmatureSignature => Rejection::NotYetValid,
        ErrorKind::InvalidIssuer => Rejection::UnknownIssuer,
        ErrorKind::MissingRequiredClaim(name) | ErrorKind::InvalidClaimFormat(name) => {
            Rejection::BadClaim(name.clone())
        }
        ErrorKind::InvalidAlgorithm => Rejection::OtherAlgorithm,
        _ => Rejection::NotJwt,
    }
}
