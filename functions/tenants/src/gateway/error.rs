//! The errors of API Gateway's management API.
//!
//! The API documents the same few errors for all of its calls, in addition to those that every AWS service has. If an error has a
//! special meaning for a call, such as an API key that already exists, the caller interprets it.
//! <https://docs.aws.amazon.com/apigateway/latest/api/CommonErrors.html>

use aws_sdk_apigateway::error::{ProvideErrorMetadata, SdkError};
use service::domain::tenant::lifecycle::FailureCode;
use service::runtime::aws;

use super::NotDeployed;

/// A call of API Gateway failed after its retries. The text is for the log.
#[derive(Debug, thiserror::Error)]
#[error("API Gateway: {cause}")]
pub(crate) struct GatewayFault {
    code: FailureCode,
    cause: String,
}

impl GatewayFault {
    pub(super) fn new(code: FailureCode, cause: String) -> Self {
        Self { code, cause }
    }

    /// The code that the operator reads.
    pub(crate) fn code(&self) -> FailureCode {
        self.code
    }
}

impl From<NotDeployed> for GatewayFault {
    fn from(error: NotDeployed) -> Self {
        Self::new(FailureCode::NotDeployed, error.to_string())
    }
}

/// Why an API key could not be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFault {
    /// The API key does not exist any more: somebody deleted it.
    #[error("the key is gone: {0}")]
    Gone(GatewayFault),
    /// A call of API Gateway failed.
    #[error(transparent)]
    Gateway(#[from] GatewayFault),
}

impl From<NotDeployed> for KeyFault {
    fn from(error: NotDeployed) -> Self {
        Self::Gateway(error.into())
    }
}

impl KeyFault {
    /// The fault, for a caller to whom a deleted API key is a fault as well.
    pub(crate) fn fault(self) -> GatewayFault {
        match self {
            Self::Gone(fault) | Self::Gateway(fault) => fault,
        }
    }
}

/// The kinds of errors that callers distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `NotFoundException`.
    NotFound,
    /// `ConflictException`.
    Conflict,
    /// `LimitExceededException`: a quota of the account, or a rate, as AWS documents it.
    LimitExceeded,
    /// `UnauthorizedException`, `AccessDeniedException`, and other errors with the status 401 or 403.
    Denied,
    /// `BadRequestException`, and other errors that a retry of the same request would meet again.
    Rejected,
    /// `TooManyRequestsException`, `ServiceUnavailableException`, failures of the service, and no response at all.
    Unavailable,
}

/// A call that failed after its retries.
#[derive(Debug)]
pub(super) struct CallError {
    pub(super) kind: Kind,
    cause: String,
}

impl<E: ProvideErrorMetadata> From<SdkError<E>> for CallError {
    fn from(error: SdkError<E>) -> Self {
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
        let kind = match (code, error.raw_response().map(|response| response.status().as_u16())) {
            (Some("NotFoundException"), _) => Kind::NotFound,
            (Some("ConflictException"), _) => Kind::Conflict,
            (Some("LimitExceededException"), _) => Kind::LimitExceeded,
            (_, Some(401 | 403)) => Kind::Denied,
            (_, Some(408 | 429)) => Kind::Unavailable,
            (_, Some(400..500)) => Kind::Rejected,
            _ => Kind::Unavailable,
        };
        Self { kind, cause: aws::describe(&error) }
    }
}

impl CallError {
    /// The fault of a call for which the error has no special meaning.
    pub(super) fn fault(self) -> GatewayFault {
        let code = match self.kind {
            // Two concurrent changes of one resource are a conflict, which is over at the next attempt.
            Kind::Conflict | Kind::LimitExceeded | Kind::Unavailable => FailureCode::Unavailable,
            Kind::Denied => FailureCode::AccessDenied,
            Kind::NotFound | Kind::Rejected => FailureCode::RequestRejected,
        };
        self.because(code)
    }

    /// The fault of a call for which the error has a special meaning.
    pub(super) fn because(self, code: FailureCode) -> GatewayFault {
        GatewayFault::new(code, self.cause)
    }
}
