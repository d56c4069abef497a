//! Problem documents (RFC 9457): every error that a function returns, with its status.

mod code;
mod errors;

use std::collections::BTreeMap;

use http::header::{HeaderName, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;
use serde_json::Value;

pub use code::Code;

/// An error as the caller sees it, with a cause that only the log contains.
///
/// Its texts are boxed because every handler returns it, and clippy limits the size of an error.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    detail: Box<str>,
    /// Extension members (RFC 9457, section 3.2).
    extensions: BTreeMap<&'static str, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Box<str>>,
}

/// The members of the document.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(rename = "requestId")]
    request_id: &'a str,
    #[serde(flatten)]
    extensions: &'a BTreeMap<&'static str, Value>,
}

impl Problem {
    /// A problem with a detail for the caller.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into().into(), extensions: BTreeMap::new(), headers: Vec::new(), cause: None }
    }

    /// A body that is valid JSON, but not valid for the operation.
    pub fn invalid_body(detail: impl Into<String>) -> Self {
        Self::new(Code::INVALID_BODY, detail)
    }

    /// A path parameter, query parameter or header field that is not valid for the operation.
    pub fn invalid_parameter(detail: impl Into<String>) -> Self {
        Self::new(Code::INVALID_PARAMETER, detail)
    }

    /// A resource whose version does not satisfy `If-Match` or `If-None-Match`.
    #[must_use]
    pub fn precondition_failed() -> Self {
        let detail = "The resource's current version does not satisfy If-Match or If-None-Match. Read it again, and \
                      decide whether the request still applies.";
        Self::new(Code::PRECONDITION_FAILED, detail)
    }

    /// A backend service that does not respond; `cause` is for the log.
    pub fn unavailable(cause: impl Into<String>) -> Self {
        let mut problem = Self::new(
            Code::UNAVAILABLE,
            "A backend service is unavailable. Retry after the time in Retry-After. A write may or may not have been \
             applied: retry it with the same Idempotency-Key, or with If-Match or If-None-Match.",
        );
        problem.cause = Some(cause.into().into());
        problem.with_header(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// A defect; `cause` is for the log.
    pub fn internal(cause: impl Into<String>) -> Self {
        let mut problem = Self::new(
            Code::INTERNAL_ERROR,
            "The service failed because of an internal error. Quote the requestId to support.",
        );
        problem.cause = Some(cause.into().into());
        problem
    }

    /// A token that is bound to a client certificate other than the request's.
    pub(super) fn certificate_mismatch() -> Self {
        let detail = "The token is bound to a client certificate that this request did not present. Connect with it.";
        Self::new(Code::CERTIFICATE_MISMATCH, detail).with_challenge("Bearer error=\"invalid_token\"")
    }

    /// Adds a challenge that describes the error of the token (RFC 6750, section 3). API Gateway renames this header of a function
    /// (`docs/reference/tokens.md`).
    fn with_challenge(self, challenge: &str) -> Self {
        match HeaderValue::from_str(challenge) {
            Ok(value) => self.with_header(WWW_AUTHENTICATE, value),
            Err(_) => self,
        }
    }

    /// Adds a cause, which only the log contains.
    pub(super) fn with_cause(mut self, cause: String) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds the part of the body that the problem concerns.
    #[must_use]
    pub fn within(self, part: &str) -> Self {
        Self { detail: format!("`{part}`: {}", self.detail).into(), ..self }
    }

    /// Adds an extension member.
    #[must_use]
    pub fn with_member(mut self, name: &'static str, value: Value) -> Self {
        self.extensions.insert(name, value);
        self
    }

    /// Adds a header to the response.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds the `Location` of the resource to a server error, because the write may have been applied all the same.
    #[must_use]
    pub fn with_location(self, location: &str) -> Self {
        match HeaderValue::from_str(location) {
            Ok(value) if self.code.status().is_server_error() => self.with_header(LOCATION, value),
            _ => self,
        }
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The cause, for the log.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The headers of the response, except those that every problem has.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// The document as JSON text.
    #[must_use]
    pub fn document(&self, request_id: &str) -> String {
        let code = self.code.name();
        let document = Document {
            r#type: format!("urn:tenantry:problem:{code}"),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: &self.detail,
            code,
            request_id,
            extensions: &self.extensions,
        };
        // Strings, numbers and JSON values always serialize.
        serde_json::to_string(&document).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Fault;

    #[test]
    fn a_document_has_the_members_of_the_contract() {
        let document: serde_json::Value =
            serde_json::from_str(&Problem::new(Code::INVALID_CURSOR, "No.").document("id-1")).unwrap();
        assert_eq!(
            document,
            serde_json::json!({
                "type": "urn:tenantry:problem:invalid_cursor",
                "title": "Invalid cursor",
                "status": 400,
                "detail": "No.",
                "code": "invalid_cursor",
                "requestId": "id-1",
            })
        );
    }

    #[test]
    fn the_cause_stays_out_of_the_document() {
        let problem = Problem::from(Fault::Broken("secret table".into()));
        assert_eq!(problem.code(), Code::INTERNAL_ERROR);
        assert!(problem.cause().unwrap().contains("secret table"));
        assert!(!problem.document("id-1").contains("secret"));
    }
}
