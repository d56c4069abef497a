//! The limits of API Gateway on requests and integrations.
//!
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html>
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html>

use std::time::Duration;

use axum::body::{Body, Bytes};
use http::request::Parts;

use super::error_response::ErrorResponse;

/// The time that a function may take, whatever its own timeout is.
pub(super) const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(29);

pub(super) const BODY_BYTES: usize = 10 * 1024 * 1024;
/// AWS's "Total combined size of request line and header values". The pages do not name a status; 431 is the one that HTTP
/// has for it.
const HEAD_BYTES: usize = 10_240;
const METHOD_ARN_BYTES: usize = 1600;

/// More is read than accepted, because a client that is still sending when the connection closes never sees the 413.
const DRAINED_BYTES: usize = 4 * BODY_BYTES;

pub(super) async fn body(body: Body) -> Result<Bytes, ErrorResponse> {
    match axum::body::to_bytes(body, DRAINED_BYTES).await {
        Ok(bytes) if bytes.len() <= BODY_BYTES => Ok(bytes),
        _ => Err(ErrorResponse::BODY_TOO_LARGE),
    }
}

pub(super) fn head(head: &Parts) -> Result<(), ErrorResponse> {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let line = head.method.as_str().len() + target + " HTTP/1.1 ".len();
    let values: usize = head.headers.values().map(http::HeaderValue::len).sum();
    if line + values > HEAD_BYTES { Err(ErrorResponse::HEAD_TOO_LARGE) } else { Ok(()) }
}

pub(super) fn method_arn(arn: &str) -> Result<(), ErrorResponse> {
    if arn.len() > METHOD_ARN_BYTES { Err(ErrorResponse::ARN_TOO_LONG) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[tokio::test]
    async fn a_body_of_ten_megabytes_passes_and_one_byte_more_does_not() {
        assert!(body(Body::from(vec![b'x'; BODY_BYTES])).await.is_ok());
        assert_eq!(body(Body::from(vec![b'x'; BODY_BYTES + 1])).await.unwrap_err(), ErrorResponse::BODY_TOO_LARGE);
        assert_eq!(body(Body::from(vec![b'x'; DRAINED_BYTES + 1])).await.unwrap_err(), ErrorResponse::BODY_TOO_LARGE);
    }

    #[test]
    fn request_line_and_header_values_count_together() {
        let sized = |bytes: usize| {
            let request = Request::get("/v1").header("x-a", "a".repeat(bytes)).body(()).unwrap();
            head(&request.into_parts().0)
        };
        let line = "GET /v1 HTTP/1.1".len();
        assert_eq!(sized(HEAD_BYTES - line), Ok(()));
        assert_eq!(sized(HEAD_BYTES - line + 1), Err(ErrorResponse::HEAD_TOO_LARGE));
    }

    #[test]
    fn a_method_arn_has_at_most_1600_bytes() {
        assert_eq!(method_arn(&"a".repeat(1600)), Ok(()));
        assert_eq!(method_arn(&"a".repeat(1601)), Err(ErrorResponse::ARN_TOO_LONG));
    }
}
