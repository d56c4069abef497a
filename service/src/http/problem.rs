//! Problem documents (RFC 9457): every error that a function answers with, and its status.

use std::collections::BTreeMap;

use http::StatusCode;
use http::header::{HeaderName, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;
use serde_json::{Value, json};

use crate::caller::{MissingScope, NoCaller};
use crate::data::DataError;
use crate::machine::{InvalidName, InvalidTokenId, ScopesError};
use crate::record::{InvalidCollectionName, InvalidRecordId};
use crate::store::{Fault, ListError, OnceError, ReadError, RevokeError, TransactError, WriteError};
use crate::transaction::{Failure, InvalidTransaction, MAX_BYTES, Refusal};

/// A problem's machine-readable name. Stable: a code is never reworded, and `docs/problems.md` describes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The body is not JSON.
    MalformedJson,
    /// The body is JSON, but not of the form that the operation takes.
    InvalidBody,
    /// A record's data is beyond what data may be.
    InvalidData,
    /// A path or query parameter, or a header, is not of its form.
    InvalidParameter,
    /// The cursor is not one of this list.
    InvalidCursor,
    /// The token is bound to a client certificate, and the request did not come with it.
    CertificateMismatch,
    /// The token's scopes do not cover the operation.
    InsufficientScope,
    /// There is no such record.
    RecordNotFound,
    /// There is no such machine token.
    TokenNotFound,
    /// There is no such route.
    RouteNotFound,
    /// There is no such tenant.
    TenantNotFound,
    /// Another tenant has the name, or the id was used.
    TenantExists,
    /// The tenant is not in a state that allows the change, or another change is under way.
    TenantBusy,
    /// There is no such plan.
    UnknownPlan,
    /// An issuer cannot be trusted as it is given.
    InvalidIssuer,
    /// The issuer is the stack's, or another tenant's.
    IssuerTaken,
    /// There is no representation of a media type that the client takes.
    NotAcceptable,
    /// Too many concurrent changes.
    Conflict,
    /// `If-Match` or `If-None-Match` does not hold.
    PreconditionFailed,
    /// A condition of a transaction's operation does not hold.
    TransactionFailed,
    /// The idempotency key was used for another request.
    IdempotencyKeyReused,
    /// The body is too large.
    BodyTooLarge,
    /// A record's data is too large.
    DataTooLarge,
    /// The body's media type is not taken.
    UnsupportedMediaType,
    /// The monthly quota is used up.
    QuotaExceeded,
    /// A defect of the service.
    InternalError,
    /// Something that is needed does not answer.
    Unavailable,
}

impl Code {
    /// All codes.
    pub const ALL: &[Self] = &[
        Self::MalformedJson,
        Self::InvalidBody,
        Self::InvalidData,
        Self::InvalidParameter,
        Self::InvalidCursor,
        Self::CertificateMismatch,
        Self::InsufficientScope,
        Self::RecordNotFound,
        Self::TokenNotFound,
        Self::RouteNotFound,
        Self::TenantNotFound,
        Self::TenantExists,
        Self::TenantBusy,
        Self::UnknownPlan,
        Self::InvalidIssuer,
        Self::IssuerTaken,
        Self::NotAcceptable,
        Self::Conflict,
        Self::PreconditionFailed,
        Self::TransactionFailed,
        Self::IdempotencyKeyReused,
        Self::BodyTooLarge,
        Self::DataTooLarge,
        Self::UnsupportedMediaType,
        Self::QuotaExceeded,
        Self::InternalError,
        Self::Unavailable,
    ];

