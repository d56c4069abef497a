//! The request for an issuer's JWKS.

use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt, Limited};
use service::domain::issuer::{AddressError, PlainHttp, check_address};

/// The size limit of a JWKS, in bytes.
const MAX_BYTES: usize = 256 * 1024;

#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the address {0}")]
    Address(#[from] AddressError),
    #[error("the address is not valid: {0}")]
    Request(String),
    #[error("no response: {0}")]
    Transport(String),
    #[error("no response in time")]
    Timeout,
    #[error("the status of the response is {0}")]
    Status(u16),
    #[error("the response is incomplete or has more than {MAX_BYTES} bytes: {0}")]
    Body(String),
    #[error("the response is not a JWKS")]
    NotJwks,
}

/// Fetches an issuer's JWKS. The URI is checked here as well as where it is configured: a tenant's row may be older
/// than the rules, and no other check would stop a request to the Lambda Runtime API of this execution environment.
pub(super) async fn fetch(
    connector: &SharedHttpConnector,
    uri: &str,
    plain_http: PlainHttp,
) -> Result<Vec<u8>, FetchError> {
    check_address(uri, plain_http)?;
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_uri(uri).map_err(|error| FetchError::Request(error.to_string()))?;
    request.headers_mut().insert("accept", "application/jwk-set+json, application/json");
    let response = connector.call(request).await.map_err(|error| FetchError::Transport(error.to_string()))?;
    if response.status().as_u16() != 200 {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
    Ok(body.map_err(|error| FetchError::Body(error.to_string()))?.to_bytes().to_vec())
}
