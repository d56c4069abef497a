//! The response of a Lambda proxy integration: `{statusCode, headers, multiValueHeaders, body, isBase64Encoded}`.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html>

use std::collections::BTreeMap;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::event::{HOP_BY_HOP, is_binary};

/// The headers that the gateway owns. A client gets those of a function as `x-amzn-Remapped-<name>`.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html>
const REMAPPED: [&str; 7] =
    ["authorization", "date", "host", "server", "user-agent", "www-authenticate", "x-amzn-requestid"];

/// The reason why a function's response is malformed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyResponseError {
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("the status {0} is not valid")]
    Status(u16),
    #[error("the header `{0}` is not valid")]
    Header(String),
    #[error("the body is not valid base64: {0}")]
    Base64(#[from] base64::DecodeError),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProxyResponse {
    status_code: u16,
    #[serde(default)]
    headers: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    multi_value_headers: Option<BTreeMap<String, Vec<Value>>>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// Converts a function's response into the HTTP response for the client that sent `request`.
pub(super) fn to_http(
    bytes: &[u8],
    request: &HeaderMap,
    binary_media_types: &[String],
) -> Result<Response<Body>, ProxyResponseError> {
    let ProxyResponse { status_code, headers, multi_value_headers, body, is_base64_encoded } =
        serde_json::from_slice(bytes)?;
    let status = StatusCode::from_u16(status_code).ok().filter(|status| !status.is_informational());

    // As on AWS, a client requests binary by its `Accept` header: without it, base64 stays base64.
    let accept = request.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let body = match body.unwrap_or_default() {
        text if is_base64_encoded && is_binary(accept, binary_media_types) => Body::from(STANDARD.decode(text)?),
        text => Body::from(text),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status.ok_or(ProxyResponseError::Status(status_code))?;
    *response.headers_mut() = merge(headers.unwrap_or_default(), multi_value_headers.unwrap_or_default())?;
    Ok(response)
}

/// Merges both kinds of headers. A value that is in both appears once, and a null not at all. A response without a media
/// type is JSON, unless the function sets the media type to null (<https://github.com/aws/aws-sam-cli/issues/1218>).
fn merge(
    single: BTreeMap<String, Value>,
    multi: BTreeMap<String, Vec<Value>>,
) -> Result<HeaderMap, ProxyResponseError> {
    let mut headers = HeaderMap::new();
    let named = |name: &String| name.eq_ignore_ascii_case(CONTENT_TYPE.as_str());
    if !single.keys().chain(multi.keys()).any(named) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let single = single.into_iter().map(|(name, value)| (name, vec![value]));
    for (name, values) in multi.into_iter().chain(single) {
        let Some(key) = header_name(&name)? else { continue };
        for value in values {
            let text = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(truth) => truth.to_string(),
                Value::Null => continue,
                Value::Array(_) | Value::Object(_) => return Err(ProxyResponseError::Header(name)),
            };
            let value = HeaderValue::try_from(text).map_err(|_| ProxyResponseError::Header(name.clone()))?;
            if !headers.get_all(&key).iter().any(|known| *known == value) {
                headers.append(key.clone(), value);
            }
        }
    }
    Ok(headers)
}

/// Returns the name under which the client gets a function's header, or none for a header of the connection, which is not
/// part of the response.
fn header_name(name: &str) -> Result<Option<HeaderName>, ProxyResponseError> {
    let malformed = |_| ProxyResponseError::Header(name.to_owned());
    let key = HeaderName::try_from(name).map_err(malformed)?;
    if key == CONTENT_LENGTH || HOP_BY_HOP.contains(&key.as_str()) {
        return Ok(None);
    }
    if REMAPPED.contains(&key.as_str()) {
        return HeaderName::try_from(format!("x-amzn-remapped-{key}")).map(Some).map_err(malformed);
    }
    Ok(Some(key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn converted(value: &Value) -> Result<Response<Body>, ProxyResponseError> {
        to_http(value.to_string().as_bytes(), &HeaderMap::new(), &["image/png".to_owned()])
    }

    fn all(response: &Response<Body>, name: &str) -> Vec<String> {
        response.headers().get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    async fn text(response: Response<Body>) -> Vec<u8> {
        axum::body::to_bytes(response.into_body(), 1000).await.unwrap().to_vec()
    }

    #[test]
    fn headers_merge_without_repeating_a_value() {
        let response = converted(&json!({
            "statusCode": 200,
            "headers": { "X-A": "1", "x-n": 5, "X-B": true },
            "multiValueHeaders": { "x-a": ["1", "2"], "Set-Cookie": ["a", "b"] },
        }))
        .unwrap();
        assert_eq!(all(&response, "x-a"), ["1", "2"]);
        assert_eq!(all(&response, "set-cookie"), ["a", "b"]);
        assert_eq!(all(&response, "x-n"), ["5"]);
        assert_eq!(all(&response, "x-b"), ["true"]);
        assert_eq!(all(&response, "content-type"), ["application/json"]);
    }

    #[test]
    fn a_function_cannot_set_headers_of_the_connection_or_the_gateway() {
        let headers = json!({
            "Connection": "close", "Transfer-Encoding": "chunked", "Content-Length": "999",
            "WWW-Authenticate": "Basic", "Date": "now", "Content-Type": "text/plain",
        });
        let response = converted(&json!({ "statusCode": 200, "headers": headers })).unwrap();
        let names: Vec<&str> = response.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names.len(), 3, "{names:?}");
        assert_eq!(all(&response, "x-amzn-remapped-www-authenticate"), ["Basic"]);
        assert_eq!(all(&response, "x-amzn-remapped-date"), ["now"]);
        assert_eq!(all(&response, "content-type"), ["text/plain"]);
    }

    #[test]
    fn a_media_type_that_is_null_is_left_out() {
        let headers = [
            json!({ "headers": { "content-type": null } }),
            json!({ "multiValueHeaders": { "Content-Type": [null] } }),
        ];
        for mut value in headers {
            value["statusCode"] = 204.into();
            assert!(converted(&value).unwrap().headers().is_empty(), "{value}");
        }
        assert_eq!(all(&converted(&json!({ "statusCode": 204 })).unwrap(), "content-type"), ["application/json"]);
    }

    #[tokio::test]
    async fn base64_is_decoded_for_a_client_that_accepts_the_media_type() {
        let value = json!({ "statusCode": 200, "body": "AP8=", "isBase64Encoded": true });
        assert_eq!(text(converted(&value).unwrap()).await, b"AP8=");
        let accepts = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("image/png, */*"))]);
        let types = ["image/png".to_owned()];
        let response = to_http(value.to_string().as_bytes(), &accepts, &types).unwrap();
        assert_eq!(text(response).await, [0, 255]);
    }

    #[test]
    fn a_malformed_response_is_an_error() {
        for value in [
            json!(null),
            json!("text"),
            json!({}),
            json!({ "statusCode": "abc" }),
            json!({ "statusCode": 99 }),
            json!({ "statusCode": 101 }),
            json!({ "statusCode": 1000 }),
            json!({ "statusCode": 200, "body": { "not": "text" } }),
            json!({ "statusCode": 200, "headers": ["a"] }),
            json!({ "statusCode": 200, "headers": { "a b": "c" } }),
            json!({ "statusCode": 200, "headers": { "a": "b\nc" } }),
            json!({ "statusCode": 200, "headers": { "a": {} } }),
            json!({ "statusCode": 200, "multiValueHeaders": { "a": "b" } }),
            json!({ "statusCode": 200, "isBase64Encoded": "true" }),
        ] {
            assert!(converted(&value).is_err(), "{value}");
        }
        let broken = json!({ "statusCode": 200, "body": "!", "isBase64Encoded": true });
        let accepts = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("image/png"))]);
        assert!(to_http(broken.to_string().as_bytes(), &accepts, &["image/png".to_owned()]).is_err());
    }
}