    /// The code as in documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.parts().0
    }

    /// The status that goes with it.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.parts().1
    }

    fn parts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::MalformedJson => ("malformed_json", StatusCode::BAD_REQUEST, "Malformed JSON"),
            Self::InvalidBody => ("invalid_body", StatusCode::BAD_REQUEST, "Invalid body"),
            Self::InvalidData => ("invalid_data", StatusCode::BAD_REQUEST, "Invalid data"),
            Self::InvalidParameter => ("invalid_parameter", StatusCode::BAD_REQUEST, "Invalid parameter"),
            Self::InvalidCursor => ("invalid_cursor", StatusCode::BAD_REQUEST, "Invalid cursor"),
            Self::CertificateMismatch => ("certificate_mismatch", StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::InsufficientScope => ("insufficient_scope", StatusCode::FORBIDDEN, "Forbidden"),
            Self::RecordNotFound => ("record_not_found", StatusCode::NOT_FOUND, "Not found"),
            Self::TokenNotFound => ("token_not_found", StatusCode::NOT_FOUND, "Not found"),
            Self::RouteNotFound => ("route_not_found", StatusCode::NOT_FOUND, "Not found"),
            Self::TenantNotFound => ("tenant_not_found", StatusCode::NOT_FOUND, "Not found"),
            Self::TenantExists => ("tenant_exists", StatusCode::CONFLICT, "Conflict"),
            Self::TenantBusy => ("tenant_busy", StatusCode::CONFLICT, "Conflict"),
            Self::UnknownPlan => ("unknown_plan", StatusCode::BAD_REQUEST, "Unknown plan"),
            Self::InvalidIssuer => ("invalid_issuer", StatusCode::BAD_REQUEST, "Invalid issuer"),
            Self::IssuerTaken => ("issuer_taken", StatusCode::CONFLICT, "Conflict"),
            Self::NotAcceptable => ("not_acceptable", StatusCode::NOT_ACCEPTABLE, "Not acceptable"),
            Self::Conflict => ("conflict", StatusCode::CONFLICT, "Conflict"),
            Self::PreconditionFailed => ("precondition_failed", StatusCode::PRECONDITION_FAILED, "Precondition failed"),
            Self::TransactionFailed => ("transaction_failed", StatusCode::PRECONDITION_FAILED, "Transaction failed"),
            Self::IdempotencyKeyReused => {
                ("idempotency_key_reused", StatusCode::UNPROCESSABLE_ENTITY, "Idempotency key reused")
            }
            Self::BodyTooLarge => ("body_too_large", StatusCode::PAYLOAD_TOO_LARGE, "Content too large"),
            Self::DataTooLarge => ("data_too_large", StatusCode::PAYLOAD_TOO_LARGE, "Content too large"),
            Self::UnsupportedMediaType => {
                ("unsupported_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type")
            }
            Self::QuotaExceeded => ("quota_exceeded", StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
            Self::InternalError => ("internal_error", StatusCode::INTERNAL_SERVER_ERROR, "Internal error"),
            Self::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "Service unavailable"),
        }
    }
}

/// An error as the caller sees it, with what only the log sees.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    detail: String,
    /// Members beside those that every problem has (RFC 9457, section 3.2).
    extensions: BTreeMap<&'static str, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<String>,
}

