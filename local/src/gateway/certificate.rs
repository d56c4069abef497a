//! The client certificate of mutual TLS, which this gateway does not speak: a header of its own stands in for it.
//!
//! What the header says is not proved, unlike what a handshake says. It is for tests of what comes after it.

use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode;

/// The certificate in PEM, percent-encoded (RFC 3986, section 2.1). Functions do not get it.
pub const CERTIFICATE: HeaderName = HeaderName::from_static("x-local-client-certificate");

/// The certificate in PEM, as it was sent.
pub(crate) fn pem(headers: &HeaderMap) -> Option<String> {
    let encoded = headers.get(CERTIFICATE)?.as_bytes();
    Some(percent_decode(encoded).decode_utf8_lossy().into_owned())
}
