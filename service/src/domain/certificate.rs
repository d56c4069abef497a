//! Client certificates, to which tokens can be bound (RFC 8705).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

/// A certificate's `x5t#S256`: the SHA-256 of its DER encoding (RFC 8705, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thumbprint([u8; 32]);

/// The text is not a valid thumbprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a thumbprint is a SHA-256 in base64url without padding")]
pub struct InvalidThumbprint;

/// The text does not contain a certificate in PEM (RFC 7468).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no certificate in PEM")]
pub struct NoCertificate;

impl Thumbprint {
    /// Parses a thumbprint: 43 characters of base64url without padding (RFC 4648, section 5).
    pub fn parse(text: &str) -> Result<Self, InvalidThumbprint> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidThumbprint)?;
        Ok(Self(bytes.try_into().map_err(|_| InvalidThumbprint)?))
    }

    /// Returns the thumbprint of the first certificate in a PEM text (RFC 7468). In a chain, that is the client's own.
    pub fn of_pem(pem: &str) -> Result<Self, NoCertificate> {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| NoCertificate)?;
        Ok(Self(Sha256::digest(&certificate).into()))
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = include_str!("../../testdata/client.pem");
    const OTHER_PEM: &str = include_str!("../../testdata/other.pem");
    /// `openssl x509 -in client.pem -outform der | openssl dgst -sha256 -binary | basenc --base64url`, less the padding.
    const THUMBPRINT: &str = "hpdHm1dLE56IsyCXHs3HEkntTTNq490SU_3EX3eHbHM";

    #[test]
    fn a_thumbprint_is_the_one_that_openssl_computes() {
        let thumbprint = Thumbprint::of_pem(PEM).unwrap();
        assert_eq!(thumbprint.to_string(), THUMBPRINT);
        assert_eq!(Thumbprint::parse(THUMBPRINT), Ok(thumbprint));
        assert_ne!(Thumbprint::of_pem(OTHER_PEM), Ok(thumbprint));
    }

    #[test]
    fn in_a_chain_the_first_certificate_counts_and_line_ends_do_not() {
        let thumbprint = Thumbprint::of_pem(PEM);
        assert_eq!(Thumbprint::of_pem(&format!("{PEM}{OTHER_PEM}")), thumbprint);
        assert_eq!(Thumbprint::of_pem(&PEM.replace('\n', "\r\n")), thumbprint);
        assert_eq!(Thumbprint::of_pem(PEM.trim_end()), thumbprint);
    }

    #[test]
    fn a_text_that_is_not_a_certificate_has_no_thumbprint() {
        let truncated = &PEM[..PEM.len() / 2];
        for text in ["", "PEM", THUMBPRINT, truncated, &PEM.replace("CERTIFICATE", "PUBLIC KEY")] {
            assert_eq!(Thumbprint::of_pem(text), Err(NoCertificate), "{text}");
        }
    }

    #[test]
    fn a_thumbprint_has_one_spelling() {
        let not_canonical = format!("{}_", &THUMBPRINT[..42]);
        let padded = format!("{THUMBPRINT}=");
        for text in ["", "AAAA", &THUMBPRINT[..42], &padded, &not_canonical, &"+".repeat(43), &"A".repeat(44)] {
            assert_eq!(Thumbprint::parse(text), Err(InvalidThumbprint), "{text}");
        }
    }
}
