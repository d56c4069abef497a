//! The event that a function gets from a Lambda proxy integration. A binary body is base64 in it.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use serde_json::{Map, Value, json};

use super::certificate::CERTIFICATE;
use super::context::Context;
use super::router::Found;
use crate::template::{ACCOUNT, API_ID};

/// The headers between two hops (RFC 9110, section 7.6.1), which end at the gateway.
pub(super) const HOP_BY_HOP: [&str; 8] =
    ["connection", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

type Multi = BTreeMap<String, Vec<String>>;

pub(super) fn proxy(
    head: &Parts,
    body: &[u8],
    found: &Found<'_>,
    context: &Context,
    binary_media_types: &[String],
) -> Value {
    let headers = headers(&head.headers, context);
    let query = query(head.uri.query().unwrap_or_default());
    let binary = head
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|media_type| is_binary(&String::from_utf8_lossy(media_type.as_bytes()), binary_media_types));
    let body = match body {
        [] => None,
        bytes if binary => Some(STANDARD.encode(bytes)),
        // API Gateway treats every other body as text in UTF-8.
        bytes => Some(String::from_utf8_lossy(bytes).into_owned()),
    };
    json!({
        "resource": found.resource.path,
        "path": found.path,
        "httpMethod": context.http_method,
        "headers": last_values(&headers),
        "multiValueHeaders": headers,
        "queryStringParameters": or_null(&last_values(&query)),
        "multiValueQueryStringParameters": or_null(&query),
        "pathParameters": or_null(&found.parameters),
        "stageVariables": null,
        "requestContext": request_context(context, &found.resource.path),
        "isBase64Encoded": binary && body.is_some(),
        "body": body,
    })
}

fn request_context(context: &Context, resource_path: &str) -> Value {
    let mut identity = json!({
        "cognitoIdentityPoolId": null,
        "accountId": null,
        "cognitoIdentityId": null,
        "caller": null,
        "sourceIp": context.source_ip,
        "principalOrgId": null,
        "accessKey": null,
        "cognitoAuthenticationType": null,
        "cognitoAuthenticationProvider": null,
        "userArn": null,
        "userAgent": context.user_agent,
        "user": null,
    });
    let grant = context.authorizer.as_deref();
    if let Some(key) = grant.and_then(|grant| grant.usage_identifier_key.as_deref()) {
        identity["apiKey"] = key.into();
    }
    if let Some(pem) = &context.client_certificate {
        // AWS adds its names, its serial number and its validity, which nothing here reads.
        identity["clientCert"] = json!({ "clientCertPem": pem });
    }
    let mut request_context = json!({
        "resourceId": "local",
        "resourcePath": resource_path,
        "httpMethod": context.http_method,
        "extendedRequestId": context.extended_request_id,
        "requestTime": context.request_time(),
        "path": context.path,
        "accountId": ACCOUNT,
        "protocol": context.protocol,
        "stage": context.stage,
        "domainPrefix": context.domain_name.split('.').next(),
        "requestTimeEpoch": i64::try_from(context.request_time_epoch()).unwrap_or_default(),
        "requestId": context.request_id,
        "identity": identity,
        "domainName": context.domain_name,
        "apiId": API_ID,
    });
    if let Some(grant) = grant {
        let mut authorizer: Map<String, Value> =
            grant.context.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
        authorizer.insert("principalId".to_owned(), grant.principal_id.as_str().into());
        authorizer.insert("integrationLatency".to_owned(), 0.into());
        request_context["authorizer"] = authorizer.into();
    }
    request_context
}

fn headers(headers: &HeaderMap, context: &Context) -> Multi {
    let mut multi = Multi::new();
    let ends_here = |name: &HeaderName| HOP_BY_HOP.contains(&name.as_str()) || *name == CERTIFICATE;
    for (name, value) in headers.iter().filter(|(name, _)| !ends_here(name)) {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        multi.entry(name.to_string()).or_default().push(value);
    }
    let hops = multi.remove("x-forwarded-for").unwrap_or_default();
    let hops: Vec<&str> = hops.iter().map(String::as_str).chain([context.source_ip.as_str()]).collect();
    let seconds = context.time.unix_timestamp();
    let root: String = context.request_id.chars().filter(char::is_ascii_hexdigit).skip(8).collect();
    for (name, value) in [
        ("x-forwarded-for", hops.join(", ")),
        ("x-forwarded-proto", "http".to_owned()),
        ("x-amzn-trace-id", format!("Root=1-{seconds:08x}-{root}")),
    ] {
        multi.insert(name.to_owned(), vec![value]);
    }
    multi
}

fn query(query: &str) -> Multi {
    let mut multi = Multi::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        multi.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    multi
}

fn last_values(multi: &Multi) -> BTreeMap<&str, &str> {
    multi.iter().filter_map(|(name, values)| Some((name.as_str(), values.last()?.as_str()))).collect()
}

/// Returns null for an empty map, as API Gateway has it.
fn or_null<K: serde::Serialize, V: serde::Serialize>(map: &BTreeMap<K, V>) -> Value {
    if map.is_empty() { Value::Null } else { json!(map) }
}

/// Returns whether a media type, of a `Content-Type` or the first of an `Accept`, is one of the API's binary media types.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-payload-encodings-workflow.html>
pub(super) fn is_binary(media_type: &str, binary_media_types: &[String]) -> bool {
    let media_type = media_type.split([';', ',']).next().unwrap_or_default().trim();
    binary_media_types.iter().any(|binary| {
        binary == "*/*"
            || binary.eq_ignore_ascii_case(media_type)
            || binary
                .strip_suffix("/*")
                .is_some_and(|range| media_type.split('/').next().is_some_and(|kind| kind.eq_ignore_ascii_case(range)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_strings_are_decoded_and_the_last_value_is_the_single_one() {
        let multi = query("a=1&b=x%20y%2Bz&a=2&c&d=%C3%A9+e");
        assert_eq!(json!(multi), json!({ "a": ["1", "2"], "b": ["x y+z"], "c": [""], "d": ["é e"] }));
        assert_eq!(json!(last_values(&multi)), json!({ "a": "2", "b": "x y+z", "c": "", "d": "é e" }));
    }

    #[test]
    fn binary_media_types_are_types_ranges_or_all() {
        let binary = |media_type, types: &[&str]| {
            is_binary(media_type, &types.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
        };
        assert!(binary("application/octet-stream", &["application/octet-stream"]));
        assert!(binary("Image/PNG; q=1, text/html", &["image/*"]));
        assert!(binary("text/plain", &["*/*"]));
        assert!(!binary("text/plain, image/png", &["image/png"]));
        assert!(!binary("imagery/png", &["image/*"]));
        assert!(!binary("*/*", &["image/png"]));
    }
}
