//! Pinned keys: a JWKS in an issuer's configuration (RFC 7517).

use serde_json::Value;

/// The members of private and of symmetric keys (RFC 7518, section 6).
const SECRET: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The reason why a JWKS cannot be pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PinnedError {
    /// The value is not a JWKS.
    #[error("is not a JWKS, which is an object with at least one key in the array `keys`")]
    NotJwks,
    /// A JWKS key without `kid` would never be found.
    #[error("has a key without `kid`")]
    NoKeyId,
    /// A configuration must not contain a secret.
    #[error("contains a private key or a secret")]
    Secret,
}

/// Checks the form of a JWKS, and that it contains no secret. The authorizer checks whether its keys can verify anything.
pub(super) fn check(jwks: &Value) -> Result<(), PinnedError> {
    let keys = jwks.as_object().and_then(|set| set.get("keys")).and_then(Value::as_array);
    let keys = keys.filter(|keys| !keys.is_empty()).ok_or(PinnedError::NotJwks)?;
    for key in keys {
        let key = key.as_object().ok_or(PinnedError::NotJwks)?;
        if SECRET.iter().any(|name| key.contains_key(*name)) {
            return Err(PinnedError::Secret);
        }
        if !key.get("kid").is_some_and(Value::is_string) {
            return Err(PinnedError::NoKeyId);
        }
    }
    Ok(())
}
