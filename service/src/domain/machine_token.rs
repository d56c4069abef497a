//! Machine tokens: credentials that a tenant makes for its programs, without an identity provider.
//!
//! `tnt_`, 43 random characters of base62 and 6 of a checksum. Secret scanners find it by its shape, and a mistyped one
//! is known as such without asking anybody. Only its SHA-256 is kept: nobody can search through 256 random bits, so a
//! slow hash with a salt would guard nothing more.

use std::fmt;

use rand::distr::{Alphanumeric, SampleString};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use ulid::Ulid;

use crate::domain::caller::Caller;
use crate::domain::tenant::TenantId;
use crate::domain::time::{Expiry, Timestamp};

/// What every machine token starts with, and no JWT does.
pub const PREFIX: &str = "tnt_";

/// 62 to the power of 43 is a little more than 2 to the power of 256.
const RANDOM_CHARACTERS: usize = 43;
/// 62 to the power of 6 is more than 2 to the power of 32.
const CHECKSUM_CHARACTERS: usize = 6;

/// A token itself. It is answered once and kept nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// The text is no machine token, whatever the table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// It has another prefix, another length or other characters.
    #[error("not of the shape of a machine token")]
    Shape,
    /// A character is wrong.
    #[error("the checksum does not match")]
    Checksum,
}

impl Secret {
    /// A new token.
    #[must_use]
    pub fn generate() -> Self {
        let mut text = PREFIX.to_owned();
        Alphanumeric.append_string(&mut rand::rng(), &mut text, RANDOM_CHARACTERS);
        let checksum = checksum(&text);
        Self(text + &checksum)
    }

    /// Reads a token.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let random = text.strip_prefix(PREFIX).ok_or(InvalidSecret::Shape)?;
        let base62 = random.bytes().all(|c| c.is_ascii_alphanumeric());
        if !base62 || random.len() != RANDOM_CHARACTERS + CHECKSUM_CHARACTERS {
            return Err(InvalidSecret::Shape);
        }
        let (rest, given) = text.split_at(text.len() - CHECKSUM_CHARACTERS);
        if checksum(rest) == given { Ok(Self(text.to_owned())) } else { Err(InvalidSecret::Checksum) }
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }

    /// The token as text, for the one who asked for it.
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

/// The CRC-32 (ISO-HDLC) of a text in base62, most significant character first.
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

/// The SHA-256 of a token. In text: 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of a text that nobody can find by trying.
    pub(crate) fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Reads the text of a digest.
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

/// A token's id, which is no secret: a ULID, so tokens list in the order of their creation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenId(String);

/// The text is no token id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("A machine token's id must be a ULID: 26 uppercase letters and digits.")]
pub struct InvalidTokenId;

impl TokenId {
    /// Reads the canonical form.
    pub fn parse(text: &str) -> Result<Self, InvalidTokenId> {
        let ulid = Ulid::from_string(text).map_err(|_| InvalidTokenId)?;
        if ulid.to_string() == text { Ok(Self(text.to_owned())) } else { Err(InvalidTokenId) }
    }

    /// A new id that sorts after those made before it.
    #[must_use]
    pub fn generate() -> Self {
        Self(Ulid::generate().to_string())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A token's name, for people: 1 to 100 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Name(String);

/// The text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`name` must have 1 to 100 characters.")]
pub struct InvalidName;

impl Name {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let valid = (1..=100).contains(&text.chars().count());
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidName) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A token's scopes: at least one, each once, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scopes(Vec<String>);

/// Why a token cannot have the scopes that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScopesError {
    /// There are none.
    #[error("`scopes` must name at least one scope.")]
    None,
    /// One is not the creator's to give. The authorizer passes on only scopes that the contract knows, so one that
    /// nobody has is among them.
    #[error("A machine token cannot have scopes that the token that creates it lacks.")]
    Beyond,
}

impl Scopes {
    /// The scopes that `creator` may give to a token.
    pub fn given_by(creator: &Caller, mut asked: Vec<String>) -> Result<Self, ScopesError> {
        asked.sort_unstable();
        asked.dedup();
        if !asked.iter().all(|scope| creator.scopes().any(|own| own == scope)) {
            return Err(ScopesError::Beyond);
        }
        Self::stored(asked).ok_or(ScopesError::None)
    }

