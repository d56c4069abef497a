//! The codes of problems, each with its status and its title.

use http::StatusCode;

/// A problem's machine-readable name. Stable: a code is never reworded, and `docs/reference/problems.md` describes each.
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
    /// The tenant is offboarded.
    TenantOffboarded,
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
    /// Another change of the tenant is under way.
    TenantBusy,
    /// The tenant is in a state that does not allow the change.
    ChangeNotAllowed,
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
    /// A record is stored in a form that cannot be read.
    RecordUnreadable,
    /// A defect of the service.
    InternalError,
    /// The operation needs a deployed stack, and the function runs outside of one.
    NotDeployed,
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
