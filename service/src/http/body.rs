//! Request bodies: JSON objects, read member by member.

use http::Method;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Code, Problem, encoding};
use crate::domain::data::{Data, Members};
use crate::domain::record::ExpiryChange;
use crate::domain::time::{Expiry, InvalidExpiry, Timestamp};

/// The maximum size of a body, in bytes. The data of a record has at most 350 KiB, but may be written with escape sequences that
/// are longer than the characters they stand for.
const MAX_BYTES: usize = 1024 * 1024;

const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// The members of a body. The operation knows each of them, and none appears twice.
pub struct Body<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Body<'a> {
    /// Reads the body of a request, which must have one of these media types and only these members.
    pub fn of(request: &'a lambda_http::Request, media_types: &[&str], allowed: &[&str]) -> Result<Self, Problem> {
        let body = Self::of_object(json(request, media_types)?)?;
        body.check_members(allowed)?;
        Ok(body)
    }

    /// Reads an object inside a body.
    pub fn of_object(raw: &'a RawValue) -> Result<Self, Problem> {
        if !raw.get().starts_with('{') {
            return Err(Problem::invalid_body("The value must be a JSON object."));
        }
        let members: Members<'a> = serde_json::from_str(raw.get())
            .map_err(|_| Problem::invalid_body("A member's name contains an unpaired UTF-16 surrogate."))?;
        if let Some(name) = members.duplicate() {
            return Err(Problem::invalid_body(format!("The member `{}` appears twice.", excerpt(name))));
        }
        Ok(Self(members.0))
    }

    /// Rejects members other than these.
    pub fn check_members(&self, allowed: &[&str]) -> Result<(), Problem> {
        match self.0.iter().find(|(name, _)| !allowed.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => {
                let (name, allowed) = (excerpt(name), allowed.join("`, `"));
                let detail = format!("The member `{name}` is not supported here. Supported members: `{allowed}`.");
                Err(Problem::invalid_body(detail))
            }
        }
    }

    /// A member that must be present. `form` says in a problem detail what it must be: `a string`, for example.
    pub fn required<T: Deserialize<'a>>(&self, name: &str, form: &str) -> Result<T, Problem> {
        self.optional(name, form)?.ok_or_else(|| missing(name))
    }

    /// A member that may be absent, as [`required`](Self::required) reads it.
    pub fn optional<T: Deserialize<'a>>(&self, name: &str, form: &str) -> Result<Option<T>, Problem> {
        let value = self.get(name).map(|raw| serde_json::from_str(raw.get()));
        value.transpose().map_err(|_| Problem::invalid_body(format!("`{name}` must be {form}.")))
    }

    /// `data`, which must be present.
    pub fn data(&self) -> Result<Data, Problem> {
        Ok(Data::new(self.get("data").ok_or_else(|| missing("data"))?)?)
    }

    /// The value of a member, as JSON text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// `expiresAt`, which may be absent: an RFC 3339 time in the future, or null.
    pub fn expires_at(&self) -> Result<ExpiryChange, Problem> {
        let Some(raw) = self.get("expiresAt") else { return Ok(ExpiryChange::Keep) };
        let text: Option<String> = serde_json::from_str(raw.get()).map_err(|_| {
            Problem::invalid_body("`expiresAt` must be null or a string with an RFC 3339 date and time.")
        })?;
        let Some(text) = text else { return Ok(ExpiryChange::End) };
        let expiry = Expiry::parse(&text).map_err(|error| match error {
            InvalidExpiry::Form => {
                Problem::invalid_body("`expiresAt` must be an RFC 3339 date and time, such as 2099-12-31T00:00:00Z.")
            }
            InvalidExpiry::Range => {
                Problem::invalid_body("`expiresAt` must be in the future, and not later than 9999-12-31T23:59:59Z.")
            }
        })?;
        if expiry.is_reached(Timestamp::now()) {
            return Err(Problem::invalid_body("`expiresAt` must be in the future."));
        }
        Ok(ExpiryChange::Set(expiry))
    }
}

/// Returns the JSON object in the body of a request, which must have one of these media types.
pub(super) fn json<'a>(request: &'a lambda_http::Request, media_types: &[&str]) -> Result<&'a RawValue, Problem> {
    check_media_type(request, media_types)?;
    let bytes: &[u8] = request.body();
    encoding::check_coding(request.headers(), bytes)?;
    if bytes.len() > MAX_BYTES {
        let detail = format!("The body is {} bytes; the limit is {MAX_BYTES} bytes.", bytes.len());
        return Err(Problem::new(Code::BODY_TOO_LARGE, detail));
    }
    let text = encoding::text(bytes)?;
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Problem::new(Code::MALFORMED_JSON, format!("The body is not valid JSON ({place})."))
    })?;
    if !raw.get().starts_with('{') {
        return Err(Problem::invalid_body("The body must be a JSON object."));
    }
    Ok(raw)
}

fn missing(name: &str) -> Problem {
    Problem::invalid_body(format!("The member `{name}` is missing."))
}

