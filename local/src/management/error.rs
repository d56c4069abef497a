//! The errors of the management calls, in the form that SDKs read: the type in a header, the message in the body.
//! <https://docs.aws.amazon.com/apigateway/latest/api/CommonErrors.html>

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use crate::gateway::keys::KeyError;

/// The reason why a call is rejected.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("{0}")]
    BadRequest(String),
    #[error("The request is not signed")]
    Unauthorized,
    #[error("{0}")]
    AccessDenied(String),
    #[error("Invalid Usage Plan ID specified")]
    NoPlan,
    #[error("local does not support this call")]
    NoOperation,
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl ApiError {
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BadRequest(_) | Self::Key(KeyError::Value) => (StatusCode::BAD_REQUEST, "BadRequestException"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "UnauthorizedException"),
            Self::AccessDenied(_) => (StatusCode::FORBIDDEN, "AccessDeniedException"),
            Self::NoPlan | Self::Key(KeyError::Unknown | KeyError::NotInPlan) => {
                (StatusCode::NOT_FOUND, "NotFoundException")
            }
            Self::NoOperation => (StatusCode::NOT_FOUND, "UnknownOperationException"),
            Self::Key(KeyError::Exists | KeyError::HasPlan) => (StatusCode::CONFLICT, "ConflictException"),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, kind) = self.kind();
        let body = Json(json!({ "message": self.to_string() }));
        (status, [("x-amzn-errortype", kind)], body).into_response()
    }
}
