//! The codes of problems, each with its status and its title.

use http::StatusCode;

/// The machine-readable name of a problem. A code never changes, and `docs/reference/problems.md` describes each one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    pub const ALL: &[Self] = &[
        Self::MalformedJson,
        Self::InvalidBody,
        Self::InvalidData,
        Self::InvalidParameter,
        Self::InvalidCursor,
        Self::CertificateMismatch,
        Self::InsufficientScope,
        Self::TenantOffboarded,
        Self::RecordNotFound,
        Self::TokenNotFound,
        Self::RouteNotFound,
        Self::TenantNotFound,
        Self::TenantExists,
        Self::TenantBusy,
        Self::ChangeNotAllowed,
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
        Self::RecordUnreadable,
        Self::InternalError,
        Self::NotDeployed,
        Self::Unavailable,
    ];

    /// The code, as documents contain it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.parts().0
    }

    /// The HTTP status of the code.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.parts().1
    }

    /// The code, the status and the title.
    pub(super) fn parts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::MalformedJson => ("malformed_json", StatusCode::BAD_REQUEST, "Malformed JSON"),
            Self::InvalidBody => ("invalid_body", StatusCode::BAD_REQUEST, "Invalid body"),
            Self::InvalidData => ("invalid_data", StatusCode::BAD_REQUEST, "Invalid data"),
            Self::InvalidParameter => ("invalid_parameter", StatusCode::BAD_REQUEST, "Invalid parameter"),
            Self::InvalidCursor => ("invalid_cursor", StatusCode::BAD_REQUEST, "Invalid cursor"),
            Self::CertificateMismatch => ("certificate_mismatch", StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::InsufficientScope => ("insufficient_scope", StatusCode::FORBIDDEN, "Forbidden"),
            Self::TenantOffboarded => ("tenant_offboarded", StatusCode::FORBIDDEN, "Forbidden"),
            Self::RecordNotFound => ("record_not_found", StatusCode::NOT_FOUND, "Not found"),
            Self::TokenNotFound => ("token_not_found", StatusCode::NOT_FOUND, "Not found"),
            Self::RouteNotFound => ("route_not_found", StatusCode::NOT_FOUND, "Not found"),
            Self::TenantNotFound => ("tenant_not_found", StatusCode::NOT_FOUND, "Not found"),
            Self::TenantExists => ("tenant_exists", StatusCode::CONFLICT, "Conflict"),
            Self::TenantBusy => ("tenant_busy", StatusCode::CONFLICT, "Conflict"),
            Self::ChangeNotAllowed => ("change_not_allowed", StatusCode::CONFLICT, "Change not allowed"),
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
            Self::RecordUnreadable => ("record_unreadable", StatusCode::INTERNAL_SERVER_ERROR, "Unreadable record"),
            Self::InternalError => ("internal_error", StatusCode::INTERNAL_SERVER_ERROR, "Internal error"),
            Self::NotDeployed => ("not_deployed", StatusCode::NOT_IMPLEMENTED, "Not deployed"),
            Self::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "Service unavailable"),
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
            let row = format!("| `{}` | {} |", code.as_str(), code.status().as_u16());
            assert!(docs.contains(&row), "docs/reference/problems.md lacks {row}");
        }
    }
}
