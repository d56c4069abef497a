//! Idempotency keys: a retry of a request with the same key gets the first response, and writes nothing
//! (draft-ietf-httpapi-idempotency-key-header).
//!
//! An [`IdempotencyKey`] is text that a client makes up for one write and sends with every attempt of it. The route and the
//! idempotency key name a [`StoredReply`], and the [`Fingerprint`] identifies the request that it belongs to: together they
//! are a [`KeyedRequest`]. The store writes the stored reply in one transaction with the change that the request makes, so
//! either both exist or neither does.

mod seal;

use std::fmt::{self, Write as _};

use sha2::{Digest as _, Sha256};

pub use seal::Sealed;

/// The lifetime of a stored reply, in seconds.
pub const LIFETIME_SECS: i64 = 24 * 60 * 60;

/// The maximum length of an idempotency key, in characters.
const MAX_CHARACTERS: usize = 255;

/// A client's name for one write: 1 to 255 characters.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// The text is not a valid idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "Idempotency-Key must be one string of 1 to {MAX_CHARACTERS} visible ASCII characters or spaces in double quotes (RFC 9651). \
     Without the quotes, it must not contain spaces, double quotes, `\\`, `,` or `;`."
)]
pub struct InvalidKey;

impl IdempotencyKey {
    /// Parses the value of the header: a Structured Fields string (RFC 9651, section 3.3.3) without parameters, or the same
    /// text without quotes, as most clients send it. Both are the same idempotency key.
    pub fn parse(value: &str) -> Result<Self, InvalidKey> {
        let value = value.trim_matches([' ', '\t']);
        let key = match value.strip_prefix('"') {
            Some(quoted) => unquote(quoted).ok_or(InvalidKey)?,
            None if value.bytes().all(is_bare) => value.to_owned(),
            None => return Err(InvalidKey),
        };
        if (1..=MAX_CHARACTERS).contains(&key.len()) { Ok(Self(key)) } else { Err(InvalidKey) }
    }

    /// The length in characters.
    #[must_use]
    pub fn characters(&self) -> usize {
        self.0.len()
    }
}

/// A reply with a secret is encrypted under this text, so the text must not reach a log.
impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey(..)")
    }
}

/// Whether a character may appear without quotes. Characters with a meaning in a header may not: a list of two idempotency
/// keys, or one with parameters, must not pass as a single one.
fn is_bare(c: u8) -> bool {
    c.is_ascii_graphic() && !matches!(c, b'"' | b'\\' | b',' | b';')
}

/// Reads a quoted string whose opening quote has been removed.
fn unquote(quoted: &str) -> Option<String> {
    let mut text = String::with_capacity(quoted.len());
    let mut rest = quoted.chars();
    loop {
        match rest.next()? {
            '"' => return rest.as_str().is_empty().then_some(text),
            '\\' => text.push(rest.next().filter(|c| matches!(c, '"' | '\\'))?),
            c @ ' '..='~' => text.push(c),
            _ => return None,
        }
    }
}

/// The parts of a request that distinguish it from every other request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Essence<'a> {
    /// `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: &'a str,
    /// The path in its canonical spelling, however the client wrote it.
    pub path: &'a str,
    /// The query parameters, sorted by name.
    pub query: Vec<(&'a str, &'a str)>,
    /// The values of the `If-Match` header lines.
    pub if_match: Vec<&'a [u8]>,
    /// The values of the `If-None-Match` header lines.
    pub if_none_match: Vec<&'a [u8]>,
    /// The media type of the body, without its parameters.
    pub media_type: &'a str,
    /// The bytes of the body, as received.
    pub body: &'a [u8],
}

impl Essence<'_> {
    /// Writes every part after its length, and every list after its own, so that different requests give different bytes.
    fn write(&self, out: &mut impl FnMut(&[u8])) {
        let Self { method, path, query, if_match, if_none_match, media_type, body } = self;
        part(method.as_bytes(), out);
        part(path.as_bytes(), out);
        out(&length(query.len()));
        for (name, value) in query {
            part(name.as_bytes(), out);
            part(value.as_bytes(), out);
        }
        for lines in [if_match, if_none_match] {
            out(&length(lines.len()));
            for line in lines {
                part(line, out);
            }
        }
        part(media_type.as_bytes(), out);
        part(body, out);
    }
}

fn part(bytes: &[u8], out: &mut impl FnMut(&[u8])) {
    out(&length(bytes.len()));
    out(bytes);
}

fn length(length: usize) -> [u8; 8] {
    (length as u64).to_be_bytes()
}

/// The SHA-256 hash of a request's [`Essence`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Hashes a request.
    #[must_use]
    pub fn of(request: &Essence<'_>) -> Self {
        let mut hash = Sha256::new();
        request.write(&mut |bytes| hash.update(bytes));
        Self(hash.finalize().into())
    }

    /// The 32 bytes of the hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A request with an idempotency key, which must take effect at most once.
#[derive(Debug, Clone)]
pub struct KeyedRequest {
    key: IdempotencyKey,
    digest: String,
    fingerprint: Fingerprint,
}

impl KeyedRequest {
    /// A request of a route, given as method and path template, with its idempotency key.
    #[must_use]
    pub fn new(key: IdempotencyKey, route: (&str, &str), fingerprint: Fingerprint) -> Self {
        let mut hash = Sha256::new();
        for text in [route.0, route.1, &key.0] {
            part(text.as_bytes(), &mut |bytes| hash.update(bytes));
        }
        let digest = hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        Self { key, digest, fingerprint }
    }

