//! The codes of problems, each with its status and its title.

use http::StatusCode;
use strum::{AsRefStr, VariantArray};

/// The machine-readable name of a problem. A code never changes, and `docs/reference/problems.md` describes each one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Code {
    /// The body is not valid JSON.
    MalformedJson,
    /// The body is valid JSON, but not valid for the operation.
    InvalidBody,
    /// The data of a record violates a rule for data.
    InvalidData,
    /// A path parameter, query parameter or header is invalid.
    InvalidParameter,
    /// The cursor does not belong to the list.
    InvalidCursor,
    /// The token is bound to a client certificate that the request did not present.
    CertificateMismatch,
    /// The token's scopes do not cover the operation.
    InsufficientScope,
    /// The tenant is offboarded.
    TenantOffboarded,
    /// The record does not exist.
    RecordNotFound,
    /// The machine token does not exist.
    TokenNotFound,
    /// The route does not exist.
    RouteNotFound,
    /// The tenant does not exist.
    TenantNotFound,
    /// Another tenant has the name, or the id was used before.
    TenantExists,
    /// Another change of the tenant is in progress.
    TenantBusy,
    /// The tenant is in a state that does not allow the change.
    ChangeNotAllowed,
    /// The plan does not exist.
    UnknownPlan,
    /// The description of an issuer is invalid.
    InvalidIssuer,
    /// The issuer belongs to the stack or to another tenant.
    IssuerTaken,
    /// The resource has no representation of a media type that the client accepts.
    NotAcceptable,
    /// Other requests changed the same items again and again.
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
    /// The media type of the body is not supported.
    UnsupportedMediaType,
    /// The monthly quota is used up.
    QuotaExceeded,
    /// The stored form of a record cannot be read.
    RecordUnreadable,
    /// A defect of the service.
    InternalError,
    /// The operation needs a deployed stack, and the function runs outside one.
    NotDeployed,
    /// A backend service is unavailable.
    Unavailable,
}

impl Code {
    /// All codes.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The HTTP status of the code.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.parts().0
    }

    /// The status and the title.
    pub(super) fn parts(self) -> (StatusCode, &'static str) {
        match self {
            Self::MalformedJson => (StatusCode::BAD_REQUEST, "Malformed JSON"),
            Self::InvalidBody => (StatusCode::BAD_REQUEST, "Invalid body"),
            Self::InvalidData => (StatusCode::BAD_REQUEST, "Invalid data"),
            Self::InvalidParameter => (StatusCode::BAD_REQUEST, "Invalid parameter"),
            Self::InvalidCursor => (StatusCode::BAD_REQUEST, "Invalid cursor"),
            Self::CertificateMismatch => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::InsufficientScope | Self::TenantOffboarded => (StatusCode::FORBIDDEN, "Forbidden"),
            Self::RecordNotFound | Self::TokenNotFound | Self::RouteNotFound | Self::TenantNotFound => {
                (StatusCode::NOT_FOUND, "Not found")
            }
            Self::TenantExists | Self::TenantBusy | Self::IssuerTaken | Self::Conflict => {
                (StatusCode::CONFLICT, "Conflict")
            }
            Self::ChangeNotAllowed => (StatusCode::CONFLICT, "Change not allowed"),
            Self::UnknownPlan => (StatusCode::BAD_REQUEST, "Unknown plan"),
            Self::InvalidIssuer => (StatusCode::BAD_REQUEST, "Invalid issuer"),
            Self::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, "Not acceptable"),
            Self::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "Precondition failed"),
            Self::TransactionFailed => (StatusCode::PRECONDITION_FAILED, "Transaction failed"),
            Self::IdempotencyKeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "Idempotency key reused"),
            Self::BodyTooLarge | Self::DataTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Content too large"),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type"),
            Self::QuotaExceeded => (StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
            Self::RecordUnreadable => (StatusCode::INTERNAL_SERVER_ERROR, "Unreadable record"),
            Self::InternalError => (StatusCode::INTERNAL_SERVER_ERROR, "Internal error"),
            Self::NotDeployed => (StatusCode::NOT_IMPLEMENTED, "Not deployed"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Service unavailable"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_documented() {
        let docs = include_str!("../../../../docs/reference/problems.md");
        for code in Code::ALL {
            let row = format!("| `{}` | {} |", code.as_ref(), code.status().as_u16());
            assert!(docs.contains(&row), "docs/reference/problems.md lacks {row}");
        }
    }
}
