//! The client certificate of mutual TLS. This gateway does not speak TLS: a header stands in for the certificate.
//!
//! Unlike a handshake, the header does not prove that the client has the private key. It exists so that everything behind
//! the handshake can be tried and tested.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-mutual-tls.html>

use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode;

/// The header with the certificate in PEM, percent-encoded (RFC 3986, section 2.1). Functions do not see it.
pub const CERTIFICATE: HeaderName = HeaderName::from_static("x-local-client-certificate");

/// Returns the certificate in PEM, as the client sent it.
pub(crate) fn pem(headers: &HeaderMap) -> Option<String> {
    let encoded = headers.get(CERTIFICATE)?.as_bytes();
    Some(percent_decode(encoded).decode_utf8_lossy().into_owned())
}