    /// The idempotency key.
    #[must_use]
    pub fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// The SHA-256 hash of the route and the idempotency key, in 64 hexadecimal digits. The table holds this hash, never the
    /// idempotency key itself.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The fingerprint of the request.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

/// The part of a response that is stored for retries of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReply {
    /// The HTTP status.
    pub status: u16,
    /// The headers that belong to this response, without those that every response has.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: StoredBody,
}

/// The stored form of a response's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredBody {
    /// The whole body.
    Whole(String),
    /// The text around a record's data. A retry contains the data itself, and the fingerprint proves that it is the same:
    /// so a large record is not paid for twice.
    WithoutData {
        /// The text before the data.
        head: String,
        /// The text after the data.
        tail: String,
    },
    /// The whole body, encrypted: only the holder of the idempotency key can read it.
    Encrypted(Sealed),
}

/// The response to a request that was applied before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The first response.
    pub reply: StoredReply,
    /// Whether this very call stored it, with an attempt whose own response was lost.
    pub ours: bool,
}

/// The outcome of a write that may have been applied before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied<T> {
    /// This call applied it.
    Now(T),
    /// An earlier call applied it, and sent this response.
    Before(Replay),
}

/// The reply to a write with an outcome of type `T`. The store asks for its stored form before it commits both together.
pub trait ReplyTo<T>: Sync {
    /// The request, if it has an idempotency key. Without one, nothing is stored.
    fn request(&self) -> Option<&KeyedRequest>;

    /// The stored form of the reply to this outcome, or `None` where the reply cannot be built.
    fn stored(&self, outcome: &T) -> Option<StoredReply>;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(value: &str) -> Option<String> {
        IdempotencyKey::parse(value).ok().map(|key| key.0)
    }

    #[test]
    fn keys_as_sent() {
        for (value, key) in [
            ("\"8e03978e-40d5-43e8-bc93-6894a57f9324\"", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
            ("8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
            (" \t\"a\" ", "a"),
            ("a", "a"),
            ("a+b/c==", "a+b/c=="),
            (r#""a b, c; \"d\" \\""#, r#"a b, c; "d" \"#),
            ("\" \"", " "),
            ("?1", "?1"),
        ] {
            assert_eq!(read(value).as_deref(), Some(key), "{value}");
        }
        let longest = "x".repeat(255);
        assert_eq!(read(&longest), read(&format!("\"{longest}\"")));
        assert!(read(&longest).is_some());
    }

    #[test]
    fn a_malformed_key_is_rejected() {
        for value in [
            "",
            " ",
            "\"\"",
            "\"",
            "\"a",
            "a\"",
            "\"a\"b",
            "\"a\";p=1",
            "\"a\", \"b\"",
            "a, b",
            "a,b",
            "a b",
            "a;b",
            "a\\b",
            r#""a\b""#,
            r#""a\"#,
            "\"\t\"",
            "\"é\"",
            "é",
            "a\tb",
            &"x".repeat(256),
        ] {
            assert_eq!(read(value), None, "{value}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let request =
            KeyedRequest::new(IdempotencyKey::parse("hidden").unwrap(), ("POST", "/tokens"), Fingerprint([0; 32]));
        assert!(!format!("{request:?}").contains("hidden"));
    }

    #[test]
    fn a_digest_is_of_the_route_and_the_key() {
        let digest = |key: &str, method: &str, route: &str| {
            KeyedRequest::new(IdempotencyKey::parse(key).unwrap(), (method, route), Fingerprint([0; 32])).digest
        };
        let first = digest("a", "PUT", "/x");
        assert_eq!(first, digest("\"a\"", "PUT", "/x"));
        assert_eq!((first.len(), first.bytes().all(|c| c.is_ascii_hexdigit())), (64, true));
        for other in
            [digest("b", "PUT", "/x"), digest("a", "POST", "/x"), digest("a", "PUT", "/y"), digest("xa", "PUT", "/")]
        {
            assert_ne!(other, first);
        }
    }

    fn few() -> impl Strategy<Value = String> {
        // The alphabet is small, so that two requests often differ only in where one part ends and the next begins.
        "[ab]{0,2}"
    }

    type Parts = (String, String, Vec<(String, String)>, Vec<String>, Vec<String>, (String, String));

    fn any_parts() -> impl Strategy<Value = Parts> {
        let list = || prop::collection::vec(few(), 0..2);
        (few(), few(), prop::collection::vec((few(), few()), 0..2), list(), list(), (few(), few()))
    }

    fn essence(parts: &Parts) -> Essence<'_> {
        let (method, path, query, if_match, if_none_match, (media_type, body)) = parts;
        Essence {
            method,
            path,
            query: query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            if_match: if_match.iter().map(String::as_bytes).collect(),
            if_none_match: if_none_match.iter().map(String::as_bytes).collect(),
            media_type,
            body: body.as_bytes(),
        }
    }

    proptest! {
        #[test]
        fn different_requests_are_written_differently(a in any_parts(), b in any_parts()) {
            let written = |parts: &Parts| {
                let mut bytes = Vec::new();
                essence(parts).write(&mut |part| bytes.extend_from_slice(part));
                bytes
            };
            prop_assert_eq!(a == b, written(&a) == written(&b));
            prop_assert_eq!(a == b, Fingerprint::of(&essence(&a)) == Fingerprint::of(&essence(&b)));
        }

        #[test]
        fn a_key_is_the_same_in_quotes(key in "[ -~]{1,255}") {
            let quoted = format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""));
            prop_assert_eq!(read(&quoted), Some(key.clone()));
            if let Some(bare) = read(&key).filter(|_| !key.starts_with(['"', ' ']) && !key.ends_with(' ')) {
                prop_assert_eq!(bare, key);
            }
        }
    }
}