/// The document's members.
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
    /// A problem with a sentence for the caller, who may see all of it.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), extensions: BTreeMap::new(), headers: Vec::new(), cause: None }
    }

    /// Something that is needed does not answer; `cause` is for the log.
    pub fn unavailable(cause: impl Into<String>) -> Self {
        let mut problem = Self::new(
            Code::Unavailable,
            "A part that is needed does not answer. A write may or may not have happened: repeat it with the same \
             Idempotency-Key, or with If-Match or If-None-Match.",
        );
        problem.cause = Some(cause.into());
        problem.with_header(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// A defect; `cause` is for the log.
    pub fn internal(cause: impl Into<String>) -> Self {
        let mut problem = Self::new(Code::InternalError, "The service failed. The requestId leads to its log.");
        problem.cause = Some(cause.into());
        problem
    }

    /// The token is bound to a certificate that the request did not come with.
    pub(super) fn certificate_mismatch() -> Self {
        let detail = "The token is bound to a client certificate, and the request did not come with it.";
        // RFC 6750, section 3.1. API Gateway gives the header of a function another name (`docs/tokens.md`).
        let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
        Self::new(Code::CertificateMismatch, detail).with_header(WWW_AUTHENTICATE, challenge)
    }

    /// Adds what only the log sees.
    pub(super) fn with_cause(mut self, cause: String) -> Self {
        self.cause = Some(cause);
        self
    }

    /// Says in which part of the body it is.
    #[must_use]
    pub fn within(self, part: &str) -> Self {
        Self { detail: format!("`{part}`: {}", self.detail), ..self }
    }

    /// Adds a member of the code's own.
    #[must_use]
    pub fn with_member(mut self, name: &'static str, value: Value) -> Self {
        self.extensions.insert(name, value);
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Says where the record is if the write happened after all, which it may have when the service failed.
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

    /// What the log should say.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Further headers of the answer.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// The document.
    #[must_use]
    pub fn document(&self, request_id: &str) -> String {
        let (code, status, title) = self.code.parts();
        let document = Document {
            r#type: format!("urn:tenantry:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            code,
            request_id,
            extensions: &self.extensions,
        };
        // Values of JSON always serialize.
        serde_json::to_string(&document).unwrap_or_default()
    }
}

impl From<NoCaller> for Problem {
    fn from(error: NoCaller) -> Self {
        // The gateway sends nobody here whom the authorizer has not let in.
        Self::internal(error.to_string())
    }
}

impl From<MissingScope> for Problem {
    fn from(error: MissingScope) -> Self {
        Self::new(Code::InsufficientScope, format!("The token lacks the scope {}.", error.0))
    }
}

impl From<InvalidCollectionName> for Problem {
    fn from(error: InvalidCollectionName) -> Self {
        Self::new(Code::InvalidParameter, error.to_string())
    }
}

impl From<InvalidRecordId> for Problem {
    fn from(error: InvalidRecordId) -> Self {
        Self::new(Code::InvalidParameter, error.to_string())
    }
}

impl From<InvalidTokenId> for Problem {
    fn from(error: InvalidTokenId) -> Self {
        Self::new(Code::InvalidParameter, error.to_string())
    }
}

impl From<InvalidName> for Problem {
    fn from(error: InvalidName) -> Self {
        Self::new(Code::InvalidBody, error.to_string())
    }
}

impl From<ScopesError> for Problem {
    fn from(error: ScopesError) -> Self {
        let code = match error {
            ScopesError::None => Code::InvalidBody,
            ScopesError::Beyond => Code::InsufficientScope,
        };
        Self::new(code, error.to_string())
    }
}

impl From<DataError> for Problem {
    fn from(error: DataError) -> Self {
        let code = match &error {
            DataError::TooLarge(_) => Code::DataTooLarge,
            DataError::NotAnObject
            | DataError::TooDeep(_)
            | DataError::DuplicateMember(_)
            | DataError::UnpairedSurrogate(_) => Code::InvalidData,
        };
        Self::new(code, error.to_string())
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unavailable(_) => Self::unavailable(fault.to_string()),
            Fault::Broken(_) => Self::internal(fault.to_string()),
        }
    }
}

fn record_not_found() -> Problem {
    Problem::new(Code::RecordNotFound, "There is no such record.")
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound => record_not_found(),
            ReadError::Fault(fault) => fault.into(),
        }
    }
}

impl From<ListError> for Problem {
    fn from(error: ListError) -> Self {
        match error {
            ListError::InvalidCursor => Self::new(
                Code::InvalidCursor,
                "The cursor is not one of this list in this order. Start again without one.",
            ),
            ListError::Fault(fault) => fault.into(),
        }
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::NotFound => record_not_found(),
            WriteError::PreconditionFailed => {
                Self::new(Code::PreconditionFailed, "The record is not as If-Match or If-None-Match says.")
            }
            WriteError::Conflict => conflict(),
            WriteError::Data(error) => error.into(),
            WriteError::KeyReused => key_reused(),
            WriteError::Fault(fault) => fault.into(),
        }
    }
}

