//! The HTTP endpoints of the issuer: discovery, the JWKS and the token endpoint.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use service::domain::certificate::Thumbprint;

use super::{Issuer, TokenError};
use crate::gateway::certificate;

const PARAMETERS: [&str; 4] = ["grant_type", "client_id", "scope", "expires_in"];

pub(super) fn router(issuer: Issuer) -> Router {
    Router::new()
        .route("/_local/.well-known/openid-configuration", get(configuration))
        .route("/_local/jwks.json", get(jwks))
        .route("/_local/oauth2/token", post(token))
        .with_state(issuer)
}

/// Returns the metadata of OpenID Connect Discovery 1.0, section 3.
async fn configuration(State(issuer): State<Issuer>) -> Json<Value> {
    let url = issuer.url();
    Json(json!({
        "issuer": url,
        "jwks_uri": issuer.jwks_url(),
        "token_endpoint": format!("{url}/oauth2/token"),
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "tls_client_certificate_bound_access_tokens": true,
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
    }))
}

async fn jwks(State(issuer): State<Issuer>) -> impl IntoResponse {
    // The signing key changes when the data folder is deleted.
    ([(CACHE_CONTROL, "max-age=60")], Json(issuer.jwks()))
}

async fn token(State(issuer): State<Issuer>, headers: HeaderMap, body: Bytes) -> Response {
    let token = parse(&headers, &body).and_then(|form| {
        let get = |name| form.get(name).map(String::as_str);
        match get("grant_type") {
            None => return Err(TokenError::InvalidRequest("grant_type is missing")),
            Some("client_credentials") => {}
            Some(_) => return Err(TokenError::UnsupportedGrantType),
        }
        let client = match (basic_client(&headers)?, get("client_id").map(str::to_owned)) {
            (Some(basic), Some(posted)) if basic != posted => return Err(TokenError::InvalidClient),
            (basic, posted) => basic.or(posted).ok_or(TokenError::InvalidRequest("client_id is missing"))?,
        };
        let expires_in = get("expires_in")
            .map(|text| text.parse().map_err(|_| TokenError::InvalidRequest("expires_in is not a number of seconds")));
        // A client that requests a token over mutual TLS gets one that is bound to its certificate (RFC 8705, section 3).
        let certificate = certificate::pem(&headers).map(|pem| Thumbprint::of_pem(&pem)).transpose();
        let certificate = certificate.map_err(|_| TokenError::InvalidRequest("the certificate is not in PEM"))?;
        issuer.token(&client, get("scope"), expires_in.transpose()?, certificate)
    });
    // A response with a token must have both headers (RFC 6749, section 5.1).
    let uncached = [(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")];
    match token {
        Ok(token) => (uncached, Json(token)).into_response(),
        Err(error) => {
            let (status, code) = code(&error);
            let body = Json(json!({ "error": code, "error_description": error.to_string() }));
            let mut response = (status, uncached, body).into_response();
            if status == StatusCode::UNAUTHORIZED {
                // A 401 has to name a scheme (RFC 9110, section 11.6.1).
                let scheme = http::HeaderValue::from_static("Basic realm=\"tenantry\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
            }
            response
        }
    }
}

/// Parses a form by the rules of RFC 6749, section 3.2: no parameter may be repeated, an empty one counts as missing, and
/// unknown ones are ignored.
fn parse(headers: &HeaderMap, body: &[u8]) -> Result<BTreeMap<String, String>, TokenError> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(TokenError::InvalidRequest("the body must be application/x-www-form-urlencoded"));
    }
    let mut form = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(body) {
        if !PARAMETERS.contains(&name.as_ref()) || value.is_empty() {
            continue;
        }
        if form.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err(TokenError::InvalidRequest("a parameter appears twice"));
        }
    }
    Ok(form)
}

/// Reads the client's id from `Authorization: Basic` (RFC 6749, section 2.3.1), as libraries send it. Every secret is
/// accepted.
fn basic_client(headers: &HeaderMap) -> Result<Option<String>, TokenError> {
    let Some(authorization) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let client = || {
        let (scheme, credentials) = authorization.to_str().ok()?.split_once(' ')?;
        let credentials = STANDARD.decode(scheme.eq_ignore_ascii_case("Basic").then_some(credentials)?).ok()?;
        let id = credentials.split(|byte| *byte == b':').next()?;
        // The id is encoded like a value in a form. Parsed as a form, it is the name of the first parameter.
        form_urlencoded::parse(id).next().map(|(id, _)| id.into_owned())
    };
    client().map(Some).ok_or(TokenError::InvalidClient)
}

