//! Machine tokens: credentials that a tenant makes for its programs, without an identity provider.
//!
//! A machine token is `tnt_`, 43 random characters of base62, and a checksum of 6 characters. Secret scanners recognize its
//! format, and a mistyped one is rejected without a read. Only its SHA-256 is stored. A search through 256 random bits is
//! not feasible, so a slow, salted hash would add no protection.

use std::fmt;

use rand::distr::{Alphanumeric, SampleString};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use ulid::Ulid;

use crate::domain::caller::Caller;
use crate::domain::tenant::TenantId;
use crate::domain::time::{Expiry, Timestamp};

/// The prefix of every machine token. No JWT has it.
pub const PREFIX: &str = "tnt_";

/// The number of random characters: 62 to the power of 43 is a little more than 2 to the power of 256.
const RANDOM_CHARACTERS: usize = 43;
/// The number of the checksum's characters: 62 to the power of 6 is more than 2 to the power of 32.
const CHECKSUM_CHARACTERS: usize = 6;

/// The secret text of a machine token. One response contains it, and it is not stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// The reason why a text is not a valid machine token, whatever is in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// The prefix, the length or the characters are not those of a machine token.
    #[error("not in the format of a machine token")]
    Format,
    /// The checksum does not match, so some character is wrong.
    #[error("the checksum does not match")]
    Checksum,
}

impl Secret {
    /// Generates a new machine token.
    #[must_use]
    pub fn generate() -> Self {
        let mut text = PREFIX.to_owned();
        Alphanumeric.append_string(&mut rand::rng(), &mut text, RANDOM_CHARACTERS);
        let checksum = checksum(&text);
        Self(text + &checksum)
    }

    /// Parses a machine token, and checks its checksum.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let random = text.strip_prefix(PREFIX).ok_or(InvalidSecret::Format)?;
        let base62 = random.bytes().all(|c| c.is_ascii_alphanumeric());
        if !base62 || random.len() != RANDOM_CHARACTERS + CHECKSUM_CHARACTERS {
            return Err(InvalidSecret::Format);
        }
        let (rest, given) = text.split_at(text.len() - CHECKSUM_CHARACTERS);
        if checksum(rest) == given { Ok(Self(text.to_owned())) } else { Err(InvalidSecret::Checksum) }
    }

    /// Returns the digest, which is all that is stored of a machine token.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }

    /// Returns the machine token as text, for the response that creates it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Returns the CRC-32 (ISO-HDLC) of a text in base62, most significant character first.