impl From<OnceError> for Problem {
    fn from(error: OnceError) -> Self {
        match error {
            OnceError::KeyReused => key_reused(),
            OnceError::Conflict => conflict(),
            OnceError::Fault(fault) => fault.into(),
        }
    }
}

impl From<InvalidTransaction> for Problem {
    fn from(error: InvalidTransaction) -> Self {
        Self::new(Code::InvalidBody, error.to_string())
    }
}

impl From<TransactError> for Problem {
    fn from(error: TransactError) -> Self {
        match error {
            TransactError::Failed(failures) => {
                let detail = "Nothing was written: the conditions of some operations do not hold, see `failures`.";
                let failures = failures.iter().map(failure).collect();
                Self::new(Code::TransactionFailed, detail).with_member("failures", failures)
            }
            TransactError::Data { operation, error } => Self::from(error).within(&format!("operations[{operation}]")),
            TransactError::TooLarge(bytes) => Self::new(
                Code::DataTooLarge,
                format!("The transaction writes {bytes} bytes of records; the most is {MAX_BYTES}."),
            ),
            TransactError::Conflict => conflict(),
            TransactError::KeyReused => key_reused(),
            TransactError::Fault(fault) => fault.into(),
        }
    }
}

fn conflict() -> Problem {
    Problem::new(Code::Conflict, "Others are in the way, or a repeat of this request is; try again.")
        .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
}

fn key_reused() -> Problem {
    Problem::new(Code::IdempotencyKeyReused, "The Idempotency-Key was used for another request, which was done.")
}

/// An element of `failures`.
fn failure(failure: &Failure) -> Value {
    let Failure { operation, refusal } = failure;
    json!({ "operation": operation, "code": refusal_code(*refusal), "detail": refusal.to_string() })
}

fn refusal_code(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NotFound => Code::RecordNotFound.as_str(),
        Refusal::Exists => "record_exists",
        Refusal::OtherVersion => Code::PreconditionFailed.as_str(),
    }
}

impl From<RevokeError> for Problem {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::NotFound => Self::new(Code::TokenNotFound, "There is no such token."),
            RevokeError::Fault(fault) => fault.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_the_members_of_the_contract() {
        let document: serde_json::Value =
            serde_json::from_str(&Problem::new(Code::InvalidCursor, "No.").document("id-1")).unwrap();
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
    fn a_failed_transaction_names_its_operations() {
        let failures = vec![
            Failure { operation: 3, refusal: Refusal::Exists },
            Failure { operation: 7, refusal: Refusal::OtherVersion },
        ];
        let document: Value =
            serde_json::from_str(&Problem::from(TransactError::Failed(failures)).document("id-1")).unwrap();
        assert_eq!(document["status"], 412);
        let operations: Vec<_> =
            document["failures"].as_array().unwrap().iter().map(|one| (&one["operation"], &one["code"])).collect();
        assert_eq!(operations, [(&json!(3), &json!("record_exists")), (&json!(7), &json!("precondition_failed"))]);
    }

    #[test]
    fn what_is_for_the_log_stays_out_of_the_document() {
        let problem = Problem::from(Fault::Broken("secret table".into()));
        assert_eq!(problem.code(), Code::InternalError);
        assert!(problem.cause().unwrap().contains("secret table"));
        assert!(!problem.document("id-1").contains("secret"));
    }

    #[test]
    fn every_code_is_documented() {
        let docs = include_str!("../../../docs/problems.md");
        for code in Code::ALL {
            let row = format!("| `{}` | {} |", code.as_str(), code.status().as_u16());
            assert!(docs.contains(&row), "docs/problems.md lacks {row}");
        }
        for refusal in [Refusal::NotFound, Refusal::Exists, Refusal::OtherVersion] {
            let row = format!("| `{}` | ", refusal_code(refusal));
            assert!(docs.contains(&row), "docs/problems.md lacks {row}");
        }
    }
}