/// The beginning of a name, which is enough to find it.
fn excerpt(name: &str) -> String {
    name.chars().take(64).collect()
}

/// Checks the media type without its parameters. A `charset` other than UTF-8 has no meaning for JSON (RFC 8259, section 8.1). The
/// name `utf8`, without the hyphen, is not registered, but clients send it.
fn check_media_type(request: &lambda_http::Request, allowed: &[&str]) -> Result<(), Problem> {
    let (essence, parameters) = media_type(request.headers().get(CONTENT_TYPE));
    let is_utf8 = |value: &str| ["utf-8", "utf8"].iter().any(|name| value.eq_ignore_ascii_case(name));
    let utf8 = parameters
        .filter_map(|parameter| parameter.split_once('='))
        .all(|(name, value)| !name.trim().eq_ignore_ascii_case("charset") || is_utf8(value.trim().trim_matches('"')));
    if utf8 && allowed.iter().any(|media_type| essence.eq_ignore_ascii_case(media_type)) {
        return Ok(());
    }
    let detail = format!("The Content-Type must be {}, and the charset, if there is one, UTF-8.", allowed.join(" or "));
    let problem = Problem::new(Code::UNSUPPORTED_MEDIA_TYPE, detail);
    // RFC 5789, section 2.2, asks for this header in the response to a PATCH.
    match HeaderValue::from_str(&allowed.join(", ")) {
        Ok(value) if request.method() == Method::PATCH => Err(problem.with_header(ACCEPT_PATCH, value)),
        _ => Err(problem),
    }
}

/// The media type without its parameters, and the parameters.
pub(super) fn media_type(header: Option<&HeaderValue>) -> (&str, impl Iterator<Item = &str>) {
    let value = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = value.split(';').map(str::trim);
    (parts.next().unwrap_or_default(), parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content_type: Option<&str>, body: &[u8]) -> Result<Vec<(String, String)>, (Code, String)> {
        let mut request = http::Request::new(lambda_http::Body::Binary(body.to_vec()));
        if let Some(value) = content_type {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_str(value).unwrap());
        }
        match Body::of(&request, &["application/json"], &["data", "expiresAt"]) {
            Ok(body) => Ok(body.0.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect()),
            Err(problem) => Err((problem.code(), problem.document(""))),
        }
    }

    #[test]
    fn json_is_taken_apart() {
        let body = br#" { "data" : {"a" : 1.0} , "expiresAt":null}"#;
        let members = vec![("data".into(), r#"{"a" : 1.0}"#.into()), ("expiresAt".into(), "null".into())];
        for content_type in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/json; charset=utf8",
            "application/json; Charset=\"UTF8\"",
        ] {
            assert_eq!(read(Some(content_type), body), Ok(members.clone()), "{content_type}");
        }
    }

    #[test]
    fn other_media_types_are_rejected() {
        for content_type in [None, Some(""), Some("text/plain"), Some("application/json; charset=latin1")] {
            assert_eq!(read(content_type, b"{}").unwrap_err().0, Code::UNSUPPORTED_MEDIA_TYPE, "{content_type:?}");
        }
    }

    #[test]
    fn only_a_patch_gets_accept_patch() {
        for (method, accepted) in
            [(Method::PATCH, Some("application/merge-patch+json, application/json")), (Method::PUT, None)]
        {
            let mut request = http::Request::new(lambda_http::Body::Text("{}".to_owned()));
            *request.method_mut() = method;
            let problem = Body::of(&request, &["application/merge-patch+json", "application/json"], &[]).err().unwrap();
            let header = problem.headers().iter().find(|(name, _)| *name == ACCEPT_PATCH);
            assert_eq!(header.map(|(_, value)| value.to_str().unwrap()), accepted);
        }
    }

    #[test]
    fn malformed_json_is_rejected_with_its_position() {
        for (body, place) in [
            (&b""[..], "line 1, column 0"),
            (b"{\"data\":\n  {]}", "line 2, column 4"),
            (b"{} {}", "line 1, column 4"),
            (b"{\"data\": \"\xff\"}", "byte 11 is not UTF-8"),
            (b"{\"data\": 01}", "line 1, column 11"),
        ] {
            let (code, document) = read(Some("application/json"), body).unwrap_err();
            assert_eq!(code, Code::MALFORMED_JSON);
            assert!(document.contains(place), "{document}");
        }
    }

    #[test]
    fn bodies_of_another_form_are_rejected() {
        for body in [&b"[]"[..], b"null", b"{\"x\":1}", b"{\"data\":{},\"data\":{}}", b"{\"\\ud800\":1}"] {
            assert_eq!(read(Some("application/json"), body).unwrap_err().0, Code::INVALID_BODY);
        }
        let long = format!("{{{}}}", " ".repeat(MAX_BYTES));
        assert_eq!(read(Some("application/json"), long.as_bytes()).unwrap_err().0, Code::BODY_TOO_LARGE);
    }
}
