//! What the errors of API Gateway's management API mean.
//!
//! The API documents the same few errors for all of its calls, and adds those that every AWS service has. Where a call
//! gives one of them a meaning of its own, such as a key that is there already, that is told where the call is made.
//! <https://docs.aws.amazon.com/apigateway/latest/api/CommonErrors.html>

use aws_sdk_apigateway::error::{ProvideErrorMetadata, SdkError};
use service::domain::tenant::lifecycle::FailureCode;
use service::runtime::aws;

use super::NotDeployed;

/// API Gateway did not do what it was asked, after retries. The text is for the log.
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

    /// What the operator is told.
    pub(crate) fn code(&self) -> FailureCode {
        self.code
    }
}

impl From<NotDeployed> for GatewayFault {
    fn from(error: NotDeployed) -> Self {
        Self::new(FailureCode::NotDeployed, error.to_string())
    }
}

/// Why a key could not be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFault {
    /// The key is not there any more: somebody deleted it.
    #[error("the key is gone: {0}")]
    Gone(GatewayFault),
    /// API Gateway did not do it.
    #[error(transparent)]
    Gateway(#[from] GatewayFault),
}

impl From<NotDeployed> for KeyFault {
    fn from(error: NotDeployed) -> Self {
        Self::Gateway(error.into())
    }
}

impl KeyFault {
    /// The fault where a key that is gone is one as well.
    pub(crate) fn fault(self) -> GatewayFault {
        match self {
            Self::Gone(fault) | Self::Gateway(fault) => fault,
        }
    }
}

/// The kinds of errors that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `NotFoundException`.
    NotFound,
    /// `ConflictException`.
    Conflict,
    /// `LimitExceededException`: a quota of the account, and by AWS's own words also a rate.
    LimitExceeded,
    /// `UnauthorizedException`, `AccessDeniedException` and others of their statuses.
    Denied,
    /// `BadRequestException` and other errors that the same request meets again.
    Rejected,
    /// `TooManyRequestsException`, `ServiceUnavailableException`, failures of the service, and no response at all.
    Unavailable,
}

/// A call was not done.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) kind: Kind,
    cause: String,
}

impl<E: ProvideErrorMetadata> From<SdkError<E>> for Refusal {
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

impl Refusal {
    /// The fault of a call that gives the error no meaning of its own.
    pub(super) fn fault(self) -> GatewayFault {
        let code = match self.kind {
            // Two changes of one thing at the same time are a conflict, which is over at the next attempt.
            Kind::Conflict | Kind::LimitExceeded | Kind::Unavailable => FailureCode::Unavailable,
            Kind::Denied => FailureCode::AccessDenied,
            Kind::NotFound | Kind::Rejected => FailureCode::RequestRejected,
        };
        self.because(code)
    }

    /// The fault of a call that knows better.
    pub(super) fn because(self, code: FailureCode) -> GatewayFault {
        GatewayFault::new(code, self.cause)
    }
}
