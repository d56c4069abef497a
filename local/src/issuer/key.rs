//! The issuer's RSA key pair. Every data folder has its own.

use std::path::Path;
use std::{fs, io};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, Jwk, KeyAlgorithm, PublicKeyUse, RSAKeyParameters, RSAKeyType,
    ThumbprintHash,
};

use super::IssuerError;
use crate::files;

const FILE: &str = "issuer-key.der";

pub(super) struct SigningKey {
    id: String,
    pair: KeyPair,
    public: Jwk,
}

impl SigningKey {
    /// Generates a signing key that is not stored.
    pub(super) fn generate() -> Result<Self, IssuerError> {
        Self::from_der(new_der()?.as_ref())
    }

    /// Reads the signing key of a folder (PKCS #8 in DER, readable by its owner only), and creates it if there is none.
    pub(super) fn open(folder: &Path) -> Result<Self, IssuerError> {
        let path = folder.join(FILE);
        let failed = |source| IssuerError::Io { path: path.clone(), source };
        match fs::read(&path) {
            Ok(der) => Self::from_der(&der)
                .map_err(|source| IssuerError::Stored { path: path.clone(), source: Box::new(source) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let der = new_der()?;
                files::replace(&path, der.as_ref()).map_err(failed)?;
                Self::from_der(der.as_ref())
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Returns the `kid`, which is the signing key's thumbprint (RFC 7638).
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn public(&self) -> &Jwk {
        &self.public
    }

    /// Returns a JWT in compact form (RFC 7515, section 3.1). `jsonwebtoken` is not used, because it requires the signing key
    /// as PKCS #1, which `aws-lc-rs` does not write.
    pub(super) fn sign(&self, header: &str, claims: &str) -> Result<String, Unspecified> {
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature)?;
        Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn from_der(der: &[u8]) -> Result<Self, IssuerError> {
        let pair = KeyPair::from_pkcs8(der).map_err(|error| IssuerError::Key(error.to_string()))?;
        let public = pair.public_key();
        let number =
            |number: aws_lc_rs::io::Positive<'_>| URL_SAFE_NO_PAD.encode(number.big_endian_without_leading_zero());
        let parameters =
            RSAKeyParameters { key_type: RSAKeyType::RSA, n: number(public.modulus()), e: number(public.exponent()) };
        let common = CommonParameters {
            public_key_use: Some(PublicKeyUse::Signature),
            key_algorithm: Some(KeyAlgorithm::RS256),
            ..CommonParameters::default()
        };
        let mut public = Jwk { common, algorithm: AlgorithmParameters::RSA(parameters) };
        let id = public.thumbprint(ThumbprintHash::SHA256).map_err(|error| IssuerError::Key(error.to_string()))?;
        public.common.key_id = Some(id.clone());
        Ok(Self { id, pair, public })
    }
}

/// The private part is left out.
impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

fn new_der() -> Result<Pkcs8V1Der<'static>, IssuerError> {
    let generated = KeyPair::generate(KeySize::Rsa2048).and_then(|pair| pair.as_der());
    generated.map_err(|error| IssuerError::Key(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stores_its_signing_key_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let first = SigningKey::open(&data).unwrap();
        assert_eq!(SigningKey::open(&data).unwrap().id(), first.id());
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "nothing is left over");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(data.join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert!(!format!("{first:?}").contains("private"));

        fs::write(data.join(FILE), b"not a key").unwrap();
        assert!(matches!(SigningKey::open(&data), Err(IssuerError::Stored { .. })));
    }

    #[test]
    fn the_public_key_has_its_purpose_and_nothing_private() {
        let key = SigningKey::generate().unwrap();
        let jwk = serde_json::to_value(key.public()).unwrap();
        assert_eq!(jwk["kty"], "RSA");
        assert_eq!(jwk["alg"], "RS256");
        assert_eq!(jwk["use"], "sig");
        assert_eq!(jwk["kid"], key.id());
        let members: Vec<&String> = jwk.as_object().unwrap().keys().collect();
        assert_eq!(members.len(), 6, "{members:?}");
    }
}
