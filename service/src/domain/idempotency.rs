//! Idempotency keys: by one a repeat of a request is known, and answered as the first was
//! (draft-ietf-httpapi-idempotency-key-header).
//!
//! An [`IdempotencyKey`] is text that a client makes up for one write and sends with every try of it. With the route it
//! names what is kept, and the [`Fingerprint`] says for which request: together they are a [`Once`]. What is kept of the
//! first answer is a [`Kept`], which the store writes in one transaction with what the request changes.

mod seal;

use std::fmt::{self, Write as _};

use sha2::{Digest as _, Sha256};

pub use seal::Sealed;

/// How long an answer is kept, in seconds.
pub const LIFETIME_SECS: i64 = 24 * 60 * 60;

/// The most characters of a key.
const MOST: usize = 255;

/// A client's name for one write.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// The text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "Idempotency-Key must be one string of 1 to {MOST} visible ASCII characters or spaces in double quotes (RFC 9651). \
     Without the quotes, it must not contain spaces, double quotes, `\\`, `,` or `;`."
)]
pub struct InvalidKey;

impl IdempotencyKey {
    /// Reads a header's value: a Structured Fields string (RFC 9651, section 3.3.3) without parameters, or the same text
    /// bare, as most clients send it. Both are the same key.
    pub fn parse(value: &str) -> Result<Self, InvalidKey> {
        let value = value.trim_matches([' ', '\t']);
        let key = match value.strip_prefix('"') {
            Some(quoted) => unquote(quoted).ok_or(InvalidKey)?,
            None if value.bytes().all(is_bare) => value.to_owned(),
            None => return Err(InvalidKey),
        };
        if (1..=MOST).contains(&key.len()) { Ok(Self(key)) } else { Err(InvalidKey) }
    }

    /// How many characters it has.
    #[must_use]
    pub fn characters(&self) -> usize {
        self.0.len()
    }
}

/// What a secret answer is sealed with must not reach a log.
impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey(..)")
    }
}

/// Without what has a meaning in a header: a list of two keys, or a key with parameters, must not pass as one key.
fn is_bare(c: u8) -> bool {
    c.is_ascii_graphic() && !matches!(c, b'"' | b'\\' | b',' | b';')
}

/// The text of a string whose opening quote is taken off.
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

/// Whatever of a request makes it this one and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Essence<'a> {
    /// `POST`, `PUT`…
    pub method: &'a str,
    /// In one spelling, however the client wrote it.
    pub path: &'a str,
    /// The query's parameters, sorted by name.
    pub query: Vec<(&'a str, &'a str)>,
    /// The lines of `If-Match`.
    pub if_match: Vec<&'a [u8]>,
    /// The lines of `If-None-Match`.
    pub if_none_match: Vec<&'a [u8]>,
    /// The media type, without its parameters.
    pub media_type: &'a str,
    /// The body as it came.
    pub body: &'a [u8],
}

impl Essence<'_> {
    /// Everything, each part after its length and each list after its own, so that no two requests are written alike.
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

/// The SHA-256 of a request's [`Essence`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of a request.
    #[must_use]
    pub fn of(request: &Essence<'_>) -> Self {
        let mut hash = Sha256::new();
        request.write(&mut |bytes| hash.update(bytes));
        Self(hash.finalize().into())
    }

    /// The hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A request that is to be done once.
#[derive(Debug, Clone)]
pub struct Once {
    key: IdempotencyKey,
    digest: String,
    fingerprint: Fingerprint,
}

impl Once {
    /// A request of that route, method and template, with that key.
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

    /// The key.
    #[must_use]
    pub fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// The SHA-256 of the route and the key, in 64 hexadecimal digits: what the table has of the key.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Which request it is.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

/// What is kept of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its status.
    pub status: u16,
    /// The headers that are the answer's own, and not every answer's.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: KeptBody,
}

/// What is kept of an answer's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptBody {
    /// All of it.
    Whole(String),
    /// What is around a record's data, which the repeat brings along: the fingerprint says that it is the same. So a
    /// large record is not paid for twice.
    Around {
        /// What is before the data.
        head: String,
        /// What is after it.
        tail: String,
    },
    /// All of it, for nobody to read who has not the key.
    Sealed(Sealed),
}

/// The answer to a request that was done before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The first answer.
    pub kept: Kept,
    /// Whether this very call made it, at a try whose own answer was lost.
    pub ours: bool,
}

/// What became of a write that may have happened before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written<T> {
    /// It happened now.
    Now(T),
    /// It happened before, and this is its answer.
    Before(Answered),
}

/// How the answer to a write is to be kept. The store knows how the write ended and `answer` what is said then;
/// `None` where it cannot be said.
pub struct Keep<'a, T> {
    /// The request.
    pub once: &'a Once,
    /// What is kept of the answer.
    pub answer: &'a (dyn Fn(&T) -> Option<Kept> + Sync),
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
    fn what_is_no_key_is_refused() {
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
        let once = Once::new(IdempotencyKey::parse("hidden").unwrap(), ("POST", "/tokens"), Fingerprint([0; 32]));
        assert!(!format!("{once:?}").contains("hidden"));
    }

    #[test]
    fn a_digest_is_of_the_route_and_the_key() {
        let digest = |key: &str, method: &str, route: &str| {
            Once::new(IdempotencyKey::parse(key).unwrap(), (method, route), Fingerprint([0; 32])).digest
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
        // Of few, so that two requests often differ in how their parts are cut only.
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