    /// Scopes as they were kept; `None` if there are none.
    pub(crate) fn stored(mut scopes: Vec<String>) -> Option<Self> {
        // A set, which has no order of its own.
        scopes.sort_unstable();
        (!scopes.is_empty()).then_some(Self(scopes))
    }

    /// The scopes' names.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

/// A token as its tenant sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineToken {
    /// Unique.
    pub id: TokenId,
    /// For people.
    pub name: Name,
    /// What it may do.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, if ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Expiry>,
    /// When it was last let in, to about an hour; `None` before that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

/// What a token is good for, as the authorizer looks it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which of the tenant's tokens.
    pub token: TokenId,
    /// What it may do.
    pub scopes: Scopes,
    /// When it ends, if ever.
    pub expires_at: Option<Expiry>,
    /// When its use was last recorded.
    pub last_used_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_new_token_is_of_its_shape_and_comes_back() {
        let secret = Secret::generate();
        let text = secret.expose();
        assert_eq!((text.len(), &text[..4]), (53, PREFIX));
        assert!(text[4..].bytes().all(|c| c.is_ascii_alphanumeric()), "{text}");
        assert_eq!(Secret::parse(text).as_ref(), Ok(&secret));
        assert_ne!(Secret::generate(), secret);
    }

    /// Computed by `zlib.crc32`, so that other programs can check tokens, too.
    #[test]
    fn the_checksum_is_the_one_that_is_documented() {
        assert_eq!(checksum("tnt_0000000000000000000000000000000000000000000"), "4HQSFZ");
        assert_eq!(checksum("123456789"), "3jZRME");
    }

    #[test]
    fn a_digest_is_sha_256_and_comes_back() {
        let digest = Digest(Sha256::digest("abc").into());
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text);
        assert_eq!(Digest::parse(text), Some(digest));
        for other in ["", "ba", &text.to_uppercase(), &format!("{text}00"), &text.replace('b', "g")] {
            assert_eq!(Digest::parse(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_not_of_the_shape_is_refused() {
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
            assert_eq!(Secret::parse(&other), Err(InvalidSecret::Shape), "{other}");
        }
    }

    proptest! {
        /// A CRC-32 finds every error in one character, and every exchange of two neighbours.
        #[test]
        fn a_mistyped_token_is_refused(at in 4_usize..52, typed in "[A-Za-z0-9]") {
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
    fn a_secret_is_not_told_to_logs() {
        assert_eq!(format!("{:?}", Secret::generate()), "Secret(..)");
    }

    #[test]
    fn a_token_has_no_scope_that_its_creator_lacks() {
        let fields = [("tenant", "01K0ACME000000000000000000"), ("scopes", "records:read tokens:manage")];
        let fields: HashMap<_, _> = fields.map(|(name, value)| (name.to_owned(), value.into())).into();
        let creator = Caller::from_context(&fields).unwrap();
        let given = |asked: &[&str]| Scopes::given_by(&creator, asked.iter().map(ToString::to_string).collect());
        let twice = given(&["tokens:manage", "records:read", "tokens:manage"]).unwrap();
        assert_eq!(twice.as_slice(), ["records:read", "tokens:manage"]);
        assert_eq!(given(&[]), Err(ScopesError::None));
        for asked in
            [&["records:write"][..], &["records:read", "records:write"], &[""], &["records:read tokens:manage"]]
        {
            assert_eq!(given(asked), Err(ScopesError::Beyond), "{asked:?}");
        }
    }

    #[test]
    fn names_have_a_length() {
        assert!(Name::parse(&"é".repeat(100)).is_ok());
        assert_eq!((Name::parse(""), Name::parse(&"x".repeat(101))), (Err(InvalidName), Err(InvalidName)));
    }
}