fn code(error: &TokenError) -> (StatusCode, &'static str) {
    match error {
        TokenError::InvalidRequest(_) => (StatusCode::BAD_REQUEST, "invalid_request"),
        TokenError::UnknownClient(_) | TokenError::InvalidClient => (StatusCode::UNAUTHORIZED, "invalid_client"),
        TokenError::UnsupportedGrantType => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        TokenError::MalformedScope | TokenError::UnknownScope { .. } => (StatusCode::BAD_REQUEST, "invalid_scope"),
        TokenError::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{claims, issuer};
    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";

    async fn post(content_type: &str, body: &'static str) -> (StatusCode, HeaderMap, Value) {
        send(&[(CONTENT_TYPE, content_type)], body).await
    }

    async fn send(headers: &[(http::HeaderName, &str)], body: &'static str) -> (StatusCode, HeaderMap, Value) {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        let (parts, body) = token(State(issuer()), headers, Bytes::from_static(body.as_bytes())).await.into_parts();
        let body = axum::body::to_bytes(body, 10_000).await.unwrap();
        (parts.status, parts.headers, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_token_response_follows_rfc_6749() {
        let form =
            "grant_type=client_credentials&client_id=acme&scope=records%3Aread&expires_in=60&client_secret=x&y=z";
        let (status, headers, token) = post("application/x-www-form-urlencoded; charset=utf-8", form).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert_eq!(token["token_type"], "Bearer");
        assert_eq!(token["expires_in"], 60);
        assert_eq!(token["scope"], "records:read");
        assert_eq!(claims(token["access_token"].as_str().unwrap())["scope"], "records:read");
    }

    #[tokio::test]
    async fn error_responses_follow_rfc_6749() {
        for (content_type, form, status, code) in [
            (FORM, "", 400, "invalid_request"),
            (FORM, "grant_type=client_credentials", 400, "invalid_request"),
            (FORM, "grant_type=client_credentials&client_id=", 400, "invalid_request"),
            (FORM, "grant_type=client_credentials&client_id=acme&client_id=acme", 400, "invalid_request"),
            (FORM, "grant_type=client_credentials&client_id=acme&expires_in=soon", 400, "invalid_request"),
            ("application/json", "grant_type=client_credentials&client_id=acme", 400, "invalid_request"),
            (FORM, "grant_type=password&client_id=acme", 400, "unsupported_grant_type"),
            (FORM, "grant_type=client_credentials&client_id=nobody", 401, "invalid_client"),
            (FORM, "grant_type=client_credentials&client_id=acme&scope=tenants:admin", 400, "invalid_scope"),
            (FORM, "grant_type=client_credentials&client_id=acme&scope=no:such", 400, "invalid_scope"),
        ] {
            let (got, headers, body) = post(content_type, form).await;
            assert_eq!((got.as_u16(), &body["error"]), (status, &json!(code)), "{form}");
            assert_eq!(headers[CACHE_CONTROL], "no-store");
            assert_eq!(headers.contains_key(WWW_AUTHENTICATE), status == 401);
        }
    }

    #[tokio::test]
    async fn a_client_may_authenticate_with_basic_credentials() {
        let request = async |credentials: &str, form| {
            let basic = format!("Basic {}", STANDARD.encode(credentials));
            send(&[(CONTENT_TYPE, FORM), (AUTHORIZATION, &basic)], form).await
        };
        let (status, _, token) = request("acme:any secret", "grant_type=client_credentials").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(claims(token["access_token"].as_str().unwrap())["client_id"], "acme");
        for (credentials, form) in [
            ("nobody:x", "grant_type=client_credentials"),
            ("", "grant_type=client_credentials"),
            ("acme:x", "grant_type=client_credentials&client_id=operator"),
        ] {
            let (status, headers, body) = request(credentials, form).await;
            assert_eq!((status, &body["error"]), (StatusCode::UNAUTHORIZED, &json!("invalid_client")), "{credentials}");
            assert!(headers.contains_key(WWW_AUTHENTICATE));
        }
    }

    #[tokio::test]
    async fn a_client_with_a_certificate_gets_a_token_that_is_bound_to_it() {
        let request = async |certificate: &str| {
            let headers = [(CONTENT_TYPE, FORM), (crate::gateway::CERTIFICATE, certificate)];
            send(&headers, "grant_type=client_credentials&client_id=acme").await
        };
        let pem = include_str!("../../../service/testdata/client.pem");
        let encoded = pem.replace('+', "%2B").replace(' ', "%20").replace('\n', "%0A");
        let (status, _, token) = request(&encoded).await;
        assert_eq!(status, StatusCode::OK);
        let claims = claims(token["access_token"].as_str().unwrap());
        assert_eq!(claims["cnf"], json!({"x5t#S256": "hpdHm1dLE56IsyCXHs3HEkntTTNq490SU_3EX3eHbHM"}));
        let (status, _, body) = request("junk").await;
        assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_request")));
    }

    #[tokio::test]
    async fn discovery_names_the_endpoints() {
        let Json(configuration) = configuration(State(issuer())).await;
        assert_eq!(configuration["issuer"], "http://127.0.0.1:1/_local");
        assert_eq!(configuration["jwks_uri"], "http://127.0.0.1:1/_local/jwks.json");
        assert_eq!(configuration["token_endpoint"], "http://127.0.0.1:1/_local/oauth2/token");
    }
}