fn checksum(text: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut characters = [0; CHECKSUM_CHARACTERS];
    for character in characters.iter_mut().rev() {
        *character = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    characters.map(char::from).iter().collect()
}

/// The SHA-256 of a secret. Its text is 64 lowercase hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Returns the digest of a text, which must have so many random bits that it cannot be found by a search.
    pub(crate) fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Parses the text of a digest.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let canonical = text.bytes().all(|c| c.is_ascii_digit() || matches!(c, b'a'..=b'f'));
        if !canonical || text.len() != 2 * bytes.len() {
            return None;
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A machine token's id, which is not secret. It is a [ULID](https://github.com/ulid/spec), so lists of machine tokens are
/// in the order of their creation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenId(String);

/// The text is not a valid id of a machine token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("A machine token's id must be a ULID: 26 uppercase letters and digits.")]
pub struct InvalidTokenId;

impl TokenId {
    /// Parses the canonical form.
    pub fn parse(text: &str) -> Result<Self, InvalidTokenId> {
        let ulid = Ulid::from_string(text).map_err(|_| InvalidTokenId)?;
        if ulid.to_string() == text { Ok(Self(text.to_owned())) } else { Err(InvalidTokenId) }
    }

    /// Generates an id, which sorts after those that were generated before it.
    #[must_use]
    pub fn generate() -> Self {
        Self(Ulid::generate().to_string())
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A machine token's name, for people: 1 to 100 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Name(String);

/// The text is not a valid name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`name` must have 1 to 100 characters.")]
pub struct InvalidName;

impl Name {
    /// Parses a name.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let valid = (1..=100).contains(&text.chars().count());
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidName) }
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A machine token's scopes: at least one, without duplicates, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scopes(Vec<String>);

/// The reason why a machine token cannot have the requested scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScopesError {
    /// No scopes were requested.
    #[error("`scopes` must name at least one scope.")]
    None,
    /// The creator lacks one of the scopes. The authorizer's context has only scopes of the contract, so this covers
    /// unknown scopes as well.
    #[error("A machine token cannot have scopes that the token that creates it lacks.")]
    Beyond,
}

impl Scopes {
    /// Returns the requested scopes, provided that `creator` has all of them.
    pub fn given_by(creator: &Caller, mut requested: Vec<String>) -> Result<Self, ScopesError> {
        requested.sort_unstable();
        requested.dedup();
        if !requested.iter().all(|scope| creator.scopes().any(|own| own == scope)) {
            return Err(ScopesError::Beyond);
        }
        Self::stored(requested).ok_or(ScopesError::None)
    }

    /// Reads stored scopes. Returns `None` if there are none.
    pub(crate) fn stored(mut scopes: Vec<String>) -> Option<Self> {
        // They are stored as a set, which has no order.
        scopes.sort_unstable();
        (!scopes.is_empty()).then_some(Self(scopes))
    }

    /// Returns the names of the scopes.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

/// A machine token as its tenant sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineToken {
    /// The id.
    pub id: TokenId,
    /// The name, for people.
    pub name: Name,
    /// The scopes that it grants.
    pub scopes: Scopes,
    /// The time of its creation.
    pub created_at: Timestamp,
    /// The time of its expiry. Without one, it does not expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Expiry>,
    /// The time of its last use, accurate to about an hour. It is `None` before the first use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

/// The grant of a machine token, as the authorizer reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The tenant to which the machine token belongs.
    pub tenant: TenantId,
    /// The id of the machine token.
    pub token: TokenId,
    /// The scopes that it grants.
    pub scopes: Scopes,
    /// The time of its expiry. Without one, it does not expire.
    pub expires_at: Option<Expiry>,
    /// The time at which a use was last recorded.
    pub last_used_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_new_token_has_the_format_and_can_be_parsed() {
        let secret = Secret::generate();
        let text = secret.expose();
        assert_eq!((text.len(), &text[..4]), (53, PREFIX));
        assert!(text[4..].bytes().all(|c| c.is_ascii_alphanumeric()), "{text}");
        assert_eq!(Secret::parse(text).as_ref(), Ok(&secret));
        assert_ne!(Secret::generate(), secret);
    }

    /// The expected values are from `zlib.crc32`, so other programs can check machine tokens as well.
    #[test]
    fn the_checksum_is_the_one_that_is_documented() {
        assert_eq!(checksum("tnt_0000000000000000000000000000000000000000000"), "4HQSFZ");
        assert_eq!(checksum("123456789"), "3jZRME");
    }

    #[test]
    fn a_digest_is_sha_256_and_can_be_parsed() {
        let digest = Digest(Sha256::digest("abc").into());
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text);
        assert_eq!(Digest::parse(text), Some(digest));
        for other in ["", "ba", &text.to_uppercase(), &format!("{text}00"), &text.replace('b', "g")] {
            assert_eq!(Digest::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_text_in_another_format_is_rejected() {
        let text = Secret::generate().expose().to_owned();
        for other in [
            String::new(),
            PREFIX.into(),
            text.replace("tnt_", "TNT_"),
            text.replace("tnt_", ""),
            text[..52].into(),
            format!("{text}0"),
            format!("{}é{}", &text[..20], &text[22..]),
            format!("{}-{}", &text[..20], &text[21..]),
        ] {
            assert_eq!(Secret::parse(&other), Err(InvalidSecret::Format), "{other}");
        }
    }

    proptest! {
        /// A CRC-32 detects every error in one character, and every exchange of two adjacent characters.
        #[test]
        fn a_mistyped_token_is_rejected(at in 4_usize..52, typed in "[A-Za-z0-9]") {
            let text = Secret::generate().expose().to_owned();
            let mut changed = text.clone();
            changed.replace_range(at..=at, &typed);
            let mut swapped = text.clone().into_bytes();
            swapped.swap(at, at + 1);
            for other in [changed, String::from_utf8(swapped).unwrap()] {
                prop_assert!(other == text || Secret::parse(&other) == Err(InvalidSecret::Checksum), "{} {}", text, other);
            }
        }
    }

    #[test]
    fn debug_output_does_not_contain_the_secret() {
        assert_eq!(format!("{:?}", Secret::generate()), "Secret(..)");
    }

    #[test]
    fn a_token_has_no_scope_that_its_creator_lacks() {
        let fields = [("tenant", "01K0ACME000000000000000000"), ("scopes", "records:read tokens:manage")];
        let fields: HashMap<_, _> = fields.map(|(name, value)| (name.to_owned(), value.into())).into();
        let creator = Caller::from_context(&fields).unwrap();
        let given =
            |requested: &[&str]| Scopes::given_by(&creator, requested.iter().map(ToString::to_string).collect());
        let twice = given(&["tokens:manage", "records:read", "tokens:manage"]).unwrap();
        assert_eq!(twice.as_slice(), ["records:read", "tokens:manage"]);
        assert_eq!(given(&[]), Err(ScopesError::None));
        for requested in
            [&["records:write"][..], &["records:read", "records:write"], &[""], &["records:read tokens:manage"]]
        {
            assert_eq!(given(requested), Err(ScopesError::Beyond), "{requested:?}");
        }
    }

    #[test]
    fn names_have_a_length() {
        assert!(Name::parse(&"é".repeat(100)).is_ok());
        assert_eq!((Name::parse(""), Name::parse(&"x".repeat(101))), (Err(InvalidName), Err(InvalidName)));
    }
}
