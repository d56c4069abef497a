//! The `OPTIONS` methods that SAM adds for `Cors`: a mock integration, open to everybody, whose response is a 200.
//! <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-api-corsconfiguration.html>

use axum::body::Body;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    CONTENT_TYPE,
};
use http::{HeaderValue, Response};

use crate::template::Cors;

pub(super) fn preflight(cors: Option<&Cors>) -> Response<Body> {
    let mut response = Response::new(Body::from("{}\n"));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let Some(Cors { allow_origin, allow_methods, allow_headers, max_age }) = cors else { return response };
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_ORIGIN, allow_origin),
        (ACCESS_CONTROL_ALLOW_METHODS, allow_methods),
        (ACCESS_CONTROL_ALLOW_HEADERS, allow_headers),
        (ACCESS_CONTROL_MAX_AGE, max_age),
    ] {
        if let Some(value) = value.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    }
    response
}
