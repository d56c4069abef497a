//! A response in the format in which a function returns it to API Gateway.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html>

use std::collections::BTreeMap;

use http::{HeaderMap, Response, StatusCode};
use lambda_http::Body;
use serde::{Serialize, Serializer};

/// A response on its way to API Gateway.
#[derive(Debug)]
pub(super) struct Outgoing(pub(super) Response<Body>);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProxyResponse<'a> {
    status_code: u16,
    /// The headers that are null.
    headers: BTreeMap<&'a str, Option<&'a str>>,
    multi_value_headers: BTreeMap<&'a str, Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    is_base64_encoded: bool,
}

/// Whether a response of this status has no content (RFC 9110, sections 15.3.5 and 15.4.5).
pub(super) fn is_bare(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

impl Serialize for Outgoing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(response) = self;
        // API Gateway adds `application/json` to a response without a media type, even to one without content, unless the
        // function returns null for it (<https://github.com/aws/aws-sam-cli/issues/1218>).
        let media_type = is_bare(response.status()).then_some(("content-type", None));
        ProxyResponse {
            status_code: response.status().as_u16(),
            headers: media_type.into_iter().collect(),
            multi_value_headers: lines(response.headers()),
            body: match response.body() {
                Body::Text(text) => Some(text),
                // No function returns bytes.
                _ => None,
            },
            is_base64_encoded: false,
        }
        .serialize(serializer)
    }
}

fn lines(headers: &HeaderMap) -> BTreeMap<&str, Vec<&str>> {
    let values = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    headers.keys().map(|name| (name.as_str(), values(name))).collect()
}

#[cfg(test)]
mod tests {
    use http::header::{ETAG, HeaderValue, VARY};
    use serde_json::{Value, json};

    use super::*;

    fn sent(status: u16, body: Body) -> Value {
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response.headers_mut().insert(ETAG, HeaderValue::from_static("\"1\""));
        response.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
        response.headers_mut().append(VARY, HeaderValue::from_static("Origin"));
        serde_json::to_value(Outgoing(response)).unwrap()
    }

    #[test]
    fn every_line_of_a_header_is_sent_once() {
        let lines = json!({ "etag": ["\"1\""], "vary": ["Accept", "Origin"] });
        let expected = json!({
            "statusCode": 200, "headers": {}, "multiValueHeaders": lines, "body": "{}", "isBase64Encoded": false,
        });
        assert_eq!(sent(200, "{}".into()), expected);
    }

    #[test]
    fn only_a_response_without_content_has_no_media_type() {
        let null = json!({ "content-type": null });
        for (status, headers) in [(204, &null), (304, &null), (200, &json!({})), (404, &json!({}))] {
            let sent = sent(status, Body::Empty);
            assert_eq!((&sent["headers"], sent.get("body")), (headers, None), "{status}");
        }
    }
}
