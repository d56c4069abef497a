//! Opaque keys of tenants, for tokens that should not tell their readers whose they are.
//!
//! An issuer with `tenantKeys` puts such a key where others put the tenant's id. It is random, so it tells nothing and
//! cannot be made up, and only its SHA-256 is kept. It is no credential: what lets a tenant in is the token's signature.

use rand::distr::{Alphanumeric, SampleString};
use serde::Serialize;

use crate::domain::machine_token::Digest;
use crate::domain::time::{Expiry, Timestamp};

/// 62 to the power of 32 is more than 2 to the power of 190.
const CHARACTERS: usize = 32;

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantKey {
    /// What it is known by.
    #[serde(skip)]
    pub digest: Digest,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; the newest does not end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Expiry>,
}

/// A new key, which is told once.
#[must_use]
pub fn generate() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), CHARACTERS)
}

/// What is kept of a key; `None` of a text that cannot be one.
#[must_use]
pub fn digest(key: &str) -> Option<Digest> {
    let shaped = key.len() == CHARACTERS && key.bytes().all(|c| c.is_ascii_alphanumeric());
    shaped.then(|| Digest::of(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_random_and_known_by_its_digest() {
        let (one, other) = (generate(), generate());
        assert_ne!(one, other);
        assert_ne!(digest(&one).unwrap(), digest(&other).unwrap());
        for text in ["", "01K0ACME000000000000000000", &one[1..], &format!("{one}a"), &format!("{}-", &one[1..])] {
            assert_eq!(digest(text), None, "{text}");
        }
    }
}
