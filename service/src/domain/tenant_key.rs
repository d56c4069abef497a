//! Opaque keys of tenants, for tokens that must not reveal to their readers to which tenant they belong.
//!
//! An issuer with `tenantKeys` puts an opaque key where other issuers put the tenant's id. It is random, so it reveals
//! nothing and cannot be guessed, and only its SHA-256 is stored. It is not a credential: the token's signature is what
//! authenticates.

use rand::distr::{Alphanumeric, SampleString};
use serde::Serialize;

use crate::domain::machine_token::Digest;
use crate::domain::time::{Expiry, Timestamp};

/// The number of random characters: 62 to the power of 32 is more than 2 to the power of 190.
const CHARACTERS: usize = 32;

/// An opaque key, as its tenant's row has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantKey {
    /// The digest of its text.
    #[serde(skip)]
    pub digest: Digest,
    /// The time of its creation.
    pub created_at: Timestamp,
    /// The time of its expiry. The newest opaque key of a tenant has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Expiry>,
}

/// Generates the text of a new opaque key: 32 letters and digits, which only one response contains.
#[must_use]
pub fn generate() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), CHARACTERS)
}

/// Returns the digest of an opaque key, or `None` if the text is not in the format of one.
#[must_use]
pub fn digest(key: &str) -> Option<Digest> {
    let is_valid = key.len() == CHARACTERS && key.bytes().all(|c| c.is_ascii_alphanumeric());
    is_valid.then(|| Digest::of(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_random_and_has_a_digest() {
        let (one, other) = (generate(), generate());
        assert_ne!(one, other);
        assert_ne!(digest(&one).unwrap(), digest(&other).unwrap());
        for text in ["", "01K0ACME000000000000000000", &one[1..], &format!("{one}a"), &format!("{}-", &one[1..])] {
            assert_eq!(digest(text), None, "{text}");
        }
    }
}
