//! The codes of problems, each with its status and its title.

use http::StatusCode;

/// The machine-readable name of a problem, with the status and the title of the response. A code never changes.
///
/// The associated constants are the codes of this library, and `docs/reference/problems.md` describes each one. A business
/// function declares its own codes beside them. A code that breaks a rule of [`Code::own`] does not compile:
///
/// ```
/// use service::http::{Code, Problem};
///
/// const SENT: Code = Code::own("invoice_sent", 409, "Conflict");
///
/// let problem = Problem::new(SENT, "The invoice was sent, so it cannot change. Create another one.");
/// assert_eq!(problem.code().name(), "invoice_sent");
/// ```
///
/// ```compile_fail
/// # use service::http::Code;
/// const SENT: Code = Code::own("InvoiceSent", 409, "Conflict");
/// ```
///
/// ```compile_fail
/// # use service::http::Code;
/// const SENT: Code = Code::own("invoice_sent", 200, "Conflict");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    name: &'static str,
    status: u16,
    title: &'static str,
}

impl Code {
    /// A code of a business function. The name is in `snake_case` and starts with the function's noun, so that it differs
    /// from the codes of all others. The status is one of an error, from 400 to 599. The title is the same for all
    /// problems of the code (RFC 9457, section 3.1.3).
    #[must_use]
    pub const fn own(name: &'static str, status: u16, title: &'static str) -> Self {
        assert!(
            is_snake_case(name.as_bytes()),
            "The name of a code is in snake_case: a-z, 0-9 and single underscores."
        );
        assert!(status >= 400 && status <= 599, "The status of a problem is from 400 to 599.");
        assert!(!title.is_empty(), "A problem has a title.");
        Self { name, status, title }
    }

    /// The name that clients see.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        // Every number from 100 to 999 is a status, and `own` accepts only a part of these.
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The title of the document.
    pub(super) const fn title(self) -> &'static str {
        self.title
    }
}

/// Whether words of `a-z0-9`, of which the first starts with a letter, are separated by single underscores.
const fn is_snake_case(name: &[u8]) -> bool {
    let mut before = b'_';
    let mut at = 0;
    while at < name.len() {
        let valid = match name[at] {
            b'a'..=b'z' => true,
            b'0'..=b'9' => at > 0,
            b'_' => before != b'_',
            _ => false,
        };
        if !valid {
            return false;
        }
        before = name[at];
        at += 1;
    }
    before != b'_'
}

/// Declares the library's codes as constants, and collects them in `ALL`.
macro_rules! codes {
    ($($(#[$doc:meta])+ $constant:ident = $name:literal, $status:literal, $title:literal;)+) => {
        impl Code {
            $($(#[$doc])+ pub const $constant: Self = Self::own($name, $status, $title);)+

            /// All codes of this library.
            pub const ALL: &[Self] = &[$(Self::$constant),+];
        }
    };
}

codes! {
    /// The body is not valid JSON.
    MALFORMED_JSON = "malformed_json", 400, "Malformed JSON";
    /// The body is valid JSON, but not valid for the operation.
    INVALID_BODY = "invalid_body", 400, "Invalid body";
    /// The data of a record violates a rule for data.
    INVALID_DATA = "invalid_data", 400, "Invalid data";
    /// A path parameter, query parameter or header is invalid.
    INVALID_PARAMETER = "invalid_parameter", 400, "Invalid parameter";
    /// The cursor does not belong to the list.
    INVALID_CURSOR = "invalid_cursor", 400, "Invalid cursor";
    /// The token is bound to a client certificate that the request did not present.
    CERTIFICATE_MISMATCH = "certificate_mismatch", 401, "Unauthorized";
    /// The token's scopes do not cover the operation.
    INSUFFICIENT_SCOPE = "insufficient_scope", 403, "Forbidden";
    /// The tenant is offboarded.
    TENANT_OFFBOARDED = "tenant_offboarded", 403, "Forbidden";
    /// The record does not exist.
    RECORD_NOT_FOUND = "record_not_found", 404, "Not found";
    /// The machine token does not exist.
    TOKEN_NOT_FOUND = "token_not_found", 404, "Not found";
    /// The route does not exist.
    ROUTE_NOT_FOUND = "route_not_found", 404, "Not found";
    /// The tenant does not exist.
    TENANT_NOT_FOUND = "tenant_not_found", 404, "Not found";
    /// Another tenant has the name, or the id was used before.
    TENANT_EXISTS = "tenant_exists", 409, "Conflict";
    /// The id of a resource to create is in use.
    ID_TAKEN = "id_taken", 409, "Conflict";
    /// Another change of the tenant is in progress.
    TENANT_BUSY = "tenant_busy", 409, "Conflict";
    /// The tenant is in a state that does not allow the change.
    CHANGE_NOT_ALLOWED = "change_not_allowed", 409, "Change not allowed";
    /// The plan does not exist.
    UNKNOWN_PLAN = "unknown_plan", 400, "Unknown plan";
    /// The description of an issuer is invalid.
    INVALID_ISSUER = "invalid_issuer", 400, "Invalid issuer";
    /// The issuer belongs to the stack or to another tenant.
    ISSUER_TAKEN = "issuer_taken", 409, "Conflict";
    /// The resource has no representation of a media type that the client accepts.
    NOT_ACCEPTABLE = "not_acceptable", 406, "Not acceptable";
    /// Other requests changed the same items again and again.
    CONFLICT = "conflict", 409, "Conflict";
    /// `If-Match` or `If-None-Match` does not hold.
    PRECONDITION_FAILED = "precondition_failed", 412, "Precondition failed";
    /// A condition of a transaction's operation does not hold.
    TRANSACTION_FAILED = "transaction_failed", 412, "Transaction failed";
    /// The idempotency key was used for another request.
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused", 422, "Idempotency key reused";
    /// The body is too large.
    BODY_TOO_LARGE = "body_too_large", 413, "Content too large";
    /// A record's data is too large.
    DATA_TOO_LARGE = "data_too_large", 413, "Content too large";
    /// The media type of the body is not supported.
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type", 415, "Unsupported media type";
    /// The monthly quota is used up.
    QUOTA_EXCEEDED = "quota_exceeded", 429, "Too many requests";
    /// The stored form of a record cannot be read.
    RECORD_UNREADABLE = "record_unreadable", 500, "Unreadable record";
    /// A defect of the service.
    INTERNAL_ERROR = "internal_error", 500, "Internal error";
    /// The operation needs a deployed stack, and the function runs outside one.
    NOT_DEPLOYED = "not_deployed", 501, "Not deployed";
    /// A backend service is unavailable.
    UNAVAILABLE = "unavailable", 503, "Service unavailable";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_documented() {
        let docs = include_str!("../../../../docs/reference/problems.md");
        for code in Code::ALL {
            let row = format!("| `{}` | {} |", code.name(), code.status().as_u16());
            assert!(docs.contains(&row), "docs/reference/problems.md lacks {row}");
        }
    }

    #[test]
    fn names_are_in_snake_case() {
        for name in ["a", "invoice_sent", "http2_only"] {
            assert!(is_snake_case(name.as_bytes()), "{name}");
        }
        for name in ["", "_", "_a", "a_", "a__b", "2a", "Invoice", "invoice-sent", "invoice sent", "\u{e9}"] {
            assert!(!is_snake_case(name.as_bytes()), "{name}");
        }
    }
}
