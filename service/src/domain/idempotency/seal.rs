//! Encryption of replies that contain a secret: only the holder of the idempotency key can read them.
//!
//! The table holds a hash of the idempotency key, not the key itself. The encryption key is derived from the idempotency key,
//! so a reader of the table cannot decrypt the reply, as long as the idempotency key cannot be guessed.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand;

use super::KeyedRequest;

const SALT_BYTES: usize = 32;

/// The purpose of the derived encryption key (RFC 5869, section 3.2). The text is part of the key derivation, so a change
/// would make all stored replies unreadable.
const PURPOSE: &[u8] = b"tenantry kept answer";

/// A text that is encrypted with AES-256-GCM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The salt of the key derivation, unique to this text.
    pub salt: Vec<u8>,
    /// The ciphertext, followed by its authentication tag.
    pub text: Vec<u8>,
}

impl Sealed {
    /// Encrypts a text for a request. Returns `None` if the system has no source of random numbers.
    #[must_use]
    pub fn seal(request: &KeyedRequest, text: &str) -> Option<Self> {
        let mut salt = vec![0; SALT_BYTES];
        rand::fill(&mut salt).ok()?;
        let mut text = text.as_bytes().to_vec();
        key(request, &salt).ok()?.seal_in_place_append_tag(nonce(), bound_to(request), &mut text).ok()?;
        Some(Self { salt, text })
    }

    /// Decrypts the text for a request that equals the one it was encrypted for.
    #[must_use]
    pub fn open(&self, request: &KeyedRequest) -> Option<String> {
        let mut text = self.text.clone();
        let opened = key(request, &self.salt).ok()?.open_in_place(nonce(), bound_to(request), &mut text).ok()?;
        String::from_utf8(opened.to_vec()).ok()
    }
}

fn key(request: &KeyedRequest, salt: &[u8]) -> Result<LessSafeKey, Unspecified> {
    let secret = Salt::new(HKDF_SHA256, salt).extract(request.key.0.as_bytes());
    let key = UnboundKey::from(secret.expand(&[PURPOSE], &AES_256_GCM)?);
    Ok(LessSafeKey::new(key))
}

/// The nonce, which is always the same: the salt makes the key unique, and each key encrypts one text.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// Binds the ciphertext to its request, so that one stored reply cannot be put in another's place.
fn bound_to(request: &KeyedRequest) -> Aad<Vec<u8>> {
    Aad::from([request.digest.as_bytes(), request.fingerprint.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::idempotency::{Fingerprint, IdempotencyKey};

    fn keyed(key: &str, route: &str, request: u8) -> KeyedRequest {
        KeyedRequest::new(IdempotencyKey::parse(key).unwrap(), ("POST", route), Fingerprint([request; 32]))
    }

    #[test]
    fn only_the_same_request_with_the_same_key_opens_it() {
        let first = keyed("8e03978e-40d5-43e8-bc93-6894a57f9324", "/tokens", 1);
        let sealed = Sealed::seal(&first, "tnt_secret").unwrap();
        assert_eq!(sealed.open(&first).as_deref(), Some("tnt_secret"));
        assert!(!sealed.text.windows(4).any(|part| part == b"tnt_"));
        for other in [keyed("other", "/tokens", 1), keyed("8e03978e-40d5-43e8-bc93-6894a57f9324", "/others", 1)] {
            assert_eq!(sealed.open(&other), None);
        }
        assert_eq!(sealed.open(&keyed("8e03978e-40d5-43e8-bc93-6894a57f9324", "/tokens", 2)), None);
        let mut broken = sealed.clone();
        broken.text[0] ^= 1;
        assert_eq!(broken.open(&first), None);
        assert_ne!(Sealed::seal(&first, "tnt_secret").unwrap(), sealed, "each has its own key");
    }
}
