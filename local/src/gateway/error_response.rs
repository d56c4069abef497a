//! The errors that API Gateway returns itself, each with the type, status and message of AWS.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html>

use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};

/// The response to a request that does not get a function's response: it was denied or rejected, or something failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ErrorResponse {
    pub(super) kind: ResponseType,
    pub(super) status: StatusCode,
    message: &'static str,
}

/// The types of gateway responses that occur here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseType {
    AccessDenied,
    AuthorizerConfigurationError,
    AuthorizerFailure,
    /// A status without a type of its own.
    Default4xx,
    /// A status without a type of its own.
    Default5xx,
    IntegrationFailure,
    IntegrationTimeout,
    InvalidApiKey,
    InvalidSignature,
    MissingAuthenticationToken,
    QuotaExceeded,
    RequestTooLarge,
    Throttled,
    Unauthorized,
    UnsupportedMediaType,
}

impl ResponseType {
    /// Returns the name that the template and AWS's pages use.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AccessDenied => "ACCESS_DENIED",
            Self::AuthorizerConfigurationError => "AUTHORIZER_CONFIGURATION_ERROR",
            Self::AuthorizerFailure => "AUTHORIZER_FAILURE",
            Self::Default4xx => "DEFAULT_4XX",
            Self::Default5xx => "DEFAULT_5XX",
            Self::IntegrationFailure => "INTEGRATION_FAILURE",
            Self::IntegrationTimeout => "INTEGRATION_TIMEOUT",
            Self::InvalidApiKey => "INVALID_API_KEY",
            Self::InvalidSignature => "INVALID_SIGNATURE",
            Self::MissingAuthenticationToken => "MISSING_AUTHENTICATION_TOKEN",
            Self::QuotaExceeded => "QUOTA_EXCEEDED",
            Self::RequestTooLarge => "REQUEST_TOO_LARGE",
            Self::Throttled => "THROTTLED",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
        }
    }
}

impl ErrorResponse {
    pub(super) const ARN_TOO_LONG: Self =
        Self::new(ResponseType::Default4xx, StatusCode::URI_TOO_LONG, "Request URI too long");
    pub(super) const AUTHORIZER_CONFIGURATION: Self = Self::new(
        ResponseType::AuthorizerConfigurationError,
        StatusCode::INTERNAL_SERVER_ERROR,
        "Internal server error",
    );
    pub(super) const AUTHORIZER_FAILURE: Self =
        Self::new(ResponseType::AuthorizerFailure, StatusCode::INTERNAL_SERVER_ERROR, "Internal server error");
    /// A function that fails, or whose response is malformed.
    pub(super) const BAD_GATEWAY: Self =
        Self::new(ResponseType::Default5xx, StatusCode::BAD_GATEWAY, "Internal server error");
    /// A body beyond API Gateway's 10 MB, or an event beyond Lambda's 6 MB, which users report as a 413 with this message:
    /// <https://github.com/koki-develop/lgtm-generator/issues/10>.
    pub(super) const BODY_TOO_LARGE: Self =
        Self::new(ResponseType::RequestTooLarge, StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long");
    pub(super) const EXPLICIT_DENY: Self = Self::new(
        ResponseType::AccessDenied,
        StatusCode::FORBIDDEN,
        "User is not authorized to access this resource with an explicit deny",
    );
    pub(super) const HEAD_TOO_LARGE: Self = Self::new(
        ResponseType::Default4xx,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "Request header fields too large",
    );
    pub(super) const IMPLICIT_DENY: Self =
        Self::new(ResponseType::AccessDenied, StatusCode::FORBIDDEN, "User is not authorized to access this resource");
    /// An invocation that Lambda throttled because of the function's concurrency. AWS's pages do not state which response
    /// that is; users of REST APIs report this type, with 500 as its status unless the response is customized:
    /// <https://repost.aws/questions/QUfI6bsdd0SOiPeyimzxSkfQ>.
    pub(super) const INTEGRATION_FAILURE: Self =
        Self::new(ResponseType::IntegrationFailure, StatusCode::INTERNAL_SERVER_ERROR, "Internal server error");
    pub(super) const INVALID_API_KEY: Self = Self::new(ResponseType::InvalidApiKey, StatusCode::FORBIDDEN, "Forbidden");
    pub(super) const QUOTA_EXCEEDED: Self =
        Self::new(ResponseType::QuotaExceeded, StatusCode::TOO_MANY_REQUESTS, "Limit Exceeded");
    /// A path or a method that is not routed, in a request without an `Authorization` header.
    pub(super) const ROUTE: Self =
        Self::new(ResponseType::MissingAuthenticationToken, StatusCode::FORBIDDEN, "Missing Authentication Token");
    /// The same in a request with such a header, whatever it contains: API Gateway reads it as a malformed AWS signature.
    /// AWS's pages do not name the type, and this is the only one that fits. Users report it:
    /// <https://github.com/aws/chalice/issues/828>,
    /// <https://github.com/amazon-archives/aws-cognito-angular-quickstart/issues/50>.
    pub(super) const SIGNATURE: Self = Self::new(
        ResponseType::InvalidSignature,
        StatusCode::FORBIDDEN,
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. \
         Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a \
         'X-Amz-Date' or a 'Date' header.",
    );
    pub(super) const THROTTLED: Self =
        Self::new(ResponseType::Throttled, StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
    pub(super) const TIMEOUT: Self =
        Self::new(ResponseType::IntegrationTimeout, StatusCode::GATEWAY_TIMEOUT, "Endpoint request timed out");
    pub(super) const UNAUTHORIZED: Self =
        Self::new(ResponseType::Unauthorized, StatusCode::UNAUTHORIZED, "Unauthorized");
    /// A body whose `Content-Encoding` is not known, or does not match the body.
    pub(super) const UNSUPPORTED_MEDIA_TYPE: Self =
        Self::new(ResponseType::UnsupportedMediaType, StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported Media Type");

    /// Returns the response to a path or a method that is not routed.
    pub(super) fn not_routed(headers: &HeaderMap) -> Self {
        if headers.contains_key(AUTHORIZATION) { Self::SIGNATURE } else { Self::ROUTE }
    }

    const fn new(kind: ResponseType, status: StatusCode, message: &'static str) -> Self {
        Self { kind, status, message }
    }

    /// Returns the value of `$context.error.<name>`.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        match name {
            "message" => Some(self.message.to_owned()),
            "messageString" => Some(serde_json::Value::from(self.message).to_string()),
            "responseType" => Some(self.kind.name().to_owned()),
            _ => None,
        }
    }
}
