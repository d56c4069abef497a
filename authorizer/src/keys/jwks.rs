//! The keys of a JWKS that can verify tokens, with their algorithms (RFC 7517, RFC 7518).

use std::collections::HashMap;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{DecodingKey, DecodingKeyKind};
use serde::Serialize;
use serde_json::Value;
use service::domain::issuer::{Algorithm, Issuer};
use tracing::warn;

/// The accepted sizes of an RSA modulus, in bits. RFC 7518, section 3.3, requires at least 2048.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A public key that verifies tokens.
#[derive(Clone)]
pub(crate) struct Key {
    kind: Kind,
    /// The key's `alg`.
    named: Option<Algorithm>,
    pub(crate) decoding: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("kind", &self.kind).field("named", &self.named).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Kind {
    /// The algorithms for keys of this kind, starting with the usual one.
    fn algorithms(self) -> &'static [Algorithm] {
        use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        match self {
            Self::Rsa => &[RS256, RS384, RS512, PS256, PS384, PS512],
            Self::P256 => &[ES256],
            Self::P384 => &[ES384],
            Self::Ed25519 => &[EdDSA],
        }
    }
}

impl Key {
    /// Whether a token of this issuer may be signed with this algorithm and key. A key is for one algorithm (RFC 8725,
    /// section 3.1): its `alg`, or the usual algorithm of its kind. A key without `alg` is for several only if the
    /// issuer's settings list several.
    pub(crate) fn is_for(&self, algorithm: Algorithm, issuer: &Issuer) -> bool {
        let listed = issuer.algorithms.contains(&algorithm);
        self.kind.algorithms().contains(&algorithm)
            && match self.named {
                Some(named) => named == algorithm && (listed || issuer.algorithms.is_empty()),
                None if issuer.algorithms.is_empty() => self.kind.algorithms().first() == Some(&algorithm),
                None => listed,
            }
    }
}

/// The reason why a key of a JWKS is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Unusable {
    #[error("its type or curve is not supported")]
    Kind,
    #[error("it has no `kid`")]
    MissingId,
    #[error("its `use` or `key_ops` is not verification")]
    OtherUse,
    #[error("its `alg` is not one that verifies tokens with a key of its type")]
    OtherAlgorithm,
    #[error("it has {0} bits, and must have {min} to {max}", min = RSA_BITS.start(), max = RSA_BITS.end())]
    Size(usize),
    #[error("it is malformed")]
    Malformed,
}

/// Returns the usable keys of a JWKS by id, or `None` if the value is not a JWKS. Other keys are ignored, as RFC 7517,
/// section 5, recommends. Each of them is logged, unless its `use` or `key_ops` show that it is not for signatures.
pub(super) fn usable(set: &Value, source: &str) -> Option<HashMap<String, Key>> {
    let mut keys = HashMap::new();
    for jwk in set.as_object()?.get("keys")?.as_array()? {
        match key(jwk) {
            Ok((kid, key)) => {
                keys.insert(kid, key);
            }
            Err(Unusable::OtherUse) => {}
            Err(why) => {
                let kid = jwk.get("kid").and_then(Value::as_str);
                warn!(source, kid, %why, "a key of the issuer's JWKS is ignored");
            }
        }
    }
    Some(keys)
}

fn key(jwk: &Value) -> Result<(String, Key), Unusable> {
    // The type decides which members a key has, so an unknown type is detected first.
    let known = ["RSA", "EC", "OKP"].map(Value::from);
    if !jwk.get("kty").is_some_and(|kty| known.contains(kty)) {
        return Err(Unusable::Kind);
    }
    let jwk: Jwk = serde_json::from_value(jwk.clone()).map_err(|_| Unusable::Malformed)?;
    let kind = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Kind::Rsa,
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => Kind::P256,
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P384 => Kind::P384,
        AlgorithmParameters::OctetKeyPair(curve) if curve.curve == EllipticCurve::Ed25519 => Kind::Ed25519,
        _ => return Err(Unusable::Kind),
    };
    let for_signatures = jwk.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
    let verifies = jwk.common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
    if !for_signatures || !verifies {
        return Err(Unusable::OtherUse);
    }
    let named = jwk.common.key_algorithm.map(|named| algorithm(&named).ok_or(Unusable::OtherAlgorithm)).transpose()?;
    if named.is_some_and(|named| !kind.algorithms().contains(&named)) {
        return Err(Unusable::OtherAlgorithm);
    }
    let id = jwk.common.key_id.clone().ok_or(Unusable::MissingId)?;
    let decoding = DecodingKey::from_jwk(&jwk).map_err(|_| Unusable::Malformed)?;
    check_size(kind, &decoding)?;
    Ok((id, Key { kind, named, decoding }))
}

/// The algorithm of a JWK's `alg`. Both enums serialize to the names of RFC 7518.
fn algorithm(named: &impl Serialize) -> Option<Algorithm> {
    Algorithm::of_name(serde_json::to_value(named).ok()?.as_str()?)
}

/// Checks the size of a key here, so that an unusable one is logged once per JWKS and not for every token.
fn check_size(kind: Kind, key: &DecodingKey) -> Result<(), Unusable> {
    let is_valid = match (kind, key.kind()) {
        (Kind::Rsa, DecodingKeyKind::RsaModulusExponent { n, .. }) => {
            let bits = bits(n);
            return if RSA_BITS.contains(&bits) { Ok(()) } else { Err(Unusable::Size(bits)) };
        }
        // An uncompressed point has a leading byte and two coordinates.
        (Kind::P256, DecodingKeyKind::SecretOrDer(point)) => point.len() == 1 + 2 * 32,
        (Kind::P384, DecodingKeyKind::SecretOrDer(point)) => point.len() == 1 + 2 * 48,
        (Kind::Ed25519, DecodingKeyKind::SecretOrDer(point)) => point.len() == 32,
        _ => false,
    };
    if is_valid { Ok(()) } else { Err(Unusable::Malformed) }
}

/// The number of bits of an integer, which may have leading zero bytes.
fn bits(number: &[u8]) -> usize {
    let digits = number.iter().skip_while(|byte| **byte == 0);
    let first = digits.clone().next().map_or(0, |byte| byte.leading_zeros() as usize);
    digits.count() * 8 - first
}

#[cfg(test)]
mod tests;
