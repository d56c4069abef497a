//! API Gateway's errors, as its SDKs read them: the type in a header, the message in the body.
//! <https://docs.aws.amazon.com/apigateway/latest/api/CommonErrors.html>

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::faults::Refusal;
use crate::gateway::keys::KeyError;

/// Why a call is refused, or fails.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("{0}")]
    BadRequest(String),
    #[error("The request is not signed")]
    Unauthorized,
    #[error("Invalid Usage Plan ID specified")]
    NoPlan,
    #[error("local does not support this call")]
    NoOperation,
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("Too Many Requests")]
    TooManyRequests,
    #[error("Internal Failure")]
    Internal,
    #[error("The call fails because it was told to")]
    Refused(Refusal),
}

impl ApiError {
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BadRequest(_) | Self::Key(KeyError::Value) | Self::Refused(Refusal::BadRequest) => {
                (StatusCode::BAD_REQUEST, "BadRequestException")
            }
            Self::Unauthorized | Self::Refused(Refusal::Unauthorized) => {
                (StatusCode::UNAUTHORIZED, "UnauthorizedException")
            }
            Self::Refused(Refusal::AccessDenied) => (StatusCode::FORBIDDEN, "AccessDeniedException"),
            Self::NoPlan | Self::Key(KeyError::Unknown | KeyError::NotInPlan) | Self::Refused(Refusal::NotFound) => {
                (StatusCode::NOT_FOUND, "NotFoundException")
            }
            Self::NoOperation => (StatusCode::NOT_FOUND, "UnknownOperationException"),
            Self::Key(KeyError::Exists | KeyError::HasPlan) | Self::Refused(Refusal::Conflict) => {
                (StatusCode::CONFLICT, "ConflictException")
            }
            Self::Refused(Refusal::LimitExceeded) => (StatusCode::TOO_MANY_REQUESTS, "LimitExceededException"),
            Self::Refused(Refusal::ServiceUnavailable) => {
                (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException")
            }
            Self::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure"),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, kind) = self.kind();
        let body = Json(json!({ "message": self.to_string() }));
        let mut response = (status, [("x-amzn-errortype", kind)], body).into_response();
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
