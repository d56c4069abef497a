//! Answers with a secret, kept so that only who has the idempotency key can read them.
//!
//! The table has a digest of the key and not the key. So what is sealed under a key that is derived from it is of no use
//! to a reader of the table, as long as the idempotency key cannot be found by trying.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand;

use super::Once;

const SALT_BYTES: usize = 32;

/// What the derived key is for (RFC 5869, section 3.2).
const PURPOSE: &[u8] = b"tenantry kept answer";

/// A text under AES-256-GCM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Of the derived key, and no other's.
    pub salt: Vec<u8>,
    /// The text and its tag.
    pub text: Vec<u8>,
}

impl Sealed {
    /// Seals a text for a request. `None` where the machine has no randomness.
    #[must_use]
    pub fn seal(once: &Once, text: &str) -> Option<Self> {
        let mut salt = vec![0; SALT_BYTES];
        rand::fill(&mut salt).ok()?;
        let mut text = text.as_bytes().to_vec();
        key(once, &salt).ok()?.seal_in_place_append_tag(nonce(), bound_to(once), &mut text).ok()?;
        Some(Self { salt, text })
    }

    /// Opens it for a request like the one it was sealed for.
    #[must_use]
    pub fn open(&self, once: &Once) -> Option<String> {
        let mut text = self.text.clone();
        let opened = key(once, &self.salt).ok()?.open_in_place(nonce(), bound_to(once), &mut text).ok()?;
        String::from_utf8(opened.to_vec()).ok()
    }
}

fn key(once: &Once, salt: &[u8]) -> Result<LessSafeKey, Unspecified> {
    let secret = Salt::new(HKDF_SHA256, salt).extract(once.key.0.as_bytes());
    let key = UnboundKey::from(secret.expand(&[PURPOSE], &AES_256_GCM)?);
    Ok(LessSafeKey::new(key))
}

/// Always the same: the salt makes a key that seals one text.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// So that one answer cannot be put in another's place.
fn bound_to(once: &Once) -> Aad<Vec<u8>> {
    Aad::from([once.digest.as_bytes(), once.fingerprint.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::idempotency::{Fingerprint, IdempotencyKey};

    fn once(key: &str, route: &str, request: u8) -> Once {
        Once::new(IdempotencyKey::parse(key).unwrap(), ("POST", route), Fingerprint([request; 32]))
    }

    #[test]
    fn only_the_same_request_with_the_same_key_opens_it() {
        let first = once("8e03978e-40d5-43e8-bc93-6894a57f9324", "/tokens", 1);
        let sealed = Sealed::seal(&first, "tnt_secret").unwrap();
        assert_eq!(sealed.open(&first).as_deref(), Some("tnt_secret"));
        assert!(!sealed.text.windows(4).any(|part| part == b"tnt_"));
        for other in [once("other", "/tokens", 1), once("8e03978e-40d5-43e8-bc93-6894a57f9324", "/others", 1)] {
            assert_eq!(sealed.open(&other), None);
        }
        assert_eq!(sealed.open(&once("8e03978e-40d5-43e8-bc93-6894a57f9324", "/tokens", 2)), None);
        let mut broken = sealed.clone();
        broken.text[0] ^= 1;
        assert_eq!(broken.open(&first), None);
        assert_ne!(Sealed::seal(&first, "tnt_secret").unwrap(), sealed, "each has its own key");
    }
}
