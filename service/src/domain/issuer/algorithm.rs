//! The algorithms with which tokens may be signed (RFC 7518, section 3.1, and RFC 8037, section 3.1).

use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use serde::{Deserialize, Serialize};

/// An asymmetric signature algorithm: the issuer's public key can verify a signature and cannot make one. Algorithms with a
/// shared secret are not supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
}

impl Algorithm {
    /// Returns the algorithm with the name in a header's `alg`, which must match exactly.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let name: StrDeserializer<'_, Error> = name.into_deserializer();
        Self::deserialize(name).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_has_an_exact_name() {
        assert_eq!(Algorithm::of_name("PS384"), Some(Algorithm::PS384));
        for name in ["none", "None", "", "HS256", "HS384", "HS512", "rs256", "ES256K", "ES512", "Ed25519", "RSA1_5"] {
            assert_eq!(Algorithm::of_name(name), None, "{name}");
        }
    }
}
